use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExporterFactory, Factory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{Change, Exporter, StartError, Touch};
use phoenix_config::{Described, Node, Problems, Shape};
use phoenix_otlp::OtlpGrpcConfig;
use phoenix_pdata::Signal;

use crate::exporter;

/// Makes `otlp_grpc` exporters.
pub struct OtlpGrpcFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "otlp_grpc",
    aliases: &["otlp"],
    signals: &Support::all(Stability::Stable),
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for OtlpGrpcFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<OtlpGrpcConfig>(section, problems)
    }

    fn change(&self, old: &dyn AnySettings, new: Option<&dyn AnySettings>) -> Change {
        let queue = |settings| settings_of::<OtlpGrpcConfig>(settings).sending_queue.get();
        phoenix_delivery::change(queue(old), new.map(queue))
    }

    fn shape(&self) -> Shape {
        OtlpGrpcConfig::shape()
    }

    fn touches(&self, settings: &dyn AnySettings) -> Vec<Touch> {
        settings_of::<OtlpGrpcConfig>(settings).touches()
    }
}

impl ExporterFactory for OtlpGrpcFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        signal: Signal,
    ) -> Result<Arc<dyn Exporter>, StartError> {
        Ok(Arc::new(exporter::create(settings_of(settings), &cx, signal)?))
    }
}
