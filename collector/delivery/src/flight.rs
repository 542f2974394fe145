//! A batch on its way out, from the moment that a send is free for it until the books are closed on it.

use std::sync::Arc;

use phoenix_component::{Batch, Refusal};

use crate::batching::Element;
use crate::delivery::Inner;
use crate::metrics::Cause;
use crate::retry::SHUTDOWN;
use crate::settings::Extent;
use crate::{Left, Push};

/// How a send ended.
pub(crate) enum Outcome {
    /// Delivered, but for so many items that the backend rejected.
    Sent { rejected: u64 },
    /// Not delivered, for a reason that would be the same without the end of the exporter.
    Failed(Refusal),
    /// The exporter ends, and the batch might have been delivered later.
    CutShort(Refusal),
}

/// Holds a place among the sends. It closes the books on its batch exactly once, however it ends; dropped
/// without an outcome, as by a panic or by a sender that went away, the batch counts as failed.
pub(crate) struct Flight<P: Push> {
    inner: Arc<Inner<P>>,
    /// None once the books are closed.
    element: Option<Element>,
    extent: Extent,
}

impl<P: Push> Flight<P> {
    /// For an element that the queue has just let out.
    pub(crate) fn new(inner: Arc<Inner<P>>, element: Element) -> Flight<P> {
        inner.meter.in_flight.add(1);
        let extent = element.extent();
        inner.meter.sending(extent.items, extent.bytes);
        Flight { inner, extent, element: Some(element) }
    }

    /// The exporter that it belongs to.
    pub(crate) fn inner(&self) -> &Arc<Inner<P>> {
        &self.inner
    }

    /// The batch, to send it.
    pub(crate) fn batch(&self) -> &Batch {
        &self.element.as_ref().expect("a flight that has not ended has its batch").batch
    }

    /// Closes the books on what was delivered of the batch, but for `rejected` items; only `left` remains.
    pub(crate) fn narrow(&mut self, rejected: u64, left: Left) -> Refusal {
        let Left { payload, items, refusal } = left;
        let inner = self.inner.clone();
        let Some(element) = &mut self.element else { return refusal };
        let delivered = element.batch.items.saturating_sub(items);
        let rejected = rejected.min(delivered);
        inner.meter.sent(delivered - rejected);
        if rejected > 0 {
            inner.meter.failed(Cause::REJECTED, rejected);
        }
        element.batch.payload = payload;
        element.batch.items -= delivered;
        let extent = element.extent();
        let growth = {
            let mut queue = inner.queue();
            queue.shrink(self.extent, extent);
            queue.growth()
        };
        self.extent = extent;
        inner.meter.queued(growth);
        inner.changed.notify_waiters();
        refusal
    }

    /// Whether a sender waits for the outcome.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.inner.has_queue || self.element.as_ref().is_some_and(|element| element.ack.is_awaited())
    }

    /// Closes the books, and takes the next batch where one waits. The refusal is the sender's, where one
    /// waits in the same task.
    pub(crate) fn end(mut self, outcome: Outcome) -> (Result<(), Refusal>, Option<Flight<P>>) {
        let result = self.settle(outcome);
        let inner = self.inner.clone();
        let next = inner.queue().next();
        (result, next.map(|element| Flight::new(inner, element)))
    }

    fn settle(&mut self, outcome: Outcome) -> Result<(), Refusal> {
        let Some(mut element) = self.element.take() else { return Ok(()) };
        let inner = self.inner.clone();
        let items = self.extent.items;
        if let (Outcome::CutShort(_), Some(successor)) = (&outcome, inner.successor.get()) {
            match successor.take_over(element) {
                Some(back) => element = back,
                None => {
                    self.leave();
                    return Ok(());
                }
            }
        }
        if matches!(outcome, Outcome::CutShort(_)) && element.receipt.is_durable() {
            // It stays on the disk, neither failed nor lost.
            self.inner.queue().backlog.keep(self.extent);
            self.leave();
            return Ok(());
        }
        let ack = element.ack;
        element.receipt.complete();
        // What nobody waits for, the exporter owns.
        let owned = inner.has_queue && !ack.is_awaited();
        let result = match outcome {
            Outcome::Sent { rejected } => {
                let rejected = rejected.min(items);
                inner.meter.sent(items - rejected);
                if rejected > 0 {
                    inner.meter.failed(Cause::REJECTED, rejected);
                }
                Ok(())
            }
            Outcome::Failed(refusal) | Outcome::CutShort(refusal) => {
                inner.meter.failed(Cause::of(&refusal), items);
                if owned {
                    inner.report.dropped(&refusal, items);
                    if refusal.reason() == SHUTDOWN {
                        inner.lost(element.requests, items);
                    }
                } else {
                    inner.report.rejected(&refusal, items);
                }
                Err(refusal)
            }
        };
        self.leave();
        ack.resolve(result.clone());
        result
    }

    fn leave(&self) {
        let inner = &self.inner;
        let growth = {
            let mut queue = inner.queue();
            queue.finish(self.extent);
            queue.growth()
        };
        inner.meter.in_flight.add(-1);
        inner.meter.queued(growth);
        inner.changed.notify_waiters();
        inner.load_more();
    }
}

impl<P: Push> Drop for Flight<P> {
    fn drop(&mut self) {
        if self.element.is_none() {
            return;
        }
        let panicked = std::thread::panicking();
        let refusal = match (panicked, self.inner.has_queue) {
            (true, _) => Refusal::permanent("panic", "the exporter panicked"),
            (false, true) => Refusal::retryable(SHUTDOWN, "the collector has stopped"),
            (false, false) => Refusal::retryable("cancelled", "the sender went away"),
        };
        if panicked && self.inner.has_queue {
            self.inner.report.failing(&refusal);
        }
        // A refusal has been counted; nobody waits for it here.
        let _ = self.settle(match (panicked, self.inner.has_queue) {
            (false, true) => Outcome::CutShort(refusal),
            _ => Outcome::Failed(refusal),
        });
        if panicked {
            self.inner.clone().send_waiting();
        } else if self.inner.has_queue {
            // The runtime is gone: nothing that waits will be sent.
            self.inner.give_up_waiting();
        }
    }
}
