//! Batches in the making: requests are joined by concatenation, and cut at the boundaries of records where
//! a limit falls into one. No clock, no task, no lock.
//!
//! - There is one open batch for each combination of the client metadata by which batches are kept apart.
//!   One that has nothing is let go of, so there are never more than what the queue holds.
//! - What somebody waits for and what the exporter owns are never joined: the former may be handed back at
//!   its deadline, the latter must not be.
//! - Joining copies nothing, and only requests into which a limit falls are looked at.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use phoenix_component::{Ack, Batch, ClientInfo};
use phoenix_pdata::{Chunk, Payload, split_bytes, split_items, take_items};
use tokio::time::Instant;

use crate::durable::Receipt;
use crate::settings::{BatchRules, Extent};

/// A batch with whoever waits for it.
pub(crate) struct Element {
    pub(crate) batch: Batch,
    pub(crate) ack: Ack,
    /// Of the records on disk that it came of.
    pub(crate) receipt: Receipt,
    /// Requests that it came in as. Of a request in several parts the last counts.
    pub(crate) requests: u64,
}

impl Element {
    /// One request, in memory alone.
    pub(crate) fn of(batch: Batch, ack: Ack) -> Element {
        Element { batch, ack, receipt: Receipt::none(), requests: 1 }
    }

    pub(crate) fn extent(&self) -> Extent {
        Extent::of(&self.batch, self.requests)
    }
}

/// Why a batch is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// It is large enough.
    Size,
    /// It has waited long enough.
    Timeout,
    /// The exporter ends.
    End,
}

/// A batch that is complete.
pub(crate) struct Ready {
    pub(crate) element: Element,
    pub(crate) trigger: Trigger,
    /// It exceeds the most bytes, since a single record does.
    pub(crate) oversized: bool,
}

/// What batches have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    is_awaited: bool,
    metadata: Arc<[(String, String)]>,
}

pub(crate) struct Batching {
    rules: BatchRules,
    open: HashMap<Key, Open>,
    /// When open batches have waited long enough, by age; stale where the number is another.
    due: VecDeque<(Instant, u64, Key)>,
    /// Of the open batch that was begun last.
    number: u64,
    extent: Extent,
}

impl Batching {
    pub(crate) fn new(rules: BatchRules) -> Batching {
        Batching { rules, open: HashMap::new(), due: VecDeque::new(), number: 0, extent: Extent::default() }
    }

    /// What is open.
    pub(crate) fn extent(&self) -> Extent {
        self.extent
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Adds a request, and lets out what is complete by that.
    pub(crate) fn put(&mut self, mut element: Element, now: Instant, out: &mut Vec<Ready>) {
        let metadata = self.metadata(&element.batch);
        element.batch.client = (!metadata.is_empty())
            .then(|| Arc::new(ClientInfo { metadata: metadata.to_vec(), ..ClientInfo::default() }));
        let key = Key { is_awaited: element.ack.is_awaited(), metadata };
        let (rules, begun) = (&self.rules, !self.open.contains_key(&key));
        let open = self.open.entry(key.clone()).or_default();
        self.extent.sub(open.extent);
        open.push(element);
        let mut is_cut = false;
        while open.is_complete(rules)
            && let Some((element, oversized)) = open.cut(rules.max)
        {
            is_cut = true;
            out.push(Ready { element, trigger: Trigger::Size, oversized });
        }
        self.extent.add(open.extent);
        if open.parts.is_empty() {
            self.open.remove(&key);
        } else if begun || is_cut {
            self.number += 1;
            open.number = self.number;
            self.due.push_back((now + rules.flush_timeout, self.number, key));
        }
    }

    /// The metadata of a request that counts, in the order of the keys.
    fn metadata(&self, batch: &Batch) -> Arc<[(String, String)]> {
        let client = batch.client.as_deref();
        let of_key = |key: &String| {
            let values = client.into_iter().flat_map(|client| client.metadata(key));
            values.map(|value| (key.clone(), value.to_owned())).collect::<Vec<_>>()
        };
        self.rules.keys.iter().flat_map(of_key).collect()
    }

    /// Lets out what has waited long enough.
    pub(crate) fn flush_due(&mut self, now: Instant, out: &mut Vec<Ready>) {
        while let Some((at, ..)) = self.due.front()
            && *at <= now
            && let Some((_, number, key)) = self.due.pop_front()
        {
            if self.open.get(&key).is_some_and(|open| open.number == number)
                && let Some(open) = self.open.remove(&key)
            {
                self.flush(open, Trigger::Timeout, out);
            }
        }
    }

    /// When something has waited long enough; none where nothing is open.
    pub(crate) fn next_due(&mut self) -> Option<Instant> {
        while let Some((at, number, key)) = self.due.front() {
            if self.open.get(key).is_some_and(|open| open.number == *number) {
                return Some(*at);
            }
            self.due.pop_front();
        }
        None
    }

    /// Lets out everything.
    pub(crate) fn flush_all(&mut self, out: &mut Vec<Ready>) {
        self.due.clear();
        for (_, open) in std::mem::take(&mut self.open) {
            self.flush(open, Trigger::End, out);
        }
    }

    fn flush(&mut self, mut open: Open, trigger: Trigger, out: &mut Vec<Ready>) {
        self.extent.sub(open.extent);
        while let Some((element, oversized)) = open.cut(self.rules.max) {
            out.push(Ready { element, trigger, oversized });
        }
    }

    /// Takes everything out as it came in.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Element> {
        self.due.clear();
        self.extent = Extent::default();
        std::mem::take(&mut self.open).into_values().flat_map(|open| open.parts)
    }
}

/// One batch in the making.
#[derive(Default)]
struct Open {
    parts: VecDeque<Element>,
    extent: Extent,
    number: u64,
}

impl Open {
    fn push(&mut self, element: Element) {
        self.extent.add(element.extent());
        self.parts.push_back(element);
    }

    fn is_complete(&self, rules: &BatchRules) -> bool {
        let Extent { items, bytes, .. } = self.extent;
        items >= rules.min.items
            || bytes >= rules.min.bytes
            || items > rules.max.items
            || bytes > rules.max.bytes
    }

    /// Cuts a batch off the front, as large as `most` allows; whether it is larger, since a record is. None
    /// where there is nothing.
    fn cut(&mut self, most: Extent) -> Option<(Element, bool)> {
        let mut batch = self.parts.pop_front()?;
        if !fits(&batch, most) {
            batch = self.cut_first(batch, most);
        }
        let oversized = !fits(&batch, most);
        while !oversized && let Some(part) = self.take_fitting(&batch, most) {
            join(&mut batch, part);
        }
        self.extent.sub(batch.extent());
        Some((batch, oversized))
    }

    /// A request that does not fit into an empty batch: its first part, the others go back to the front.
    fn cut_first(&mut self, mut element: Element, most: Extent) -> Element {
        if element.batch.items > most.items {
            element = self.keep_rest(element, |signal, payload| split_items(signal, payload, most.items));
        }
        if element.extent().bytes > most.bytes {
            let most = usize::try_from(most.bytes).unwrap_or(usize::MAX);
            element = self.keep_rest(element, |signal, payload| split_bytes(signal, payload, most));
        }
        element
    }

    /// The next request, or as much of it as there is room for beside `batch`.
    fn take_fitting(&mut self, batch: &Element, most: Extent) -> Option<Element> {
        let (taken, next) = (batch.extent(), self.parts.front()?);
        let room = Extent {
            requests: u64::MAX,
            items: most.items.saturating_sub(taken.items),
            bytes: most.bytes.saturating_sub(taken.bytes),
        };
        if fits(next, room) {
            return self.parts.pop_front();
        }
        let items = if next.extent().bytes <= room.bytes {
            room.items
        } else {
            // As many records as the bytes have room for; the rest stays in one part.
            let bytes = usize::try_from(room.bytes).unwrap_or(usize::MAX);
            let first =
                split_bytes(next.batch.signal, next.batch.payload.clone(), bytes).into_iter().next()?;
            if first.payload.len() > bytes {
                return None;
            }
            first.items.min(room.items)
        };
        if items == 0 {
            return None;
        }
        let next = self.parts.pop_front()?;
        let head = self.keep_rest(next, |signal, payload| {
            let (head, rest) = take_items(signal, payload, items);
            vec![head, rest]
        });
        if fits(&head, room) {
            return Some(head);
        }
        self.parts.push_front(head);
        None
    }

    /// Splits a request, puts all but the first part back, and returns that. Its handle is split with it;
    /// it counts as a request in its last part, since it is answered no earlier.
    fn keep_rest(
        &mut self,
        element: Element,
        split: impl FnOnce(phoenix_pdata::Signal, Payload) -> Vec<Chunk>,
    ) -> Element {
        self.extent.sub(element.extent());
        let Element { mut batch, ack, receipt, requests } = element;
        let payload = std::mem::take(&mut batch.payload);
        let chunks = split(batch.signal, payload).into_iter().filter(|chunk| !chunk.payload.is_empty());
        let waiting = std::mem::take(&mut batch.waiting);
        let mut batches: Vec<Batch> = chunks
            .map(|chunk| Batch { payload: chunk.payload, items: chunk.items, ..batch.clone() })
            .collect();
        let last = Batch { waiting, ..batches.pop().unwrap_or(Batch { items: 0, ..batch }) };
        let mut first = Element { batch: last, ack, receipt, requests };
        self.extent.add(first.extent());
        while let Some(batch) = batches.pop() {
            let part = Element { batch, ack: first.ack.split(), receipt: first.receipt.split(), requests: 0 };
            self.extent.add(part.extent());
            self.parts.push_front(std::mem::replace(&mut first, part));
        }
        first
    }
}

fn fits(element: &Element, room: Extent) -> bool {
    let Extent { items, bytes, .. } = element.extent();
    items <= room.items && bytes <= room.bytes
}

/// Makes one batch of two: both end together, and by the later deadline, so that a hasty sender does not
/// spoil the delivery for the others.
fn join(into: &mut Element, other: Element) {
    let (batch, joined) = (&mut into.batch, other.batch);
    batch.payload.append(joined.payload);
    batch.items += joined.items;
    batch.waiting += joined.waiting;
    batch.owned |= joined.owned;
    batch.deadline = batch.deadline.zip(joined.deadline).map(|(a, b)| a.max(b));
    into.requests += other.requests;
    into.ack.join(other.ack);
    into.receipt.join(other.receipt);
}
