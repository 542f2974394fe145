use std::any::Any;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use phoenix_component::exporter_counts::ExporterCounts;
use phoenix_component::{Batch, BoxFuture, Exporter, Host, Lost, Refusal, StartError};
use phoenix_pdata::Signal;
use phoenix_telemetry::Metrics;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::output::{self, Target};
use crate::sampler::Sampler;
use crate::{DebugConfig, Verbosity};

/// Writes what it is sent as text, and answers once it is written.
///
/// Formatting and writing may take long and block, so they run on a thread for blocking work, one request
/// at a time; the others wait in their senders' tasks, where their bytes are charged already.
pub struct Debug {
    id: String,
    verbosity: Verbosity,
    /// None for the collector's own log.
    paths: Option<Vec<String>>,
    targets: OnceLock<Arc<[Target]>>,
    control: Handle,
    turn: Arc<Semaphore>,
    sampler: Mutex<Sampler>,
    epoch: Instant,
    metrics: ExporterCounts,
}

impl Debug {
    /// The exporter of one signal; `control` is the runtime on whose blocking threads it writes.
    pub fn new(config: &DebugConfig, id: &str, signal: Signal, metrics: &Metrics, control: &Handle) -> Debug {
        let stdout = || vec!["stdout".to_owned()];
        Debug {
            id: id.to_owned(),
            verbosity: config.effective_verbosity(),
            paths: (!config.use_internal_logger).then(|| config.output_paths.clone().unwrap_or_else(stdout)),
            targets: OnceLock::new(),
            control: control.clone(),
            turn: Arc::new(Semaphore::new(1)),
            sampler: Mutex::new(Sampler::new(config.sampling_initial, config.sampling_thereafter)),
            epoch: Instant::now(),
            metrics: ExporterCounts::new(metrics, id, signal),
        }
    }

    fn takes(&self) -> bool {
        let now = self.epoch.elapsed();
        self.sampler.lock().unwrap_or_else(PoisonError::into_inner).takes(now)
    }

    async fn write(&self, batch: Batch) -> Result<(), Refusal> {
        let items = batch.items;
        if !self.takes() {
            self.metrics.sent.add(items);
            return Ok(());
        }
        let stopped = || Refusal::retryable("shutdown", "the collector stops");
        // The turn goes along: a sender that gives up meanwhile does not let the next one write between.
        let turn = self.turn.clone().acquire_owned().await.map_err(|_| stopped())?;
        let (id, verbosity, targets) = (self.id.clone(), self.verbosity, self.targets.get().cloned());
        let written = self.control.spawn_blocking(move || {
            let _turn = turn;
            match targets {
                Some(targets) => output::write(&targets, verbosity, batch.signal, &batch.payload),
                None => {
                    output::log(&id, verbosity, batch.signal, &batch.payload);
                    Ok(())
                }
            }
        });
        match written.await {
            Ok(Ok(())) => self.metrics.sent.add(items),
            Ok(Err(error)) => {
                // Whoever looks on must not hurt: the data has gone its way to the other exporters.
                self.metrics.failed(items);
                tracing::warn!(exporter = self.id, items, %error, "debug output cannot be written");
            }
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Err(stopped()),
        }
        Ok(())
    }
}

impl Exporter for Debug {
    fn start<'a>(&'a self, _host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async {
            let Some(paths) = &self.paths else { return Ok(()) };
            let targets = paths.iter().map(|path| Target::open(path)).collect::<Result<Arc<[_]>, _>>()?;
            self.targets.get_or_init(|| targets);
            Ok(())
        })
    }

    fn export(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(self.write(batch))
    }

    fn drain(&self, deadline: tokio::time::Instant) -> BoxFuture<'_, Lost> {
        Box::pin(async move {
            // Nothing is held: what is being written belongs to senders that still wait.
            let _ = tokio::time::timeout_at(deadline, self.turn.acquire()).await;
            Lost::default()
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
