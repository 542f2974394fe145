use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::{Randomness, Threshold};

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
    /// Cost that was asked for in a second, of late; only [`Bucket::sample`] knows.
    demand: f64,
    at: Option<Duration>,
}

/// Over how many seconds [`Bucket::sample`] remembers the demand.
const REMEMBERED_SECS: f64 = 2.0;
/// By how much its probability may differ from what the demand says, by the tokens that are there.
const LEAST_FACTOR: f64 = 0.25;
const MOST_FACTOR: f64 = 2.0;
/// Its lowest probability: something of everything passes, since else nobody could count it.
const LEAST_SHARE: f64 = 1.0 / 65_536.0;
/// Hexadecimal digits of its thresholds.
const PRECISION: u32 = 4;

impl Bucket {
    /// A full one.
    pub fn new(limit: Limit) -> Bucket {
        Bucket { limit, state: Mutex::new(Level { tokens: limit.burst, demand: 0.0, at: None }) }
    }

    /// What it allows.
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// Goes on with what is left in another, which had another limit.
    pub fn adopt(&self, old: &Bucket) {
        let (tokens, demand, at) = {
            let level = old.state.lock().unwrap_or_else(PoisonError::into_inner);
            (level.tokens, level.demand, level.at)
        };
        let mut level = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *level = Level { tokens: tokens.min(self.limit.burst), demand, at };
    }

    /// Takes at least `need` tokens and at most `like`, at a monotonic time; none where `need` is not there.
    fn take(&self, need: f64, like: f64, now: Duration) -> Option<f64> {
        let mut level = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.refill(&mut level, now);
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

    /// Lets a share of what exceeds the limit pass, chosen by randomness: returns the threshold that something of this cost
    /// has to reach at a monotonic time. Where it does it is paid for, also with tokens that are not there yet.
    ///
    /// The probability is what the limit is of the demand of the last seconds, and up to twice or a quarter of that by how many
    /// tokens there are, so that what passes settles at the limit. It depends on what came before and never on what it is for,
    /// neither on its randomness nor on its cost: so whoever counts what passed by its threshold is right on average, whatever the
    /// sizes.
    pub fn sample(&self, cost: u64, randomness: Randomness, now: Duration) -> Threshold {
        let mut level = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = self.refill(&mut level, now);
        level.demand *= (-since.as_secs_f64() / REMEMBERED_SECS).exp();
        let wanted = self.limit.per_second / level.demand;
        let by_tokens = (2.0 * level.tokens / self.limit.burst).clamp(LEAST_FACTOR, MOST_FACTOR);
        let share = if level.demand > 0.0 { wanted * by_tokens } else { 1.0 };
        let share = if self.limit.per_second > 0.0 { share.clamp(LEAST_SHARE, 1.0) } else { LEAST_SHARE };
        level.demand += cost as f64 / REMEMBERED_SECS;
        let threshold = Threshold::of_probability(share, PRECISION).unwrap_or(Threshold::ALWAYS);
        if threshold.keeps(randomness) {
            level.tokens -= cost as f64;
        }
        threshold
    }

    /// Adds what came back; since when that is.
    fn refill(&self, level: &mut Level, now: Duration) -> Duration {
        let since = now.saturating_sub(level.at.unwrap_or(now));
        level.tokens = (level.tokens + since.as_secs_f64() * self.limit.per_second).min(self.limit.burst);
        // Times of different shards may come out of order; it does not run backwards.
        level.at = Some(level.at.map_or(now, |at| at.max(now)));
        since
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
    fn a_share_of_what_exceeds_the_limit_passes_and_counts_for_all() {
        let limit = Limit { per_second: 1000.0, burst: 2000.0 };
        let bucket = Bucket::new(limit);
        let mut chance = Chance::new(7);
        let (mut offered, mut passed, mut variance) = (0.0, 0.0, 0.0);
        // Of large ones, of which one alone is more than the burst, and of all.
        let (mut estimate, mut large, mut large_estimate, mut large_variance) = (0.0, 0.0, 0.0, 0.0);
        for millis in 0..600_000 {
            // About ten times as much as the limit.
            let cost = if chance.below(2000) == 0 { 5000 } else { 1 + chance.below(15) };
            let randomness = Randomness::new(chance.below(1 << 56));
            let threshold = bucket.sample(cost, randomness, ms(millis));
            let (cost, p) = (cost as f64, threshold.probability());
            offered += cost;
            variance += cost * cost * (1.0 - p) / p;
            if cost > 2000.0 {
                large += cost;
                large_variance += cost * cost * (1.0 - p) / p;
            }
            if threshold.keeps(randomness) {
                passed += cost;
                estimate += cost / p;
                large_estimate += if cost > 2000.0 { cost / p } else { 0.0 };
            }
        }
        assert!((passed / 602_000.0 - 1.0).abs() < 0.03, "{passed}");
        assert!((estimate - offered).abs() < 4.0 * f64::sqrt(variance), "{estimate} of {offered}");
        assert!(
            (large_estimate - large).abs() < 4.0 * f64::sqrt(large_variance),
            "{large_estimate} of {large}"
        );
    }

    #[test]
    fn below_the_limit_everything_passes_for_itself() {
        let bucket = Bucket::new(Limit { per_second: 1000.0, burst: 2000.0 });
        for millis in 0..10_000 {
            let threshold = bucket.sample(u64::from(millis % 2 == 0), Randomness::new(0), ms(millis));
            assert_eq!(threshold, Threshold::ALWAYS);
        }
        let none = Bucket::new(Limit { per_second: 0.0, burst: 0.0 });
        assert!(none.sample(1, Randomness::new(0), ms(1)).probability() < 1e-4);
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
