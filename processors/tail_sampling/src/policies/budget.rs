//! `budget`, `fair_share` and `priority`: of all traces that are due together, those that fit a budget, chosen by
//! randomness so that what is kept can be counted up to what there was.

use std::any::Any;

use phoenix_sampling::{Allowance, Closed, Demand, Rank, Sharing, Slot, Spending, Weight};

use crate::config::{BudgetConfig, FairShareConfig, PolicyConfig, PolicyType, PriorityConfig};
use crate::facts::TraceFacts;
use crate::plan::Builder;
use crate::policies::key::TraceKey;
use crate::policy::{Foreseen, Moment, Policy, Verdict, Vote};

/// What is counted of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    Spans,
    Bytes,
    Traces,
}

impl Measure {
    fn of(self, trace: &TraceFacts) -> u64 {
        match self {
            Measure::Spans => trace.spans(),
            Measure::Bytes => trace.bytes(),
            Measure::Traces => 1,
        }
    }
}

/// How much traces weigh.
#[derive(Default)]
struct Weights {
    /// The first that keeps a trace says how much it weighs.
    by_policy: Vec<(Weight, Box<dyn Policy>)>,
    default: Option<Weight>,
}

impl Weights {
    fn of(&mut self, trace: &TraceFacts, now: Moment) -> Weight {
        for (weight, policy) in &mut self.by_policy {
            if policy.decide(trace, now).vote.keeps() {
                return *weight;
            }
        }
        self.default.unwrap_or(Weight::ONE)
    }
}

struct Budget {
    measure: Measure,
    allowance: Allowance,
    key: TraceKey,
    weights: Weights,
    spending: Spending,
    /// Traces that were shown and not decided yet.
    slot: Option<Slot>,
    /// What was decided of those that were shown together.
    closed: Option<Closed>,
}

impl Policy for Budget {
    fn decide(&mut self, trace: &TraceFacts, now: Moment) -> Verdict {
        if let Some(slot) = self.slot.take() {
            self.closed = Some(self.spending.close(slot, now.monotonic));
        }
        let (key, weight) = (self.key.hash(trace), self.weights.of(trace, now));
        let shown = self.closed.as_ref().and_then(|closed| closed.threshold(key, weight));
        // A trace that is decided by itself, before its time, is a slot of its own.
        let threshold = shown.or_else(|| {
            let mut slot = Slot::new(self.allowance);
            slot.offer(key, Rank::new(weight, trace.randomness()), self.measure.of(trace));
            self.spending.close(slot, now.monotonic).threshold(key, weight)
        });
        match threshold {
            Some(threshold) => Verdict::by(threshold, trace.randomness()),
            None => Verdict::uncertain(Vote::NotSampled),
        }
    }

    fn foresee(&self, _: &TraceFacts) -> Foreseen {
        Foreseen::Chooses
    }

    fn wants_preview(&self) -> bool {
        true
    }

    fn preview(&mut self, trace: &TraceFacts, now: Moment) {
        let rank = Rank::new(self.weights.of(trace, now), trace.randomness());
        let (key, cost) = (self.key.hash(trace), self.measure.of(trace));
        self.slot.get_or_insert_with(|| Slot::new(self.allowance)).offer(key, rank, cost);
    }

    fn end_of_round(&mut self, _: Moment) {
        // What was shown and not asked about, since others had decided before, did not cost anything.
        (self.slot, self.closed) = (None, None);
    }

    fn adopt(&mut self, old: &mut dyn Policy) {
        if let Some(old) = old.as_any().downcast_mut::<Budget>().filter(|old| old.measure == self.measure) {
            self.spending.adopt(&mut old.spending);
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// The one rate that is set.
fn rate(builder: &mut Builder<'_>, rates: [u64; 3], key: &str) -> Option<(Measure, f64)> {
    let measures = [Measure::Spans, Measure::Bytes, Measure::Traces];
    let mut set = measures.into_iter().zip(rates).filter(|(_, rate)| *rate > 0);
    match (set.next(), set.next()) {
        (Some((measure, rate)), None) => Some((measure, rate as f64)),
        _ => {
            builder
                .problems()
                .error(key, "needs one of spans_per_second, bytes_per_second and traces_per_second, above 0");
            None
        }
    }
}

fn build(
    builder: &mut Builder<'_>,
    rates: [u64; 3],
    (sharing, max_keys): (Sharing, u64),
    key_fields: &[String],
    weights: Weights,
    key: &str,
) -> Option<Box<dyn Policy>> {
    let fields = TraceKey::new(builder, key_fields, &format!("{key}::key_fields"));
    builder.problems().require(max_keys > 0, &format!("{key}::max_keys"), "must be at least 1");
    let (measure, per_second) = rate(builder, rates, key)?;
    let most_keys = usize::try_from(max_keys).unwrap_or(usize::MAX);
    let allowance = Allowance { per_second, sharing, most_keys };
    let spending = match builder.shard {
        (_, 1) => Spending::new(allowance),
        (shard, shards) => {
            let demand = builder.shared(|| Demand::new(shards, most_keys));
            Spending::shared(allowance, demand, shard)
        }
    };
    let key = fields.filter(|_| max_keys > 0)?;
    Some(Box::new(Budget { measure, allowance, key, weights, spending, slot: None, closed: None }))
}

pub(crate) fn budget(builder: &mut Builder<'_>, config: &BudgetConfig, key: &str) -> Option<Box<dyn Policy>> {
    let rates = [config.spans_per_second, config.bytes_per_second, config.traces_per_second];
    build(builder, rates, (Sharing::Each, config.max_keys), &config.key_fields, Weights::default(), key)
}

pub(crate) fn fair_share(
    builder: &mut Builder<'_>,
    config: &FairShareConfig,
    key: &str,
) -> Option<Box<dyn Policy>> {
    let rates = [config.spans_per_second, config.bytes_per_second, config.traces_per_second];
    let has_keys = !config.key_fields.is_empty();
    builder.problems().require(has_keys, &format!("{key}::key_fields"), "must name at least one attribute");
    build(builder, rates, (Sharing::Fair, config.max_keys), &config.key_fields, Weights::default(), key)
        .filter(|_| has_keys)
}

pub(crate) fn priority(
    builder: &mut Builder<'_>,
    config: &PriorityConfig,
    key: &str,
) -> Option<Box<dyn Policy>> {
    let rates = [config.spans_per_second, config.bytes_per_second, config.traces_per_second];
    let weights = weights(builder, config, key);
    build(builder, rates, (Sharing::Each, 1), &[], weights?, key)
}

fn weights(builder: &mut Builder<'_>, config: &PriorityConfig, key: &str) -> Option<Weights> {
    let mut is_right = true;
    let mut by_policy = Vec::new();
    let mut read = |builder: &mut Builder<'_>, weight: f64, at: &str| {
        let weight = Weight::new(weight);
        builder.problems().require(weight.is_some(), at, "must be a number from 0 to 65535");
        is_right &= weight.is_some();
        weight
    };
    let default = read(builder, config.default_weight, &format!("{key}::default_weight"));
    for (index, entry) in config.weights.iter().enumerate() {
        let at = format!("{key}::weights::{index}");
        let weight = read(builder, entry.weight, &format!("{at}::weight"));
        let when_at = format!("{at}::when");
        let when = entry.when.as_deref().filter(|when| is_condition(when));
        builder.problems().require(when.is_some(), &when_at, "must be a policy without limits or memory");
        let policy = when.and_then(|when| {
            let named = PolicyConfig { name: format!("weight {index}"), ..when.clone() };
            builder.policy(&named, &when_at)
        });
        by_policy.extend(weight.zip(policy));
    }
    let has_weight =
        !is_right || config.default_weight > 0.0 || config.weights.iter().any(|entry| entry.weight > 0.0);
    builder.problems().require(has_weight, key, "all weights are 0: nothing would be kept");
    (is_right && has_weight && by_policy.len() == config.weights.len())
        .then_some(Weights { by_policy, default })
}

/// Whether a policy looks at a trace alone.
fn is_condition(config: &PolicyConfig) -> bool {
    match config.kind {
        PolicyType::AlwaysSample
        | PolicyType::Latency
        | PolicyType::NumericAttribute
        | PolicyType::BooleanAttribute
        | PolicyType::StringAttribute
        | PolicyType::StatusCode
        | PolicyType::TraceState
        | PolicyType::TraceFlags
        | PolicyType::SpanCount
        | PolicyType::OttlCondition => true,
        PolicyType::And => config.and.and_sub_policy.iter().all(is_condition),
        PolicyType::Or => config.or.or_sub_policy.iter().all(is_condition),
        PolicyType::KOfN => config.k_of_n.k_of_n_sub_policy.iter().all(is_condition),
        PolicyType::Not => config.not.not_sub_policy.as_deref().is_some_and(is_condition),
        _ => false,
    }
}
