//! An unmodified collector as a child: its configuration comes over OpAMP, by the same extension as an agent's own.
//!
//! The extension asks a [`Collector`] to apply, and this one writes files and starts a process. So enrolment, last known
//! good, grace and the way back are the agent's. The remote texts are written to files of their own, and the child merges
//! them itself, under the files that are named here; only `${agent:…}` is replaced before.

mod process;
mod template;

use std::ffi::OsString;
use std::hash::BuildHasher as _;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use phoenix_component::{
    ApplyAnswer, ApplyConditions, BoxFuture, ChangeError, Changes, Collector, ComponentBook, ComponentKey,
    ComponentStatus, ConfigRequest, ConfigSource, DrainReport, DrainState, EffectiveConfig, FeatureGate,
    Host, LogLevel, LogLevelState, OutsideSigns, PipelineStatus, PlanAnswer, Status,
};
use phoenix_config::{ComponentId, Kind};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::agent;
use crate::cli::{Child, Sources, Supervise};
use crate::control;
use process::Process;

pub(crate) const HELP: &str = "Example:
  PHOENIX_ENROLMENT_TOKEN=phx_enr_… phoenix-collector supervise --server=wss://control.example.com:4320 \\
      --health-url=http://localhost:13133 --config=base.yaml -- otelcol --feature-gates=…

What stands after -- is started with --config for each file; --config and --set are the child's, over what the server sends.";

/// Between starts of a child that ends: doubled from the first to the last, each a random part of it.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LAST_DELAY: Duration = Duration::from_secs(60);
/// A child that ran so long begins with the first delay again.
const STEADY: Duration = Duration::from_secs(60);
/// How often the health of the child is looked at, and how long an answer may take.
const LOOK: Duration = Duration::from_secs(1);
const PROBE: Duration = Duration::from_secs(2);
/// How often its metrics are read, and how many bytes of them at most.
const SCRAPE: Duration = Duration::from_secs(5);
const MAX_METRICS: u64 = 8 << 20;
/// How long the child may take to check a configuration.
const CHECK: Duration = Duration::from_secs(60);

/// The sources of the supervisor itself, and what it supervises.
pub(crate) fn prepare(sources: Sources, asked: Supervise) -> anyhow::Result<(Sources, Plan)> {
    anyhow::ensure!(sources.feature_gates.is_empty(), "--feature-gates of the child go after --");
    let folder = asked.agent.storage.join("child");
    let plan = Plan {
        folder: std::path::absolute(&folder).with_context(|| folder.display().to_string())?,
        config: sources.config.clone(),
        set: sources.set.clone(),
        child: asked.child,
    };
    let bare = Sources { config: Vec::new(), set: Vec::new(), ..sources };
    let mut own = agent::sources(bare, &asked.agent)?;
    // The port of own metrics is the child's.
    own.config.push("yaml:service::telemetry::metrics::level: none".to_owned());
    Ok((own, plan))
}

/// What is supervised.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Where its files are written.
    folder: PathBuf,
    config: Vec<String>,
    set: Vec<String>,
    child: Child,
}

/// The child as a collector. Clones share it.
#[derive(Clone)]
pub(crate) struct Supervised(Arc<Inner>);

struct Inner {
    plan: Plan,
    host: Host,
    started: SystemTime,
    running: Mutex<Running>,
    /// Counts what was put there.
    config_changes: watch::Sender<u64>,
    /// What the child that runs shows of itself.
    signs: Mutex<Option<OutsideSigns>>,
    /// How often a child was started.
    lives: AtomicU64,
    /// Held by who changes what runs.
    turn: tokio::sync::Mutex<Option<Kept>>,
    hasher: std::hash::RandomState,
}

#[derive(Default)]
struct Running {
    effective: EffectiveConfig,
    generation: u64,
}

/// A child that is started again and again until it is told to stop.
struct Kept {
    generation: u64,
    arguments: Vec<OsString>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// One configuration, written and not yet run.
struct Written {
    generation: u64,
    arguments: Vec<OsString>,
    /// What is told of it.
    yaml: String,
}

/// Nothing is shown of a child that has ended.
struct Signs<'a>(&'a Mutex<Option<OutsideSigns>>);

impl Drop for Signs<'_> {
    fn drop(&mut self) {
        lock(self.0).take();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a URL answers, up to so many bytes of it; why it does not within a moment.
async fn ask(url: String, bytes: u64) -> Result<String, String> {
    let asked = tokio::task::spawn_blocking(move || {
        let config = ureq::config::Config::builder().timeout_global(Some(PROBE)).build();
        let mut answer = ureq::Agent::new_with_config(config).get(&url).call()?;
        match bytes {
            0 => Ok(String::new()),
            bytes => answer.body_mut().with_config().limit(bytes).read_to_string(),
        }
    });
    match asked.await {
        Ok(answer) => answer.map_err(|error: ureq::Error| error.to_string()),
        Err(panic) => Err(panic.to_string()),
    }
}

fn key(generation: u64) -> Option<ComponentKey> {
    let id = ComponentId::parse(&format!("collector/{generation}")).ok()?;
    Some(ComponentKey { kind: Kind::Extension, id, scope: String::new() })
}

impl Supervised {
    pub(crate) fn new(plan: Plan, host: &Host) -> Supervised {
        Supervised(Arc::new(Inner {
            plan,
            host: host.clone(),
            started: SystemTime::now(),
            running: Mutex::default(),
            config_changes: watch::Sender::new(0),
            signs: Mutex::default(),
            lives: AtomicU64::new(0),
            turn: tokio::sync::Mutex::new(None),
            hasher: std::hash::RandomState::new(),
        }))
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        lock(&self.0.running)
    }

    /// Starts the child where it has files of its own; else it waits for the server.
    pub(crate) async fn start(&self) -> anyhow::Result<()> {
        match std::fs::remove_dir_all(&self.0.plan.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| self.0.plan.folder.display().to_string());
            }
            _ => {}
        }
        if self.0.plan.config.is_empty() {
            tracing::info!("nothing to run yet; the server is asked");
            self.note(0, String::new(), true);
            return Ok(());
        }
        let begun = self.change(ConfigRequest::default()).await;
        begun.map(|_| ()).map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// Stops the child.
    pub(crate) async fn stop(&self) {
        if let Some(kept) = self.0.turn.lock().await.take() {
            end(kept).await;
        }
    }

    fn note(&self, generation: u64, yaml: String, from_sources: bool) {
        let program = self.0.plan.child.command.first();
        let name = program
            .map(|path| PathBuf::from(path).file_name().unwrap_or(path).to_string_lossy().into_owned());
        let json = serde_json::json!({"service": {"telemetry": {"resource": {"service.name": name}}}});
        let hash = format!("{:016x}", self.0.hasher.hash_one((&yaml, from_sources)));
        let effective = EffectiveConfig {
            yaml: yaml.into(),
            json: json.to_string().into(),
            hash: hash.into(),
            from_sources,
            since: Some(SystemTime::now()),
        };
        *self.running() = Running { effective, generation };
        self.0.config_changes.send_modify(|count| *count += 1);
    }

    /// Writes the files of a configuration beside those that run.
    fn write(&self, request: &ConfigRequest, generation: u64) -> Result<Written, ChangeError> {
        let plan = &self.0.plan;
        let folder = plan.folder.join(generation.to_string());
        let unusable = |error: std::io::Error| {
            ChangeError::Build(format!("cannot write to {}: {error}", folder.display()))
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(unusable)?;
        let (mut arguments, mut told) = (Vec::new(), Vec::new());
        let own = [ConfigSource::Own];
        let sources = if request.sources.is_empty() { &own[..] } else { &request.sources };
        for (place, source) in sources.iter().enumerate() {
            match source {
                ConfigSource::Text { name, text } => {
                    let filled = template::fill(text)
                        .map_err(|error| ChangeError::Invalid(format!("{name}: {error}")))?;
                    let path = folder.join(format!("{place}.yaml"));
                    let opened = std::fs::OpenOptions::new()
                        .write(true)
                        .create(true)
                        .truncate(true)
                        .mode(0o600)
                        .open(&path);
                    opened.and_then(|mut file| file.write_all(filled.as_bytes())).map_err(unusable)?;
                    arguments.push(argument("--config=", path.as_os_str()));
                    told.push(filled);
                }
                ConfigSource::Uri(uri) => arguments.push(argument("--config=", uri.as_ref())),
                ConfigSource::Own => {
                    arguments.extend(plan.config.iter().map(|uri| argument("--config=", uri.as_ref())));
                    told.extend(plan.config.iter().map(|uri| {
                        format!(
                            "# and over it {}\n",
                            uri.split_once(':')
                                .filter(|(scheme, _)| *scheme != "file")
                                .map_or(uri.as_str(), |(scheme, _)| scheme)
                        )
                    }));
                }
            }
        }
        let set = plan.set.iter().chain(&request.set);
        arguments.extend(set.map(|set| argument("--set=", set.as_ref())));
        Ok(Written { generation, arguments, yaml: told.join("") })
    }

    fn command(&self, subcommand: Option<&str>, arguments: &[OsString]) -> Command {
        let (program, own) = match self.0.plan.child.command.split_first() {
            Some((program, own)) => (program.clone(), own),
            None => (OsString::new(), &[][..]),
        };
        let mut command = Command::new(program);
        // The token is the supervisor's affair.
        command.args(subcommand).args(own).args(arguments).env_remove(agent::TOKEN);
        command
    }

    /// Has the child's own program look at a configuration before anything is stopped.
    async fn check(&self, written: &Written) -> Result<(), ChangeError> {
        if self.0.plan.child.no_validate {
            return Ok(());
        }
        let started = Process::start(&mut self.command(Some("validate"), &written.arguments));
        let mut process =
            started.map_err(|error| ChangeError::Build(format!("the child cannot be started: {error}")))?;
        match timeout(CHECK, process.ended()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(_)) => Err(ChangeError::Invalid(process.last_words().await)),
            Ok(Err(error)) => Err(ChangeError::Build(error.to_string())),
            Err(_) => Err(ChangeError::Build(format!("the check of the configuration took over {CHECK:?}"))),
        }
    }

    fn keep(&self, generation: u64, arguments: Vec<OsString>) -> Kept {
        let stop = CancellationToken::new();
        let (child, token, with) = (self.clone(), stop.clone(), arguments.clone());
        let task = tokio::spawn(async move { child.run(generation, &with, &token).await });
        Kept { generation, arguments, stop, task }
    }

    /// Starts the child again whenever it ends.
    async fn run(&self, generation: u64, arguments: &[OsString], stop: &CancellationToken) {
        let mut ceiling = FIRST_DELAY;
        while !stop.is_cancelled() {
            self.tell(generation, Status::Starting);
            let begun = Instant::now();
            let why = self.live(generation, arguments, stop).await;
            if stop.is_cancelled() {
                return;
            }
            if begun.elapsed() >= STEADY {
                ceiling = FIRST_DELAY;
            }
            tracing::error!(why, "the supervised collector ended and is started again");
            self.tell(generation, Status::Recoverable(why));
            tokio::select! {
                () = sleep(ceiling.mul_f64(rand::random_range(0.5..1.0))) => {}
                () = stop.cancelled() => {}
            }
            ceiling = (ceiling * 2).min(LAST_DELAY);
        }
    }

    fn tell(&self, generation: u64, status: Status) {
        if let Some(key) = key(generation) {
            self.0.host.health.reset(&key, status);
        }
    }

    /// One life of the child; why it ended.
    async fn live(&self, generation: u64, arguments: &[OsString], stop: &CancellationToken) -> String {
        let mut process = match Process::start(&mut self.command(None, arguments)) {
            Ok(process) => process,
            Err(error) => return format!("it cannot be started: {error}"),
        };
        let _signs = Signs(&self.0.signs);
        let mut signs = OutsideSigns {
            life: self.0.lives.fetch_add(1, Ordering::Relaxed) + 1,
            ..OutsideSigns::default()
        };
        let mut scraped_at: Option<Instant> = None;
        loop {
            tokio::select! {
                ended = process.ended() => {
                    let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                    return format!("it ended ({how}): {}", process.last_words().await);
                }
                () = stop.cancelled() => {
                    process.stop(self.0.plan.child.stop_timeout).await;
                    return String::new();
                }
                () = sleep(LOOK) => {
                    let is_due = scraped_at.is_none_or(|at| at.elapsed() >= SCRAPE);
                    let (health, metrics) = tokio::join!(self.probe(), async {
                        if is_due { Some(self.scrape().await) } else { None }
                    });
                    if let Some(metrics) = metrics {
                        (signs.metrics, scraped_at) = (metrics, Some(Instant::now()));
                    }
                    (signs.memory, signs.cpu) = (process.memory(), process.cpu());
                    *lock(&self.0.signs) = Some(signs.clone());
                    self.tell(generation, health);
                }
            }
        }
    }

    /// How the child says that it is.
    async fn probe(&self) -> Status {
        let Some(url) = self.0.plan.child.health_url.clone() else { return Status::Ok };
        match ask(url, 0).await {
            Ok(_) => Status::Ok,
            Err(error) => Status::Recoverable(format!("its health check says: {error}")),
        }
    }

    /// The metrics that it offers; none where it does not answer.
    async fn scrape(&self) -> Option<Arc<str>> {
        let asked = ask(self.0.plan.child.metrics_url.clone()?, MAX_METRICS).await;
        match asked {
            Ok(text) => Some(text.into()),
            Err(error) => {
                tracing::debug!(error, "the metrics of the supervised collector cannot be read");
                None
            }
        }
    }

    /// The one way to another configuration: write, check, stop, start.
    async fn change(&self, request: ConfigRequest) -> Result<ApplyAnswer, ChangeError> {
        let mut turn = self.0.turn.lock().await;
        if request.is_reload() && self.0.plan.config.is_empty() {
            // What fails may yet mend itself; nothing at all never does.
            return Err(ChangeError::Unavailable("there is no other configuration to run".to_owned()));
        }
        let generation = self.running().generation + 1;
        let folder = |generation: u64| self.0.plan.folder.join(generation.to_string());
        let checked = match self.write(&request, generation) {
            Ok(written) => self.check(&written).await.map(|()| written),
            Err(error) => Err(error),
        };
        let written = match checked {
            Ok(written) => written,
            Err(error) => {
                let _ = std::fs::remove_dir_all(folder(generation));
                return Err(error);
            }
        };
        if let Some(kept) = turn.take() {
            let former = kept.generation;
            end(kept).await;
            if let Some(key) = key(former) {
                self.0.host.health.forget(&key);
            }
            let _ = std::fs::remove_dir_all(folder(former));
        }
        let before = self.running().effective.hash.to_string();
        self.note(generation, written.yaml, request.is_reload());
        *turn = Some(self.keep(written.generation, written.arguments));
        let plan = PlanAnswer {
            changes: Changes::default(),
            loses_state: true,
            warnings: Vec::new(),
            running: before,
            proposed: self.running().effective.hash.to_string(),
        };
        let unhealthy: Vec<ComponentStatus> = Vec::new();
        Ok(ApplyAnswer { plan, drain: DrainState::Done(DrainReport::default()), unhealthy })
    }
}

/// Stops a child and whoever keeps it.
async fn end(kept: Kept) {
    kept.stop.cancel();
    if let Err(error) = kept.task.await {
        tracing::error!(%error, "what kept the supervised collector failed");
    }
}

fn argument(name: &str, value: &std::ffi::OsStr) -> OsString {
    let mut argument = OsString::from(name);
    argument.push(value);
    argument
}

impl Collector for Supervised {
    fn started(&self) -> SystemTime {
        self.0.started
    }

    fn pipelines(&self) -> Vec<PipelineStatus> {
        Vec::new()
    }

    fn effective_config(&self) -> EffectiveConfig {
        self.running().effective.clone()
    }

    fn config_changes(&self) -> watch::Receiver<u64> {
        self.0.config_changes.subscribe()
    }

    fn books(&self) -> BoxFuture<'_, Vec<ComponentBook>> {
        Box::pin(async { Vec::new() })
    }

    fn feature_gates(&self) -> Vec<FeatureGate> {
        Vec::new()
    }

    fn is_this_process(&self) -> bool {
        false
    }

    fn outside_signs(&self) -> Option<OutsideSigns> {
        lock(&self.0.signs).clone()
    }

    fn plan(&self, _: ConfigRequest) -> BoxFuture<'_, Result<PlanAnswer, ChangeError>> {
        Box::pin(async {
            Err(ChangeError::Unavailable("a supervised collector cannot say what a change means".to_owned()))
        })
    }

    fn apply(
        &self,
        request: ConfigRequest,
        _: ApplyConditions,
        _: Duration,
    ) -> BoxFuture<'_, Result<ApplyAnswer, ChangeError>> {
        // A task of its own: who goes away does not stop a change halfway.
        let child = self.clone();
        Box::pin(async move {
            let change = tokio::spawn(async move { child.change(request).await });
            change
                .await
                .unwrap_or_else(|panic| Err(ChangeError::Build(format!("the change failed: {panic}"))))
        })
    }

    fn restart(&self, after: Duration) -> Result<(), String> {
        let child = self.clone();
        self.0.host.control.spawn(async move {
            sleep(after).await;
            let mut turn = child.0.turn.lock().await;
            if let Some(kept) = turn.take() {
                let (generation, arguments) = (kept.generation, kept.arguments.clone());
                end(kept).await;
                *turn = Some(child.keep(generation, arguments));
            }
        });
        Ok(())
    }

    /// The supervisor's own: a stock collector's cannot be changed while it runs.
    fn log_level(&self) -> LogLevelState {
        control::level_state(self.0.host.logs.level())
    }

    fn set_log_level(&self, level: Option<(LogLevel, Duration)>) -> LogLevelState {
        control::set_level(&self.0.host.logs, level)
    }
}

#[cfg(test)]
mod tests;
