//! What the service says of itself: metrics in the collector's registry.
//!
//! Requests, connections and transactions are counted where they happen. What only the database knows is looked up when
//! somebody asks, at most once in [`LOOKS_APART`], and not shown while it does not answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use phoenix_collector::{BuildInfo, MemoryReader as _, SpanExport, SystemMemory, TelemetryDestination, cpu};
use phoenix_telemetry::prometheus::{self, Options};
use phoenix_telemetry::traces::Tracer;
use phoenix_telemetry::{Description, InstrumentKind, Measure, Metrics, Resource, Value};

use crate::error::{Error, Result};
use crate::hub::Hub;
use crate::store::{Connections, Db, Tx};

/// Between two looks into the database: whoever asks more often costs it nothing.
const LOOKS_APART: Duration = Duration::from_secs(5);
/// Seconds, as the semantic conventions for HTTP have them.
const BOUNDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Done and cancelled ones are history, which only grows: `task_results` counts it.
const TASK_STATES: [&str; 3] = ["ready", "leased", "dead"];
const ROLLOUT_STATES: [&str; 6] = ["waiting", "running", "paused", "succeeded", "rolled_back", "cancelled"];
const VERSION: &str = env!("CARGO_PKG_VERSION");

const fn describe(name: &'static str, unit: &'static str, text: &'static str) -> Description {
    Description { name, unit, text }
}

const BUILD: Description = describe("phoenix_control_build_info", "", "Of which build this process is.");
const CPU: Description =
    describe("phoenix_control_process_cpu", "s", "CPU time of this process, user and system.");
const MEMORY: Description =
    describe("phoenix_control_process_memory_rss", "By", "Resident memory of this process.");
const REQUESTS: Description = describe("phoenix_control_requests", "{request}", "Answers of the API.");
const DURATION: Description =
    describe("phoenix_control_request_duration", "s", "How long requests of the API took.");
const AGENTS: Description =
    describe("phoenix_control_agents_connected", "{agent}", "Agents that are connected to this instance.");
const TASKS: Description =
    describe("phoenix_control_tasks", "{task}", "Tasks that wait, are under way, or failed for good.");
const TASK_RESULTS: Description =
    describe("phoenix_control_task_results", "{result}", "Results of tasks that agents sent.");
const ROLLOUTS: Description = describe("phoenix_control_rollouts", "{rollout}", "Rollouts.");
const UP: Description =
    describe("phoenix_control_database_up", "", "Whether the database answered when it was last looked at.");
const TRANSACTIONS: Description =
    describe("phoenix_control_database_transactions", "{transaction}", "Transactions.");
const FAILED: Description =
    describe("phoenix_control_database_failures", "{transaction}", "Transactions that the database failed.");
const TIME: Description = describe(
    "phoenix_control_database_time",
    "s",
    "Time of transactions, with the wait for a connection or for the writer before.",
);
const CONNECTIONS: Description =
    describe("phoenix_control_database_connections", "{connection}", "Connections of the pool.");
const CONNECTIONS_MAX: Description = describe(
    "phoenix_control_database_connections_max",
    "{connection}",
    "Connections that the pool may have.",
);
const WAITING: Description =
    describe("phoenix_control_database_waiting", "{transaction}", "Transactions that wait for a connection.");

/// How many there are, by metric and state.
type Counts = BTreeMap<(&'static str, String), i64>;

#[derive(Default)]
struct Looked {
    at: Option<Instant>,
    counts: Option<Counts>,
}

/// Own metrics.
pub struct Telemetry {
    /// Makes spans, where they are sent somewhere.
    pub(crate) tracer: Tracer,
    metrics: Metrics,
    resource: Resource,
    looked: Arc<Mutex<Looked>>,
}

impl Telemetry {
    /// Those of `instance`, over its database and its agents.
    pub fn new(instance: &str, db: &Db, hub: &Hub) -> Telemetry {
        let metrics = Metrics::default();
        let of = [("arch", std::env::consts::ARCH), ("os", std::env::consts::OS), ("version", VERSION)];
        metrics.gauge(BUILD, &of).set(1);
        show_process(&metrics);
        show_agents(&metrics, hub);
        show_database(&metrics, db);
        let attributes = [
            ("service.instance.id", instance),
            ("service.name", "phoenix-control"),
            ("service.version", VERSION),
        ];
        let attributes = attributes.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let resource = Resource { attributes, schema_url: String::new() };
        let telemetry = Telemetry { tracer: Tracer::default(), metrics, resource, looked: Arc::default() };
        for outcome in ["done", "failed", "late"] {
            telemetry.metrics.counter(TASK_RESULTS, &[("outcome", outcome)]);
        }
        telemetry.show_looked();
        telemetry
    }

    /// Sends spans to a backend from now on.
    ///
    /// # Errors
    /// What is wrong with where they are to go.
    pub(crate) fn send_traces(&self, to: &TelemetryDestination) -> Result<SpanExport> {
        let build = BuildInfo { command: "phoenix-control", description: "", version: VERSION };
        let started = SpanExport::start(to, build, &self.tracer, &self.metrics);
        started.map_err(|why| Error::field("traces-endpoint", why))
    }

    /// Shows what was found at the last look.
    fn show_looked(&self) {
        let tasks = TASK_STATES.map(|state| (TASKS, state));
        let rollouts = ROLLOUT_STATES.map(|state| (ROLLOUTS, state));
        for (description, state) in tasks.into_iter().chain(rollouts) {
            let (looked, key) = (self.looked.clone(), (description.name, state.to_owned()));
            self.metrics.observe(description, InstrumentKind::Gauge, &[("state", state)], move || {
                let looked = looked.lock().unwrap_or_else(PoisonError::into_inner);
                looked.counts.as_ref().map(|counts| Value::Int(counts.get(&key).copied().unwrap_or_default()))
            });
        }
    }

    /// A request was answered.
    pub(crate) fn answered(&self, method: &Method, route: Option<&str>, status: StatusCode, took: Duration) {
        // A client may make methods and paths up.
        let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        let method = if known.contains(method) { method.as_str() } else { "_OTHER" };
        let of = [("method", method), ("route", route.unwrap_or("none")), ("status", status.as_str())];
        self.metrics.counter(REQUESTS, &of).add(1);
        let duration = self.metrics.histogram(DURATION, &of[..2], Measure::Seconds, &BOUNDS);
        duration.record_time(took);
    }

    /// An agent sent the result of a task: it is `done` or `failed`, or came too `late` to count.
    pub(crate) fn task_ended(&self, outcome: &'static str) {
        self.metrics.counter(TASK_RESULTS, &[("outcome", outcome)]).add(1);
    }

    /// Looks into the database, where that is due.
    pub(crate) async fn look(&self, db: &Db, now: Instant) {
        let looked = || self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut looked = looked();
            if looked.at.is_some_and(|at| now.saturating_duration_since(at) < LOOKS_APART) {
                return;
            }
            looked.at = Some(now);
        }
        let found = db.read(|tx| count(tx)).await;
        self.metrics.gauge(UP, &[]).set(i64::from(found.is_ok()));
        looked().counts = found.ok();
    }

    /// All of it, as Prometheus reads it.
    pub(crate) fn text(&self) -> String {
        let options = Options { without_units: false, without_type_suffix: false, ..Options::default() };
        prometheus::render(&self.metrics.streams(), &self.resource, VERSION, &options)
    }
}

/// Counts tasks and rollouts by state.
pub(crate) fn count(tx: &mut dyn Tx) -> Result<Counts> {
    let mut counts = Counts::new();
    for state in TASK_STATES {
        // The state stands in the text: each has an index of its own.
        let row = tx.one(&format!("SELECT count(*) FROM tasks WHERE state = '{state}'"), &[])?;
        counts.insert((TASKS.name, state.to_owned()), row.map_or(0, |row| row.int(0)));
    }
    for row in tx.query("SELECT state, count(*) FROM rollouts GROUP BY state", &[])? {
        counts.insert((ROLLOUTS.name, row.text(0)), row.int(1));
    }
    Ok(counts)
}

fn show_process(metrics: &Metrics) {
    metrics.observe(CPU, InstrumentKind::Counter, &[], || {
        cpu::own_time().map(|time| Value::Float(time.as_secs_f64()))
    });
    metrics.observe(MEMORY, InstrumentKind::Gauge, &[], || {
        Some(Value::Int(i64::try_from(SystemMemory.resident()).unwrap_or(i64::MAX)))
    });
}

fn show_agents(metrics: &Metrics, hub: &Hub) {
    for transport in ["websocket", "http"] {
        let hub = hub.clone();
        metrics.observe(AGENTS, InstrumentKind::UpDownCounter, &[("transport", transport)], move || {
            let (sockets, polling) = hub.count();
            Some(Value::Int(if transport == "http" { polling } else { sockets } as i64))
        });
    }
}

fn show_database(metrics: &Metrics, db: &Db) {
    for (mode, transactions) in db.usage().by_mode() {
        let (all, failed, time) = (transactions.all, transactions.failed, transactions.time);
        let of = [("mode", mode)];
        let int = |value: u64| Some(Value::Int(value as i64));
        metrics.observe(TRANSACTIONS, InstrumentKind::Counter, &of, move || int(all.value()));
        metrics.observe(FAILED, InstrumentKind::Counter, &of, move || int(failed.value()));
        let seconds = move || Some(Value::Float(time.value().as_secs_f64()));
        metrics.observe(TIME, InstrumentKind::Counter, &of, seconds);
    }
    let show = |description, of: &[(&'static str, &str)], pick: fn(Connections) -> usize| {
        let db = db.clone();
        let read = move || db.connections().map(|pool| Value::Int(pick(pool) as i64));
        metrics.observe(description, InstrumentKind::UpDownCounter, of, read);
    };
    show(CONNECTIONS, &[("state", "used")], |pool| pool.used);
    show(CONNECTIONS, &[("state", "idle")], |pool| pool.idle);
    show(CONNECTIONS_MAX, &[], |pool| pool.most);
    show(WAITING, &[], |pool| pool.waiting);
}

#[cfg(test)]
mod tests;
