use std::collections::HashMap;
use std::time::Duration;

/// A table of what was seen lately, by 64-bit key, bounded in time and number.
///
/// Two generations: what is asked for moves to the young one. When the young one is full or old the old one is forgotten,
/// and the young one is the old one. So what is seen at least once in `keep` stays, what is not seen for twice as long is
/// forgotten, and there are never more than twice `most` entries.
#[derive(Clone, Debug)]
pub struct Recent<T> {
    most: usize,
    keep: Duration,
    young: HashMap<u64, T>,
    old: HashMap<u64, T>,
    since: Option<Duration>,
}

impl<T: Default> Recent<T> {
    /// An empty table of generations of `most` keys and the time `keep`.
    pub fn new(most: usize, keep: Duration) -> Recent<T> {
        Recent { most: most.max(1), keep, young: HashMap::new(), old: HashMap::new(), since: None }
    }

    /// The entry of a key at a monotonic time; a default where it was not seen lately.
    pub fn entry(&mut self, key: u64, now: Duration) -> &mut T {
        let age = now.saturating_sub(*self.since.get_or_insert(now));
        if age >= self.keep {
            if age >= self.keep * 2 {
                self.young.clear();
            }
            self.turn(now);
        } else if self.young.len() >= self.most && !self.young.contains_key(&key) {
            self.turn(now);
        }
        let Recent { young, old, .. } = self;
        young.entry(key).or_insert_with(|| old.remove(&key).unwrap_or_default())
    }

    fn turn(&mut self, now: Duration) {
        self.old = std::mem::take(&mut self.young);
        self.since = Some(now);
    }

    /// Keys that are known.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn what_is_seen_stays_and_what_is_not_is_forgotten() {
        let mut table: Recent<u32> = Recent::new(100, MINUTE);
        for minute in 0..10 {
            *table.entry(1, MINUTE * minute) += 1;
        }
        assert_eq!(*table.entry(1, MINUTE * 9), 10);
        assert_eq!(*table.entry(1, MINUTE * 11), 0, "two minutes later");
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn it_is_bounded_and_what_is_seen_often_survives_a_flood() {
        let mut table: Recent<u32> = Recent::new(100, MINUTE);
        for key in 0..100_000 {
            table.entry(1000 + key, Duration::ZERO);
            *table.entry(1, Duration::ZERO) += 1;
            assert!(table.len() <= 200);
        }
        assert_eq!(*table.entry(1, Duration::ZERO), 100_000);
    }
}
