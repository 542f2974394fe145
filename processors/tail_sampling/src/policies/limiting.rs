//! `rate_limiting` and `bytes_limiting`: token buckets, shared by all shards.

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::{BytesLimitingConfig, RateLimitingConfig};
use crate::facts::TraceFacts;
use crate::plan::Builder;
use crate::policy::{Foreseen, Moment, Policy, Verdict, Vote};

/// A bucket that starts full, fills by `rate` and holds at most `burst`. A request for more than there is takes nothing.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    since: Duration,
}

impl TokenBucket {
    pub(crate) fn new(rate: f64, burst: f64) -> TokenBucket {
        TokenBucket { rate, burst, tokens: burst, since: Duration::ZERO }
    }

    pub(crate) fn take(&mut self, amount: f64, now: Duration) -> bool {
        let elapsed = now.saturating_sub(self.since);
        self.since = self.since.max(now);
        self.tokens = (self.tokens + elapsed.as_secs_f64() * self.rate).min(self.burst);
        let enough = amount <= self.tokens;
        if enough {
            self.tokens -= amount;
        }
        enough
    }
}

/// What is counted of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    Spans,
    Bytes,
}

/// Keeps traces while there are tokens.
struct Limiting {
    measure: Measure,
    bucket: Arc<Mutex<TokenBucket>>,
}

fn locked(bucket: &Mutex<TokenBucket>) -> MutexGuard<'_, TokenBucket> {
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Policy for Limiting {
    fn decide(&mut self, trace: &TraceFacts, now: Moment) -> Verdict {
        let amount = match self.measure {
            Measure::Spans => trace.spans(),
            Measure::Bytes => trace.bytes(),
        };
        Verdict::uncertain(Vote::keep_if(locked(&self.bucket).take(amount as f64, now.monotonic)))
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
        if Arc::ptr_eq(&self.bucket, &old.bucket) {
            return;
        }
        let mut mine = locked(&self.bucket);
        let theirs = locked(&old.bucket);
        if (mine.rate, mine.burst) == (theirs.rate, theirs.burst) {
            drop((mine, theirs));
            self.bucket = old.bucket.clone();
        } else {
            mine.tokens = theirs.tokens.min(mine.burst);
            mine.since = theirs.since;
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
    let bucket = builder.shared(|| Mutex::new(TokenBucket::new(rate as f64, burst)));
    Some(Box::new(Limiting { measure, bucket }))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_starts_full_and_takes_nothing_for_what_is_too_much() {
        let mut bucket = TokenBucket::new(10.0, 20.0);
        let at = Duration::from_millis;
        assert!(!bucket.take(25.0, at(0)));
        assert!(bucket.take(10.0, at(0)));
        assert!(bucket.take(10.0, at(0)));
        assert!(!bucket.take(10.0, at(0)));
        assert!(bucket.take(10.0, at(1100)));
        assert!(!bucket.take(2.0, at(1000)), "time that runs backwards fills nothing");
        assert!(bucket.take(20.0, at(60_000)), "full again");
    }
}
