//! What of a queue is on disk alone, and where reading it goes on: plain data.

use phoenix_storage::Claim;

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
    /// On the disk alone.
    stored: Extent,
    /// One behind the last record that is counted.
    known: u64,
    /// Of whoever reads.
    cursor: Option<Cursor>,
    /// Bytes that may be in memory.
    window: u64,
}

/// The right to read, and how far that has come.
pub(crate) struct Cursor {
    _claim: Claim,
    /// The record that comes next.
    next: u64,
    /// Somebody is reading.
    is_loading: bool,
}

impl Backlog {
    /// Takes its share of a budget of so many bytes.
    pub(crate) fn within(&mut self, budget: usize) {
        self.window = MOST_WINDOW.min(budget as u64 / WINDOW_SHARE);
    }

    pub(crate) fn extent(&self) -> Extent {
        let mut all = self.stored;
        all.add(self.pending);
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
    pub(crate) fn store(&mut self, extent: Extent, number: u64, resident: u64) -> bool {
        if number < self.known {
            return false;
        }
        self.known = number + 1;
        let is_next = self.stored == Extent::default() && resident < self.window;
        match &mut self.cursor {
            // All before it have been read.
            Some(cursor) if is_next && !cursor.is_loading => {
                cursor.next = number + 1;
                true
            }
            _ => {
                self.stored.add(extent);
                false
            }
        }
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
        if cursor.is_loading || self.stored == Extent::default() || is_full {
            return None;
        }
        cursor.is_loading = true;
        Some((cursor.next, self.known))
    }

    /// Data that was on the disk alone is in memory now, or gone.
    pub(crate) fn loaded(&mut self, extent: Extent) {
        // What was lost is only known about.
        self.stored.sub_most(extent);
    }

    /// Reading goes on at `next`. `is_all`: nothing is left to be read.
    pub(crate) fn end_load(&mut self, next: u64, is_all: bool) {
        if let Some(cursor) = &mut self.cursor {
            (cursor.next, cursor.is_loading) = (next, false);
        }
        if is_all {
            self.stored = Extent::default();
        }
    }

    /// Reads from now on, from the beginning: there is `held` below the record `end`. What of that had not been
    /// counted here.
    pub(crate) fn claim(&mut self, claim: Claim, held: Extent, end: u64) -> Extent {
        let mut new = held;
        new.sub_most(self.stored);
        self.cursor = Some(Cursor { _claim: claim, next: 0, is_loading: false });
        (self.stored, self.known) = (held, end);
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
        self.known = self.known.max(from.known);
        self.cursor = self.cursor.take().or(from.cursor);
    }
}
