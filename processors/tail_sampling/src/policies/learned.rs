//! `novelty`, `latency_quantile`, `error_fingerprint` and `baseline`: what is worth keeping because of what there was.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use phoenix_sampling::{Bucket, Limit, Novelty, Recent, Repeats, Slow, SlowSettings, Threshold};
use xxhash_rust::xxh3::xxh3_64;

use crate::conditions::FINGERPRINT;
use crate::config::{BaselineConfig, ErrorFingerprintConfig, LatencyQuantileConfig, NoveltyConfig};
use crate::facts::{FieldId, TraceFacts};
use crate::plan::Builder;
use crate::policies::key::TraceKey;
use crate::policy::{Foreseen, Moment, Policy, Verdict, Vote};

/// Keys that all shards together remember.
type Shared<T> = Arc<Mutex<T>>;

fn locked<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the first traces of a key.
struct New {
    key: TraceKey,
    /// The first, how long, and how many keys: with other numbers memory starts again.
    settings: NoveltyConfig,
    novelty: Shared<(Novelty, Bucket)>,
}

impl Policy for New {
    fn decide(&mut self, trace: &TraceFacts, now: Moment) -> Verdict {
        let key = self.key.hash(trace);
        let (novelty, limit) = &mut *locked(&self.novelty);
        // What is new depends on what came before, not on chance alone: no threshold tells.
        match novelty.is_new(key, limit, now.monotonic) {
            true => Verdict::uncertain(Vote::Sampled),
            false => Verdict::certain(Vote::NotSampled),
        }
    }

    fn adopt(&mut self, old: &mut dyn Policy) {
        if let Some(old) = old.as_any().downcast_mut::<New>().filter(|old| old.settings == self.settings) {
            self.novelty = old.novelty.clone();
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

pub(crate) fn novelty(
    builder: &mut Builder<'_>,
    config: &NoveltyConfig,
    key: &str,
) -> Option<Box<dyn Policy>> {
    let fields = TraceKey::new(builder, &config.key_fields, &format!("{key}::key_fields"));
    let mut is_right = true;
    for (name, holds) in [
        ("key_fields", !config.key_fields.is_empty()),
        ("first", config.first > 0),
        ("forget_after", config.forget_after.is_positive()),
        ("max_keys", config.max_keys > 0),
        ("traces_per_second", config.traces_per_second > 0),
    ] {
        builder.problems().require(holds, &format!("{key}::{name}"), "must not be empty or zero");
        is_right &= holds;
    }
    let key = fields.filter(|_| is_right)?;
    let most = usize::try_from(config.max_keys).unwrap_or(usize::MAX);
    let novelty = builder.shared(|| {
        let per_second = config.traces_per_second as f64;
        let seen = Recent::new(most, config.forget_after.as_duration());
        let limit = Bucket::new(Limit { per_second, burst: 2.0 * per_second });
        Mutex::new((Novelty::new(config.first, seen), limit))
    });
    Some(Box::new(New { key, settings: config.clone(), novelty }))
}

/// Keeps what is slow for its key.
struct Unusual {
    key: TraceKey,
    settings: SlowSettings,
    slow: Shared<Slow>,
}

impl Policy for Unusual {
    fn decide(&mut self, trace: &TraceFacts, now: Moment) -> Verdict {
        let micros = u64::try_from(trace.duration_nanos() / 1000).unwrap_or(0);
        let key = self.key.hash(trace);
        // A property of the trace, given what came before it: all that are so slow are kept.
        Verdict::certain(Vote::keep_if(locked(&self.slow).is_slow(key, micros, now.monotonic)))
    }

    fn adopt(&mut self, old: &mut dyn Policy) {
        if let Some(old) = old.as_any().downcast_mut::<Unusual>().filter(|old| old.settings == self.settings)
        {
            self.slow = old.slow.clone();
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

pub(crate) fn latency_quantile(
    builder: &mut Builder<'_>,
    config: &LatencyQuantileConfig,
    key: &str,
) -> Option<Box<dyn Policy>> {
    let fields = TraceKey::new(builder, &config.key_fields, &format!("{key}::key_fields"));
    let mut is_right = true;
    for (name, holds, message) in [
        ("quantile", config.quantile > 0.0 && config.quantile < 1.0, "must be between 0 and 1"),
        ("window", config.window.is_positive(), "must be longer than zero"),
        ("min_traces", config.min_traces > 0, "must be at least 1"),
        ("max_keys", config.max_keys > 0, "must be at least 1"),
    ] {
        builder.problems().require(holds, &format!("{key}::{name}"), message);
        is_right &= holds;
    }
    let key = fields.filter(|_| is_right)?;
    let settings = SlowSettings {
        quantile: config.quantile,
        window: config.window.as_duration(),
        learn: config.min_traces,
        most_keys: usize::try_from(config.max_keys).unwrap_or(usize::MAX),
    };
    let slow = builder.shared(|| Mutex::new(Slow::new(settings)));
    Some(Box::new(Unusual { key, settings, slow }))
}

/// Keeps the first errors of a kind, then one in so many.
struct Errors {
    field: FieldId,
    settings: ErrorFingerprintConfig,
    repeats: Shared<Repeats>,
}

impl Policy for Errors {
    /// Of several errors in a trace the rarest says.
    fn decide(&mut self, trace: &TraceFacts, now: Moment) -> Verdict {
        let mut repeats = locked(&self.repeats);
        let thresholds =
            trace.values(self.field).map(|kind| repeats.threshold(xxh3_64(kind.as_bytes()), now.monotonic));
        let threshold = thresholds.min().unwrap_or(Threshold::NEVER);
        Verdict::by(threshold, trace.randomness())
    }

    fn foresee(&self, trace: &TraceFacts) -> Foreseen {
        match trace.values(self.field).next() {
            Some(_) => Foreseen::Chooses,
            None => Foreseen::Passes,
        }
    }

    fn adopt(&mut self, old: &mut dyn Policy) {
        if let Some(old) = old.as_any().downcast_mut::<Errors>().filter(|old| old.settings == self.settings) {
            self.repeats = old.repeats.clone();
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

pub(crate) fn error_fingerprint(
    builder: &mut Builder<'_>,
    config: &ErrorFingerprintConfig,
    key: &str,
) -> Option<Box<dyn Policy>> {
    let mut is_right = true;
    for (name, holds) in [
        ("then_one_in", config.then_one_in > 0),
        ("forget_after", config.forget_after.is_positive()),
        ("max_fingerprints", config.max_fingerprints > 0),
    ] {
        builder.problems().require(holds, &format!("{key}::{name}"), "must be above 0");
        is_right &= holds;
    }
    if !is_right {
        return None;
    }
    let most = usize::try_from(config.max_fingerprints).unwrap_or(usize::MAX);
    let field = builder.field(FINGERPRINT);
    let repeats = builder.shared(|| {
        let seen = Recent::new(most, config.forget_after.as_duration());
        Mutex::new(Repeats::new(config.first, config.then_one_in as f64, seen))
    });
    Some(Box::new(Errors { field, settings: config.clone(), repeats }))
}

/// Keeps a share of everything by the randomness of the specification, whatever else is kept.
struct Baseline(Threshold);

impl Policy for Baseline {
    fn decide(&mut self, trace: &TraceFacts, _: Moment) -> Verdict {
        Verdict::by(self.0, trace.randomness())
    }

    fn foresee(&self, _: &TraceFacts) -> Foreseen {
        Foreseen::Chooses
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

pub(crate) fn baseline(
    builder: &mut Builder<'_>,
    config: &BaselineConfig,
    key: &str,
) -> Option<Box<dyn Policy>> {
    let percentage = config.sampling_percentage;
    if !(percentage > 0.0 && percentage <= 100.0) {
        builder.problems().error(&format!("{key}::sampling_percentage"), "must be above 0 and at most 100");
        return None;
    }
    Some(Box::new(Baseline(Threshold::of_rate(100.0 / percentage))))
}
