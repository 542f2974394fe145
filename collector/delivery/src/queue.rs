//! What waits and what is under way: plain data behind a short lock.

mod backlog;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use phoenix_component::{Batch, Held};
use phoenix_storage::Place;
use tokio::time::Instant;

use crate::batching::{Batching, Element, Ready, Trigger};
use crate::settings::{BatchRules, Extent, Sizer};
pub(crate) use backlog::Backlog;

/// Why a batch cannot be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// There is no room now.
    Full,
    /// There will never be room.
    TooLarge,
    /// The exporter has ended.
    Closed,
}

/// A bounded queue that counts what is under way as part of it, as otelcol's does.
pub(crate) struct Queue {
    sizer: Sizer,
    capacity: u64,
    consumers: usize,
    batching: Option<Batching>,
    /// Whether a task looks after the batches in the making.
    is_watched: bool,
    /// Nothing waits for more any longer.
    is_ending: bool,
    waiting: VecDeque<Element>,
    active: usize,
    /// What waits or is under way, without the batches in the making.
    complete: Extent,
    /// What is not in memory, where there is a disk.
    pub(crate) backlog: Backlog,
    closed: bool,
    /// What the gauge knows of the size.
    told: u64,
}

impl Queue {
    /// Room for `capacity` units of `sizer`, and for `consumers` sends at once.
    pub(crate) fn new(sizer: Sizer, capacity: u64, consumers: usize, batching: Option<BatchRules>) -> Queue {
        Queue {
            sizer,
            capacity,
            consumers,
            batching: batching.map(Batching::new),
            is_watched: false,
            is_ending: false,
            waiting: VecDeque::new(),
            active: 0,
            complete: Extent::default(),
            backlog: Backlog::default(),
            closed: false,
            told: 0,
        }
    }

    /// Whether `batch` may come in now.
    pub(crate) fn admit(&self, batch: &Batch) -> Result<(), Rejection> {
        let size = self.size_of(batch);
        if self.closed {
            Err(Rejection::Closed)
        } else if size > self.capacity {
            Err(Rejection::TooLarge)
        } else if self.size().saturating_add(size) > self.capacity {
            Err(Rejection::Full)
        } else {
            Ok(())
        }
    }

    /// Takes an element, whatever its size. Batches that are complete by that are noted in `made`.
    pub(crate) fn put(&mut self, element: Element, now: Instant, made: &mut Vec<Made>) {
        let Some(batching) = self.batching.as_mut().filter(|_| element.batch.items > 0) else {
            self.complete.add(element.extent());
            self.waiting.push_back(element);
            return;
        };
        let mut ready = Vec::new();
        batching.put(element, now, &mut ready);
        if self.is_ending {
            batching.flush_all(&mut ready);
        }
        self.enqueue(ready, made);
    }

    fn enqueue(&mut self, ready: Vec<Ready>, made: &mut Vec<Made>) {
        for Ready { element, trigger, oversized } in ready {
            let extent = element.extent();
            self.complete.add(extent);
            self.waiting.push_back(element);
            made.push(Made { trigger, oversized, items: extent.items, bytes: extent.bytes });
        }
    }

    /// Completes the batches that have waited long enough; when the next ones will have.
    pub(crate) fn flush_due(&mut self, now: Instant, made: &mut Vec<Made>) -> Option<Instant> {
        let batching = self.batching.as_mut()?;
        let mut ready = Vec::new();
        batching.flush_due(now, &mut ready);
        let next = batching.next_due();
        self.is_watched = next.is_some();
        self.enqueue(ready, made);
        next
    }

    /// Whether a task must be started to look after the batches in the making; it counts as started.
    pub(crate) fn needs_watch(&mut self) -> bool {
        let has_open = self.batching.as_ref().is_some_and(|batching| !batching.is_empty());
        has_open && !std::mem::replace(&mut self.is_watched, true)
    }

    /// Completes all batches in the making, and those that begin from now on at once.
    pub(crate) fn end(&mut self, made: &mut Vec<Made>) {
        self.is_ending = true;
        if let Some(batching) = &mut self.batching {
            let mut ready = Vec::new();
            batching.flush_all(&mut ready);
            self.enqueue(ready, made);
        }
    }

    /// The element that a free send takes.
    #[must_use]
    pub(crate) fn next(&mut self) -> Option<Element> {
        if self.active >= self.consumers {
            return None;
        }
        let element = self.waiting.pop_front()?;
        self.active += 1;
        Some(element)
    }

    /// Ends a send, whose batch leaves.
    pub(crate) fn finish(&mut self, extent: Extent) {
        self.active -= 1;
        self.complete.sub(extent);
    }

    /// A send goes on with a part of its batch, since the rest was delivered.
    pub(crate) fn shrink(&mut self, before: Extent, after: Extent) {
        self.complete.sub(before);
        self.complete.add(after);
    }

    /// Takes out everything that waits, batches in the making included.
    pub(crate) fn take_waiting(&mut self) -> VecDeque<Element> {
        let mut taken = std::mem::take(&mut self.waiting);
        taken.iter().for_each(|element| self.complete.sub(element.extent()));
        if let Some(batching) = &mut self.batching {
            taken.extend(batching.take());
        }
        taken
    }

    /// Refuses whatever comes from now on.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Whether everything is refused.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether nothing waits or is under way, but on the disk.
    pub(crate) fn is_idle(&self) -> bool {
        !self.backlog.is_writing()
            && self.active == 0
            && self.waiting.is_empty()
            && self.batching.as_ref().is_none_or(Batching::is_empty)
    }

    fn extent(&self) -> Extent {
        let mut all = self.in_memory();
        all.add(self.backlog.extent());
        all
    }

    fn in_memory(&self) -> Extent {
        let mut all = self.complete;
        if let Some(batching) = &self.batching {
            all.add(batching.extent());
        }
        all
    }

    /// Counts a record that is on the disk now; whether it goes on from memory.
    pub(crate) fn store(&mut self, extent: Extent, place: Place) -> bool {
        let resident = self.in_memory().bytes;
        self.backlog.store(extent, place, resident)
    }

    /// What is to be read from the disk, if there is room for it and a use.
    #[must_use]
    pub(crate) fn begin_load(&mut self) -> Option<(u64, u64)> {
        if self.is_ending {
            return None;
        }
        let resident = self.in_memory().bytes;
        self.backlog.begin_load(resident)
    }

    /// What is inside, in spans, data points or log records and in bytes.
    pub(crate) fn held(&self) -> Held {
        let Extent { items, bytes, .. } = self.extent();
        Held { items, bytes: usize::try_from(bytes).unwrap_or(usize::MAX) }
    }

    /// What is inside, in units of the sizer.
    pub(crate) fn size(&self) -> u64 {
        self.sizer.size(self.extent())
    }

    /// What may be inside, in units of the sizer.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// What a batch counts for.
    pub(crate) fn size_of(&self, batch: &Batch) -> u64 {
        self.sizer.size(Extent::of(batch, 1))
    }

    /// By how much the size has changed since the last call.
    #[must_use]
    pub(crate) fn growth(&mut self) -> i64 {
        let size = self.size();
        let before = std::mem::replace(&mut self.told, size);
        size as i64 - before as i64
    }
}

/// A batch that was completed, for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) trigger: Trigger,
    pub(crate) oversized: bool,
    pub(crate) items: u64,
    pub(crate) bytes: u64,
}
