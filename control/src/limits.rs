//! How much each client may ask: a bucket of tokens for each.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Clients that are remembered; beyond, those with a full bucket are forgotten.
const MAX_CLIENTS: usize = 10_000;

/// Limits by client.
pub struct Limiter {
    per_second: f64,
    burst: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

struct Bucket {
    tokens: f64,
    at_ms: i64,
}

/// What a client has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Whether this request may go on.
    pub is_allowed: bool,
    /// Requests at once, at most.
    pub limit: u64,
    /// Requests that may follow at once.
    pub remaining: u64,
    /// Seconds until one more may follow, or until all may.
    pub reset_seconds: u64,
}

impl Limiter {
    /// So many requests per second on average, and `burst` at once.
    pub fn new(per_second: u32, burst: u32) -> Limiter {
        let (per_second, burst) = (f64::from(per_second.max(1)), f64::from(burst.max(1)));
        Limiter { per_second, burst, buckets: Mutex::default() }
    }

    /// Takes one token of `client` at `now_ms`.
    pub fn take(&self, client: &str, now_ms: i64) -> Allowance {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_CLIENTS && !buckets.contains_key(client) {
            let full_after = (self.burst / self.per_second * 1000.0) as i64;
            buckets.retain(|_, bucket| now_ms - bucket.at_ms < full_after);
            if buckets.len() >= MAX_CLIENTS {
                // A flood of addresses: nobody new is let in until old ones have rested.
                return Allowance {
                    is_allowed: false,
                    limit: self.burst as u64,
                    remaining: 0,
                    reset_seconds: 1,
                };
            }
        }
        let bucket = buckets.entry(client.to_owned()).or_insert(Bucket { tokens: self.burst, at_ms: now_ms });
        let elapsed = (now_ms - bucket.at_ms).max(0) as f64 / 1000.0;
        bucket.tokens = (bucket.tokens + elapsed * self.per_second).min(self.burst);
        bucket.at_ms = now_ms;
        let is_allowed = bucket.tokens >= 1.0;
        if is_allowed {
            bucket.tokens -= 1.0;
        }
        let missing = if is_allowed { self.burst - bucket.tokens } else { 1.0 - bucket.tokens };
        Allowance {
            is_allowed,
            limit: self.burst as u64,
            remaining: bucket.tokens as u64,
            reset_seconds: (missing / self.per_second).ceil().max(1.0) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let limiter = Limiter::new(2, 3);
        let at = |client: &str, ms: i64| limiter.take(client, ms).is_allowed;
        assert!(at("a", 0) && at("a", 0) && at("a", 0));
        let refused = limiter.take("a", 0);
        assert_eq!((refused.is_allowed, refused.remaining, refused.reset_seconds), (false, 0, 1));
        assert!(at("b", 0), "each client has a bucket");
        assert!(!at("a", 499));
        assert!(at("a", 1000));
        assert!(at("a", 0), "a clock that goes back takes nothing away");
        assert!(!at("a", 0));
    }

    #[test]
    fn a_flood_of_clients_is_bounded() {
        let limiter = Limiter::new(1, 1);
        for client in 0..MAX_CLIENTS + 10 {
            limiter.take(&client.to_string(), 0);
        }
        assert!(limiter.buckets.lock().expect("fine").len() <= MAX_CLIENTS);
        assert!(!limiter.take("late", 0).is_allowed);
        assert!(limiter.take("later", 60_000).is_allowed);
    }
}
