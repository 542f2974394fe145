//! The traces that wait, by identifier.

use std::hash::{BuildHasher as _, RandomState};
use std::ops::{Index, IndexMut};

use hashbrown::HashTable;

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
    /// The pass that moved its records last.
    pass: u32,
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

/// Parts of the index: each grows by itself, so that no insertion waits for all of it to grow.
const PARTS: usize = 64;
const CHUNK_BITS: u32 = 12;
const CHUNK: usize = 1 << CHUNK_BITS;

pub(crate) struct Traces {
    /// Entries never move.
    chunks: Vec<Vec<Entry>>,
    free: Vec<u32>,
    index: Vec<HashTable<Place>>,
    seeds: (u64, u64),
    len: usize,
    pass: u32,
    /// Where the next look for victims begins.
    hand: u32,
}

impl Default for Traces {
    fn default() -> Traces {
        let random = RandomState::new();
        Traces {
            chunks: Vec::new(),
            free: Vec::new(),
            index: (0..PARTS).map(|_| HashTable::new()).collect(),
            seeds: (random.hash_one(0), random.hash_one(1)),
            len: 0,
            pass: 0,
            hand: 0,
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

    /// Whether the trace of that identifier is in a slot still.
    #[inline]
    pub(crate) fn is_at(&self, slot: Slot, id: &[u8; 16]) -> bool {
        self[slot].due != Entry::GONE && self[slot].facts.id == *id
    }

    /// Adds a trace that is not there.
    pub(crate) fn insert(&mut self, facts: TraceFacts, due: u32) -> Slot {
        let (part, place) = locate(self.seeds, &facts.id);
        let entry = Entry { facts, head: RecordRef::NONE, due, pass: self.pass };
        let slot = match self.free.pop() {
            Some(slot) => {
                self[Slot(slot)] = entry;
                slot
            }
            None => {
                if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
                    self.chunks.push(Vec::with_capacity(CHUNK));
                }
                let count = self.chunks.len();
                let chunk = &mut self.chunks[count - 1];
                chunk.push(entry);
                ((count - 1) << CHUNK_BITS) as u32 + chunk.len() as u32 - 1
            }
        };
        let place = Place { slot, ..place };
        self.index[part].insert_unique(place.spread(), place, Place::spread);
        self.len += 1;
        Slot(slot)
    }

    /// Takes a trace out.
    pub(crate) fn remove(&mut self, slot: Slot) -> (TraceFacts, RecordRef) {
        let id = self[slot].facts.id;
        let (part, place) = locate(self.seeds, &id);
        if let Ok(found) = self.index[part].find_entry(place.spread(), |other| other.slot == slot.0) {
            found.remove();
            self.free.push(slot.0);
            self.len -= 1;
        }
        let entry = &mut self[slot];
        entry.due = Entry::GONE;
        let head = std::mem::replace(&mut entry.head, RecordRef::NONE);
        let empty = TraceFacts::new([0; 16], std::time::Duration::ZERO, 0);
        (std::mem::replace(&mut entry.facts, empty), head)
    }

    /// A number for the next pass over a segment.
    pub(crate) fn next_pass(&mut self) -> u32 {
        self.pass = self.pass.wrapping_add(1);
        self.pass
    }

    /// Whether the trace in a slot is there and was not met in this pass.
    pub(crate) fn begin_moving(&mut self, slot: Slot, pass: u32) -> bool {
        let entry = &mut self[slot];
        let is_new = entry.due != Entry::GONE && entry.pass != pass;
        entry.pass = pass;
        is_new
    }

    /// The next `count` places, going round; with what is there.
    pub(crate) fn look_around(&mut self, count: usize, mut visit: impl FnMut(Slot, &Entry)) {
        let places = match self.chunks.last() {
            Some(last) => ((self.chunks.len() - 1) * CHUNK + last.len()) as u32,
            None => return,
        };
        for _ in 0..count.min(places as usize) {
            self.hand = if self.hand + 1 >= places { 0 } else { self.hand + 1 };
            let entry = at(&self.chunks, self.hand);
            if entry.due != Entry::GONE {
                visit(Slot(self.hand), entry);
            }
        }
    }

    /// All traces that are there.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> {
        let places = self.chunks.iter().enumerate().flat_map(|(number, chunk)| {
            let first = (number * CHUNK) as u32;
            chunk.iter().enumerate().map(move |(index, entry)| (first + index as u32, entry))
        });
        places.filter(|(_, entry)| entry.due != Entry::GONE).map(|(slot, _)| Slot(slot))
    }
}

#[inline]
fn at(chunks: &[Vec<Entry>], slot: u32) -> &Entry {
    &chunks[(slot >> CHUNK_BITS) as usize][slot as usize & (CHUNK - 1)]
}

impl Index<Slot> for Traces {
    type Output = Entry;

    #[inline]
    fn index(&self, slot: Slot) -> &Entry {
        at(&self.chunks, slot.0)
    }
}

impl IndexMut<Slot> for Traces {
    #[inline]
    fn index_mut(&mut self, slot: Slot) -> &mut Entry {
        &mut self.chunks[(slot.0 >> CHUNK_BITS) as usize][slot.0 as usize & (CHUNK - 1)]
    }
}
