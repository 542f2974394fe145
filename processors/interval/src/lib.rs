//! Lets the newest data point of each stream out, once an interval.
//!
//! - [`reading`]: what is thinned out: cumulative counters and histograms, gauges, summaries; all else passes at once.
//! - [`latest`]: the newest data points, as the bytes that came; [`leaving`]: the same on their way out, a request at a time.
//! - [`stage`]: both together, and when they go out.
//!
//! It is an ownership boundary: a request is answered once its data points are held. Time is handed in.

mod config;
mod latest;
mod leaving;
mod metrics;
mod reading;
mod stage;

#[cfg(test)]
mod tests;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, Factory, ProcessorFactory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{Acknowledge, Change, Processor, StageSpec, StartError, Unpartitioned};
use phoenix_config::{Described, Node, PipelineId, Problems, Shape};
use phoenix_pdata::Signal;
use phoenix_telemetry::Metrics;

pub use config::{IntervalConfig, PassThrough};

use metrics::IntervalMetrics;
use stage::IntervalStage;

/// Makes `interval` processors.
#[derive(Clone, Copy, Debug, Default)]
pub struct IntervalFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "interval",
    aliases: &[],
    signals: &[Support { from: Signal::Metrics, to: Signal::Metrics, stability: Stability::Alpha }],
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for IntervalFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<IntervalConfig>(section, problems)
    }

    /// What is held goes on under the new settings; without a successor it goes out.
    fn change(&self, _old: &dyn AnySettings, new: Option<&dyn AnySettings>) -> Change {
        if new.is_some() { Change::adopted() } else { Change::let_out() }
    }

    fn shape(&self) -> Shape {
        IntervalConfig::shape()
    }
}

impl ProcessorFactory for IntervalFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        _pipeline: &PipelineId,
    ) -> Result<Processor, StartError> {
        Ok(Processor::Stage(stage(settings_of(settings), &cx.host.metrics, &cx.id.to_string())))
    }
}

/// The stage of one pipeline; `id` names it in the metrics.
pub fn stage(config: &IntervalConfig, metrics: &Metrics, id: &str) -> StageSpec {
    let seed = RandomState::new().hash_one("fingerprints");
    StageSpec {
        partition: Arc::new(Unpartitioned),
        shards: vec![Box::new(IntervalStage::new(config, IntervalMetrics::new(metrics, id), seed))],
        acknowledge: Acknowledge::Held,
    }
}
