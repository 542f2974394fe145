use phoenix_config::{Described, Problems, Settings};
use phoenix_pdata::Signal;
use phoenix_statements::{ErrorMode, Groups, StatementGroup};
use serde::Deserialize;

/// Settings of the `transform` processor: otelcol's keys.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct TransformConfig {
    /// What becomes of errors in statements and conditions.
    pub error_mode: ErrorMode,
    /// Statements for resources, scopes, spans and span events.
    pub trace_statements: Groups<StatementGroup>,
    /// Statements for resources, scopes, metrics and data points.
    pub metric_statements: Groups<StatementGroup>,
    /// Statements for resources, scopes and log records.
    pub log_statements: Groups<StatementGroup>,
    /// Statements for profiles.
    #[described(no_effect = "no pipeline carries profiles")]
    pub profile_statements: Groups<StatementGroup>,
    /// Gives each log record a resource and a scope of its own while statements run.
    #[described(unsupported = "its gate transform.flatten.logs is off in otelcol, too")]
    pub flatten_data: bool,
}

impl TransformConfig {
    /// The statements of a signal, and the key that they stand at.
    pub(crate) fn groups(&self, signal: Signal) -> (&'static str, &Groups<StatementGroup>) {
        match signal {
            Signal::Traces => ("trace_statements", &self.trace_statements),
            Signal::Metrics => ("metric_statements", &self.metric_statements),
            Signal::Logs => ("log_statements", &self.log_statements),
        }
    }
}

impl Settings for TransformConfig {
    fn validate(&self, problems: &mut Problems) {
        problems.require(
            !self.flatten_data,
            "flatten_data",
            "is not supported: its gate transform.flatten.logs is off in otelcol, too",
        );
        if !self.profile_statements.is_empty() {
            problems.warn("profile_statements", "has no effect: no pipeline carries profiles");
        }
        for signal in Signal::ALL {
            crate::program::validate(self, signal, problems);
        }
    }
}
