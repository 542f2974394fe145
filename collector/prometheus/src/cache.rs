//! What was made once, by fingerprint, for as long as it is used.

use phoenix_series::{Fingerprint, FingerprintMap};

/// Two generations of entries: when the younger is full the older is forgotten, and the younger becomes the older.
/// So an entry that is used stays, and there are never more than twice `limit`.
#[derive(Debug)]
pub(crate) struct Cache<T> {
    young: FingerprintMap<T>,
    old: FingerprintMap<T>,
    limit: usize,
    turns: u64,
}

impl<T: Clone> Cache<T> {
    pub(crate) fn new(limit: usize) -> Cache<T> {
        Cache {
            young: FingerprintMap::default(),
            old: FingerprintMap::default(),
            limit: limit.max(1),
            turns: 0,
        }
    }

    /// The entry of `key`, if it was used lately.
    pub(crate) fn find(&self, key: Fingerprint) -> Option<&T> {
        self.young.get(&key)
    }

    /// The entry of `key`, made if it is not there.
    pub(crate) fn get(&mut self, key: Fingerprint, make: impl FnOnce() -> T) -> T {
        if let Some(found) = self.young.get(&key) {
            return found.clone();
        }
        let entry = self.old.remove(&key).unwrap_or_else(make);
        if self.young.len() >= self.limit {
            self.old = std::mem::take(&mut self.young);
            self.turns += 1;
        }
        self.young.insert(key, entry.clone());
        entry
    }

    /// How often a generation was forgotten.
    pub(crate) fn turns(&self) -> u64 {
        self.turns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_there_is_a_bound() {
        let mut cache: Cache<u64> = Cache::new(10);
        let mut made = 0;
        for number in 0..1000_u64 {
            for key in [number, 0] {
                let entry = cache.get(u128::from(key).into(), || {
                    made += 1;
                    key
                });
                assert_eq!((entry, cache.find(u128::from(key).into())), (key, Some(&key)));
            }
            assert!(cache.young.len() + cache.old.len() <= 20);
        }
        assert_eq!(made, 1000);
        assert!(cache.turns() > 90);
    }
}
