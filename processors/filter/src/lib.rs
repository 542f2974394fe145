//! Drops what meets a condition: resources, scopes, spans, span events, metrics, data points, log records.
//!
//! Conditions are OTTL, compiled once and evaluated over the bytes; what is kept is copied, and not at all where nothing is
//! dropped. The older `include` and `exclude` are there as well.

mod conditions;
mod config;
mod matching;
mod metrics;
mod processor;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, Factory, ProcessorFactory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{Change, Processor, StartError};
use phoenix_config::{Described, Node, PipelineId, Problems, Shape};

pub use config::{
    FilterConfig, LogFilters, LogMatchSettings, MetricFilters, MetricMatchSettings, MetricMatchType,
    NamedSeveritySettings, ProfileFilters, SpanFilters, TraceFilters,
};

use processor::FilterProcessor;

/// Makes `filter` processors.
#[derive(Clone, Copy, Debug, Default)]
pub struct FilterFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "filter",
    aliases: &[],
    signals: &Support::all(Stability::Beta),
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for FilterFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<FilterConfig>(section, problems)
    }

    fn change(&self, _old: &dyn AnySettings, _new: Option<&dyn AnySettings>) -> Change {
        Change::stateless()
    }

    fn shape(&self) -> Shape {
        FilterConfig::shape()
    }
}

impl ProcessorFactory for FilterFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        pipeline: &PipelineId,
    ) -> Result<Processor, StartError> {
        let processor = FilterProcessor::new(settings_of(settings), pipeline.signal(), &cx)?;
        Ok(Processor::Transform(Arc::new(processor)))
    }
}
