use std::collections::BTreeMap;

use phoenix_attributes::Literal;
use phoenix_config::{Described, Problems, Settings};
use phoenix_ottl::Context;
use phoenix_pdata::Signal;
use phoenix_statements::{report, sources};
use serde::Deserialize;

use crate::counter::program;

/// Metrics by name.
pub(crate) type Counts = BTreeMap<String, CountSettings>;

/// Settings of the `count` connector: otelcol's keys. What is counted has a default metric, which metrics of one's own
/// replace.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct CountConfig {
    /// Metrics that count spans, by name.
    pub spans: Counts,
    /// Metrics that count span events.
    pub spanevents: Counts,
    /// Metrics that count metrics.
    pub metrics: Counts,
    /// Metrics that count data points.
    pub datapoints: Counts,
    /// Metrics that count log records.
    pub logs: Counts,
}

/// A metric that counts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct CountSettings {
    /// Its description.
    pub description: String,
    /// What is counted: what meets one of these; without any, everything.
    pub conditions: Vec<String>,
    /// Attributes by which it is counted: of the record, else of its scope or resource. What lacks one is not counted.
    pub attributes: Vec<AttributeSettings>,
}

/// An attribute by which is counted.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct AttributeSettings {
    /// Its key.
    #[described(required)]
    pub key: String,
    /// What counts as its value where it is not there.
    pub default_value: Literal,
}

fn only(name: &str, description: &str) -> Counts {
    let settings = CountSettings { description: description.into(), ..CountSettings::default() };
    BTreeMap::from([(name.into(), settings)])
}

impl Default for CountConfig {
    fn default() -> CountConfig {
        CountConfig {
            spans: only("trace.span.count", "The number of spans observed."),
            spanevents: only("trace.span.event.count", "The number of span events observed."),
            metrics: only("metric.count", "The number of metrics observed."),
            datapoints: only("metric.datapoint.count", "The number of data points observed."),
            logs: only("log.record.count", "The number of log records observed."),
        }
    }
}

impl CountConfig {
    /// What is counted of which signal, with the key of its settings.
    pub(crate) fn lists(&self) -> [(&'static str, Signal, Context, &Counts); 5] {
        [
            ("spans", Signal::Traces, Context::Span, &self.spans),
            ("spanevents", Signal::Traces, Context::SpanEvent, &self.spanevents),
            ("metrics", Signal::Metrics, Context::Metric, &self.metrics),
            ("datapoints", Signal::Metrics, Context::DataPoint, &self.datapoints),
            ("logs", Signal::Logs, Context::Log, &self.logs),
        ]
    }
}

impl Settings for CountConfig {
    fn validate(&self, problems: &mut Problems) {
        for (list, signal, context, counts) in self.lists() {
            for (name, settings) in counts {
                if name.is_empty() {
                    problems.error(list, "a metric has no name");
                    continue;
                }
                problems.within(&format!("{list}::{name}"), |problems| {
                    if let Err(found) = program(settings, signal, context) {
                        report(&found, &sources("conditions", &settings.conditions), "conditions", problems);
                    }
                    if context == Context::Metric {
                        problems.require(
                            settings.attributes.is_empty(),
                            "attributes",
                            "metrics have no attributes",
                        );
                    }
                    for (index, attribute) in settings.attributes.iter().enumerate() {
                        let key = format!("attributes::{index}::key");
                        problems.require(!attribute.key.is_empty(), &key, "must not be empty");
                    }
                });
            }
        }
    }
}
