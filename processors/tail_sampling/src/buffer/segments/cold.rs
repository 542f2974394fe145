//! Segments whose bytes are elsewhere: what has to be known of their records meanwhile.
//!
//! A segment is frozen once nothing is written into it any more, and its bytes go to whoever keeps them. Links between records
//! go on to change, and records are let go; all of that is done to the headers, which stay. With its bytes back the segment is
//! as if it had never been away: every record is where it was.

use std::sync::Arc;

use super::{Header, RecordRef, Segment, Segments};
use crate::buffer::pool::{Leased, SEGMENT};

/// A record of a frozen segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColdRecord {
    pub(crate) offset: u32,
    /// Spans in it; none once it was let go.
    pub(crate) spans: u32,
    pub(crate) header: Header,
}

/// What stays of a frozen segment.
pub(super) struct Cold {
    /// Names it to whoever has the bytes.
    ticket: u64,
    /// In the order of their offsets.
    records: Vec<ColdRecord>,
    /// The bytes, until they are elsewhere.
    memory: Option<Arc<Leased>>,
    /// How many there are.
    len: usize,
}

impl Cold {
    fn index(&self, offset: u32) -> Option<usize> {
        self.records.binary_search_by_key(&offset, |record| record.offset).ok()
    }

    fn bytes(&self) -> usize {
        size_of::<Cold>() + self.records.capacity() * size_of::<ColdRecord>()
    }

    pub(super) fn body(&self, start: usize, len: usize) -> Option<&[u8]> {
        self.memory.as_ref()?.bytes.get(start..start + len)
    }

    pub(super) fn header(&self, offset: u32) -> Option<Header> {
        self.index(offset).map(|index| self.records[index].header)
    }

    pub(super) fn relink(&mut self, offset: u32, older: RecordRef) {
        if let Some(index) = self.index(offset) {
            self.records[index].header.previous = older;
        }
    }

    pub(super) fn let_go(&mut self, offset: u32) {
        if let Some(index) = self.index(offset) {
            self.records[index].spans = 0;
        }
    }
}

/// Segments that may be frozen, the last one to be sealed at the end, with the number that each was sealed under.
#[derive(Default)]
pub(super) struct Sealed {
    is_wanted: bool,
    last: u64,
    list: Vec<(u32, u64)>,
}

impl Segments {
    /// From now on segments can be frozen.
    pub(crate) fn allow_freezing(&mut self, is_wanted: bool) {
        self.sealed.is_wanted = is_wanted;
    }

    /// Nothing more is written into a segment.
    pub(super) fn note_sealed(&mut self, number: u32) {
        if !self.sealed.is_wanted {
            return;
        }
        self.sealed.last += 1;
        let order = self.sealed.last;
        if let Some(segment) = self.list.get_mut(number as usize).and_then(Option::as_mut) {
            segment.sealed = order;
            self.sealed.list.push((number, order));
        }
        if self.sealed.list.len() > 2 * self.list.len() + 64 {
            let list = &self.list;
            self.sealed.list.retain(|(number, order)| is_sealed(list, *number, *order));
        }
    }

    /// The segment that was sealed last and can be frozen: what is in it is due last. One that came back is not frozen again.
    pub(crate) fn next_to_freeze(&mut self) -> Option<u32> {
        while let Some((number, order)) = self.sealed.list.pop() {
            if is_sealed(&self.list, number, order) {
                return Some(number);
            }
        }
        None
    }

    /// Everything that can be frozen at all, the segment that is filled among them.
    pub(crate) fn seal_all(&mut self) -> Vec<u32> {
        self.current = None;
        self.sealed.list.clear();
        let hot = |(number, segment): (usize, &Option<Segment>)| {
            segment.as_ref().filter(|segment| segment.cold.is_none() && segment.live > 0)?;
            u32::try_from(number).ok()
        };
        self.list.iter().enumerate().filter_map(hot).collect()
    }

    /// Bytes written into a segment that is in memory.
    pub(crate) fn written_into(&self, number: u32) -> usize {
        self.segment(number).map_or(0, |segment| segment.memory.bytes.len())
    }

    /// Freezes a segment in which these records live; its bytes.
    pub(crate) fn freeze(
        &mut self,
        number: u32,
        ticket: u64,
        records: Vec<ColdRecord>,
    ) -> Option<Arc<Leased>> {
        let nothing = self.pool.nothing();
        let segment =
            self.list.get_mut(number as usize)?.as_mut().filter(|segment| segment.cold.is_none())?;
        let memory = Arc::new(std::mem::replace(&mut segment.memory, nothing));
        let cold = Cold { ticket, records, memory: Some(memory.clone()), len: memory.bytes.len() };
        self.written -= cold.len;
        self.live -= segment.live;
        self.cold_bytes += cold.bytes();
        segment.sealed = 0;
        segment.cold = Some(Box::new(cold));
        self.cold += 1;
        Some(memory)
    }

    /// The bytes of a frozen segment are elsewhere.
    pub(crate) fn went_away(&mut self, number: u32) {
        let cold = self.cold_mut(number);
        if let Some(leased) = cold.and_then(|cold| cold.memory.take()).and_then(Arc::into_inner) {
            self.pool.give_back(leased);
        }
    }

    /// The bytes of a frozen segment are back: those that are handed over, or the ones that never went away. False where they
    /// are not those of the segment.
    pub(crate) fn thaw(&mut self, number: u32, bytes: Option<Leased>) -> bool {
        let Some(segment) = self.list.get_mut(number as usize).and_then(Option::as_mut) else { return false };
        let Some(cold) = &mut segment.cold else { return false };
        let came_back = bytes.is_some();
        let kept = || {
            cold.memory.take().map(|memory| match Arc::try_unwrap(memory) {
                Ok(leased) => leased,
                Err(memory) => self.pool.copy(&memory.bytes),
            })
        };
        let Some(mut leased) = bytes.or_else(kept).filter(|leased| leased.bytes.len() == cold.len) else {
            return false;
        };
        for record in cold.records.iter().filter(|record| record.spans > 0) {
            let at = record.offset as usize;
            if let Some(place) = leased.bytes.get_mut(at..at + Header::BYTES) {
                place.copy_from_slice(&record.header.write());
            }
        }
        self.cold_bytes -= cold.bytes();
        self.cold -= 1;
        self.written += cold.len;
        self.live += segment.live;
        segment.memory = leased;
        segment.cold = None;
        if !came_back {
            self.note_sealed(number);
        }
        self.note_sparse(number, SEGMENT);
        true
    }

    /// Whether any segment is frozen.
    pub(crate) fn has_cold(&self) -> bool {
        self.cold > 0
    }

    /// Whether the bytes of a frozen one are here still.
    pub(crate) fn has_unwritten(&self) -> bool {
        let mut cold = self.list.iter().flatten().filter_map(|segment| segment.cold.as_ref());
        cold.any(|cold| cold.memory.is_some())
    }

    /// Bytes of memory that frozen segments take.
    pub(crate) fn cold_bytes(&self) -> usize {
        self.cold_bytes
    }

    /// By which name the bytes of a record have to be fetched; none where they are here.
    pub(crate) fn ticket_of(&self, at: RecordRef) -> Option<u64> {
        let cold = self.segment(at.segment)?.cold.as_ref()?;
        cold.memory.is_none().then_some(cold.ticket)
    }

    /// The names of all segments whose bytes have to be fetched.
    pub(crate) fn tickets(&self) -> Vec<u64> {
        let cold = self.list.iter().flatten().filter_map(|segment| segment.cold.as_ref());
        cold.filter(|cold| cold.memory.is_none()).map(|cold| cold.ticket).collect()
    }

    /// The records of a frozen segment: those of no spans are gone.
    pub(crate) fn cold_records(&self, number: u32) -> &[ColdRecord] {
        let cold = self.segment(number).and_then(|segment| segment.cold.as_ref());
        cold.map_or(&[], |cold| &cold.records)
    }

    /// Frozen segments of which nothing lives any more, by name, since the last call.
    pub(crate) fn take_over_ones(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.over)
    }

    /// A frozen segment goes.
    pub(super) fn free_cold(&mut self, cold: &Cold) {
        self.cold_bytes -= cold.bytes();
        self.cold -= 1;
        self.over.push(cold.ticket);
    }

    fn cold_mut(&mut self, number: u32) -> Option<&mut Cold> {
        self.list.get_mut(number as usize)?.as_mut()?.cold.as_deref_mut()
    }
}

fn is_sealed(list: &[Option<Segment>], number: u32, order: u64) -> bool {
    let segment = list.get(number as usize).and_then(Option::as_ref);
    segment.is_some_and(|segment| segment.sealed == order && segment.cold.is_none() && segment.live > 0)
}
