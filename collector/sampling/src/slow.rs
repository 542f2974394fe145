use std::time::Duration;

use crate::{Recent, Sketch};

/// What is slow is learned, by key: a trace is slow that took longer than a quantile of what its key took lately.
///
/// Durations are counted over two windows, of which the older is forgotten as a whole, so what is normal follows the
/// load within two windows. A key has to be known by some traces before anything of it is slow.
#[derive(Debug)]
pub struct Slow {
    settings: SlowSettings,
    keys: Recent<Windows>,
}

/// Settings of [`Slow`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowSettings {
    /// From 0 to 1.
    pub quantile: f64,
    /// How long a window is.
    pub window: Duration,
    /// Traces of a key before any is slow.
    pub learn: u64,
    /// Keys in each generation of the table.
    pub most_keys: usize,
}

#[derive(Clone, Debug, Default)]
struct Windows {
    current: Sketch,
    former: Sketch,
    since: Option<Duration>,
    /// The quantile as it was when so many more had been counted.
    limit: Option<u64>,
    asked_at: u64,
}

impl Slow {
    /// Without experience.
    pub fn new(settings: SlowSettings) -> Slow {
        Slow { settings, keys: Recent::new(settings.most_keys, settings.window * 2) }
    }

    /// Whether a trace of this key that took `micros` is slow; then counts it.
    pub fn is_slow(&mut self, key: u64, micros: u64, now: Duration) -> bool {
        let SlowSettings { quantile, window, learn, .. } = self.settings;
        let windows = self.keys.entry(key, now);
        let age = now.saturating_sub(*windows.since.get_or_insert(now));
        if age >= window {
            let ended = std::mem::take(&mut windows.current);
            windows.former = if age >= window * 2 { Sketch::default() } else { ended };
            windows.since = Some(now);
            windows.asked_at = 0;
        }
        let count = windows.current.count() + windows.former.count();
        // A quantile moves little while a hundredth is added, and walking the buckets is what costs.
        if count >= learn && (windows.asked_at == 0 || count >= windows.asked_at + windows.asked_at / 100) {
            windows.limit = Sketch::quantile(&[&windows.current, &windows.former], quantile);
            windows.asked_at = count.max(1);
        }
        let is_slow = count >= learn && windows.limit.is_some_and(|limit| micros > limit);
        windows.current.add(micros);
        is_slow
    }

    /// Keys that are known.
    pub fn known(&self) -> usize {
        self.keys.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;

    const SETTINGS: SlowSettings =
        SlowSettings { quantile: 0.99, window: Duration::from_secs(600), learn: 100, most_keys: 1000 };

    /// The share that is slow of `count` traces whose durations are around `middle`.
    fn share(slow: &mut Slow, key: u64, middle: f64, from: Duration, count: u32, chance: &mut Chance) -> f64 {
        let mut found = 0;
        for number in 0..count {
            // Log-normal, near enough: the sum of three uniform numbers.
            let spread = chance.unit() + chance.unit() + chance.unit() - 1.5;
            let micros = (middle * 10_f64.powf(spread)) as u64;
            found += u32::from(slow.is_slow(key, micros, from + Duration::from_millis(10) * number));
        }
        f64::from(found) / f64::from(count)
    }

    #[test]
    fn each_key_has_its_own_idea_of_slow() {
        let (mut slow, mut chance) = (Slow::new(SETTINGS), Chance::new(4));
        for (key, middle) in [(1, 1000.0), (2, 5_000_000.0)] {
            let share = share(&mut slow, key, middle, Duration::ZERO, 50_000, &mut chance);
            assert!((0.006..=0.014).contains(&share), "key {key}: {share}");
        }
        assert!(slow.is_slow(1, 1_000_000, Duration::from_secs(500)), "slow for this one");
        assert!(!slow.is_slow(2, 1_000_000, Duration::from_secs(500)), "but not for that one");
    }

    #[test]
    fn what_is_normal_follows_the_load() {
        let (mut slow, mut chance) = (Slow::new(SETTINGS), Chance::new(8));
        share(&mut slow, 1, 1000.0, Duration::ZERO, 60_000, &mut chance);
        let slower = share(&mut slow, 1, 100_000.0, Duration::from_secs(600), 10_000, &mut chance);
        assert!(slower > 0.1, "a change is seen: {slower}");
        let settled = share(&mut slow, 1, 100_000.0, Duration::from_secs(2000), 50_000, &mut chance);
        assert!((0.006..=0.016).contains(&settled), "{settled}");
    }

    #[test]
    fn nothing_is_slow_before_enough_is_known_and_keys_are_bounded() {
        let mut slow = Slow::new(SETTINGS);
        assert!((0..100).all(|number| !slow.is_slow(1, number, Duration::ZERO)));
        assert!(slow.is_slow(1, 1000, Duration::ZERO));
        for key in 0..10_000 {
            slow.is_slow(key, 5, Duration::ZERO);
        }
        assert!(slow.known() <= 2000);
    }
}
