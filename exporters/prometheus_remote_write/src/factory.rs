use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExporterFactory, Factory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{Change, Exporter, StartError, Touch};
use phoenix_config::{Described, Node, Problems, Shape};
use phoenix_pdata::Signal;

use crate::RemoteWriteConfig;
use crate::exporter;

/// Makes `prometheus_remote_write` exporters.
pub struct RemoteWriteFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "prometheus_remote_write",
    aliases: &["prometheusremotewrite"],
    signals: &[Support { from: Signal::Metrics, to: Signal::Metrics, stability: Stability::Beta }],
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for RemoteWriteFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<RemoteWriteConfig>(section, problems)
    }

    fn change(&self, old: &dyn AnySettings, new: Option<&dyn AnySettings>) -> Change {
        let queue = |settings| settings_of::<RemoteWriteConfig>(settings).queue();
        let (old, new) = (queue(old), new.map(queue));
        phoenix_delivery::change(old.as_ref(), new.as_ref().map(Option::as_ref))
    }

    fn shape(&self) -> Shape {
        RemoteWriteConfig::shape()
    }

    fn touches(&self, settings: &dyn AnySettings) -> Vec<Touch> {
        settings_of::<RemoteWriteConfig>(settings).touches()
    }
}

impl ExporterFactory for RemoteWriteFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        _signal: Signal,
    ) -> Result<Arc<dyn Exporter>, StartError> {
        Ok(Arc::new(exporter::create(settings_of(settings), &cx)?))
    }
}
