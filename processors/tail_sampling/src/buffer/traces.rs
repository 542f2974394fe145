//! The traces that wait, by identifier.

use std::hash::{BuildHasher as _, RandomState};
use std::ops::{Index, IndexMut};

use hashbrown::HashTable;

use super::places::Places;
use super::segments::RecordRef;
use crate::facts::TraceFacts;

/// The place of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) u32);

/// A trace that waits: two lines of the processor's cache, and never parts of three.
#[repr(align(64))]
pub(crate) struct Entry {
    pub(crate) facts: TraceFacts,
    /// Its newest record.
    pub(crate) head: RecordRef,
    /// The tick of the wheel at which it is decided; [`Entry::GONE`] where the place is free.
    pub(crate) due: u32,
    /// The pass that moved its records last; in a free place, the next free one of its chunk.
    pub(super) pass: u32,
}

impl Entry {
    pub(crate) const GONE: u32 = u32::MAX;
}

/// Where a trace is, and its hash, so that neither growing nor most misses touch an entry.
#[derive(Clone, Copy)]
struct Place {
    slot: u32,
    hash: u32,
}

impl Place {
    /// What the table puts it by.
    #[inline]
    fn spread(&self) -> u64 {
        u64::from(self.hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// Parts of the index: each grows and shrinks by itself, so that nothing waits for all of it.
const PARTS: usize = 64;
/// A part that is filled to less than one in so many shrinks.
const SPARSE: usize = 8;
/// And has this many places at least.
const LEAST_PLACES: usize = 64;

/// The traces of a shard. Memory follows their number, up and down.
pub(crate) struct Traces {
    places: Places,
    index: Vec<HashTable<Place>>,
    seeds: (u64, u64),
    len: usize,
    pass: u32,
}

impl Default for Traces {
    fn default() -> Traces {
        let random = RandomState::new();
        Traces {
            places: Places::default(),
            index: (0..PARTS).map(|_| HashTable::new()).collect(),
            seeds: (random.hash_one(0), random.hash_one(1)),
            len: 0,
            pass: 0,
        }
    }
}

/// The part of the index that an identifier is in, and its place there without the slot.
#[inline]
fn locate(seeds: (u64, u64), id: &[u8; 16]) -> (usize, Place) {
    let id = u128::from_le_bytes(*id);
    let product = u128::from(id as u64 ^ seeds.0) * u128::from((id >> 64) as u64 ^ seeds.1);
    let hash = product as u64 ^ (product >> 64) as u64 ^ (id as u64).rotate_left(29);
    ((hash >> 32) as usize % PARTS, Place { slot: 0, hash: hash as u32 })
}

impl Traces {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn find(&self, id: &[u8; 16]) -> Option<Slot> {
        let (part, wanted) = locate(self.seeds, id);
        let same = |place: &Place| place.hash == wanted.hash && self[Slot(place.slot)].facts.id == *id;
        self.index[part].find(wanted.spread(), same).map(|place| Slot(place.slot))
    }

    /// The entry in a slot; none where no trace is.
    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> Option<&Entry> {
        self.places.get(slot).filter(|entry| entry.due != Entry::GONE)
    }

    /// When the trace in a slot is due; [`Entry::GONE`] where none is.
    #[inline]
    pub(crate) fn due(&self, slot: Slot) -> u32 {
        self.places.get(slot).map_or(Entry::GONE, |entry| entry.due)
    }

    /// Whether the trace of that identifier is in a slot still.
    #[inline]
    pub(crate) fn is_at(&self, slot: Slot, id: &[u8; 16]) -> bool {
        self.get(slot).is_some_and(|entry| entry.facts.id == *id)
    }

    /// Adds a trace that is not there.
    pub(crate) fn insert(&mut self, facts: TraceFacts, due: u32) -> Slot {
        let (part, place) = locate(self.seeds, &facts.id);
        let slot = self.places.take(Entry { facts, head: RecordRef::NONE, due, pass: self.pass });
        let place = Place { slot: slot.0, ..place };
        self.index[part].insert_unique(place.spread(), place, Place::spread);
        self.len += 1;
        slot
    }

    /// Takes a trace out that is there.
    pub(crate) fn remove(&mut self, slot: Slot) -> (TraceFacts, RecordRef) {
        let entry = &mut self[slot];
        let head = std::mem::replace(&mut entry.head, RecordRef::NONE);
        let empty = TraceFacts::new([0; 16], std::time::Duration::ZERO, 0);
        let facts = std::mem::replace(&mut entry.facts, empty);
        let (part, place) = locate(self.seeds, &facts.id);
        let index = &mut self.index[part];
        if let Ok(found) = index.find_entry(place.spread(), |other| other.slot == slot.0) {
            found.remove();
            if index.len() < index.capacity() / SPARSE && index.capacity() > LEAST_PLACES {
                index.shrink_to(2 * index.len(), Place::spread);
            }
            self.places.give_back(slot);
            self.len -= 1;
        }
        (facts, head)
    }

    /// A number for the next pass over a segment.
    pub(crate) fn next_pass(&mut self) -> u32 {
        self.pass = self.pass.wrapping_add(1);
        self.pass
    }

    /// Whether the trace in a slot is there and was not met in this pass.
    pub(crate) fn begin_moving(&mut self, slot: Slot, pass: u32) -> bool {
        let entry = self.places.get_mut(slot).filter(|entry| entry.due != Entry::GONE && entry.pass != pass);
        entry.map(|entry| entry.pass = pass).is_some()
    }

    /// The next `count` places, going round; with what is there.
    pub(crate) fn look_around(&mut self, count: usize, visit: impl FnMut(Slot, &Entry)) {
        self.places.look_around(count, visit);
    }

    /// All traces that are there.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.places.slots()
    }

    /// Entries for which there is memory.
    #[cfg(test)]
    pub(crate) fn room(&self) -> usize {
        self.places.room()
    }

    /// Traces for which the index has memory.
    #[cfg(test)]
    pub(crate) fn index_room(&self) -> usize {
        self.index.iter().map(HashTable::capacity).sum()
    }
}

impl Index<Slot> for Traces {
    type Output = Entry;

    #[inline]
    fn index(&self, slot: Slot) -> &Entry {
        self.places.get(slot).expect("a trace that is there has a place")
    }
}

impl IndexMut<Slot> for Traces {
    #[inline]
    fn index_mut(&mut self, slot: Slot) -> &mut Entry {
        self.places.get_mut(slot).expect("a trace that is there has a place")
    }
}
