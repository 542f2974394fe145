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

use std::sync::{Arc, MutexGuard};

use phoenix_component::{Ack, Batch, Budget, ComponentKey, Host, Refusal, StartError};
use phoenix_config::ComponentId;
use phoenix_pdata::Signal;
use phoenix_storage::{AppendError, Client, Store, Weight};
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
        outcome: Result<u64, AppendError>,
    ) -> Result<(), Refusal> {
        let mut queue = self.queue();
        queue.backlog.written(extent);
        let number = match outcome {
            Ok(number) => number,
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
        if let Some(successor) = self.successor.get().filter(|_| !queue.backlog.has_cursor()) {
            let growth = queue.growth();
            drop(queue);
            self.meter.queued(growth);
            self.changed.notify_waiters();
            successor.heir().stored(batch, extent, number);
        } else {
            self.stored_here(queue, batch, extent, number);
        }
        Ok(())
    }

    /// The last of those that follow each other.
    fn heir(self: &Arc<Self>) -> &Arc<Self> {
        self.successor.get().map_or(self, |successor| successor.heir())
    }

    /// A batch that a predecessor took is on the disk: nobody waits to start its send.
    fn stored(self: &Arc<Self>, batch: Batch, extent: Extent, number: u64) {
        self.stored_here(self.queue(), batch, extent, number);
        self.send_waiting();
    }

    fn stored_here(
        self: &Arc<Self>,
        mut queue: MutexGuard<'_, Queue>,
        batch: Batch,
        extent: Extent,
        number: u64,
    ) {
        let Some(durable) = self.durable.get() else { return };
        if !queue.store(extent, number) {
            let growth = queue.growth();
            drop(queue);
            self.meter.queued(growth);
            return self.load_more();
        }
        let receipt = Receipt::of(&durable.client, number, Weight::of(extent.items, extent.bytes));
        self.put_waiting(queue, [Element { receipt, ..Element::of(batch, Ack::none()) }]);
    }

    /// Lets go of the log, and of the books on what stays there.
    pub(crate) async fn leave_on_disk(&self) {
        let Some(durable) = self.durable.get() else { return };
        durable.flush().await;
        let growth = {
            let mut queue = self.queue();
            let left = queue.backlog.hand_over();
            self.meter.taken_over(-(left.extent().items as i64));
            queue.growth()
        };
        self.meter.queued(growth);
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
