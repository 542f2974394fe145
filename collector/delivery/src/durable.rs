//! A queue that is on disk: what is taken is written before it is answered, sent from memory as long as it is
//! there, and read again where it is not.
//!
//! - Records enter the queue in the order of the log, told by the thread that writes it. So one consumer sends in
//!   that order.
//! - Only who holds the log's claim reads it: a successor gets it with the rest of the queue.
//! - A record leaves the disk once all that came of it was delivered or given up for good. What is left when
//!   the exporter ends stays, and is neither failed nor lost.

mod reading;
mod receipt;
mod record;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard};

use phoenix_component::{Ack, Batch, Budget, ComponentKey, Host, Refusal, StartError};
use phoenix_config::ComponentId;
use phoenix_pdata::Signal;
use phoenix_storage::{AppendError, Client, Place, Store, Weight};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::Push;
use crate::batching::Element;
use crate::delivery::Inner;
use crate::queue::Queue;
use crate::settings::Extent;

pub(crate) use receipt::Receipt;

/// A queue's place on the disk.
pub(crate) struct Durable {
    client: Arc<Client>,
    signal: Signal,
    budget: Budget,
    /// Where reading may block.
    control: Handle,
}

/// Waits until a batch is on the disk, and sees to it that it is sent after that.
pub(crate) struct Written<P: Push> {
    inner: Arc<Inner<P>>,
    answer: oneshot::Receiver<Result<(), Refusal>>,
}

impl<P: Push> Written<P> {
    pub(crate) async fn wait(mut self) -> Result<(), Refusal> {
        let ended = || Err(Refusal::retryable("closed", "the storage has been closed"));
        (&mut self.answer).await.unwrap_or_else(|_| ended())
    }
}

impl<P: Push> Drop for Written<P> {
    fn drop(&mut self) {
        // On the core of the sender, and also where that does not wait any longer.
        self.inner.send_waiting();
    }
}

impl Durable {
    /// Opens the queue of the exporter `key` in the directory of the extension `id`.
    pub(crate) async fn open(
        host: &Host,
        id: &ComponentId,
        key: &ComponentKey,
        signal: Signal,
    ) -> Result<Durable, StartError> {
        let Some(store) = host.capabilities.find::<Store>(id) else {
            return Err(StartError::new(format!(
                "sending_queue::storage: no storage client extension found: list {id} under service::extensions, \
                 and name an extension that stores"
            )));
        };
        let name = phoenix_storage::client_name(&format!(
            "exporter_{}_{}_{}",
            key.id.type_name(),
            key.id.name(),
            key.scope
        ));
        let opened = host.control.spawn_blocking(move || store.client(&name)).await;
        let client = opened.map_err(StartError::because)?.map_err(StartError::because)?;
        Ok(Durable { client, signal, budget: host.budget.clone(), control: host.control.clone() })
    }

    pub(crate) fn is_same(&self, other: &Durable) -> bool {
        Arc::ptr_eq(&self.client, &other.client)
    }

    /// Waits until everything is written down.
    pub(crate) async fn flush(&self) {
        self.client.flush().await;
    }
}

impl<P: Push> Inner<P> {
    /// Hands an admitted batch to the thread that writes.
    pub(crate) fn write(
        self: &Arc<Self>,
        mut queue: MutexGuard<'_, Queue>,
        durable: &Durable,
        batch: Batch,
    ) -> Written<P> {
        let extent = Extent::of(&batch, 1);
        queue.backlog.begin(extent);
        let growth = queue.growth();
        drop(queue);
        self.meter.queued(growth);
        let batch = Batch { deadline: None, waiting: 0, ..batch };
        let entry = record::encode(&batch);
        let (answer, answered) = oneshot::channel();
        let inner = self.clone();
        durable.client.append(entry, move |outcome| {
            let outcome = inner.written(batch, extent, outcome);
            if answer.send(outcome).is_err() {
                inner.send_waiting();
            }
        });
        Written { inner: self.clone(), answer: answered }
    }

    /// A batch was written, or could not be. Called for one record after the other.
    fn written(
        self: &Arc<Self>,
        batch: Batch,
        extent: Extent,
        outcome: Result<Place, AppendError>,
    ) -> Result<(), Refusal> {
        let mut queue = self.queue();
        queue.backlog.written(extent);
        let place = match outcome {
            Ok(place) => place,
            Err(error) => {
                let growth = queue.growth();
                drop(queue);
                self.meter.queued(growth);
                self.changed.notify_waiters();
                let refusal = refusal_of(&error);
                if refusal.is_retryable() {
                    self.report.failing(&refusal);
                }
                return Err(refusal);
            }
        };
        self.stored(queue, batch, extent, place);
        Ok(())
    }

    /// A batch is on the disk: it goes on from here, or from the successor that got the right to read.
    fn stored(
        self: &Arc<Self>,
        mut queue: MutexGuard<'_, Queue>,
        batch: Batch,
        extent: Extent,
        place: Place,
    ) {
        let Some(durable) = self.durable.get() else { return };
        // Asked with the lock under which that is handed over: what is counted here before goes with it.
        if let Some(successor) = self.successor.get().filter(|_| !queue.backlog.has_cursor()) {
            let growth = queue.growth();
            drop(queue);
            self.meter.queued(growth);
            self.changed.notify_waiters();
            successor.stored(successor.queue(), batch, extent, place);
            // Nobody there waits to start its send.
            return successor.send_waiting();
        }
        if !queue.store(extent, place) {
            let growth = queue.growth();
            drop(queue);
            self.meter.queued(growth);
            // Nothing of it is in memory: who waits for the end of that may have it now.
            self.changed.notify_waiters();
            return self.load_more();
        }
        let receipt = Receipt::of(&durable.client, place.number, Weight::of(extent.items, extent.bytes));
        self.put_waiting(queue, [Element { receipt, ..Element::of(batch, Ack::none()) }]);
    }

    /// Lets go of the log, and of the books on what stays there.
    pub(crate) async fn leave_on_disk(&self) {
        let Some(durable) = self.durable.get() else { return };
        durable.flush().await;
        let growth = {
            let mut queue = self.queue();
            let left = queue.backlog.hand_over();
            let items = left.extent().items;
            self.meter.taken_over(-(items as i64));
            if items > 0 && self.lets_out.load(Relaxed) {
                tracing::warn!(
                    otelcol.component.id = %self.report.key().id,
                    client = durable.client.name(),
                    items,
                    "what could not be sent in time stays in the former directory, which nobody reads any more"
                );
            }
            queue.growth()
        };
        self.meter.queued(growth);
    }

    /// Takes over what is on the disk alone, and reading it, or hands that on to who has followed since; behind what
    /// waits in memory, which is older. `from` is the queue of the predecessor, locked: at no time nobody reads.
    pub(crate) fn take_over_backlog(self: &Arc<Self>, mut from: MutexGuard<'_, Queue>, old: &Inner<P>) {
        let mut queue = self.queue();
        if let Some(successor) = self.successor.get() {
            drop(queue);
            return successor.take_over_backlog(from, old);
        }
        let backlog = from.backlog.hand_over();
        let shrunk = from.growth();
        if queue.is_closed() {
            // It stays on the disk, for whoever has the right to read next.
            self.meter.taken_over(-(backlog.extent().items as i64));
        } else {
            queue.backlog.take_over(backlog);
        }
        let (growth, reads) = (queue.growth(), queue.backlog.has_cursor());
        drop((queue, from));
        old.meter.queued(shrunk);
        self.meter.queued(growth);
        if reads {
            self.reads.cancel();
        }
        self.load_more();
    }
}

fn refusal_of(error: &AppendError) -> Refusal {
    let text = format!("cannot write to the queue on disk: {error}");
    match error {
        AppendError::TooLarge { .. } => Refusal::permanent("too_large", text),
        AppendError::Full { .. } => Refusal::retryable("storage_full", text),
        AppendError::Closed => Refusal::retryable("closed", text),
        AppendError::Io { .. } => Refusal::retryable("storage", text),
    }
}
