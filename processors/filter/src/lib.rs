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

use phoenix_component::factory::{Stability, Support};
use phoenix_component::{Change, Processor};

pub use config::{
    FilterConfig, LogFilters, LogMatchSettings, MetricFilters, MetricMatchSettings, MetricMatchType,
    NamedSeveritySettings, ProfileFilters, SpanFilters, TraceFilters,
};

use processor::FilterProcessor;

phoenix_component::processor_factory! {
    /// Makes `filter` processors.
    FilterFactory: "filter", FilterConfig;
    create: |config, cx, pipeline| {
        Ok(Processor::Transform(Arc::new(FilterProcessor::new(config, pipeline.signal(), cx)?)))
    },
    signals: Support::all(Stability::Beta),
    change: |_, _| Change::stateless(),
}
