//! Where traces are, by a hash of their identifier.
//!
//! Each part is a ring of words, half of which say the hash and half the slot: whoever looks begins at the word that the hash
//! names and goes on until one is free (linear probing), so nearly every look reads one line of memory. What is removed
//! is filled by what stands behind it. Parts grow and shrink by themselves, so that nothing waits for all of it.

use super::traces::Slot;

/// The hash of an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hash {
    part: u8,
    /// Never [`FREE`]'s.
    rest: u32,
}

impl Hash {
    /// From 64 bits of which each depends on the whole identifier.
    #[inline]
    pub(super) fn new(bits: u64) -> Hash {
        Hash { part: (bits >> 32) as u8 % PARTS as u8, rest: (bits as u32).min(u32::MAX - 1) }
    }
}

/// A word that says nothing.
const FREE: u64 = u64::MAX;
const PARTS: usize = 64;
/// And each has this many places at least, once it has any.
const LEAST_PLACES: usize = 64;
/// A part that is filled to less than one in so many shrinks.
const SPARSE: usize = 8;

#[inline]
fn word(rest: u32, slot: Slot) -> u64 {
    u64::from(rest) << 32 | u64::from(slot.0)
}

#[inline]
fn rest_of(word: u64) -> u32 {
    (word >> 32) as u32
}

#[inline]
fn slot_of(word: u64) -> Slot {
    Slot(word as u32)
}

/// A ring of words; its length is a power of two, or 0.
#[derive(Default)]
struct Part {
    words: Vec<u64>,
    len: usize,
}

impl Part {
    /// Where a look begins. The upper bits decide, so that a ring that grows keeps the order of its words.
    #[inline]
    fn home(&self, rest: u32) -> usize {
        ((u64::from(rest) * self.words.len() as u64) >> 32) as usize
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.words.len() - 1)
    }

    /// The first place from the home on whose word is as wanted.
    #[inline]
    fn position(&self, rest: u32, is_wanted: impl Fn(u64) -> bool) -> Option<usize> {
        if self.words.is_empty() {
            return None;
        }
        let mut at = self.home(rest);
        loop {
            let word = self.words[at];
            if word == FREE {
                return None;
            }
            if is_wanted(word) {
                return Some(at);
            }
            at = self.after(at);
        }
    }

    /// Puts a word that is not there where there is room.
    fn put(&mut self, word: u64) {
        let mut at = self.home(rest_of(word));
        while self.words[at] != FREE {
            at = self.after(at);
        }
        self.words[at] = word;
    }

    fn set_room(&mut self, places: usize) {
        let old = std::mem::replace(&mut self.words, vec![FREE; places]);
        for word in old.into_iter().filter(|word| *word != FREE) {
            self.put(word);
        }
    }

    fn insert(&mut self, word: u64) {
        // At most three in four places are taken.
        if (self.len + 1) * 4 > self.words.len() * 3 {
            self.set_room((2 * self.words.len()).max(LEAST_PLACES));
        }
        self.put(word);
        self.len += 1;
    }

    /// Takes the word at a place out, and closes the gap that it leaves.
    fn remove_at(&mut self, mut gap: usize) {
        let mask = self.words.len() - 1;
        let mut at = gap;
        loop {
            at = self.after(at);
            let word = self.words[at];
            if word == FREE {
                break;
            }
            // A word may move to the gap where that is not before its home.
            let from_home = at.wrapping_sub(self.home(rest_of(word))) & mask;
            if from_home >= at.wrapping_sub(gap) & mask {
                self.words[gap] = word;
                gap = at;
            }
        }
        self.words[gap] = FREE;
        self.len -= 1;
        if self.len < self.words.len() / SPARSE && self.words.len() > LEAST_PLACES {
            self.set_room(self.words.len() / 2);
        }
    }
}

/// The places of all traces of a shard.
pub(super) struct TraceIndex {
    parts: Vec<Part>,
}

impl Default for TraceIndex {
    fn default() -> TraceIndex {
        TraceIndex { parts: (0..PARTS).map(|_| Part::default()).collect() }
    }
}

impl TraceIndex {
    /// Something of what a look for a hash reads first, so that many looks can wait for memory together.
    #[inline]
    pub(super) fn touch(&self, hash: Hash) -> u64 {
        let part = &self.parts[usize::from(hash.part)];
        part.words.get(part.home(hash.rest)).copied().unwrap_or_default()
    }

    /// The first slot of that hash which is the one.
    #[inline]
    pub(super) fn find(&self, hash: Hash, is_it: impl Fn(Slot) -> bool) -> Option<Slot> {
        let part = &self.parts[usize::from(hash.part)];
        let wanted = |word: u64| rest_of(word) == hash.rest && is_it(slot_of(word));
        part.position(hash.rest, wanted).map(|at| slot_of(part.words[at]))
    }

    /// Adds a slot that is not there.
    pub(super) fn insert(&mut self, hash: Hash, slot: Slot) {
        self.parts[usize::from(hash.part)].insert(word(hash.rest, slot));
    }

    /// Takes a slot out; false where it is not there.
    pub(super) fn remove(&mut self, hash: Hash, slot: Slot) -> bool {
        let part = &mut self.parts[usize::from(hash.part)];
        let wanted = word(hash.rest, slot);
        let found = part.position(hash.rest, |word| word == wanted);
        found.map(|at| part.remove_at(at)).is_some()
    }

    /// Places for which there is memory.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.parts.iter().map(|part| part.words.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_finds_what_a_map_finds(steps in prop::collection::vec((any::<bool>(), 0..200_u32), 1..2000)) {
            // All in one part, and hashes that collide, at both ends of the ring.
            let hash = |n: u32| Hash { part: 3, rest: (n / 4).wrapping_mul(0x3fff_ffff).min(u32::MAX - 1) };
            let mut index = TraceIndex::default();
            let mut model = HashMap::new();
            for (is_added, n) in steps {
                if is_added && model.insert(n, ()).is_none() {
                    index.insert(hash(n), Slot(n));
                } else if !is_added {
                    prop_assert_eq!(index.remove(hash(n), Slot(n)), model.remove(&n).is_some());
                }
            }
            for n in 0..200 {
                let expected = model.contains_key(&n).then_some(Slot(n));
                prop_assert_eq!(index.find(hash(n), |slot| slot == Slot(n)), expected);
            }
        }
    }

    #[test]
    fn memory_follows_the_number_of_traces() {
        let mut index = TraceIndex::default();
        let hash = |n: u32| Hash::new(u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31));
        (0..100_000).for_each(|n| index.insert(hash(n), Slot(n)));
        assert!(index.room() <= 100_000 * 4, "{}", index.room());
        (0..99_000).for_each(|n| assert!(index.remove(hash(n), Slot(n))));
        assert!(index.room() <= 16 * 1_000 + PARTS * LEAST_PLACES, "{}", index.room());
        assert!((99_000..100_000).all(|n| index.find(hash(n), |slot| slot == Slot(n)).is_some()));
    }
}
