//! Decides whether data is refused, from the memory that was measured last: what the `memory_limiter`
//! processor and the extension of that name have in common.

mod config;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

pub use config::MemoryLimiterConfig;

use crate::MemoryReader;

const MIB: u64 = 1024 * 1024;

/// The limits that settings amount to, in bytes of resident memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What must not be exceeded.
    pub hard: u64,
    /// From here on data is refused: the hard limit less the spike.
    pub soft: u64,
}

impl Limits {
    /// The limits for a process that may use `total` bytes. A spike of 0 means a fifth of the limit.
    pub fn new(config: &MemoryLimiterConfig, total: u64) -> Limits {
        let share = |percentage: u32| (u128::from(total) * u128::from(percentage) / 100) as u64;
        let (hard, spike) = match config.limit_mib {
            0 => (share(config.limit_percentage), share(config.spike_limit_percentage)),
            mib => (u64::from(mib) * MIB, u64::from(config.spike_limit_mib) * MIB),
        };
        let spike = if spike == 0 { hard / 5 } else { spike };
        Limits { hard, soft: hard.saturating_sub(spike) }
    }
}

/// What all pipelines that name the same limiter share. It outlives a change of settings.
#[derive(Debug, Default)]
pub struct Limiter {
    refusing: AtomicBool,
    /// Monotonic time of the last check in nanoseconds, plus one; 0 before the first.
    checked: AtomicU64,
}

/// How a check changed things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Data is refused from now on.
    Refuses,
    /// Data is taken again.
    Resumes,
}

impl Limiter {
    /// Whether data is refused now. One relaxed load.
    #[inline]
    pub fn refuses(&self) -> bool {
        self.refusing.load(Relaxed)
    }

    /// Whether a check is due at `now`: each pipeline asks once per `interval`, one of them is enough.
    pub fn is_due(&self, now: Duration, interval: Duration) -> bool {
        let last = self.checked.load(Relaxed);
        let now = now.as_nanos() as u64 + 1;
        let due = last == 0 || now.saturating_sub(last) > interval.as_nanos() as u64 / 2;
        due && self.checked.compare_exchange(last, now, Relaxed, Relaxed).is_ok()
    }

    /// Takes data again, since nobody measures any more.
    pub fn release(&self) {
        self.refusing.store(false, Relaxed);
    }

    /// Measures, and compares with the limits; also returns the resident bytes. Memory that is free and resident all the
    /// same is no reason to refuse: it is given back first, or data would be refused with nothing held, for good.
    pub fn measure(&self, memory: &dyn MemoryReader, limits: Limits) -> (u64, Option<Change>) {
        let mut resident = memory.resident();
        if resident >= limits.soft {
            memory.give_back_freed();
            resident = memory.resident();
        }
        (resident, self.judge(resident, limits))
    }

    /// Compares `resident` bytes with the limits; data is refused from the soft limit on.
    pub fn judge(&self, resident: u64, limits: Limits) -> Option<Change> {
        let refuses = resident >= limits.soft;
        match (self.refusing.swap(refuses, Relaxed), refuses) {
            (false, true) => Some(Change::Refuses),
            (true, false) => Some(Change::Resumes),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_follow_otelcols_arithmetic() {
        // (limit_mib, limit %, spike_mib, spike %, hard in MiB, soft in MiB)
        let cases = [
            (100, 0, 20, 0, 100, 80),
            (100, 0, 0, 0, 100, 80),
            (100, 50, 30, 0, 100, 70),
            (0, 80, 0, 25, 1600, 1100),
            (0, 50, 0, 0, 1000, 800),
        ];
        for case in cases {
            let (limit_mib, limit_percentage, spike_limit_mib, spike_limit_percentage, hard, soft) = case;
            let config = MemoryLimiterConfig {
                limit_mib,
                limit_percentage,
                spike_limit_mib,
                spike_limit_percentage,
                ..MemoryLimiterConfig::default()
            };
            let limits = Limits::new(&config, 2000 * MIB);
            assert_eq!((limits.hard / MIB, limits.soft / MIB), (hard, soft), "{case:?}");
        }
    }

    #[test]
    fn refusal_starts_at_the_soft_limit_and_ends_below_it() {
        let (limiter, limits) = (Limiter::default(), Limits { hard: 100, soft: 80 });
        // (resident, change, refuses)
        let steps = [
            (79, None, false),
            (80, Some(Change::Refuses), true),
            (120, None, true),
            (80, None, true),
            (79, Some(Change::Resumes), false),
        ];
        for (resident, change, refuses) in steps {
            assert_eq!((limiter.judge(resident, limits), limiter.refuses()), (change, refuses), "{resident}");
        }
    }

    #[test]
    fn what_is_freed_is_no_reason_to_refuse() {
        let (limiter, limits) = (Limiter::default(), Limits { hard: 100, soft: 80 });
        let memory = crate::FakeMemory::default();
        // (resident, of that freed, resident as it is judged, change)
        let steps = [
            (79, 50, 79, None),
            (90, 20, 70, None),
            (90, 5, 85, Some(Change::Refuses)),
            (90, 30, 60, Some(Change::Resumes)),
        ];
        for (resident, freed, judged, change) in steps {
            memory.resident.store(resident, Relaxed);
            memory.freed.store(freed, Relaxed);
            assert_eq!(limiter.measure(&memory, limits), (judged, change), "{resident}, {freed} of it free");
        }
    }

    #[test]
    fn pipelines_share_a_check() {
        let (limiter, second) = (Limiter::default(), Duration::from_secs(1));
        assert!(limiter.is_due(Duration::ZERO, second));
        assert!(!limiter.is_due(Duration::from_millis(3), second));
        assert!(limiter.is_due(Duration::from_millis(995), second));
        assert!(!limiter.is_due(Duration::from_millis(1001), second));
    }
}
