//! Changes attributes of spans, log records and data points.
//!
//! One pass over the bytes: records that are not meant, or that no action changes, are copied as they are, and a request
//! in which nothing changes is not copied at all.

mod config;
mod processor;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, Factory, ProcessorFactory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{Change, Processor, StartError};
use phoenix_config::{Described, Node, PipelineId, Problems, Shape};

pub use config::AttributesConfig;

use processor::AttributesProcessor;

/// Makes `attributes` processors.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttributesFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "attributes",
    aliases: &[],
    signals: &Support::all(Stability::Beta),
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for AttributesFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<AttributesConfig>(section, problems)
    }

    fn change(&self, _old: &dyn AnySettings, _new: Option<&dyn AnySettings>) -> Change {
        Change::stateless()
    }

    fn shape(&self) -> Shape {
        AttributesConfig::shape()
    }
}

impl ProcessorFactory for AttributesFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        _cx: CreateContext<'_>,
        pipeline: &PipelineId,
    ) -> Result<Processor, StartError> {
        let processor = AttributesProcessor::new(settings_of(settings), pipeline.signal())?;
        Ok(Processor::Transform(Arc::new(processor)))
    }
}
