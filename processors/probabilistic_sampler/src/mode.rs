//! The decision, whatever it is about.

use phoenix_sampling::{Randomness, Threshold};

use crate::config::{AttributeSource, Mode, SamplerConfig};
use crate::hash::{BUCKETS, Seeded};
use crate::metrics::Policy;

/// How thresholds come about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sampler {
    Never,
    Hash { seeded: Seeded, threshold: Threshold },
    Equalizing(Threshold),
    Proportional { ratio: f64, precision: u32, of_all: Threshold },
}

impl Sampler {
    pub(crate) fn new(config: &SamplerConfig, is_logs: bool) -> Sampler {
        // 32 bits, as in otelcol: the digits of thresholds depend on it.
        let percentage = config.sampling_percentage.min(100.0);
        if percentage == 0.0 {
            return Sampler::Never;
        }
        let of_record = is_logs && config.attribute_source != AttributeSource::TraceId;
        let mode = match config.mode {
            None if config.hash_seed != 0 || of_record => Mode::HashSeed,
            mode => mode.unwrap_or(Mode::HashSeed),
        };
        let ratio = (f64::from(percentage) / 100.0).max(Threshold::LEAST_PROBABILITY);
        let precision = config.sampling_precision;
        let of_all = Threshold::of_probability(ratio, precision).unwrap_or(Threshold::NEVER);
        match mode {
            Mode::Equalizing => Sampler::Equalizing(of_all),
            Mode::Proportional => Sampler::Proportional { ratio, precision, of_all },
            Mode::HashSeed => match (percentage * (BUCKETS as f32 / 100.0)) as u32 {
                0 => Sampler::Never,
                kept => Sampler::Hash {
                    seeded: Seeded::new(config.hash_seed),
                    threshold: Threshold::new(u64::from(BUCKETS - kept) << 42),
                },
            },
        }
    }

    /// The threshold of something that was kept with `incoming`, if that is known.
    fn threshold(&self, incoming: Option<Threshold>) -> Threshold {
        match (self, incoming) {
            (Sampler::Never, _) => Threshold::NEVER,
            (Sampler::Hash { threshold, .. }, _) | (Sampler::Equalizing(threshold), None) => *threshold,
            (Sampler::Equalizing(threshold), Some(incoming)) => incoming.max(*threshold),
            (Sampler::Proportional { of_all, .. }, None) => *of_all,
            (Sampler::Proportional { ratio, precision, .. }, Some(incoming)) => {
                Threshold::of_probability(incoming.probability() * ratio, *precision)
                    .unwrap_or(Threshold::NEVER)
            }
        }
    }
}

/// What a span or log record says about its sampling.
pub(crate) trait Carrier {
    /// With which threshold it was kept so far.
    fn threshold(&self) -> Option<Threshold>;
    /// Forgets that.
    fn clear_threshold(&mut self);
}

/// What was found out about a span or log record before the decision.
pub(crate) struct Found<C> {
    /// Where the randomness is from.
    pub(crate) policy: Policy,
    pub(crate) randomness: Randomness,
    /// None where what it says is not to be touched.
    pub(crate) carrier: Option<C>,
    /// Whether something is wrong with it.
    pub(crate) is_wrong: bool,
}

/// The decision about a span or log record.
pub(crate) struct Decision {
    pub(crate) policy: Policy,
    pub(crate) threshold: Threshold,
    pub(crate) is_kept: bool,
}

impl Sampler {
    /// Decides; `priority` may say otherwise.
    pub(crate) fn decide<C: Carrier>(
        &self,
        found: &mut Found<C>,
        fail_closed: bool,
        priority: Option<Threshold>,
    ) -> Decision {
        if !found.is_wrong {
            found.is_wrong = is_inconsistent(found);
        }
        let mut decision = Decision {
            policy: found.policy,
            threshold: match (found.is_wrong, fail_closed) {
                (true, true) => Threshold::NEVER,
                (true, false) => Threshold::ALWAYS,
                (false, _) => self.threshold(found.carrier.as_ref().and_then(Carrier::threshold)),
            },
            is_kept: false,
        };
        if let Some(threshold) = priority {
            (decision.policy, decision.threshold) = (Policy::SamplingPriority, threshold);
        }
        decision.is_kept = decision.threshold.keeps(found.randomness);
        decision
    }
}

/// Whether there is no randomness, or so little that it cannot have been kept with the threshold that it states; such a
/// threshold is forgotten.
fn is_inconsistent<C: Carrier>(found: &mut Found<C>) -> bool {
    if found.policy == Policy::MissingRandomness {
        return true;
    }
    let Some(carrier) = &mut found.carrier else { return false };
    if carrier.threshold().is_none_or(|threshold| threshold.keeps(found.randomness)) {
        return false;
    }
    carrier.clear_threshold();
    true
}
