//! Where own logs and traces are pushed to: processors and exporters of the declarative configuration.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use phoenix_component::{BuildInfo, Cores};
use phoenix_config::{Described, Opaque, OpaqueMap, Problems};
use phoenix_transport::compression::{Compressor, Encoding};
use phoenix_transport::endpoint::Target;
use phoenix_transport::settings::TlsClientSettings;
use phoenix_transport::tls::{Alpn, TlsConnector};
use phoenix_transport::{grpc, http as web};
use serde::Deserialize;

/// One processor: how records are gathered, and who gets them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Processor {
    /// Gathers records and sends them together.
    batch: Option<Batch>,
    /// Sends every record by itself.
    simple: Option<Simple>,
}

/// `batch`, with the defaults of OpenTelemetry's SDKs; times in milliseconds.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(default, deny_unknown_fields)]
struct Batch {
    /// How long a record waits for others: 5,000 for spans, 1,000 for log records where nothing is said.
    schedule_delay: Option<u64>,
    /// Milliseconds that one attempt may take.
    export_timeout: u64,
    /// Records that wait at the most; further ones are dropped and counted.
    max_queue_size: usize,
    /// Records that are sent together.
    max_export_batch_size: usize,
    /// Where they are sent.
    exporter: Exporter,
}

impl Default for Batch {
    fn default() -> Batch {
        Batch {
            schedule_delay: None,
            export_timeout: 30_000,
            max_queue_size: 2048,
            max_export_batch_size: 512,
            exporter: Exporter::default(),
        }
    }
}

/// Every record by itself.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(default, deny_unknown_fields)]
struct Simple {
    /// Where they are sent.
    exporter: Exporter,
}

/// Where records are sent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(default, deny_unknown_fields)]
struct Exporter {
    /// To a backend over OTLP.
    otlp: Option<Otlp>,
    /// To standard output.
    #[described(unsupported = "use `otlp`; the log itself is on the console")]
    console: Option<Console>,
}

/// Not supported, whatever it holds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(default, deny_unknown_fields)]
struct Console {}

/// A backend that takes OTLP.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(default, deny_unknown_fields)]
struct Otlp {
    /// How it is spoken to.
    #[described(words("grpc", "grpc/protobuf", "http/protobuf"))]
    protocol: String,
    /// The backend's URL; without a scheme `insecure` decides. `localhost` where nothing is said.
    endpoint: String,
    /// Whether it is without TLS where the endpoint has no scheme.
    insecure: Option<bool>,
    /// Headers of every request: a list of `{name, value}`, or a map as in version 0.2 of this section.
    headers: OpaqueMap,
    /// Further ones: `name=value`, separated by commas.
    headers_list: Opaque,
    /// A file with the certificates of authorities that are trusted.
    certificate: String,
    /// A file with the certificate that is shown.
    client_certificate: String,
    /// A file with its key.
    client_key: String,
    /// How requests are compressed.
    #[described(words("", "none", "gzip"))]
    compression: String,
    /// Milliseconds that one attempt may take.
    timeout: u64,
}

impl Default for Otlp {
    fn default() -> Otlp {
        Otlp {
            protocol: "http/protobuf".to_owned(),
            endpoint: String::new(),
            insecure: None,
            headers: OpaqueMap::default(),
            headers_list: Opaque::default(),
            certificate: String::new(),
            client_certificate: String::new(),
            client_key: String::new(),
            compression: String::new(),
            timeout: 10_000,
        }
    }
}

/// How many records are gathered, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rhythm {
    pub(super) delay: Duration,
    pub(super) timeout: Duration,
    pub(super) queue: usize,
    pub(super) batch: usize,
}

impl Processor {
    /// Batches to this URL, with its path.
    pub(super) fn to(endpoint: String, headers: &[(String, Opaque)]) -> Processor {
        let headers = headers.iter().cloned().collect();
        let otlp = Otlp { endpoint, headers, compression: "gzip".to_owned(), ..Otlp::default() };
        let exporter = Exporter { otlp: Some(otlp), console: None };
        Processor { batch: Some(Batch { exporter, ..Batch::default() }), simple: None }
    }

    /// Reports what the types cannot say.
    pub(super) fn validate(&self, problems: &mut Problems) {
        let exporter = match (&self.batch, &self.simple) {
            (Some(batch), None) => {
                problems.within("batch", |problems| {
                    let sizes = batch.max_queue_size > 0 && batch.max_export_batch_size > 0;
                    problems.require(
                        sizes,
                        "",
                        "max_queue_size and max_export_batch_size must be greater than zero",
                    );
                    let fits = batch.max_export_batch_size <= batch.max_queue_size;
                    problems.require(fits, "max_export_batch_size", "must be at most max_queue_size");
                });
                ("batch::exporter", &batch.exporter)
            }
            (None, Some(simple)) => ("simple::exporter", &simple.exporter),
            _ => return problems.error("", "must be one of `batch` and `simple`"),
        };
        let (key, exporter) = exporter;
        problems.within(key, |problems| match (&exporter.otlp, &exporter.console) {
            (Some(otlp), None) => problems.within("otlp", |problems| otlp.validate(problems)),
            (_, Some(_)) => problems.error_with_help(
                "console",
                "the console exporter of own telemetry is not supported",
                "use `otlp`; the log itself is on the console",
            ),
            (None, None) => problems.error("", "must have `otlp`"),
        });
    }

    /// How records are gathered; spans wait for `delay` where nothing is said.
    pub(super) fn rhythm(&self, delay: Duration) -> Rhythm {
        match &self.batch {
            Some(batch) => Rhythm {
                delay: batch.schedule_delay.map_or(delay, Duration::from_millis),
                timeout: Duration::from_millis(batch.export_timeout),
                queue: batch.max_queue_size,
                batch: batch.max_export_batch_size,
            },
            None => {
                let Batch { export_timeout, max_queue_size, .. } = Batch::default();
                let timeout = Duration::from_millis(export_timeout);
                Rhythm { delay: Duration::ZERO, timeout, queue: max_queue_size, batch: 1 }
            }
        }
    }

    /// The way to the backend.
    ///
    /// # Errors
    /// What is wrong with the endpoint, the certificates or the headers.
    pub(super) fn pusher(&self, signal: Signal, build: &BuildInfo, cores: &Cores) -> Result<Pusher, String> {
        let exporter = match (&self.batch, &self.simple) {
            (Some(batch), _) => &batch.exporter,
            (None, Some(simple)) => &simple.exporter,
            (None, None) => return Err("no processor".to_owned()),
        };
        exporter.otlp.as_ref().ok_or("no exporter")?.pusher(signal, build, cores)
    }
}

/// What is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Logs,
    Traces,
}

impl Signal {
    pub(super) fn name(self) -> &'static str {
        match self {
            Signal::Logs => "logs",
            Signal::Traces => "traces",
        }
    }

    fn method(self) -> &'static str {
        match self {
            Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        }
    }
}

impl Otlp {
    fn validate(&self, problems: &mut Problems) {
        let protocols = ["grpc", "grpc/protobuf", "http/protobuf"];
        let known = protocols.contains(&self.protocol.as_str());
        problems.require(known, "protocol", "must be `grpc` or `http/protobuf`");
        let known = matches!(self.compression.as_str(), "" | "none" | "gzip");
        problems.require(known, "compression", "must be `gzip` or `none`");
        let both = self.client_certificate.is_empty() == self.client_key.is_empty();
        problems.require(both, "client_certificate", "needs `client_key`, and the reverse");
        if let Err(reason) = self.header_map() {
            problems.error("headers", reason);
        }
        if known && let Err(reason) = self.url(Signal::Traces) {
            problems.error("endpoint", reason);
        }
    }

    fn is_grpc(&self) -> bool {
        self.protocol.starts_with("grpc")
    }

    /// The endpoint with its scheme, and over HTTP with a path.
    fn url(&self, signal: Signal) -> Result<String, String> {
        let scheme = if self.insecure.unwrap_or(false) { "http" } else { "https" };
        let endpoint = match (self.endpoint.as_str(), self.is_grpc()) {
            ("", true) => "http://localhost:4317".to_owned(),
            ("", false) => "http://localhost:4318".to_owned(),
            (endpoint, _) if endpoint.contains("://") => endpoint.to_owned(),
            (endpoint, _) => format!("{scheme}://{endpoint}"),
        };
        let uri: http::Uri = endpoint.parse().map_err(|error| format!("{endpoint:?}: {error}"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
            return Err(format!("{endpoint:?} is no URL of a host: http://host:port or https://host:port"));
        }
        if self.is_grpc() || uri.path() != "/" {
            return Ok(endpoint);
        }
        Ok(format!("{}/v1/{}", endpoint.trim_end_matches('/'), signal.name()))
    }

    fn header_map(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        let mut add = |name: &str, value: &str| {
            let key =
                HeaderName::try_from(name.trim()).map_err(|_| format!("{name:?} is no name of a header"))?;
            let mut value = HeaderValue::try_from(value.trim())
                .map_err(|_| format!("the value of {name:?} cannot be sent"))?;
            value.set_sensitive(true);
            headers.insert(key, value);
            Ok::<(), String>(())
        };
        for pair in self.headers_list.reveal().split(',').filter(|pair| !pair.trim().is_empty()) {
            let (name, value) =
                pair.split_once('=').ok_or("`headers_list` is written `name=value,name=value`")?;
            add(name, value)?;
        }
        self.headers.iter().try_for_each(|(name, value)| add(name, value.reveal()))?;
        Ok(headers)
    }

    fn pusher(&self, signal: Signal, build: &BuildInfo, cores: &Cores) -> Result<Pusher, String> {
        let url = self.url(signal)?;
        let text = |error: &dyn std::fmt::Display| format!("{url}: {error}");
        let secure = url.starts_with("https://");
        let tls = |alpn| {
            let settings = TlsClientSettings {
                ca_file: self.certificate.clone(),
                cert_file: self.client_certificate.clone(),
                key_file: self.client_key.clone(),
                ..TlsClientSettings::default()
            };
            secure.then(|| TlsConnector::new(&settings, alpn).map_err(|error| text(&error))).transpose()
        };
        let encoding = if self.compression == "gzip" { Encoding::Gzip } else { Encoding::Identity };
        let compressor = Compressor::new(encoding, 0);
        let timeout = Duration::from_millis(self.timeout);
        if self.is_grpc() {
            let (_, target) = Target::parse_grpc(&url).map_err(|error| text(&error))?;
            let options = grpc::client::Options {
                tls: tls(Alpn::H2)?,
                user_agent: build.user_agent(),
                metadata: self.header_map()?,
                compressor,
                max_response_bytes: 64 << 10,
                ..grpc::client::Options::new(target)
            };
            let client = grpc::client::Client::new(options, cores).map_err(|error| text(&error))?;
            return Ok(Pusher::Grpc { method: client.method(signal.method()), client, timeout });
        }
        let options = web::client::Options {
            tls: tls(Alpn::Http1)?,
            timeout: Some(timeout),
            headers: self.header_map()?,
            user_agent: build.user_agent(),
            compressor,
            max_idle_per_host: 1,
            ..web::client::Options::default()
        };
        let client = web::client::Client::new(options, cores).map_err(|error| text(&error))?;
        let destination = client.destination(&url).map_err(|error| text(&error))?;
        Ok(Pusher::Http { client, destination })
    }
}

/// Sends requests to one backend.
pub(super) enum Pusher {
    Grpc { client: grpc::client::Client, method: grpc::client::Method, timeout: Duration },
    Http { client: web::client::Client, destination: web::client::Destination },
}

/// Why a request did not get there.
pub(super) struct PushError {
    pub(super) reason: String,
    pub(super) retryable: bool,
}

impl Pusher {
    /// One attempt.
    pub(super) async fn push(&self, request: Bytes) -> Result<(), PushError> {
        use phoenix_component::Code;
        match self {
            Pusher::Grpc { client, method, timeout } => {
                let none = HeaderMap::new();
                let call = client.call(method, request.into(), Some(*timeout), &none);
                call.await.map(drop).map_err(|status| PushError {
                    retryable: matches!(
                        status.code,
                        Code::CANCELLED
                            | Code::DEADLINE_EXCEEDED
                            | Code::RESOURCE_EXHAUSTED
                            | Code::ABORTED
                            | Code::OUT_OF_RANGE
                            | Code::UNAVAILABLE
                            | Code::DATA_LOSS
                    ),
                    reason: status.to_string(),
                })
            }
            Pusher::Http { client, destination } => {
                let protobuf = (CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
                let headers = HeaderMap::from_iter([protobuf]);
                let answer = client.post(destination, &headers, request.into()).await;
                let response =
                    answer.map_err(|error| PushError { reason: error.to_string(), retryable: true })?;
                if response.status.is_success() {
                    return Ok(());
                }
                let retryable = matches!(response.status.as_u16(), 429 | 502 | 503 | 504);
                Err(PushError { reason: format!("the backend answered {}", response.status), retryable })
            }
        }
    }
}

/// A shared way to a backend.
pub(super) type SharedPusher = Arc<Pusher>;
