//! What waits and what is under way: plain data behind a short lock.

use std::collections::VecDeque;

use phoenix_component::{Batch, Held, Refusal};
use tokio::sync::oneshot;

use crate::Sizer;

/// Who waits for the delivery of a batch.
pub(crate) type Answer = Option<oneshot::Sender<Result<(), Refusal>>>;

/// A batch with whoever waits for it.
pub(crate) struct Element {
    pub(crate) batch: Batch,
    pub(crate) answer: Answer,
}

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
    waiting: VecDeque<Element>,
    active: usize,
    size: u64,
    held: Held,
    closed: bool,
}

impl Queue {
    /// Room for `capacity` units of `sizer`, and for `consumers` sends at once.
    pub(crate) fn new(sizer: Sizer, capacity: u64, consumers: usize) -> Queue {
        Queue {
            sizer,
            capacity,
            consumers,
            waiting: VecDeque::new(),
            active: 0,
            size: 0,
            held: Held::default(),
            closed: false,
        }
    }

    /// Whether `batch` may come in now.
    pub(crate) fn admit(&self, batch: &Batch) -> Result<(), Rejection> {
        let size = self.sizer.size(batch);
        if self.closed {
            Err(Rejection::Closed)
        } else if size > self.capacity {
            Err(Rejection::TooLarge)
        } else if self.size + size > self.capacity {
            Err(Rejection::Full)
        } else {
            Ok(())
        }
    }

    /// Takes an element, whatever its size, and gives back one to send now where a send is free.
    #[must_use]
    pub(crate) fn put(&mut self, element: Element) -> Option<Element> {
        self.size += self.sizer.size(&element.batch);
        self.held.items += element.batch.items;
        self.held.bytes += element.batch.payload.len();
        self.waiting.push_back(element);
        self.next()
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
    pub(crate) fn finish(&mut self, size: u64, held: Held) {
        self.active -= 1;
        self.leave(size, held);
    }

    /// Takes out everything that waits.
    pub(crate) fn take_waiting(&mut self) -> VecDeque<Element> {
        let taken = std::mem::take(&mut self.waiting);
        for element in &taken {
            let held = Held { items: element.batch.items, bytes: element.batch.payload.len() };
            self.leave(self.sizer.size(&element.batch), held);
        }
        taken
    }

    fn leave(&mut self, size: u64, held: Held) {
        self.size -= size;
        self.held.items -= held.items;
        self.held.bytes -= held.bytes;
    }

    /// Refuses whatever comes from now on.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Whether everything is refused.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether nothing waits or is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.active == 0 && self.waiting.is_empty()
    }

    /// What is inside, in spans, data points or log records and in bytes.
    pub(crate) fn held(&self) -> Held {
        self.held
    }

    /// What is inside, in units of the sizer.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// What may be inside, in units of the sizer.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// What a batch counts for.
    pub(crate) fn size_of(&self, batch: &Batch) -> u64 {
        self.sizer.size(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use phoenix_pdata::Signal;

    fn element(items: u64) -> Element {
        let payload = Bytes::from(vec![0; 10 * items as usize]).into();
        Element { batch: Batch::new(Signal::Logs, payload, items), answer: None }
    }

    fn held(items: u64) -> Held {
        Held { items, bytes: 10 * items as usize }
    }

    #[test]
    fn what_is_under_way_holds_its_room() {
        let mut queue = Queue::new(Sizer::Items, 10, 1);
        assert!(queue.put(element(6)).is_some());
        assert_eq!(queue.admit(&element(5).batch), Err(Rejection::Full));
        assert_eq!(queue.admit(&element(11).batch), Err(Rejection::TooLarge));
        assert_eq!(queue.admit(&element(4).batch), Ok(()));
        assert!(queue.put(element(4)).is_none(), "the only send is taken");
        assert_eq!((queue.size(), queue.held()), (10, held(10)));
        queue.finish(6, held(6));
        assert_eq!(queue.next().map(|next| next.batch.items), Some(4));
        assert!(!queue.is_idle());
        queue.finish(4, held(4));
        assert!(queue.is_idle() && queue.held() == Held::default());
        queue.close();
        assert_eq!(queue.admit(&element(1).batch), Err(Rejection::Closed));
    }

    #[test]
    fn each_sizer_counts_its_own() {
        for (sizer, size) in [(Sizer::Requests, 1), (Sizer::Items, 3), (Sizer::Bytes, 30)] {
            let mut queue = Queue::new(sizer, 30, 0);
            assert!(queue.put(element(3)).is_none());
            assert_eq!(queue.size(), size, "{sizer}");
            assert_eq!(queue.take_waiting().len(), 1);
            assert_eq!((queue.size(), queue.held()), (0, Held::default()));
        }
    }
}
