//! Runs a stage: reserves, ingests, ticks, delivers, and hands state over.
//!
//! A shard has no task of its own. Whoever brings a fragment puts it into the shard's inbox and tries to
//! take the shard; who has it works the inbox off, for everybody (flat combining, Hendler et al., SPAA
//! 2010). So the usual request touches a shard without waking another thread, and nobody ever waits for
//! a lock. A timer task comes back when the shard asked to be called.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use phoenix_component::{
    Ack, Acknowledge, Adoption, Batch, Drained, Fragment, Held, Host, Lost, Outlet, Output, Partition,
    Refusal, Stage, StageSpec, StatusReporter,
};
use smallvec::SmallVec;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::guard;
use crate::meter::Meter;

mod shard;
#[cfg(test)]
mod tests;

use shard::Shard;

/// Fragments that may wait in one shard's inbox; more means that the shard cannot keep up.
const INBOX: usize = 1024;
/// Fragments ingested, and batches let out, before the shard is given free in between.
const SLICE: usize = 64;
/// Deliveries of one stage under way at once.
const DELIVERIES: usize = 1024;
/// How long a sender should wait that found a stage full.
const FULL_DELAY: Duration = Duration::from_millis(500);
/// How long a sender is held up at most while deliveries are under way.
const LONGEST_HOLD_UP: Duration = Duration::from_secs(1);
/// How often a drain looks whether deliveries have ended.
const DRAIN_POLL: Duration = Duration::from_millis(5);

pub(crate) struct StageNode {
    pub(crate) status: StatusReporter,
    pub(crate) outlet: Outlet,
    meter: Meter,
    partition: Arc<dyn Partition>,
    shards: Vec<Shard>,
    acknowledge: Acknowledge,
    admission: Admission,
    host: Host,
    clock: Clock,
    /// Bytes and batches that left the shards and are not delivered yet.
    undelivered_bytes: AtomicUsize,
    undelivered: AtomicUsize,
    undelivered_items: AtomicUsize,
    /// Items of the batch that was let out last.
    last_batch_items: AtomicUsize,
    /// Deliveries that have failed at least once.
    retrying: AtomicUsize,
    /// Tells those who are held up that a delivery ended, or began to be retried.
    delivered: Notify,
    /// Ends the retries of deliveries when the collector stops.
    give_up: CancellationToken,
    /// Ends the timers.
    stopped: CancellationToken,
    /// Whether what shards hold tells how far they are behind.
    fills_up: bool,
    /// Callers that are about to put fragments into inboxes.
    entering: AtomicUsize,
    /// Set once this node takes nothing more; the node that took its place, if any, takes what still comes.
    closed: OnceLock<Option<Arc<StageNode>>>,
    /// The same for whoever enters: in one order with `entering`, so that a close misses nobody.
    is_closed: AtomicBool,
    /// Held by who closes the node, and by who hands its state over to it.
    closing: Mutex<()>,
}

impl StageNode {
    pub(crate) fn new(
        spec: StageSpec,
        outlet: Outlet,
        status: StatusReporter,
        meter: Meter,
        host: &Host,
        clock: Clock,
        admission: &Admission,
    ) -> Arc<StageNode> {
        let fills_up = spec.shards.iter().all(|shard| shard.fills_up());
        let node = Arc::new(StageNode {
            status,
            fills_up,
            outlet,
            meter,
            partition: spec.partition,
            shards: spec.shards.into_iter().map(Shard::new).collect(),
            acknowledge: spec.acknowledge,
            admission: admission.clone(),
            host: host.clone(),
            clock,
            undelivered_bytes: AtomicUsize::new(0),
            undelivered: AtomicUsize::new(0),
            undelivered_items: AtomicUsize::new(0),
            last_batch_items: AtomicUsize::new(0),
            retrying: AtomicUsize::new(0),
            delivered: Notify::new(),
            give_up: CancellationToken::new(),
            stopped: CancellationToken::new(),
            entering: AtomicUsize::new(0),
            closed: OnceLock::new(),
            is_closed: AtomicBool::new(false),
            closing: Mutex::default(),
        });
        if node.acknowledge == Acknowledge::Delivered {
            admission.watch(&node);
        }
        let cores: Vec<_> = node.host.cores.iter().collect();
        for index in 0..node.shards.len() {
            cores[index % cores.len()].spawn(timer(node.clone(), index));
        }
        node
    }

    /// Its graph runs: shards that want to be called without any data are, from now on.
    pub(crate) fn begin(&self) {
        for shard in &self.shards {
            let wake_at = shard.state().wake_at();
            self.arm(shard, wake_at);
        }
    }

    /// Takes a batch into its shards, or refuses it before anything has changed.
    pub(crate) async fn take(self: &Arc<Self>, batch: Batch) -> Result<(), Refusal> {
        let items = batch.items;
        if self.is_ahead() {
            Box::pin(self.hold_up()).await;
        }
        self.entering.fetch_add(1, Ordering::SeqCst);
        let closed = if self.is_closed.load(Ordering::SeqCst) { self.closed.get() } else { None };
        let held = match closed {
            None => self.hold(batch),
            Some(closed) => {
                self.entering.fetch_sub(1, Ordering::SeqCst);
                return match closed {
                    Some(successor) => Box::pin(successor.take(batch)).await,
                    None => Err(Refusal::retryable("closed", format!("{} was stopped", self.status.key()))),
                };
            }
        };
        self.entering.fetch_sub(1, Ordering::SeqCst);
        match held {
            Ok(None) => Ok(()),
            Ok(Some(wait)) => wait.await,
            Err(refusal) => {
                self.meter.refused(items);
                Err(refusal)
            }
        }
    }

    /// Whether more comes in than a backend that works takes off: every core delivers, and the next batch is a quarter
    /// full. Then senders wait a little, so that what is held stays small.
    /// A backend that fails is no reason to wait: what it does not take is held. Nor is what a stage holds for its time.
    fn is_ahead(&self) -> bool {
        if !self.fills_up
            || self.undelivered.load(Ordering::Relaxed) < self.host.cores.count()
            || self.retrying.load(Ordering::Relaxed) > 0
        {
            return false;
        }
        let held: usize = self.shards.iter().map(|shard| shard.held_items.load(Ordering::Relaxed)).sum();
        4 * held >= self.last_batch_items.load(Ordering::Relaxed)
    }

    async fn hold_up(&self) {
        let until = Instant::now() + LONGEST_HOLD_UP;
        loop {
            let mut delivered = pin!(self.delivered.notified());
            delivered.as_mut().enable();
            if !self.is_ahead() || tokio::time::timeout_at(until, delivered).await.is_err() {
                return;
            }
        }
    }

    fn hold(self: &Arc<Self>, mut batch: Batch) -> Result<Option<phoenix_component::AckWait>, Refusal> {
        let (items, bytes, requests) = (batch.items, batch.payload.len(), batch.waiting);
        // What comes out is made of many requests: it belongs to the trace of none.
        batch.trace = None;
        if self.undelivered.load(Ordering::Relaxed) >= DELIVERIES
            || self.undelivered_bytes.load(Ordering::Relaxed) > self.host.budget.limit() / 4
        {
            let text = format!("{} holds as much undelivered data as it may", self.status.key());
            return Err(Refusal::retryable("stage_full", text).after(FULL_DELAY));
        }
        // Most stages take a request in one piece.
        let mut fragments: SmallVec<[(usize, Batch); 1]> = SmallVec::new();
        let count = self.shards.len() as u64;
        guard::run(&self.status, || {
            self.partition
                .prepare(batch, &mut |key, fragment| fragments.push(((key % count) as usize, fragment)))
        })??;
        self.reserve(&fragments)?;
        let (ack, wait) = match self.acknowledge {
            Acknowledge::Held => (Ack::none(), None),
            Acknowledge::Delivered | Acknowledge::Resolved => {
                let (ack, wait) = Ack::pair();
                (ack, Some(wait))
            }
        };
        self.meter.accepted(items);
        self.meter.bytes(bytes);
        let mut touched: SmallVec<[usize; 8]> = SmallVec::new();
        for (index, mut batch) in fragments {
            let shard = &self.shards[index];
            if self.acknowledge == Acknowledge::Delivered {
                batch.waiting = requests;
                shard.waiting.fetch_add(requests, Ordering::AcqRel);
                self.admission.add_waiting(requests);
            } else {
                batch.waiting = 0;
            }
            if wait.is_none() {
                batch.deadline = None;
            }
            let ack = ack.split();
            shard.inbox().push_back(Fragment { batch, ack });
            if !touched.contains(&index) {
                touched.push(index);
            }
        }
        ack.resolve(Ok(()));
        for index in touched {
            self.run(index);
        }
        Ok(wait)
    }

    /// Room in every inbox that the fragments go to, or in none.
    fn reserve(&self, fragments: &[(usize, Batch)]) -> Result<(), Refusal> {
        for (done, (index, _)) in fragments.iter().enumerate() {
            if self.shards[*index].reserved.fetch_add(1, Ordering::AcqRel) >= INBOX {
                for (index, _) in &fragments[..=done] {
                    self.shards[*index].reserved.fetch_sub(1, Ordering::AcqRel);
                }
                let text = format!("{} cannot keep up", self.status.key());
                return Err(Refusal::retryable("stage_busy", text).after(FULL_DELAY));
            }
        }
        Ok(())
    }

    /// Works off what is due in a shard, unless somebody else does already.
    fn run(self: &Arc<Self>, index: usize) {
        let shard = &self.shards[index];
        let mut asked_again = false;
        loop {
            let Some(mut state) = shard.try_state() else { return };
            let mut out = Output::with_room(SLICE);
            let more = self.meter.timing.slice(|| self.work(shard, &mut state, &mut out));
            let wake_at = state.wake_at();
            shard.held_items.store(state.held().items as usize, Ordering::Relaxed);
            let let_out = self.account(shard, out);
            drop(state);
            self.send_off(let_out);
            self.arm(shard, wake_at);
            // The last request elsewhere may have ended while this thread had the shard.
            let all_wait = shard.waiting.load(Ordering::Acquire) > 0 && self.admission.all_wait();
            if !more && shard.inbox().is_empty() && (asked_again || !all_wait) {
                return;
            }
            asked_again = all_wait;
        }
    }

    /// One slice, all of it at the same time. True where more is to do at once.
    fn work(&self, shard: &Shard, state: &mut Box<dyn Stage>, out: &mut Output) -> bool {
        let now = self.clock.now();
        for _ in 0..SLICE {
            let Some(fragment) = shard.inbox().pop_front() else { break };
            shard.reserved.fetch_sub(1, Ordering::AcqRel);
            let items = fragment.batch.items;
            if guard::run(&self.status, || state.ingest(fragment, now, out)).is_err() {
                self.meter.dropped("panic", items);
            }
            if out.is_full() {
                return true;
            }
        }
        if state.wake_at().is_some_and(|at| at <= now.monotonic) {
            let _ = guard::run(&self.status, || state.tick(now, out));
        }
        if shard.waiting.load(Ordering::Acquire) > 0 && shard.inbox().is_empty() && self.admission.all_wait()
        {
            let _ = guard::run(&self.status, || state.all_wait(now, out));
        }
        out.is_full()
    }

    /// Enters an output into the books. Called before the shard is given free: at no moment is data neither in
    /// the shard nor among what is undelivered, or a drain would take it for delivered.
    #[must_use]
    fn account(&self, shard: &Shard, mut out: Output) -> Vec<Fragment> {
        for (reason, items) in out.take_dropped() {
            self.meter.dropped(reason, items);
        }
        let (absorbed, produced) = out.take_transformed();
        if absorbed > 0 {
            self.meter.absorbed(absorbed);
        }
        if produced > 0 {
            self.meter.produced(produced);
        }
        let mut let_out = out.take_batches();
        for fragment in &mut let_out {
            let requests = fragment.batch.waiting;
            if requests > 0 {
                shard.waiting.fetch_sub(requests, Ordering::AcqRel);
                self.admission.sub_waiting(requests);
            }
            fragment.batch.owned = true;
            self.last_batch_items.store(fragment.batch.items as usize, Ordering::Relaxed);
            self.undelivered.fetch_add(1, Ordering::AcqRel);
            self.undelivered_bytes.fetch_add(fragment.batch.payload.len(), Ordering::AcqRel);
            self.undelivered_items.fetch_add(fragment.batch.items as usize, Ordering::AcqRel);
        }
        let_out
    }

    /// Starts the delivery of what was let out.
    fn send_off(self: &Arc<Self>, let_out: Vec<Fragment>) {
        for fragment in let_out {
            let node = self.clone();
            let deliver = async move { node.deliver(fragment).await };
            let cores = &self.host.cores;
            let own = cores.iter().nth(cores.current_index()).expect("at least one core");
            drop(own.spawn(deliver));
        }
    }

    /// Sends one batch on, and again for as long as that can help: it belongs to the collector now.
    async fn deliver(&self, fragment: Fragment) {
        let Fragment { batch, ack } = fragment;
        let (items, bytes, deadline) = (batch.items, batch.payload.len(), batch.deadline);
        let mut backoff = Backoff::new();
        let mut failed = false;
        let outcome = loop {
            let refusal = match self.outlet.send(batch.clone()).await {
                Ok(()) => break Ok(()),
                Err(refusal) if !refusal.is_retryable() => break Err(refusal),
                Err(refusal) => refusal,
            };
            if !std::mem::replace(&mut failed, true) {
                self.retrying.fetch_add(1, Ordering::AcqRel);
                self.delivered.notify_waiters();
            }
            let next = Instant::now() + backoff.wait(refusal.delay(), rand::random());
            if deadline.is_some_and(|deadline| next >= deadline) {
                break Err(refusal);
            }
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = self.give_up.cancelled() => break Err(Refusal::retryable("shutdown", "the collector stops")),
            }
        };
        match &outcome {
            Ok(()) => self.meter.passed_on(items),
            Err(refusal) if ack.is_awaited() && refusal.is_retryable() => {
                self.meter.dropped("handed_back", items)
            }
            Err(refusal) => {
                self.meter.dropped(refusal.reason(), items);
                self.status.log_scope().run(|| tracing::warn!(dropped_items = items, error = %refusal, "data that a stage let out was dropped"));
            }
        }
        ack.resolve(outcome);
        self.undelivered_items.fetch_sub(items as usize, Ordering::AcqRel);
        self.undelivered_bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.undelivered.fetch_sub(1, Ordering::AcqRel);
        if failed {
            self.retrying.fetch_sub(1, Ordering::AcqRel);
        }
        self.delivered.notify_waiters();
    }

    /// Makes sure that the timer comes back by `wake_at`.
    fn arm(&self, shard: &Shard, wake_at: Option<Duration>) {
        let Some(wake_at) = wake_at else { return };
        let mut armed = shard.armed.lock().unwrap_or_else(PoisonError::into_inner);
        if armed.is_none_or(|at| wake_at < at) {
            *armed = Some(wake_at);
            drop(armed);
            shard.rearm.notify_one();
        }
    }

    /// Looks at the shards in which somebody waits, since the number of admitted requests fell.
    pub(crate) fn run_waiting_shards(self: &Arc<Self>) {
        for (index, shard) in self.shards.iter().enumerate() {
            if shard.waiting.load(Ordering::Acquire) > 0 {
                self.run(index);
            }
        }
    }

    /// What is inside: held by the shards, or let out and not delivered.
    pub(crate) fn held(self: &Arc<Self>) -> Held {
        let mut held = Held {
            items: self.undelivered_items.load(Ordering::Acquire) as u64,
            bytes: self.undelivered_bytes.load(Ordering::Acquire),
        };
        for (index, shard) in self.shards.iter().enumerate() {
            let state = shard.state();
            let inside = state.held();
            let inbox = shard.inbox().iter().map(|fragment| fragment.batch.items).sum::<u64>();
            drop(state);
            held.items += inside.items + inbox;
            held.bytes += inside.bytes;
            // A request, or the timer, that found the shard taken left its work to whoever had it.
            self.run(index);
        }
        held
    }

    /// Takes nothing more. Who is inside `hold` is out in a moment: it never waits.
    fn close(&self, successor: Option<&Arc<StageNode>>) {
        {
            let _turn = self.closing();
            let _ = self.closed.set(successor.cloned());
        }
        self.is_closed.store(true, Ordering::SeqCst);
        while self.entering.load(Ordering::SeqCst) > 0 {
            std::thread::yield_now();
        }
    }

    fn closing(&self) -> MutexGuard<'_, ()> {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another node has taken this one's place, or it is gone.
    pub(crate) fn is_replaced(&self) -> bool {
        self.closed.get().is_some()
    }

    /// The node that takes what comes here now: this one, or the last of its successors; none where that is
    /// gone.
    fn heir(self: &Arc<Self>) -> Option<Arc<StageNode>> {
        match self.closed.get() {
            None => Some(self.clone()),
            Some(successor) => successor.as_ref()?.heir(),
        }
    }

    /// Hands the state of the shards, and whatever still comes by way of the old graph, to the node that
    /// took this one's place, or to the one that took that one's place meanwhile: a graph may drain for
    /// longer than the next one lives.
    pub(crate) fn hand_over(self: &Arc<Self>, successor: &Arc<StageNode>) -> Adoption {
        loop {
            let Some(heir) = successor.heir() else { return Adoption::Rebuilt };
            // The heir may be closed by another drain until this is held, and not while it is.
            let _stays = heir.closing();
            if !heir.is_replaced() {
                return self.hand_over_to(&heir);
            }
        }
    }

    fn hand_over_to(self: &Arc<Self>, successor: &Arc<StageNode>) -> Adoption {
        self.close(Some(successor));
        let mut outcome = Adoption::Kept;
        for (index, shard) in self.shards.iter().enumerate() {
            let target = index % successor.shards.len();
            let mut let_out = Vec::new();
            let mut from = shard.state();
            // What is in the inbox goes over with the rest: nothing comes in any more.
            loop {
                let mut out = Output::with_room(SLICE);
                let more = self.work(shard, &mut from, &mut out);
                shard.held_items.store(from.held().items as usize, Ordering::Relaxed);
                let_out.extend(self.account(shard, out));
                if !more && shard.inbox().is_empty() {
                    break;
                }
            }
            let mut to = successor.shards[target].state();
            let adoption = to.adopt(&mut **from);
            if from.held() == Held::default() {
                let waiting = shard.waiting.swap(0, Ordering::AcqRel);
                successor.shards[target].waiting.fetch_add(waiting, Ordering::AcqRel);
            }
            drop((from, to));
            self.send_off(let_out);
            successor.run(target);
            if adoption != Adoption::Kept {
                outcome = adoption;
            }
        }
        outcome
    }

    /// For data that nobody would send again: counts it as dropped here where the stage is gone.
    pub(crate) fn abandon_if_closed(&self, items: u64) -> bool {
        match self.closed.get() {
            None => false,
            Some(Some(successor)) => successor.abandon_if_closed(items),
            Some(None) => {
                self.meter.accepted(items);
                self.meter.dropped("removed", items);
                true
            }
        }
    }

    /// Ends the timers of a node that never came into use.
    pub(crate) fn discard(&self) {
        self.stopped.cancel();
    }

    /// Lets everything out and waits for its delivery; what is left at the deadline is lost and counted.
    pub(crate) async fn drain(self: &Arc<Self>, deadline: Instant) -> Lost {
        self.close(None);
        for shard in &self.shards {
            loop {
                let mut out = Output::with_room(SLICE);
                let mut state = shard.state();
                let more = self.work(shard, &mut state, &mut out);
                let now = self.clock.now();
                let drained =
                    guard::run(&self.status, || state.drain(now, &mut out)).unwrap_or(Drained::Done);
                let let_out = self.account(shard, out);
                drop(state);
                self.send_off(let_out);
                if !more && drained == Drained::Done && shard.inbox().is_empty() {
                    break;
                }
            }
        }
        self.stopped.cancel();
        while self.undelivered.load(Ordering::Acquire) > 0 && Instant::now() < deadline {
            tokio::time::sleep(DRAIN_POLL).await;
        }
        let lost = Lost {
            items: self.undelivered_items.load(Ordering::Acquire) as u64,
            requests: self.undelivered.load(Ordering::Acquire) as u64,
        };
        self.give_up.cancel();
        lost
    }
}

/// Comes back to a shard whenever it asked for that.
async fn timer(node: Arc<StageNode>, index: usize) {
    let shard = &node.shards[index];
    loop {
        let armed = *shard.armed.lock().unwrap_or_else(PoisonError::into_inner);
        let due = async {
            match armed {
                Some(at) => tokio::time::sleep_until(node.clock.instant(at)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shard.rearm.notified() => {}
            () = node.stopped.cancelled() => return,
            () = due => {
                *shard.armed.lock().unwrap_or_else(PoisonError::into_inner) = None;
                node.run(index);
            }
        }
    }
}
