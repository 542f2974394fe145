//! The collector's life: start, changes, stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use phoenix_component::factory::Registry;
use phoenix_component::{
    Budget, BuildInfo, Capabilities, CollectorHandle, Cores, Health, Host, Leases, MemoryReader as _, files,
};
use phoenix_engine::{Engine, EngineOptions};
use phoenix_telemetry::Metrics;
use phoenix_telemetry::traces::Tracer;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::cli::Sources;
use crate::commands::LOG_PATIENCE;
use crate::control::Control;
use crate::load;
use crate::memory::ProcessMemory;
use crate::own_metrics::OwnMetrics;
use crate::service_telemetry::OwnTelemetry;
use crate::supervise::{self, Supervised};

/// Runs until a signal says stop; with `child`, extensions see that instead of this process.
pub(crate) fn run(
    sources: Sources,
    build: BuildInfo,
    registry: Registry,
    shutdown_timeout: Duration,
    watch_config: Option<Duration>,
    child: Option<supervise::Plan>,
) -> anyhow::Result<()> {
    // Each step of a start touches code that nobody needs after it; kept until the end, it would be a sidecar's peak.
    // Where it fails, so does the same step after the start, which says so.
    let done = || drop(phoenix_residency::give_back());
    done();
    let loaded = load::load_by_steps(&load::Request::of(&sources), &registry, done)?;
    done();
    let watch_config = watch_config.map(|interval| (interval, files::fingerprint(&loaded.files)));
    let logs = phoenix_telemetry::logs::install();

    let control = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let (cores, core_threads) = Cores::start(count).context("cannot start the I/O threads")?;
    let outcome = control.block_on(async {
        let options = EngineOptions::for_memory(ProcessMemory::default().total());
        let metrics = Metrics::default();
        logs.count_in(&metrics);
        let host = Host {
            budget: Budget::new(options.budget_bytes),
            cores,
            control: tokio::runtime::Handle::current(),
            leases: Leases::default(),
            capabilities: Capabilities::default(),
            metrics,
            logs: logs.clone(),
            tracer: Tracer::default(),
            health: Health::default(),
            memory: Arc::new(ProcessMemory::default()),
            build,
            collector: CollectorHandle::default(),
        };
        // Before anything is up: a signal that comes during the start must not kill it halfway.
        let telemetry = OwnTelemetry::default();
        telemetry.apply(&loaded.telemetry, &host)?;
        load::log_warnings(&loaded.problems);
        let mut signals = Signals::listen().context("cannot listen for signals")?;
        let own_metrics = OwnMetrics::new(&host);
        let engine = Engine::new(Arc::new(registry), host, options);
        tracing::info!(version = build.version, io_threads = count as u64, "starting {}", build.command);
        let control = Control::new(engine.clone(), sources, telemetry, own_metrics);
        let child = child.map(|plan| Supervised::new(plan, engine.host()));
        match &child {
            Some(child) => {
                engine.host().collector.set(Arc::new(child.clone()));
                child.start().await?;
            }
            None => engine.host().collector.set(Arc::new(control.clone())),
        }
        done();
        control.start(loaded, done).await?;
        tracing::info!("Everything is ready. Begin running and processing data.");
        control.settle();
        let stopped = until_stopped(&control, &engine, &mut signals, shutdown_timeout, watch_config).await;
        if let Some(child) = child {
            child.stop().await;
        }
        control.stop_telemetry().await;
        stopped
    });
    drop(core_threads);
    drop(control);
    logs.flush(LOG_PATIENCE);
    match outcome? {
        Ended::Stopped => Ok(()),
        Ended::Again => Err(again()),
    }
}

/// How the collector ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Stopped,
    /// It is to begin again.
    Again,
}

/// Begins again in the same process, so that whoever watches over it sees no end. Returns only where that fails.
fn again() -> anyhow::Error {
    use std::os::unix::process::CommandExt as _;
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return anyhow::Error::new(error).context("cannot find this program to begin again"),
    };
    let error = std::process::Command::new(program).args(std::env::args_os().skip(1)).exec();
    anyhow::Error::new(error).context("cannot begin again")
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

/// Runs until a signal says stop, changing the configuration meanwhile.
///
/// # Errors
/// Where a second signal cut the shutdown off.
async fn until_stopped(
    control: &Control,
    engine: &Engine,
    signals: &mut Signals,
    shutdown_timeout: Duration,
    watch_config: Option<(Duration, files::Fingerprint)>,
) -> anyhow::Result<Ended> {
    let watch =
        watch_config.map(|(interval, as_read)| tokio::spawn(control.clone().watch_files(interval, as_read)));
    let name = loop {
        tokio::select! {
            _ = signals.hangup.recv() => control.reload().await,
            _ = signals.terminate.recv() => break "SIGTERM",
            _ = signals.interrupt.recv() => break "SIGINT",
            () = control.until_restart() => break "restart",
            () = control.until_end() => break "end",
        }
    };
    if let Some(watch) = watch {
        watch.abort();
    }
    tracing::info!(signal = name, "Starting shutdown...");
    let deadline = Instant::now() + shutdown_timeout;
    let stopped = async {
        let lost = engine.shutdown(deadline).await;
        // Last, so that what the end cost is still seen.
        control.stop_metrics(deadline).await;
        lost
    };
    tokio::select! {
        lost = stopped => {
            if lost.items > 0 {
                tracing::warn!(lost_items = lost.items, lost_requests = lost.requests, "Shutdown complete, with loss.");
            } else {
                tracing::info!("Shutdown complete.");
            }
            Ok(if name == "restart" { Ended::Again } else { Ended::Stopped })
        }
        name = signals.stop() => {
            tracing::warn!(signal = name, "stopped at once by a second signal; what was held is lost");
            anyhow::bail!("stopped by a second signal before the shutdown was complete")
        }
    }
}
