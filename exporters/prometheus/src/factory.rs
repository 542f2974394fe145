use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExporterFactory, Factory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{Change, Exporter, StartError, Touch};
use phoenix_config::{Described, Node, Problems, Shape};
use phoenix_pdata::Signal;

use crate::PrometheusConfig;
use crate::exporter;

/// Makes `prometheus` exporters.
pub struct PrometheusFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "prometheus",
    aliases: &[],
    signals: &[Support { from: Signal::Metrics, to: Signal::Metrics, stability: Stability::Beta }],
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for PrometheusFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<PrometheusConfig>(section, problems)
    }

    fn shape(&self) -> Shape {
        PrometheusConfig::shape()
    }

    fn touches(&self, settings: &dyn AnySettings) -> Vec<Touch> {
        settings_of::<PrometheusConfig>(settings).touches()
    }

    fn change(&self, old: &dyn AnySettings, new: Option<&dyn AnySettings>) -> Change {
        let old: &PrometheusConfig = settings_of(old);
        let change = Change::stateless();
        match new.map(settings_of::<PrometheusConfig>) {
            Some(new) if new.listens_as(old) => change,
            Some(new) => {
                change.closing(format!("http {}", old.endpoint), format!("moves to {}", new.endpoint))
            }
            None => change.closing(format!("http {}", old.endpoint), "the exporter is removed"),
        }
    }
}

impl ExporterFactory for PrometheusFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        _signal: Signal,
    ) -> Result<Arc<dyn Exporter>, StartError> {
        Ok(Arc::new(exporter::create(settings_of(settings), &cx)))
    }
}
