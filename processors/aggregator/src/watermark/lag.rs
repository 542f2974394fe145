//! How late data points are, as observed.

use std::time::Duration;

/// Buckets by powers of √2, from about a millisecond on.
const BUCKETS: usize = 64;
const LEAST_BITS: f64 = 20.0;
/// How long an observation counts, at least; at most twice as long.
const PERIOD: Duration = Duration::from_secs(600);

/// A distribution of lags over the last ten minutes or more: two halves, of which the older one is thrown away.
#[derive(Debug)]
pub(crate) struct Lag {
    current: [u64; BUCKETS],
    former: [u64; BUCKETS],
    since: Duration,
}

impl Default for Lag {
    fn default() -> Lag {
        Lag { current: [0; BUCKETS], former: [0; BUCKETS], since: Duration::ZERO }
    }
}

impl Lag {
    pub(crate) fn observe(&mut self, lag: u64, now: Duration) {
        if now.saturating_sub(self.since) >= PERIOD {
            self.former = std::mem::replace(&mut self.current, [0; BUCKETS]);
            self.since = now;
        }
        let bucket = ((lag.max(1) as f64).log2() - LEAST_BITS) * 2.0;
        self.current[(bucket.ceil().max(0.0) as usize).min(BUCKETS - 1)] += 1;
    }

    /// One and a half times what 99 % keep to, in nanoseconds.
    pub(crate) fn bound(&self) -> u64 {
        let count = |bucket: usize| self.current[bucket] + self.former[bucket];
        let total: u64 = (0..BUCKETS).map(count).sum();
        let mut below = 0;
        for bucket in 0..BUCKETS {
            below += count(bucket);
            if below as f64 >= total as f64 * 0.99 {
                let upper = (LEAST_BITS + bucket as f64 / 2.0).exp2();
                return if bucket == 0 { 0 } else { (upper * 1.5) as u64 };
            }
        }
        0
    }
}
