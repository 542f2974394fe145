//! Streams by the bytes that they came in.
//!
//! The identity of attributes does not mind their order and how they are encoded, so each of them is hashed by itself. A sender
//! writes the attributes of a stream alike every time: a hash of all the bytes at once finds the stream again for a tenth of that.
//! Who comes in other bytes is found by identity, as before, and remembered under these.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{Fingerprint, Slot};

/// The hash of the bytes that something came in. Of a million streams two are taken for one with a probability of 3 in 100
/// million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Came(u64);

impl Came {
    /// Of attributes, all bytes from the first to the last of them, and what is around them.
    pub fn of(around: Fingerprint, attributes: &[u8]) -> Came {
        // 0 stands for nothing.
        Came(xxh3_64_with_seed(attributes, around.half()).max(1))
    }
}

/// The slots of one table, each under the bytes that its state came in last.
#[derive(Debug, Default)]
pub struct Shortcuts {
    index: HashTable<Slot>,
    /// By the number of a slot; 0 where the state is not in the index.
    came: Vec<u64>,
}

impl Shortcuts {
    /// The state that came in these bytes.
    pub fn find(&self, came: Came) -> Option<Slot> {
        self.index.find(came.0, |slot| self.came.get(slot.number()) == Some(&came.0)).copied()
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
            self.came.resize(slot.number() + 1, 0);
        }
        self.came[slot.number()] = came.0;
        let all = &self.came;
        let spread = |slot: &Slot| all.get(slot.number()).copied().unwrap_or(0);
        self.index.insert_unique(came.0, slot, spread);
    }

    /// Forgets a state.
    pub fn remove(&mut self, slot: Slot) {
        let Some(came) = self.came.get_mut(slot.number()).map(std::mem::take).filter(|came| *came != 0)
        else {
            return;
        };
        if let Ok(entry) = self.index.find_entry(came, |other| *other == slot) {
            entry.remove();
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Shortcuts::default();
    }

    /// The bytes that it takes.
    pub fn memory(&self) -> usize {
        self.index.capacity() * 8 / 7 * (size_of::<Slot>() + 1) + self.came.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::Table;

    #[test]
    fn what_is_around_counts_as_well() {
        let (a, b) = (Fingerprint::from(1 << 64), Fingerprint::from(2 << 64));
        assert_ne!(Came::of(a, b"same"), Came::of(b, b"same"));
        assert_ne!(Came::of(a, b"same"), Came::of(a, b"other"));
        assert_eq!(Came::of(a, b""), Came::of(a, b""));
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
                    shortcuts.note(slots[index], Came(bytes));
                    model.retain(|_, slot| *slot != slots[index]);
                    model.insert(bytes, slots[index]);
                }
                for bytes in 1..40 {
                    prop_assert_eq!(shortcuts.find(Came(bytes)), model.get(&bytes).copied());
                }
            }
            shortcuts.clear();
            prop_assert_eq!(shortcuts.find(Came(1)), None);
        }
    }
}
