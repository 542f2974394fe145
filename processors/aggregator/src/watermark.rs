//! How far event time has come.
//!
//! Each partition (a resource, usually) has a clock: the newest time of its data points. The watermark trails the slowest of
//! them by what data points may be out of order. A partition without data for a while does not hold it; once all are idle it
//! goes on with the clock, so that the last window is let out. It never goes back.

mod lag;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use phoenix_series::{Fingerprint, FingerprintMap};

use crate::config::{PartitionBy, WatermarkConfig};

pub(crate) use lag::Lag;

/// The most partitions with a clock of their own; further ones share one.
const MAX_PARTITIONS: usize = 65_536;

/// The clock of one partition.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    /// The newest time of a data point.
    newest: u64,
    /// When data came last, on the monotonic clock.
    arrived: Duration,
    /// Whether it is among those that hold the watermark.
    holds: bool,
}

/// Which partition a data point is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partition(u32);

/// The watermark over all partitions.
#[derive(Debug)]
pub(crate) struct Watermark {
    settings: Settings,
    index: FingerprintMap<Partition>,
    clocks: Vec<Clock>,
    /// Partitions that hold the watermark, by what was their newest time when they were put in: the true one is no earlier.
    slowest: BinaryHeap<Reverse<(u64, u32)>>,
    /// The newest time of all.
    newest: u64,
    arrived: Duration,
    current: u64,
    lag: Option<Lag>,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    out_of_order: u64,
    max_out_of_order: u64,
    idle_timeout: Duration,
    max_spread: u64,
    by_resource: bool,
}

impl Watermark {
    pub(crate) fn new(config: &WatermarkConfig) -> Watermark {
        let settings = Settings {
            out_of_order: config.out_of_order.as_nanos() as u64,
            max_out_of_order: config.max_out_of_order.as_nanos() as u64,
            idle_timeout: config.idle_timeout.as_duration(),
            max_spread: config.max_spread.as_nanos() as u64,
            by_resource: config.partition == PartitionBy::Resource,
        };
        Watermark {
            settings,
            index: FingerprintMap::default(),
            // The first one is shared by all for whom there is no other.
            clocks: vec![Clock::default()],
            slowest: BinaryHeap::new(),
            newest: 0,
            arrived: Duration::ZERO,
            current: 0,
            lag: config.adaptive.then(Lag::default),
        }
    }

    /// Goes on where another stood.
    pub(crate) fn resume(&mut self, current: u64, newest: u64, now: Duration) {
        self.current = self.current.max(current);
        self.newest = self.newest.max(newest);
        self.arrived = now;
    }

    /// The clocks that hold the watermark, by resource, for a checkpoint.
    pub(crate) fn clocks(&self) -> impl Iterator<Item = (Fingerprint, u64)> {
        let shared = (Fingerprint::default(), Partition(0));
        let all = self.index.iter().map(|(resource, partition)| (*resource, *partition)).chain([shared]);
        all.filter_map(|(resource, partition)| {
            let clock = self.clocks[partition.0 as usize];
            clock.holds.then_some((resource, clock.newest))
        })
    }

    /// Lets a clock hold the watermark where it did: who is behind others is not late for a restart.
    pub(crate) fn resume_clock(&mut self, resource: Fingerprint, newest: u64, now: Duration) {
        let shared = resource == Fingerprint::default();
        let partition = if shared { Partition(0) } else { self.partition(resource) };
        let clock = &mut self.clocks[partition.0 as usize];
        (clock.newest, clock.arrived) = (clock.newest.max(newest), now);
        if !clock.holds {
            clock.holds = true;
            self.slowest.push(Reverse((clock.newest, partition.0)));
        }
    }

    /// Goes on where another stood, with all its clocks.
    pub(crate) fn take_over(&mut self, old: &mut Watermark) {
        self.index = std::mem::take(&mut old.index);
        self.clocks.clone_from(&old.clocks);
        self.slowest = std::mem::take(&mut old.slowest);
        (self.newest, self.arrived, self.current) = (old.newest, old.arrived, old.current);
        if let (Some(mine), Some(theirs)) = (&mut self.lag, old.lag.take()) {
            *mine = theirs;
        }
        old.index.clear();
        old.clocks.truncate(1);
    }

    /// The partition of a resource.
    pub(crate) fn partition(&mut self, resource: Fingerprint) -> Partition {
        if !self.settings.by_resource {
            return Partition(0);
        }
        if let Some(partition) = self.index.get(&resource) {
            return *partition;
        }
        if self.index.len() >= MAX_PARTITIONS {
            return Partition(0);
        }
        let partition = Partition(self.clocks.len() as u32);
        self.clocks.push(Clock::default());
        self.index.insert(resource, partition);
        partition
    }

    /// Takes the time of a data point into account.
    pub(crate) fn observe(&mut self, partition: Partition, time: u64, now: Duration) {
        let clock = &mut self.clocks[partition.0 as usize];
        clock.arrived = now;
        self.arrived = now;
        if let Some(lag) = &mut self.lag {
            lag.observe(clock.newest.saturating_sub(time), now);
        }
        if time > clock.newest {
            clock.newest = time;
            self.newest = self.newest.max(time);
        }
        if !clock.holds {
            clock.holds = true;
            self.slowest.push(Reverse((clock.newest, partition.0)));
        }
    }

    /// Lets a partition go on holding the watermark although nothing of it counts, as long as that is no further behind `time`
    /// than `most`.
    pub(crate) fn hold(&mut self, partition: Partition, time: u64, most: u64, now: Duration) {
        let clock = &mut self.clocks[partition.0 as usize];
        if clock.holds && clock.newest.saturating_add(most) >= time {
            (clock.arrived, self.arrived) = (now, now);
        }
    }

    /// How far data points may be out of order now.
    pub(crate) fn out_of_order(&self) -> u64 {
        let observed = self.lag.as_ref().map_or(0, |lag| lag.bound());
        observed
            .clamp(self.settings.out_of_order, self.settings.max_out_of_order.max(self.settings.out_of_order))
    }

    /// Moves on as far as it can, and says how far that is.
    pub(crate) fn advance(&mut self, now: Duration) -> u64 {
        let least = self.newest.saturating_sub(self.settings.max_spread);
        let slowest = loop {
            let Some(Reverse((noted, partition))) = self.slowest.peek().copied() else { break None };
            let clock = &mut self.clocks[partition as usize];
            if now.saturating_sub(clock.arrived) >= self.settings.idle_timeout {
                clock.holds = false;
                self.slowest.pop();
            } else if clock.newest > noted {
                self.slowest.pop();
                self.slowest.push(Reverse((clock.newest, partition)));
            } else {
                break Some(noted.max(least));
            }
        };
        let reached = slowest.unwrap_or_else(|| {
            // All are idle: the newest would be so much later by now. After a start none may have come yet.
            let elapsed = now.saturating_sub(self.arrived);
            let idle = self.newest > 0 && elapsed >= self.settings.idle_timeout;
            if idle { self.newest.saturating_add(elapsed.as_nanos() as u64) } else { 0 }
        });
        self.current = self.current.max(reached.saturating_sub(self.out_of_order()));
        if self.slowest.is_empty() && self.clocks.len() > 1 {
            self.index.clear();
            self.clocks.truncate(1);
        }
        self.current
    }

    /// Nothing is to come: everything that was seen is complete.
    pub(crate) fn finish(&mut self) -> u64 {
        self.current = self.current.max(self.newest);
        self.current
    }

    pub(crate) fn current(&self) -> u64 {
        self.current
    }

    /// The newest time of a data point.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use phoenix_config::GoDuration;

    use super::*;

    const S: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn config() -> WatermarkConfig {
        WatermarkConfig { out_of_order: GoDuration::from_secs(5), ..WatermarkConfig::default() }
    }

    #[test]
    fn the_slowest_partition_holds_it_until_it_is_idle_or_too_far_behind() {
        let mut watermark = Watermark::new(&config());
        let (a, b) = (watermark.partition(Fingerprint::from(1)), watermark.partition(Fingerprint::from(2)));
        watermark.observe(a, 100 * S, at(0));
        watermark.observe(b, 50 * S, at(0));
        assert_eq!(watermark.advance(at(0)), 45 * S);
        watermark.observe(a, 200 * S, at(10));
        assert_eq!(watermark.advance(at(10)), 45 * S);
        watermark.observe(b, 60 * S, at(20));
        assert_eq!(watermark.advance(at(20)), 55 * S, "the newest of the slowest");
        watermark.observe(a, 800 * S, at(25));
        assert_eq!(watermark.advance(at(25)), 495 * S, "five minutes behind the newest of all");
        watermark.observe(a, 810 * S, at(45));
        assert_eq!(watermark.advance(at(50)), 805 * S, "b is idle");
        watermark.observe(b, 70 * S, at(51));
        assert_eq!(watermark.advance(at(51)), 805 * S, "it does not go back");
    }

    #[test]
    fn with_all_idle_it_goes_on_with_the_clock() {
        let mut watermark = Watermark::new(&config());
        assert_eq!(watermark.advance(at(1000)), 0, "nothing was seen");
        let a = watermark.partition(Fingerprint::from(1));
        watermark.observe(a, 100 * S, at(1000));
        assert_eq!(watermark.advance(at(1029)), 95 * S);
        assert_eq!(watermark.advance(at(1030)), 125 * S);
        assert_eq!(watermark.advance(at(1040)), 135 * S);
        // Partitions that are all forgotten are there again with the next data.
        let a = watermark.partition(Fingerprint::from(1));
        watermark.observe(a, 150 * S, at(1050));
        assert_eq!(watermark.advance(at(1050)), 145 * S);
    }

    #[test]
    fn adaptive_lateness_follows_what_is_observed_within_its_bounds() {
        let config = WatermarkConfig { adaptive: true, ..config() };
        let mut watermark = Watermark::new(&config);
        let a = watermark.partition(Fingerprint::from(1));
        for second in 1..2000_u64 {
            watermark.observe(a, (10_000 + second) * S, at(second));
            watermark.observe(a, (10_000 + second - 20 * u64::from(second > 21)) * S, at(second));
        }
        let lag = watermark.out_of_order();
        assert!((30 * S..=45 * S).contains(&lag), "1.5 times 20 s, as finely as powers of √2 tell: {lag}");
    }
}
