//! `ema_dynamic` and `ema_throughput`: rates by key that follow the load, as Refinery sets them.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use phoenix_config::GoDuration;
use phoenix_sampling::{EmaRates, EmaSettings, Goal, Threshold};

use crate::config::{EmaDynamicConfig, EmaThroughputConfig};
use crate::facts::TraceFacts;
use crate::plan::Builder;
use crate::policies::key::TraceKey;
use crate::policy::{Foreseen, Moment, Policy, Verdict};

struct Dynamic {
    key: TraceKey,
    settings: EmaSettings,
    /// Shared by all shards, so that the goal is that of all of them, however traces are spread.
    rates: Arc<Mutex<EmaRates>>,
}

impl Policy for Dynamic {
    /// Spans are counted, as in Refinery. The rate says the threshold, so replicas with the same rates keep the same.
    fn decide(&mut self, trace: &TraceFacts, now: Moment) -> Verdict {
        let key = self.key.text(trace);
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = rates.rate(key, trace.spans(), now.monotonic);
        Verdict::by(Threshold::of_rate(rate as f64), trace.randomness())
    }

    fn foresee(&self, _: &TraceFacts) -> Foreseen {
        Foreseen::Chooses
    }

    fn adopt(&mut self, old: &mut dyn Policy) {
        let Some(old) = old.as_any().downcast_mut::<Dynamic>() else { return };
        self.rates = old.rates.clone();
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).set(self.settings.clone());
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// What both have in common.
struct Common<'c> {
    key_fields: &'c [String],
    use_trace_length: bool,
    interval: GoDuration,
    settings: EmaSettings,
}

fn build(builder: &mut Builder<'_>, common: Common<'_>, key: &str) -> Option<Box<dyn Policy>> {
    let settings = EmaSettings { interval: common.interval.as_duration(), ..common.settings };
    let mut is_right = true;
    let mut require = |holds: bool, name: &str, message: &str| {
        builder.problems().require(holds, &format!("{key}::{name}"), message);
        is_right &= holds;
    };
    require(!common.key_fields.is_empty(), "key_fields", "must name at least one attribute");
    require(common.interval.is_positive(), "adjustment_interval", "must be longer than zero");
    require(settings.weight > 0.0 && settings.weight <= 1.0, "weight", "must be above 0 and at most 1");
    require(settings.age_out >= 0.0, "age_out_value", "must not be negative");
    require(settings.burst_multiple >= 0.0, "burst_multiple", "must not be negative");
    require(settings.max_keys > 0, "max_keys", "must be at least 1");
    let fields = TraceKey::new(builder, common.key_fields, &format!("{key}::key_fields"));
    let key = fields.filter(|_| is_right)?.with_length(common.use_trace_length);
    let rates = builder.shared(|| Mutex::new(EmaRates::new(settings.clone())));
    Some(Box::new(Dynamic { key, rates, settings }))
}

pub(crate) fn ema_dynamic(
    builder: &mut Builder<'_>,
    config: &EmaDynamicConfig,
    key: &str,
) -> Option<Box<dyn Policy>> {
    let percentage = config.goal_sampling_percentage;
    if !(percentage > 0.0 && percentage <= 100.0) {
        builder
            .problems()
            .error(&format!("{key}::goal_sampling_percentage"), "must be above 0 and at most 100");
        return None;
    }
    let settings = EmaSettings {
        weight: config.weight,
        age_out: config.age_out_value.unwrap_or(config.weight),
        burst_multiple: config.burst_multiple,
        burst_delay: config.burst_detection_delay,
        max_keys: usize::try_from(config.max_keys).unwrap_or(usize::MAX),
        ..EmaSettings::new(Goal::Rate(100.0 / percentage))
    };
    let common = Common {
        key_fields: &config.key_fields,
        use_trace_length: config.use_trace_length,
        interval: config.adjustment_interval,
        settings,
    };
    build(builder, common, key)
}

pub(crate) fn ema_throughput(
    builder: &mut Builder<'_>,
    config: &EmaThroughputConfig,
    key: &str,
) -> Option<Box<dyn Policy>> {
    let goal = config.goal_throughput_per_sec;
    let mut is_right = true;
    for (name, holds) in [
        ("goal_throughput_per_sec", goal > 0.0 && goal.is_finite()),
        ("initial_sampling_rate", config.initial_sampling_rate > 0),
    ] {
        builder.problems().require(holds, &format!("{key}::{name}"), "must be above 0");
        is_right &= holds;
    }
    let goal = Goal::Throughput { per_second: goal, initial_rate: config.initial_sampling_rate as f64 };
    let settings = EmaSettings {
        weight: config.weight,
        age_out: config.age_out_value.unwrap_or(config.weight),
        burst_multiple: config.burst_multiple,
        burst_delay: config.burst_detection_delay,
        max_keys: usize::try_from(config.max_keys).unwrap_or(usize::MAX),
        ..EmaSettings::new(goal)
    };
    let common = Common {
        key_fields: &config.key_fields,
        use_trace_length: config.use_trace_length,
        interval: config.adjustment_interval,
        settings,
    };
    build(builder, common, key).filter(|_| is_right)
}
