//! Reading what is on the disk alone: who may, when there is room for it, and what becomes of damage.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use phoenix_component::{Ack, Refusal};
use phoenix_storage::{Chunk, Claim, Record, Weight};

use super::{Durable, Receipt, record};
use crate::Push;
use crate::batching::Element;
use crate::delivery::Inner;
use crate::metrics::Cause;
use crate::settings::Extent;

/// How often a segment that the disk does not give is asked for before it is given up on.
const READ_ATTEMPTS: u32 = 3;
/// Time between two of these.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// What was read from the disk.
struct Loaded {
    elements: Vec<Element>,
    /// Of what was read, and of what should have been.
    extent: Extent,
    lost: Extent,
    /// Where it was read from, and where reading goes on.
    from: u64,
    next: u64,
    /// Nothing was left to be read.
    is_all: bool,
}

impl Durable {
    /// The batches of what was read; what is none is lost.
    fn decode(&self, chunk: Option<Chunk>, from: u64, until: u64) -> Loaded {
        let is_all = chunk.is_none();
        let chunk = chunk.unwrap_or(Chunk { next: until, ..Chunk::default() });
        let (mut all, mut lost) = (chunk.lost, chunk.lost);
        let mut elements = Vec::with_capacity(chunk.records.len());
        for record in &chunk.records {
            all.add(record.weight);
            match self.element(record) {
                Some(element) => elements.push(element),
                None => {
                    lost.add(record.weight);
                    self.client.mark(record.number, record.weight);
                }
            }
        }
        Loaded { elements, extent: all.into(), lost: lost.into(), from, next: chunk.next, is_all }
    }

    /// The batch of a record.
    fn element(&self, record: &Record) -> Option<Element> {
        let batch = record::decode(self.signal, &record.body).filter(|batch| {
            let weight = Weight::of(batch.items, batch.payload.len() as u64);
            weight == record.weight
        })?;
        let receipt = Receipt::of(&self.client, record.number, record.weight);
        Some(Element { receipt, ..Element::of(batch, Ack::none()) })
    }
}

impl<P: Push> Inner<P> {
    /// Begins to read the log where nobody else does, else waits until the one who does has ended, or has handed it
    /// over.
    pub(crate) fn begin_reading(self: &Arc<Self>, durable: &Durable) {
        self.queue().backlog.within(durable.budget.limit());
        if let Some(claim) = durable.client.try_claim() {
            return self.claimed(claim);
        }
        let (inner, client) = (self.clone(), durable.client.clone());
        durable.control.spawn(async move {
            tokio::select! {
                biased;
                () = inner.stop.cancelled() => {}
                () = inner.reads.cancelled() => {}
                Some(claim) = client.claim() => inner.claimed(claim),
            }
        });
    }

    fn claimed(self: &Arc<Self>, claim: Claim) {
        let Some(durable) = self.durable.get() else { return };
        let growth = {
            let mut queue = self.queue();
            // The next in line is the successor.
            if queue.backlog.has_cursor() || queue.is_closed() || self.successor.get().is_some() {
                return;
            }
            let (held, end) = durable.client.held_below();
            let new = queue.backlog.claim(claim, held.into(), end);
            self.meter.taken_over(new.items as i64);
            queue.growth()
        };
        self.meter.queued(growth);
        self.note_damage(durable);
        self.load_more();
    }

    /// Reads on, where there is something to read and room for it.
    pub(crate) fn load_more(self: &Arc<Self>) {
        let Some(durable) = self.durable.get() else { return };
        let Some((from, until)) = self.queue().begin_load() else { return };
        let inner = self.clone();
        #[cfg(test)]
        let Some(inner) = crate::turns::later(inner, move |inner| _ = inner.load(from, until, true)) else {
            return;
        };
        drop(durable.control.spawn(async move {
            for attempt in 1.. {
                let (reader, is_last) = (inner.clone(), attempt == READ_ATTEMPTS);
                let read = tokio::task::spawn_blocking(move || reader.load(from, until, is_last));
                match read.await {
                    Ok(true) => return,
                    Ok(false) => tokio::time::sleep(READ_AGAIN).await,
                    // The runtime ends: what is on the disk stays there.
                    Err(error) if error.is_cancelled() => return,
                    Err(error) => {
                        let text =
                            "reading the queue on disk panicked: what is there is sent after a restart";
                        tracing::error!(otelcol.component.id = %inner.report.key().id, %error, "{text}");
                        return inner.report.failing(&Refusal::permanent("panic", text));
                    }
                }
            }
        }));
    }

    /// Reads once; false where it should be tried again.
    fn load(self: &Arc<Self>, from: u64, until: u64, is_last: bool) -> bool {
        let Some(durable) = self.durable.get() else { return true };
        let own =
            |buffer: Vec<u8>| durable.budget.charge_reserve(buffer.len()).attach_slice(Bytes::from(buffer));
        let chunk = match durable.client.read(from, until, own) {
            Ok(chunk) => chunk,
            Err(error) => {
                tracing::error!(client = durable.client.name(), %error, "cannot read the queue from the disk");
                if !is_last {
                    return false;
                }
                durable.client.give_up(from, until)
            }
        };
        self.loaded(durable.decode(chunk, from, until));
        true
    }

    /// Puts what was read into the queue, or into that of the successor that reads now.
    fn loaded(self: &Arc<Self>, loaded: Loaded) {
        let mut queue = self.queue();
        if !queue.backlog.has_cursor() {
            drop(queue);
            if let Some(successor) = self.successor.get() {
                successor.loaded(loaded);
            }
            // Without one it stays on the disk.
            return;
        }
        let Loaded { elements, extent, lost, from, next, is_all } = loaded;
        if !queue.backlog.reads_from(from) {
            // Read for one that ended, after which somebody else began from the beginning.
            return;
        }
        queue.backlog.loaded(extent, next, is_all);
        self.put_waiting(queue, elements);
        if lost.requests > 0 {
            self.meter.failed(Cause::CORRUPT, lost.items);
            tracing::error!(
                otelcol.component.id = %self.report.key().id,
                lost_requests = lost.requests,
                lost_items = lost.items,
                "what the disk has of the queue is damaged; what could not be read is lost"
            );
        }
        if let Some(durable) = self.durable.get() {
            self.note_damage(durable);
        }
        self.changed.notify_waiters();
        self.send_waiting_everywhere();
        self.load_more();
    }

    fn note_damage(&self, durable: &Durable) {
        let damage = durable.client.take_damage();
        if damage.segments > 0 {
            self.meter.damaged(damage.segments);
            tracing::error!(
                client = durable.client.name(),
                segments = damage.segments,
                "segments of the queue on disk are damaged and set aside, as files that end with .corrupt"
            );
        }
        if damage.torn_bytes > 0 {
            tracing::warn!(
                client = durable.client.name(),
                bytes = damage.torn_bytes,
                "the queue on disk ended in the middle of a write, which nobody had been answered; cut off"
            );
        }
    }
}
