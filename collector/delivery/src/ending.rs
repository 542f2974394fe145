//! How a delivery ends: it hands over to its successor, or delivers until a deadline and counts the rest.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use phoenix_component::{Adoption, Held, Lost, Refusal};
use tokio::time::Instant;

use crate::Push;
use crate::batching::Element;
use crate::circuit::Change;
use crate::delivery::Inner;
use crate::metrics::Cause;
use crate::retry::SHUTDOWN;

/// Time that cancelled attempts get to end.
const CANCELLING: Duration = Duration::from_secs(1);

impl<P: Push> Inner<P> {
    pub(crate) fn lost(&self, requests: u64, items: u64) {
        self.lost_requests.fetch_add(requests, Ordering::Relaxed);
        self.lost_items.fetch_add(items, Ordering::Relaxed);
    }

    /// Takes over what `old` holds, and what still comes to it.
    pub(crate) fn adopt(self: &Arc<Self>, old: &Arc<Inner<P>>) -> Adoption {
        // What is on a disk is handed to who has the same; nobody else would ever read it.
        if old.durable.get().is_some_and(|old| self.durable.get().is_none_or(|new| !new.is_same(old))) {
            old.lets_out.store(true, Ordering::Relaxed);
            return Adoption::Rebuilt;
        }
        if !self.has_queue || !old.has_queue || Arc::ptr_eq(self, old) {
            return Adoption::Rebuilt;
        }
        {
            // With the lock under which it would end: either it waits for its predecessor, or that one has to
            // deliver by itself.
            let queue = self.queue();
            if queue.is_closed() {
                return Adoption::Rebuilt;
            }
            self.predecessors.fetch_add(1, Ordering::AcqRel);
        }
        // Set first, so that whatever cannot be delivered from now on follows the rest.
        if old.queue().is_closed() || old.successor.set(self.clone()).is_err() {
            self.predecessors.fetch_sub(1, Ordering::AcqRel);
            return Adoption::Rebuilt;
        }
        old.give_up_waiting();
        self.take_over_backlog(old.queue(), old);
        Adoption::Kept
    }

    /// Takes an element that was accepted under a former configuration: there is always room for it, until
    /// the end. It is given back after that.
    pub(crate) fn take_over(self: &Arc<Self>, element: Element) -> Option<Element> {
        if let Some(successor) = self.successor.get() {
            return successor.take_over(element);
        }
        let queue = self.queue();
        if queue.is_closed() {
            return Some(element);
        }
        self.put(queue, element);
        None
    }

    /// Hands whatever waits to the successor, or counts it as failed and lost.
    pub(crate) fn give_up_waiting(&self) {
        let (waiting, growth) = {
            let mut queue = self.queue();
            (queue.take_waiting(), queue.growth())
        };
        self.meter.queued(growth);
        let successor = self.successor.get();
        for element in waiting {
            let left = match successor {
                Some(successor) => successor.take_over(element),
                None => Some(element),
            };
            let Some(element) = left else { continue };
            if element.receipt.is_durable() {
                let growth = {
                    let mut queue = self.queue();
                    queue.backlog.keep(element.extent());
                    queue.growth()
                };
                self.meter.queued(growth);
                continue;
            }
            let Element { batch, ack, requests, .. } = element;
            let refusal = Refusal::retryable(SHUTDOWN, "the exporter ended before the data could be sent");
            self.meter.failed(Cause::of(&refusal), batch.items);
            if !ack.is_awaited() {
                self.lost(requests, batch.items);
                self.report.dropped(&refusal, batch.items);
            }
            ack.resolve(Err(refusal));
        }
        self.changed.notify_waiters();
    }

    /// Ends it: batches in the making and retries at once, sends at the deadline.
    pub(crate) async fn drain(self: &Arc<Self>, deadline: Instant) -> Lost {
        if self.lets_out.load(Ordering::Relaxed) {
            let until = deadline.checked_sub(CANCELLING).unwrap_or(deadline);
            let _ = tokio::time::timeout_at(until, self.until_empty()).await;
        }
        self.complete_all();
        self.stop.cancel();
        if self.durable.get().is_some() && self.circuit.is_open() {
            // An attempt for each of them would only cost time.
            self.give_up_waiting();
        }
        if tokio::time::timeout_at(deadline, self.until_idle()).await.is_err() {
            self.cancel.cancel();
            self.give_up_waiting();
            // A sender that does not poll its attempt any more cannot hold the end up.
            let _ = tokio::time::timeout(CANCELLING, self.until_idle()).await;
            self.queue().close();
            self.changed.notify_waiters();
        }
        self.leave_on_disk().await;
        self.push.stop();
        if let Some(successor) = self.successor.get() {
            successor.predecessors.fetch_sub(1, Ordering::AcqRel);
            successor.changed.notify_waiters();
        }
        if self.started.swap(false, Ordering::Relaxed) {
            self.meter.capacity(-(self.queue().capacity() as i64));
        }
        if self.circuit.answered() == Change::Closed {
            // Whoever comes next finds out for itself.
            self.meter.circuit(Change::Closed);
        }
        Lost {
            items: self.lost_items.swap(0, Ordering::Relaxed),
            requests: self.lost_requests.swap(0, Ordering::Relaxed),
        }
    }

    fn complete_all(self: &Arc<Self>) {
        let mut made = Vec::new();
        let growth = {
            let mut queue = self.queue();
            queue.end(&mut made);
            queue.growth()
        };
        self.meter.queued(growth);
        made.iter().for_each(|batch| self.meter.made(batch));
        self.send_waiting();
    }

    /// Waits until nothing is left, on the disk neither; all goes on as before meanwhile.
    async fn until_empty(&self) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.queue().held() == Held::default() {
                return;
            }
            changed.await;
        }
    }

    /// Waits until nothing is inside, and refuses everything from then on.
    async fn until_idle(&self) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut queue = self.queue();
                if queue.is_idle() && self.predecessors.load(Ordering::Acquire) == 0 {
                    queue.close();
                    break;
                }
            }
            changed.await;
        }
        // Whoever waits for room hears that there will be none.
        self.changed.notify_waiters();
    }
}
