use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExporterFactory, Factory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{Change, Exporter, StartError, Touch};
use phoenix_config::{Described, Node, Problems, Shape};
use phoenix_pdata::Signal;

use crate::OtlpHttpConfig;
use crate::exporter;

/// Makes `otlp_http` exporters.
pub struct OtlpHttpFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "otlp_http",
    aliases: &["otlphttp"],
    signals: &Support::all(Stability::Stable),
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for OtlpHttpFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<OtlpHttpConfig>(section, problems)
    }

    fn change(&self, old: &dyn AnySettings, new: Option<&dyn AnySettings>) -> Change {
        let queue = |settings| settings_of::<OtlpHttpConfig>(settings).sending_queue.get();
        phoenix_delivery::change(queue(old), new.map(queue))
    }

    fn shape(&self) -> Shape {
        OtlpHttpConfig::shape()
    }

    fn touches(&self, settings: &dyn AnySettings) -> Vec<Touch> {
        settings_of::<OtlpHttpConfig>(settings).touches()
    }
}

impl ExporterFactory for OtlpHttpFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        signal: Signal,
    ) -> Result<Arc<dyn Exporter>, StartError> {
        Ok(Arc::new(exporter::create(settings_of(settings), &cx, signal)?))
    }
}
