use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use phoenix_component::factory::CreateContext;
use phoenix_component::{Batch, BoxFuture, Budget, Host, Lost, Outlet, Outlets, Receiver, StartError};
use phoenix_pdata::{Payload, Signal};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::HostMetricsConfig;
use crate::host::Paths;
use crate::metrics::HostMetricsMetrics;
use crate::round::{Moment, Round, Scraped};
use crate::scrapers::{Constants, space};

/// Reads metrics of the host.
pub struct HostMetrics {
    stop: CancellationToken,
    ended: CancellationToken,
    task: Mutex<Option<Task>>,
}

/// What the task of a receiver has.
struct Task {
    id: Arc<str>,
    round: Round,
    outlet: Outlet,
    budget: Budget,
    metrics: HostMetricsMetrics,
    interval: Duration,
    delay: Duration,
    timeout: Duration,
    stop: CancellationToken,
}

impl HostMetrics {
    /// A receiver that does not read yet.
    ///
    /// # Errors
    /// Where an expression is none; the settings were validated before.
    pub fn new(
        config: &HostMetricsConfig,
        cx: &CreateContext<'_>,
        outlets: Outlets,
    ) -> Result<HostMetrics, StartError> {
        let id: Arc<str> = cx.id.to_string().into();
        let paths = Paths::new(&config.root_path, |name| std::env::var(name).ok());
        let constants = Constants {
            ticks_per_second: rustix::param::clock_ticks_per_second().max(1),
            page_size: rustix::param::page_size() as u64,
        };
        let round =
            Round::new(config, paths, constants, cx.host.build.version).map_err(StartError::because)?;
        let stop = CancellationToken::new();
        let metrics = HostMetricsMetrics::new(&cx.host.metrics, &id, &round.names());
        let task = Task {
            id,
            round,
            outlet: outlets.of(Signal::Metrics).clone(),
            budget: cx.host.budget.clone(),
            metrics,
            interval: config.collection_interval.as_duration(),
            delay: config.initial_delay.as_duration(),
            timeout: config.timeout.as_duration(),
            stop: stop.clone(),
        };
        Ok(HostMetrics { stop, ended: CancellationToken::new(), task: Mutex::new(Some(task)) })
    }

    fn task(&self) -> MutexGuard<'_, Option<Task>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Task {
    /// Looks at the host at every interval, the first time after the delay.
    async fn run(mut self) {
        let mut ticks = tokio::time::interval_at(Instant::now() + self.delay, self.interval);
        // A slow look makes the next one late, never two at once.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let Some((task, scraped)) = self.look().await else { return };
            self = task;
            self.send(scraped).await;
        }
    }

    /// Files are read beside the runtime of the data: a filesystem that hangs holds up nobody else. None where the
    /// runtime ends.
    async fn look(mut self) -> Option<(Task, Scraped)> {
        let look = move || {
            let begin = Instant::now();
            let timeout = self.timeout;
            let is_late = move || !timeout.is_zero() && begin.elapsed() > timeout;
            let moment = Moment { now: SystemTime::now(), is_late: &is_late, space: &space };
            let scraped = self.round.scrape(&self.id, &moment);
            (self, scraped)
        };
        tokio::task::spawn_blocking(look).await.ok()
    }

    /// What the pipelines refuse is counted and gone: the next look tells the same and more.
    async fn send(&self, scraped: Scraped) {
        for ((read, failed), (reads, failures)) in self.metrics.scrapers.iter().zip(&scraped.scrapers) {
            read.add(*reads);
            failed.add(*failures);
        }
        if scraped.points == 0 {
            return;
        }
        let Some(charge) = self.budget.try_charge(scraped.bytes.capacity()) else {
            self.metrics.refused.add(scraped.points);
            tracing::warn!(receiver = &*self.id, points = scraped.points, "no memory for what was scraped");
            return;
        };
        let payload = Payload::from(charge.attach(scraped.bytes));
        let outcome = tokio::select! {
            outcome = self.outlet.send(Batch::new(Signal::Metrics, payload, scraped.points)) => outcome,
            () = self.stop.cancelled() => return self.metrics.refused.add(scraped.points),
        };
        match outcome {
            Ok(()) => self.metrics.accepted.add(scraped.points),
            Err(refusal) => {
                self.metrics.refused.add(scraped.points);
                tracing::warn!(receiver = &*self.id, points = scraped.points, error = %refusal, "the pipelines refuse what was scraped");
            }
        }
    }
}

impl Receiver for HostMetrics {
    fn bind<'a>(&'a self, _host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        // What cannot be read is told at every scrape.
        Box::pin(async { Ok(()) })
    }

    fn serve(&self, host: &Host) {
        let Some(task) = self.task().take() else { return };
        let ended = self.ended.clone().drop_guard();
        let core = host.cores.least_connections();
        core.spawn(async move {
            let _until_the_end = ended;
            task.run().await;
        });
    }

    fn stop(&self, deadline: Instant) -> BoxFuture<'_, Lost> {
        Box::pin(async move {
            self.stop.cancel();
            if self.task().is_none() {
                // A filesystem that hangs is left behind.
                let _ = tokio::time::timeout_at(deadline, self.ended.cancelled()).await;
            }
            Lost::default()
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
