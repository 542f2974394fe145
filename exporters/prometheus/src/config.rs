//! Settings, under otelcol's keys and with its defaults.

use std::collections::BTreeMap;

use phoenix_component::Touch;
use phoenix_config::{Described, GoDuration, Problems, Settings};
use phoenix_prometheus::{Naming, Options, Strategy};
use phoenix_transport::probe;
use phoenix_transport::settings::{NotYet, refuse};
use phoenix_transport::side_server_settings;
use serde::Deserialize;

/// Why there is no queue.
const NO_QUEUE: &str = "nothing waits here: points are kept in memory as they come";
/// Why there are no `resource_constant_labels`.
const NO_CONSTANT: &str = "use `resource_to_telemetry_conversion`, or `target_info` in queries";

side_server_settings! {
    /// Settings of the `prometheus` exporter.
    pub struct PrometheusConfig at "" {
        /// Stands before the name of each metric, with an underscore.
        pub namespace: String = String::new(),
        /// Labels of every series that does not have them already.
        pub const_labels: BTreeMap<String, String> = BTreeMap::new(),
        /// Whether samples carry the time of their points.
        pub send_timestamps: bool = false,
        /// For how long a series is shown after its last point.
        pub metric_expiration: GoDuration = GoDuration::from_secs(300),
        /// Whether scrapers that ask for OpenMetrics get it, with exemplars.
        pub enable_open_metrics: bool = false,
        /// Whether names end in units and types. Without effect where `translation_strategy` is set.
        pub add_metric_suffixes: bool = true,
        /// How names become those of Prometheus.
        #[described(words(
            "",
            "UnderscoreEscapingWithSuffixes",
            "UnderscoreEscapingWithoutSuffixes",
            "NoUTF8EscapingWithSuffixes",
            "NoTranslation"
        ))]
        pub translation_strategy: String = String::new(),
        /// Whether series have no labels for the scope.
        pub without_scope_info: bool = false,
        /// Attributes of the resource as labels.
        pub resource_to_telemetry_conversion: ResourceConversion = ResourceConversion::default(),
        /// Some attributes of the resource as labels.
        #[described(unsupported = NO_CONSTANT)]
        pub resource_constant_labels: NotYet = None,
        /// The queue in front.
        #[described(unsupported = NO_QUEUE)]
        pub sending_queue: NotYet = None,
        /// Series that are kept, each bucket one; beyond that new ones are refused and counted. Not in otelcol.
        #[described(min = 1)]
        pub max_series: i64 = 1_000_000,
    }
}

/// `resource_to_telemetry_conversion`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ResourceConversion {
    /// Whether attributes of the resource become labels.
    pub enabled: bool,
    /// Whether those that `job` and `instance` are made of do not.
    pub exclude_service_attributes: bool,
}

impl Settings for PrometheusConfig {
    fn validate(&self, problems: &mut Problems) {
        if self.endpoint.is_empty() {
            problems.error_with_help("endpoint", "must be specified", "for example `localhost:8889`");
        }
        self.validate_listener(problems);
        refuse(problems, "resource_constant_labels", &self.resource_constant_labels, NO_CONSTANT);
        refuse(problems, "sending_queue", &self.sending_queue, NO_QUEUE);
        problems.require(
            !self.metric_expiration.is_zero(),
            "metric_expiration",
            "must be longer than zero: no series would be shown",
        );
        problems.require(self.max_series > 0, "max_series", "must be at least 1");
        if !self.translation_strategy.is_empty() && Strategy::parse(&self.translation_strategy).is_none() {
            problems.error_with_help(
                "translation_strategy",
                format!("invalid translation_strategy {:?}", self.translation_strategy),
                format!("one of {}", Strategy::NAMES.join(", ")),
            );
        }
    }
}

impl PrometheusConfig {
    /// What a start would reach out to: its listener.
    pub(crate) fn touches(&self) -> Vec<Touch> {
        vec![probe::listen("endpoint", self.transport, &self.endpoint)]
    }

    /// How metrics are translated.
    pub(crate) fn translation(&self) -> Options {
        let by_suffixes =
            if self.add_metric_suffixes { Strategy::EscapedWithSuffixes } else { Strategy::Escaped };
        let strategy = Strategy::parse(&self.translation_strategy).unwrap_or(by_suffixes);
        let naming = Naming { namespace: self.namespace.clone(), strategy };
        let constant = self.const_labels.iter();
        let external_labels = constant.map(|(name, value)| (naming.label(name).into_owned(), value.clone()));
        Options {
            external_labels: external_labels.collect(),
            naming,
            resource_labels: self.resource_to_telemetry_conversion.enabled,
            exclude_service_attributes: self.resource_to_telemetry_conversion.exclude_service_attributes,
            scope_labels: !self.without_scope_info,
            target_info: true,
            created: false,
            deltas: true,
        }
    }
}
