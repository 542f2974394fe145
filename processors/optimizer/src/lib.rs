//! Fewer series, points and bytes, with an error that is stated: rules over metrics that cost too much.
//!
//! A request is walked once. What no rule is about is copied as it came; what a rule is about is looked up by its identity, and the
//! verdict of the rules is kept with it. Series that become others are added up by increments and let out at the end of an
//! interval, under identities that nobody else has.
//!
//! - Input: OTLP metrics, of all types and both temporalities.
//! - Bounds: `max_series` states; rules are compiled once and cost nothing per point.
//! - Elsewhere: identities, resets and histograms are `phoenix-series`; tasks and the clock belong to the engine.
//!
//! There is one shard: rankings and limits are about all series of a metric.

mod accumulated;
mod adjuster;
mod choice;
mod compress;
mod config;
mod conflicts;
mod contribute;
mod control;
mod coverage;
mod edit;
mod encode;
mod error;
mod fairness;
mod increments;
mod kind;
mod labels;
mod metrics;
mod origins;
mod output;
mod pattern;
mod presets;
mod rule_counts;
mod rules;
mod series;
mod stage;
mod state;
#[cfg(test)]
mod tests;
mod top_k;
mod walk;
mod writer;

use std::sync::{Arc, OnceLock};

use phoenix_component::factory::{CreateContext, Stability, Support};
use phoenix_component::{
    Acknowledge, AdjustmentBook, Budget, Change, Offer, Processor, SavingsBook, StageSpec, StartError, Touch,
    Unpartitioned,
};
use phoenix_config::decode_text;
use phoenix_pdata::Signal;
use phoenix_telemetry::Metrics;

pub use config::{
    AimdSettings, BoundsBudget, CapValues, Catalog, ChooseBounds, ClassSettings, ControlSettings, DeadBand,
    GaugeFunction, HashBuckets, HistogramSettings, InitialValue, LawName, LimitScope, LimitSeries,
    MatchSettings, MetricType, Mode, NormalizeSettings, OptimizerConfig, PiSettings, PlacementName, Preset,
    RuleConfig, TargetSettings, TemporalityName, TenantShare, TopKSettings,
};

pub use error::StartFailure;

use metrics::OptimizerMetrics;
use rules::RuleSet;
use stage::OptimizerStage;

phoenix_component::processor_factory! {
    /// Makes `optimizer` processors. Counters go on under other rules.
    OptimizerFactory: "optimizer", OptimizerConfig;
    create: |config, cx, _| create(config, cx).map(Processor::Stage).map_err(StartError::because),
    signals: [Support { from: Signal::Metrics, to: Signal::Metrics, stability: Stability::Alpha }],
    change: |_, new| Change::of_stage(new),
    touches: |config| {
        let touch = |(index, path): (usize, &String)| Touch::read(format!("catalogs::{index}"), path);
        config.catalogs.iter().enumerate().map(touch).collect()
    },
    files: origins::examine,
}

fn create(config: &OptimizerConfig, cx: &CreateContext<'_>) -> Result<StageSpec, StartFailure> {
    let catalogs = config.catalogs.iter().map(|path| catalog(path)).collect::<Result<Vec<_>, _>>()?;
    // One seed for all, so that a successor knows the identities of its predecessor.
    static SEED: OnceLock<u64> = OnceLock::new();
    let seed = *SEED.get_or_init(rand::random);
    let book = config.control.is_some().then(|| AdjustmentBook::open(&cx.host.capabilities, cx.id));
    let outside = Outside {
        book,
        load: control::host_load,
        savings: Some(SavingsBook::open(&cx.host.capabilities, cx.id)),
        budget: cx.host.budget.clone(),
    };
    stage_within(config, &catalogs, seed, &cx.host.metrics, &cx.id.to_string(), outside)
}

/// Reads a catalog.
fn catalog(path: &str) -> Result<Catalog, StartFailure> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| StartFailure::Unreadable { path: path.to_owned(), source })?;
    decode_text::<Catalog>(&text)
        .map_err(|problems| StartFailure::Invalid { path: path.to_owned(), problems: problems.to_string() })
}

/// What a stage asks and tells besides its data.
pub struct Outside {
    /// Where adjustments are noted.
    pub book: Option<(Arc<AdjustmentBook>, Offer)>,
    /// Where it is told what the rules save.
    pub savings: Option<(Arc<SavingsBook>, Offer)>,
    /// The load of the host for each processor, where it is known.
    pub load: fn() -> Option<f64>,
    /// What states are charged to.
    pub budget: Budget,
}

impl Default for Outside {
    /// Nothing is noted or known, and memory has no bound.
    fn default() -> Outside {
        Outside { book: None, savings: None, load: || None, budget: Budget::unlimited() }
    }
}

/// The stage of one pipeline; `seed` keeps identities from being guessed, `id` names it in the metrics.
///
/// # Errors
/// The rules of presets, catalogs and settings contradict each other.
pub fn stage(
    config: &OptimizerConfig,
    catalogs: &[Catalog],
    seed: u64,
    metrics: &Metrics,
    id: &str,
) -> Result<StageSpec, StartFailure> {
    stage_within(config, catalogs, seed, metrics, id, Outside::default())
}

/// The same, with something outside.
///
/// # Errors
/// The rules of presets, catalogs and settings contradict each other.
pub fn stage_within(
    config: &OptimizerConfig,
    catalogs: &[Catalog],
    seed: u64,
    metrics: &Metrics,
    id: &str,
    outside: Outside,
) -> Result<StageSpec, StartFailure> {
    let merged = config.merged(catalogs);
    if merged.len() > config::MAX_RULES {
        return Err(StartFailure::TooMany { rules: merged.len(), most: config::MAX_RULES });
    }
    if let Some(conflicts::Conflict { rule, message, .. }) =
        conflicts::find(&merged, config.control.as_ref()).into_iter().next()
    {
        return Err(StartFailure::Conflict { rule, message });
    }
    let rules = Arc::new(RuleSet::new(merged));
    let names = rules.rules().iter().map(|rule| rule.config.name.as_str());
    let classes = config.control.iter().flat_map(|control| &control.classes).map(|class| class.name.as_str());
    let metrics = OptimizerMetrics::new(metrics, id, names, classes);
    Ok(StageSpec {
        partition: Arc::new(Unpartitioned),
        shards: vec![Box::new(OptimizerStage::new(config, rules, seed, metrics, outside))],
        acknowledge: Acknowledge::Held,
    })
}
