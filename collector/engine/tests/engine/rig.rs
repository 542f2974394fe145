//! A small world of test components: sources that a test sends from, sinks that answer as told and
//! remember what they got, and processors that show one property each.

#[macro_use]
mod factory;
mod ends;
mod processors;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use phoenix_component::factory::*;
use phoenix_component::*;
use phoenix_config::{Config, EnvProvider, KeyPath, Location, Problems, Resolver};
use phoenix_engine::{Applied, ApplyError, Engine, EngineOptions, Plan, SwapReport};
use phoenix_pdata::{Payload, Signal};
use serde::Deserialize;
use tokio::time::Instant;

use ends::{PassFactory, QueueFactory, SinkFactory, SourceFactory, WatcherFactory};
use processors::{HoldFactory, OddFactory, SumFactory};

/// How a sink answers.
#[derive(Clone, Debug, Default)]
pub(crate) enum Answer {
    #[default]
    Accept,
    Refuse,
    Reject,
    RefuseEverySecond,
    Slow(Duration),
    Panic,
    /// Never.
    Hang,
}

#[derive(Default)]
pub(crate) struct Sink {
    pub(crate) answer: Mutex<Answer>,
    pub(crate) got: Mutex<Vec<u64>>,
    /// In the order of events over all sinks.
    pub(crate) calls: AtomicU64,
    pub(crate) drained: AtomicU64,
}

impl Sink {
    pub(crate) fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub(crate) fn got(&self) -> Vec<u64> {
        self.got.lock().unwrap().clone()
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }
}

#[derive(Default)]
pub(crate) struct World {
    pub(crate) outlets: Mutex<HashMap<String, Outlets>>,
    pub(crate) sinks: Mutex<HashMap<String, Arc<Sink>>>,
    pub(crate) events: Mutex<Vec<String>>,
}

impl World {
    pub(crate) fn sink(&self, id: &str) -> Arc<Sink> {
        self.sinks.lock().unwrap().entry(id.to_owned()).or_default().clone()
    }

    pub(crate) fn note(&self, event: String) {
        self.events.lock().unwrap().push(event);
    }
}

/// A payload of identifiers: the engine never looks inside.
pub(crate) fn batch_of(signal: Signal, ids: &[u64]) -> Batch {
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    Batch::new(signal, Payload::from(Bytes::from(bytes)), ids.len() as u64)
}

pub(crate) fn ids_of(batch: &Batch) -> Vec<u64> {
    let bytes = batch.payload.clone().into_contiguous();
    bytes.chunks_exact(8).map(|id| u64::from_le_bytes(id.try_into().unwrap())).collect()
}

/// An engine with its world.
pub(crate) struct Rig {
    pub(crate) world: Arc<World>,
    pub(crate) engine: Engine,
    registry: Arc<Registry>,
}

impl Rig {
    pub(crate) async fn start(yaml: &str) -> Rig {
        let rig = Rig::idle();
        rig.apply(yaml).await.expect("the first graph starts");
        rig
    }

    /// A rig whose changes wait for earlier ones as long as that takes.
    pub(crate) async fn start_patient(yaml: &str) -> Rig {
        let rig = Rig::with_swap_wait(Duration::from_secs(600));
        rig.apply(yaml).await.expect("the first graph starts");
        rig
    }

    pub(crate) fn idle() -> Rig {
        Rig::with_swap_wait(Duration::from_secs(2))
    }

    fn with_swap_wait(swap_wait: Duration) -> Rig {
        let world = Arc::new(World::default());
        let registry = Arc::new(registry(&world));
        let options =
            EngineOptions { drain_timeout: Duration::from_secs(30), swap_wait, budget_bytes: 1 << 30 };
        let engine = Engine::new(registry.clone(), Host::for_tests(), options);
        Rig { world, engine, registry }
    }

    pub(crate) fn plan(&self, yaml: &str) -> Result<Plan, Vec<String>> {
        plan(yaml, &self.registry)
    }

    pub(crate) async fn apply(&self, yaml: &str) -> Result<SwapReport, ApplyError> {
        let plan = self.plan(yaml).expect("a valid configuration");
        self.engine.apply(&plan).await
    }

    /// Applies a configuration and holds the outcome against what was foretold.
    pub(crate) async fn apply_as_foretold(&self, yaml: &str) -> Result<Applied, ApplyError> {
        let plan = self.plan(yaml).expect("a valid configuration");
        let foretold = self.engine.preview(&plan);
        let applied = self.engine.apply_if(&plan, |_| true).await?;
        let keys = |changes: &[ComponentChange]| -> Vec<ComponentKey> {
            changes.iter().map(|change| change.component.clone()).collect()
        };
        let report = &applied.report;
        assert_eq!((&foretold.kept, &foretold.added), (&report.kept, &report.added));
        assert_eq!(keys(&foretold.changed), report.changed);
        assert_eq!(keys(&foretold.removed), report.removed);
        Ok(applied)
    }

    pub(crate) async fn send(&self, source: &str, signal: Signal, ids: &[u64]) -> Result<(), Refusal> {
        self.send_batch(source, batch_of(signal, ids)).await
    }

    pub(crate) async fn send_batch(&self, source: &str, batch: Batch) -> Result<(), Refusal> {
        let outlet = self.world.outlets.lock().unwrap()[source].of(batch.signal).clone();
        outlet.send(batch).await
    }

    pub(crate) async fn shutdown(&self) -> Lost {
        self.engine.shutdown(Instant::now() + Duration::from_secs(20)).await
    }

    pub(crate) async fn assert_balanced(&self) {
        for book in self.engine.books().await {
            assert_eq!(book.imbalance(), 0, "{book:?}");
        }
    }

    pub(crate) fn status(&self, id: &str) -> Status {
        let found =
            self.engine.host().health.snapshot().into_iter().find(|(key, _)| key.id.to_string() == id);
        found.expect("a component of that name").1
    }
}

fn plan(yaml: &str, registry: &Registry) -> Result<Plan, Vec<String>> {
    let messages =
        |problems: &Problems| problems.errors().map(|problem| problem.message.clone()).collect::<Vec<_>>();
    let uri = format!("yaml:{yaml}");
    let resolved = Resolver::with_environment(EnvProvider::new(|_| None))
        .resolve::<String>(&[uri], &[])
        .map_err(|problems| messages(&problems))?;
    let mut problems = Problems::in_section(KeyPath::root(), &resolved.root, &Location::nowhere());
    let config = Config::read(&resolved.root, registry, &mut problems);
    Plan::new(&config, registry, &mut problems).ok_or_else(|| messages(&problems))
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NoSettings {}
impl phoenix_config::Settings for NoSettings {}

fn registry(world: &Arc<World>) -> Registry {
    Registry {
        receivers: vec![Box::new(SourceFactory(world.clone()))],
        processors: vec![
            Box::new(OddFactory(world.clone())),
            Box::new(HoldFactory(world.clone())),
            Box::new(SumFactory(world.clone())),
        ],
        exporters: vec![Box::new(SinkFactory(world.clone()))],
        connectors: vec![Box::new(PassFactory(world.clone())), Box::new(QueueFactory(world.clone()))],
        extensions: vec![Box::new(WatcherFactory(world.clone()))],
    }
}
