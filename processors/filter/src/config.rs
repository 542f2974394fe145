mod legacy;

use phoenix_attributes::MatchSettings;
use phoenix_config::{Described, Problems, Settings};
use phoenix_pdata::Signal;
use phoenix_statements::{ConditionGroup, ErrorMode, Groups};
use serde::Deserialize;

pub use legacy::{LogMatchSettings, MetricMatchSettings, MetricMatchType, NamedSeveritySettings};

/// Settings of the `filter` processor: otelcol's keys. Whatever meets a condition is dropped.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct FilterConfig {
    /// What becomes of errors in conditions.
    pub error_mode: ErrorMode,
    /// Conditions for resources, scopes, spans and span events.
    pub trace_conditions: Groups<ConditionGroup>,
    /// Conditions for resources, scopes, metrics and data points.
    pub metric_conditions: Groups<ConditionGroup>,
    /// Conditions for resources, scopes and log records.
    pub log_conditions: Groups<ConditionGroup>,
    /// Conditions for profiles.
    #[described(no_effect = "no pipeline carries profiles")]
    pub profile_conditions: Groups<ConditionGroup>,
    /// Conditions for traces, by what they are evaluated for.
    pub traces: TraceFilters,
    /// Conditions for metrics, by what they are evaluated for; or what to keep and drop by name.
    pub metrics: MetricFilters,
    /// Conditions for logs, by what they are evaluated for; or what to keep and drop by what a record is like.
    pub logs: LogFilters,
    /// What spans to keep and drop by what they are like.
    pub spans: SpanFilters,
    /// Conditions for profiles.
    #[described(no_effect = "no pipeline carries profiles")]
    pub profiles: ProfileFilters,
}

/// Conditions for traces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct TraceFilters {
    /// For resources.
    pub resource: Vec<String>,
    /// For spans.
    pub span: Vec<String>,
    /// For span events; a span stays without any.
    pub spanevent: Vec<String>,
}

/// Conditions for metrics.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct MetricFilters {
    /// For resources.
    pub resource: Vec<String>,
    /// For metrics.
    pub metric: Vec<String>,
    /// For data points; a metric that is left without any goes.
    pub datapoint: Vec<String>,
    /// The metrics to keep.
    pub include: Option<MetricMatchSettings>,
    /// The metrics to drop, of those that are kept.
    pub exclude: Option<MetricMatchSettings>,
    /// Settings of regular expressions.
    #[described(no_effect = "matching takes no longer than looking up what was remembered")]
    pub regexp: phoenix_attributes::Regexp,
}

/// Conditions for logs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct LogFilters {
    /// For resources.
    pub resource: Vec<String>,
    /// For log records.
    pub log_record: Vec<String>,
    /// The records to keep.
    pub include: Option<LogMatchSettings>,
    /// The records to drop, of those that are kept.
    pub exclude: Option<LogMatchSettings>,
}

/// Spans to keep and to drop.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct SpanFilters {
    /// The spans to keep.
    pub include: Option<MatchSettings>,
    /// The spans to drop, of those that are kept.
    pub exclude: Option<MatchSettings>,
}

/// Conditions for profiles, which nothing evaluates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ProfileFilters {
    /// For resources.
    pub resource: Vec<String>,
    /// For profiles.
    pub profile: Vec<String>,
}

/// Conditions of one signal by context, each with the key that it stands at.
pub(crate) type ByContext<'a> = Vec<(&'static str, &'static str, &'a [String])>;

impl FilterConfig {
    /// The conditions of a signal that stand under a context: its name, the key, the conditions.
    pub(crate) fn by_context(&self, signal: Signal) -> ByContext<'_> {
        let lists: ByContext<'_> = match signal {
            Signal::Traces => vec![
                ("resource", "traces::resource", &self.traces.resource),
                ("span", "traces::span", &self.traces.span),
                ("spanevent", "traces::spanevent", &self.traces.spanevent),
            ],
            Signal::Metrics => vec![
                ("resource", "metrics::resource", &self.metrics.resource),
                ("metric", "metrics::metric", &self.metrics.metric),
                ("datapoint", "metrics::datapoint", &self.metrics.datapoint),
            ],
            Signal::Logs => vec![
                ("resource", "logs::resource", &self.logs.resource),
                ("log", "logs::log_record", &self.logs.log_record),
            ],
        };
        lists.into_iter().filter(|(_, _, conditions)| !conditions.is_empty()).collect()
    }

    /// The conditions of a signal whose paths say what they are about, and their key.
    pub(crate) fn groups(&self, signal: Signal) -> (&'static str, &Groups<ConditionGroup>) {
        match signal {
            Signal::Traces => ("trace_conditions", &self.trace_conditions),
            Signal::Metrics => ("metric_conditions", &self.metric_conditions),
            Signal::Logs => ("log_conditions", &self.log_conditions),
        }
    }

    /// Whether `include` or `exclude` is there for a signal, and the key that they stand at.
    fn has_matching(&self, signal: Signal) -> (&'static str, bool) {
        match signal {
            Signal::Traces => ("spans", self.spans.include.is_some() || self.spans.exclude.is_some()),
            Signal::Metrics => ("metrics", self.metrics.include.is_some() || self.metrics.exclude.is_some()),
            Signal::Logs => ("logs", self.logs.include.is_some() || self.logs.exclude.is_some()),
        }
    }
}

impl Settings for FilterConfig {
    fn validate(&self, problems: &mut Problems) {
        for signal in Signal::ALL {
            let by_context = self.by_context(signal);
            let (key, groups) = self.groups(signal);
            if let (Some((_, other, _)), false) = (by_context.first(), groups.is_empty()) {
                problems
                    .error(key, format!("cannot be used together with `{other}`: put all conditions here"));
            }
            let (matching, is_there) = self.has_matching(signal);
            if is_there && (!by_context.is_empty() || !groups.is_empty()) {
                problems.error(matching, "conditions and `include` or `exclude` cannot be used together");
            }
        }
        legacy::validate(self, problems);
        crate::conditions::validate(self, problems);
        if self.metrics.regexp != phoenix_attributes::Regexp::default() {
            problems.warn("metrics::regexp", legacy::NOTHING_REMEMBERED);
        }
        if !self.profile_conditions.is_empty() {
            problems.warn("profile_conditions", "has no effect: no pipeline carries profiles");
        }
        if self.profiles != ProfileFilters::default() {
            problems.warn("profiles", "has no effect: no pipeline carries profiles");
        }
    }
}
