//! Where data comes from and goes to: a source, a sink, a connector, and an extension that looks on.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use phoenix_component::factory::*;
use phoenix_component::*;
use phoenix_config::{ComponentId, Node, Problems};
use phoenix_pdata::Signal;
use serde::Deserialize;
use tokio::time::Instant;

use super::*;

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SourceSettings {
    generation: u32,
    fails_to_bind: bool,
}
impl phoenix_config::Settings for SourceSettings {}

test_factory!(
    SourceFactory,
    "source",
    SourceSettings,
    Support::all(Stability::Stable),
    |old, new| match new {
        Some(new) if new.generation == old.generation => Change::stateless(),
        Some(_) => Change::stateless().closing("source", "moves"),
        None => Change::stateless().closing("source", "is removed"),
    }
);

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

test_factory!(SinkFactory, "sink", SinkSettings, Support::all(Stability::Stable));

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

test_factory!(PassFactory, "pass", NoSettings, Support::all(Stability::Stable));

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
pub(crate) struct QueueSettings {
    generation: u32,
    feeds: Option<String>,
    fails_to_start: bool,
}
impl phoenix_config::Settings for QueueSettings {}

test_factory!(
    QueueFactory,
    "queue",
    QueueSettings,
    Support::all(Stability::Stable),
    |_, new| match new {
        Some(_) => Change::adopted(),
        None => Change::let_out(),
    },
    pipelines: |settings| settings.feeds.iter().map(|name| ("feeds".to_owned(), name.clone())).collect()
);

impl ConnectorFactory for QueueFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        _: Signal,
        _: Signal,
        outlets: ConnectorOutlets,
    ) -> Result<Connector, StartError> {
        let settings = settings_of::<QueueSettings>(settings).clone();
        let (id, world) = (cx.id.to_string(), self.0.clone());
        Ok(Connector::Queue(Arc::new(Queue { id, settings, world, outlets, waiting: Mutex::default() })))
    }
}

/// A connector that keeps what comes until it ends.
struct Queue {
    id: String,
    settings: QueueSettings,
    world: Arc<World>,
    outlets: ConnectorOutlets,
    waiting: Mutex<Vec<Batch>>,
}

impl Exporter for Queue {
    fn start<'a>(&'a self, _: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        self.world.note(format!("start {}", self.id));
        let outcome =
            if self.settings.fails_to_start { Err(StartError::new("told to fail")) } else { Ok(()) };
        Box::pin(async move { outcome })
    }

    fn export(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        self.waiting.lock().unwrap().push(batch);
        Box::pin(async { Ok(()) })
    }

    fn owns_accepted(&self) -> bool {
        true
    }

    fn held(&self) -> Held {
        let waiting = self.waiting.lock().unwrap();
        Held { items: waiting.iter().map(|batch| batch.items).sum(), ..Held::default() }
    }

    fn adopt(&self, old: &dyn Exporter) -> Adoption {
        let Some(old) = old.as_any().downcast_ref::<Queue>() else { return Adoption::Rebuilt };
        self.waiting.lock().unwrap().append(&mut old.waiting.lock().unwrap());
        Adoption::Kept
    }

    fn drain(&self, _: Instant) -> BoxFuture<'_, Lost> {
        self.world.note(format!("drain {}", self.id));
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
        Box::pin(async move {
            let mut lost = Lost::default();
            for batch in waiting {
                let items = batch.items;
                if self.outlets.all.send(batch).await.is_err() {
                    lost += Lost { items, requests: 1 };
                }
            }
            lost
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WatcherSettings {
    generation: u32,
}
impl phoenix_config::Settings for WatcherSettings {}

test_factory!(WatcherFactory, "watcher", WatcherSettings, Support::all(Stability::Stable));

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
