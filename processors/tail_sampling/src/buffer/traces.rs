//! The traces that wait, by identifier.

use std::hash::{BuildHasher as _, RandomState};
use std::ops::{Index, IndexMut};

use super::index::{Hash, TraceIndex};
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
    /// Due at no tick: it is to be kept, once its records are back in memory.
    pub(crate) const AWAITED: u32 = u32::MAX - 1;
}

/// The traces of a shard. Memory follows their number, up and down.
pub(crate) struct Traces {
    places: Places,
    index: TraceIndex,
    seeds: (u64, u64),
    len: usize,
    pass: u32,
}

impl Default for Traces {
    fn default() -> Traces {
        let random = RandomState::new();
        Traces {
            places: Places::default(),
            index: TraceIndex::default(),
            seeds: (random.hash_one(0), random.hash_one(1)),
            len: 0,
            pass: 0,
        }
    }
}

/// The hash of an identifier; nobody who does not know the seeds can choose identifiers that meet.
#[inline]
fn hash_of(seeds: (u64, u64), id: &[u8; 16]) -> Hash {
    let id = u128::from_le_bytes(*id);
    let product = u128::from(id as u64 ^ seeds.0) * u128::from((id >> 64) as u64 ^ seeds.1);
    Hash::new(product as u64 ^ (product >> 64) as u64 ^ (id as u64).rotate_left(29))
}

/// A trace that is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup {
    pub(crate) id: [u8; 16],
    /// Where it is; none where it does not wait.
    pub(crate) slot: Option<Slot>,
    /// Spans that follow each other and are of it.
    pub(crate) spans: u32,
    hash: Hash,
}

impl Traces {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn find(&self, id: &[u8; 16]) -> Option<Slot> {
        self.find_hashed(hash_of(self.seeds, id), id)
    }

    #[inline]
    fn find_hashed(&self, hash: Hash, id: &[u8; 16]) -> Option<Slot> {
        self.index.find(hash, |slot| self[slot].facts.id == *id)
    }

    /// A trace to be looked for by [`Traces::look_up`].
    #[inline]
    pub(crate) fn lookup(&self, id: [u8; 16]) -> Lookup {
        Lookup { id, slot: None, spans: 1, hash: hash_of(self.seeds, &id) }
    }

    /// Looks many traces up. Each step is done for all of them before the next one, and asks for memory without waiting for it: so
    /// memory is waited for three times, and not three times for each.
    pub(crate) fn look_up(&self, wanted: &mut [Lookup]) {
        let mut touched = 0;
        for lookup in wanted.iter() {
            touched ^= self.index.touch(lookup.hash);
        }
        for lookup in wanted.iter_mut() {
            lookup.slot = self.index.find(lookup.hash, |_| true);
        }
        for slot in wanted.iter().filter_map(|lookup| lookup.slot) {
            touched ^= self.touch(slot);
        }
        std::hint::black_box(touched);
        for lookup in wanted {
            if lookup.slot.is_some_and(|slot| self[slot].facts.id != lookup.id) {
                lookup.slot = self.find_hashed(lookup.hash, &lookup.id);
            }
        }
    }

    /// Something of both lines of an entry.
    #[inline]
    fn touch(&self, slot: Slot) -> u64 {
        let entry = &self[slot];
        u64::from(entry.facts.id[0]) ^ u64::from(entry.due) ^ entry.facts.first_seen
    }

    /// Reads what deciding about these traces and removing them reads, and says where their newest records are.
    pub(crate) fn look_ahead(&self, slots: &[Slot], heads: &mut [RecordRef]) {
        for (slot, head) in slots.iter().zip(heads.iter_mut()) {
            *head = self.get(*slot).map_or(RecordRef::NONE, |entry| entry.head);
        }
        let mut touched = 0;
        for entry in slots.iter().take(heads.len()).filter_map(|slot| self.get(*slot)) {
            touched ^= self.index.touch(hash_of(self.seeds, &entry.facts.id));
        }
        std::hint::black_box(touched);
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
        let hash = hash_of(self.seeds, &facts.id);
        let slot = self.places.take(Entry { facts, head: RecordRef::NONE, due, pass: self.pass });
        self.index.insert(hash, slot);
        self.len += 1;
        slot
    }

    /// Takes a trace out that is there.
    pub(crate) fn remove(&mut self, slot: Slot) -> (TraceFacts, RecordRef) {
        let entry = &mut self[slot];
        let head = std::mem::replace(&mut entry.head, RecordRef::NONE);
        let empty = TraceFacts::new([0; 16], std::time::Duration::ZERO, 0);
        let facts = std::mem::replace(&mut entry.facts, empty);
        if self.index.remove(hash_of(self.seeds, &facts.id), slot) {
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
        self.index.room()
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
