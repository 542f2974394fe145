//! The three OTLP services over gRPC.

use bytes::Bytes;
use phoenix_component::Code;
use phoenix_pdata::Signal;
use phoenix_transport::compression::Encoding;
use phoenix_transport::grpc::Status;
use phoenix_transport::grpc::server::{Call, UnaryService};

use crate::client;
use crate::format::Format;
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
}

/// What may be called.
#[derive(Clone, Copy)]
pub(crate) enum Method {
    Export(Signal),
    Health,
}

impl UnaryService for GrpcService {
    type Method = Method;

    fn resolve(&self, path: &str) -> Option<Method> {
        let signal = match path {
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Signal::Traces,
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Signal::Metrics,
            "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Signal::Logs,
            health::CHECK if self.health => return Some(Method::Health),
            _ => return None,
        };
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
        let Call { message, encoded, headers, authority, peer, deadline } = call;
        let client = self
            .include_metadata
            .then(|| client::info(&headers, authority.as_ref().map(|a| a.as_str()), &peer));
        let trace = self.intake.trace(&headers);
        let request = Request {
            signal,
            format: Format::Protobuf,
            body: Body::new(message, encoded),
            client,
            deadline: answer_by(deadline),
            trace,
        };
        match self.intake.take(request, &self.metrics).await {
            Ok(()) => Ok(ALL_ACCEPTED),
            Err(NotTaken::Undecodable(undecodable)) => Err(undecodable.into()),
            Err(NotTaken::Malformed(reason)) => Err(Status::new(Code::INTERNAL, reason)),
            Err(NotTaken::Refused(refusal)) => Err(Status::from(&refusal)),
        }
    }
}
