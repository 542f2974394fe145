//! A batch in the making, and how batches are cut from it.

use std::collections::VecDeque;
use std::time::Duration;

use phoenix_component::{Batch, Fragment};
use phoenix_pdata::{Chunk, Payload, split_bytes, take_items};

/// The most that one batch may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    pub(crate) items: u64,
    pub(crate) bytes: usize,
}

/// What has come in and waits for more. The fragments stay apart until a batch is cut, so that joining
/// copies nothing and only a fragment that a limit falls into is looked at.
#[derive(Default)]
pub(crate) struct Open {
    fragments: VecDeque<Fragment>,
    items: u64,
    bytes: usize,
    /// When the oldest of it came in, or what was left when a full batch was sent.
    since: Duration,
}

/// A batch that was cut.
pub(crate) struct Cut {
    pub(crate) fragment: Fragment,
    /// It exceeds the bytes, since a single record does.
    pub(crate) oversized: bool,
}

impl Open {
    pub(crate) fn is_empty(&self) -> bool {
        self.fragments.is_empty()
    }

    pub(crate) fn items(&self) -> u64 {
        self.items
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn since(&self) -> Duration {
        self.since
    }

    /// What is left waits from `now` on.
    pub(crate) fn restart(&mut self, now: Duration) {
        self.since = now;
    }

    pub(crate) fn is_awaited(&self) -> bool {
        self.fragments.iter().any(|fragment| fragment.batch.waiting > 0)
    }

    pub(crate) fn push(&mut self, fragment: Fragment, now: Duration) {
        if self.fragments.is_empty() {
            self.since = now;
        }
        self.items += fragment.batch.items;
        self.bytes += fragment.batch.payload.len();
        self.fragments.push_back(fragment);
    }

    /// Adds what another had open.
    pub(crate) fn append(&mut self, mut other: Open) {
        self.since = if self.is_empty() { other.since } else { self.since.min(other.since) };
        self.items += other.items;
        self.bytes += other.bytes;
        self.fragments.append(&mut other.fragments);
    }

    /// Cuts a batch off the front, as large as `most` allows and never empty; none where nothing is open.
    ///
    /// Data that somebody waits for and data that is the collector's alone are never joined: the former
    /// may be handed back at its deadline, the latter must not be.
    pub(crate) fn cut(&mut self, most: Most) -> Option<Cut> {
        let mut cut = Cut { fragment: self.fragments.pop_front()?, oversized: false };
        if !fits(&cut.fragment.batch, most) {
            cut = self.cut_first(cut.fragment, most);
        }
        while !cut.oversized
            && let Some(next) = self.fragments.front()
            && next.ack.is_awaited() == cut.fragment.ack.is_awaited()
        {
            let taken = &cut.fragment.batch;
            let room = Most {
                items: most.items.saturating_sub(taken.items),
                bytes: most.bytes.saturating_sub(taken.payload.len()),
            };
            let Some(fragment) = self.take_fitting(room) else { break };
            join(&mut cut.fragment, fragment);
        }
        self.items -= cut.fragment.batch.items;
        self.bytes -= cut.fragment.batch.payload.len();
        Some(cut)
    }

    /// A fragment that does not fit into an empty batch: its first part, the rest goes back to the front.
    fn cut_first(&mut self, mut fragment: Fragment, most: Most) -> Cut {
        if fragment.batch.items > most.items {
            fragment = self.keep_rest(fragment, |batch| {
                let (head, rest) = take_items(batch.signal, batch.payload, most.items);
                vec![head, rest]
            });
        }
        if fragment.batch.payload.len() > most.bytes {
            fragment = self.keep_rest(fragment, |batch| split_bytes(batch.signal, batch.payload, most.bytes));
        }
        let oversized = fragment.batch.payload.len() > most.bytes;
        Cut { fragment, oversized }
    }

    /// The next fragment, or its first part, where that fits into `room`.
    fn take_fitting(&mut self, room: Most) -> Option<Fragment> {
        let next = &self.fragments.front()?.batch;
        if fits(next, room) {
            return self.fragments.pop_front();
        }
        // Only the items fill a batch to the last: where the bytes do not fit, the next batch begins.
        if room.items == 0 || next.items <= room.items {
            return None;
        }
        let next = self.fragments.pop_front()?;
        let head = self.keep_rest(next, |batch| {
            let (head, rest) = take_items(batch.signal, batch.payload, room.items);
            vec![head, rest]
        });
        if fits(&head.batch, room) {
            return Some(head);
        }
        self.fragments.push_front(head);
        None
    }

    /// Splits a fragment, puts all but the first part back, and returns that. The handle is split with
    /// it; requests wait in the last part, since they are answered no earlier.
    fn keep_rest(&mut self, fragment: Fragment, split: impl FnOnce(Batch) -> Vec<Chunk>) -> Fragment {
        let Fragment { batch, ack } = fragment;
        self.items -= batch.items;
        self.bytes -= batch.payload.len();
        let header = Batch { payload: Payload::default(), items: 0, waiting: 0, ..batch.clone() };
        let waiting = batch.waiting;
        let parts = split(batch).into_iter().filter(|chunk| !chunk.payload.is_empty());
        let mut batches: Vec<_> = parts
            .map(|chunk| Batch { payload: chunk.payload, items: chunk.items, ..header.clone() })
            .collect();
        self.items += batches.iter().map(|batch| batch.items).sum::<u64>();
        self.bytes += batches.iter().map(|batch| batch.payload.len()).sum::<usize>();
        let mut first = Fragment { batch: Batch { waiting, ..batches.pop().unwrap_or(header) }, ack };
        while let Some(batch) = batches.pop() {
            let ack = first.ack.split();
            self.fragments.push_front(std::mem::replace(&mut first, Fragment { batch, ack }));
        }
        first
    }
}

fn fits(batch: &Batch, room: Most) -> bool {
    batch.items <= room.items && batch.payload.len() <= room.bytes
}

/// Makes one batch of two: both end together, by the earlier deadline.
fn join(into: &mut Fragment, other: Fragment) {
    let (batch, joined) = (&mut into.batch, other.batch);
    batch.payload.append(joined.payload);
    batch.items += joined.items;
    batch.waiting += joined.waiting;
    batch.deadline = match (batch.deadline, joined.deadline) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    into.ack.join(other.ack);
}
