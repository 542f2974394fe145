use std::sync::{Arc, Mutex};

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExporterFactory, Factory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{Change, ComponentKey, Exporter, Host, StartError, Touch};
use phoenix_config::{Described, Node, Problems, Shape};
use phoenix_delivery::{Delivery, DeliveryContext, DeliverySettings, Push as _};
use phoenix_otlp::GrpcPush;
use phoenix_pdata::Signal;
use tokio_util::sync::CancellationToken;

use crate::config::{LoadBalancingConfig, SubExporter};
use crate::metrics::{ResolverMeter, RouterMeter};
use crate::resolver::Resolver;
use crate::router::{Dial, Router, State};

/// Makes `load_balancing` exporters.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadBalancingFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "load_balancing",
    aliases: &["loadbalancing"],
    signals: &Support::all(Stability::Beta),
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for LoadBalancingFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<LoadBalancingConfig>(section, problems)
    }

    fn change(&self, old: &dyn AnySettings, new: Option<&dyn AnySettings>) -> Change {
        let queue = |settings| settings_of::<LoadBalancingConfig>(settings).queue();
        phoenix_delivery::change(queue(old), new.map(queue))
    }

    fn shape(&self) -> Shape {
        LoadBalancingConfig::shape()
    }

    fn touches(&self, settings: &dyn AnySettings) -> Vec<Touch> {
        settings_of::<LoadBalancingConfig>(settings).touches()
    }
}

impl ExporterFactory for LoadBalancingFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        signal: Signal,
    ) -> Result<Arc<dyn Exporter>, StartError> {
        let config: &LoadBalancingConfig = settings_of(settings);
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
        Ok(Arc::new(Delivery::new(router, settings, DeliveryContext::new(&cx, signal, &[]))))
    }
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
