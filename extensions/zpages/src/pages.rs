//! The pages.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use phoenix_component::{
    BuildInfo, Collector, ComponentKey, Health, Host, MemoryReader, PipelineStatus, Status, StatusSince,
};
use phoenix_config::{GoDuration, Kind};
use phoenix_telemetry::Metrics;
use serde_json::{Map, Value};

use crate::html::{Query, Text, page, table};

/// What the pages show, at one moment.
pub(crate) struct World {
    build: BuildInfo,
    collector: Option<Arc<dyn Collector>>,
    pipelines: Vec<PipelineStatus>,
    health: Vec<(ComponentKey, StatusSince)>,
    metrics: Metrics,
    memory: Arc<dyn MemoryReader>,
    budget: (usize, usize, usize),
    cores: usize,
}

impl World {
    pub(crate) fn look(host: &Host) -> World {
        let health: &Health = &host.health;
        World {
            build: host.build,
            collector: host.collector.get().cloned(),
            pipelines: host.collector.get().map(|collector| collector.pipelines()).unwrap_or_default(),
            health: health.report(),
            metrics: host.metrics.clone(),
            memory: host.memory.clone(),
            budget: (host.budget.used(), host.budget.limit(), host.budget.refusals()),
            cores: host.cores.count(),
        }
    }

    fn page(&self, current: &str, body: &str) -> String {
        page(current, self.build.command, body)
    }

    fn status(&self, key: &ComponentKey) -> Option<&StatusSince> {
        self.health.iter().find(|(known, _)| known == key).map(|(_, status)| status)
    }

    /// The items that a component counted under `name`.
    fn count(&self, name: &str, key: &ComponentKey) -> i64 {
        let (kind, id) = (key.kind.to_string(), key.id.to_string());
        let own = [("component_kind", &*kind), ("component_id", &*id), ("component_scope", &*key.scope)];
        self.metrics.sum(name, &own)
    }
}

fn status(found: Option<&StatusSince>) -> String {
    let Some(found) = found else { return "<span class=\"dim\">unknown</span>".to_owned() };
    let class = match &found.status {
        Status::Ok => "ok",
        Status::Recoverable(_) | Status::Starting | Status::Stopping => "warn",
        Status::Permanent(_) | Status::Fatal(_) | Status::Stopped => "bad",
    };
    let name = found.status.name().trim_start_matches("Status");
    let mut out = format!(
        "<span class=\"{class}\">{name}</span> <span class=\"dim\">for {}</span>",
        lasting(found.lasting)
    );
    if let Some(error) = found.status.error() {
        let _ = write!(out, "<br><code>{}</code>", Text(error));
    }
    out
}

/// Whole seconds, as Go writes durations.
fn lasting(time: Duration) -> String {
    GoDuration::from_secs(u32::try_from(time.as_secs()).unwrap_or(u32::MAX)).to_string()
}

fn mib(bytes: u64) -> String {
    match bytes {
        u64::MAX => "unlimited".to_owned(),
        bytes => format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64),
    }
}

pub(crate) fn service(world: &World) -> String {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = vec![
        row("Command", Text(world.build.command).to_string()),
        row("Description", Text(world.build.description).to_string()),
        row("Version", Text(world.build.version).to_string()),
        row("System", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        row("Process", std::process::id().to_string()),
    ];
    if let Some(collector) = &world.collector {
        let up = SystemTime::now().duration_since(collector.started()).unwrap_or_default();
        rows.push(row("Uptime", lasting(up)));
        let config = collector.effective_config();
        let origin = if config.from_sources { "from its sources" } else { "applied from elsewhere" };
        rows.push(row("Configuration", format!("<code>{}</code> {origin}", Text(&config.hash))));
    }
    let (used, limit, refusals) = world.budget;
    let limit = if limit == usize::MAX { u64::MAX } else { limit as u64 };
    rows.extend([
        row("I/O threads", world.cores.to_string()),
        row("Resident memory", format!("{} of {}", mib(world.memory.resident()), mib(world.memory.total()))),
        row("Budget of bytes", format!("{} of {}, refused {refusals} times", mib(used as u64), mib(limit))),
    ]);
    let mut body = table(&["", ""], &rows);
    let sick = world.health.iter().filter(|(_, found)| found.status != Status::Ok);
    let sick: Vec<_> = sick.map(|(key, found)| vec![Text(key).to_string(), status(Some(found))]).collect();
    body += "<h2>Health</h2>";
    body += &match sick.len() {
        0 => format!("<p class=\"ok\">All {} components work.</p>", world.health.len()),
        _ => table(&["Component", "Status"], &sick),
    };
    world.page("servicez", &body)
}

pub(crate) fn pipelines(world: &World, selected: Option<&str>) -> String {
    let names = |keys: &[ComponentKey]| {
        let names: Vec<_> = keys.iter().map(|key| Text(&key.id).to_string()).collect();
        names.join("<br>")
    };
    let rows: Vec<_> = world
        .pipelines
        .iter()
        .map(|pipeline| {
            let sick = pipeline
                .components()
                .filter(|key| world.status(key).is_none_or(|found| found.status != Status::Ok));
            let health = match sick.count() {
                0 => "<span class=\"ok\">OK</span>".to_owned(),
                count => format!("<span class=\"warn\">{count} not OK</span>"),
            };
            vec![
                format!(
                    "<a href=\"/debug/pipelinez?zpipelinename={}\">{}</a>",
                    Query(&pipeline.id),
                    Text(&pipeline.id)
                ),
                names(&pipeline.receivers),
                names(&pipeline.processors),
                names(&pipeline.exporters),
                health,
            ]
        })
        .collect();
    let mut body = table(&["Pipeline", "Receivers", "Processors", "Exporters", "Health"], &rows);
    let found = selected.and_then(|name| world.pipelines.iter().find(|pipeline| pipeline.id == name));
    if let Some(pipeline) = found {
        let _ = write!(body, "<h2>{}</h2>", Text(&pipeline.id));
        body += &components(world, pipeline.components());
    } else if let Some(name) = selected {
        let _ = write!(body, "<p class=\"bad\">There is no pipeline {}.</p>", Text(name));
    }
    world.page("pipelinez", &body)
}

fn components<'a>(world: &World, keys: impl Iterator<Item = &'a ComponentKey>) -> String {
    let count = |name, key: &ComponentKey| match key.kind {
        Kind::Receiver | Kind::Extension => "<span class=\"dim\">–</span>".to_owned(),
        _ => world.count(name, key).to_string(),
    };
    let rows: Vec<_> = keys
        .map(|key| {
            vec![
                Text(key).to_string(),
                status(world.status(key)),
                count("phoenix_component_items_in", key),
                count("phoenix_component_items_out", key),
                count("phoenix_component_items_refused", key),
                count("phoenix_component_items_dropped", key),
            ]
        })
        .collect();
    table(&["Component", "Status", "#Items in", "#Out", "#Refused", "#Dropped"], &rows)
}

pub(crate) fn extensions(world: &World, selected: Option<&str>) -> String {
    let rows: Vec<_> = world
        .health
        .iter()
        .filter(|(key, _)| key.kind == Kind::Extension)
        .filter(|(key, _)| selected.is_none_or(|name| key.id.to_string() == name))
        .map(|(key, found)| vec![Text(&key.id).to_string(), status(Some(found))])
        .collect();
    world.page("extensionz", &table(&["Extension", "Status"], &rows))
}

pub(crate) fn features(world: &World) -> String {
    let gates = world.collector.as_ref().map(|collector| collector.feature_gates()).unwrap_or_default();
    let rows: Vec<_> = gates
        .iter()
        .map(|gate| {
            vec![
                format!("<code>{}</code>", Text(&gate.id)),
                gate.enabled.to_string(),
                Text(&gate.description).to_string(),
            ]
        })
        .collect();
    world.page("featurez", &table(&["Gate", "Enabled", "Description"], &rows))
}

/// The own metrics by name and attributes; of a histogram, how many values it has.
pub(crate) fn expvar(host: &Host) -> String {
    let mut all = Map::new();
    for sample in host.metrics.snapshot() {
        let attributes: Vec<_> =
            sample.attributes.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
        let name = match attributes.len() {
            0 => sample.description.name.to_owned(),
            _ => format!("{}{{{}}}", sample.description.name, attributes.join(",")),
        };
        let value = match sample.value {
            phoenix_telemetry::Value::Int(value) => value.into(),
            phoenix_telemetry::Value::Float(value) => value.into(),
            phoenix_telemetry::Value::Histogram(value) => value.count().into(),
        };
        all.insert(name, value);
    }
    let own = serde_json::json!({
        "cmdline": std::env::args().next(),
        "resident_bytes": host.memory.resident(),
        "budget_bytes": host.budget.used(),
        "metrics": Value::Object(all),
    });
    own.to_string() + "\n"
}
