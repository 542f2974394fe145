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

use phoenix_component::factory::{Stability, Support};
use phoenix_component::{Acknowledge, Change, Processor, StageSpec, Unpartitioned};
use phoenix_pdata::Signal;
use phoenix_telemetry::Metrics;

pub use config::{IntervalConfig, PassThrough};

use metrics::IntervalMetrics;
use stage::IntervalStage;

phoenix_component::processor_factory! {
    /// Makes `interval` processors. What is held goes on under other settings.
    IntervalFactory: "interval", IntervalConfig;
    create: |config, cx, _| Ok(Processor::Stage(stage(config, &cx.host.metrics, &cx.id.to_string()))),
    signals: [Support { from: Signal::Metrics, to: Signal::Metrics, stability: Stability::Alpha }],
    change: |_, new| Change::of_stage(new),
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
