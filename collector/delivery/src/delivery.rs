//! An exporter around one way to push.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use phoenix_component::factory::CreateContext;
use phoenix_component::{Adoption, Batch, BoxFuture, Cores, Exporter, Held, Host, Lost, Refusal, StartError};
use phoenix_pdata::{Codings, Signal};
use tokio::sync::{Notify, SemaphorePermit, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::flight::{Flight, Outcome};
use crate::metrics::Meter;
use crate::pressure::Pressure;
use crate::queue::{Element, Queue, Rejection};
use crate::report::Report;
use crate::retry::{Retry, SHUTDOWN, Verdict, interrupted};
use crate::{DeliverySettings, Push, QueueSettings, RetrySettings, Sizer};

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

/// An exporter: queue → retry → timeout → push.
pub struct Delivery<P: Push> {
    inner: Arc<Inner<P>>,
}

pub(crate) struct Inner<P: Push> {
    push: P,
    timeout: Option<Duration>,
    retry: RetrySettings,
    random: fn() -> f64,
    cores: Cores,
    pub(crate) meter: Meter,
    pub(crate) report: Report,
    pressure: Pressure,
    pub(crate) has_queue: bool,
    block_on_overflow: bool,
    wait_for_result: bool,
    queue: Mutex<Queue>,
    /// Told when something left the queue.
    pub(crate) changed: Notify,
    /// Ends retries: from then on each batch gets one attempt.
    stop: CancellationToken,
    /// Ends attempts.
    cancel: CancellationToken,
    /// Takes over what this one cannot deliver before it ends.
    pub(crate) successor: OnceLock<Arc<Inner<P>>>,
    started: AtomicBool,
    /// Those that may still hand something over.
    predecessors: AtomicUsize,
    lost_items: AtomicU64,
    lost_requests: AtomicU64,
}

impl<P: Push> Delivery<P> {
    /// An exporter that pushes by `push`. The settings are validated.
    pub fn new(push: P, settings: DeliverySettings, cx: DeliveryContext<'_>) -> Delivery<P> {
        let has_queue = settings.queue.is_some();
        let queue = settings.queue.unwrap_or(QueueSettings {
            num_consumers: i64::MAX,
            queue_size: i64::MAX,
            sizer: Sizer::Requests,
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
                pressure: Pressure::new(settings.retry.max_interval.as_duration()),
                retry: settings.retry,
                has_queue,
                block_on_overflow: queue.block_on_overflow,
                wait_for_result: queue.wait_for_result,
                queue: Mutex::new(Queue::new(
                    queue.sizer,
                    u64::try_from(queue.queue_size).unwrap_or(1),
                    usize::try_from(queue.num_consumers).unwrap_or(1),
                )),
                changed: Notify::new(),
                stop: CancellationToken::new(),
                cancel: CancellationToken::new(),
                successor: OnceLock::new(),
                started: AtomicBool::new(false),
                predecessors: AtomicUsize::new(0),
                lost_items: AtomicU64::new(0),
                lost_requests: AtomicU64::new(0),
            }),
        }
    }
}

impl<P: Push> Inner<P> {
    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lost(&self, requests: u64, items: u64) {
        self.lost_requests.fetch_add(requests, Ordering::Relaxed);
        self.lost_items.fetch_add(items, Ordering::Relaxed);
    }

    /// Takes a batch into the queue, or says why not.
    async fn offer(self: &Arc<Self>, batch: Batch) -> Result<(), Refusal> {
        let items = batch.items;
        let mut batch = Some(batch);
        match self.enter(&mut batch).await {
            Ok(Some(waiting)) => waiting.await.unwrap_or_else(|_| {
                Err(Refusal::retryable("abandoned", "the exporter ended before it answered"))
            }),
            Ok(None) => Ok(()),
            Err(refusal) => {
                self.meter.enqueue_failed(items);
                self.report.rejected(&refusal, items);
                Err(refusal)
            }
        }
    }

    /// Enters `batch`, which is left where it is refused. What comes back ends with the delivery, where
    /// senders wait for that.
    async fn enter(
        self: &Arc<Self>,
        batch: &mut Option<Batch>,
    ) -> Result<Option<oneshot::Receiver<Result<(), Refusal>>>, Refusal> {
        loop {
            // Enabled before the look, so that no change between that and the wait is missed.
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            if self.block_on_overflow {
                changed.as_mut().enable();
            }
            let deadline = match self.try_enter(batch) {
                Ok(waiting) => return Ok(waiting),
                Err(Rejection::Full) if self.block_on_overflow => {
                    batch.as_ref().and_then(|batch| batch.deadline)
                }
                Err(rejection) => return Err(refusal_of(rejection)),
            };
            match deadline {
                Some(at) => {
                    if tokio::time::timeout_at(at, changed).await.is_err() {
                        return Err(refusal_of(Rejection::Full));
                    }
                }
                None => changed.await,
            }
        }
    }

    fn try_enter(
        self: &Arc<Self>,
        batch: &mut Option<Batch>,
    ) -> Result<Option<oneshot::Receiver<Result<(), Refusal>>>, Rejection> {
        let mut queue = self.queue();
        let Some(offered) = batch.as_ref() else { return Ok(None) };
        queue.admit(offered)?;
        let size = queue.size_of(offered);
        if size == 0 {
            return Ok(None);
        }
        let Some(mut batch) = batch.take() else { return Ok(None) };
        let (answer, waiting) = match self.wait_for_result {
            true => {
                let (answer, waiting) = oneshot::channel();
                (Some(answer), Some(waiting))
            }
            false => {
                batch.deadline = None;
                batch.waiting = 0;
                (None, None)
            }
        };
        let next = queue.put(Element { batch, answer });
        drop(queue);
        self.meter.queued(size as i64);
        if let Some(element) = next {
            self.spawn(element);
        }
        Ok(waiting)
    }

    /// Sends `element`, and then whatever waits, on the caller's core.
    fn spawn(self: &Arc<Self>, element: Element) {
        let flight = Flight::new(self.clone(), element);
        let core = self.cores.iter().nth(self.cores.current_index()).expect("an index is below the count");
        drop(core.spawn(send_on(flight)));
    }

    /// Starts sends for what waits, as far as sends are free.
    pub(crate) fn send_waiting(self: Arc<Self>) {
        loop {
            let Some(element) = self.queue().next() else { return };
            self.spawn(element);
        }
    }

    /// Takes an element that was accepted under a former configuration: there is always room for it, until
    /// the end. It is given back after that.
    pub(crate) fn take_over(self: &Arc<Self>, element: Element) -> Option<Element> {
        if let Some(successor) = self.successor.get() {
            return successor.take_over(element);
        }
        let mut queue = self.queue();
        if queue.is_closed() {
            return Some(element);
        }
        self.meter.queued(queue.size_of(&element.batch) as i64);
        let next = queue.put(element);
        drop(queue);
        if let Some(element) = next {
            self.spawn(element);
        }
        None
    }

    fn take_waiting(&self) -> VecDeque<Element> {
        let mut queue = self.queue();
        let before = queue.size();
        let elements = queue.take_waiting();
        self.meter.queued(queue.size() as i64 - before as i64);
        elements
    }

    /// Hands whatever waits to the successor, or counts it as failed and lost.
    pub(crate) fn give_up_waiting(&self) {
        let successor = self.successor.get();
        for element in self.take_waiting() {
            let left = match successor {
                Some(successor) => successor.take_over(element),
                None => Some(element),
            };
            let Some(Element { batch, answer }) = left else { continue };
            let refusal = Refusal::retryable(SHUTDOWN, "the exporter ended before the data could be sent");
            self.meter.failed(SHUTDOWN, batch.items);
            match answer {
                // A sender that went away needs no answer.
                Some(answer) => drop(answer.send(Err(refusal))),
                None => {
                    self.lost(1, batch.items);
                    self.report.dropped(&refusal, batch.items);
                }
            }
        }
        self.changed.notify_waiters();
    }

    /// Sends one batch, again and again where that can help.
    async fn deliver(&self, batch: &Batch) -> Outcome {
        let mut turn = self.turn().await;
        // Waiting for the first turn is not part of the time that a batch has: it was not tried yet.
        let mut retry = Retry::new(&self.retry, Instant::now(), batch.deadline);
        loop {
            let attempt = tokio::select! {
                biased;
                outcome = self.attempt(batch.clone()) => outcome,
                () = self.cancel.cancelled() => {
                    let text = "interrupted due to shutdown: the attempt was under way at the deadline";
                    return Outcome::CutShort(Refusal::retryable(SHUTDOWN, text));
                }
            };
            drop(turn);
            let refusal = match attempt {
                Ok(()) => {
                    self.pressure.succeeded();
                    self.report.succeeded();
                    return Outcome::Sent;
                }
                Err(refusal) => refusal,
            };
            let now = Instant::now();
            self.pressure.failed(&refusal, now);
            // No status: it was not the backend that answered.
            let unanswered = refusal.is_retryable() && refusal.status().is_none();
            if unanswered || self.pressure.is_high() {
                self.report_failing(&refusal);
            }
            let last = refusal.clone();
            let wait = match retry.judge(refusal, now, (self.random)()) {
                Verdict::Wait(wait) => wait,
                Verdict::GiveUp(refusal) => {
                    self.report_failing(&refusal);
                    return Outcome::Failed(refusal);
                }
            };
            if !self.stop.is_cancelled() {
                self.report.retrying(&last, wait);
                tokio::select! {
                    biased;
                    () = self.stop.cancelled() => {}
                    () = tokio::time::sleep(wait) => {
                        turn = self.turn().await;
                        continue;
                    }
                }
            }
            return Outcome::CutShort(interrupted(&last));
        }
    }

    /// What is being stopped says nothing of its health: its successor does.
    fn report_failing(&self, refusal: &Refusal) {
        if !self.stop.is_cancelled() {
            self.report.failing(refusal);
        }
    }

    /// Waits until an attempt may go out, where a queue holds what waits.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        if !self.has_queue || self.pressure.is_none() {
            return None;
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            turn = self.pressure.pass() => turn,
        }
    }

    async fn attempt(&self, mut batch: Batch) -> Result<(), Refusal> {
        let limit = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        batch.deadline = [batch.deadline, limit].into_iter().flatten().min();
        let Some(deadline) = batch.deadline else { return self.push.push(batch).await };
        let attempt = tokio::time::timeout_at(deadline, self.push.push(batch));
        attempt.await.unwrap_or_else(|_| Err(self.push.timed_out()))
    }

    /// Ends it: retries at once, sends at the deadline.
    async fn drain(&self, deadline: Instant) -> Lost {
        self.stop.cancel();
        if tokio::time::timeout_at(deadline, self.until_idle()).await.is_err() {
            self.cancel.cancel();
            self.give_up_waiting();
            // A sender that does not poll its attempt any more cannot hold the end up.
            let _ = tokio::time::timeout(CANCELLING, self.until_idle()).await;
            self.queue().close();
            self.changed.notify_waiters();
        }
        self.push.stop();
        if let Some(successor) = self.successor.get() {
            successor.predecessors.fetch_sub(1, Ordering::AcqRel);
            successor.changed.notify_waiters();
        }
        if self.started.swap(false, Ordering::Relaxed) {
            self.meter.capacity(-(self.queue().capacity() as i64));
        }
        Lost {
            items: self.lost_items.swap(0, Ordering::Relaxed),
            requests: self.lost_requests.swap(0, Ordering::Relaxed),
        }
    }

    /// Waits until nothing is inside, and refuses everything from then on.
    async fn until_idle(&self) {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
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

/// Time that cancelled attempts get to end.
const CANCELLING: Duration = Duration::from_secs(1);

fn refusal_of(rejection: Rejection) -> Refusal {
    match rejection {
        Rejection::Full => Refusal::retryable("queue_full", "sending queue is full"),
        Rejection::TooLarge => Refusal::permanent("too_large", "element size too large"),
        Rejection::Closed => Refusal::retryable("closed", "the exporter has been stopped"),
    }
}

/// Sends a batch and then what waits, until nothing does.
async fn send_on<P: Push>(first: Flight<P>) {
    let mut flight = Some(first);
    while let Some(current) = flight {
        let outcome = current.inner().deliver(current.batch()).await;
        flight = current.end(outcome).1;
    }
}

impl<P: Push> Exporter for Delivery<P> {
    fn start<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async move {
            self.inner.push.start(host).await?;
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
            let flight = {
                let mut queue = inner.queue();
                queue.admit(&batch).map_err(refusal_of)?;
                let element = queue.put(Element { batch, answer: None });
                drop(queue);
                Flight::new(inner.clone(), element.expect("sends are without limit where there is no queue"))
            };
            let outcome = inner.deliver(flight.batch()).await;
            flight.end(outcome).0
        })
    }

    fn owns_accepted(&self) -> bool {
        self.inner.has_queue && !self.inner.wait_for_result
    }

    /// Queues, retries and all sizers go by the sizes of the plain bytes, which every payload knows.
    fn forwards(&self) -> Codings {
        self.inner.push.forwards()
    }

    fn held(&self) -> Held {
        self.inner.queue().held()
    }

    fn adopt(&self, old: &dyn Exporter) -> Adoption {
        let Some(old) = old.as_any().downcast_ref::<Delivery<P>>() else { return Adoption::Rebuilt };
        if !self.inner.has_queue || !old.inner.has_queue || Arc::ptr_eq(&self.inner, &old.inner) {
            return Adoption::Rebuilt;
        }
        self.inner.predecessors.fetch_add(1, Ordering::AcqRel);
        // Set first, so that whatever cannot be delivered from now on follows the rest.
        if old.inner.queue().is_closed() || old.inner.successor.set(self.inner.clone()).is_err() {
            self.inner.predecessors.fetch_sub(1, Ordering::AcqRel);
            return Adoption::Rebuilt;
        }
        old.inner.give_up_waiting();
        Adoption::Kept
    }

    fn drain(&self, deadline: Instant) -> BoxFuture<'_, Lost> {
        Box::pin(self.inner.drain(deadline))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
