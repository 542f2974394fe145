//! What of a queue is on disk alone, and where reading it goes on: plain data.
//!
//! While exporters follow each other, more than one writes to the log, and one of them reads. Each counts its own
//! records. The one that reads goes no further than all before is its own (`known`): what it counts behind a record of
//! another is `ahead`, and so is all that is counted by one that does not read. With the right to read a successor gets
//! the books as well, and knows all.

use phoenix_storage::{Claim, Place};

use crate::settings::Extent;

/// Bytes that a queue on disk keeps in memory, too, so that they need not be read again: at most these, and
const MOST_WINDOW: u64 = 8 << 20;
/// this part of the budget.
const WINDOW_SHARE: u64 = 8;

/// The part of a queue that is not in memory.
#[derive(Default)]
pub(crate) struct Backlog {
    /// Being written: nobody has been answered yet.
    pending: Extent,
    /// On the disk alone, below `known`.
    stored: Extent,
    /// On the disk alone, behind what another counts.
    ahead: Extent,
    /// One behind the last record up to which all are counted here.
    known: u64,
    /// One behind the last record that is `ahead`.
    end: u64,
    /// Of whoever reads.
    cursor: Option<Cursor>,
    /// Bytes that may be in memory.
    window: u64,
}

/// The right to read, and how far that has come.
pub(crate) struct Cursor {
    _claim: Claim,
    /// The record that comes next: all before it have been read, or never were on the disk alone.
    next: u64,
    /// What came to the disk alone since somebody began to read; none where nobody does.
    reading: Option<Extent>,
}

impl Backlog {
    /// Takes its share of a budget of so many bytes.
    pub(crate) fn within(&mut self, budget: usize) {
        self.window = MOST_WINDOW.min(budget as u64 / WINDOW_SHARE);
    }

    pub(crate) fn extent(&self) -> Extent {
        let mut all = self.on_disk();
        all.add(self.pending);
        all
    }

    fn on_disk(&self) -> Extent {
        let mut all = self.stored;
        all.add(self.ahead);
        all
    }

    pub(crate) fn is_writing(&self) -> bool {
        self.pending.requests > 0
    }

    /// What is about to be written.
    pub(crate) fn begin(&mut self, extent: Extent) {
        self.pending.add(extent);
    }

    /// It was written, or not.
    pub(crate) fn written(&mut self, extent: Extent) {
        self.pending.sub(extent);
    }

    /// Whether this is where the queue is read.
    pub(crate) fn has_cursor(&self) -> bool {
        self.cursor.is_some()
    }

    /// Counts a record that is on the disk now. Whether it goes on from memory, where `resident` bytes are.
    pub(crate) fn store(&mut self, extent: Extent, place: Place, resident: u64) -> bool {
        if place.number < self.known {
            // Counted with the claim.
            return false;
        }
        let Some(cursor) = self.cursor.as_mut().filter(|_| place.after <= self.known) else {
            self.ahead.add(extent);
            self.end = place.number + 1;
            return false;
        };
        let is_next = cursor.next >= self.known && cursor.reading.is_none() && resident < self.window;
        self.known = place.number + 1;
        if is_next {
            cursor.next = self.known;
            return true;
        }
        self.stored.add(extent);
        cursor.came(extent);
        false
    }

    /// Data that was in memory is on the disk alone from now on.
    pub(crate) fn keep(&mut self, extent: Extent) {
        self.stored.add(extent);
    }

    /// What is to be read, from which record on and below which, where there is room for it.
    #[must_use]
    pub(crate) fn begin_load(&mut self, resident: u64) -> Option<(u64, u64)> {
        let cursor = self.cursor.as_mut()?;
        // However small the window is, something has to be read.
        let is_full = resident > self.window / 2;
        let has_more = cursor.next < self.known || self.stored != Extent::default();
        if cursor.reading.is_some() || !has_more || is_full {
            return None;
        }
        cursor.reading = Some(Extent::default());
        Some((cursor.next, self.known))
    }

    /// Whether what is read from this record on is waited for here.
    pub(crate) fn reads_from(&self, from: u64) -> bool {
        self.cursor.as_ref().is_some_and(|cursor| cursor.reading.is_some() && cursor.next == from)
    }

    /// Data of this extent is in memory now, or gone, and reading goes on at `next`. `is_all`: nothing was left to be
    /// read.
    pub(crate) fn loaded(&mut self, extent: Extent, next: u64, is_all: bool) {
        // What was lost is only known about.
        self.stored.sub_most(extent);
        let Some(cursor) = &mut self.cursor else { return };
        cursor.next = next;
        let came = cursor.reading.take().unwrap_or_default();
        if is_all {
            self.stored = came;
        }
    }

    /// Reads from now on, from the beginning: there is `held` below the record `end`. What of that had not been
    /// counted here.
    pub(crate) fn claim(&mut self, claim: Claim, held: Extent, end: u64) -> Extent {
        let mut new = held;
        new.sub_most(self.on_disk());
        let next = if held == Extent::default() { end } else { 0 };
        self.cursor = Some(Cursor { _claim: claim, next, reading: None });
        (self.stored, self.ahead, self.known) = (held, Extent::default(), end);
        new
    }

    /// Gives everything but what is being written to a successor.
    pub(crate) fn hand_over(&mut self) -> Backlog {
        let rest = Backlog { pending: self.pending, window: self.window, ..Backlog::default() };
        let handed = std::mem::replace(self, rest);
        Backlog { pending: Extent::default(), ..handed }
    }

    /// Takes over what a predecessor gave.
    pub(crate) fn take_over(&mut self, from: Backlog) {
        self.stored.add(from.stored);
        self.ahead.add(from.ahead);
        self.known = self.known.max(from.known);
        self.end = self.end.max(from.end);
        self.cursor = self.cursor.take().or(from.cursor);
        if let Some(cursor) = &mut self.cursor {
            // Nobody else counts any more.
            let ahead = std::mem::take(&mut self.ahead);
            self.stored.add(ahead);
            cursor.came(ahead);
            self.known = self.known.max(self.end);
        }
    }
}

impl Cursor {
    fn came(&mut self, extent: Extent) {
        if let Some(came) = &mut self.reading {
            came.add(extent);
        }
    }
}
