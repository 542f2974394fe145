//! `rate_limiting` and `bytes_limiting`: token buckets, shared by all shards, which take tokens ahead.

use std::any::Any;
use std::sync::Arc;

use phoenix_sampling::{Bucket, Lease, Limit};

use crate::config::{BytesLimitingConfig, RateLimitingConfig};
use crate::facts::TraceFacts;
use crate::plan::Builder;
use crate::policy::{Foreseen, Moment, Policy, Verdict, Vote};

/// What is counted of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    Spans,
    Bytes,
}

/// Keeps traces while there are tokens.
struct Limiting {
    measure: Measure,
    bucket: Arc<Bucket>,
    /// What this shard has taken out ahead.
    lease: Lease,
}

impl Policy for Limiting {
    fn decide(&mut self, trace: &TraceFacts, now: Moment) -> Verdict {
        let amount = match self.measure {
            Measure::Spans => trace.spans(),
            Measure::Bytes => trace.bytes(),
        };
        Verdict::uncertain(Vote::keep_if(self.lease.allows(&self.bucket, amount, now.monotonic)))
    }

    fn foresee(&self, _: &TraceFacts) -> Foreseen {
        Foreseen::Chooses
    }

    /// Under the same limits the bucket itself goes on; under others what is left in it.
    fn adopt(&mut self, old: &mut dyn Policy) {
        let Some(old) = old.as_any().downcast_ref::<Limiting>().filter(|old| old.measure == self.measure)
        else {
            return;
        };
        if self.bucket.limit() == old.bucket.limit() {
            (self.bucket, self.lease) = (old.bucket.clone(), old.lease);
        } else {
            self.bucket.adopt(&old.bucket);
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

fn build(
    builder: &mut Builder<'_>,
    measure: Measure,
    rate: (&str, i64),
    burst: i64,
    key: &str,
) -> Option<Box<dyn Policy>> {
    let (name, rate) = rate;
    for (name, value) in [(name, rate), ("burst_capacity", burst)] {
        builder.problems().require(value >= 0, &format!("{key}::{name}"), "must not be negative");
    }
    if rate < 0 || burst < 0 {
        return None;
    }
    let burst = if burst == 0 { 2.0 * rate as f64 } else { burst as f64 };
    let bucket = builder.shared(|| Bucket::new(Limit { per_second: rate as f64, burst }));
    Some(Box::new(Limiting { measure, bucket, lease: Lease::default() }))
}

pub(crate) fn spans(
    builder: &mut Builder<'_>,
    config: &RateLimitingConfig,
    key: &str,
) -> Option<Box<dyn Policy>> {
    let rate = ("spans_per_second", config.spans_per_second);
    build(builder, Measure::Spans, rate, config.burst_capacity, key)
}

pub(crate) fn bytes(
    builder: &mut Builder<'_>,
    config: &BytesLimitingConfig,
    key: &str,
) -> Option<Box<dyn Policy>> {
    let rate = ("bytes_per_second", config.bytes_per_second);
    build(builder, Measure::Bytes, rate, config.burst_capacity, key)
}
