//! `service::telemetry`: what the collector says of itself, one module for each part.

mod elsewhere;
mod export;
mod logs;
mod metrics;
mod otlp;
mod resource;
mod spans;
#[cfg(test)]
mod tests;
mod traces;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use phoenix_component::{BuildInfo, Host};
use phoenix_config::{Config, Described as _, Key, KeyPath, Location, Node, Problems, Section, Shape};
use phoenix_engine::Plan;
use phoenix_telemetry::Resource;
use phoenix_telemetry::logs::{OutputError, RecordSink, logs_request};
use phoenix_telemetry::traces::{SpanSink, TracerOptions, traces_request};
use tokio::time::Instant;

pub use spans::SpanExport;

pub(crate) use metrics::{MetricsPlan, OtlpTarget, PushTarget, ReaderPlan};

use export::{Export, Fan};
use logs::LogSettings;
use metrics::MetricsSettings;
use otlp::{Processor, Signal};
use resource::ResourceSettings;
use traces::TraceSettings;

/// How long records wait for others where nothing is said, as in OpenTelemetry's SDKs.
const SPAN_DELAY: Duration = Duration::from_secs(5);
const LOG_DELAY: Duration = Duration::from_secs(1);

/// How long the rest of own telemetry may take to go out when it is replaced or the collector stops.
const FLUSH: Duration = Duration::from_secs(5);

/// What `service::telemetry` sets.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ServiceTelemetry {
    resource: ResourceSettings,
    logs: LogSettings,
    pub(crate) metrics: MetricsPlan,
    traces: TraceSettings,
}

/// Settings that cannot be put into effect.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TelemetryError {
    /// An output of the log.
    #[error("service::telemetry::logs: {0}")]
    Output(#[from] OutputError),
    /// A way to a backend.
    #[error("service::telemetry::{signal}: {reason}")]
    Exporter {
        /// Of which part.
        signal: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl ServiceTelemetry {
    /// Reports components that listen where own metrics are served.
    pub(crate) fn check_listeners(&self, config: &Config, plan: &Plan, problems: &mut Problems) {
        for reader in &self.metrics.readers {
            let ReaderPlan::Prometheus { endpoint, .. } = reader else { continue };
            let Some(listener) = plan.listener_at(endpoint) else { continue };
            if let Some(component) = config.component(listener.kind, &listener.id) {
                let mut found = component.problems();
                found.error_with_help(
                    &listener.key,
                    format!("{endpoint} is where own metrics are served"),
                    "give one of them another port; that of own metrics is in `service::telemetry::metrics::readers`",
                );
                problems.absorb(found);
            }
        }
    }

    /// Reads the section; what is there and has no effect yet is a warning.
    pub(crate) fn read(config: &Config, problems: &mut Problems) -> ServiceTelemetry {
        let section = &config.service().telemetry;
        let path = KeyPath::parse("service::telemetry");
        let mut found = Problems::in_section(path, section, &Location::nowhere());
        let mut telemetry = ServiceTelemetry::default();
        if let Some(resource) = section.get("resource") {
            telemetry.resource = part("resource", resource, &mut found, ResourceSettings::read);
        }
        if let Some(logs) = section.get("logs") {
            telemetry.logs = part("logs", logs, &mut found, LogSettings::read);
        }
        if let Some(metrics) = section.get("metrics").filter(|node| !node.is_null()) {
            telemetry.metrics = part("metrics", metrics, &mut found, |node, problems| {
                let settings = phoenix_config::decode_checked::<MetricsSettings>(node, problems);
                settings.map(|settings| settings.plan()).unwrap_or_default()
            });
        }
        if let Some(traces) = section.get("traces").filter(|node| !node.is_null()) {
            telemetry.traces = part("traces", traces, &mut found, TraceSettings::read);
        }
        problems.absorb(found);
        telemetry
    }

    /// What own telemetry is about.
    pub(crate) fn resource(&self, build: &BuildInfo) -> Resource {
        self.resource.resource(build)
    }
}

/// Reads one part, whose problems are reported at its keys.
fn part<T>(key: &str, node: &Node, found: &mut Problems, read: fn(&Node, &mut Problems) -> T) -> T {
    let path = KeyPath::parse("service::telemetry").join(key);
    let mut problems = Problems::in_section(path, node, &Location::nowhere());
    let settings = read(node, &mut problems);
    found.absorb(problems);
    settings
}

/// What may be written under `service::telemetry`.
pub(crate) fn shape() -> Shape {
    let keys = vec![
        Key::new("logs", LogSettings::shape(), &["The collector's own log."]),
        Key::new("metrics", MetricsSettings::shape(), &["The collector's own metrics."]),
        Key::new(
            "traces",
            TraceSettings::shape(),
            &["The collector's own traces; off without `processors`."],
        ),
        Key::new(
            "resource",
            Shape::Map(Box::new(Shape::Any)),
            &[
                "What the collector says of itself: `key: value`, where null takes a default away, or `attributes: [{name, value}]`.",
            ],
        ),
    ];
    Shape::Section(Section::new("Telemetry", &["The collector's own telemetry."], true, keys))
}

/// Own logs and traces as they run.
#[derive(Default)]
pub(crate) struct OwnTelemetry(Mutex<State>);

#[derive(Default)]
struct State {
    applied: Option<ServiceTelemetry>,
    exports: Vec<Export>,
}

impl OwnTelemetry {
    /// Puts settings into effect; the same ones change nothing. What the former ones gathered still goes out, in the
    /// background. Call within the control runtime.
    ///
    /// # Errors
    /// What cannot be opened or reached by its settings; then all goes on as before.
    pub(crate) fn apply(&self, settings: &ServiceTelemetry, host: &Host) -> Result<(), TelemetryError> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.applied.as_ref() == Some(settings) {
            return Ok(());
        }
        let resource = settings.resource.attributes(&host.build);
        let version = host.build.version;
        let mut exports = Vec::new();

        let (mut queues, of_logs) = (Vec::new(), resource.clone());
        for (processor, pusher) in pushers(&settings.logs.processors, Signal::Logs, host)? {
            let resource = of_logs.clone();
            let (queue, export) = export::start(
                Signal::Logs,
                processor.rhythm(LOG_DELAY),
                pusher,
                move |records| logs_request(&resource, version, records),
                &host.metrics,
                &host.control,
            );
            queues.push(queue);
            exports.push(export);
        }
        let also = (!queues.is_empty()).then(|| Arc::new(Fan(queues)) as Arc<dyn RecordSink>);

        let (mut queues, of_traces) = (Vec::new(), resource.clone());
        for (processor, pusher) in pushers(settings.traces.processors(), Signal::Traces, host)? {
            let resource = of_traces.clone();
            let (queue, export) = export::start(
                Signal::Traces,
                processor.rhythm(SPAN_DELAY),
                pusher,
                move |spans| traces_request(&resource, version, spans),
                &host.metrics,
                &host.control,
            );
            queues.push(queue);
            exports.push(export);
        }
        let sink = (!queues.is_empty()).then(|| Arc::new(Fan(queues)) as Arc<dyn SpanSink>);

        // The only step that can still fail comes first.
        host.logs.apply(settings.logs.options(&resource, also))?;
        host.tracer.apply(TracerOptions { sink, ..settings.traces.options() });
        state.applied = Some(settings.clone());
        let former = std::mem::replace(&mut state.exports, exports);
        if !former.is_empty() {
            host.control.spawn(stop_all(former));
        }
        Ok(())
    }

    /// Lets the rest go out.
    pub(crate) async fn stop(&self) {
        let exports = std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).exports);
        stop_all(exports).await;
    }
}

async fn stop_all(exports: Vec<Export>) {
    let deadline = Instant::now() + FLUSH;
    for export in exports {
        export.stop(deadline).await;
    }
}

fn pushers<'a>(
    processors: &'a [Processor],
    signal: Signal,
    host: &Host,
) -> Result<Vec<(&'a Processor, otlp::SharedPusher)>, TelemetryError> {
    let pusher = |processor: &'a Processor| match processor.pusher(signal, &host.build, &host.cores) {
        Ok(pusher) => Ok((processor, Arc::new(pusher))),
        Err(reason) => Err(TelemetryError::Exporter { signal: signal.name(), reason }),
    };
    processors.iter().map(pusher).collect()
}
