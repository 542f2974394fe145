//! Thins out records that repeat, by zap's rules.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use super::LogLevel;

/// Of each message at each level `initial` records pass in a `tick`, then every `thereafter`-th.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// The length of a window.
    pub tick: Duration,
    /// Records that pass at its beginning.
    pub initial: u64,
    /// After those every record of this many passes; 0 is none.
    pub thereafter: u64,
}

impl Default for Sampling {
    fn default() -> Sampling {
        Sampling { tick: Duration::from_secs(10), initial: 10, thereafter: 100 }
    }
}

/// Counters for each level; messages that share one are thinned out together, as zap does it.
const COUNTERS: u64 = 4096;

/// What was seen, bounded by the number of counters.
#[derive(Debug, Default)]
pub(super) struct Sampler(HashMap<(LogLevel, u16), Window>);

#[derive(Debug)]
struct Window {
    ends: Duration,
    seen: u64,
}

impl Sampler {
    /// Whether a record passes. `now` is the time since some fixed moment.
    pub(super) fn passes(&mut self, rule: Sampling, level: LogLevel, message: &str, now: Duration) -> bool {
        let mut hasher = DefaultHasher::new();
        message.hash(&mut hasher);
        let counter = (hasher.finish() % COUNTERS) as u16;
        let window = self.0.entry((level, counter)).or_insert(Window { ends: Duration::ZERO, seen: 0 });
        if now >= window.ends {
            *window = Window { ends: now + rule.tick, seen: 0 };
        }
        window.seen += 1;
        match window.seen.checked_sub(rule.initial) {
            None | Some(0) => true,
            Some(beyond) => rule.thereafter > 0 && beyond.is_multiple_of(rule.thereafter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(rule: Sampling, times: usize) -> usize {
        let mut sampler = Sampler::default();
        (0..times).filter(|_| sampler.passes(rule, LogLevel::Info, "again", Duration::ZERO)).count()
    }

    #[test]
    fn a_repeated_message_is_thinned_out_until_the_tick_ends() {
        let rule = Sampling { tick: Duration::from_secs(1), initial: 2, thereafter: 3 };
        assert_eq!(passed(rule, 11), 2 + 3);
        assert_eq!(passed(Sampling { thereafter: 0, ..rule }, 100), 2);
        assert_eq!(passed(Sampling { initial: 0, thereafter: 1, ..rule }, 5), 5);
        let mut sampler = Sampler::default();
        let mut take = |level, message, at| sampler.passes(rule, level, message, at);
        for _ in 0..3 {
            take(LogLevel::Info, "a", Duration::ZERO);
        }
        assert!(!take(LogLevel::Info, "a", Duration::from_millis(999)));
        assert!(take(LogLevel::Warn, "a", Duration::ZERO), "each level for itself");
        assert!(take(LogLevel::Info, "b", Duration::ZERO), "each message for itself");
        assert!(take(LogLevel::Info, "a", Duration::from_secs(1)), "and each window");
    }
}
