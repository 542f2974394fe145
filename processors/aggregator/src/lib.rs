//! Aggregates metrics over time and over attributes, exactly.
//!
//! - [`stream`]: what comes in. The data points of a stream are put into order and become increments or levels.
//! - [`labels`], [`kind`]: where a stream goes, and what can be made of it.
//! - [`replicas`]: senders that stand in for each other.
//! - [`watermark`]: how far event time has come; windows close when it passes their end.
//! - [`series`], [`accumulator`]: what comes out, and what its windows add up to; [`members`]: what each of its streams did in them.
//! - [`plan`]: a rule at one of its levels; [`route`]: what streams that several rules take alike add together; [`emission`]: data points as OTLP; [`examples`]: exemplars.
//! - [`stage`]: all of it together; [`state`], [`checkpoint`], [`journal`]: over restarts.
//!
//! It is an ownership boundary: a request is answered once its data points are part of the state. There is one shard, so that
//! every series has one writer. Time is handed in, and windows follow the times of the data points.

mod accumulator;
mod checkpoint;
mod config;
mod emission;
mod examples;
mod glob;
mod intake;
mod journal;
mod kind;
mod labels;
mod members;
mod metrics;
mod plan;
mod replicas;
mod route;
mod series;
mod stage;
mod state;
mod stream;
mod value;
mod watermark;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, Factory, ProcessorFactory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{
    Acknowledge, Change, Offer, Processor, SavingsBook, StageSpec, StartError, Unpartitioned,
};
use phoenix_config::{Described, Kind, Node, PipelineId, Problems, Shape};
use phoenix_pdata::Signal;
use phoenix_series::Hasher;
use phoenix_storage::{Store, client_name};
use phoenix_telemetry::Metrics;

pub use config::{
    AggregatorConfig, AttributeMatch, CheckpointConfig, DeadBand, FirstSample, Function, HighAvailability,
    LabelAction, LabelRule, Late, Level, Match, MetricKind, Over, PartialWindows, PartitionBy, Rule,
    TemporalityChoice, Tier, UnknownFunction, WatermarkConfig, WindowKind,
};

use checkpoint::Checkpoint;
use journal::{Journal, JournalMetrics};
use labels::Grouping;
use metrics::{AggregatorMetrics, RuleMetrics};
use plan::Plan;
use replicas::{ReplicaMetrics, Replicas};
use stage::{Aggregator, Lasting};

/// Makes `aggregator` processors.
#[derive(Clone, Copy, Debug, Default)]
pub struct AggregatorFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "aggregator",
    aliases: &[],
    signals: &[Support { from: Signal::Metrics, to: Signal::Metrics, stability: Stability::Alpha }],
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for AggregatorFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<AggregatorConfig>(section, problems)
    }

    /// Streams, and the series of rules that stay the same, go on; others are let out.
    fn change(&self, _old: &dyn AnySettings, new: Option<&dyn AnySettings>) -> Change {
        if new.is_some() { Change::adopted() } else { Change::let_out() }
    }

    fn shape(&self) -> Shape {
        AggregatorConfig::shape()
    }
}

/// How many instances of a pipeline's aggregator are alive: while the configuration changes there are two.
type Alive = Mutex<HashMap<String, Arc<AtomicUsize>>>;

impl ProcessorFactory for AggregatorFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        pipeline: &PipelineId,
    ) -> Result<Processor, StartError> {
        let alive = cx.shared.get_or_make(Kind::Processor, cx.id, Alive::default);
        let alive = alive
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(pipeline.to_string())
            .or_default()
            .clone();
        let place = Place { component: cx.id.to_string(), pipeline: pipeline.to_string(), alive };
        let config: &AggregatorConfig = settings_of(settings);
        let store = config.storage.as_ref().map(|id| {
            cx.host.capabilities.find::<Store>(id).ok_or_else(|| {
                StartError::new(format!(
                    "storage: no storage client extension found: list {id} under service::extensions, and name an \
                     extension that stores"
                ))
            })
        });
        let store = store.transpose()?;
        let savings = SavingsBook::open(&cx.host.capabilities, cx.id);
        stage_with(config, &cx.host.metrics, &place, store.as_deref(), Some(savings)).map(Processor::Stage)
    }
}

/// Where an aggregator stands.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The identifier of the component, in metrics and in the name of the checkpoint.
    pub component: String,
    /// The pipeline, in the name of the checkpoint.
    pub pipeline: String,
    /// Counts the aggregators that stand there: one that finds another waits for its state.
    pub alive: Arc<AtomicUsize>,
}

/// The stage of one pipeline, with its state in a store where it has one.
///
/// # Errors
/// Where the logs in the store cannot be opened.
pub fn stage(
    config: &AggregatorConfig,
    metrics: &Metrics,
    place: &Place,
    store: Option<&Store>,
) -> Result<StageSpec, StartError> {
    stage_with(config, metrics, place, store, None)
}

/// The same, told of in a book.
fn stage_with(
    config: &AggregatorConfig,
    metrics: &Metrics,
    place: &Place,
    store: Option<&Store>,
    savings: Option<(Arc<SavingsBook>, Offer)>,
) -> Result<StageSpec, StartError> {
    let seed = RandomState::new().hash_one("fingerprints");
    let lasting = lasting(config, metrics, place, store)?;
    let mut aggregator = aggregator(config, metrics, place, seed, lasting);
    aggregator.savings = savings;
    Ok(StageSpec {
        partition: Arc::new(Unpartitioned),
        shards: vec![Box::new(aggregator)],
        acknowledge: if config.durable { Acknowledge::Resolved } else { Acknowledge::Held },
    })
}

fn lasting(
    config: &AggregatorConfig,
    metrics: &Metrics,
    place: &Place,
    store: Option<&Store>,
) -> Result<Lasting, StartError> {
    let directory = &config.checkpoint.directory;
    let Some(store) = store else {
        let in_file = || Checkpoint::in_file(directory, &place.component, &place.pipeline);
        return Ok(Lasting { checkpoint: (!directory.is_empty()).then(in_file), journal: None });
    };
    let client = |what| {
        let name = client_name(&format!("processor_{}_{}_{what}", place.component, place.pipeline));
        store.client(&name).map_err(StartError::because)
    };
    let journal = match config.durable {
        true => Some(Journal::new(client("journal")?, JournalMetrics::new(metrics, &place.component))),
        false => None,
    };
    Ok(Lasting { checkpoint: Some(Checkpoint::stored(client("state")?)), journal })
}

fn aggregator(
    config: &AggregatorConfig,
    metrics: &Metrics,
    place: &Place,
    seed: u64,
    lasting: Lasting,
) -> Aggregator {
    let id = &place.component;
    let mut plans = Vec::new();
    for rule in &config.rules {
        let rule = Arc::new(rule.clone());
        let replica = config.ha.as_ref().map(|ha| ha.replica.as_str());
        for (level, grouping) in Grouping::of(&rule, replica).into_iter().enumerate() {
            // The seed is that of the process; rules must be found again in another.
            let replica = replica.unwrap_or_default();
            let identity = Hasher::new(0).bytes(format!("{level} {rule:?}{replica}").as_bytes());
            let lateness = config.watermark.allowed_lateness.as_nanos() as u64;
            let shape = plan::Shape::new(rule.clone(), grouping, config.partial_windows, lateness);
            let mut plan = Plan::new(identity, shape, RuleMetrics::new(metrics, id, &rule.id));
            let alike = |other: &Plan| other.shape.grouping == plan.shape.grouping;
            plan.alike = plans.iter().position(alike).unwrap_or(plans.len()) as u16;
            plans.push(plan);
        }
    }
    let own = AggregatorMetrics::new(metrics, id);
    let mut aggregator = Aggregator::new(config, plans, seed, lasting, own, place.alive.clone());
    let slack = config.watermark.out_of_order.as_nanos().max(0) as u64;
    aggregator.replicas =
        config.ha.as_ref().map(|ha| Replicas::new(ha, slack, ReplicaMetrics::new(metrics, id)));
    aggregator
}
