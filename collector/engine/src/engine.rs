//! The running collector: one graph, replaced as a whole while data flows.

use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use phoenix_component::factory::{Registry, Shared};
use phoenix_component::{
    Adoption, Changes, ComponentAdoption, ComponentKey, DrainReport, Held, Host, Lost, PipelineStatus, Status,
};
use phoenix_telemetry::{Description, InstrumentKind, Value};
use tokio::sync::{Mutex, Semaphore, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Admission;
use crate::books::Book;
use crate::build::{BuildError, Builder};
use crate::clock::Clock;
use crate::drain::{Progress, Retired};
use crate::generation::{Generation, Node};
use crate::plan::Plan;

/// Old graphs that may drain at the same time.
const DRAINING: usize = 2;

const SWAPS: Description = Description {
    name: "phoenix_swaps",
    unit: "{swap}",
    text: "Configurations that were to be put in force, by outcome; the first counts as well.",
};
const DRAINING_GRAPHS: Description = Description {
    name: "phoenix_draining_graphs",
    unit: "{graph}",
    text: "Replaced graphs that still deliver what they hold.",
};
const LOST: Description = Description {
    name: "phoenix_swap_lost_items",
    unit: "{item}",
    text: "Items that replaced graphs could not deliver before their deadline.",
};

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// What is left of a replaced graph is given up after this.
    pub drain_timeout: Duration,
    /// A further change waits this long for an older graph to drain, then it is refused.
    pub swap_wait: Duration,
    /// Bytes that the collector may hold where no component says less.
    pub budget_bytes: usize,
}

impl EngineOptions {
    /// Defaults for a machine or container with `total` bytes: half of that may be held.
    pub fn for_memory(total: u64) -> EngineOptions {
        let half = usize::try_from(total / 2).unwrap_or(usize::MAX);
        EngineOptions {
            drain_timeout: Duration::from_secs(30),
            swap_wait: Duration::from_secs(60),
            budget_bytes: half,
        }
    }
}

/// A change that did not happen; what ran goes on unchanged.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A component cannot be made or started.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Too many older graphs are still draining.
    #[error("two earlier configurations are still draining; try again when one of them is done")]
    Busy,
    /// Another change is being applied and does not come to its end.
    #[error("another change is being applied; try again when it is done")]
    Overtaken,
    /// The change was looked at and forbidden.
    #[error("the change was not made")]
    Forbidden(Box<Changes>),
    /// The collector is being stopped.
    #[error("the collector is stopping")]
    Stopping,
}

/// What a change did, by component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SwapReport {
    /// Carried over as they were, with their state.
    pub kept: Vec<ComponentKey>,
    /// Replaced by one with other settings.
    pub changed: Vec<ComponentKey>,
    /// New.
    pub added: Vec<ComponentKey>,
    /// Gone.
    pub removed: Vec<ComponentKey>,
}

/// Runs a graph of components and changes it. Clones share it.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    registry: Arc<Registry>,
    host: Host,
    clock: Clock,
    admission: Admission,
    shared: Shared,
    options: EngineOptions,
    /// Held by whoever changes the graph.
    turn: Mutex<()>,
    /// Replaced at once, and never locked for longer than that.
    running: StdMutex<Arc<Generation>>,
    /// Of the drain that began last.
    last_drain: StdMutex<Option<Progress>>,
    stopping: CancellationToken,
    draining: Arc<Semaphore>,
    drains: TaskTracker,
}

/// A change that was made.
#[derive(Debug)]
pub struct Applied {
    /// What became of each component.
    pub report: SwapReport,
    /// The same as it was foretold, with what it meant for state and connections.
    pub changes: Changes,
    /// The end of what was replaced.
    pub draining: Draining,
}

/// What a change replaced, on its way out. Whether anybody waits for it makes no difference to it.
#[derive(Debug)]
pub struct Draining(oneshot::Receiver<DrainReport>);

impl Draining {
    /// Waits up to `patience` for the end; none where it is not reached by then.
    pub async fn done_within(&mut self, patience: Duration) -> Option<DrainReport> {
        tokio::time::timeout(patience, &mut self.0).await.ok()?.ok()
    }
}

impl Engine {
    /// An engine without a graph. Call within the control runtime.
    pub fn new(registry: Arc<Registry>, host: Host, options: EngineOptions) -> Engine {
        host.budget.set_limit(options.budget_bytes);
        let draining = Arc::new(Semaphore::new(DRAINING));
        let slots = draining.clone();
        host.metrics.observe(DRAINING_GRAPHS, InstrumentKind::Gauge, &[], move || {
            Some(Value::Int((DRAINING - slots.available_permits()) as i64))
        });
        Engine(Arc::new(Inner {
            registry,
            host,
            clock: Clock::start(),
            admission: Admission::default(),
            shared: Shared::default(),
            options,
            turn: Mutex::default(),
            running: StdMutex::default(),
            last_drain: StdMutex::default(),
            stopping: CancellationToken::new(),
            draining,
            drains: TaskTracker::new(),
        }))
    }

    /// What components are offered.
    pub fn host(&self) -> &Host {
        &self.0.host
    }

    /// The components that it can build.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.0.registry
    }

    fn running(&self) -> Arc<Generation> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_running(&self, generation: Generation) -> Arc<Generation> {
        let mut running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *running, Arc::new(generation))
    }

    /// What `plan` would change, with what the affected components hold now. Touches nothing and waits for
    /// nothing.
    pub fn preview(&self, plan: &Plan) -> Changes {
        self.look(&self.running(), plan)
    }

    fn look(&self, running: &Generation, plan: &Plan) -> Changes {
        let mut changes = plan.changes_from(Some(&running.plan), &self.0.registry);
        let health = self.0.host.health.snapshot();
        for change in changes.changed.iter_mut().chain(&mut changes.removed) {
            let Some(entry) = running.nodes.get(&change.component) else { continue };
            change.held_items = held(&entry.node).map(|held| held.items);
            let status = health.iter().find(|(key, _)| *key == change.component).map(|(_, status)| status);
            change.at_risk = status.and_then(Status::error).map(str::to_owned);
        }
        changes
    }

    /// The pipelines that run, and the extensions.
    pub fn pipelines(&self) -> (Vec<PipelineStatus>, Vec<ComponentKey>) {
        let running = self.running();
        (running.plan.pipeline_components(&self.0.registry), running.plan.extension_components())
    }

    /// Puts the graph of `plan` in the place of the one that runs, if there is one. Returns once the new
    /// one takes data; the rest of the old one drains on.
    ///
    /// # Errors
    /// Why not; then what ran goes on as if nothing had been asked.
    pub async fn apply(&self, plan: &Plan) -> Result<SwapReport, ApplyError> {
        Ok(self.apply_if(plan, |_| true).await?.report)
    }

    /// Does what [`Engine::apply`] does, if `allows` agrees with what it would change: nothing else changes
    /// the graph between that question and the change. One change is made at a time; a further one waits,
    /// and so does one that comes while two earlier graphs drain.
    ///
    /// # Errors
    /// Why not; then what ran goes on as if nothing had been asked.
    pub async fn apply_if(
        &self,
        plan: &Plan,
        allows: impl FnOnce(&Changes) -> bool,
    ) -> Result<Applied, ApplyError> {
        let outcome = self.apply_uncounted(plan, allows).await;
        let word = match &outcome {
            Ok(_) => "applied",
            Err(ApplyError::Build(_)) => "failed",
            Err(ApplyError::Busy | ApplyError::Overtaken) => "busy",
            Err(ApplyError::Forbidden(_)) => "forbidden",
            Err(ApplyError::Stopping) => "stopping",
        };
        self.0.host.metrics.counter(SWAPS, &[("outcome", word)]).add(1);
        outcome
    }

    async fn apply_uncounted(
        &self,
        plan: &Plan,
        allows: impl FnOnce(&Changes) -> bool,
    ) -> Result<Applied, ApplyError> {
        let inner = &*self.0;
        let patience = Instant::now() + inner.options.swap_wait;
        let turn = async {
            let turn = tokio::time::timeout_at(patience, inner.turn.lock()).await;
            let turn = turn.map_err(|_| ApplyError::Overtaken)?;
            let permit = tokio::time::timeout_at(patience, inner.draining.clone().acquire_owned()).await;
            match permit {
                Ok(Ok(permit)) => Ok((turn, permit)),
                _ => Err(ApplyError::Busy),
            }
        };
        let Some(turn) = inner.stopping.run_until_cancelled(turn).await else {
            return Err(ApplyError::Stopping);
        };
        let (_turn, permit) = turn?;
        if inner.stopping.is_cancelled() {
            return Err(ApplyError::Stopping);
        }
        let running = self.running();
        let changes = self.look(&running, plan);
        if !allows(&changes) {
            return Err(ApplyError::Forbidden(Box::new(changes)));
        }
        let builder = Builder {
            registry: &inner.registry,
            host: &inner.host,
            clock: inner.clock,
            admission: &inner.admission,
            shared: &inner.shared,
            plan,
            running: &running,
        };
        let next = builder.build().await?;
        let (report, adoptions, mut retired) = self.switch(&running, next);
        self.queue_drain(&mut retired);
        drop(running);
        let deadline = Instant::now() + inner.options.drain_timeout;
        let lost_items = inner.host.metrics.counter(LOST, &[]);
        let (done, draining) = oneshot::channel();
        inner.host.control.spawn(inner.drains.track_future(async move {
            let mut outcome = retired.drain(deadline).await;
            lost_items.add(outcome.lost_items);
            outcome.adoptions.splice(0..0, adoptions);
            drop(permit);
            // Nobody needs to wait for it.
            let _ = done.send(outcome);
        }));
        Ok(Applied { report, changes, draining: Draining(draining) })
    }

    /// The moment of the change: everything is built, nothing can fail.
    fn switch(
        &self,
        running: &Generation,
        mut next: Generation,
    ) -> (SwapReport, Vec<ComponentAdoption>, Retired) {
        let host = &self.0.host;
        let (report, retired) = compare(running, &next);
        let mut adoptions = Vec::new();
        host.budget.set_limit(next.memory_limit().unwrap_or(usize::MAX).min(self.0.options.budget_bytes));
        for wire in &mut next.wires {
            wire.connect();
        }
        for key in report.added.iter().chain(&report.changed) {
            host.health.reset(key, Status::Ok);
            if let Node::Stage { node, .. } = &next.nodes[key].node {
                node.begin();
            }
            if let Node::Receiver { receiver, .. } = &next.nodes[key].node {
                if let Some(Node::Receiver { receiver: old, .. }) =
                    running.nodes.get(key).map(|entry| &entry.node)
                {
                    let adoption = receiver.adopt(&**old, host);
                    adoptions.push(ComponentAdoption { component: key.clone(), adoption, overtaken: false });
                }
                receiver.serve(host);
            }
        }
        for key in &report.removed {
            host.health.forget(key);
        }
        next.extensions().for_each(|extension| extension.pipelines_ready(true));
        self.set_running(next);
        (report, adoptions, retired)
    }

    /// Puts a drain behind the one that began before it.
    fn queue_drain(&self, retired: &mut Retired) {
        let mut last = self.0.last_drain.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = last.take();
        *last = Some(retired.follow(earlier));
    }

    /// Stops intake, lets everything out, and says what could not be delivered until `deadline`.
    pub async fn shutdown(&self, deadline: Instant) -> Lost {
        let inner = &*self.0;
        // Whoever waits for a turn goes away; a change that is being built comes to its end first.
        inner.stopping.cancel();
        let _turn = tokio::time::timeout_at(deadline, inner.turn.lock()).await;
        let running = self.set_running(Generation::default());
        running.extensions().for_each(|extension| extension.pipelines_ready(false));
        inner.host.health.stop_all(false);
        let (_, mut retired) = compare(&running, &Generation::default());
        self.queue_drain(&mut retired);
        drop(running);
        let outcome = retired.drain(deadline).await;
        inner.drains.close();
        if tokio::time::timeout_at(deadline, inner.drains.wait()).await.is_err() {
            tracing::warn!("an earlier configuration had not drained when the collector stopped");
        }
        inner.host.health.stop_all(true);
        let requests = outcome.lost.iter().map(|lost| lost.requests).sum::<u64>() + outcome.cut_off_requests;
        Lost { items: outcome.lost_items, requests }
    }

    /// The books of every component of the running graph that holds or changes data.
    pub async fn books(&self) -> Vec<Book> {
        let running = self.running();
        let metrics = &self.0.host.metrics;
        let books = running.nodes.iter().filter_map(|(key, entry)| {
            let queued = match &entry.node {
                Node::Exporter(node) | Node::Queue { node, .. } => node.owns_accepted(),
                Node::Stage { .. } | Node::Transform { .. } | Node::Connector { .. } => false,
                Node::Receiver { .. } | Node::Extension(_) => return None,
            };
            let held = held(&entry.node).unwrap_or_default();
            Some(Book::read(key.clone(), held, queued, metrics))
        });
        books.collect()
    }
}

/// What a node holds, where it can hold something: without a queue, data is its sender's until the answer.
fn held(node: &Node) -> Option<Held> {
    match node {
        Node::Stage { node, .. } => Some(node.held()),
        Node::Exporter(node) | Node::Queue { node, .. } if node.owns_accepted() => Some(node.exporter.held()),
        _ => None,
    }
}

/// What differs between two graphs, and what of the old one has to be drained.
fn compare(old: &Generation, new: &Generation) -> (SwapReport, Retired) {
    let mut report = SwapReport::default();
    let mut retired = Retired::new(old);
    for (key, entry) in &new.nodes {
        match old.nodes.get(key) {
            None => report.added.push(key.clone()),
            Some(former) if former.node.is(&entry.node) => report.kept.push(key.clone()),
            Some(former) => {
                report.changed.push(key.clone());
                retired.add(key, former, Some(entry));
            }
        }
    }
    for (key, former) in &old.nodes {
        if !new.nodes.contains_key(key) {
            report.removed.push(key.clone());
            retired.add(key, former, None);
        }
    }
    retired.collect_wires(old);
    (report, retired)
}

impl SwapReport {
    /// Writes the outcome to the log, with what became of each component.
    pub fn log(&self) {
        let list =
            |keys: &[ComponentKey]| keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        tracing::info!(
            kept = list(&self.kept),
            changed = list(&self.changed),
            added = list(&self.added),
            removed = list(&self.removed),
            "configuration applied"
        );
    }
}

/// Logs what became of a predecessor's state.
pub(crate) fn log_adoption(key: &ComponentKey, adoption: &Adoption) {
    key.log_scope().run(|| match adoption {
        Adoption::Kept => tracing::info!("the changed component took over its predecessor's state"),
        Adoption::Partly(lost) => {
            tracing::warn!(lost, "the changed component took over part of its predecessor's state");
        }
        Adoption::Rebuilt => tracing::info!("the changed component starts afresh; its predecessor drains"),
    });
}
