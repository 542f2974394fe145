//! A bounded table of states that forgets the idle.

use std::num::NonZeroU32;

use hashbrown::HashTable;

use crate::Fingerprint;

/// Where a state is in its table; stays for as long as the state does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(NonZeroU32);

impl Slot {
    /// A table has fewer places than there are numbers, so that the next number is always there.
    fn at(index: usize) -> Slot {
        Slot(NonZeroU32::MIN.saturating_add(index as u32))
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }

    /// Its number in its table, from 0.
    pub fn number(self) -> usize {
        self.index()
    }
}

/// States by fingerprint, at most `capacity` of them. Grows as they come.
#[derive(Debug)]
pub struct Table<T> {
    /// By the fingerprints of the states, which are with those and nowhere else.
    index: HashTable<Slot>,
    states: Vec<Option<(Fingerprint, T)>>,
    free: Vec<Slot>,
    capacity: usize,
}

/// The hash of a state that is there.
fn spread<T>(states: &[Option<(Fingerprint, T)>], slot: Slot) -> u64 {
    states.get(slot.index()).and_then(Option::as_ref).map_or(0, |(key, _)| key.spread())
}

impl<T> Table<T> {
    /// An empty table.
    pub fn new(capacity: usize) -> Table<T> {
        let capacity = capacity.min(u32::MAX as usize - 1);
        Table { index: HashTable::new(), states: Vec::new(), free: Vec::new(), capacity }
    }

    /// How many states there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Whether no other state has room.
    pub fn is_full(&self) -> bool {
        self.len() >= self.capacity
    }

    /// The bytes that the table itself takes, without what its states point at.
    pub fn memory(&self) -> usize {
        let states = self.states.capacity() * size_of::<Option<(Fingerprint, T)>>();
        // Seven eighths of the places of a hash map can be taken; each has a byte of control.
        let index = self.index.capacity() * 8 / 7 * (size_of::<Slot>() + 1);
        states + index + self.free.capacity() * size_of::<Slot>()
    }

    /// How many places there are, whether or not a state is there.
    pub fn places(&self) -> usize {
        self.states.len()
    }

    /// Makes room for so many states, as far as they may be there.
    pub fn reserve(&mut self, states: usize) {
        let more = states.min(self.capacity).saturating_sub(self.len());
        self.states.reserve_exact(more);
        let states = &self.states;
        self.index.reserve(more, |slot| spread(states, *slot));
    }

    /// Changes how many states have room; those that are there stay.
    pub fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity.min(u32::MAX as usize - 1);
    }

    /// Where the state of a series is.
    pub fn find(&self, key: Fingerprint) -> Option<Slot> {
        let is_it = |slot: &Slot| self.key(*slot) == Some(key);
        self.index.find(key.spread(), is_it).copied()
    }

    /// A state.
    pub fn get(&self, slot: Slot) -> Option<&T> {
        Some(&self.states.get(slot.index())?.as_ref()?.1)
    }

    /// A state, to be changed.
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        Some(&mut self.states.get_mut(slot.index())?.as_mut()?.1)
    }

    /// Puts a state under a key that has none; gives it back if the table is full.
    ///
    /// # Errors
    /// The state, for which there is no room.
    pub fn insert(&mut self, key: Fingerprint, state: T) -> Result<Slot, T> {
        if self.is_full() {
            return Err(state);
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                self.states[slot.index()] = Some((key, state));
                slot
            }
            None => {
                let slot = Slot::at(self.states.len());
                if self.states.len() == self.states.capacity() {
                    // Doubling would leave half of a large table empty.
                    self.states.reserve_exact((self.states.len() / 8).max(16));
                }
                self.states.push(Some((key, state)));
                slot
            }
        };
        let states = &self.states;
        self.index.insert_unique(key.spread(), slot, |slot| spread(states, *slot));
        Ok(slot)
    }

    /// The series whose state it is.
    pub fn key(&self, slot: Slot) -> Option<Fingerprint> {
        self.states.get(slot.index())?.as_ref().map(|(key, _)| *key)
    }

    /// The place of that number, whether or not a state is there: for who walks in portions.
    pub fn place(&self, number: usize) -> Option<Slot> {
        (number < self.states.len()).then(|| Slot::at(number))
    }

    /// Takes a state out.
    pub fn remove(&mut self, slot: Slot) -> Option<T> {
        let (key, state) = self.states.get_mut(slot.index())?.take()?;
        if let Ok(entry) = self.index.find_entry(key.spread(), |other| *other == slot) {
            entry.remove();
        }
        self.free.push(slot);
        Some(state)
    }

    /// The states with their keys.
    pub fn into_states(self) -> impl Iterator<Item = (Fingerprint, T)> {
        self.states.into_iter().flatten()
    }

    /// Walks the states.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &T)> {
        let state = |(index, state): (usize, &'_ Option<(Fingerprint, T)>)| {
            state.is_some().then_some(Slot::at(index))
        };
        self.states.iter().enumerate().filter_map(state).filter_map(|slot| Some((slot, self.get(slot)?)))
    }

    /// Walks the states, and takes out those that `keep` says no to.
    pub fn retain(&mut self, mut keep: impl FnMut(Slot, &mut T) -> bool) {
        for (number, place) in self.states.iter_mut().enumerate() {
            let slot = Slot::at(number);
            if let Some((key, state)) = place
                && !keep(slot, state)
            {
                if let Ok(entry) = self.index.find_entry(key.spread(), |other| *other == slot) {
                    entry.remove();
                }
                *place = None;
                self.free.push(slot);
            }
        }
        // What was needed once is given back when a quarter of it would do.
        if self.index.is_empty() {
            self.states = Vec::new();
            self.free = Vec::new();
        }
        if self.index.len() < self.index.capacity() / 4 {
            let states = &self.states;
            self.index.shrink_to_fit(|slot| spread(states, *slot));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_takes_nobody_until_somebody_goes() {
        let mut table = Table::new(2);
        let key = |number: u128| Fingerprint::from(number << 64 | number);
        let a = table.insert(key(1), "a").expect("room");
        table.insert(key(2), "b").expect("room");
        assert_eq!(table.insert(key(3), "c"), Err("c"));
        assert_eq!((table.find(key(1)), table.get(a), table.is_full()), (Some(a), Some(&"a"), true));
        table.retain(|_, state| *state != "a");
        assert_eq!((table.find(key(1)), table.get(a), table.len()), (None, None, 1));
        let c = table.insert(key(3), "c").expect("room again");
        assert_eq!(c, a, "slots are used again");
        assert_eq!(table.iter().map(|(_, state)| *state).collect::<Vec<_>>(), ["c", "b"]);
        assert_eq!((table.key(c), table.place(1), table.place(2)), (Some(key(3)), Some(Slot::at(1)), None));
        assert_eq!(table.remove(c), Some("c"));
        assert_eq!(table.key(c), None);
        assert_eq!(table.remove(c), None);
        table.retain(|_, _| false);
        assert!(table.is_empty());
    }
}
