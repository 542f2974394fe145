use std::sync::{Arc, Mutex};

use phoenix_component::factory::{CreateContext, Stability, Support};
use phoenix_component::{ComponentKey, Exporter, Host, StartError};
use phoenix_delivery::{Delivery, DeliveryContext, DeliverySettings, Push as _};
use phoenix_otlp::GrpcPush;
use phoenix_pdata::Signal;
use tokio_util::sync::CancellationToken;

use crate::config::{LoadBalancingConfig, SubExporter};
use crate::metrics::{ResolverMeter, RouterMeter};
use crate::resolver::Resolver;
use crate::router::{Dial, Router, State};

phoenix_component::exporter_factory! {
    /// Makes `load_balancing` exporters.
    LoadBalancingFactory: "load_balancing", LoadBalancingConfig;
    create: create,
    aliases: ["loadbalancing"],
    signals: Support::all(Stability::Beta),
    change: |old, new| phoenix_delivery::change(old.queue(), new.map(LoadBalancingConfig::queue)),
    touches: LoadBalancingConfig::touches,
}

fn create(
    config: &LoadBalancingConfig,
    cx: &CreateContext<'_>,
    signal: Signal,
) -> Result<Arc<dyn Exporter>, StartError> {
    let key = config.routing_key(signal).map_err(StartError::new)?;
    let resolver = Resolver::new(&config.resolver)
        .ok_or_else(|| StartError::new("no resolvers specified for the exporter"))?;
    let (metrics, component) = (&cx.host.metrics, cx.status.key());
    let dial = GrpcDial {
        settings: config.protocol.otlp.clone(),
        host: cx.host.clone(),
        key: component.clone(),
        signal,
    };
    // Wrong TLS files show before anything runs, as those of a single backend would.
    dial.make("backend:4317".to_owned())?;
    let state = State::new(
        dial,
        config.ring,
        metrics,
        ResolverMeter::new(metrics, resolver.name()),
        RouterMeter::new(metrics, component, signal),
    );
    let router = Router {
        state: Arc::new(state),
        signal,
        key,
        attributes: config.routing_attributes.clone(),
        budget: cx.host.budget.clone(),
        resolver: Mutex::new(Some(resolver)),
        has_retries: config.retry().enabled,
        stop: CancellationToken::new(),
    };
    let settings = DeliverySettings {
        timeout: config.timeout.is_positive().then(|| config.timeout.as_duration()),
        retry: config.retry().clone(),
        queue: config.queue().cloned(),
    };
    Ok(Arc::new(Delivery::new(router, settings, DeliveryContext::new(cx, signal, &[]))))
}

/// Sends to backends by OTLP over gRPC.
struct GrpcDial {
    settings: SubExporter,
    host: Host,
    key: ComponentKey,
    signal: Signal,
}

impl GrpcDial {
    fn make(&self, endpoint: String) -> Result<GrpcPush, StartError> {
        GrpcPush::new(&self.settings.with_endpoint(endpoint), &self.host, &self.key, self.signal)
    }
}

impl Dial for GrpcDial {
    type Push = GrpcPush;

    async fn dial(&self, endpoint: String) -> Result<GrpcPush, StartError> {
        let push = self.make(endpoint)?;
        push.start(&self.host).await?;
        Ok(push)
    }
}
