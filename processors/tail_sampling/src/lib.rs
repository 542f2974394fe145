//! Keeps whole traces by what they turn out to be.
//!
//! Spans wait as the bytes that came until their trace is decided. Whatever policies look at is gathered once, as a span
//! comes ([`facts`]), so that a decision reads no span; and what is let out is copied, not encoded.
//!
//! - Input: requests, in any order, the spans of a trace over many of them. Output: requests with the spans of kept traces.
//! - State: [`buffer`] (bounded by bytes), [`decided`] (bounded by number), limiters. It goes on over a change of settings.
//! - Order of work: [`stage`] takes requests in and decides by time; [`generation`] turns votes into a decision;
//!   [`release`] writes what is kept. [`spill`] has what memory is too small for.
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
mod spill;
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
use phoenix_storage::Store;

pub use config::*;

use buffer::{Buffer, Pool};
use generation::Generation;
use headroom::Shortfall;
use metrics::TailMetrics;
use partition::ByTrace;
use plan::{Plan, Shared};
use spill::{Files, Spill, SpillRules, Worker};
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
        pipeline: &PipelineId,
    ) -> Result<Processor, StartError> {
        let config: &TailSamplingConfig = settings_of(settings);
        let files = config.buffer.spill.as_ref().map(|spill| files(spill, config, &cx, pipeline));
        stage_on(config, cx.host, cx.id, files.transpose()?).map(Processor::Stage)
    }
}

/// The disk of a processor in a pipeline.
fn files(
    spill: &SpillConfig,
    config: &TailSamplingConfig,
    cx: &CreateContext<'_>,
    pipeline: &PipelineId,
) -> Result<Arc<Files>, StartError> {
    let store = spill.storage.as_ref().and_then(|id| cx.host.capabilities.find::<Store>(id));
    let store = store.ok_or_else(|| {
        StartError::new(
            "buffer::spill::storage: no storage client extension found: list it under service::extensions, and name \
             an extension that stores",
        )
    })?;
    let worker = Worker::start().map_err(StartError::because)?;
    let place = (cx.id.to_string(), pipeline.to_string());
    let shards = config.num_shards.max(1) as usize;
    Files::open(&store, (&place.0, &place.1), shards, &cx.host.metrics, worker)
}

/// The stage of one pipeline, with all that waits in memory; `id` names it in the metrics.
///
/// # Errors
/// Where an extension does not offer the policy that it is asked for.
pub fn stage(config: &TailSamplingConfig, host: &Host, id: &ComponentId) -> Result<StageSpec, StartError> {
    stage_on(config, host, id, None)
}

/// The same with a disk.
fn stage_on(
    config: &TailSamplingConfig,
    host: &Host,
    id: &ComponentId,
    files: Option<Arc<Files>>,
) -> Result<StageSpec, StartError> {
    let (component, id) = (id, id.to_string());
    let id = id.as_str();
    let pool = Arc::new(Pool::new(host.budget.clone(), config.buffer.max_bytes, config.most_traces()));
    if config.buffer.max_bytes == 0
        && let Some(shortfall) =
            Shortfall::of_memory(config, (pool.limit() as u64).saturating_add(config.spill_bytes()))
    {
        // Only now is it known what half of the collector's memory is; the rest was said when the settings were checked.
        tracing::warn!(
            headroom_seconds = shortfall.headroom.as_secs_f64(),
            "decision_wait of {id} {}; {}",
            shortfall.message(),
            shortfall.help()
        );
    }
    pool.set_elsewhere(if files.is_some() { config.spill_bytes() } else { 0 });
    let metrics = TailMetrics::new(&host.metrics, id, &pool);
    let runner = Arc::new(Runner::new(&host.metrics, "processor", id));
    let shards = u64::from(config.num_shards.max(1));
    let mut shared = Shared::with_extensions(host.capabilities.clone());
    let shard = |number: u64| -> Result<Box<dyn Stage>, StartError> {
        shared.shard = number as usize;
        // Whatever is wrong with the policies was found when the settings were checked, but for what extensions say.
        let mut problems = Problems::new();
        let plan = Plan::new(config, &mut shared, &mut problems);
        if let Some(problem) = problems.errors().next() {
            return Err(StartError::new(format!("{}: {}", problem.path, problem.message)));
        }
        let errors = metrics.errors.clone();
        let generation = Generation::new(plan, config.sample_on_first_match, &host.metrics, id, errors);
        let buffer = Buffer::new(pool.clone());
        let place = (number, shards);
        let book = DecisionBook::open(&host.capabilities, component);
        let spill = files.clone().zip(config.buffer.spill.as_ref());
        let spill = spill.map(|(files, config)| Spill::new(files, number as usize, SpillRules::new(config)));
        let held = (buffer, spill);
        Ok(Box::new(TailStage::new(config, place, held, generation, metrics.clone(), runner.clone(), book)))
    };
    Ok(StageSpec {
        shards: (0..shards).map(shard).collect::<Result<_, _>>()?,
        partition: Arc::new(ByTrace { shards, pool, blocks: config.block_on_overflow }),
        acknowledge: Acknowledge::Held,
    })
}
