//! Spans on disk: what goes there, which traces wait for what is there, and what an earlier run has left.

use std::collections::HashMap;
use std::time::Duration;

use phoenix_component::{Batch, Output};
use phoenix_pdata::Signal;

use super::{TailStage, reason};
use crate::buffer::{Buffer, ColdRecord, Entry, Slot};
use crate::generation::Decision;
use crate::metrics::Early;
use crate::spill::{Directory, News, Part, Waiting};
use crate::wheel::{TICK, Wheel, tick_after};

/// How often answers of the disk are looked for while some will come.
const POLL: Duration = Duration::from_millis(10);
/// How often it is tried to take the place of another instance.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Traces that are looked at in one call for whether their spans are back.
const SLICE: usize = 1024;
/// Spans of an earlier run come in while memory is filled to no more than this beyond the share from which on spans go out.
const MARGIN: f64 = 0.1;
/// Parts of an earlier run that one call takes in.
const MOST_PARTS: usize = 4;

/// A trace that is to be kept, of which something is on disk.
pub(super) struct Awaited {
    slot: Slot,
    decision: Decision,
    early: Option<Early>,
    why: &'static str,
}

impl TailStage {
    /// What is done with the disk at the begin of a call, when nothing has been put into a request yet.
    pub(super) fn attend_spill(&mut self, out: &mut Output) {
        if self.spill.is_none() {
            return;
        }
        self.hear_news();
        self.spill_more();
        self.release_awaited(out);
        self.restore(out);
    }

    /// When a call is wanted for the disk's sake.
    pub(super) fn spill_wakes_at(&self) -> Option<Duration> {
        let spill = self.spill.as_ref()?;
        let now = self.now.monotonic;
        match () {
            () if spill.is_busy() || !self.awaited.is_empty() => Some(now + POLL),
            () if spill.may_restore() => Some(now + TRY_AGAIN),
            () if self.buffer.fullness() > spill.rules.share => Some(now + TICK),
            () => None,
        }
    }

    fn hear_news(&mut self) {
        let Some(spill) = &mut self.spill else { return };
        for ticket in self.buffer.segments.take_over_ones() {
            spill.forget(ticket);
        }
        for news in spill.news(self.now.monotonic) {
            let lost = match news {
                News::Written(segment) => {
                    self.buffer.segments.went_away(segment);
                    None
                }
                News::Failed(segment) => {
                    self.buffer.segments.thaw(segment, None);
                    None
                }
                News::Back(segment, bytes) => {
                    (!self.buffer.segments.thaw(segment, Some(bytes))).then_some(segment)
                }
                News::Lost(segment) => Some(segment),
            };
            if let Some(segment) = lost {
                self.lose(segment);
            }
        }
        let Some(spill) = &mut self.spill else { return };
        for ticket in self.buffer.segments.take_over_ones() {
            spill.forget(ticket);
        }
        spill.make_way();
    }

    /// Hands segments over while there is more in memory than its share.
    fn spill_more(&mut self) {
        while let Some(spill) = &mut self.spill {
            // What is being written leaves soon.
            let leaving = spill.writing() * crate::buffer::SEGMENT;
            let pool = self.buffer.pool();
            let staying = self.buffer.fullness() - leaving as f64 / pool.limit() as f64;
            if staying <= spill.rules.share || !spill.has_room(crate::buffer::SEGMENT, self.now.monotonic) {
                return;
            }
            let Some(segment) = self.buffer.segments.next_to_freeze() else { return };
            self.freeze(segment);
        }
    }

    fn freeze(&mut self, segment: u32) {
        let Some(spill) = &mut self.spill else { return };
        let records = self.buffer.records_in(segment);
        let directory = directory_of(&self.buffer, &records, self.now);
        let spans = records.iter().map(|record| u64::from(record.spans)).sum();
        let ticket = spill.next_ticket();
        if let Some(memory) = self.buffer.segments.freeze(segment, ticket, records) {
            spill.write(ticket, segment, memory, (directory, spans));
        }
    }

    /// A trace that is to be kept waits until all of it is in memory. False where it is.
    pub(super) fn awaits_spill(
        &mut self,
        slot: Slot,
        decision: &Decision,
        (early, why): (Option<Early>, &'static str),
    ) -> bool {
        if !self.buffer.segments.has_cold() {
            return false;
        }
        let mut missing = Vec::new();
        if self.buffer.is_here(self.buffer.traces[slot].head, &mut missing) {
            return false;
        }
        self.fetch(&missing);
        self.buffer.traces[slot].due = Entry::AWAITED;
        self.awaited.push_back(Awaited { slot, decision: decision.clone(), early, why });
        true
    }

    /// Asks for segments; false where some have to be asked for later.
    fn fetch(&mut self, missing: &[u64]) -> bool {
        let (pool, now) = (self.buffer.pool().clone(), self.now.monotonic);
        let Some(spill) = &mut self.spill else { return true };
        missing.iter().all(|ticket| spill.fetch(*ticket, &pool, now))
    }

    /// Lets out traces that are to be kept and whose spans are back.
    fn release_awaited(&mut self, out: &mut Output) {
        let mut missing = Vec::new();
        for _ in 0..self.awaited.len().min(SLICE) {
            if out.is_full() {
                return;
            }
            let Some(awaited) = self.awaited.pop_front() else { return };
            missing.clear();
            if self.buffer.is_here(self.buffer.traces[awaited.slot].head, &mut missing) {
                self.let_out(awaited, out);
                continue;
            }
            let is_asked_for = self.fetch(&missing);
            self.awaited.push_back(awaited);
            if !is_asked_for {
                // Whoever stands behind would have to wait as well: those in front come first again.
                self.awaited.rotate_right(1);
                return;
            }
        }
    }

    fn let_out(&mut self, awaited: Awaited, out: &mut Output) {
        let Awaited { slot, decision, early, why } = awaited;
        self.conclude(slot, decision, early, why);
        if self.outgoing.is_enough() {
            self.flush(out);
        }
    }

    /// The same at an end: waits for the disk. True where all are out.
    pub(super) fn release_awaited_now(&mut self, out: &mut Output) -> bool {
        while !self.awaited.is_empty() {
            self.release_awaited(out);
            self.flush(out);
            if out.is_full() {
                return self.awaited.is_empty();
            }
            if !self.awaited.is_empty() {
                self.wait_for_spill();
            }
            self.hear_news();
        }
        true
    }

    /// Waits for the disk, at an end. One that does not answer for a minute will not: what is there is lost, and what was to go there
    /// is in memory still.
    fn wait_for_spill(&mut self) {
        let Some(spill) = &mut self.spill else { return };
        if spill.wait() {
            return;
        }
        tracing::error!("the disk of tail_sampling does not answer: what is there is given up");
        for segment in spill.give_up() {
            self.lose(segment);
        }
    }

    fn lose(&mut self, segment: u32) {
        let spans = self.buffer.lose(segment);
        self.spill.iter().for_each(|spill| spill.metrics().lost.add(spans));
        self.end(reason::LOST, spans);
    }

    /// Waits until nothing is being written, and what is not wanted any more is done.
    pub(super) fn settle_spill(&mut self) {
        self.hear_news();
        while self.spill.as_ref().is_some_and(|spill| spill.writing() > 0) {
            self.wait_for_spill();
            self.hear_news();
        }
    }

    /// Waits until everything is in memory.
    pub(super) fn fetch_all_now(&mut self) {
        loop {
            self.hear_news();
            let missing = self.buffer.segments.tickets();
            if missing.is_empty() {
                return;
            }
            self.fetch(&missing);
            self.wait_for_spill();
        }
    }

    /// Takes spans of an earlier run in, as far as there is memory for them.
    fn restore(&mut self, out: &mut Output) {
        for _ in 0..MOST_PARTS {
            let Some(spill) = self.spill.as_ref().filter(|spill| spill.may_restore()) else { return };
            if self.buffer.fullness() > spill.rules.share + MARGIN {
                return;
            }
            let Some(part) = spill.next_part() else { return };
            spill.metrics().restored.add(part.spans);
            out.produced(part.spans);
            self.take_back(part);
        }
    }

    /// Traces of an earlier run go on to wait for what is left of their time, and the policies in force decide about them.
    fn take_back(&mut self, part: Part) {
        let now = self.now;
        self.take_in(&Batch::new(Signal::Traces, part.request.clone().into(), part.spans));
        for Waiting { id, first_seen, admitted } in &part.waiting {
            let Some(slot) = self.buffer.traces.find(id) else { continue };
            let waited = Duration::from_nanos(now.unix_nanos.saturating_sub(*first_seen));
            let facts = &mut self.buffer.traces[slot].facts;
            let since = now.monotonic.saturating_sub(waited).as_nanos() as u64;
            facts.first_seen = facts.first_seen.min(since);
            if let Some(admitted) = *admitted {
                let before = &mut facts.sampling.get_or_insert_default().admitted;
                *before = Some(before.map_or(admitted, |before| before.max(admitted)));
            }
            self.wait_until(slot, tick_after(now.monotonic + self.rules.wait.saturating_sub(waited)));
        }
        part.done();
    }

    /// At an end: puts everything that waits onto the disk and leaves it there. False where the disk does not take it.
    pub(super) fn leave_on_disk(&mut self, out: &mut Output) -> bool {
        for segment in self.buffer.segments.seal_all() {
            loop {
                let bytes = self.buffer.segments.written_into(segment);
                let Some(spill) = &mut self.spill else { return false };
                if spill.has_room(bytes, self.now.monotonic) {
                    break;
                }
                if spill.writing() == 0 {
                    return false;
                }
                self.wait_for_spill();
                self.hear_news();
            }
            self.freeze(segment);
        }
        self.settle_spill();
        // What could not be written is in memory again, or still.
        if self.buffer.segments.live_bytes() > 0 || self.buffer.segments.has_unwritten() {
            return false;
        }
        let Some(spill) = &mut self.spill else { return false };
        let segments = &self.buffer.segments;
        if !spill.leave(|segment| bits_of(segments.cold_records(segment))) {
            tracing::warn!(
                "tail_sampling cannot note what it has left on its disk: what was let out may come again"
            );
        }
        out.absorbed(self.buffer.spans);
        tracing::info!(spans = self.buffer.spans, "spans that wait stay on the disk of tail_sampling");
        let pool = self.buffer.pool().clone();
        self.buffer = Buffer::new(pool);
        self.wheel = Wheel::default();
        self.round = None;
        true
    }
}

/// What a later run has to know of the records of a segment.
fn directory_of(buffer: &Buffer, records: &[ColdRecord], now: phoenix_component::Now) -> Vec<u8> {
    let mut directory = Directory::default();
    let mut shells = HashMap::new();
    for ColdRecord { offset, header, .. } in records {
        let shell = *shells.entry(header.scope.0).or_insert_with(|| {
            let resource = buffer.interned.resource_of(header.scope);
            let bytes = buffer.interned.resource_bytes(resource);
            directory.add_shell(bytes, buffer.interned.scope_bytes(header.scope))
        });
        let facts = &buffer.traces[header.slot].facts;
        let age = now.monotonic.saturating_sub(facts.first_seen()).as_nanos() as u64;
        let waiting = Waiting {
            id: facts.id,
            first_seen: now.unix_nanos.saturating_sub(age),
            admitted: facts.sampling.as_ref().and_then(|state| state.admitted),
        };
        directory.add_record(*offset, header.len, shell, &waiting);
    }
    directory.finish()
}

/// A bit for each record: whether it still waits.
fn bits_of(records: &[ColdRecord]) -> Vec<u64> {
    let mut bits = vec![0; records.len().div_ceil(64)];
    for (index, _) in records.iter().enumerate().filter(|(_, record)| record.spans > 0) {
        bits[index / 64] |= 1 << (index % 64);
    }
    bits
}
