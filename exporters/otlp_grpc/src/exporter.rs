use phoenix_component::factory::CreateContext;
use phoenix_component::{ComponentKey, StartError};
use phoenix_delivery::{Delivery, DeliveryContext, DeliverySettings};
use phoenix_otlp::{GrpcPush, OtlpGrpcConfig};
use phoenix_pdata::Signal;
use phoenix_transport::endpoint::Target;

/// The exporter of one signal. Nothing is connected before the first batch.
pub(crate) fn create(
    config: &OtlpGrpcConfig,
    cx: &CreateContext<'_>,
    signal: Signal,
) -> Result<Delivery<GrpcPush>, StartError> {
    let key: &ComponentKey = cx.status.key();
    let push = GrpcPush::new(config, cx.host, key, signal)?;
    let settings = DeliverySettings {
        // The client's own covers the same, and the server hears of it.
        timeout: None,
        retry: config.retry_on_failure.clone(),
        queue: config.sending_queue.get().cloned(),
    };
    let (_, target) = Target::parse_grpc(&config.endpoint).map_err(StartError::because)?;
    let destination = match &target {
        Target::Host { host, port } => Some((host.as_str(), port.to_string())),
        Target::Unix(_) => None,
    };
    let attributes = destination.as_ref().map(|(host, port)| [(ADDRESS, *host), (PORT, port.as_str())]);
    let attributes = attributes.as_ref().map_or(&[][..], |attributes| &attributes[..]);
    Ok(Delivery::new(push, settings, DeliveryContext::new(cx, signal, attributes)))
}

const ADDRESS: &str = "server.address";
const PORT: &str = "server.port";
