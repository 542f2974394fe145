//! `service::telemetry::metrics`: the level, who reads, and how.

mod views;

use std::time::Duration;

use phoenix_config::{Described, Level, Opaque, OpaqueMap, Problems, Settings};
use phoenix_telemetry::prometheus;
use phoenix_telemetry::view::{Selection, View};
use serde::Deserialize;
use serde::de::IgnoredAny;

use views::ViewSettings;

/// The collector's own metrics.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MetricsSettings {
    /// How much is told; `none` is nothing, and nobody is served.
    level: Level,
    /// Who gets the metrics; where nothing is said, Prometheus on `localhost:8888`.
    readers: Option<Vec<ReaderSettings>>,
    /// What is told of which instrument, and how.
    views: Vec<ViewSettings>,
    /// What `readers` replaced.
    #[described(deprecated = "use `readers`")]
    address: Option<String>,
}

/// One of these keys.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
struct ReaderSettings {
    /// Whoever asks gets them.
    pull: Option<PullSettings>,
    /// They are sent every so often.
    periodic: Option<PeriodicSettings>,
}

/// A reader that is asked.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
struct PullSettings {
    /// How they are served.
    exporter: PullExporter,
    /// Who adds metrics.
    #[described(unsupported = "there are no other producers of metrics")]
    producers: Option<IgnoredAny>,
    /// Most series of an instrument.
    #[described(unsupported = "the series of own metrics are bounded by the configuration")]
    cardinality_limits: Option<IgnoredAny>,
}

/// How metrics are served.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
struct PullExporter {
    /// In the format of Prometheus, at `/metrics`.
    prometheus: Option<PrometheusSettings>,
}

/// Metrics for Prometheus.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
struct PrometheusSettings {
    /// Where it listens, for example `localhost`.
    #[described(required)]
    host: Option<String>,
    /// The port, for example 8888.
    #[described(required, max = 65_535)]
    port: Option<i64>,
    /// Leaves out `otel_scope_name` and the like; on where nothing is said.
    without_scope_info: Option<bool>,
    /// Leaves out the unit at the end of names; on where nothing is said.
    without_units: Option<bool>,
    /// Leaves out `_total`; on where nothing is said.
    without_type_suffix: Option<bool>,
    /// Attributes of the resource that every series has.
    with_resource_constant_labels: Option<SelectionSettings>,
}

/// Some of all names.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
struct SelectionSettings {
    /// Patterns of names that are taken; all where nothing is said.
    included: Option<Vec<String>>,
    /// Patterns of names among them that are not.
    excluded: Vec<String>,
}

/// A reader that sends.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
struct PeriodicSettings {
    /// Milliseconds from one time to the next.
    interval: i64,
    /// Milliseconds that one time may take.
    timeout: i64,
    /// Where they are sent.
    exporter: PushExporter,
    /// Who adds metrics.
    #[described(unsupported = "there are no other producers of metrics")]
    producers: Option<IgnoredAny>,
    /// Most series of an instrument.
    #[described(unsupported = "the series of own metrics are bounded by the configuration")]
    cardinality_limits: Option<IgnoredAny>,
}

impl Default for PeriodicSettings {
    fn default() -> PeriodicSettings {
        PeriodicSettings {
            interval: 60_000,
            timeout: 30_000,
            exporter: PushExporter::default(),
            producers: None,
            cardinality_limits: None,
        }
    }
}

/// One of these keys.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
struct PushExporter {
    /// To a backend over OTLP.
    otlp: Option<OtlpSettings>,
    /// To standard output.
    console: Option<ConsoleSettings>,
}

/// There is nothing to be set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
struct ConsoleSettings {}

/// A backend that takes OTLP.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
struct OtlpSettings {
    /// How it is spoken to.
    #[described(required, words("grpc", "http/protobuf"))]
    protocol: Option<String>,
    /// The backend's URL; without a scheme `insecure` decides. `localhost` where nothing is said.
    endpoint: Option<String>,
    /// Whether it is without TLS where the endpoint has no scheme.
    insecure: Option<bool>,
    /// Headers of every request: a list of `{name, value}`, or a map as in version 0.2 of this section.
    headers: OpaqueMap,
    /// Further ones: `name=value`, separated by commas.
    headers_list: Option<Opaque>,
    /// A file with the certificates of authorities that are trusted.
    certificate: Option<String>,
    /// A file with the certificate that is shown.
    client_certificate: Option<String>,
    /// A file with its key.
    client_key: Option<String>,
    /// How requests are compressed.
    #[described(words("none", "gzip"))]
    compression: Option<String>,
    /// Milliseconds that one attempt may take.
    timeout: Option<i64>,
    /// What sums count from.
    #[described(words("cumulative"))]
    temporality_preference: Option<String>,
    /// The buckets of histograms.
    #[described(words("explicit_bucket_histogram"))]
    default_histogram_aggregation: Option<String>,
}

/// Who gets the metrics.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ReaderPlan {
    /// Whoever asks.
    Prometheus { endpoint: String, options: prometheus::Options },
    /// A backend, every so often.
    Push { interval: Duration, timeout: Duration, to: PushTarget },
}

/// Where metrics are pushed to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PushTarget {
    /// Standard output.
    Console,
    /// An OTLP backend.
    Otlp(OtlpTarget),
}

/// An OTLP backend.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OtlpTarget {
    pub(crate) over_http: bool,
    /// With its scheme.
    pub(crate) endpoint: String,
    pub(crate) headers: Vec<(String, Opaque)>,
    pub(crate) certificate: String,
    pub(crate) client_certificate: String,
    pub(crate) client_key: String,
    pub(crate) gzip: bool,
    /// For one attempt.
    pub(crate) timeout: Duration,
}

/// What the section means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MetricsPlan {
    pub(crate) level: phoenix_telemetry::Level,
    pub(crate) readers: Vec<ReaderPlan>,
    pub(crate) views: Vec<View>,
}

impl Default for MetricsPlan {
    /// otelcol's: `http://localhost:8888/metrics` at level normal.
    fn default() -> MetricsPlan {
        MetricsSettings::default().plan()
    }
}

fn refuse_unless_none<T>(problems: &mut Problems, value: &Option<T>, key: &str, why: &str) {
    problems.require(value.is_none(), key, format!("`{key}` is not supported: {why}"));
}

impl Settings for MetricsSettings {
    fn validate(&self, problems: &mut Problems) {
        if self.address.is_some() {
            problems.warn_with_help(
                "address",
                "`address` was replaced by `readers`; it is read as a Prometheus reader at that address",
                "readers: [{pull: {exporter: {prometheus: {host: ..., port: ...}}}}]",
            );
            let well_formed = self.address.as_deref().is_some_and(|address| split_address(address).is_some());
            problems.require(well_formed, "address", "must be host:port");
            problems.require(self.readers.is_none(), "address", "`address` and `readers` exclude each other");
        }
        if self.level != Level::None && self.readers.as_ref().is_some_and(Vec::is_empty) {
            problems.error(
                "readers",
                "collector telemetry metrics reader should exist when metric level is not none",
            );
        }
        for (index, reader) in self.readers.iter().flatten().enumerate() {
            problems.within(&format!("readers::{index}"), |problems| reader.validate(problems));
        }
        if !self.views.is_empty() && self.level != Level::Detailed {
            problems.error(
                "views",
                "service::telemetry::metrics::views can only be set when service::telemetry::metrics::level is detailed",
            );
        }
        for (index, view) in self.views.iter().enumerate() {
            problems.within(&format!("views::{index}"), |problems| view.validate(problems));
        }
    }
}

const ONE_KIND: &str = "a reader has either `pull` or `periodic`";
const NO_PRODUCERS: &str = "there is nothing beside the collector's own instruments";
const FIXED_LIMIT: &str = "each metric may have 2000 series, and what is beyond is counted together";

impl ReaderSettings {
    fn validate(&self, problems: &mut Problems) {
        match (&self.pull, &self.periodic) {
            (Some(pull), None) => problems.within("pull", |problems| {
                refuse_unless_none(problems, &pull.producers, "producers", NO_PRODUCERS);
                refuse_unless_none(problems, &pull.cardinality_limits, "cardinality_limits", FIXED_LIMIT);
                match &pull.exporter.prometheus {
                    None => problems.error_with_help(
                        "exporter",
                        "no valid metric exporter",
                        "a pull reader has the exporter `prometheus`",
                    ),
                    Some(prometheus) => {
                        problems.within("exporter::prometheus", |problems| prometheus.validate(problems));
                    }
                }
            }),
            (None, Some(periodic)) => problems.within("periodic", |problems| periodic.validate(problems)),
            _ => problems.error("", ONE_KIND),
        }
    }

    fn plan(&self) -> Option<ReaderPlan> {
        if let Some(prometheus) = self.pull.as_ref().and_then(|pull| pull.exporter.prometheus.as_ref()) {
            return Some(prometheus.plan());
        }
        let periodic = self.periodic.as_ref()?;
        let to = match &periodic.exporter {
            PushExporter { otlp: Some(otlp), .. } => PushTarget::Otlp(otlp.plan()),
            PushExporter { console: Some(_), .. } => PushTarget::Console,
            _ => return None,
        };
        let (interval, timeout) = (millis(periodic.interval), millis(periodic.timeout));
        Some(ReaderPlan::Push { interval, timeout, to })
    }
}

fn millis(value: i64) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(1).max(1))
}

impl PrometheusSettings {
    fn validate(&self, problems: &mut Problems) {
        problems.require(self.host.is_some(), "host", "host must be specified");
        match self.port {
            None => problems.error("port", "port must be specified"),
            Some(port) => problems.require(u16::try_from(port).is_ok(), "port", "must be from 0 to 65535"),
        }
    }

    fn plan(&self) -> ReaderPlan {
        let host = self.host.as_deref().unwrap_or("localhost");
        let port = self.port.and_then(|port| u16::try_from(port).ok()).unwrap_or(DEFAULT_PORT);
        let options = prometheus::Options {
            without_scope_info: self.without_scope_info.unwrap_or(true),
            without_units: self.without_units.unwrap_or(true),
            without_type_suffix: self.without_type_suffix.unwrap_or(true),
            constant_labels: match &self.with_resource_constant_labels {
                None => Selection::nothing(),
                Some(selection) => selection.plan(),
            },
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        ReaderPlan::Prometheus { endpoint: format!("{host}:{port}"), options }
    }
}

const DEFAULT_PORT: u16 = 8888;

impl SelectionSettings {
    fn plan(&self) -> Selection {
        Selection { included: self.included.clone(), excluded: self.excluded.clone() }
    }
}

impl PeriodicSettings {
    fn validate(&self, problems: &mut Problems) {
        problems.require(self.interval > 0, "interval", "must be positive: milliseconds");
        problems.require(self.timeout > 0, "timeout", "must be positive: milliseconds");
        refuse_unless_none(problems, &self.producers, "producers", NO_PRODUCERS);
        refuse_unless_none(problems, &self.cardinality_limits, "cardinality_limits", FIXED_LIMIT);
        match &self.exporter {
            PushExporter { otlp: Some(otlp), console: None } => {
                problems.within("exporter::otlp", |problems| otlp.validate(problems));
            }
            PushExporter { otlp: None, console: Some(_) } => {}
            PushExporter { otlp: Some(_), console: Some(_) } => {
                problems.error("exporter", "must not specify multiple exporters");
            }
            PushExporter { otlp: None, console: None } => problems.error_with_help(
                "exporter",
                "no valid metric exporter",
                "a periodic reader has the exporter `otlp` or `console: {}`",
            ),
        }
    }
}

impl OtlpSettings {
    fn over_http(&self) -> bool {
        self.protocol.as_deref() == Some("http/protobuf")
    }

    fn validate(&self, problems: &mut Problems) {
        match self.protocol.as_deref() {
            Some("grpc" | "http/protobuf") => {}
            None => problems.error_with_help(
                "protocol",
                "protocol must be specified",
                "`grpc` or `http/protobuf`",
            ),
            Some(other) => problems.error_with_help(
                "protocol",
                format!("unsupported protocol {other:?}"),
                "`grpc` or `http/protobuf`",
            ),
        }
        let compression = self.compression.as_deref().unwrap_or("none");
        problems.require(
            matches!(compression, "gzip" | "none"),
            "compression",
            format!("unsupported compression {compression:?}: `gzip` or `none`"),
        );
        problems.require(
            self.timeout.is_none_or(|timeout| timeout > 0),
            "timeout",
            "must be positive: milliseconds",
        );
        let temporality = self.temporality_preference.as_deref().unwrap_or("cumulative");
        problems.require(
            temporality == "cumulative",
            "temporality_preference",
            format!("{temporality:?} is not supported: sums are cumulative; use the processor of your backend, or scrape"),
        );
        let histograms = self.default_histogram_aggregation.as_deref().unwrap_or(EXPLICIT);
        problems.require(
            histograms == EXPLICIT,
            "default_histogram_aggregation",
            format!("{histograms:?} is not supported: histograms have explicit buckets"),
        );
        problems.require(
            self.client_certificate.is_some() == self.client_key.is_some(),
            "client_certificate",
            "`client_certificate` and `client_key` go together",
        );
        for (name, value) in self.headers.iter() {
            let fine = http::HeaderName::from_bytes(name.as_bytes()).is_ok()
                && http::HeaderValue::from_str(value.reveal()).is_ok();
            problems.require(fine, "headers", format!("header {name:?} cannot be sent"));
        }
        if let Some(list) = &self.headers_list {
            problems.require(
                parse_list(list.reveal()).is_some(),
                "headers_list",
                "must be name=value pairs, separated by commas",
            );
        }
    }

    fn plan(&self) -> OtlpTarget {
        let over_http = self.over_http();
        let default = if over_http { "http://localhost:4318/v1/metrics" } else { "http://localhost:4317" };
        let endpoint = match self.endpoint.as_deref().filter(|endpoint| !endpoint.is_empty()) {
            None => default.to_owned(),
            Some(endpoint) if endpoint.contains("://") => endpoint.to_owned(),
            Some(endpoint) if self.insecure == Some(true) => format!("http://{endpoint}"),
            Some(endpoint) => format!("https://{endpoint}"),
        };
        // A URL without a path means the usual one.
        let path = endpoint.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
        let endpoint = match over_http && path.is_none_or(|(_, path)| path.is_empty()) {
            true => format!("{}/v1/metrics", endpoint.trim_end_matches('/')),
            false => endpoint,
        };
        // Single headers win over those of the list.
        let mut headers =
            self.headers_list.as_ref().and_then(|list| parse_list(list.reveal())).unwrap_or_default();
        headers.retain(|(name, _)| !self.headers.iter().any(|(single, _)| single.eq_ignore_ascii_case(name)));
        headers.extend(self.headers.iter().map(|(name, value)| (name.to_owned(), value.clone())));
        OtlpTarget {
            over_http,
            endpoint,
            headers,
            certificate: self.certificate.clone().unwrap_or_default(),
            client_certificate: self.client_certificate.clone().unwrap_or_default(),
            client_key: self.client_key.clone().unwrap_or_default(),
            gzip: self.compression.as_deref() == Some("gzip"),
            timeout: millis(self.timeout.unwrap_or(10_000)),
        }
    }
}

const EXPLICIT: &str = "explicit_bucket_histogram";

fn parse_list(list: &str) -> Option<Vec<(String, Opaque)>> {
    let pairs = list.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        let fine = http::HeaderName::from_bytes(name.as_bytes()).is_ok()
            && http::HeaderValue::from_str(value).is_ok();
        fine.then(|| (name.to_owned(), Opaque::new(value)))
    };
    pairs.map(pair).collect()
}

/// Host and port of the former `address`; an empty host is every interface.
fn split_address(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    Some((host, port.parse().ok()?))
}

impl MetricsSettings {
    pub(super) fn plan(&self) -> MetricsPlan {
        let level = match self.level {
            Level::None => phoenix_telemetry::Level::None,
            Level::Basic => phoenix_telemetry::Level::Basic,
            Level::Normal => phoenix_telemetry::Level::Normal,
            Level::Detailed => phoenix_telemetry::Level::Detailed,
        };
        let readers = match (&self.readers, self.address.as_deref().and_then(split_address)) {
            _ if self.level == Level::None => Vec::new(),
            (Some(readers), _) => readers.iter().filter_map(ReaderSettings::plan).collect(),
            (None, Some((host, port))) => {
                let reader = PrometheusSettings {
                    host: Some(host.to_owned()),
                    port: Some(i64::from(port)),
                    ..PrometheusSettings::default()
                };
                vec![reader.plan()]
            }
            (None, None) => vec![PrometheusSettings::default().plan()],
        };
        MetricsPlan { level, readers, views: self.views.iter().map(ViewSettings::plan).collect() }
    }
}

#[cfg(test)]
mod tests;
