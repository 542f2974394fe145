//! `service::telemetry`, as far as it has an effect: the log's level and encoding.

use phoenix_config::{Config, Described, Key, KeyPath, Location, Problems, Section, Settings, Shape};
use phoenix_telemetry::logs::{Encoding, LogHandle};
use serde::Deserialize;
use tracing_subscriber::filter::LevelFilter;

/// What `service::telemetry` sets.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ServiceTelemetry {
    logs: LogSettings,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(default)]
struct LogSettings {
    /// The least severe records that are written.
    level: Level,
    /// How records are written.
    encoding: LogEncoding,
}

impl Settings for LogSettings {}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Described)]
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Described)]
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
        for key in ["metrics", "traces", "resource"] {
            if section.get(key).is_some_and(|node| !node.is_null()) {
                without_effect(&mut found, key);
            }
        }
        if section.get("metrics").is_some_and(|metrics| metrics.get("address").is_some()) {
            found.warn_with_help(
                "metrics::address",
                "`address` was replaced by `readers`",
                "write `readers: [{pull: {exporter: {prometheus: {host: …, port: …}}}}]`",
            );
        }
        problems.absorb(found);
        telemetry
    }

    /// Puts the settings into effect.
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

/// What may be written under `service::telemetry`.
pub(crate) fn shape() -> Shape {
    let without_effect = |name, docs| Key::new(name, Shape::Any, &[docs]);
    let keys = vec![
        Key::new("logs", LogSettings::shape(), &["The collector's own log."]),
        without_effect("metrics", "The collector's own metrics."),
        without_effect("traces", "The collector's own traces."),
        without_effect("resource", "What the collector says of itself."),
    ];
    Shape::Section(Section::new("Telemetry", &["The collector's own telemetry."], true, keys))
}

fn without_effect(problems: &mut Problems, key: &str) {
    problems.warn(key, "accepted, and without effect in this version");
}
