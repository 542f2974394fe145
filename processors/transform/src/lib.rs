//! Changes telemetry by statements of the OpenTelemetry Transformation Language.
//!
//! Statements are compiled once and run over the bytes: what no statement touches is copied as it is, and a request in
//! which nothing changes is not copied. A request whose statement fails under `error_mode: propagate` is refused as it came.

mod config;
mod processor;
mod program;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, Factory, ProcessorFactory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{Change, Processor, StartError};
use phoenix_config::{Described, Node, PipelineId, Problems, Shape};

pub use config::TransformConfig;

use processor::TransformProcessor;

/// Makes `transform` processors.
#[derive(Clone, Copy, Debug, Default)]
pub struct TransformFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "transform",
    aliases: &[],
    signals: &Support::all(Stability::Beta),
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for TransformFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<TransformConfig>(section, problems)
    }

    fn change(&self, _old: &dyn AnySettings, _new: Option<&dyn AnySettings>) -> Change {
        Change::stateless()
    }

    fn shape(&self) -> Shape {
        TransformConfig::shape()
    }
}

impl ProcessorFactory for TransformFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        pipeline: &PipelineId,
    ) -> Result<Processor, StartError> {
        let processor = TransformProcessor::new(settings_of(settings), pipeline.signal(), &cx)?;
        Ok(Processor::Transform(Arc::new(processor)))
    }
}
