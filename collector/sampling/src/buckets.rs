use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::{Bucket, Limit, Randomness, Threshold};

/// Buckets of one limit, one for each key, shared by all shards.
///
/// Those that are full again are like new ones, and are let go to make room. Keys for which there is none have one bucket
/// together.
#[derive(Debug)]
pub struct Buckets {
    limit: Limit,
    most_keys: usize,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    buckets: HashMap<u64, Bucket>,
    rest: Bucket,
    /// When room was made last.
    swept_at: Option<Duration>,
}

/// How often room is made at most: it takes a look at every bucket.
const SWEPT_EVERY: Duration = Duration::from_secs(1);

impl Buckets {
    /// None yet.
    pub fn new(limit: Limit, most_keys: usize) -> Buckets {
        let known = Known { buckets: HashMap::new(), rest: Bucket::new(limit), swept_at: None };
        Buckets { limit, most_keys, known: Mutex::new(known) }
    }

    /// What each allows.
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// Keys that are told apart.
    pub fn most_keys(&self) -> usize {
        self.most_keys
    }

    /// Whether something of this key and cost may pass at a monotonic time; then it is paid for.
    pub fn allows(&self, key: u64, cost: u64, now: Duration) -> bool {
        self.of(key, now, |bucket| bucket.allows(cost, now))
    }

    /// The same as [`Bucket::sample`], of a key.
    pub fn sample(&self, key: u64, cost: u64, randomness: Randomness, now: Duration) -> Threshold {
        self.of(key, now, |bucket| bucket.sample(cost, randomness, now))
    }

    fn of<R>(&self, key: u64, now: Duration, ask: impl FnOnce(&Bucket) -> R) -> R {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = &mut *known;
        if let Some(bucket) = known.buckets.get(&key) {
            return ask(bucket);
        }
        let may_sweep = known.swept_at.is_none_or(|at| now >= at + SWEPT_EVERY);
        if known.buckets.len() >= self.most_keys && may_sweep {
            known.swept_at = Some(now);
            known.buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        if known.buckets.len() >= self.most_keys {
            return ask(&known.rest);
        }
        ask(known.buckets.entry(key).or_insert_with(|| Bucket::new(self.limit)))
    }

    /// Keys that have a bucket.
    pub fn keys(&self) -> usize {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).buckets.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { per_second: 10.0, burst: 20.0 };

    #[test]
    fn each_key_has_the_limit_for_itself() {
        let buckets = Buckets::new(LIMIT, 10);
        let mut passed = [0; 3];
        for second in 0..60 {
            for key in 0..3 {
                let offered = [5, 10, 50][key as usize];
                let now = Duration::from_secs(second);
                passed[key as usize] += (0..offered).filter(|_| buckets.allows(key, 1, now)).count();
            }
        }
        assert_eq!(passed, [300, 600, 610]);
    }

    #[test]
    fn keys_are_bounded_and_those_at_rest_make_room() {
        let buckets = Buckets::new(LIMIT, 5);
        let at = Duration::from_secs;
        assert!((0..5).all(|key| buckets.allows(key, 20, at(0))));
        let rest = (5..100).filter(|key| buckets.allows(*key, 1, at(0))).count();
        assert_eq!((rest, buckets.keys()), (20, 5), "the others have one together");
        assert!((5..8).all(|key| buckets.allows(key, 20, at(2))), "whose rest has filled up is like new");
        assert_eq!(buckets.keys(), 3);
        assert!(!buckets.allows(5, 1, at(2)));
    }
}
