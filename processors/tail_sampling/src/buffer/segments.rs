//! Records in segments of memory.
//!
//! Segments are filled from front to back and never in between. What is let go leaves dead bytes; once these are more
//! than an eighth of everything, what still lives in the emptiest segment is moved, and the segment is free. So memory
//! is at most 8/7 of what lives (and two segments), and moving a byte frees at least one where traces leave in any
//! order but the worst.

mod cold;

use std::sync::Arc;

use super::interned::ScopeId;
use super::pool::{LARGEST_SHARED, Leased, Pool, SEGMENT};
use super::traces::Slot;

pub(crate) use cold::ColdRecord;
use cold::{Cold, Sealed};

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordRef {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
}

impl RecordRef {
    pub(crate) const NONE: RecordRef = RecordRef { segment: u32::MAX, offset: 0 };

    pub(crate) fn some(self) -> Option<RecordRef> {
        (self != RecordRef::NONE).then_some(self)
    }
}

/// What stands before the bytes of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) previous: RecordRef,
    pub(crate) slot: Slot,
    pub(crate) scope: ScopeId,
    pub(crate) len: u32,
}

impl Header {
    pub(crate) const BYTES: usize = 20;

    fn write(&self) -> [u8; Header::BYTES] {
        let mut bytes = [0; Header::BYTES];
        let words = [self.previous.segment, self.previous.offset, self.slot.0, self.scope.0, self.len];
        for (chunk, word) in bytes.chunks_exact_mut(4).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Header> {
        let bytes: &[u8; Header::BYTES] = bytes.first_chunk()?;
        let word = |index: usize| {
            let at = 4 * index;
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Some(Header {
            previous: RecordRef { segment: word(0), offset: word(1) },
            slot: Slot(word(2)),
            scope: ScopeId(word(3)),
            len: word(4),
        })
    }

    /// Bytes of the record.
    pub(crate) fn size(&self) -> u32 {
        Header::BYTES as u32 + self.len
    }
}

struct Segment {
    memory: Leased,
    live: usize,
    /// Its place in the order in which segments were sealed; 0 where it is not to be frozen.
    sealed: u64,
    /// Where it is frozen; then nothing is in its memory.
    cold: Option<Box<Cold>>,
}

/// All segments of a shard.
pub(crate) struct Segments {
    pool: Arc<Pool>,
    list: Vec<Option<Segment>>,
    free: Vec<u32>,
    /// The one that is filled.
    current: Option<u32>,
    /// Bytes that live in segments that are not frozen.
    live: usize,
    /// Bytes written into those.
    written: usize,
    /// Segments of which at most a quarter, a half, three quarters live; some of them may not be there any more.
    sparse: [Vec<u32>; 3],
    sealed: Sealed,
    /// How many are frozen, and bytes of what is known of them.
    cold: usize,
    cold_bytes: usize,
    /// Names of frozen ones of which nothing lives any more.
    over: Vec<u64>,
}

impl Segments {
    pub(crate) fn new(pool: Arc<Pool>) -> Segments {
        Segments {
            pool,
            list: Vec::new(),
            free: Vec::new(),
            current: None,
            live: 0,
            written: 0,
            sparse: Default::default(),
            sealed: Sealed::default(),
            cold: 0,
            cold_bytes: 0,
            over: Vec::new(),
        }
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// From now on memory comes from another pool, and goes there.
    pub(crate) fn set_pool(&mut self, pool: Arc<Pool>) {
        self.pool = pool;
    }

    /// Bytes of records that live, with their headers.
    pub(crate) fn live_bytes(&self) -> usize {
        self.live
    }

    /// Bytes of memory that segments take, as far as they are filled.
    #[cfg(test)]
    pub(crate) fn written_bytes(&self) -> usize {
        self.written
    }

    fn segment(&self, number: u32) -> Option<&Segment> {
        self.list.get(number as usize)?.as_ref()
    }

    pub(crate) fn header_within(&self, at: RecordRef) -> Option<Header> {
        Header::read(self.segment(at.segment)?.memory.bytes.get(at.offset as usize..)?)
    }

    /// The header of a record that is there.
    pub(crate) fn header(&self, at: RecordRef) -> Header {
        let header = self.header_within(at).or_else(|| self.cold(at)?.header(at.offset));
        header.expect("a record that is linked is there")
    }

    #[cold]
    fn cold(&self, at: RecordRef) -> Option<&Cold> {
        self.segment(at.segment)?.cold.as_deref()
    }

    /// The bytes of a record that is here; see [`Segments::ticket_of`].
    pub(crate) fn body(&self, at: RecordRef) -> &[u8] {
        let header = self.header(at);
        let (start, len) = (at.offset as usize + Header::BYTES, header.len as usize);
        self.segment(at.segment)
            .and_then(|segment| segment.memory.bytes.get(start..start + len))
            .or_else(|| self.cold(at)?.body(start, len))
            .expect("a record that is linked is there")
    }

    /// The number of a segment with room for `size` bytes.
    fn with_room(&mut self, size: usize) -> u32 {
        let is_shared = size <= LARGEST_SHARED;
        if is_shared
            && let Some(current) = self.current
            && let Some(segment) = self.segment(current)
            && segment.memory.bytes.capacity() - segment.memory.bytes.len() >= size
        {
            return current;
        }
        let segment = Segment { memory: self.pool.lease(size), live: 0, sealed: 0, cold: None };
        let number = match self.free.pop() {
            Some(number) => {
                self.list[number as usize] = Some(segment);
                number
            }
            None => {
                self.list.push(Some(segment));
                self.list.len() as u32 - 1
            }
        };
        if is_shared {
            let full = self.current.replace(number);
            if let Some(full) = full {
                self.note_sparse(full, SEGMENT);
                self.note_sealed(full);
            }
        } else {
            self.note_sealed(number);
        }
        number
    }

    pub(crate) fn append(
        &mut self,
        previous: RecordRef,
        slot: Slot,
        scope: ScopeId,
        body: &[u8],
    ) -> RecordRef {
        let header = Header { previous, slot, scope, len: body.len() as u32 };
        let size = header.size() as usize;
        let number = self.with_room(size);
        let segment = self.list[number as usize].as_mut().expect("a segment with room is there");
        let offset = segment.memory.bytes.len() as u32;
        segment.memory.bytes.extend_from_slice(&header.write());
        segment.memory.bytes.extend_from_slice(body);
        segment.live += size;
        self.live += size;
        self.written += size;
        RecordRef { segment: number, offset }
    }

    /// Copies a record, whose old place is dead from now on.
    pub(crate) fn copy(&mut self, at: RecordRef) -> RecordRef {
        let header = self.header(at);
        let size = header.size() as usize;
        let number = self.with_room(size);
        // Taken out, so that one segment can be read while another is written.
        let from = self.list[at.segment as usize].take().expect("a record that is linked is there");
        let to = self.list[number as usize].as_mut().expect("a segment with room is there");
        let offset = to.memory.bytes.len() as u32;
        let start = at.offset as usize;
        to.memory.bytes.extend_from_slice(&from.memory.bytes[start..start + size]);
        to.live += size;
        self.written += size;
        self.list[at.segment as usize] = Some(Segment { live: from.live - size, ..from });
        RecordRef { segment: number, offset }
    }

    /// Links a record to an older one.
    pub(crate) fn relink(&mut self, newer: RecordRef, older: RecordRef) {
        let segment = self.list[newer.segment as usize].as_mut().expect("a record that is linked is there");
        if let Some(cold) = &mut segment.cold {
            return cold.relink(newer.offset, older);
        }
        let at = newer.offset as usize;
        segment.memory.bytes[at..at + 4].copy_from_slice(&older.segment.to_le_bytes());
        segment.memory.bytes[at + 4..at + 8].copy_from_slice(&older.offset.to_le_bytes());
    }

    /// Lets a record go; returns its scope.
    pub(crate) fn release(&mut self, at: RecordRef) -> ScopeId {
        let header = self.header(at);
        let size = header.size() as usize;
        let segment = self.list[at.segment as usize].as_mut().expect("a record that is linked is there");
        let before = segment.live;
        segment.live -= size;
        if let Some(cold) = &mut segment.cold {
            cold.let_go(at.offset);
            if segment.live == 0 {
                self.free(at.segment);
            }
            return header.scope;
        }
        self.live -= size;
        if self.current != Some(at.segment) {
            if segment.live == 0 {
                self.free(at.segment);
            } else {
                self.note_sparse(at.segment, before);
            }
        }
        header.scope
    }

    /// Notes a segment where it has become sparser than a list says.
    fn note_sparse(&mut self, number: u32, before: usize) {
        let Some(segment) = self.segment(number) else { return };
        let live = segment.live;
        let quarter = segment.memory.bytes.len() / 4;
        for (index, list) in self.sparse.iter_mut().enumerate() {
            let bound = (index + 1) * quarter;
            if live <= bound && before > bound {
                list.push(number);
            }
        }
    }

    /// The segment whose survivors should be moved, if that is worth it now.
    pub(crate) fn sparse(&mut self) -> Option<u32> {
        let dead = self.written - self.live;
        if dead <= self.written / 8 + SEGMENT {
            return None;
        }
        for index in 0..self.sparse.len() {
            while let Some(number) = self.sparse[index].pop() {
                let Some(segment) = self.segment(number) else { continue };
                let bound = (index + 1) * (segment.memory.bytes.len() / 4);
                if segment.live <= bound && self.current != Some(number) {
                    return Some(number);
                }
            }
        }
        None
    }

    /// Gives a segment back in which nothing lives.
    pub(crate) fn free(&mut self, number: u32) {
        let Some(segment) = self.list[number as usize].take() else { return };
        if let Some(cold) = &segment.cold {
            self.free_cold(cold);
        }
        self.written -= segment.memory.bytes.len();
        self.free.push(number);
        self.pool.give_back(segment.memory);
    }
}
