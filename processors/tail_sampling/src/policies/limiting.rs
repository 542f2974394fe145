//! `rate_limiting` and `bytes_limiting`: token buckets, shared by all shards.
//!
//! Where all traces have one bucket, shards take tokens ahead. Buckets by key are asked one trace at a time.

use std::any::Any;
use std::sync::Arc;

use phoenix_sampling::{Bucket, Buckets, Lease, Limit};

use crate::config::{BytesLimitingConfig, OnExceed, RateLimitingConfig};
use crate::facts::TraceFacts;
use crate::plan::Builder;
use crate::policies::key::TraceKey;
use crate::policy::{Foreseen, Moment, Policy, Verdict, Vote};

/// What is counted of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    Spans,
    Bytes,
}

/// Where the tokens are.
enum Tokens {
    /// One bucket, and what this shard has taken out ahead.
    OfAll(Arc<Bucket>, Lease),
    /// A bucket for each key.
    ByKey(Arc<Buckets>, TraceKey),
}

/// Keeps traces while there are tokens.
struct Limiting {
    measure: Measure,
    tokens: Tokens,
    on_exceed: OnExceed,
}

impl Policy for Limiting {
    fn decide(&mut self, trace: &TraceFacts, now: Moment) -> Verdict {
        let amount = match self.measure {
            Measure::Spans => trace.spans(),
            Measure::Bytes => trace.bytes(),
        };
        if self.on_exceed == OnExceed::Probabilistic {
            let randomness = trace.randomness();
            let threshold = match &mut self.tokens {
                Tokens::OfAll(bucket, _) => bucket.sample(amount, randomness, now.monotonic),
                Tokens::ByKey(buckets, key) => {
                    buckets.sample(key.hash(trace), amount, randomness, now.monotonic)
                }
            };
            return Verdict::by(threshold, randomness);
        }
        let is_kept = match &mut self.tokens {
            Tokens::OfAll(bucket, lease) => lease.allows(bucket, amount, now.monotonic),
            Tokens::ByKey(buckets, key) => buckets.allows(key.hash(trace), amount, now.monotonic),
        };
        match (is_kept, self.on_exceed) {
            // As if it had not been asked. Who is passed on does not go by randomness, so the thresholds of those behind say
            // how many of these a trace stands for.
            (false, OnExceed::Next) => Verdict::certain(Vote::NotSampled),
            (is_kept, _) => Verdict::uncertain(Vote::keep_if(is_kept)),
        }
    }

    fn foresee(&self, _: &TraceFacts) -> Foreseen {
        match self.on_exceed {
            OnExceed::Drop | OnExceed::Probabilistic => Foreseen::Chooses,
            OnExceed::Next => Foreseen::Unknown,
        }
    }

    /// Under the same limits the buckets themselves go on; under others what is left in the one of all.
    fn adopt(&mut self, old: &mut dyn Policy) {
        let Some(old) = old.as_any().downcast_ref::<Limiting>().filter(|old| old.measure == self.measure)
        else {
            return;
        };
        match (&mut self.tokens, &old.tokens) {
            (Tokens::OfAll(bucket, lease), Tokens::OfAll(old_bucket, old_lease)) => {
                if bucket.limit() == old_bucket.limit() {
                    (*bucket, *lease) = (old_bucket.clone(), *old_lease);
                } else {
                    bucket.adopt(old_bucket);
                }
            }
            (Tokens::ByKey(buckets, _), Tokens::ByKey(old, _))
                if buckets.limit() == old.limit() && buckets.most_keys() == old.most_keys() =>
            {
                *buckets = old.clone();
            }
            _ => {}
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// What both have in common.
struct Common<'c> {
    measure: Measure,
    rate: (&'static str, i64),
    burst: i64,
    on_exceed: OnExceed,
    key_fields: &'c [String],
    max_keys: u64,
}

fn build(builder: &mut Builder<'_>, common: Common<'_>, key: &str) -> Option<Box<dyn Policy>> {
    let Common { measure, rate: (name, rate), burst, on_exceed, key_fields, max_keys } = common;
    let passes_on = builder.passes_on();
    let mut is_right = true;
    let mut require = |holds: bool, name: &str, message: &str| {
        builder.problems().require(holds, &format!("{key}::{name}"), message);
        is_right &= holds;
    };
    require(rate >= 0, name, "must not be negative");
    require(burst >= 0, "burst_capacity", "must not be negative");
    require(max_keys > 0, "max_keys", "must be at least 1");
    require(
        passes_on || on_exceed != OnExceed::Next,
        "on_exceed",
        "next is for policies of the first level, and in an `and` there: another policy cannot pass a trace on",
    );
    let fields = TraceKey::new(builder, key_fields, &format!("{key}::key_fields")).filter(|_| is_right)?;
    let burst = if burst == 0 { 2.0 * rate as f64 } else { burst as f64 };
    let limit = Limit { per_second: rate as f64, burst };
    let tokens = if key_fields.is_empty() {
        Tokens::OfAll(builder.shared(|| Bucket::new(limit)), Lease::default())
    } else {
        let most_keys = usize::try_from(max_keys).unwrap_or(usize::MAX);
        Tokens::ByKey(builder.shared(|| Buckets::new(limit, most_keys)), fields)
    };
    Some(Box::new(Limiting { measure, tokens, on_exceed }))
}

pub(crate) fn spans(
    builder: &mut Builder<'_>,
    config: &RateLimitingConfig,
    key: &str,
) -> Option<Box<dyn Policy>> {
    let common = Common {
        measure: Measure::Spans,
        rate: ("spans_per_second", config.spans_per_second),
        burst: config.burst_capacity,
        on_exceed: config.on_exceed,
        key_fields: &config.key_fields,
        max_keys: config.max_keys,
    };
    build(builder, common, key)
}

pub(crate) fn bytes(
    builder: &mut Builder<'_>,
    config: &BytesLimitingConfig,
    key: &str,
) -> Option<Box<dyn Policy>> {
    let common = Common {
        measure: Measure::Bytes,
        rate: ("bytes_per_second", config.bytes_per_second),
        burst: config.burst_capacity,
        on_exceed: config.on_exceed,
        key_fields: &config.key_fields,
        max_keys: config.max_keys,
    };
    build(builder, common, key)
}
