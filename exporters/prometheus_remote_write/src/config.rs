//! Settings, under otelcol's keys and with its defaults.

use std::collections::BTreeMap;

use phoenix_component::Touch;
use phoenix_config::{Block, Capability, ComponentId, Described, GoDuration, OpaqueMap, Problems, Settings};
use phoenix_delivery::{QueueSettings, RetrySettings};
use phoenix_prometheus::{Naming, Options, Strategy};
use phoenix_transport::compression::Encoding;
use phoenix_transport::endpoint::http_url;
use phoenix_transport::probe;
use phoenix_transport::settings::{
    AuthSettings, Compression, CompressionParams, Cookies, HttpClientBlock, NotYet, TlsClientSettings,
    WITH_EXTENSIONS, refuse, validate_http_client,
};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::requests::Version;

/// Why there is no `wal`.
const NO_WAL: &str =
    "name a file_storage extension in `remote_write_queue::storage`, which keeps what waits on disk";

/// Settings of the `prometheus_remote_write` exporter.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct RemoteWriteConfig {
    /// The URL to which requests are posted.
    #[described(required)]
    pub endpoint: String,
    /// A proxy for everything, in the place of the environment's.
    pub proxy_url: String,
    /// TLS, for `https`.
    pub tls: TlsClientSettings,
    /// Of no effect.
    #[described(no_effect = "buffers are sized by need")]
    pub read_buffer_size: i64,
    /// Of no effect.
    #[described(no_effect = "buffers are sized by need")]
    pub write_buffer_size: i64,
    /// For a whole request; 0 is no limit.
    pub timeout: GoDuration,
    /// Headers of every request.
    pub headers: OpaqueMap,
    /// The extension that adds credentials.
    pub auth: Block<AuthSettings>,
    /// Always `snappy`: the protocol has nothing else.
    pub compression: Compression,
    /// snappy has no levels.
    pub compression_params: CompressionParams,
    /// Idle connections to keep; 0 is no limit.
    pub max_idle_conns: i64,
    /// Idle connections to keep for each host; 0 is as many as `max_idle_conns` allows.
    pub max_idle_conns_per_host: i64,
    /// Connections to each host; 0 is no limit.
    pub max_conns_per_host: i64,
    /// How long idle connections are kept; 0 is for ever.
    pub idle_conn_timeout: GoDuration,
    /// A connection serves one request.
    pub disable_keep_alives: bool,
    /// Offers HTTP/2 in the TLS handshake.
    pub force_attempt_http2: bool,
    /// Silence on HTTP/2 connections after which a ping is sent; 0 is never.
    pub http2_read_idle_timeout: GoDuration,
    /// Silence after the ping for which the connection is given up; 0 is 15 s.
    pub http2_ping_timeout: GoDuration,
    /// Cookies that the server sets are sent back to it.
    pub cookies: Block<Cookies>,
    /// Extensions that requests go through.
    #[described(unsupported = WITH_EXTENSIONS)]
    pub middlewares: Vec<IgnoredAny>,
    /// The client's settings in a block of their own.
    #[described(unsupported = "write its keys beside `endpoint`")]
    pub http: NotYet,
    /// Stands before the name of each metric, with an underscore.
    pub namespace: String,
    /// Labels of every series that does not have them already.
    pub external_labels: BTreeMap<String, String>,
    /// Repetition of failed attempts.
    pub retry_on_failure: RetrySettings,
    /// The queue in front.
    pub remote_write_queue: RemoteWriteQueue,
    /// Requests are cut before they are larger than this, uncompressed.
    #[described(min = 1)]
    pub max_batch_size_bytes: i64,
    /// Requests of one batch that are under way at once; 1, which keeps the order of samples, where it is not set.
    pub max_batch_request_parallelism: Option<i64>,
    /// Whether names end in units and types. Without effect where `translation_strategy` is set.
    pub add_metric_suffixes: bool,
    /// How names become those of Prometheus.
    #[described(words(
        "",
        "UnderscoreEscapingWithSuffixes",
        "UnderscoreEscapingWithoutSuffixes",
        "NoUTF8EscapingWithSuffixes",
        "NoTranslation"
    ))]
    pub translation_strategy: String,
    /// Whether type, description and unit of metrics are sent. Version 2 always has them.
    pub send_metadata: bool,
    /// Whether series have no labels for the scope.
    pub disable_scope_info: bool,
    /// A series `target_info` for each resource.
    pub target_info: TargetInfo,
    /// Series that say when others began.
    pub export_created_metric: CreatedMetric,
    /// Attributes of the resource as labels.
    pub resource_to_telemetry_conversion: ResourceConversion,
    /// The version of the protocol, by the name of its message.
    #[described(words("prometheus.WriteRequest", "io.prometheus.write.v2.Request"))]
    pub protobuf_message: String,
    /// The write-ahead log.
    #[described(unsupported = NO_WAL)]
    pub wal: NotYet,
}

/// `remote_write_queue`.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct RemoteWriteQueue {
    /// Whether there is one; without, senders wait for the delivery.
    pub enabled: bool,
    /// Batches that it holds.
    #[described(min = 1)]
    pub queue_size: i64,
    /// Batches that are sent at once. With more than one, samples of a series may overtake each other.
    #[described(min = 1)]
    pub num_consumers: i64,
    /// The extension that keeps it on disk. Not in otelcol.
    #[described(names = Capability::Storage)]
    pub storage: Option<ComponentId>,
}

/// `target_info`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct TargetInfo {
    /// Whether it is sent.
    pub enabled: bool,
}

/// `export_created_metric`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct CreatedMetric {
    /// Whether there are series that end in `_created`.
    pub enabled: bool,
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

impl Default for TargetInfo {
    fn default() -> TargetInfo {
        TargetInfo { enabled: true }
    }
}

impl Default for RemoteWriteQueue {
    fn default() -> RemoteWriteQueue {
        RemoteWriteQueue { enabled: true, queue_size: 10_000, num_consumers: 5, storage: None }
    }
}

impl Default for RemoteWriteConfig {
    fn default() -> RemoteWriteConfig {
        let http = HttpClientBlock::default();
        RemoteWriteConfig {
            endpoint: String::new(),
            proxy_url: http.proxy_url,
            tls: http.tls,
            read_buffer_size: http.read_buffer_size,
            write_buffer_size: http.write_buffer_size,
            timeout: GoDuration::from_secs(5),
            headers: http.headers,
            auth: http.auth,
            compression: Compression(Encoding::Snappy),
            compression_params: http.compression_params,
            max_idle_conns: http.max_idle_conns,
            max_idle_conns_per_host: http.max_idle_conns_per_host,
            max_conns_per_host: http.max_conns_per_host,
            idle_conn_timeout: http.idle_conn_timeout,
            disable_keep_alives: http.disable_keep_alives,
            force_attempt_http2: http.force_attempt_http2,
            http2_read_idle_timeout: http.http2_read_idle_timeout,
            http2_ping_timeout: http.http2_ping_timeout,
            cookies: http.cookies,
            middlewares: Vec::new(),
            http: None,
            namespace: String::new(),
            external_labels: BTreeMap::new(),
            retry_on_failure: RetrySettings {
                initial_interval: GoDuration::from_millis(50),
                ..RetrySettings::default()
            },
            remote_write_queue: RemoteWriteQueue::default(),
            max_batch_size_bytes: 3_000_000,
            max_batch_request_parallelism: None,
            add_metric_suffixes: true,
            translation_strategy: String::new(),
            send_metadata: false,
            disable_scope_info: false,
            target_info: TargetInfo::default(),
            export_created_metric: CreatedMetric::default(),
            resource_to_telemetry_conversion: ResourceConversion::default(),
            protobuf_message: "prometheus.WriteRequest".to_owned(),
            wal: None,
        }
    }
}

impl Settings for RemoteWriteConfig {
    fn validate(&self, problems: &mut Problems) {
        self.validate_endpoint(problems);
        validate_http_client(&self.http(), problems);
        if self.compression.0 != Encoding::Snappy {
            problems.error("compression", "compression type must be snappy");
        }
        refuse(problems, "http", &self.http, "write its keys beside `endpoint`");
        refuse(problems, "wal", &self.wal, NO_WAL);
        problems.within("retry_on_failure", |problems| self.retry_on_failure.validate(problems));
        problems.require(
            self.retry_on_failure.extra_codes.is_empty(),
            "retry_on_failure::extra_codes",
            "is not supported here: 429 and every 5xx are tried again, nothing else is",
        );
        let queue = &self.remote_write_queue;
        problems.require(
            queue.queue_size > 0,
            "remote_write_queue::queue_size",
            "remote write queue size can't be negative or zero",
        );
        problems.require(
            queue.num_consumers > 0,
            "remote_write_queue::num_consumers",
            "remote write consumer number can't be negative or zero",
        );
        problems.require(
            self.max_batch_size_bytes > 0,
            "max_batch_size_bytes",
            "max_batch_byte_size must be greater than 0",
        );
        problems.require(
            self.max_batch_request_parallelism.is_none_or(|number| number > 0),
            "max_batch_request_parallelism",
            "max_batch_request_parallelism can't be set to below 1",
        );
        if !self.translation_strategy.is_empty() && Strategy::parse(&self.translation_strategy).is_none() {
            problems.error_with_help(
                "translation_strategy",
                format!("invalid translation_strategy {:?}", self.translation_strategy),
                format!("one of {}", Strategy::NAMES.join(", ")),
            );
        }
        if self.version().is_none() {
            problems.error_with_help(
                "protobuf_message",
                format!("unknown remote write protobuf message {:?}", self.protobuf_message),
                "prometheus.WriteRequest or io.prometheus.write.v2.Request",
            );
        }
        for (name, value) in &self.external_labels {
            if name.is_empty() || value.is_empty() {
                problems.error(
                    "external_labels",
                    "prometheus remote write: external labels configuration contains an empty key or value",
                );
            }
        }
    }
}

impl RemoteWriteConfig {
    fn validate_endpoint(&self, problems: &mut Problems) {
        if self.endpoint.is_empty() {
            problems.error("endpoint", "must be specified: the URL of a remote write receiver");
        } else if let Err(reason) = http_url(&self.endpoint) {
            let help = "for example `http://prometheus:9090/api/v1/write`";
            problems.error_with_help("endpoint", format!("must be a valid URL: {reason}"), help);
        }
    }

    /// The client's part of the settings.
    pub(crate) fn http(&self) -> HttpClientBlock {
        HttpClientBlock {
            endpoint: self.endpoint.clone(),
            proxy_url: self.proxy_url.clone(),
            tls: self.tls.clone(),
            read_buffer_size: self.read_buffer_size,
            write_buffer_size: self.write_buffer_size,
            timeout: self.timeout,
            headers: self.headers.clone(),
            auth: self.auth.clone(),
            compression: self.compression,
            compression_params: self.compression_params.clone(),
            max_idle_conns: self.max_idle_conns,
            max_idle_conns_per_host: self.max_idle_conns_per_host,
            max_conns_per_host: self.max_conns_per_host,
            idle_conn_timeout: self.idle_conn_timeout,
            disable_keep_alives: self.disable_keep_alives,
            force_attempt_http2: self.force_attempt_http2,
            http2_read_idle_timeout: self.http2_read_idle_timeout,
            http2_ping_timeout: self.http2_ping_timeout,
            cookies: self.cookies.clone(),
            middlewares: Vec::new(),
        }
    }

    /// The queue, if there is one.
    pub(crate) fn queue(&self) -> Option<QueueSettings> {
        let queue = &self.remote_write_queue;
        queue.enabled.then(|| QueueSettings {
            queue_size: queue.queue_size,
            num_consumers: queue.num_consumers,
            storage: queue.storage.clone(),
            ..QueueSettings::default()
        })
    }

    /// The version of the protocol.
    pub(crate) fn version(&self) -> Option<Version> {
        match self.protobuf_message.as_str() {
            "prometheus.WriteRequest" => Some(Version::One),
            "io.prometheus.write.v2.Request" => Some(Version::Two),
            _ => None,
        }
    }

    /// How metrics are translated.
    pub(crate) fn translation(&self) -> Options {
        let by_suffixes =
            if self.add_metric_suffixes { Strategy::EscapedWithSuffixes } else { Strategy::Escaped };
        let strategy = Strategy::parse(&self.translation_strategy).unwrap_or(by_suffixes);
        let naming = Naming { namespace: self.namespace.clone(), strategy };
        let label = |name: &String| match name.starts_with("__") && name.ends_with("__") {
            true => name.clone(),
            false => naming.label(name).into_owned(),
        };
        let external = self.external_labels.iter().map(|(name, value)| (label(name), value.clone()));
        Options {
            external_labels: external.collect(),
            naming,
            resource_labels: self.resource_to_telemetry_conversion.enabled,
            exclude_service_attributes: self.resource_to_telemetry_conversion.exclude_service_attributes,
            scope_labels: !self.disable_scope_info,
            target_info: self.target_info.enabled,
            created: self.export_created_metric.enabled,
            deltas: false,
        }
    }

    /// The server, and the files of TLS.
    pub(crate) fn touches(&self) -> Vec<Touch> {
        let url = http_url(&self.endpoint).ok();
        let server =
            url.and_then(|url| probe::http_server("endpoint", &url, &self.tls, self.force_attempt_http2));
        let mut touches: Vec<Touch> = server.into_iter().collect();
        touches.extend(probe::client_files("tls", &self.tls));
        touches
    }
}

#[cfg(test)]
mod tests {
    use phoenix_component::harness::settings_of_example;

    use super::*;

    #[test]
    fn the_example_of_the_readme_is_valid() {
        let config: RemoteWriteConfig =
            settings_of_example(include_str!("../README.md"), "exporters::prometheus_remote_write");
        let options = config.translation();
        assert!(options.resource_labels && options.scope_labels && options.target_info);
        assert_eq!(options.external_labels, [("cluster".to_owned(), "eu-1".to_owned())]);
    }

    #[test]
    fn rejects_bad_settings_and_names_the_key() {
        // (settings beside the endpoint, key that the error names)
        let cases = [
            (r#""compression": "gzip""#, "compression"),
            (r#""wal": {"directory": "/x"}"#, "wal"),
            (r#""http": {"endpoint": "http://x"}"#, "http"),
            (r#""remote_write_queue": {"queue_size": 0}"#, "remote_write_queue::queue_size"),
            (r#""remote_write_queue": {"num_consumers": 0}"#, "remote_write_queue::num_consumers"),
            (r#""max_batch_size_bytes": 0"#, "max_batch_size_bytes"),
            (r#""max_batch_request_parallelism": 0"#, "max_batch_request_parallelism"),
            (r#""translation_strategy": "None""#, "translation_strategy"),
            (r#""protobuf_message": "v3""#, "protobuf_message"),
            (r#""external_labels": {"a": ""}"#, "external_labels"),
            (r#""retry_on_failure": {"extra_codes": [400]}"#, "retry_on_failure::extra_codes"),
            (r#""timeout": "-1s""#, "timeout"),
            (r#""endpoint": "prometheus:9090""#, "endpoint"),
            (r#""endpoint": """#, "endpoint"),
        ];
        for (settings, key) in cases {
            let endpoint = if settings.contains("endpoint\":") && key == "endpoint" {
                ""
            } else {
                r#""endpoint": "http://h/w", "#
            };
            let text = format!("{{{endpoint}{settings}}}");
            let config: RemoteWriteConfig = serde_json::from_str(&text).expect(&text);
            assert_eq!(Problems::of(|problems| config.validate(problems)).keys(), [key], "{text}");
        }
        let config: RemoteWriteConfig = serde_json::from_str(r#"{"endpoint": "https://h/w"}"#).expect("read");
        assert!(Problems::of(|problems| config.validate(problems)).keys().is_empty());
        assert!(serde_json::from_str::<RemoteWriteConfig>(r#"{"sending_queue": {}}"#).is_err());
    }
}
