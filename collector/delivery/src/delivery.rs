//! An exporter around one way to push: what comes in. [`crate::sending`] has what becomes of it,
//! [`crate::ending`] how it ends.

use std::any::Any;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use phoenix_component::factory::CreateContext;
use phoenix_component::{
    Ack, AckWait, Adoption, Batch, BoxFuture, Cores, Exporter, Held, Host, Lost, Refusal, StartError,
};
use phoenix_config::ComponentId;
use phoenix_pdata::{Codings, Signal};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::batching::Element;
use crate::circuit::Circuit;
use crate::durable::{Durable, Written};
use crate::flight::Flight;
use crate::metrics::Meter;
use crate::queue::{Queue, Rejection};
use crate::report::Report;
use crate::{DeliverySettings, Push, QueueSettings, RetrySettings};

/// What a [`Delivery`] is made with, beside its settings.
pub struct DeliveryContext<'a> {
    /// The factory's.
    pub create: &'a CreateContext<'a>,
    /// What it carries.
    pub signal: Signal,
    /// Attributes of the destination, for the counter of what was sent.
    pub attributes: &'a [(&'static str, &'a str)],
    /// Uniform in `0.0..1.0`: spreads retries.
    pub random: fn() -> f64,
}

impl<'a> DeliveryContext<'a> {
    /// A context with randomness from the system.
    pub fn new(
        create: &'a CreateContext<'a>,
        signal: Signal,
        attributes: &'a [(&'static str, &'a str)],
    ) -> DeliveryContext<'a> {
        DeliveryContext { create, signal, attributes, random: rand::random }
    }
}

/// An exporter: queue (and batch) → retry → circuit → timeout → push.
pub struct Delivery<P: Push> {
    pub(crate) inner: Arc<Inner<P>>,
}

pub(crate) struct Inner<P: Push> {
    pub(crate) push: P,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: RetrySettings,
    pub(crate) random: fn() -> f64,
    cores: Cores,
    pub(crate) meter: Meter,
    pub(crate) report: Report,
    pub(crate) circuit: Circuit,
    pub(crate) has_queue: bool,
    makes_batches: bool,
    block_on_overflow: bool,
    pub(crate) wait_for_result: bool,
    queue: Mutex<Queue>,
    /// The extension that keeps the queue on disk.
    storage: Option<ComponentId>,
    /// Where it is there, from the start on.
    pub(crate) durable: OnceLock<Durable>,
    signal: Signal,
    /// Ends the wait for the right to read the queue on disk: it came from a predecessor.
    pub(crate) reads: CancellationToken,
    /// Told when something left the queue.
    pub(crate) changed: Notify,
    /// Held by the sender whose turn it is to wait for room; the others stand in line for it.
    room: tokio::sync::Mutex<()>,
    /// Senders that wait for room.
    blocked: AtomicUsize,
    /// Ends retries: from then on each batch gets one attempt.
    pub(crate) stop: CancellationToken,
    /// Ends attempts.
    pub(crate) cancel: CancellationToken,
    /// Takes over what this one cannot deliver before it ends.
    pub(crate) successor: OnceLock<Arc<Inner<P>>>,
    pub(crate) started: AtomicBool,
    /// The successor does not use this one's disk: what is there is sent before the end, as far as there is time.
    pub(crate) lets_out: AtomicBool,
    /// Those that may still hand something over.
    pub(crate) predecessors: AtomicUsize,
    pub(crate) lost_items: AtomicU64,
    pub(crate) lost_requests: AtomicU64,
}

impl<P: Push> Delivery<P> {
    /// An exporter that pushes by `push`. The settings are validated.
    pub fn new(push: P, settings: DeliverySettings, cx: DeliveryContext<'_>) -> Delivery<P> {
        let has_queue = settings.queue.is_some();
        let queue = settings.queue.unwrap_or(QueueSettings {
            num_consumers: i64::MAX,
            queue_size: i64::MAX,
            ..QueueSettings::default()
        });
        let host = cx.create.host;
        let status = cx.create.status.clone();
        Delivery {
            inner: Arc::new(Inner {
                push,
                timeout: settings.timeout,
                random: cx.random,
                cores: host.cores.clone(),
                meter: Meter::new(&host.metrics, status.key(), cx.signal, has_queue, cx.attributes),
                report: Report::new(status, cx.signal, has_queue, settings.retry.enabled),
                circuit: Circuit::new(settings.retry.clone()),
                retry: settings.retry,
                has_queue,
                makes_batches: queue.batch.is_on(),
                block_on_overflow: queue.block_on_overflow,
                wait_for_result: queue.wait_for_result,
                queue: Mutex::new(Queue::new(
                    queue.sizer(),
                    u64::try_from(queue.queue_size).unwrap_or(1),
                    usize::try_from(queue.num_consumers).unwrap_or(1),
                    queue.batch_rules(),
                )),
                storage: queue.storage,
                durable: OnceLock::new(),
                signal: cx.signal,
                reads: CancellationToken::new(),
                changed: Notify::new(),
                room: tokio::sync::Mutex::new(()),
                blocked: AtomicUsize::new(0),
                stop: CancellationToken::new(),
                cancel: CancellationToken::new(),
                successor: OnceLock::new(),
                started: AtomicBool::new(false),
                lets_out: AtomicBool::new(false),
                predecessors: AtomicUsize::new(0),
                lost_items: AtomicU64::new(0),
                lost_requests: AtomicU64::new(0),
            }),
        }
    }
}

/// What became of a batch that came in.
pub(crate) enum Entered<P: Push> {
    /// The queue has it.
    Taken,
    /// Ends with the delivery.
    Awaited(AckWait),
    /// Ends once it is on the disk.
    Writing(Written<P>),
}

/// Counts a sender that waits for room.
struct Blocked<'a>(&'a AtomicUsize);

impl<'a> Blocked<'a> {
    fn new(count: &'a AtomicUsize) -> Blocked<'a> {
        count.fetch_add(1, Ordering::AcqRel);
        Blocked(count)
    }
}

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<P: Push> Inner<P> {
    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        #[cfg(test)]
        return crate::turns::lock(&self.queue);
        #[cfg(not(test))]
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes a batch into the queue, or says why not.
    async fn offer(self: &Arc<Self>, batch: Batch) -> Result<(), Refusal> {
        let (items, deadline) = (batch.items, batch.deadline);
        let refusal = match self.enter(batch).await {
            Ok(Entered::Taken) => return Ok(()),
            Ok(Entered::Awaited(outcome)) => {
                let Some(at) = deadline else { return outcome.await };
                // Whatever was joined with it goes on.
                return tokio::time::timeout_at(at, outcome).await.unwrap_or_else(|_| {
                    let text = "request is cancelled or timed out: the batch is still being delivered";
                    Err(Refusal::retryable("deadline", text))
                });
            }
            Ok(Entered::Writing(written)) => match written.wait().await {
                Ok(()) => return Ok(()),
                Err(refusal) => refusal,
            },
            Err(rejection) => refusal_of(rejection),
        };
        self.meter.enqueue_failed(items);
        self.report.rejected(&refusal, items);
        Err(refusal)
    }

    /// Enters `batch`.
    async fn enter(self: &Arc<Self>, batch: Batch) -> Result<Entered<P>, Rejection> {
        let deadline = batch.deadline;
        let mut batch = Some(batch);
        // Nobody overtakes those that wait for room.
        if !self.block_on_overflow || self.blocked.load(Ordering::Acquire) == 0 {
            match self.try_enter(&mut batch) {
                Err(Rejection::Full) if self.block_on_overflow => {}
                outcome => return outcome,
            }
        }
        let _blocked = Blocked::new(&self.blocked);
        let entered = self.enter_in_turn(&mut batch);
        match deadline {
            None => entered.await,
            Some(at) => tokio::time::timeout_at(at, entered).await.unwrap_or(Err(Rejection::Full)),
        }
    }

    /// Waits in line for room. One sender at a time listens for it, so that what leaves wakes one.
    async fn enter_in_turn(self: &Arc<Self>, batch: &mut Option<Batch>) -> Result<Entered<P>, Rejection> {
        let _turn = self.room.lock().await;
        loop {
            // Enabled before the look, so that no change between that and the wait is missed.
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.try_enter(batch) {
                Err(Rejection::Full) => changed.await,
                outcome => return outcome,
            }
        }
    }

    /// Enters the batch and takes it out of `batch`, which is left as it is where there is no room.
    pub(crate) fn try_enter(self: &Arc<Self>, batch: &mut Option<Batch>) -> Result<Entered<P>, Rejection> {
        let queue = self.queue();
        let Some(offered) = batch.as_ref() else { return Ok(Entered::Taken) };
        queue.admit(offered)?;
        if queue.size_of(offered) == 0 {
            return Ok(Entered::Taken);
        }
        let Some(mut batch) = batch.take() else { return Ok(Entered::Taken) };
        if let Some(durable) = self.durable.get() {
            return Ok(Entered::Writing(self.write(queue, durable, batch)));
        }
        let (ack, outcome) = match self.wait_for_result {
            true => {
                let (ack, outcome) = Ack::pair();
                (ack, Entered::Awaited(outcome))
            }
            false => {
                batch.deadline = None;
                batch.waiting = 0;
                (Ack::none(), Entered::Taken)
            }
        };
        self.put(queue, Element::of(batch, ack));
        Ok(outcome)
    }

    /// Puts an element into the queue and starts what can be sent by that.
    pub(crate) fn put(self: &Arc<Self>, queue: MutexGuard<'_, Queue>, element: Element) {
        let (next, made) = self.put_all(queue, [element], Queue::next);
        if let Some(element) = next {
            self.spawn(element);
            // By one element no more than one can be sent, unless a batch was cut.
            if made > 1 {
                self.send_waiting();
            }
        }
    }

    /// Puts elements into the queue, for others to send.
    pub(crate) fn put_waiting(
        self: &Arc<Self>,
        queue: MutexGuard<'_, Queue>,
        elements: impl IntoIterator<Item = Element>,
    ) {
        self.put_all(queue, elements, |_| ());
    }

    /// Puts elements into the queue; what comes of `then`, and how many batches were completed.
    fn put_all<T>(
        self: &Arc<Self>,
        mut queue: MutexGuard<'_, Queue>,
        elements: impl IntoIterator<Item = Element>,
        then: impl FnOnce(&mut Queue) -> T,
    ) -> (T, usize) {
        let mut made = Vec::new();
        elements.into_iter().for_each(|element| queue.put(element, Instant::now(), &mut made));
        let (next, growth, needs_watch) = (then(&mut queue), queue.growth(), queue.needs_watch());
        drop(queue);
        self.meter.queued(growth);
        made.iter().for_each(|batch| self.meter.made(batch));
        if needs_watch {
            drop(self.core().spawn(complete_in_time(self.clone())));
        }
        (next, made.len())
    }

    fn core(&self) -> &phoenix_component::Core {
        self.cores.iter().nth(self.cores.current_index()).expect("an index is below the count")
    }

    /// Sends `element`, and then whatever waits, on the caller's core.
    fn spawn(self: &Arc<Self>, element: Element) {
        let flight = Flight::new(self.clone(), element);
        drop(self.core().spawn(crate::sending::send_on(flight)));
    }

    /// Starts sends for what waits, as far as sends are free.
    pub(crate) fn send_waiting(self: &Arc<Self>) {
        loop {
            let Some(element) = self.queue().next() else { return };
            self.spawn(element);
        }
    }

    /// The same from outside of the cores: on all of them.
    pub(crate) fn send_waiting_everywhere(self: &Arc<Self>) {
        loop {
            for core in self.cores.iter() {
                let Some(element) = self.queue().next() else { return };
                let flight = Flight::new(self.clone(), element);
                drop(core.spawn(crate::sending::send_on(flight)));
            }
        }
    }

    /// Completes the batches that have waited long enough; when the next ones will have.
    fn complete_due(self: &Arc<Self>) -> Option<Instant> {
        let mut made = Vec::new();
        let (next, growth) = {
            let mut queue = self.queue();
            (queue.flush_due(Instant::now(), &mut made), queue.growth())
        };
        self.meter.queued(growth);
        made.iter().for_each(|batch| self.meter.made(batch));
        self.send_waiting();
        next
    }
}

/// Completes batches that have waited long enough, for as long as there are some in the making.
async fn complete_in_time<P: Push>(inner: Arc<Inner<P>>) {
    while let Some(due) = inner.complete_due() {
        tokio::select! {
            // Nothing is in the making any more.
            () = inner.stop.cancelled() => return,
            () = tokio::time::sleep_until(due) => {}
        }
    }
}

fn refusal_of(rejection: Rejection) -> Refusal {
    match rejection {
        Rejection::Full => Refusal::retryable("queue_full", "sending queue is full"),
        Rejection::TooLarge => Refusal::permanent("too_large", "element size too large"),
        Rejection::Closed => Refusal::retryable("closed", "the exporter has been stopped"),
    }
}

impl<P: Push> Exporter for Delivery<P> {
    fn start<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async move {
            self.inner.push.start(host).await?;
            if let Some(id) = &self.inner.storage {
                let durable = Durable::open(host, id, self.inner.report.key(), self.inner.signal).await?;
                let durable = self.inner.durable.get_or_init(|| durable);
                self.inner.begin_reading(durable);
            }
            if !self.inner.started.swap(true, Ordering::Relaxed) {
                self.inner.meter.capacity(self.inner.queue().capacity() as i64);
            }
            Ok(())
        })
    }

    fn export(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        let inner = &self.inner;
        if inner.has_queue {
            return Box::pin(inner.offer(batch));
        }
        Box::pin(async move {
            let mut flight = {
                let mut queue = inner.queue();
                queue.admit(&batch).map_err(refusal_of)?;
                queue.put(Element::of(batch, Ack::none()), Instant::now(), &mut Vec::new());
                let element = queue.next();
                drop(queue);
                Flight::new(inner.clone(), element.expect("sends are without limit where there is no queue"))
            };
            let outcome = inner.deliver(&mut flight).await;
            flight.end(outcome).0
        })
    }

    fn owns_accepted(&self) -> bool {
        self.inner.has_queue && !self.inner.wait_for_result
    }

    /// Queues, retries and all sizers go by the sizes of the plain bytes, which every payload knows. Only
    /// who joins requests looks inside, or writes them down.
    fn forwards(&self) -> Codings {
        if self.inner.makes_batches || self.inner.storage.is_some() {
            Codings::NONE
        } else {
            self.inner.push.forwards()
        }
    }

    fn held(&self) -> Held {
        self.inner.queue().held()
    }

    fn adopt(&self, old: &dyn Exporter) -> Adoption {
        match old.as_any().downcast_ref::<Delivery<P>>() {
            Some(old) => self.inner.adopt(&old.inner),
            None => Adoption::Rebuilt,
        }
    }

    fn drain(&self, deadline: Instant) -> BoxFuture<'_, Lost> {
        Box::pin(self.inner.drain(deadline))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
