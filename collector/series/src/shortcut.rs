//! Streams by the bytes that they came in.
//!
//! The identity of attributes does not mind their order and how they are encoded, so each of them is hashed by itself. A sender
//! writes the attributes of a stream alike every time: a hash of all the bytes at once finds the stream again for a tenth of that.
//! Who comes in other bytes is found by identity, as before, and remembered under these.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::{Fingerprint, Slot};

/// The hash of the bytes that something came in: 128 bits, as of an identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Came(Fingerprint);

impl Came {
    /// Of attributes, all bytes from the first to the last of them, and what is around them.
    pub fn of(around: Fingerprint, attributes: &[u8]) -> Came {
        // One half is the seed; with the other two of which the seeds are the same are told apart.
        let hash: Fingerprint = xxh3_128_with_seed(attributes, around.half()).into();
        Came(hash.plus(around))
    }

    fn is_nothing(self) -> bool {
        self == Came::default()
    }
}

/// The slots of one table, each under the bytes that its state came in last.
#[derive(Debug, Default)]
pub struct Shortcuts {
    index: HashTable<Slot>,
    /// By the number of a slot; nothing where the state is not in the index.
    came: Vec<Came>,
}

impl Shortcuts {
    /// The state that came in these bytes.
    pub fn find(&self, came: Came) -> Option<Slot> {
        self.index.find(came.0.spread(), |slot| self.came.get(slot.number()) == Some(&came)).copied()
    }

    /// Notes the bytes that a state came in, in the place of others.
    pub fn note(&mut self, slot: Slot, came: Came) {
        self.remove(slot);
        if self.came.len() <= slot.number() {
            // Doubling would leave half of a large list empty.
            let more = (slot.number() + 1).saturating_sub(self.came.capacity());
            if more > 0 {
                self.came.reserve_exact(
                    more.max(self.came.len() / 8).max(16) + self.came.capacity() - self.came.len(),
                );
            }
            self.came.resize(slot.number() + 1, Came::default());
        }
        self.came[slot.number()] = came;
        let all = &self.came;
        let spread = |slot: &Slot| all.get(slot.number()).map_or(0, |came| came.0.spread());
        self.index.insert_unique(came.0.spread(), slot, spread);
    }

    /// Forgets a state.
    pub fn remove(&mut self, slot: Slot) {
        let taken = self.came.get_mut(slot.number()).map(std::mem::take);
        let Some(came) = taken.filter(|came| !came.is_nothing()) else { return };
        if let Ok(entry) = self.index.find_entry(came.0.spread(), |other| *other == slot) {
            entry.remove();
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Shortcuts::default();
    }

    /// The bytes that it takes.
    pub fn memory(&self) -> usize {
        self.index.capacity() * 8 / 7 * (size_of::<Slot>() + 1) + self.came.capacity() * size_of::<Came>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::Table;

    fn made(bytes: u64) -> Came {
        // Few places, so that many meet.
        Came(Fingerprint::from(u128::from(bytes) << 64 | u128::from(bytes % 3)))
    }

    #[test]
    fn what_is_around_counts_as_well() {
        let (a, b) = (Fingerprint::from(1 << 64), Fingerprint::from(2 << 64));
        assert_ne!(Came::of(a, b"same"), Came::of(b, b"same"));
        assert_ne!(Came::of(a, b"same"), Came::of(a, b"other"));
        assert_eq!(Came::of(a, b""), Came::of(a, b""));
        // The same half.
        let (c, d) = (Fingerprint::from(1 << 64 | 5), Fingerprint::from(1 << 64 | 6));
        assert_ne!(Came::of(c, b"same"), Came::of(d, b"same"));
    }

    proptest! {
        #[test]
        fn each_is_found_under_what_it_came_in_last(steps in prop::collection::vec((0usize..20, 1u64..40, any::<bool>()), 0..200)) {
            let mut table = Table::new(100);
            let slots: Vec<Slot> = (1..=20_u128).map(|key| table.insert(Fingerprint::from(key), ()).expect("room")).collect();
            let (mut shortcuts, mut model) = (Shortcuts::default(), HashMap::new());
            for (index, bytes, removes) in steps {
                if removes {
                    shortcuts.remove(slots[index]);
                    model.retain(|_, slot| *slot != slots[index]);
                } else if !model.contains_key(&bytes) {
                    // Only who is not found is noted.
                    shortcuts.note(slots[index], made(bytes));
                    model.retain(|_, slot| *slot != slots[index]);
                    model.insert(bytes, slots[index]);
                }
                for bytes in 1..40 {
                    prop_assert_eq!(shortcuts.find(made(bytes)), model.get(&bytes).copied());
                }
            }
            shortcuts.clear();
            prop_assert_eq!(shortcuts.find(made(1)), None);
        }
    }
}
