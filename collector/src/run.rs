//! The collector's life: start, changes, stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use phoenix_component::factory::Registry;
use phoenix_component::{Budget, Cores, Health, Host, Leases, MemoryReader as _, SystemMemory};
use phoenix_engine::{Engine, EngineOptions};
use phoenix_telemetry::Metrics;
use phoenix_telemetry::logs::LogHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::cli::{BUILD, Sources};
use crate::load;

/// Runs until a signal says stop.
pub(crate) fn run(sources: Sources, registry: Registry, shutdown_timeout: Duration) -> anyhow::Result<()> {
    let loaded = load::load(&sources, &registry)?;
    let logs = phoenix_telemetry::logs::install();
    loaded.telemetry.apply(&logs);
    load::log_warnings(&loaded.problems);

    let control = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let (cores, core_threads) = Cores::start(count).context("cannot start the I/O threads")?;
    let outcome = control.block_on(async {
        let options = EngineOptions::for_memory(SystemMemory.total());
        let host = Host {
            budget: Budget::new(options.budget_bytes),
            cores,
            control: tokio::runtime::Handle::current(),
            leases: Leases::default(),
            metrics: Metrics::default(),
            health: Health::default(),
            memory: Arc::new(SystemMemory),
            build: BUILD,
            collector: phoenix_component::CollectorHandle::default(),
        };
        // Before anything is up: a signal that comes during the start must not kill it halfway.
        let mut signals = Signals::listen().context("cannot listen for signals")?;
        let engine = Engine::new(Arc::new(registry), host, options);
        tracing::info!(version = BUILD.version, io_threads = count as u64, "starting {}", BUILD.command);
        engine.apply(&loaded.plan).await?;
        drop(loaded);
        tracing::info!("Everything is ready. Begin running and processing data.");
        let running = Running { engine, sources, logs };
        running.until_stopped(&mut signals, shutdown_timeout).await;
        Ok(())
    });
    drop(core_threads);
    outcome
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for a signal that says stop.
    async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

struct Running {
    engine: Engine,
    sources: Sources,
    logs: LogHandle,
}

impl Running {
    async fn until_stopped(&self, signals: &mut Signals, shutdown_timeout: Duration) {
        let name = loop {
            tokio::select! {
                _ = signals.hangup.recv() => self.reload().await,
                _ = signals.terminate.recv() => break "SIGTERM",
                _ = signals.interrupt.recv() => break "SIGINT",
            }
        };
        tracing::info!(signal = name, "Starting shutdown...");
        tokio::select! {
            lost = self.engine.shutdown(Instant::now() + shutdown_timeout) => {
                if lost.items > 0 {
                    tracing::warn!(lost_items = lost.items, lost_requests = lost.requests, "Shutdown complete, with loss.");
                } else {
                    tracing::info!("Shutdown complete.");
                }
            }
            name = signals.stop() => tracing::warn!(signal = name, "stopped at once by a second signal; what was held is lost"),
        }
    }

    /// Reads the sources again and applies what changed. A mistake changes nothing.
    async fn reload(&self) {
        tracing::info!("reading the configuration again");
        let (sources, registry) = (self.sources.clone(), self.engine.registry().clone());
        let loaded = match tokio::task::spawn_blocking(move || load::load(&sources, &registry)).await {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(bad)) => {
                tracing::error!(
                    "the new configuration has mistakes; the running one goes on unchanged\n{bad}"
                );
                return;
            }
            Err(panic) => {
                tracing::error!(error = %panic, "the configuration could not be read; the running one goes on unchanged");
                return;
            }
        };
        load::log_warnings(&loaded.problems);
        match self.engine.apply(&loaded.plan).await {
            Ok(report) => {
                loaded.telemetry.apply(&self.logs);
                report.log();
            }
            Err(error) => {
                tracing::error!(error = %error, "the new configuration was not applied; the running one goes on unchanged")
            }
        }
    }
}
