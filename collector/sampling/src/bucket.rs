use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What one limit allows, shared by all shards: a token bucket that starts full.
///
/// Shards take tokens by [`Lease`], so that most decisions touch nothing shared. All leases together hold what the bucket
/// gave out, and nothing was made twice: over any time `t` at most `burst + rate · t` pass, and what lies unused in one
/// lease is at most a twentieth of a second's.
#[derive(Debug)]
pub struct Bucket {
    limit: Limit,
    state: Mutex<Level>,
}

/// A rate and how much may come at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Tokens that come back in a second.
    pub per_second: f64,
    /// The most tokens there are. What costs more never passes.
    pub burst: f64,
}

#[derive(Debug)]
struct Level {
    tokens: f64,
    at: Option<Duration>,
}

impl Bucket {
    /// A full one.
    pub fn new(limit: Limit) -> Bucket {
        Bucket { limit, state: Mutex::new(Level { tokens: limit.burst, at: None }) }
    }

    /// What it allows.
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// Goes on with what is left in another, which had another limit.
    pub fn adopt(&self, old: &Bucket) {
        let (tokens, at) = {
            let level = old.state.lock().unwrap_or_else(PoisonError::into_inner);
            (level.tokens, level.at)
        };
        let mut level = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *level = Level { tokens: tokens.min(self.limit.burst), at };
    }

    /// Takes at least `need` tokens and at most `like`, at a monotonic time; none where `need` is not there.
    fn take(&self, need: f64, like: f64, now: Duration) -> Option<f64> {
        let mut level = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.saturating_sub(level.at.unwrap_or(now));
        level.tokens = (level.tokens + since.as_secs_f64() * self.limit.per_second).min(self.limit.burst);
        // Times of different shards may come out of order; it does not run backwards.
        level.at = Some(level.at.map_or(now, |at| at.max(now)));
        if level.tokens < need {
            return None;
        }
        let taken = level.tokens.min(like.max(need));
        level.tokens -= taken;
        Some(taken)
    }

    /// Whether something of this cost may pass at a monotonic time; then it is paid for. For who holds no [`Lease`].
    pub fn allows(&self, cost: u64, now: Duration) -> bool {
        let cost = cost as f64;
        cost <= self.limit.burst && self.take(cost, cost, now).is_some()
    }

    /// Whether nothing is missing at a monotonic time: it is like a new one.
    pub(crate) fn is_full(&self, now: Duration) -> bool {
        let level = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.saturating_sub(level.at.unwrap_or(now));
        level.tokens + since.as_secs_f64() * self.limit.per_second >= self.limit.burst
    }

    fn give_back(&self, tokens: f64) {
        let mut level = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        level.tokens = (level.tokens + tokens).min(self.limit.burst);
    }
}

/// Tokens that one shard has taken out of a [`Bucket`] ahead of use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lease {
    tokens: f64,
    /// When they go back.
    until: Duration,
}

/// How long a shard may sit on tokens that others could use.
const LEASE: Duration = Duration::from_millis(100);
/// The share of a second's tokens that is taken ahead.
const AHEAD: f64 = 1.0 / 20.0;

impl Lease {
    /// Whether something of this cost may pass at a monotonic time; then it is paid for. What may not pass costs
    /// nothing.
    pub fn allows(&mut self, bucket: &Bucket, cost: u64, now: Duration) -> bool {
        let cost = cost as f64;
        if cost > bucket.limit.burst {
            return false;
        }
        if now >= self.until && self.tokens > 0.0 {
            bucket.give_back(std::mem::take(&mut self.tokens));
        }
        if self.tokens < cost {
            // Where everything is asked back at once, as much comes out: an unused lease never hides what is needed.
            let ahead = bucket.limit.per_second * AHEAD;
            let need = cost - self.tokens;
            match bucket.take(need, need + ahead, now) {
                Some(taken) => {
                    self.tokens += taken;
                    self.until = now + LEASE;
                }
                None => {
                    bucket.give_back(std::mem::take(&mut self.tokens));
                    return false;
                }
            }
        }
        self.tokens -= cost;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn it_starts_full_and_what_is_larger_than_the_burst_never_passes() {
        let bucket = Bucket::new(Limit { per_second: 10.0, burst: 20.0 });
        let mut lease = Lease::default();
        let outcomes = [(10, 0), (10, 0), (10, 0), (10, 1100), (10, 1100)]
            .map(|(cost, at)| lease.allows(&bucket, cost, ms(at)));
        assert_eq!(outcomes, [true, true, false, true, false]);
        let full = Bucket::new(Limit { per_second: 10.0, burst: 20.0 });
        assert!(!Lease::default().allows(&full, 25, ms(0)));
        assert!(Lease::default().allows(&full, 20, ms(0)), "the refusal cost nothing");
    }

    #[test]
    fn shards_together_keep_the_limit_and_lose_nothing_of_it() {
        for shards in [1, 2, 7] {
            let limit = Limit { per_second: 1000.0, burst: 2000.0 };
            let bucket = Bucket::new(limit);
            let mut leases = vec![Lease::default(); shards];
            let mut chance = Chance::new(shards as u64);
            let mut passed = 0;
            for at in 0..60_000 {
                let (shard, cost) = (chance.below(shards as u64) as usize, 1 + chance.below(8));
                if leases[shard].allows(&bucket, cost, ms(at)) {
                    passed += cost;
                }
            }
            // 4,500 a second are offered.
            assert!(passed <= 62_000, "{shards} shards: {passed}");
            assert!(passed >= 61_500, "{shards} shards: {passed}");
        }
    }

    #[test]
    fn tokens_that_a_shard_does_not_use_go_back() {
        let bucket = Bucket::new(Limit { per_second: 100.0, burst: 100.0 });
        let (mut idle, mut busy) = (Lease::default(), Lease::default());
        assert!(idle.allows(&bucket, 1, ms(0)), "and takes five ahead");
        assert!(!busy.allows(&bucket, 95, ms(0)));
        assert!(busy.allows(&bucket, 94, ms(0)));
        assert!(!idle.allows(&bucket, 6, ms(1)), "what it has is not enough, and goes back");
        assert!(busy.allows(&bucket, 5, ms(1)));
    }

    #[test]
    fn clocks_of_shards_that_differ_make_no_tokens() {
        let bucket = Bucket::new(Limit { per_second: 10.0, burst: 10.0 });
        let mut lease = Lease::default();
        assert!(lease.allows(&bucket, 10, ms(1000)));
        assert!(!lease.allows(&bucket, 10, ms(500)));
        assert!(!lease.allows(&bucket, 10, ms(1500)), "half of it is back");
        assert!(lease.allows(&bucket, 10, ms(2000)));
    }
}
