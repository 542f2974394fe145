//! `service::telemetry::logs`.

mod json;

use std::collections::BTreeMap;
use std::sync::Arc;

use phoenix_config::{Described, GoDuration, Node, Problems, Settings};
use phoenix_telemetry::logs::{Encoding, LogLevel, LogOptions, Output, RecordSink, Sampling, Value};
use serde::Deserialize;

use super::otlp::Processor;
use json::Json;

/// The section, with otelcol's defaults.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LogSettings {
    /// The least severe records that are written: `debug`, `info`, `warn`, `error`, `dpanic`, `panic` or `fatal`.
    level: String,
    /// Whether traces are added from warnings on.
    development: bool,
    /// How records are written.
    encoding: LogEncoding,
    /// Leaves out where in the program a record comes from.
    disable_caller: bool,
    /// Leaves out traces of the program.
    ///
    /// Traces of an asynchronous program say little and cost much: only where asked for.
    disable_stacktrace: Option<bool>,
    /// Leaves out records that repeat.
    sampling: SamplingSettings,
    /// Where records go: `stderr`, `stdout`, a path or `file:///path`.
    output_paths: Vec<String>,
    /// Where the log's own errors go.
    error_output_paths: Vec<String>,
    /// Fields of every record.
    initial_fields: BTreeMap<String, Json>,
    /// Leaves out the attributes of own telemetry.
    disable_zap_resource: bool,
    /// Who else takes records: `batch` or `simple`, with an `otlp` exporter.
    pub(super) processors: Vec<Processor>,
}

impl Default for LogSettings {
    fn default() -> LogSettings {
        LogSettings {
            level: "info".to_owned(),
            development: false,
            encoding: LogEncoding::Console,
            disable_caller: false,
            disable_stacktrace: None,
            sampling: SamplingSettings::default(),
            output_paths: vec!["stderr".to_owned()],
            error_output_paths: vec!["stderr".to_owned()],
            initial_fields: BTreeMap::new(),
            disable_zap_resource: false,
            processors: Vec::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Described)]
#[serde(rename_all = "lowercase")]
enum LogEncoding {
    /// For people.
    Console,
    /// One object a line.
    Json,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(default, deny_unknown_fields)]
struct SamplingSettings {
    /// Whether records are left out at all.
    enabled: bool,
    /// The time over which repetitions are counted.
    tick: GoDuration,
    /// Records of one message that are written in that time.
    initial: u64,
    /// Of the further ones one in so many is written; 0 for none.
    thereafter: u64,
}

impl Default for SamplingSettings {
    fn default() -> SamplingSettings {
        let Sampling { tick, initial, thereafter } = Sampling::default();
        let tick = GoDuration::from_nanos(i64::try_from(tick.as_nanos()).unwrap_or(i64::MAX));
        SamplingSettings { enabled: true, tick, initial, thereafter }
    }
}

impl Settings for LogSettings {
    fn validate(&self, problems: &mut Problems) {
        if let Err(unknown) = self.level.parse::<LogLevel>() {
            problems.error("level", unknown.to_string());
        }
        problems.within("sampling", |problems| {
            problems.require(
                !self.sampling.enabled || self.sampling.tick.is_positive(),
                "tick",
                "must be longer than zero where sampling is enabled",
            );
        });
        for (index, processor) in self.processors.iter().enumerate() {
            problems.within(&format!("processors::{index}"), |problems| processor.validate(problems));
        }
        for (key, paths) in
            [("output_paths", &self.output_paths), ("error_output_paths", &self.error_output_paths)]
        {
            for path in paths {
                if let Err(reason) = output(path) {
                    problems.error(key, reason);
                }
            }
        }
    }
}

/// An output by zap's notation: `stderr`, `stdout`, a path, or `file:///path`.
fn output(path: &str) -> Result<Output, String> {
    match path.split_once("://") {
        None => Ok(match path {
            "" => return Err("an output needs a path".to_owned()),
            "stderr" => Output::Stderr,
            "stdout" => Output::Stdout,
            path => Output::File(path.into()),
        }),
        Some(("file", rest)) => match rest.strip_prefix("localhost").unwrap_or(rest) {
            path if path.starts_with('/') && path.len() > 1 => Ok(Output::File(path.into())),
            _ => Err(format!("{path:?} names no file on this machine: it is `file:///path`")),
        },
        Some((scheme, _)) => {
            Err(format!("no sink found for scheme {scheme:?}: outputs are stderr, stdout and files"))
        }
    }
}

impl LogSettings {
    pub(super) fn read(node: &Node, problems: &mut Problems) -> LogSettings {
        phoenix_config::decode_checked(node, problems).unwrap_or_default()
    }

    /// What the logger is to do. `resource` are the attributes of own telemetry.
    pub(super) fn options(
        &self,
        resource: &[(String, String)],
        also: Option<Arc<dyn RecordSink>>,
    ) -> LogOptions {
        let mut context: Vec<(String, Value)> =
            self.initial_fields.iter().map(|(key, value)| (key.clone(), value.0.clone())).collect();
        if !self.disable_zap_resource {
            let entries = resource.iter().map(|(key, value)| (key.clone(), Value::Text(value.clone())));
            context.push(("resource".to_owned(), Value::Map(entries.collect())));
        }
        let from = if self.development { LogLevel::Warn } else { LogLevel::Error };
        let outputs = |paths: &[String]| paths.iter().filter_map(|path| output(path).ok()).collect();
        LogOptions {
            level: self.level.parse().unwrap_or_default(),
            encoding: match self.encoding {
                LogEncoding::Console => Encoding::Console,
                LogEncoding::Json => Encoding::Json,
            },
            caller: !self.disable_caller,
            stacktrace: (!self.disable_stacktrace.unwrap_or(!self.development)).then_some(from),
            sampling: self.sampling.enabled.then(|| Sampling {
                tick: self.sampling.tick.as_duration(),
                initial: self.sampling.initial,
                thereafter: self.sampling.thereafter,
            }),
            outputs: outputs(&self.output_paths),
            error_outputs: outputs(&self.error_output_paths),
            context,
            also,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(text: &str) -> LogOptions {
        let settings = phoenix_config::decode_text::<LogSettings>(text).expect(text);
        settings.options(&[("service.name".to_owned(), "c".to_owned())], None)
    }

    fn field(key: &str, value: Value) -> (String, Value) {
        (key.to_owned(), value)
    }

    #[test]
    fn every_key_has_its_effect() {
        let resource = field("resource", Value::Map(vec![field("service.name", "c".into())]));
        let options = read("{}");
        assert_eq!(options.level, LogLevel::Info);
        assert_eq!(options.sampling, Some(Sampling::default()));
        assert_eq!((options.outputs, options.error_outputs), (vec![Output::Stderr], vec![Output::Stderr]));
        assert_eq!((options.caller, options.stacktrace), (true, None));
        assert_eq!(options.context, std::slice::from_ref(&resource));

        let options = read(
            "{level: WARN, encoding: json, disable_caller: true, disable_stacktrace: false, \
             sampling: {tick: 1s, initial: 3}, output_paths: [stdout, /tmp/x.log, 'file:///tmp/y.log'], \
             error_output_paths: [], initial_fields: {b: {n: [1, -2.5, null]}, a: true}}",
        );
        assert_eq!((options.level, options.encoding), (LogLevel::Warn, Encoding::Json));
        assert_eq!((options.caller, options.stacktrace), (false, Some(LogLevel::Error)));
        let sampling = Sampling { tick: Duration::from_secs(1), initial: 3, thereafter: 100 };
        assert_eq!(options.sampling, Some(sampling));
        let files = ["/tmp/x.log", "/tmp/y.log"].map(|path| Output::File(path.into()));
        assert_eq!(options.outputs[1..], files);
        assert_eq!((&options.outputs[0], options.error_outputs.len()), (&Output::Stdout, 0));
        let list = Value::List(vec![Value::Int(1), Value::Float(-2.5), Value::Null]);
        let nested = Value::Map(vec![field("n", list)]);
        assert_eq!(options.context, [field("a", Value::Bool(true)), field("b", nested), resource]);

        assert_eq!(read("{development: true}").stacktrace, Some(LogLevel::Warn));
        assert_eq!(read("{development: true, disable_stacktrace: true}").stacktrace, None);
        assert_eq!(read("{sampling: {enabled: false}}").sampling, None);
        assert_eq!(read("{disable_zap_resource: true}").context, []);
    }

    #[test]
    fn mistakes_are_refused_by_name() {
        for (text, key) in [
            ("{level: loud}", "level"),
            ("{encoding: xml}", "encoding"),
            ("{sampling: {tick: 0s}}", "sampling::tick"),
            ("{sampling: {first: 1}}", "sampling::first"),
            ("{output_paths: ['tcp://x']}", "output_paths"),
            ("{error_output_paths: ['']}", "error_output_paths"),
            ("{rotation: {}}", "rotation"),
        ] {
            let problems = phoenix_config::decode_text::<LogSettings>(text).expect_err(text);
            let found: Vec<String> = problems.errors().map(|error| error.path.to_string()).collect();
            assert_eq!(found, [key], "{text}");
        }
    }
}
