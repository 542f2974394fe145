//! Memory for entries, in chunks that go once nothing is in them.
//!
//! Entries never move. One chunk is filled at a time, so traces that begin together are together, and are gone together:
//! then their chunk is given back. A chunk that empties in another order is filled again once a quarter of it is free, so
//! memory is at most a third more than what lives, and two chunks.

use std::collections::BTreeSet;

use super::traces::{Entry, Slot};

const CHUNK_BITS: u32 = 12;
const CHUNK: usize = 1 << CHUNK_BITS;
/// A chunk with so many free places is filled again.
const ROOMY: usize = CHUNK / 4;
/// The end of a list of free places.
const NONE: u32 = u32::MAX;

struct Chunk {
    /// None in memory where nothing lives.
    entries: Vec<Entry>,
    /// The first free place that had been taken before.
    free: u32,
    live: usize,
}

impl Chunk {
    fn has_room(&self) -> bool {
        self.live < CHUNK
    }
}

/// Places for entries.
#[derive(Default)]
pub(super) struct Places {
    chunks: Vec<Chunk>,
    /// The chunk that is filled.
    current: usize,
    /// Others in which it is worth to fill what is free.
    roomy: BTreeSet<usize>,
    /// Chunks without memory.
    vacant: Vec<usize>,
    /// Memory for the next chunk that is needed.
    spare: Option<Vec<Entry>>,
    /// Where the next look around begins.
    hand: u32,
}

fn chunk_of(slot: Slot) -> usize {
    (slot.0 >> CHUNK_BITS) as usize
}

fn index_of(slot: Slot) -> usize {
    slot.0 as usize & (CHUNK - 1)
}

impl Places {
    #[inline]
    pub(super) fn get(&self, slot: Slot) -> Option<&Entry> {
        self.chunks.get(chunk_of(slot))?.entries.get(index_of(slot))
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.chunks.get_mut(chunk_of(slot))?.entries.get_mut(index_of(slot))
    }

    /// Finds a place for an entry.
    pub(super) fn take(&mut self, entry: Entry) -> Slot {
        if !self.chunks.get(self.current).is_some_and(Chunk::has_room) {
            self.current = self.roomy.pop_first().unwrap_or_else(|| self.begin_chunk());
        }
        let chunk = &mut self.chunks[self.current];
        chunk.live += 1;
        let index = match chunk.free {
            NONE => {
                chunk.entries.push(entry);
                chunk.entries.len() as u32 - 1
            }
            free => {
                let place = &mut chunk.entries[free as usize];
                chunk.free = place.pass;
                *place = entry;
                free
            }
        };
        Slot((self.current << CHUNK_BITS) as u32 | index)
    }

    fn begin_chunk(&mut self) -> usize {
        let entries = self.spare.take().unwrap_or_else(|| Vec::with_capacity(CHUNK));
        let chunk = Chunk { entries, free: NONE, live: 0 };
        match self.vacant.pop() {
            Some(number) => {
                self.chunks[number] = chunk;
                number
            }
            None => {
                self.chunks.push(chunk);
                self.chunks.len() - 1
            }
        }
    }

    /// The place of an entry is free.
    pub(super) fn give_back(&mut self, slot: Slot) {
        let number = chunk_of(slot);
        let chunk = &mut self.chunks[number];
        let index = index_of(slot);
        let place = &mut chunk.entries[index];
        place.due = Entry::GONE;
        place.pass = std::mem::replace(&mut chunk.free, index as u32);
        chunk.live -= 1;
        if chunk.live == 0 {
            let mut entries = std::mem::take(&mut chunk.entries);
            entries.clear();
            chunk.free = NONE;
            if number == self.current {
                chunk.entries = entries;
            } else {
                self.roomy.remove(&number);
                self.vacant.push(number);
                self.spare.get_or_insert(entries);
            }
        } else if chunk.live == CHUNK - ROOMY && number != self.current {
            self.roomy.insert(number);
        }
    }

    /// The next `count` places, going round; with what is there.
    pub(super) fn look_around(&mut self, count: usize, mut visit: impl FnMut(Slot, &Entry)) {
        let places = self.chunks.len() << CHUNK_BITS;
        let (mut left, mut walked) = (count, 0);
        while left > 0 && walked < places {
            self.hand += 1;
            walked += 1;
            if self.hand as usize >= places {
                self.hand = 0;
            }
            let slot = Slot(self.hand);
            match self.get(slot) {
                Some(entry) => {
                    left -= 1;
                    if entry.due != Entry::GONE {
                        visit(slot, entry);
                    }
                }
                // The rest of the chunk has no memory, or was never used.
                None => {
                    let rest = CHUNK - 1 - index_of(slot);
                    self.hand += rest as u32;
                    walked += rest;
                }
            }
        }
    }

    /// All places with an entry.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        let places = self.chunks.iter().enumerate().flat_map(|(number, chunk)| {
            let first = (number << CHUNK_BITS) as u32;
            chunk.entries.iter().enumerate().map(move |(index, entry)| (Slot(first | index as u32), entry))
        });
        places.filter(|(_, entry)| entry.due != Entry::GONE).map(|(slot, _)| slot)
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        let spare = self.spare.as_ref().map_or(0, Vec::capacity);
        self.chunks.iter().map(|chunk| chunk.entries.capacity()).sum::<usize>() + spare
    }
}
