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

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, Factory, ProcessorFactory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{Acknowledge, Change, Processor, StageSpec, StartError};
use phoenix_config::{Described, Node, PipelineId, Problems, Shape};
use phoenix_telemetry::Metrics;

pub use config::{Acknowledgement, BatchConfig};

use combinations::Combinations;
use metrics::BatchMetrics;
use stage::BatchStage;

/// Makes `batch` processors.
#[derive(Clone, Copy, Debug, Default)]
pub struct BatchFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "batch",
    aliases: &[],
    signals: &Support::all(Stability::Beta),
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for BatchFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<BatchConfig>(section, problems)
    }

    /// Batches in the making go on under the new settings, whatever changed; without a successor they go out.
    fn change(&self, _old: &dyn AnySettings, new: Option<&dyn AnySettings>) -> Change {
        if new.is_some() { Change::adopted() } else { Change::let_out() }
    }

    fn shape(&self) -> Shape {
        BatchConfig::shape()
    }
}

impl ProcessorFactory for BatchFactory {
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
