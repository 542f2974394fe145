//! The three OTLP services over gRPC.

use bytes::Bytes;
use phoenix_component::Code;
use phoenix_pdata::Signal;
use phoenix_transport::compression::Encoding;
use phoenix_transport::grpc::Status;
use phoenix_transport::grpc::server::{Call, UnaryService};
use phoenix_transport::http::Format;
use phoenix_transport::instrumentation::RpcMetrics;

use crate::client;
use crate::health;
use crate::intake::{Body, Intake, NotTaken, Request, answer_by};
use crate::metrics::IntakeMetrics;

/// An export response whose `partial_success` is there and empty: everything was accepted.
pub(crate) const ALL_ACCEPTED: Bytes = Bytes::from_static(&[0x0a, 0x00]);

pub(crate) struct GrpcService {
    pub(crate) intake: Intake,
    pub(crate) metrics: IntakeMetrics,
    pub(crate) include_metadata: bool,
    /// Whether health checks are answered.
    pub(crate) health: bool,
    /// By [`Signal::index`].
    pub(crate) rpc: [RpcMetrics; 3],
}

/// What may be called.
#[derive(Clone, Copy)]
pub(crate) enum Method {
    Export(Signal),
    Health,
}

/// The path of the export method of each signal, by [`Signal::index`].
pub(crate) const PATHS: [&str; 3] = [
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
];

impl UnaryService for GrpcService {
    type Method = Method;

    fn resolve(&self, path: &str) -> Option<Method> {
        if path == health::CHECK && self.health {
            return Some(Method::Health);
        }
        let signal = Signal::ALL.into_iter().find(|signal| PATHS[signal.index()] == path)?;
        self.intake.takes(signal).then_some(Method::Export(signal))
    }

    fn takes_encoded(&self, method: Method, encoding: Encoding) -> bool {
        matches!(method, Method::Export(signal) if self.intake.takes_encoded(signal, encoding))
    }

    fn brings_data(&self, method: Method) -> bool {
        matches!(method, Method::Export(_))
    }

    async fn call(&self, method: Method, call: Call) -> Result<Bytes, Status> {
        let signal = match method {
            Method::Export(signal) => signal,
            Method::Health => return health::check(&self.intake, &call.message),
        };
        let Call { message, encoded, head, peer, identity, charged, deadline } = call;
        let authority = head.uri.authority().map(|authority| authority.as_str());
        let client = client::info(&head.headers, authority, &peer, identity, self.include_metadata);
        let trace = self.intake.trace(&head.headers);
        let request = Request {
            signal,
            format: Format::Protobuf,
            body: Body::new(message, encoded),
            client,
            deadline: answer_by(deadline),
            trace,
            charged,
        };
        let rpc = &self.rpc[signal.index()];
        let begun = rpc.begin();
        let answer = match self.intake.take(request, &self.metrics).await {
            Ok(()) => Ok(ALL_ACCEPTED),
            Err(NotTaken::Undecodable(undecodable)) => Err(undecodable.into()),
            Err(NotTaken::Malformed(reason)) => Err(Status::new(Code::INTERNAL, reason)),
            Err(NotTaken::Refused(refusal)) => Err(Status::from(&refusal)),
        };
        if let Some(begun) = begun {
            rpc.record(answer.as_ref().map_or_else(|status| status.code, |_| Code::OK), begun.elapsed());
        }
        answer
    }
}
