//! Metrics from the network: the OTLP receiver, and an exporter that looks at what comes.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use phoenix_analytics::Survey;
use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExporterFactory, Factory, Registry, SharedSettings, Stability,
    Support, parse_settings,
};
use phoenix_component::{
    Batch, BoxFuture, Budget, BuildInfo, Capabilities, Change, CollectorHandle, Cores, Exporter, Health,
    Host, Leases, Lost, MemoryReader as _, Refusal, StartError, SystemMemory,
};
use phoenix_config::{Described, Node, Problems, Settings, Shape};
use phoenix_engine::{Engine, EngineOptions};
use phoenix_pdata::Signal;
use phoenix_telemetry::Metrics;
use phoenix_telemetry::traces::Tracer;
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::cli::{Analyze, Sources};
use crate::load;

/// How long requests that are under way may take at the end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at what comes until the time is over, or a signal says stop.
pub(super) fn survey(
    asked: &Analyze,
    sources: &Sources,
    build: BuildInfo,
    mut registry: Registry,
) -> anyhow::Result<Survey> {
    let seen = Arc::new(Mutex::new(super::survey()));
    registry.exporters.push(Box::new(Looking(seen.clone())));
    let own =
        Sources { config: vec![format!("yaml:{}", pipeline(asked))], set: Vec::new(), ..sources.clone() };
    let loaded = load::load(&load::Request::of(&own), &registry)?;
    let logs = phoenix_telemetry::logs::install();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let (cores, core_threads) = Cores::start(count).context("cannot start the I/O threads")?;
    let outcome = runtime.block_on(async {
        let options = EngineOptions::for_memory(SystemMemory.total());
        let host = Host {
            budget: Budget::new(options.budget_bytes),
            cores,
            control: tokio::runtime::Handle::current(),
            leases: Leases::default(),
            capabilities: Capabilities::default(),
            metrics: Metrics::default(),
            logs: logs.clone(),
            tracer: Tracer::default(),
            health: Health::default(),
            memory: Arc::new(SystemMemory),
            build,
            collector: CollectorHandle::default(),
        };
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let engine = Engine::new(Arc::new(registry), host, options);
        engine.apply(&loaded.plan).await?;
        tracing::info!(grpc = %asked.endpoint, http = %asked.http_endpoint, "Everything is ready. Looking at metrics.");
        tokio::select! {
            () = tokio::time::sleep(asked.duration) => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        engine.shutdown(Instant::now() + PATIENCE).await;
        anyhow::Ok(())
    });
    drop(core_threads);
    logs.flush(crate::commands::LOG_PATIENCE);
    outcome?;
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::replace(&mut *seen, super::survey()))
}

fn pipeline(asked: &Analyze) -> String {
    let endpoint = |text: &str| serde_json::Value::from(text.replace('$', "$$")).to_string();
    format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: {}}}, http: {{endpoint: {}}}}}}}}}\n\
         exporters: {{{NAME}: {{}}}}\n\
         service: {{pipelines: {{metrics: {{receivers: [otlp], exporters: [{NAME}]}}}}}}\n",
        endpoint(&asked.endpoint),
        endpoint(&asked.http_endpoint)
    )
}

const NAME: &str = "analysis";

const DESCRIPTOR: Descriptor = Descriptor {
    name: NAME,
    aliases: &[],
    signals: &[Support { from: Signal::Metrics, to: Signal::Metrics, stability: Stability::Alpha }],
    module: env!("CARGO_PKG_NAME"),
};

/// There are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
struct NoSettings {}

impl Settings for NoSettings {}

/// An exporter that looks, and its factory.
#[derive(Clone)]
struct Looking(Arc<Mutex<Survey>>);

impl Factory for Looking {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<NoSettings>(section, problems)
    }

    fn change(&self, _old: &dyn AnySettings, _new: Option<&dyn AnySettings>) -> Change {
        Change::stateless()
    }

    fn shape(&self) -> Shape {
        NoSettings::shape()
    }
}

impl ExporterFactory for Looking {
    fn create(
        &self,
        _settings: &dyn AnySettings,
        _cx: CreateContext<'_>,
        _signal: Signal,
    ) -> Result<Arc<dyn Exporter>, StartError> {
        Ok(Arc::new(self.clone()))
    }
}

impl Exporter for Looking {
    fn export(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        let mut survey = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        batch.payload.pieces().for_each(|piece| survey.observe(piece));
        Box::pin(async { Ok(()) })
    }

    fn drain(&self, _deadline: Instant) -> BoxFuture<'_, Lost> {
        Box::pin(async { Lost::default() })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
