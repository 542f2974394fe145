//! The three OTLP services over gRPC.

use bytes::Bytes;
use phoenix_component::Code;
use phoenix_pdata::Signal;
use phoenix_transport::grpc::Status;
use phoenix_transport::grpc::server::{Call, UnaryService};

use crate::client;
use crate::format::Format;
use crate::intake::{Intake, NotTaken, Request, answer_by};
use crate::metrics::IntakeMetrics;

/// An export response whose `partial_success` is there and empty: everything was accepted.
pub(crate) const ALL_ACCEPTED: Bytes = Bytes::from_static(&[0x0a, 0x00]);

pub(crate) struct GrpcService {
    pub(crate) intake: Intake,
    pub(crate) metrics: IntakeMetrics,
    pub(crate) include_metadata: bool,
}

impl UnaryService for GrpcService {
    type Method = Signal;

    fn resolve(&self, path: &str) -> Option<Signal> {
        let signal = match path {
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Signal::Traces,
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Signal::Metrics,
            "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Signal::Logs,
            _ => return None,
        };
        self.intake.takes(signal).then_some(signal)
    }

    async fn call(&self, signal: Signal, call: Call) -> Result<Bytes, Status> {
        let Call { message, headers, authority, peer, deadline } = call;
        let client = self
            .include_metadata
            .then(|| client::info(&headers, authority.as_ref().map(|a| a.as_str()), &peer));
        let request = Request {
            signal,
            format: Format::Protobuf,
            body: message,
            client,
            deadline: answer_by(deadline),
        };
        match self.intake.take(request, &self.metrics).await {
            Ok(()) => Ok(ALL_ACCEPTED),
            Err(NotTaken::Malformed(reason)) => Err(Status::new(Code::INTERNAL, reason)),
            Err(NotTaken::Refused(refusal)) => Err(Status::from(&refusal)),
        }
    }
}
