//! Keeps whole traces by what they turn out to be.
//!
//! Spans wait as the bytes that came until their trace is decided. Whatever policies look at is gathered once, as a span
//! comes ([`facts`]), so that a decision reads no span; and what is let out is copied, not encoded.
//!
//! - Input: requests, in any order, the spans of a trace over many of them. Output: requests with the spans of kept traces.
//! - State: [`buffer`] (bounded by bytes), [`decided`] (bounded by number), limiters. It goes on over a change of settings.
//! - Order of work: [`stage`] takes requests in and decides by time; [`generation`] turns votes into a decision;
//!   [`release`] writes what is kept.
//! - Elsewhere: time, delivery and its retries, and refusals belong to the engine.

mod buffer;
mod conditions;
mod config;
mod decided;
pub mod facts;
mod generation;
mod headroom;
mod metrics;
mod partition;
pub mod plan;
mod policies;
pub mod policy;
mod release;
mod stage;
mod truncation;
mod wheel;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, Factory, ProcessorFactory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{Acknowledge, Change, DecisionBook, Host, Processor, Stage, StageSpec, StartError};
use phoenix_config::{ComponentId, Described, Node, PipelineId, Problems, Shape};
use phoenix_pdata::Signal;
use phoenix_statements::Runner;

pub use config::*;

use buffer::{Buffer, Pool};
use generation::Generation;
use headroom::Shortfall;
use metrics::TailMetrics;
use partition::ByTrace;
use plan::{Plan, Shared};
use stage::TailStage;

/// Makes `tail_sampling` processors.
#[derive(Clone, Copy, Debug, Default)]
pub struct TailSamplingFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "tail_sampling",
    aliases: &[],
    signals: &[Support { from: Signal::Traces, to: Signal::Traces, stability: Stability::Beta }],
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for TailSamplingFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<TailSamplingConfig>(section, problems)
    }

    /// Everything goes on under the new settings; only with another number of shards what waits is decided at once, since
    /// the spans of a trace would meet in another shard.
    fn change(&self, old: &dyn AnySettings, new: Option<&dyn AnySettings>) -> Change {
        let shards = |settings| settings_of::<TailSamplingConfig>(settings).num_shards;
        match new {
            Some(new) if shards(new) == shards(old) => Change::adopted(),
            _ => Change::let_out(),
        }
    }

    fn shape(&self) -> Shape {
        TailSamplingConfig::shape()
    }
}

impl ProcessorFactory for TailSamplingFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        _pipeline: &PipelineId,
    ) -> Result<Processor, StartError> {
        Ok(Processor::Stage(stage(settings_of(settings), cx.host, cx.id)))
    }
}

/// The stage of one pipeline; `id` names it in the metrics.
pub fn stage(config: &TailSamplingConfig, host: &Host, id: &ComponentId) -> StageSpec {
    let (component, id) = (id, id.to_string());
    let id = id.as_str();
    let pool = Arc::new(Pool::new(host.budget.clone(), config.buffer.max_bytes, config.num_traces));
    if config.buffer.max_bytes == 0
        && let Some(shortfall) = Shortfall::of_memory(config, pool.limit() as u64)
    {
        // Only now is it known what half of the collector's memory is; the rest was said when the settings were checked.
        tracing::warn!(
            headroom_seconds = shortfall.headroom.as_secs_f64(),
            "decision_wait of {id} {}; {}",
            shortfall.message(),
            shortfall.help()
        );
    }
    let metrics = TailMetrics::new(&host.metrics, id, &pool);
    let runner = Arc::new(Runner::new(&host.metrics, "processor", id));
    let (mut shared, shards) = (Shared::default(), u64::from(config.num_shards.max(1)));
    let shard = |number: u64| -> Box<dyn Stage> {
        shared.shard = number as usize;
        // Whatever is wrong with the policies was found when the settings were checked.
        let plan = Plan::new(config, &mut shared, &mut Problems::new());
        let errors = metrics.errors.clone();
        let generation = Generation::new(plan, config.sample_on_first_match, &host.metrics, id, errors);
        let buffer = Buffer::new(pool.clone());
        let place = (number, shards);
        let book = DecisionBook::open(&host.capabilities, component);
        Box::new(TailStage::new(config, place, buffer, generation, metrics.clone(), runner.clone(), book))
    };
    StageSpec {
        shards: (0..shards).map(shard).collect(),
        partition: Arc::new(ByTrace { shards, pool, blocks: config.block_on_overflow }),
        acknowledge: Acknowledge::Held,
    }
}
