//! The running collector: one graph, replaced as a whole while data flows.

use std::sync::Arc;
use std::time::Duration;

use phoenix_component::factory::{Registry, Shared};
use phoenix_component::{Adoption, ComponentKey, Held, Host, Lost, Status};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::admission::Admission;
use crate::books::Book;
use crate::build::{BuildError, Builder};
use crate::clock::Clock;
use crate::drain::Retired;
use crate::generation::{Generation, Node};
use crate::plan::Plan;

/// Old graphs that may drain at the same time.
const DRAINING: usize = 2;

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
    state: Mutex<State>,
    draining: Arc<Semaphore>,
    drains: TaskTracker,
}

#[derive(Default)]
struct State {
    running: Generation,
    stopped: bool,
}

impl Engine {
    /// An engine without a graph. Call within the control runtime.
    pub fn new(registry: Arc<Registry>, host: Host, options: EngineOptions) -> Engine {
        host.budget.set_limit(options.budget_bytes);
        Engine(Arc::new(Inner {
            registry,
            host,
            clock: Clock::start(),
            admission: Admission::default(),
            shared: Shared::default(),
            options,
            state: Mutex::default(),
            draining: Arc::new(Semaphore::new(DRAINING)),
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

    /// Puts the graph of `plan` in the place of the one that runs, if there is one. Returns once the new
    /// one takes data; the rest of the old one drains on.
    ///
    /// # Errors
    /// Why not; then what ran goes on as if nothing had been asked.
    pub async fn apply(&self, plan: &Plan) -> Result<SwapReport, ApplyError> {
        let inner = &*self.0;
        let mut state = inner.state.lock().await;
        if state.stopped {
            return Err(ApplyError::Stopping);
        }
        let wait = tokio::time::timeout(inner.options.swap_wait, inner.draining.clone().acquire_owned());
        let Ok(Ok(permit)) = wait.await else { return Err(ApplyError::Busy) };
        let builder = Builder {
            registry: &inner.registry,
            host: &inner.host,
            clock: inner.clock,
            admission: &inner.admission,
            shared: &inner.shared,
            plan,
            running: &state.running,
        };
        let next = builder.build().await?;
        let (report, retired) = self.switch(&mut state.running, next);
        drop(state);
        let deadline = Instant::now() + inner.options.drain_timeout;
        inner.host.control.spawn(inner.drains.track_future(async move {
            retired.drain(deadline).await;
            drop(permit);
        }));
        Ok(report)
    }

    /// The moment of the change: everything is built, nothing can fail.
    fn switch(&self, running: &mut Generation, mut next: Generation) -> (SwapReport, Retired) {
        let host = &self.0.host;
        let (report, retired) = compare(running, &next);
        host.budget.set_limit(next.memory_limit().unwrap_or(usize::MAX).min(self.0.options.budget_bytes));
        for wire in &mut next.wires {
            wire.connect();
        }
        for key in report.added.iter().chain(&report.changed) {
            host.health.reset(key, Status::Ok);
            if let Node::Receiver { receiver, .. } = &next.nodes[key].node {
                if let Some(Node::Receiver { receiver: old, .. }) =
                    running.nodes.get(key).map(|entry| &entry.node)
                {
                    receiver.adopt(&**old, host);
                }
                receiver.serve(host);
            }
        }
        for key in &report.removed {
            host.health.forget(key);
        }
        next.extensions().for_each(|extension| extension.pipelines_ready(true));
        *running = next;
        (report, retired)
    }

    /// Stops intake, lets everything out, and says what could not be delivered until `deadline`.
    pub async fn shutdown(&self, deadline: Instant) -> Lost {
        let inner = &*self.0;
        let running = {
            let mut state = inner.state.lock().await;
            state.stopped = true;
            std::mem::take(&mut state.running)
        };
        running.extensions().for_each(|extension| extension.pipelines_ready(false));
        let (_, retired) = compare(&running, &Generation::default());
        drop(running);
        let lost = retired.drain(deadline).await;
        inner.drains.close();
        if tokio::time::timeout_at(deadline, inner.drains.wait()).await.is_err() {
            tracing::warn!("an earlier configuration had not drained when the collector stopped");
        }
        lost
    }

    /// The books of every component of the running graph that holds or changes data.
    pub async fn books(&self) -> Vec<Book> {
        let state = self.0.state.lock().await;
        let metrics = &self.0.host.metrics;
        let books = state.running.nodes.iter().filter_map(|(key, entry)| {
            let (held, queued) = match &entry.node {
                Node::Stage { node, .. } => (node.held(), false),
                // Without a queue the data is its sender's until the answer.
                Node::Exporter(node) if node.owns_accepted() => (node.exporter.held(), true),
                Node::Exporter(_) => (Held::default(), false),
                Node::Transform { .. } | Node::Connector { .. } => (Held::default(), false),
                Node::Receiver { .. } | Node::Extension(_) => return None,
            };
            Some(Book::read(key.clone(), held, queued, metrics))
        });
        books.collect()
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
