//! What an extension may ask of the collector that it runs in: status, the effective configuration, plan,
//! apply, log level. The binary implements it; extensions reach it through [`crate::Host::collector`].

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use phoenix_config::{Kind, Opaque};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{BoxFuture, Changes, ComponentKey, Lost, Status};

/// One source of a configuration, in the order in which they are merged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ConfigSource {
    /// The sources that the collector was started with, at this place among the others; its `--set` values count over
    /// all sources.
    Own,
    /// A URI as `--config` takes it; the collector reads it, with its own environment and files.
    Uri(String),
    /// A text, under a name for diagnostics.
    Text {
        /// For example the path of the file that it was read from.
        name: String,
        /// YAML; references in it are replaced in the collector's environment.
        text: String,
    },
}

/// Never prints a text: it may hold secrets.
impl fmt::Debug for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigSource::Own => f.write_str("Own"),
            ConfigSource::Uri(uri) => write!(f, "Uri({:?})", uri.split(':').next().unwrap_or_default()),
            ConfigSource::Text { name, text } => write!(f, "Text({name:?}, {} bytes)", text.len()),
        }
    }
}

/// A configuration as it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfigRequest {
    /// Its sources; none stands for those that the collector was started with, read again.
    pub sources: Vec<ConfigSource>,
    /// Values over all sources, as `--set` takes them.
    pub set: Vec<String>,
}

impl ConfigRequest {
    /// Whether it means the sources that the collector was started with.
    pub fn is_reload(&self) -> bool {
        self.sources.is_empty() && self.set.is_empty()
    }
}

/// Conditions of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApplyConditions {
    /// Nothing is applied where state would be lost, or is likely to be.
    pub fail_on_state_loss: bool,
    /// Nothing is applied unless the configuration that runs has this hash: what was planned is what happens.
    pub if_running: Option<String>,
}

/// What a new configuration would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanAnswer {
    /// Against what runs.
    pub changes: Changes,
    /// Whether state would be lost, or is likely to be.
    pub loses_state: bool,
    /// Warnings of the new configuration, each with its place.
    pub warnings: Vec<String>,
    /// The hash of the configuration that runs.
    pub running: String,
    /// The hash of the new one.
    pub proposed: String,
}

/// What a change did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyAnswer {
    /// What was done; it is what a plan said.
    #[serde(flatten)]
    pub plan: PlanAnswer,
    /// What became of the old parts.
    pub drain: DrainState,
    /// The components that do not work after the change.
    pub unhealthy: Vec<ComponentStatus>,
}

/// How far the old parts of a change have come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum DrainState {
    /// They are still letting out what they hold.
    UnderWay,
    /// They are gone.
    Done(DrainReport),
}

/// What became of the parts that a change replaced or removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainReport {
    /// What could not be delivered in time, by component.
    pub lost: Vec<ComponentLoss>,
    /// Items lost in all.
    pub lost_items: u64,
    /// Requests that were cut off without an answer; their senders still have the data.
    pub cut_off_requests: u64,
    /// For each changed component, what became of its state.
    pub adoptions: Vec<ComponentAdoption>,
}

/// What one component lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentLoss {
    /// Which.
    pub component: ComponentKey,
    /// Spans, data points or log records.
    pub items: u64,
    /// Requests or batches.
    pub requests: u64,
}

/// What became of the state of one component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentAdoption {
    /// Which.
    pub component: ComponentKey,
    /// `kept`, `partly` or `rebuilt`.
    #[serde(flatten)]
    pub adoption: crate::Adoption,
    /// A further change came first: the state went to (or could not go to) a later successor than planned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overtaken: bool,
}

impl DrainReport {
    /// Adds what `component` lost, if it did.
    pub fn add_loss(&mut self, component: &ComponentKey, lost: Lost) {
        if lost != Lost::default() {
            self.lost_items += lost.items;
            let (items, requests) = (lost.items, lost.requests);
            self.lost.push(ComponentLoss { component: component.clone(), items, requests });
        }
    }
}

/// Why a plan or a change was refused; what runs goes on as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The configuration has mistakes; the text is the whole report.
    #[error("{0}")]
    Invalid(String),
    /// State would be lost, and that was forbidden.
    #[error("state would be lost: {}", losses(.0))]
    StateLoss(Box<PlanAnswer>),
    /// Another configuration runs than the one that the plan was made against.
    #[error("the configuration that runs has changed since: its hash is {running}")]
    Moved {
        /// The hash of the one that runs.
        running: String,
    },
    /// A component cannot be made or started.
    #[error("{0}")]
    Build(String),
    /// Other changes are under way.
    #[error("{0}")]
    Busy(String),
    /// The collector is being stopped, or not up yet.
    #[error("{0}")]
    Unavailable(String),
}

fn losses(plan: &PlanAnswer) -> String {
    let losses = plan.changes.losses();
    losses.iter().map(|(key, what)| format!("{key}: {what}")).collect::<Vec<_>>().join("; ")
}

/// The status of one instance of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentStatus {
    /// Which.
    pub component: ComponentKey,
    /// `StatusStarting`, `StatusOK`, …, as otelcol names them.
    pub status: String,
    /// What is wrong, where something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Since when, in Unix nanoseconds.
    pub since_unix_nanos: u64,
}

impl ComponentStatus {
    /// From what the health table knows.
    pub fn new(component: ComponentKey, status: &Status, since: SystemTime) -> ComponentStatus {
        let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        ComponentStatus {
            component,
            status: status.name().to_owned(),
            error: status.error().map(str::to_owned),
            since_unix_nanos: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

/// A pipeline of the running graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineStatus {
    /// Its identifier, for example `traces/a`.
    pub id: String,
    /// Receivers, and connectors that feed it.
    pub receivers: Vec<ComponentKey>,
    /// Processors, in order.
    pub processors: Vec<ComponentKey>,
    /// Exporters, and connectors that it feeds.
    pub exporters: Vec<ComponentKey>,
}

impl PipelineStatus {
    /// Every component of it.
    pub fn components(&self) -> impl Iterator<Item = &ComponentKey> {
        self.receivers.iter().chain(&self.processors).chain(&self.exporters)
    }
}

/// The effective configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EffectiveConfig {
    /// As YAML, secrets hidden.
    pub yaml: Arc<str>,
    /// As JSON, secrets hidden.
    pub json: Arc<str>,
    /// A hash of all settings, secrets included: two configurations that differ have different ones.
    pub hash: Arc<str>,
    /// Whether it came from the sources of the command line; else it was applied from elsewhere.
    pub from_sources: bool,
    /// When it was applied.
    pub since: Option<SystemTime>,
}

/// A feature gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureGate {
    /// otelcol's name of it.
    pub id: String,
    /// Whether what it asks for is so.
    pub enabled: bool,
    /// Why it can or cannot be switched.
    pub description: String,
}

/// The books of one component: `accepted + produced = passed_on + dropped + absorbed + held`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentBook {
    /// Whose they are.
    pub component: ComponentKey,
    /// Items accepted.
    pub accepted: i64,
    /// Items that came into being.
    pub produced: i64,
    /// Items passed on; for an exporter, sent.
    pub passed_on: i64,
    /// Items that ended here.
    pub dropped: i64,
    /// Items that went into others.
    pub absorbed: i64,
    /// Items inside.
    pub held: i64,
    /// What does not add up; 0 at a quiet moment.
    pub imbalance: i64,
}

/// A level of the collector's log, from most to least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What an operator may want to know.
    Info,
    /// What may be wrong.
    Warn,
    /// What is wrong.
    Error,
}

impl LogLevel {
    /// The name, for example `debug`.
    pub const fn name(self) -> &'static str {
        match self {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        }
    }
}

/// The level of the log now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLevelState {
    /// What is written now.
    pub level: LogLevel,
    /// What the configuration says.
    pub configured: LogLevel,
    /// Seconds until it is as configured again; none where it is, or stays.
    pub reverts_in_seconds: Option<u64>,
}

/// Where own telemetry goes besides, as somebody from outside wants it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TelemetryDestinations {
    /// Own metrics.
    pub metrics: Option<TelemetryDestination>,
    /// Own traces.
    pub traces: Option<TelemetryDestination>,
    /// Own logs.
    pub logs: Option<TelemetryDestination>,
    /// Attributes by which the collector is known there, where its settings name no others.
    pub resource: Vec<(String, String)>,
}

/// A backend that takes OTLP over HTTP.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetryDestination {
    /// A URL with its path.
    pub endpoint: String,
    /// What is sent with each request.
    pub headers: Vec<(String, Opaque)>,
}

/// What a collector in a process of its own shows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutsideSigns {
    /// Which of its lives this is: in each it counts from zero.
    pub life: u64,
    /// Its metrics in the text format of Prometheus, where it offers them.
    pub metrics: Option<Arc<str>>,
    /// Resident memory, in bytes.
    pub memory: u64,
    /// CPU time in this life.
    pub cpu: Duration,
}

/// The running collector.
pub trait Collector: Send + Sync {
    /// When the process began to run.
    fn started(&self) -> SystemTime;

    /// The pipelines of the running graph.
    fn pipelines(&self) -> Vec<PipelineStatus>;

    /// The configuration that runs, secrets hidden.
    fn effective_config(&self) -> EffectiveConfig;

    /// Counts up whenever that changes. By default it never does.
    fn config_changes(&self) -> watch::Receiver<u64> {
        watch::Sender::new(0).subscribe()
    }

    /// The books of every component that holds or changes data.
    fn books(&self) -> BoxFuture<'_, Vec<ComponentBook>>;

    /// The feature gates.
    fn feature_gates(&self) -> Vec<FeatureGate>;

    /// Whether it is this process, so that the metrics and the memory of this process are its own.
    fn is_this_process(&self) -> bool {
        true
    }

    /// What a collector in another process shows of itself; none while it does not run.
    fn outside_signs(&self) -> Option<OutsideSigns> {
        None
    }

    /// The types of components that this binary has, by kind.
    fn components(&self) -> Vec<(Kind, Vec<&'static str>)> {
        Vec::new()
    }

    /// What `request` would change. Touches nothing.
    fn plan(&self, request: ConfigRequest) -> BoxFuture<'_, Result<PlanAnswer, ChangeError>>;

    /// Does what `plan` says, and waits up to `wait` for what is replaced to end.
    fn apply(
        &self,
        request: ConfigRequest,
        conditions: ApplyConditions,
        wait: Duration,
    ) -> BoxFuture<'_, Result<ApplyAnswer, ChangeError>>;

    /// Delivers what is held, ends, and begins again as the same process with the same arguments, `after` a while. What
    /// was applied from elsewhere and not kept is gone then.
    ///
    /// # Errors
    /// Where this collector cannot.
    fn restart(&self, after: Duration) -> Result<(), String> {
        let _ = after;
        Err("this collector cannot restart itself".to_owned())
    }

    /// Delivers what is held and ends, as at a SIGTERM.
    ///
    /// # Errors
    /// Where this collector cannot.
    fn end(&self) -> Result<(), String> {
        Err("this collector cannot end itself".to_owned())
    }

    /// Sends own telemetry to these places from now on, besides those that the configuration names, until others are
    /// wanted or the process ends.
    ///
    /// # Errors
    /// Why not; then all goes on as before.
    fn send_telemetry(&self, to: TelemetryDestinations) -> BoxFuture<'_, Result<(), String>> {
        let _ = to;
        Box::pin(async { Err("this collector sends its own telemetry where its files say".to_owned()) })
    }

    /// Says that what somebody needed for once is over: memory that only this took may be given back.
    fn rest(&self) {}

    /// The level of the log.
    fn log_level(&self) -> LogLevelState;

    /// Sets the level of the log for a time, after which it is as configured again; none puts it back at once.
    fn set_log_level(&self, level: Option<(LogLevel, Duration)>) -> LogLevelState;
}

/// The way to the running collector, once it is there. Clones share it.
#[derive(Clone, Default)]
pub struct CollectorHandle(Arc<OnceLock<Arc<dyn Collector>>>);

impl CollectorHandle {
    /// The collector; none in tests and tools without one, and at the very start.
    pub fn get(&self) -> Option<&Arc<dyn Collector>> {
        self.0.get()
    }

    /// Makes `collector` known, once.
    pub fn set(&self, collector: Arc<dyn Collector>) {
        // A second one would be a programming error without consequence: the first stays.
        let _ = self.0.set(collector);
    }
}

impl fmt::Debug for CollectorHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CollectorHandle(set: {})", self.0.get().is_some())
    }
}
