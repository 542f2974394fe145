//! `service::telemetry::logs`.

use phoenix_config::{Node, Problems, Settings};
use phoenix_telemetry::logs::{Encoding, LogHandle};
use serde::Deserialize;
use tracing_subscriber::filter::LevelFilter;

use super::without_effect;

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct LogSettings {
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

impl LogSettings {
    pub(super) fn read(node: &Node, problems: &mut Problems) -> LogSettings {
        let settings = phoenix_config::decode_checked(node, problems).unwrap_or_default();
        for entry in node.as_map().map(|map| map.entries()).unwrap_or_default() {
            if !matches!(&*entry.key, "level" | "encoding") {
                without_effect(problems, &entry.key);
            }
        }
        settings
    }

    pub(super) fn apply(&self, logs: &LogHandle) {
        let level = match self.level {
            Level::Debug => LevelFilter::DEBUG,
            Level::Info => LevelFilter::INFO,
            Level::Warn => LevelFilter::WARN,
            Level::Error | Level::DPanic | Level::Panic | Level::Fatal => LevelFilter::ERROR,
        };
        let encoding = match self.encoding {
            LogEncoding::Console => Encoding::Console,
            LogEncoding::Json => Encoding::Json,
        };
        logs.set(level, encoding);
    }
}
