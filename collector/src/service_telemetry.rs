//! `service::telemetry`: own metrics and the resource that they are about; of logs the level and the encoding.

mod metrics;
mod resource;

pub(crate) use metrics::{MetricsPlan, OtlpTarget, PushTarget, ReaderPlan};
pub(crate) use resource::ResourcePlan;

use metrics::MetricsSettings;
use phoenix_config::{Config, KeyPath, Location, Problems, Settings};
use phoenix_telemetry::logs::{Encoding, LogHandle};
use serde::Deserialize;
use tracing_subscriber::filter::LevelFilter;

/// What `service::telemetry` sets.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ServiceTelemetry {
    logs: LogSettings,
    pub(crate) metrics: MetricsPlan,
    pub(crate) resource: ResourcePlan,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct LogSettings {
    level: Level,
    encoding: LogEncoding,
}

impl Settings for LogSettings {}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    #[serde(alias = "DEBUG")]
    Debug,
    #[default]
    #[serde(alias = "INFO")]
    Info,
    #[serde(alias = "WARN")]
    Warn,
    #[serde(alias = "ERROR")]
    Error,
    #[serde(alias = "DPANIC")]
    DPanic,
    #[serde(alias = "PANIC")]
    Panic,
    #[serde(alias = "FATAL")]
    Fatal,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LogEncoding {
    #[default]
    Console,
    Json,
}

impl ServiceTelemetry {
    /// Reads the section; what is there and has no effect yet is a warning.
    pub(crate) fn read(config: &Config, problems: &mut Problems) -> ServiceTelemetry {
        let section = &config.service().telemetry;
        let path = KeyPath::parse("service::telemetry");
        let mut found = Problems::in_section(path, section, &Location::nowhere());
        let mut telemetry = ServiceTelemetry::default();
        if let Some(logs) = section.get("logs") {
            let mut in_logs =
                Problems::in_section(KeyPath::parse("service::telemetry::logs"), logs, &Location::nowhere());
            telemetry.logs = phoenix_config::decode_checked(logs, &mut in_logs).unwrap_or_default();
            found.absorb(in_logs);
            for entry in logs.as_map().map(|map| map.entries()).unwrap_or_default() {
                if !matches!(&*entry.key, "level" | "encoding") {
                    without_effect(&mut found, &format!("logs::{}", &*entry.key));
                }
            }
        }
        if section.get("traces").is_some_and(|node| !node.is_null()) {
            without_effect(&mut found, "traces");
        }
        if let Some(metrics) = section.get("metrics").filter(|node| !node.is_null()) {
            let at = KeyPath::parse("service::telemetry::metrics");
            let mut in_metrics = Problems::in_section(at, metrics, &Location::nowhere());
            let settings: Option<MetricsSettings> = phoenix_config::decode_checked(metrics, &mut in_metrics);
            telemetry.metrics = settings.map(|settings| settings.plan()).unwrap_or_default();
            found.absorb(in_metrics);
        }
        if let Some(resource) = section.get("resource") {
            let at = KeyPath::parse("service::telemetry::resource");
            let mut in_resource = Problems::in_section(at, resource, &Location::nowhere());
            telemetry.resource = ResourcePlan::read(resource, &mut in_resource);
            found.absorb(in_resource);
        }
        problems.absorb(found);
        telemetry
    }

    /// Puts the settings of logs into effect.
    pub(crate) fn apply(&self, logs: &LogHandle) {
        let level = match self.logs.level {
            Level::Debug => LevelFilter::DEBUG,
            Level::Info => LevelFilter::INFO,
            Level::Warn => LevelFilter::WARN,
            Level::Error | Level::DPanic | Level::Panic | Level::Fatal => LevelFilter::ERROR,
        };
        let encoding = match self.logs.encoding {
            LogEncoding::Console => Encoding::Console,
            LogEncoding::Json => Encoding::Json,
        };
        logs.set(level, encoding);
    }
}

fn without_effect(problems: &mut Problems, key: &str) {
    problems.warn(key, "accepted, and without effect in this version");
}
