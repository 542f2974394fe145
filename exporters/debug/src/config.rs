use phoenix_component::Touch;
use phoenix_config::{Described, PresentBlock, Problems, Settings, read_word};
use serde::{Deserialize, Deserializer};

/// How much is written of each request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Described)]
#[described(rename_all = "lowercase", any_case)]
pub enum Verbosity {
    /// One line of counts.
    #[default]
    Basic,
    /// And a line for each item.
    Normal,
    /// And every field of every item.
    Detailed,
}

impl<'de> Deserialize<'de> for Verbosity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Verbosity, D::Error> {
        let known = |text: &str| match text.to_ascii_lowercase().as_str() {
            "basic" => Some(Verbosity::Basic),
            "normal" => Some(Verbosity::Normal),
            "detailed" => Some(Verbosity::Detailed),
            _ => None,
        };
        read_word(deserializer, &["basic", "normal", "detailed"], known)
    }
}

/// What the `logging` exporter took for `verbosity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(try_from = "String")]
#[described(rename_all = "lowercase", any_case)]
pub enum LogLevel {
    /// Detailed.
    Debug,
    /// Normal.
    Info,
    /// Basic.
    Warn,
    /// Basic.
    Error,
    /// Basic.
    DPanic,
    /// Basic.
    Panic,
    /// Basic.
    Fatal,
}

impl TryFrom<String> for LogLevel {
    type Error = String;

    fn try_from(text: String) -> Result<LogLevel, String> {
        match text.to_ascii_lowercase().as_str() {
            "debug" => Ok(LogLevel::Debug),
            "info" | "" => Ok(LogLevel::Info),
            "warn" | "warning" => Ok(LogLevel::Warn),
            "error" => Ok(LogLevel::Error),
            "dpanic" => Ok(LogLevel::DPanic),
            "panic" => Ok(LogLevel::Panic),
            "fatal" => Ok(LogLevel::Fatal),
            _ => Err(format!("loglevel {text:?} is not known: one of debug, info, warn, error")),
        }
    }
}

impl LogLevel {
    /// What it is in today's words.
    pub fn verbosity(self) -> Verbosity {
        match self {
            LogLevel::Debug => Verbosity::Detailed,
            LogLevel::Info => Verbosity::Normal,
            _ => Verbosity::Basic,
        }
    }
}

/// Settings of the `debug` exporter: otelcol's keys.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct DebugConfig {
    /// How much is written of each request.
    pub verbosity: Verbosity,
    /// How much is written of each request, in the words of the `logging` exporter.
    #[described(deprecated = "`verbosity` replaced it")]
    pub loglevel: Option<LogLevel>,
    /// Requests of each second that are written.
    pub sampling_initial: u32,
    /// Of the further requests of that second one in so many is written; 0 for none.
    pub sampling_thereafter: u32,
    /// Whether it goes to the collector's own log.
    pub use_internal_logger: bool,
    /// Where else it goes: `stdout`, `stderr` or paths of files.
    pub output_paths: Option<Vec<String>>,
    /// The queue in front.
    #[described(unsupported = "it writes before it answers")]
    pub sending_queue: PresentBlock<AnyKeys>,
}

/// A block whose keys are not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(default)]
pub struct AnyKeys {}

impl Default for DebugConfig {
    fn default() -> DebugConfig {
        DebugConfig {
            verbosity: Verbosity::Basic,
            loglevel: None,
            sampling_initial: 2,
            sampling_thereafter: 1,
            use_internal_logger: true,
            output_paths: None,
            sending_queue: PresentBlock::off(),
        }
    }
}

impl DebugConfig {
    /// How much is written of each request, in whatever words it was said.
    pub fn effective_verbosity(&self) -> Verbosity {
        self.loglevel.map_or(self.verbosity, LogLevel::verbosity)
    }

    /// The files that it writes.
    pub(crate) fn touches(&self) -> Vec<Touch> {
        let paths = self.output_paths.iter().flatten().enumerate();
        let files = paths.filter(|(_, path)| !matches!(path.as_str(), "stdout" | "stderr"));
        files.map(|(index, path)| Touch::write(format!("output_paths::{index}"), path)).collect()
    }
}

impl Settings for DebugConfig {
    fn validate(&self, problems: &mut Problems) {
        if let Some(level) = self.loglevel {
            let verbosity = match level.verbosity() {
                Verbosity::Detailed => "detailed",
                Verbosity::Normal => "normal",
                Verbosity::Basic => "basic",
            };
            problems.warn_with_help(
                "loglevel",
                "`loglevel` of the former `logging` exporter was replaced by `verbosity`",
                format!("write `verbosity: {verbosity}`, which it is taken for"),
            );
        }
        match &self.output_paths {
            Some(_) if self.use_internal_logger => problems.error_with_help(
                "output_paths",
                "output_paths is not supported when use_internal_logger is true",
                "set `use_internal_logger: false`",
            ),
            Some(paths) if paths.is_empty() => {
                problems.error("output_paths", "must not be empty when use_internal_logger is false");
            }
            _ => {}
        }
        if self.sending_queue.is_on() {
            problems.error_with_help(
                "sending_queue",
                "is not supported by this exporter yet: it writes before it answers",
                "remove it, or set `enabled: false`",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_bad_settings_and_names_the_field() {
        // (settings, fields that the errors name)
        let cases: [(&str, &[&str]); 7] = [
            ("{}", &[]),
            (r#"{"verbosity": "Detailed", "sampling_initial": 5, "sampling_thereafter": 200}"#, &[]),
            (r#"{"use_internal_logger": false, "output_paths": ["stdout", "/tmp/x"]}"#, &[]),
            (r#"{"output_paths": ["stdout"]}"#, &["output_paths"]),
            (r#"{"use_internal_logger": false, "output_paths": []}"#, &["output_paths"]),
            (r#"{"sending_queue": {"num_consumers": 2}}"#, &["sending_queue"]),
            (r#"{"sending_queue": {"num_consumers": 2, "enabled": false}}"#, &[]),
        ];
        for (settings, fields) in cases {
            let config: DebugConfig = serde_json::from_str(settings).expect(settings);
            assert_eq!(Problems::of(|p| config.validate(p)).keys(), fields, "{settings}");
        }
        serde_json::from_str::<DebugConfig>(r#"{"verbosity": "loud"}"#).expect_err("no such level");
    }

    #[test]
    fn the_words_of_the_logging_exporter_are_understood() {
        // (settings, verbosity)
        let cases = [
            (r#"{"loglevel": "debug"}"#, Verbosity::Detailed),
            (r#"{"loglevel": "INFO"}"#, Verbosity::Normal),
            (r#"{"loglevel": "warn"}"#, Verbosity::Basic),
            ("{}", Verbosity::Basic),
        ];
        for (settings, verbosity) in cases {
            let config: DebugConfig = serde_json::from_str(settings).expect(settings);
            assert_eq!(config.effective_verbosity(), verbosity, "{settings}");
            let problems = Problems::of(|p| config.validate(p));
            assert_eq!(problems.warnings().count(), usize::from(settings != "{}"), "{settings}");
            assert!(!problems.has_errors());
        }
    }
}
