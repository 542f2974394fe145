//! One attempt to deliver a batch: cut by key, a request to each backend, detours for what one of them did not take.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use phoenix_component::{Batch, Budget, Code, Host, Refusal, StartError};
use phoenix_delivery::{Delivered, Left, Push};
use phoenix_pdata::{Chunk, Payload, Signal, deal};
use phoenix_telemetry::Metrics;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::{Ring, RoutingKey, with_port};
use crate::fleet::{Backend, Fleet, Use};
use crate::keys::ByKey;
use crate::metrics::{BackendMeter, ResolverMeter, RouterMeter};
use crate::resolver::Resolver;

/// Backends beyond so many are left out.
const MAX_BACKENDS: usize = 4096;
/// How long the rest of a batch is tried for a sender that would otherwise send all of it again, where retries are off
/// and it named no deadline.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between such attempts, at first; it grows by half each time.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Kept of a deadline to hear what became of every part: an attempt that is cut off says nothing.
const MARGIN: Duration = Duration::from_millis(50);

/// How a backend is sent to.
pub(crate) trait Dial: Send + Sync + 'static {
    /// One attempt there.
    type Push: Push;

    /// Makes what sending to `endpoint`, of the form `host:port`, needs.
    fn dial(&self, endpoint: String) -> impl Future<Output = Result<Self::Push, StartError>> + Send;
}

/// The fleet as it is now, and how it is changed.
pub(crate) struct State<D: Dial> {
    dial: D,
    ring: Ring,
    fleet: ArcSwap<Fleet<D::Push>>,
    metrics: Metrics,
    resolver_meter: ResolverMeter,
    meter: RouterMeter,
}

impl<D: Dial> State<D> {
    pub(crate) fn new(
        dial: D,
        ring: Ring,
        metrics: &Metrics,
        resolver_meter: ResolverMeter,
        meter: RouterMeter,
    ) -> State<D> {
        let fleet = ArcSwap::from_pointee(Fleet::new(ring, Vec::new()));
        State { dial, ring, fleet, metrics: metrics.clone(), resolver_meter, meter }
    }

    /// Counts that the list was asked for.
    pub(crate) fn resolved(&self, success: bool) {
        self.resolver_meter.resolved(success);
    }

    /// Goes over to the backends of these names: those that stay keep their connections, those that left get nothing
    /// new while what is on its way to them ends.
    pub(crate) async fn update(&self, mut names: Vec<String>) {
        names.sort_unstable();
        names.dedup();
        if names.len() > MAX_BACKENDS {
            tracing::warn!(found = names.len(), used = MAX_BACKENDS, "too many backends; some are left out");
            names.truncate(MAX_BACKENDS);
        }
        let before = self.fleet.load_full();
        if before.backends.iter().map(|backend| &backend.name).eq(&names) {
            return;
        }
        let mut backends = Vec::with_capacity(names.len());
        for name in names {
            let kept = before.backends.iter().find(|backend| backend.name == name);
            let backend = match kept {
                Some(backend) => backend.clone(),
                None => match self.dial.dial(with_port(&name)).await {
                    Ok(push) => {
                        let meter = BackendMeter::new(&self.metrics, &with_port(&name));
                        Arc::new(Backend::new(name, push, meter, self.meter.failing.clone()))
                    }
                    Err(error) => {
                        tracing::error!(endpoint = name, %error, "failed to create new exporter for endpoint");
                        continue;
                    }
                },
            };
            backends.push(backend);
        }
        let list = backends.iter().map(|backend| backend.name.as_str()).collect::<Vec<_>>().join(", ");
        tracing::info!(backends = list, "the list of backends has changed");
        self.resolver_meter.updated(backends.len());
        self.fleet.store(Arc::new(Fleet::new(self.ring, backends)));
    }
}

/// Sends batches of one signal to a fleet.
pub(crate) struct Router<D: Dial> {
    pub(crate) state: Arc<State<D>>,
    pub(crate) signal: Signal,
    pub(crate) key: RoutingKey,
    pub(crate) attributes: Vec<String>,
    /// What is copied while it is dealt out is charged to its reserve.
    pub(crate) budget: Budget,
    /// Until it is started.
    pub(crate) resolver: Mutex<Option<Resolver>>,
    /// What is left of a batch is tried again by the delivery around.
    pub(crate) has_retries: bool,
    pub(crate) stop: CancellationToken,
}

impl<D: Dial> Push for Router<D> {
    async fn start(&self, host: &Host) -> Result<(), StartError> {
        let resolver = self.resolver.lock().unwrap_or_else(PoisonError::into_inner).take();
        match resolver {
            Some(resolver) => resolver.start(self.state.clone(), host, self.stop.clone()).await,
            None => Ok(()),
        }
    }

    async fn push(&self, batch: Batch) -> Result<Delivered, Refusal> {
        let mut attempt = Attempt::new(self, batch);
        let patience = Instant::now() + PATIENCE;
        let mut wait = FIRST_WAIT;
        loop {
            attempt.go().await;
            let until = attempt.batch.deadline.unwrap_or(patience);
            let next = Instant::now() + wait;
            if self.has_retries || !attempt.is_partly_done() || next >= until {
                return attempt.end();
            }
            // The sender would send all of it again.
            tokio::time::sleep_until(next).await;
            wait = wait.mul_f64(1.5);
        }
    }

    fn stop(&self) {
        self.stop.cancel();
        self.state.fleet.load().backends.iter().for_each(|backend| backend.stop());
    }
}

/// A part of a batch that was not taken, and why.
#[derive(Default)]
struct Refused {
    payload: Payload,
    items: u64,
    refusal: Option<Refusal>,
}

impl Refused {
    fn add(&mut self, chunk: Chunk, refusal: Refusal) {
        self.payload.append(chunk.payload);
        self.items += chunk.items;
        // The longest delay is the one that satisfies all.
        let later = self.refusal.as_ref().is_none_or(|first| refusal.delay() > first.delay());
        if later {
            self.refusal = Some(refusal);
        }
    }

    fn join(&mut self, other: Refused) {
        if let Some(refusal) = other.refusal {
            self.add(Chunk { payload: other.payload, items: other.items }, refusal);
        }
    }
}

/// What has become of a batch so far.
struct Attempt<'a, D: Dial> {
    router: &'a Router<D>,
    /// Without its payload.
    batch: Batch,
    /// Still to be sent.
    rest: Payload,
    delivered: u64,
    rejected: u64,
    /// Not taken for now.
    left: Refused,
    /// Not taken for good.
    bad: Refused,
}

impl<'a, D: Dial> Attempt<'a, D> {
    fn new(router: &'a Router<D>, mut batch: Batch) -> Attempt<'a, D> {
        let now = Instant::now();
        batch.deadline = batch.deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(now);
            deadline - MARGIN.min(left / 4)
        });
        let rest = std::mem::take(&mut batch.payload);
        let (left, bad) = (Refused::default(), Refused::default());
        Attempt { router, batch, rest, delivered: 0, rejected: 0, left, bad }
    }

    fn is_partly_done(&self) -> bool {
        self.left.items > 0 && self.delivered + self.bad.items > 0
    }

    /// Sends everything that is not delivered, over as many detours as there are backends that answer.
    async fn go(&mut self) {
        self.rest.append(std::mem::take(&mut self.left).payload);
        let mut detours = 0;
        loop {
            let fleet = self.router.state.fleet.load_full();
            if fleet.backends.is_empty() {
                let items = phoenix_pdata::count_items(self.batch.signal, &self.rest);
                let refusal =
                    Refusal::retryable("no_backend", "no backend is known: the resolver found none so far");
                let chunk = Chunk { payload: std::mem::take(&mut self.rest), items };
                return self.left.add(chunk, refusal);
            }
            let avoided = self.send(&fleet).await;
            let Some(refusal) = avoided.refusal else { return };
            detours += 1;
            let is_late = self.batch.deadline.is_some_and(|deadline| Instant::now() >= deadline);
            let fleet = self.router.state.fleet.load();
            if is_late || !fleet.works() || detours > fleet.backends.len() {
                let chunk = Chunk { payload: avoided.payload, items: avoided.items };
                return self.left.add(chunk, refusal);
            }
            self.router.state.meter.rerouted.add(avoided.items);
            self.rest = avoided.payload;
        }
    }

    /// Deals out what is to be sent, and sends it; what comes back may go elsewhere.
    async fn send(&mut self, fleet: &Fleet<D::Push>) -> Refused {
        let turn = Turn::new(fleet, Instant::now());
        let Router { signal, key, attributes, .. } = self.router;
        let place = |key: &[u8]| fleet.place(key, &turn.usable);
        let mut by_key = ByKey::new(*signal, *key, attributes, rand::random(), place);
        let whole = std::mem::take(&mut self.rest);
        let dealt = deal(*signal, whole.clone(), fleet.backends.len(), &mut by_key);
        let _charge = self.router.budget.charge_reserve(copied(&whole, &dealt));
        turn.spare_unless(|backend| dealt[backend].items > 0);
        let parts = dealt.into_iter().zip(&fleet.backends).filter(|(chunk, _)| chunk.items > 0);
        let mut parts: Vec<_> = parts.collect();
        let batch = &self.batch;
        let outcomes = match parts.as_slice() {
            [(chunk, backend)] => vec![one(backend, batch, chunk).await],
            _ => join_all(parts.iter().map(|(chunk, backend)| one(backend, batch, chunk))).await,
        };
        let mut avoided = Refused::default();
        for ((chunk, _), outcome) in parts.drain(..).zip(outcomes) {
            match outcome {
                Ok(delivered) => {
                    self.delivered += chunk.items;
                    self.rejected += delivered.rejected.min(chunk.items);
                }
                Err((refusal, Next::Elsewhere)) => avoided.add(chunk, refusal),
                Err((refusal, Next::Later)) => self.left.add(chunk, refusal),
                Err((refusal, Next::Never)) => self.bad.add(chunk, refusal),
            }
        }
        avoided
    }

    fn end(mut self) -> Result<Delivered, Refusal> {
        if self.left.items > 0 && self.bad.items > 0 {
            // What can be tried again goes on; the rest ends here, counted as rejected.
            let Refused { items, refusal, .. } = std::mem::take(&mut self.bad);
            tracing::warn!(rejected_items = items, error = ?refusal.map(|refusal| refusal.to_string()), "a backend rejected its part of a batch");
            self.rejected += items;
            self.delivered += items;
        }
        let mut refused = self.left;
        refused.join(self.bad);
        let Some(refusal) = refused.refusal else {
            return Ok(Delivered::except(self.rejected));
        };
        if self.delivered == 0 {
            return Err(refusal);
        }
        let left = Left { payload: refused.payload, items: refused.items, refusal };
        Ok(Delivered { rejected: self.rejected, ..Delivered::but(left) })
    }
}

/// Bytes of the parts that are no part of `whole` in memory.
fn copied(whole: &Payload, parts: &[Chunk]) -> usize {
    if parts.iter().filter(|part| part.items > 0).count() < 2 {
        return 0;
    }
    let is_shared = |piece: &[u8]| {
        let at = piece.as_ptr().addr();
        whole.pieces().any(|of| (of.as_ptr().addr()..of.as_ptr().addr() + of.len()).contains(&at))
    };
    let pieces = parts.iter().flat_map(|part| part.payload.pieces());
    pieces.filter(|piece| !is_shared(piece)).map(|piece| piece.len()).sum()
}

/// Where a part may go that was not taken.
enum Next {
    /// To another backend: this one does not work.
    Elsewhere,
    /// To the same one, when there is time.
    Later,
    Never,
}

/// Sends one part to its backend.
async fn one<P: Push>(
    backend: &Backend<P>,
    batch: &Batch,
    chunk: &Chunk,
) -> Result<Delivered, (Refusal, Next)> {
    let begun = Instant::now();
    let part = Batch { payload: chunk.payload.clone(), items: chunk.items, ..batch.clone() };
    let outcome = backend.push.push(part).await;
    let now = Instant::now();
    let millis = now.saturating_duration_since(begun).as_millis();
    backend.meter.ended(u64::try_from(millis).unwrap_or(u64::MAX), outcome.is_ok());
    let refusal = match outcome {
        Ok(delivered) => {
            backend.answered();
            return Ok(delivered);
        }
        Err(refusal) => refusal,
    };
    let is_late = batch.deadline.is_some_and(|deadline| now >= deadline);
    Err(match (refusal.is_retryable(), refusal.delay(), refusal.code()) {
        (false, ..) => {
            backend.answered();
            (refusal, Next::Never)
        }
        // It has no room now, and neither is it known that others have: its keys stay its own.
        (true, Some(_), _) => {
            backend.answered();
            (refusal, Next::Later)
        }
        // The sender's time was over, which says nothing of the backend.
        (true, None, _) if is_late => (refusal, Next::Later),
        (true, None, Code::UNAVAILABLE | Code::DEADLINE_EXCEEDED | Code::CANCELLED) => {
            backend.failed(&refusal, now, rand::random());
            (refusal, Next::Elsewhere)
        }
        (true, None, _) => (refusal, Next::Later),
    })
}

/// Which backends one dealing may use, and those among them that it tries for everybody.
struct Turn<'a, P> {
    fleet: &'a Fleet<P>,
    usable: Vec<bool>,
    probed: Vec<usize>,
}

impl<'a, P> Turn<'a, P> {
    fn new(fleet: &'a Fleet<P>, now: Instant) -> Turn<'a, P> {
        let mut turn = Turn { fleet, usable: Vec::with_capacity(fleet.backends.len()), probed: Vec::new() };
        for (index, backend) in fleet.backends.iter().enumerate() {
            let may_be_used = backend.may_be_used(now);
            turn.usable.push(may_be_used != Use::No);
            if may_be_used == Use::ToProbe {
                turn.probed.push(index);
            }
        }
        if turn.usable.iter().all(|usable| !usable) {
            // Whoever retries decides how often to try; each key then stays where it belongs.
            turn.usable.fill(true);
        }
        turn
    }

    /// Leaves those to others that nothing goes to.
    fn spare_unless(&self, is_tried: impl Fn(usize) -> bool) {
        for index in self.probed.iter().filter(|index| !is_tried(**index)) {
            self.fleet.backends[*index].spare();
        }
    }
}

impl<P> Drop for Turn<'_, P> {
    /// Also where the attempt is given up half-way: the next one may try.
    fn drop(&mut self) {
        self.probed.iter().for_each(|index| self.fleet.backends[*index].spare());
    }
}

#[cfg(test)]
mod tests;
