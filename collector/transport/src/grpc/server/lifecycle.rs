//! When a connection must go, as a function of time and of what the client does.

use std::time::Duration;

use tokio::time::Instant;

use super::Options;

/// Pings above the allowed rate that are forgiven, as in gRPC-Go.
const FORGIVEN_PINGS: u32 = 2;
/// Least time between pings of a client without streams, where it may send none.
const IDLE_PING_INTERVAL: Duration = Duration::from_secs(2 * 3600);

/// Decides when a connection has been idle or has lived for too long.
pub(super) struct Lifetime {
    idle_limit: Option<Duration>,
    idle_since: Option<Instant>,
    ends_at: Option<Instant>,
    grace: Option<Duration>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Stay,
    /// Tell the client to go and finish what runs.
    Leave,
    /// End at once.
    Cut,
}

impl Lifetime {
    /// `spread` in -1.0 to 1.0 moves the age by up to a tenth, so that connections of one moment do not
    /// end in one moment.
    pub(super) fn new(options: &Options, now: Instant, spread: f64) -> Lifetime {
        let aged = |age: Duration| now.checked_add(age.mul_f64(1.0 + spread.clamp(-1.0, 1.0) / 10.0));
        Lifetime {
            idle_limit: options.max_connection_idle,
            idle_since: Some(now),
            ends_at: options.max_connection_age.and_then(aged),
            grace: options.max_connection_age_grace,
        }
    }

    /// Notes whether there are streams.
    pub(super) fn streams(&mut self, any: bool, now: impl FnOnce() -> Instant) {
        if any {
            self.idle_since = None;
        } else if self.idle_since.is_none() && self.idle_limit.is_some() {
            self.idle_since = Some(now());
        }
    }

    fn idle_end(&self) -> Option<Instant> {
        self.idle_since?.checked_add(self.idle_limit?)
    }

    /// When [`Lifetime::verdict`] may say something else.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let idle = match (self.idle_since, self.idle_limit) {
            (None, Some(limit)) => now.checked_add(limit),
            _ => self.idle_end(),
        };
        let cut = self.ends_at.zip(self.grace).and_then(|(end, grace)| end.checked_add(grace));
        [idle, self.ends_at, cut].into_iter().flatten().filter(|at| *at > now).min()
    }

    pub(super) fn verdict(&self, now: Instant) -> Verdict {
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        match self.ends_at {
            Some(end) if self.grace.is_some_and(|grace| passed(end.checked_add(grace))) => Verdict::Cut,
            _ if passed(self.ends_at) || passed(self.idle_end()) => Verdict::Leave,
            _ => Verdict::Stay,
        }
    }
}

/// Holds a client to the rate at which it may ping.
pub(super) struct PingPolicy {
    min_interval: Duration,
    without_streams: bool,
    seen: u64,
    last: Option<Instant>,
    strikes: u32,
    /// Something was sent since: the next ping is free, which is how clients measure bandwidth.
    forgiven: bool,
}

impl PingPolicy {
    pub(super) fn new(options: &Options) -> PingPolicy {
        PingPolicy {
            min_interval: options.min_ping_interval,
            without_streams: options.pings_without_streams,
            seen: 0,
            last: None,
            strikes: 0,
            forgiven: false,
        }
    }

    pub(super) fn answered(&mut self) {
        self.forgiven = true;
    }

    /// Whether the client, which has sent `pings` in all, pings too often.
    pub(super) fn is_abused(&mut self, pings: u64, streams: bool, now: impl FnOnce() -> Instant) -> bool {
        if pings == self.seen {
            return false;
        }
        let fresh = u32::try_from(pings - self.seen).unwrap_or(u32::MAX);
        self.seen = pings;
        let now = now();
        let interval = if streams || self.without_streams { self.min_interval } else { IDLE_PING_INTERVAL };
        let early = self.last.is_some_and(|last| now < last + interval);
        self.last = Some(now);
        let mut counted = fresh - u32::from(!early);
        if std::mem::take(&mut self.forgiven) {
            self.strikes = 0;
            counted = counted.saturating_sub(1);
        }
        self.strikes = self.strikes.saturating_add(counted);
        self.strikes > FORGIVEN_PINGS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_connection_leaves_when_idle_or_old_and_is_cut_after_the_grace() {
        let start = Instant::from_std(std::time::Instant::now());
        let options = Options {
            max_connection_idle: Some(10 * SECOND),
            max_connection_age: Some(100 * SECOND),
            max_connection_age_grace: Some(5 * SECOND),
            ..Options::default()
        };
        let mut lifetime = Lifetime::new(&options, start, 0.5);
        assert_eq!(lifetime.verdict(start + 9 * SECOND), Verdict::Stay);
        assert_eq!(lifetime.verdict(start + 10 * SECOND), Verdict::Leave);
        lifetime.streams(true, || start);
        assert_eq!(lifetime.verdict(start + 104 * SECOND), Verdict::Stay);
        assert_eq!(lifetime.verdict(start + 105 * SECOND), Verdict::Leave);
        assert_eq!(lifetime.verdict(start + 110 * SECOND), Verdict::Cut);
        assert_eq!(lifetime.next(start + 106 * SECOND), Some(start + 110 * SECOND));
        lifetime.streams(false, || start + 20 * SECOND);
        assert_eq!(lifetime.next(start + 20 * SECOND), Some(start + 30 * SECOND));
    }

    #[test]
    fn pings_are_limited_unless_something_was_answered_between() {
        let start = Instant::from_std(std::time::Instant::now());
        let options = Options { min_ping_interval: SECOND, ..Options::default() };
        let mut policy = PingPolicy::new(&options);
        let abused: Vec<bool> = (1..=5).map(|n| policy.is_abused(n, true, || start)).collect();
        assert_eq!(abused, [false, false, false, true, true]);
        let mut policy = PingPolicy::new(&options);
        for ping in 1..100 {
            policy.answered();
            assert!(!policy.is_abused(ping, true, || start));
        }
        let mut policy = PingPolicy::new(&options);
        for ping in 1..100u32 {
            assert!(!policy.is_abused(u64::from(ping), true, || start + ping * SECOND));
        }
        assert!(policy.is_abused(1000, true, || start));
    }
}
