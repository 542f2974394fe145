//! `grpc.health.v1.Health`, as far as it is one request and one answer.

use bytes::Bytes;
use phoenix_component::Code;
use phoenix_pdata::Signal;
use phoenix_pdata::wire::Fields;
use phoenix_transport::grpc::Status;

use crate::intake::Intake;

/// The method that probes call. `Watch`, which streams, is unimplemented: clients take that for healthy.
pub(crate) const CHECK: &str = "/grpc.health.v1.Health/Check";
/// A response that says SERVING.
const SERVING: Bytes = Bytes::from_static(&[0x08, 0x01]);
/// The field of a request that names the service.
const SERVICE: u32 = 1;

/// Answers a check: of the server as a whole, where no service is named, or of a service. Those that no
/// pipeline takes are unknown.
pub(crate) fn check(intake: &Intake, request: &[u8]) -> Result<Bytes, Status> {
    let named = Fields::new(request).filter(|field| field.number() == SERVICE).last();
    let service = named.map_or(&[][..], |field| field.body);
    let is_served = match service {
        b"" => true,
        service => Signal::ALL.into_iter().any(|signal| intake.takes(signal) && name(signal) == service),
    };
    match is_served {
        true => Ok(SERVING),
        false => Err(Status::new(Code::NOT_FOUND, "unknown service")),
    }
}

fn name(signal: Signal) -> &'static [u8] {
    match signal {
        Signal::Traces => b"opentelemetry.proto.collector.trace.v1.TraceService",
        Signal::Metrics => b"opentelemetry.proto.collector.metrics.v1.MetricsService",
        Signal::Logs => b"opentelemetry.proto.collector.logs.v1.LogsService",
    }
}
