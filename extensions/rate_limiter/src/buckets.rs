//! Token buckets, one for each client.
//!
//! A bucket holds what its client may send; it fills at the rate, up to the burst. A request is taken while there
//! is something in it, and its body may leave it in debt: nobody knows the size of a body before it has come, and
//! what is owed is waited for. So a client gets its rate and, once, its burst and a request.
//!
//! The number of buckets has a bound. When it is reached, one that is full again makes room; where there is none,
//! whoever is new shares one bucket with all others that are: a flood of made-up names gains nothing by it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use phoenix_component::ClientKey;
use tokio::time::Instant;

/// So that connections of different cores seldom meet.
const SHARDS: usize = 16;
/// Least time between two searches of a shard for buckets that can go.
const SWEEP_INTERVAL: Duration = Duration::from_millis(100);
/// Longest wait that a client hears of.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// One, less what sums of fractions may lack.
const ENOUGH: f64 = 1.0 - 1e-6;

/// What a client may send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    pub(crate) burst: f64,
}

impl Rate {
    /// None for a rate of zero; a burst of zero is what a second brings, and at least one.
    pub(crate) fn new(per_second: f64, burst: f64) -> Option<Rate> {
        let burst = if burst > 0.0 { burst } else { per_second };
        (per_second > 0.0).then_some(Rate { per_second, burst: burst.max(1.0) })
    }

    fn refilled(self, held: f64, seconds: f64) -> f64 {
        (held + seconds * self.per_second).min(self.burst)
    }

    fn wait(self, missing: f64) -> Duration {
        Duration::try_from_secs_f64(missing / self.per_second).unwrap_or(MAX_DELAY).min(MAX_DELAY)
    }
}

#[derive(Clone, Copy)]
struct Bucket {
    requests: f64,
    items: f64,
    bytes: f64,
    at: Instant,
}

#[derive(Default)]
struct Shard {
    buckets: HashMap<ClientKey, Bucket>,
    /// When it was searched last.
    swept: Option<Instant>,
}

/// The buckets of all clients.
pub(crate) struct Buckets {
    shards: [Mutex<Shard>; SHARDS],
    most_of_shard: usize,
    requests: Option<Rate>,
    items: Option<Rate>,
    bytes: Option<Rate>,
    /// Of those for whom there is no room.
    shared: Mutex<Option<Bucket>>,
}

/// What is charged behind a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charge {
    Items(u64),
    Bytes(u64),
}

/// How a request was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Out of the client's own bucket.
    Own,
    /// Out of the one that is shared.
    Shared,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Buckets {
    pub(crate) fn new(
        requests: Option<Rate>,
        items: Option<Rate>,
        bytes: Option<Rate>,
        max_clients: usize,
    ) -> Buckets {
        Buckets {
            shards: Default::default(),
            most_of_shard: max_clients.div_ceil(SHARDS),
            requests,
            items,
            bytes,
            shared: Mutex::default(),
        }
    }

    /// Takes a request of `key`, or says how long to wait.
    pub(crate) fn take(&self, key: ClientKey, now: Instant) -> Result<Taken, Duration> {
        let mut shard = lock(self.shard(key));
        if !shard.buckets.contains_key(&key) && !self.has_room(&mut shard, now) {
            drop(shard);
            let mut shared = lock(&self.shared);
            return self.take_of(shared.get_or_insert_with(|| self.full(now)), now).map(|()| Taken::Shared);
        }
        self.take_of(shard.buckets.entry(key).or_insert_with(|| self.full(now)), now).map(|()| Taken::Own)
    }

    /// Whether a client can be added, after those that have rested were forgotten.
    fn has_room(&self, shard: &mut Shard, now: Instant) -> bool {
        let is_due = |swept: Instant| now.saturating_duration_since(swept) >= SWEEP_INTERVAL;
        if shard.buckets.len() >= self.most_of_shard && shard.swept.is_none_or(is_due) {
            shard.swept = Some(now);
            shard.buckets.retain(|_, bucket| !self.is_full(*bucket, now));
        }
        shard.buckets.len() < self.most_of_shard
    }

    /// Charges items or bytes to `key`, where they are limited.
    pub(crate) fn charge(&self, key: ClientKey, charge: Charge, now: Instant) {
        let rate = match charge {
            Charge::Items(_) => self.items,
            Charge::Bytes(_) => self.bytes,
        };
        if rate.is_none() {
            return;
        }
        let mut shard = lock(self.shard(key));
        match shard.buckets.get_mut(&key) {
            Some(bucket) => self.charge_to(bucket, charge, now),
            None => {
                drop(shard);
                if let Some(shared) = &mut *lock(&self.shared) {
                    self.charge_to(shared, charge, now);
                }
            }
        }
    }

    fn shard(&self, key: ClientKey) -> &Mutex<Shard> {
        // The map itself hashes the key again.
        &self.shards[key.0 as usize % SHARDS]
    }

    fn full(&self, now: Instant) -> Bucket {
        let burst = |rate: Option<Rate>| rate.map_or(0.0, |rate| rate.burst);
        Bucket { requests: burst(self.requests), items: burst(self.items), bytes: burst(self.bytes), at: now }
    }

    fn refill(&self, bucket: &mut Bucket, now: Instant) {
        let seconds = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.at = bucket.at.max(now);
        if let Some(rate) = self.requests {
            bucket.requests = rate.refilled(bucket.requests, seconds);
        }
        if let Some(rate) = self.items {
            bucket.items = rate.refilled(bucket.items, seconds);
        }
        if let Some(rate) = self.bytes {
            bucket.bytes = rate.refilled(bucket.bytes, seconds);
        }
    }

    fn is_full(&self, mut bucket: Bucket, now: Instant) -> bool {
        self.refill(&mut bucket, now);
        let full = |rate: Option<Rate>, held| rate.is_none_or(|rate| held >= rate.burst);
        full(self.requests, bucket.requests)
            && full(self.items, bucket.items)
            && full(self.bytes, bucket.bytes)
    }

    fn take_of(&self, bucket: &mut Bucket, now: Instant) -> Result<(), Duration> {
        self.refill(bucket, now);
        let wait =
            |rate: Option<Rate>, held: f64| rate.filter(|_| held < ENOUGH).map(|rate| rate.wait(1.0 - held));
        let waits = [
            wait(self.requests, bucket.requests),
            wait(self.items, bucket.items),
            wait(self.bytes, bucket.bytes),
        ];
        if let Some(wait) = waits.into_iter().flatten().max() {
            return Err(wait);
        }
        bucket.requests -= 1.0;
        Ok(())
    }

    fn charge_to(&self, bucket: &mut Bucket, charge: Charge, now: Instant) {
        self.refill(bucket, now);
        match charge {
            Charge::Items(items) => bucket.items -= items as f64,
            Charge::Bytes(bytes) => bucket.bytes -= bytes as f64,
        }
    }

    #[cfg(test)]
    fn clients(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).buckets.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn start() -> Instant {
        Instant::from_std(std::time::Instant::now())
    }

    #[test]
    fn a_client_gets_its_burst_and_then_its_rate() {
        let (buckets, now) = (Buckets::new(Rate::new(10.0, 5.0), None, None, 100), start());
        let taken = |key, at| (0..100).filter(|_| buckets.take(ClientKey(key), at).is_ok()).count();
        assert_eq!(taken(1, now), 5);
        assert_eq!(buckets.take(ClientKey(1), now), Err(Duration::from_millis(100)));
        assert_eq!(taken(2, now), 5, "others are not touched");
        assert_eq!(taken(1, now + Duration::from_millis(250)), 2);
        assert_eq!(taken(1, now + 100 * SECOND), 5);
        let total: usize = (0..1000).map(|ms| taken(3, now + Duration::from_millis(ms))).sum();
        assert_eq!(total, 5 + 9, "a second of the rate beside the burst");
    }

    #[test]
    fn a_body_leaves_a_debt_that_is_waited_for() {
        type Of = fn(u64) -> Charge;
        let rate = Rate::new(1000.0, 0.0);
        let cases: [(Buckets, Of, Of); 2] = [
            (Buckets::new(None, None, rate, 100), Charge::Bytes, Charge::Items),
            (Buckets::new(None, rate, None, 100), Charge::Items, Charge::Bytes),
        ];
        for (buckets, limited, free) in cases {
            let (now, key) = (start(), ClientKey(7));
            assert_eq!(buckets.take(key, now), Ok(Taken::Own));
            buckets.charge(key, free(u64::MAX), now);
            buckets.charge(key, limited(6000), now);
            let wait = buckets.take(key, now).expect_err("in debt");
            assert!(wait > 5 * SECOND && wait < Duration::from_millis(5010), "{wait:?}");
            assert!(buckets.take(key, now + 4 * SECOND).is_err());
            assert!(buckets.take(key, now + wait).is_ok());
            buckets.charge(key, limited(u64::MAX), now + wait);
            assert_eq!(buckets.take(key, now + wait), Err(MAX_DELAY));
        }
    }

    #[test]
    fn a_flood_of_names_shares_one_bucket_and_costs_no_memory() {
        let (buckets, now) = (Buckets::new(Rate::new(1.0, 3.0), None, None, 32), start());
        // Those who were there first keep theirs.
        let first: Vec<u64> = (0..32).collect();
        for key in &first {
            assert_eq!(buckets.take(ClientKey(*key), now), Ok(Taken::Own));
        }
        let taken: Vec<_> = (1000..2000).filter_map(|key| buckets.take(ClientKey(key), now).ok()).collect();
        assert_eq!(taken, [Taken::Shared; 3]);
        assert_eq!(buckets.clients(), 32);
        assert_eq!(buckets.take(ClientKey(first[5]), now), Ok(Taken::Own));
        // Full again, they make room.
        assert_eq!(buckets.take(ClientKey(5000), now + 10 * SECOND), Ok(Taken::Own));
        assert!(buckets.clients() <= 32);
        // A clock that goes back gives nothing.
        assert!((0..10).filter(|_| buckets.take(ClientKey(5000), now).is_ok()).count() <= 2);
    }
}
