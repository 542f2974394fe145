//! Spans that wait, as they came: copied once into segments, found by trace, moved together where much was let go.
//!
//! A record is a run of spans of one trace and scope: a header and the bytes of the fields that held them, so that
//! letting a trace out is copying. The records of a trace are linked from the newest to the oldest.

mod index;
mod interned;
mod places;
mod pool;
mod segments;
mod traces;

pub(crate) use interned::{Interned, ResourceId, ScopeId};
pub(crate) use pool::{FILL, Leased, Pool, SEGMENT, live_bytes};
pub(crate) use segments::{ColdRecord, Header, RecordRef, Segments};
pub(crate) use traces::{Entry, Lookup, Slot, Traces};

use phoenix_component::Charge;
use phoenix_pdata::wire::Fields;

use crate::facts::TraceFacts;

/// What one shard holds.
pub(crate) struct Buffer {
    pub(crate) traces: Traces,
    pub(crate) segments: Segments,
    pub(crate) interned: Interned,
    /// Bytes that its shard holds beside spans, as far as they count here.
    beside: usize,
    /// For all that is not in segments, which have their own.
    charge: Charge,
    /// What the pool was told last.
    told_bytes: usize,
    told_traces: usize,
    pub(crate) spans: u64,
}

/// Bytes of a trace beside those of its spans: its entry, and its place in the index.
const TRACE_BYTES: usize = size_of::<Entry>() + 16;
/// Whatever else is held counts as in use up to this part of the limit, so that spans have room in any case.
const BESIDE_PART: usize = 4;
/// What is charged follows what is held in steps of so many bytes.
const CHARGE_STEP: usize = 64 << 10;

impl Buffer {
    pub(crate) fn new(pool: std::sync::Arc<Pool>) -> Buffer {
        let charge = pool.budget().charge_reserve(0);
        Buffer {
            beside: 0,
            charge,
            traces: Traces::default(),
            segments: Segments::new(pool),
            interned: Interned::default(),
            told_bytes: 0,
            told_traces: 0,
            spans: 0,
        }
    }

    pub(crate) fn pool(&self) -> &std::sync::Arc<Pool> {
        self.segments.pool()
    }

    /// From now on memory comes from another pool, and goes there.
    pub(crate) fn move_to(&mut self, pool: std::sync::Arc<Pool>) {
        self.segments.pool().changed(self.told_bytes, 0, self.told_traces, 0);
        (self.told_bytes, self.told_traces) = (0, 0);
        self.segments.set_pool(pool);
        self.settle();
    }

    /// Bytes that are in use: of spans with their headers, of traces, of resources and scopes, of what is known of spans that are
    /// elsewhere, and of what the shard remembers.
    pub(crate) fn bytes(&self) -> usize {
        self.segments.live_bytes() + self.beside_segments() + self.beside
    }

    fn beside_segments(&self) -> usize {
        self.segments.cold_bytes() + self.interned.bytes() + self.traces.len() * TRACE_BYTES
    }

    /// What the shard remembers counts as in use, up to a quarter of what the pool has; all of it is charged, and so is what else
    /// there is.
    pub(crate) fn set_beside(&mut self, bytes: usize, others: usize) {
        self.beside = bytes.min(self.pool().limit() / BESIDE_PART);
        let wanted = self.beside_segments() + bytes + others;
        if wanted.abs_diff(self.charge.bytes()) > CHARGE_STEP {
            self.charge = self.pool().budget().charge_reserve(wanted);
        }
    }

    /// How full the pool is, with what it was not told yet.
    pub(crate) fn fullness(&self) -> f64 {
        let pool = self.segments.pool();
        (pool.used() + self.bytes()).saturating_sub(self.told_bytes) as f64 / pool.limit() as f64
    }

    /// Adds a run of `spans` spans, encoded as fields of their scope, to a trace.
    pub(crate) fn append(&mut self, slot: Slot, scope: ScopeId, spans: u32, body: &[u8]) {
        let entry = &mut self.traces[slot];
        entry.head = self.segments.append(entry.head, slot, scope, body);
        self.interned.hold(scope);
        self.spans += u64::from(spans);
    }

    /// The records of a trace, from the newest to the oldest.
    pub(crate) fn records(&self, head: RecordRef) -> impl Iterator<Item = RecordRef> {
        std::iter::successors(head.some(), |at| self.segments.header(*at).previous.some())
    }

    /// Takes a trace out; its records stay until they are released, one by one.
    pub(crate) fn take(&mut self, slot: Slot) -> (TraceFacts, RecordRef) {
        let (facts, head) = self.traces.remove(slot);
        self.spans -= u64::from(facts.spans);
        (facts, head)
    }

    /// Lets a record go.
    pub(crate) fn release(&mut self, at: RecordRef) {
        let scope = self.segments.release(at);
        self.interned.let_go(scope);
    }

    /// Takes a trace out and lets its records go.
    pub(crate) fn discard(&mut self, slot: Slot) -> TraceFacts {
        let (facts, head) = self.take(slot);
        let mut at = head.some();
        while let Some(record) = at {
            at = self.segments.header(record).previous.some();
            self.release(record);
        }
        facts
    }

    /// Moves what is left of a segment that is mostly dead, if so much is dead that it is worth it. True where it did.
    pub(crate) fn tidy(&mut self) -> bool {
        let Some(victim) = self.segments.sparse() else { return false };
        let pass = self.traces.next_pass();
        let mut at = RecordRef { segment: victim, offset: 0 };
        while let Some(header) = self.segments.header_within(at) {
            let end = at.offset + header.size();
            if self.traces.begin_moving(header.slot, pass) {
                self.move_out(header.slot, victim);
            }
            at.offset = end;
        }
        self.segments.free(victim);
        true
    }

    /// The records that live in a segment, by their offsets.
    pub(crate) fn records_in(&mut self, number: u32) -> Vec<ColdRecord> {
        let pass = self.traces.next_pass();
        let mut found = Vec::new();
        let mut at = RecordRef { segment: number, offset: 0 };
        while let Some(header) = self.segments.header_within(at) {
            if self.traces.begin_moving(header.slot, pass) {
                let records = self.records(self.traces[header.slot].head);
                found.extend(records.filter(|record| record.segment == number).map(|record| record.offset));
            }
            at.offset += header.size();
        }
        found.sort_unstable();
        let record = |offset: u32| {
            let at = RecordRef { segment: number, offset };
            let spans = Fields::new(self.segments.body(at)).count() as u32;
            ColdRecord { offset, spans, header: self.segments.header(at) }
        };
        found.into_iter().map(record).collect()
    }

    /// Whether all bytes of a trace are in memory; else the names of what is not are added.
    pub(crate) fn is_here(&self, head: RecordRef, missing: &mut Vec<u64>) -> bool {
        let before = missing.len();
        missing.extend(self.records(head).filter_map(|at| self.segments.ticket_of(at)));
        missing.len() == before
    }

    /// A frozen segment will not come back: its records are taken out of their traces. How many spans that were.
    pub(crate) fn lose(&mut self, number: u32) -> u64 {
        let lost: Vec<ColdRecord> =
            self.segments.cold_records(number).iter().filter(|record| record.spans > 0).copied().collect();
        for record in &lost {
            let slot = record.header.slot;
            let at = RecordRef { segment: number, offset: record.offset };
            let newer = self
                .records(self.traces[slot].head)
                .find(|newer| self.segments.header(*newer).previous == at);
            let older = self.segments.header(at).previous;
            match newer {
                Some(newer) => self.segments.relink(newer, older),
                None => self.traces[slot].head = older,
            }
            let facts = &mut self.traces[slot].facts;
            facts.spans = facts.spans.saturating_sub(record.spans);
            self.spans -= u64::from(record.spans);
            self.release(at);
        }
        lost.iter().map(|record| u64::from(record.spans)).sum()
    }

    /// Moves the records of a trace out of a segment.
    fn move_out(&mut self, slot: Slot, victim: u32) {
        let mut newer: Option<RecordRef> = None;
        let mut next = self.traces[slot].head.some();
        while let Some(at) = next {
            let mut here = at;
            if at.segment == victim {
                here = self.segments.copy(at);
                match newer {
                    None => self.traces[slot].head = here,
                    Some(newer) => self.segments.relink(newer, here),
                }
            }
            newer = Some(here);
            next = self.segments.header(here).previous.some();
        }
    }

    /// Tells the pool what is in use.
    pub(crate) fn settle(&mut self) {
        let (bytes, traces) = (self.bytes(), self.traces.len());
        self.segments.pool().changed(self.told_bytes, bytes, self.told_traces, traces);
        (self.told_bytes, self.told_traces) = (bytes, traces);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.segments.pool().changed(self.told_bytes, 0, self.told_traces, 0);
    }
}

#[cfg(test)]
mod tests;
