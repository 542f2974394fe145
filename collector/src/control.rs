//! The running collector as extensions, signals and the watch of files see it: one way to plan and to change.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use phoenix_component::{
    ApplyAnswer, ApplyConditions, BoxFuture, ChangeError, Changes, Collector, ComponentBook, ComponentStatus,
    ConfigRequest, DrainState, EffectiveConfig, FeatureGate, LogLevel, LogLevelState, PipelineStatus,
    PlanAnswer, Status, TelemetryDestinations, files,
};
use phoenix_config::{Kind, Secrets};
use phoenix_engine::{Applied, ApplyError, Engine};
use phoenix_telemetry::logs;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::cli::Sources;
use crate::load::{self, Loaded};
use crate::own_metrics::OwnMetrics;
use crate::service_telemetry::{OwnTelemetry, ServiceTelemetry};
use crate::{gates, watch};

/// How long a change waits for another one.
const TURN: Duration = Duration::from_secs(60);
/// After a change, until what it needed of the program is given back.
const SETTLE: Duration = Duration::from_millis(100);

/// The running collector. Clones share it.
#[derive(Clone)]
pub(crate) struct Control(Arc<Inner>);

struct Inner {
    engine: Engine,
    sources: Sources,
    telemetry: OwnTelemetry,
    started: SystemTime,
    running: Mutex<RunningConfig>,
    /// Counts what was put there.
    config_changes: tokio::sync::watch::Sender<u64>,
    /// Where own telemetry goes besides.
    destinations: Mutex<TelemetryDestinations>,
    /// Held while a configuration is applied and noted.
    turn: tokio::sync::Mutex<OwnMetrics>,
    hasher: std::hash::RandomState,
    /// Somebody wants the process to begin again.
    restart: Notify,
    end: Notify,
}

/// What is kept of the configuration that runs.
#[derive(Default)]
struct RunningConfig {
    effective: EffectiveConfig,
    telemetry: ServiceTelemetry,
    /// The files that it was read from.
    files: Vec<std::path::PathBuf>,
}

impl Control {
    pub(crate) fn new(
        engine: Engine,
        sources: Sources,
        telemetry: OwnTelemetry,
        own_metrics: OwnMetrics,
    ) -> Control {
        Control(Arc::new(Inner {
            engine,
            sources,
            telemetry,
            started: SystemTime::now(),
            running: Mutex::default(),
            config_changes: tokio::sync::watch::Sender::new(0),
            destinations: Mutex::default(),
            turn: tokio::sync::Mutex::new(own_metrics),
            hasher: std::hash::RandomState::new(),
            restart: Notify::new(),
            end: Notify::new(),
        }))
    }

    fn running(&self) -> MutexGuard<'_, RunningConfig> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files that the configuration was read from, for who watches them.
    pub(crate) fn files(&self) -> Vec<std::path::PathBuf> {
        self.running().files.clone()
    }

    /// Applies the configuration that the process was started with.
    /// `between` is called after each step.
    pub(crate) async fn start(&self, loaded: Loaded, between: impl Fn()) -> anyhow::Result<()> {
        let mut own_metrics = self.0.turn.lock().await;
        let readers = own_metrics.prepare(&loaded.telemetry)?;
        between();
        self.0.engine.apply(&loaded.plan).await?;
        between();
        own_metrics.commit(readers);
        self.note(&loaded, true);
        Ok(())
    }

    /// Reads the sources again and applies what changed. A mistake changes nothing.
    pub(crate) async fn reload(&self) {
        tracing::info!("reading the configuration again");
        // Whatever becomes of the rest: they are files as well, and what is of no use there stays as it was.
        phoenix_transport::tls::look_again();
        match self.change(ConfigRequest::default(), ApplyConditions::default()).await {
            Ok(_) => {}
            Err(ChangeError::Invalid(report)) => tracing::error!(
                "the new configuration has mistakes; the running one goes on unchanged\n{report}"
            ),
            Err(error) => {
                tracing::error!(error = %error, "the new configuration was not applied; the running one goes on unchanged");
            }
        }
    }

    /// Waits until somebody wants the process to begin again.
    pub(crate) async fn until_restart(&self) {
        self.0.restart.notified().await;
    }

    /// Waits until a component wants the process to end.
    pub(crate) async fn until_end(&self) {
        self.0.end.notified().await;
    }

    /// Ends the serving and sending of own metrics, after a last report.
    pub(crate) async fn stop_metrics(&self, deadline: Instant) {
        self.0.turn.lock().await.shutdown(deadline).await;
    }

    /// Sends what own telemetry holds, at the very end.
    pub(crate) async fn stop_telemetry(&self) {
        self.0.telemetry.stop().await;
    }

    async fn load(&self, request: &ConfigRequest) -> Result<Loaded, ChangeError> {
        let sources = match request.is_reload() {
            true => load::Request::of(&self.0.sources),
            false => load::Request::asked(request.clone(), &self.0.sources),
        };
        let registry = self.0.engine.registry().clone();
        // Reading may block: files, and URLs.
        let loaded = tokio::task::spawn_blocking(move || load::load(&sources, &registry)).await;
        match loaded {
            Ok(loaded) => loaded.map_err(|bad| ChangeError::Invalid(bad.to_string())),
            Err(panic) => Err(ChangeError::Invalid(format!("the configuration could not be read: {panic}"))),
        }
    }

    fn hash(&self, loaded: &Loaded) -> Arc<str> {
        use std::hash::BuildHasher as _;
        let all = phoenix_config::to_yaml(&loaded.root, loaded.problems.readings(), Secrets::Shown);
        format!("{:016x}", self.0.hasher.hash_one(all)).into()
    }

    fn answer(&self, loaded: &Loaded, mut changes: Changes) -> PlanAnswer {
        let running = self.running();
        changes.telemetry_changed = running.telemetry != loaded.telemetry;
        PlanAnswer {
            loses_state: !changes.losses().is_empty(),
            changes,
            warnings: load::warnings(&loaded.problems),
            running: running.effective.hash.to_string(),
            proposed: self.hash(loaded).to_string(),
        }
    }

    /// Gives back the memory of the code that a change runs through, a moment after it: most of what is
    /// resident in a collector at rest.
    pub(crate) fn settle(&self) {
        tokio::spawn(async {
            tokio::time::sleep(SETTLE).await;
            match phoenix_residency::give_back() {
                Ok(given) => {
                    tracing::debug!(bytes = given.bytes as u64, "gave back clean pages of the program")
                }
                Err(error) => tracing::debug!(%error, "clean pages of the program stay resident"),
            }
        });
    }

    /// Remembers what runs now.
    fn note(&self, loaded: &Loaded, from_sources: bool) {
        let readings = loaded.problems.readings();
        let effective = EffectiveConfig {
            yaml: phoenix_config::to_yaml(&loaded.root, readings, Secrets::Hidden).into(),
            json: phoenix_config::to_json(&loaded.root, readings, Secrets::Hidden).into(),
            hash: self.hash(loaded),
            from_sources,
            since: Some(SystemTime::now()),
        };
        let mut running = self.running();
        running.effective = effective;
        running.telemetry = loaded.telemetry.clone();
        if from_sources {
            running.files = loaded.files.clone();
        }
        drop(running);
        self.0.config_changes.send_modify(|count| *count += 1);
    }

    /// Settings with what is wanted besides. A configuration that forbids that counts more.
    fn with_destinations(&self, telemetry: &ServiceTelemetry) -> ServiceTelemetry {
        let wanted = self.0.destinations.lock().unwrap_or_else(PoisonError::into_inner).clone();
        telemetry.with(&wanted).unwrap_or_else(|why| {
            tracing::warn!(why, "own telemetry is not sent where a server wants it any more");
            telemetry.clone()
        })
    }

    async fn send_elsewhere(&self, to: TelemetryDestinations) -> Result<(), String> {
        let mut own_metrics = self.0.turn.lock().await;
        let telemetry = self.running().telemetry.with(&to)?;
        let readers = own_metrics.prepare(&telemetry).map_err(|error| format!("{error:#}"))?;
        self.0.telemetry.apply(&telemetry, self.0.engine.host()).map_err(|error| error.to_string())?;
        own_metrics.commit(readers);
        *self.0.destinations.lock().unwrap_or_else(PoisonError::into_inner) = to;
        Ok(())
    }

    /// The one way to another configuration.
    async fn change(
        &self,
        request: ConfigRequest,
        conditions: ApplyConditions,
    ) -> Result<(PlanAnswer, Applied), ChangeError> {
        let loaded = self.load(&request).await;
        let Ok(mut own_metrics) = tokio::time::timeout(TURN, self.0.turn.lock()).await else {
            return Err(ChangeError::Busy(ApplyError::Overtaken.to_string()));
        };
        let loaded = loaded.inspect_err(|_| own_metrics.count_bad_configuration())?;
        load::log_warnings(&loaded.problems);
        let running = self.running().effective.hash.to_string();
        if conditions.if_running.is_some_and(|expected| expected != running) {
            return Err(ChangeError::Moved { running });
        }
        let telemetry = self.with_destinations(&loaded.telemetry);
        let readers =
            own_metrics.prepare(&telemetry).map_err(|error| ChangeError::Build(format!("{error:#}")))?;
        let forbids = conditions.fail_on_state_loss;
        let allows = |changes: &Changes| !forbids || changes.losses().is_empty();
        let applied = match self.0.engine.apply_if(&loaded.plan, allows).await {
            Ok(applied) => applied,
            Err(ApplyError::Forbidden(changes)) => {
                return Err(ChangeError::StateLoss(Box::new(self.answer(&loaded, *changes))));
            }
            Err(error @ ApplyError::Build(_)) => return Err(ChangeError::Build(error.to_string())),
            Err(error @ (ApplyError::Busy | ApplyError::Overtaken)) => {
                return Err(ChangeError::Busy(error.to_string()));
            }
            Err(error @ ApplyError::Stopping) => return Err(ChangeError::Unavailable(error.to_string())),
        };
        let answer = self.answer(&loaded, applied.changes.clone());
        own_metrics.commit(readers);
        let host = self.0.engine.host();
        if let Err(error) = self.0.telemetry.apply(&telemetry, host) {
            tracing::error!(%error, "the settings of own telemetry were not applied; the former ones go on");
        }
        self.note(&loaded, request.is_reload());
        self.settle();
        applied.report.log();
        log_meaning(&answer.changes);
        Ok((answer, applied))
    }

    async fn apply_and_wait(
        &self,
        request: ConfigRequest,
        conditions: ApplyConditions,
        wait: Duration,
    ) -> Result<ApplyAnswer, ChangeError> {
        let (plan, mut applied) = self.change(request, conditions).await?;
        let drain = match applied.draining.done_within(wait).await {
            Some(report) => DrainState::Done(report),
            None => DrainState::UnderWay,
        };
        let report = self.0.engine.host().health.report();
        let unhealthy = report.into_iter().filter(|(_, since)| since.status != Status::Ok);
        let unhealthy =
            unhealthy.map(|(key, since)| ComponentStatus::new(key, &since.status, since.since)).collect();
        Ok(ApplyAnswer { plan, drain, unhealthy })
    }

    /// Watches the files of the configuration until the process ends, and reloads when they have changed. `as_read` is
    /// what they looked like when the process read them: what changed during its start is a change, too.
    pub(crate) async fn watch_files(self, interval: Duration, as_read: files::Fingerprint) {
        let begun = Instant::now();
        let mut watch = watch::FileWatch::new(as_read);
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let files = self.files();
            let looked = tokio::task::spawn_blocking(move || files::fingerprint(&files)).await;
            let Ok(seen) = looked else { continue };
            if watch.observe(begun.elapsed(), seen, interval) {
                tracing::info!("a file of the configuration has changed");
                self.reload().await;
                // Other files may belong to it now.
                let files = self.files();
                if let Ok(seen) = tokio::task::spawn_blocking(move || files::fingerprint(&files)).await {
                    watch.settle(seen);
                }
            }
        }
    }
}

/// Says in the log what a change means for state and connections, where it means something.
fn log_meaning(changes: &Changes) {
    for (component, closing) in changes.closings() {
        tracing::info!(component = %component, listener = closing.listener, why = closing.why, "connections close");
    }
    for (component, what) in changes.losses() {
        tracing::warn!(component = %component, what, "state is lost by this change, or likely to be");
    }
}

fn own_level(level: LogLevel) -> logs::LogLevel {
    match level {
        LogLevel::Debug => logs::LogLevel::Debug,
        LogLevel::Info => logs::LogLevel::Info,
        LogLevel::Warn => logs::LogLevel::Warn,
        LogLevel::Error => logs::LogLevel::Error,
    }
}

pub(crate) fn level_state(state: logs::LevelState) -> LogLevelState {
    let level = |level: logs::LogLevel| match level {
        logs::LogLevel::Debug => LogLevel::Debug,
        logs::LogLevel::Info => LogLevel::Info,
        logs::LogLevel::Warn => LogLevel::Warn,
        // otelcol's levels above are those of failures that end the process.
        _ => LogLevel::Error,
    };
    LogLevelState {
        level: level(state.effective),
        configured: level(state.configured),
        reverts_in_seconds: state.remaining.map(|left| left.as_secs_f64().ceil() as u64),
    }
}

/// Sets the level for a time, or back.
pub(crate) fn set_level(logs: &logs::LogHandle, level: Option<(LogLevel, Duration)>) -> LogLevelState {
    match level {
        Some((level, time)) => {
            logs.set_level(own_level(level), std::time::Instant::now().checked_add(time));
            tracing::info!(level = level.name(), seconds = time.as_secs(), "log level set for a time");
        }
        None => {
            logs.reset_level();
            tracing::info!("the log level is as configured again");
        }
    }
    level_state(logs.level())
}

impl Collector for Control {
    fn rest(&self) {
        self.settle();
    }

    fn send_telemetry(&self, to: TelemetryDestinations) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(self.send_elsewhere(to))
    }

    fn started(&self) -> SystemTime {
        self.0.started
    }

    fn pipelines(&self) -> Vec<PipelineStatus> {
        self.0.engine.pipelines().0
    }

    fn effective_config(&self) -> EffectiveConfig {
        self.running().effective.clone()
    }

    fn config_changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.0.config_changes.subscribe()
    }

    fn books(&self) -> BoxFuture<'_, Vec<ComponentBook>> {
        Box::pin(async move {
            let book = |book: phoenix_engine::Book| ComponentBook {
                imbalance: book.imbalance(),
                component: book.component,
                accepted: book.accepted,
                produced: book.produced,
                passed_on: book.passed_on,
                dropped: book.dropped,
                absorbed: book.absorbed,
                held: book.held,
            };
            self.0.engine.books().await.into_iter().map(book).collect()
        })
    }

    fn feature_gates(&self) -> Vec<FeatureGate> {
        gates::all(&self.0.sources.feature_gates)
    }

    fn components(&self) -> Vec<(Kind, Vec<&'static str>)> {
        let registry = self.0.engine.registry();
        let names = |kind| registry.descriptors(kind).into_iter().map(|descriptor| descriptor.name).collect();
        Kind::ALL.into_iter().map(|kind| (kind, names(kind))).collect()
    }

    fn plan(&self, request: ConfigRequest) -> BoxFuture<'_, Result<PlanAnswer, ChangeError>> {
        Box::pin(async move {
            let loaded = self.load(&request).await?;
            let changes = self.0.engine.preview(&loaded.plan);
            Ok(self.answer(&loaded, changes))
        })
    }

    fn apply(
        &self,
        request: ConfigRequest,
        conditions: ApplyConditions,
        wait: Duration,
    ) -> BoxFuture<'_, Result<ApplyAnswer, ChangeError>> {
        // A task of its own: a client that goes away does not stop a change halfway.
        let control = self.clone();
        Box::pin(async move {
            let change = tokio::spawn(async move { control.apply_and_wait(request, conditions, wait).await });
            change
                .await
                .unwrap_or_else(|panic| Err(ChangeError::Build(format!("the change failed: {panic}"))))
        })
    }

    fn restart(&self, after: Duration) -> Result<(), String> {
        let control = self.clone();
        self.0.engine.host().control.spawn(async move {
            tokio::time::sleep(after).await;
            control.0.restart.notify_one();
        });
        Ok(())
    }

    fn end(&self) -> Result<(), String> {
        self.0.end.notify_one();
        Ok(())
    }

    fn log_level(&self) -> LogLevelState {
        level_state(self.0.engine.host().logs.level())
    }

    fn set_log_level(&self, level: Option<(LogLevel, Duration)>) -> LogLevelState {
        set_level(&self.0.engine.host().logs, level)
    }
}
