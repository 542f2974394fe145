//! A small world of test components: sources that a test sends from, sinks that answer as told and
//! remember what they got, and processors that show one property each.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use phoenix_component::factory::*;
use phoenix_component::*;
use phoenix_config::{
    ComponentId, Config, EnvProvider, KeyPath, Location, Node, PipelineId, Problems, Resolver,
};
use phoenix_engine::{Applied, ApplyError, Engine, EngineOptions, Plan, SwapReport};
use phoenix_pdata::{Payload, Signal};
use serde::Deserialize;
use tokio::time::Instant;

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

macro_rules! factory {
    ($name:ident, $type_name:literal, $settings:ty, $signals:expr) => {
        factory!($name, $type_name, $settings, $signals, |_, _| Change::let_out());
    };
    ($name:ident, $type_name:literal, $settings:ty, $signals:expr, $change:expr) => {
        struct $name(#[allow(dead_code)] Arc<World>);

        impl Factory for $name {
            fn descriptor(&self) -> &Descriptor {
                static SIGNALS: [Support; 3] = $signals;
                static DESCRIPTOR: Descriptor =
                    Descriptor { name: $type_name, aliases: &[], signals: &SIGNALS, module: "test" };
                &DESCRIPTOR
            }

            fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
                parse_settings::<$settings>(section, problems)
            }

            fn change(&self, old: &dyn AnySettings, new: Option<&dyn AnySettings>) -> Change {
                let change: fn(&$settings, Option<&$settings>) -> Change = $change;
                change(settings_of(old), new.map(settings_of))
            }
        }
    };
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SourceSettings {
    generation: u32,
    fails_to_bind: bool,
}
impl phoenix_config::Settings for SourceSettings {}

factory!(SourceFactory, "source", SourceSettings, Support::all(Stability::Stable), |old, new| match new {
    Some(new) if new.generation == old.generation => Change::stateless(),
    Some(_) => Change::stateless().closing("source", "moves"),
    None => Change::stateless().closing("source", "is removed"),
});

struct Source {
    id: String,
    generation: u32,
    fails_to_bind: bool,
    outlets: Outlets,
    world: Arc<World>,
}

impl ReceiverFactory for SourceFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        outlets: Outlets,
    ) -> Result<Arc<dyn Receiver>, StartError> {
        let settings = settings_of::<SourceSettings>(settings);
        let (id, world) = (cx.id.to_string(), self.0.clone());
        let (generation, fails_to_bind) = (settings.generation, settings.fails_to_bind);
        Ok(Arc::new(Source { id, generation, fails_to_bind, outlets, world }))
    }
}

impl Receiver for Source {
    fn bind<'a>(&'a self, _: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        let outcome = if self.fails_to_bind { Err(StartError::new("told to fail")) } else { Ok(()) };
        Box::pin(async move { outcome })
    }

    fn adopt(&self, old: &dyn Receiver, _: &Host) -> Adoption {
        match old.as_any().downcast_ref::<Source>() {
            Some(old) if old.generation == self.generation => Adoption::Kept,
            _ => Adoption::Partly("connections".to_owned()),
        }
    }

    fn serve(&self, _: &Host) {
        self.world.outlets.lock().unwrap().insert(self.id.clone(), self.outlets.clone());
        self.world.note(format!("serve {}", self.id));
    }

    fn stop(&self, _: Instant) -> BoxFuture<'_, Lost> {
        self.world.note(format!("stop {}", self.id));
        Box::pin(async { Lost::default() })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SinkSettings {
    generation: u32,
    fails_to_start: bool,
    owns: bool,
}
impl phoenix_config::Settings for SinkSettings {}

factory!(SinkFactory, "sink", SinkSettings, Support::all(Stability::Stable));

struct SinkExporter {
    id: String,
    settings: SinkSettings,
    sink: Arc<Sink>,
    world: Arc<World>,
}

impl ExporterFactory for SinkFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        _: Signal,
    ) -> Result<Arc<dyn Exporter>, StartError> {
        let id = cx.id.to_string();
        let (settings, sink, world) =
            (settings_of::<SinkSettings>(settings).clone(), self.0.sink(&id), self.0.clone());
        Ok(Arc::new(SinkExporter { id, settings, sink, world }))
    }
}

impl Exporter for SinkExporter {
    fn start<'a>(&'a self, _: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        let outcome =
            if self.settings.fails_to_start { Err(StartError::new("told to fail")) } else { Ok(()) };
        Box::pin(async move { outcome })
    }

    fn export(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let call = self.sink.calls.fetch_add(1, Ordering::SeqCst);
            self.world.note(format!("export {}", self.id));
            let answer = self.sink.answer.lock().unwrap().clone();
            match answer {
                Answer::Accept => {}
                Answer::Refuse => return Err(Refusal::retryable("test", "not now")),
                Answer::Reject => return Err(Refusal::permanent("test", "never")),
                Answer::RefuseEverySecond if call % 2 == 1 => {
                    return Err(Refusal::retryable("test", "not now"));
                }
                Answer::RefuseEverySecond => {}
                Answer::Slow(time) => tokio::time::sleep(time).await,
                Answer::Panic => panic!("told to"),
                Answer::Hang => std::future::pending().await,
            }
            self.sink.got.lock().unwrap().extend(ids_of(&batch));
            Ok(())
        })
    }

    fn owns_accepted(&self) -> bool {
        self.settings.owns
    }

    fn drain(&self, _: Instant) -> BoxFuture<'_, Lost> {
        self.world.note(format!("drain {}", self.id));
        self.sink.drained.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Lost::default() })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NoSettings {}
impl phoenix_config::Settings for NoSettings {}

factory!(OddFactory, "odd", NoSettings, Support::all(Stability::Stable));

/// Keeps odd identifiers; 13 makes it panic, and a batch of 666 alone is rejected.
struct Odd;

impl ProcessorFactory for OddFactory {
    fn create(
        &self,
        _: &dyn AnySettings,
        _: CreateContext<'_>,
        _: &PipelineId,
    ) -> Result<Processor, StartError> {
        Ok(Processor::Transform(Arc::new(Odd)))
    }
}

impl Transform for Odd {
    fn apply(&self, batch: Batch, dropped: &mut Dropped) -> Result<Option<Batch>, Refusal> {
        let ids = ids_of(&batch);
        assert!(!ids.contains(&13), "thirteen");
        if ids == [666] {
            return Err(Refusal::permanent("test", "not that one"));
        }
        let kept: Vec<u64> = ids.iter().copied().filter(|id| id % 2 == 1).collect();
        dropped.add("even", (ids.len() - kept.len()) as u64);
        let next =
            Batch { payload: batch_of(batch.signal, &kept).payload, items: kept.len() as u64, ..batch };
        Ok((!kept.is_empty()).then_some(next))
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HoldSettings {
    every_ms: u64,
    delivered: bool,
    shards: usize,
    adopts: bool,
}

impl Default for HoldSettings {
    fn default() -> HoldSettings {
        HoldSettings { every_ms: 1000, delivered: false, shards: 1, adopts: true }
    }
}
impl phoenix_config::Settings for HoldSettings {}

factory!(HoldFactory, "hold", HoldSettings, Support::all(Stability::Stable), |_, new| match new {
    Some(new) if new.adopts => Change::adopted(),
    _ => Change::let_out(),
});

/// Holds what comes for a while; which shard decides the identifier.
struct Hold {
    settings: HoldSettings,
    open: Option<Fragment>,
    due: Option<Duration>,
}

struct ById;

impl Partition for ById {
    fn prepare(&self, batch: Batch, emit: &mut dyn FnMut(u64, Batch)) -> Result<(), Refusal> {
        let mut parts: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for id in ids_of(&batch) {
            parts.entry(id % 8).or_default().push(id);
        }
        for (key, ids) in parts {
            emit(
                key,
                Batch {
                    payload: batch_of(batch.signal, &ids).payload,
                    items: ids.len() as u64,
                    ..batch.clone()
                },
            );
        }
        Ok(())
    }
}

impl ProcessorFactory for HoldFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        _: CreateContext<'_>,
        _: &PipelineId,
    ) -> Result<Processor, StartError> {
        let settings = settings_of::<HoldSettings>(settings).clone();
        let acknowledge = if settings.delivered { Acknowledge::Delivered } else { Acknowledge::Held };
        let shards = (0..settings.shards.max(1))
            .map(|_| Box::new(Hold { settings: settings.clone(), open: None, due: None }) as Box<dyn Stage>)
            .collect();
        Ok(Processor::Stage(StageSpec { partition: Arc::new(ById), shards, acknowledge }))
    }
}

impl Hold {
    fn add(&mut self, fragment: Fragment) {
        assert!(ids_of(&fragment.batch) != [13], "thirteen");
        match &mut self.open {
            None => self.open = Some(fragment),
            Some(open) => {
                open.batch.payload.append(fragment.batch.payload);
                open.batch.items += fragment.batch.items;
                open.batch.waiting += fragment.batch.waiting;
                open.batch.deadline =
                    [open.batch.deadline, fragment.batch.deadline].into_iter().flatten().min();
                open.ack.join(fragment.ack);
            }
        }
    }

    fn flush(&mut self, out: &mut Output) {
        self.due = None;
        if let Some(open) = self.open.take() {
            out.send(open.batch, open.ack);
        }
    }
}

impl Stage for Hold {
    fn ingest(&mut self, fragment: Fragment, now: Now, _: &mut Output) {
        self.add(fragment);
        self.due.get_or_insert(now.monotonic + Duration::from_millis(self.settings.every_ms));
    }

    fn tick(&mut self, _: Now, out: &mut Output) {
        self.flush(out);
    }

    fn all_wait(&mut self, _: Now, out: &mut Output) {
        self.flush(out);
    }

    fn drain(&mut self, _: Now, out: &mut Output) -> Drained {
        self.flush(out);
        Drained::Done
    }

    fn wake_at(&self) -> Option<Duration> {
        self.due
    }

    fn held(&self) -> Held {
        self.open
            .as_ref()
            .map_or(Held::default(), |open| Held { items: open.batch.items, bytes: open.batch.payload.len() })
    }

    fn adopt(&mut self, old: &mut dyn Stage) -> Adoption {
        let Some(old) = old.as_any().downcast_mut::<Hold>().filter(|_| self.settings.adopts) else {
            return Adoption::Rebuilt;
        };
        if let Some(open) = old.open.take() {
            self.add(open);
            self.due = [self.due, old.due.take()].into_iter().flatten().min();
        }
        Adoption::Kept
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

factory!(SumFactory, "sum", NoSettings, Support::all(Stability::Stable));

/// Adds the identifiers up and lets the sum out as one item each second: a counter that a retry of a
/// sender must never move twice.
#[derive(Default)]
struct Sum {
    total: u64,
    pending: bool,
    due: Option<Duration>,
    signal: Option<Signal>,
}

impl ProcessorFactory for SumFactory {
    fn create(
        &self,
        _: &dyn AnySettings,
        _: CreateContext<'_>,
        _: &PipelineId,
    ) -> Result<Processor, StartError> {
        let shards: Vec<Box<dyn Stage>> = vec![Box::new(Sum::default())];
        Ok(Processor::Stage(StageSpec {
            partition: Arc::new(Unpartitioned),
            shards,
            acknowledge: Acknowledge::Held,
        }))
    }
}

impl Stage for Sum {
    fn ingest(&mut self, fragment: Fragment, now: Now, out: &mut Output) {
        self.total += ids_of(&fragment.batch).iter().sum::<u64>();
        self.signal = Some(fragment.batch.signal);
        self.pending = true;
        out.absorbed(fragment.batch.items);
        self.due.get_or_insert(now.monotonic + Duration::from_secs(1));
    }

    fn tick(&mut self, _: Now, out: &mut Output) {
        self.due = None;
        if let Some(signal) = self.signal.filter(|_| std::mem::take(&mut self.pending)) {
            out.produced(1);
            // The increment since the last output, so that sums of outputs are sums of inputs.
            out.send(
                Batch { waiting: 0, ..batch_of(signal, &[std::mem::take(&mut self.total)]) },
                Ack::none(),
            );
        }
    }

    fn drain(&mut self, now: Now, out: &mut Output) -> Drained {
        self.tick(now, out);
        Drained::Done
    }

    fn wake_at(&self) -> Option<Duration> {
        self.due
    }

    fn held(&self) -> Held {
        Held::default()
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

factory!(PassFactory, "pass", NoSettings, Support::all(Stability::Stable));

/// A connector that joins pipelines of one signal.
struct Pass(ConnectorOutlets);

impl ConnectorFactory for PassFactory {
    fn create(
        &self,
        _: &dyn AnySettings,
        _: CreateContext<'_>,
        _: Signal,
        _: Signal,
        outlets: ConnectorOutlets,
    ) -> Result<Connector, StartError> {
        Ok(Connector::Flow(Arc::new(Pass(outlets))))
    }
}

impl ConnectorFlow for Pass {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(self.0.all.send(batch))
    }
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WatcherSettings {
    generation: u32,
}
impl phoenix_config::Settings for WatcherSettings {}

factory!(WatcherFactory, "watcher", WatcherSettings, Support::all(Stability::Stable));

struct Watcher(Arc<World>, ComponentId);

impl ExtensionFactory for WatcherFactory {
    fn create(&self, _: &dyn AnySettings, cx: CreateContext<'_>) -> Result<Arc<dyn Extension>, StartError> {
        Ok(Arc::new(Watcher(self.0.clone(), cx.id.clone())))
    }
}

impl Extension for Watcher {
    fn start<'a>(&'a self, _: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        self.0.note(format!("start {}", self.1));
        Box::pin(async { Ok(()) })
    }

    fn pipelines_ready(&self, ready: bool) {
        self.0.note(format!("ready {} {ready}", self.1));
    }

    fn stop(&self, _: Instant) -> BoxFuture<'_, ()> {
        self.0.note(format!("stop {}", self.1));
        Box::pin(async {})
    }
}

fn registry(world: &Arc<World>) -> Registry {
    Registry {
        receivers: vec![Box::new(SourceFactory(world.clone()))],
        processors: vec![
            Box::new(OddFactory(world.clone())),
            Box::new(HoldFactory(world.clone())),
            Box::new(SumFactory(world.clone())),
        ],
        exporters: vec![Box::new(SinkFactory(world.clone()))],
        connectors: vec![Box::new(PassFactory(world.clone()))],
        extensions: vec![Box::new(WatcherFactory(world.clone()))],
    }
}
