//! Joins small requests into batches, by items, bytes and time.
//!
//! A batch is the concatenation of the requests that came, which copies nothing; only a request that a
//! limit falls into is cut. It is an ownership boundary: a request is answered once its bytes are held
//! (or, if asked for, delivered), and what goes out belongs to the engine, which retries it under the
//! budget and refuses newcomers meanwhile, so nothing that can be retried is dropped.
//!
//! There is one shard, so that batches have the size that was set. Time is handed in.

mod combinations;
mod config;
mod metrics;
mod open;
mod stage;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use phoenix_component::factory::{Stability, Support};
use phoenix_component::{Acknowledge, Change, Processor, StageSpec};
use phoenix_telemetry::Metrics;

pub use config::{Acknowledgement, BatchConfig};

use combinations::Combinations;
use metrics::BatchMetrics;
use stage::BatchStage;

phoenix_component::processor_factory! {
    /// Makes `batch` processors. Batches in the making go on under other settings, whatever changed.
    BatchFactory: "batch", BatchConfig;
    create: |config, cx, _| Ok(Processor::Stage(stage(config, &cx.host.metrics, &cx.id.to_string()))),
    signals: Support::all(Stability::Beta),
    change: |_, new| Change::of_stage(new),
}

/// The stage of one pipeline; `id` names it in the metrics.
pub fn stage(config: &BatchConfig, metrics: &Metrics, id: &str) -> StageSpec {
    let metrics = BatchMetrics::new(metrics, id);
    StageSpec {
        partition: Arc::new(Combinations::new(
            &config.metadata_keys,
            config.metadata_cardinality_limit,
            metrics.cardinality.clone(),
        )),
        shards: vec![Box::new(BatchStage::new(config, metrics))],
        acknowledge: match config.acknowledge {
            Acknowledgement::Held => Acknowledge::Held,
            Acknowledgement::Delivered => Acknowledge::Delivered,
        },
    }
}
