//! Settings, under otelcol's keys and with its defaults.

use crate::format::Format;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use phoenix_component::Touch;
use phoenix_config::{Block, Described, GoDuration, OpaqueMap, Problems, Settings};
use phoenix_delivery::{QueueSettings, RetrySettings, validate_timeout};
use phoenix_pdata::Signal;
use phoenix_transport::compression::{Compressor, Encoding};
use phoenix_transport::endpoint::Target;
use phoenix_transport::http::client::unix_url;
use phoenix_transport::probe;
use phoenix_transport::settings::{NotYet, TlsClientSettings, WITH_EXTENSIONS, refuse};
use phoenix_transport::tls::Alpn;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Settings of the `otlp_http` exporter.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpHttpConfig {
    /// The base URL; each signal's path is appended.
    pub endpoint: String,
    /// The URL for traces, as it is.
    pub traces_endpoint: String,
    /// The URL for metrics, as it is.
    pub metrics_endpoint: String,
    /// The URL for logs, as it is.
    pub logs_endpoint: String,
    /// The URL for profiles.
    #[described(no_effect = "profiles are not sent")]
    pub profiles_endpoint: String,
    /// How requests are encoded.
    #[described(words("proto", "json"))]
    pub encoding: String,
    /// How bodies are compressed.
    #[described(words("gzip", "zstd", "snappy", "x-snappy-framed", "zlib", "deflate", "lz4", "none", ""))]
    pub compression: String,
    /// How hard to compress.
    pub compression_params: CompressionParams,
    /// TLS, for URLs that say `https`.
    pub tls: TlsClientSettings,
    /// Longest time of one attempt, from connecting to the end of the answer; zero for any.
    pub timeout: GoDuration,
    /// Bytes to read at once.
    #[described(min = 0, no_effect = "reads take what there is")]
    pub read_buffer_size: i64,
    /// Bytes to write at once.
    #[described(min = 0, no_effect = "writes are gathered by what there is to write")]
    pub write_buffer_size: i64,
    /// Headers of every request; `Host` replaces the URL's authority.
    pub headers: OpaqueMap,
    /// The proxy to go through.
    #[described(unsupported = "it comes with proxies")]
    pub proxy_url: String,
    /// The extension that adds credentials.
    #[described(unsupported = WITH_EXTENSIONS)]
    pub auth: NotYet,
    /// Idle connections that are kept; zero for any number.
    pub max_idle_conns: i64,
    /// Idle connections that are kept to one host; zero for as many as `max_idle_conns` allows.
    pub max_idle_conns_per_host: i64,
    /// Connections to one host; zero for any number.
    pub max_conns_per_host: i64,
    /// Time after which an idle connection is closed; zero for never.
    pub idle_conn_timeout: GoDuration,
    /// A connection for each request.
    pub disable_keep_alives: bool,
    /// HTTP/2 where the server speaks it over TLS.
    pub force_attempt_http2: bool,
    /// Silence on an HTTP/2 connection after which it is pinged.
    #[described(unsupported = "connections are not pinged")]
    pub http2_read_idle_timeout: GoDuration,
    /// Time for the answer to a ping.
    #[described(no_effect = "connections are not pinged")]
    pub http2_ping_timeout: GoDuration,
    /// Keeping of cookies.
    #[described(unsupported = "no OTLP backend is known to ask for them")]
    pub cookies: Block<Cookies>,
    /// Extensions that requests go through.
    #[described(unsupported = WITH_EXTENSIONS)]
    pub middlewares: Vec<IgnoredAny>,
    /// Repetition of failed attempts.
    pub retry_on_failure: RetrySettings,
    /// The queue in front.
    pub sending_queue: Block<QueueSettings>,
}

/// How hard to compress.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct CompressionParams {
    /// 0 for the default; what else there is depends on the compression.
    pub level: i32,
}

/// Keeping of cookies: read, and refused.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Cookies {}

const DEFAULT_WRITE_BUFFER: i64 = 512 * 1024;

impl Default for OtlpHttpConfig {
    fn default() -> OtlpHttpConfig {
        OtlpHttpConfig {
            endpoint: String::new(),
            traces_endpoint: String::new(),
            metrics_endpoint: String::new(),
            logs_endpoint: String::new(),
            profiles_endpoint: String::new(),
            encoding: "proto".to_owned(),
            compression: "gzip".to_owned(),
            compression_params: CompressionParams::default(),
            tls: TlsClientSettings::default(),
            timeout: GoDuration::from_secs(30),
            read_buffer_size: 0,
            write_buffer_size: DEFAULT_WRITE_BUFFER,
            headers: OpaqueMap::default(),
            proxy_url: String::new(),
            auth: None,
            max_idle_conns: 100,
            max_idle_conns_per_host: 0,
            max_conns_per_host: 0,
            idle_conn_timeout: GoDuration::from_secs(90),
            disable_keep_alives: false,
            force_attempt_http2: true,
            http2_read_idle_timeout: GoDuration::ZERO,
            http2_ping_timeout: GoDuration::ZERO,
            cookies: Block::off(),
            middlewares: Vec::new(),
            retry_on_failure: RetrySettings::default(),
            sending_queue: Block::on(QueueSettings::default()),
        }
    }
}

impl Settings for OtlpHttpConfig {
    fn validate(&self, problems: &mut Problems) {
        self.validate_endpoints(problems);
        self.validate_encoding(problems);
        self.validate_connections(problems);
        problems.within("tls", |problems| self.tls.validate(problems));
        validate_timeout(self.timeout, problems);
        if let Err(name) = self.header_map() {
            problems.error("headers", format!("{name:?} or its value cannot be sent as a header"));
        }
        problems.require(
            self.proxy_url.is_empty(),
            "proxy_url",
            "`proxy_url` is not supported yet: it comes with proxies",
        );
        refuse(problems, "auth", &self.auth, WITH_EXTENSIONS);
        problems.require(
            !self.cookies.is_on(),
            "cookies",
            "`cookies` is not supported yet: no OTLP backend is known to ask for them",
        );
        problems.require(
            self.middlewares.is_empty(),
            "middlewares",
            format!("`middlewares` is not supported yet: {WITH_EXTENSIONS}"),
        );
        problems.within("retry_on_failure", |problems| self.retry_on_failure.validate(problems));
        if let Some(queue) = self.sending_queue.get() {
            problems.within("sending_queue", |problems| queue.validate(problems));
        }
    }
}

impl OtlpHttpConfig {
    /// The servers, and the files of TLS.
    pub(crate) fn touches(&self) -> Vec<Touch> {
        let endpoints = [
            ("endpoint", &self.endpoint),
            ("traces_endpoint", &self.traces_endpoint),
            ("metrics_endpoint", &self.metrics_endpoint),
            ("logs_endpoint", &self.logs_endpoint),
        ];
        let mut touches = Vec::new();
        for (key, url) in endpoints {
            let Ok(url) = parse_url(url) else { continue };
            let Some(host) = url.host() else { continue };
            let is_https = url.scheme_str() == Some("https");
            let port = url.port_u16().unwrap_or(if is_https { 443 } else { 80 });
            let target = Target::Host { host: host.trim_matches(['[', ']']).to_owned(), port };
            let alpn = if self.force_attempt_http2 { Alpn::H2OrHttp1 } else { Alpn::Http1 };
            touches.push(probe::connect(key, target, is_https.then_some((&self.tls, alpn))));
        }
        touches.extend(probe::client_files("tls", &self.tls));
        touches
    }

    fn validate_endpoints(&self, problems: &mut Problems) {
        let endpoints = [
            ("endpoint", &self.endpoint),
            ("traces_endpoint", &self.traces_endpoint),
            ("metrics_endpoint", &self.metrics_endpoint),
            ("logs_endpoint", &self.logs_endpoint),
            ("profiles_endpoint", &self.profiles_endpoint),
        ];
        if endpoints.iter().all(|(_, url)| url.is_empty()) {
            problems.error("endpoint", "at least one endpoint must be specified");
        }
        for (key, url) in endpoints.into_iter().filter(|(_, url)| !url.is_empty()) {
            if let Err(reason) = parse_url(url) {
                let help = "for example `http://localhost:4318`";
                problems.error_with_help(key, format!("{key} must be a valid URL: {reason}"), help);
            }
        }
    }

    fn validate_encoding(&self, problems: &mut Problems) {
        match self.encoding.as_str() {
            "proto" | "json" => {}
            other => problems.error("encoding", format!("invalid encoding type: {other}")),
        }
        let level = self.compression_params.level;
        let fits = match self.encoding_of_bodies() {
            Some(Encoding::Gzip | Encoding::Zlib | Encoding::Deflate) => (-2..=9).contains(&level),
            Some(Encoding::Zstd) => true,
            Some(_) => level == 0,
            None => {
                let text = format!("unsupported compression type {:?}", self.compression);
                problems.error("compression", text);
                true
            }
        };
        problems.require(
            fits,
            "compression_params::level",
            format!("unsupported parameters {{Level:{level}}} for compression type {:?}", self.compression),
        );
    }

    fn validate_connections(&self, problems: &mut Problems) {
        for (key, size, usual) in [
            ("read_buffer_size", self.read_buffer_size, 0),
            ("write_buffer_size", self.write_buffer_size, DEFAULT_WRITE_BUFFER),
        ] {
            problems.require(size >= 0, key, format!("invalid {key} value: {size}"));
            if size >= 0 && size != usual {
                problems.warn(key, format!("`{key}` has no effect: buffers follow what there is to send"));
            }
        }
        for (key, count) in [
            ("max_idle_conns", self.max_idle_conns),
            ("max_idle_conns_per_host", self.max_idle_conns_per_host),
            ("max_conns_per_host", self.max_conns_per_host),
        ] {
            problems.require(count >= 0, key, "must be non-negative");
        }
        for (key, time) in [
            ("idle_conn_timeout", self.idle_conn_timeout),
            ("http2_read_idle_timeout", self.http2_read_idle_timeout),
            ("http2_ping_timeout", self.http2_ping_timeout),
        ] {
            problems.require(!time.is_negative(), key, "must be non-negative");
        }
        problems.require(
            !self.http2_read_idle_timeout.is_positive(),
            "http2_read_idle_timeout",
            "`http2_read_idle_timeout` is not supported yet: it comes with pings of HTTP/2 clients",
        );
    }

    /// What `compression` names; none where there is no such thing.
    pub(crate) fn encoding_of_bodies(&self) -> Option<Encoding> {
        match self.compression.as_str() {
            "" | "none" => Some(Encoding::Identity),
            name => Encoding::ALL
                .into_iter()
                .find(|encoding| *encoding != Encoding::Identity && encoding.name() == name),
        }
    }

    /// How requests are encoded.
    pub(crate) fn format(&self) -> Format {
        if self.encoding == "json" { Format::Json } else { Format::Protobuf }
    }

    pub(crate) fn compressor(&self) -> Compressor {
        let encoding = self.encoding_of_bodies().unwrap_or(Encoding::Identity);
        Compressor::new(encoding, self.compression_params.level)
    }

    /// Idle connections to keep on each of `cores`.
    pub(crate) fn max_idle_per_core(&self, cores: usize) -> usize {
        let limits = [self.max_idle_conns, self.max_idle_conns_per_host];
        let limit = limits.into_iter().filter(|limit| *limit > 0).min();
        limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX).div_ceil(cores.max(1)))
    }

    /// The URL for `signal`, as text; none where nothing says.
    pub(crate) fn url(&self, signal: Signal) -> Option<String> {
        let own = match signal {
            Signal::Traces => &self.traces_endpoint,
            Signal::Metrics => &self.metrics_endpoint,
            Signal::Logs => &self.logs_endpoint,
        };
        if !own.is_empty() {
            return Some(own.clone());
        }
        let base = Some(self.endpoint.as_str()).filter(|base| !base.is_empty())?;
        if base.starts_with("unix://") {
            let (colon, slash) = match base.trim_start_matches("unix://").contains(":/") {
                false => (":", "/"),
                true => ("", if base.ends_with('/') { "" } else { "/" }),
            };
            return Some(format!("{base}{colon}{slash}v1/{signal}"));
        }
        let slash = if base.ends_with('/') { "" } else { "/" };
        Some(format!("{base}{slash}v1/{signal}"))
    }

    /// `headers`, without `Host`.
    ///
    /// # Errors
    /// The first name that cannot be sent, or whose value cannot.
    pub(crate) fn header_map(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers.iter() {
            let refused = || name.to_owned();
            let mut value = HeaderValue::from_str(value.reveal()).map_err(|_| refused())?;
            value.set_sensitive(true);
            headers.append(HeaderName::try_from(name).map_err(|_| refused())?, value);
        }
        if let Some(host) = headers.get(http::header::HOST) {
            let host = host.to_str().map_err(|_| "Host".to_owned())?;
            host.parse::<http::uri::Authority>().map_err(|_| "Host".to_owned())?;
        }
        Ok(headers)
    }
}

/// Reads a URL with scheme and host; one over a Unix socket reads like one of this machine.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_url(text: &str) -> Result<Uri, String> {
    if let Some((socket, path)) = unix_url(text) {
        if socket.is_empty() {
            return Err("unix socket path cannot be empty".to_owned());
        }
        return format!("http://localhost{path}")
            .parse()
            .map_err(|error: http::uri::InvalidUri| error.to_string());
    }
    let url: Uri = text.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
    match url.scheme_str() {
        Some("http" | "https") if url.host().is_some_and(|host| !host.is_empty()) => Ok(url),
        Some(scheme @ ("http" | "https")) => Err(format!("there is no host after {scheme}://")),
        Some(other) => Err(format!("unsupported protocol scheme {other:?}")),
        None => Err("it must begin with http://, https:// or unix://".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use phoenix_config::{EnvProvider, KeyPath, Location, Resolver, YamlProvider, decode_checked};

    use super::*;

    #[test]
    fn the_example_of_the_readme_is_valid() {
        let readme = include_str!("../README.md");
        let yaml =
            readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
        let resolver = Resolver::with_environment(EnvProvider::new(|_| None)).with(YamlProvider);
        let root = resolver.resolve(&[format!("yaml:{yaml}")], &[]).expect("YAML").root;
        let path = KeyPath::parse("exporters::otlp_http");
        let section = root.at(&path).expect("the section");
        let mut problems = Problems::in_section(path, section, &Location::nowhere());
        let config = decode_checked::<OtlpHttpConfig>(section, &mut problems).expect("valid settings");
        assert!(problems.is_empty(), "{problems}");
        assert_eq!(config.url(Signal::Logs).as_deref(), Some("https://backend.example/otlp/v1/logs"));
    }

    fn read(settings: &str) -> OtlpHttpConfig {
        serde_json::from_str(settings).expect(settings)
    }

    #[test]
    fn rejects_bad_settings_and_names_the_key() {
        // (settings, key that the error names, part of its text)
        let cases = [
            (r#"{}"#, "endpoint", "at least one endpoint must be specified"),
            (r#"{"endpoint": "localhost:4318"}"#, "endpoint", "must be a valid URL"),
            (r#"{"logs_endpoint": "ftp://h/x"}"#, "logs_endpoint", "unsupported protocol scheme \"ftp\""),
            (r#"{"endpoint": "http://h", "encoding": "xml"}"#, "encoding", "invalid encoding type: xml"),
            (
                r#"{"endpoint": "http://h", "compression": "br"}"#,
                "compression",
                "unsupported compression type \"br\"",
            ),
            (
                r#"{"endpoint": "http://h", "compression": "snappy", "compression_params": {"level": 3}}"#,
                "compression_params::level",
                "unsupported parameters {Level:3} for compression type \"snappy\"",
            ),
            (
                r#"{"endpoint": "http://h", "compression_params": {"level": 10}}"#,
                "compression_params::level",
                "unsupported parameters {Level:10} for compression type \"gzip\"",
            ),
            (r#"{"endpoint": "http://h", "timeout": "-1s"}"#, "timeout", "'timeout' must be non-negative"),
            (r#"{"endpoint": "http://h", "proxy_url": "http://p"}"#, "proxy_url", "not supported yet"),
            (r#"{"endpoint": "http://h", "cookies": {}}"#, "cookies", "not supported yet"),
            (r#"{"endpoint": "http://h", "auth": {"authenticator": "x"}}"#, "auth", "not supported yet"),
            (r#"{"endpoint": "http://h", "headers": {"a b": "x"}}"#, "headers", "cannot be sent"),
            (r#"{"endpoint": "http://h", "headers": {"Host": "a b"}}"#, "headers", "cannot be sent"),
            (r#"{"endpoint": "http://h", "max_idle_conns": -1}"#, "max_idle_conns", "non-negative"),
            (
                r#"{"endpoint": "http://h", "retry_on_failure": {"multiplier": -1}}"#,
                "retry_on_failure::multiplier",
                "non-negative",
            ),
        ];
        for (settings, key, text) in cases {
            let problems = Problems::of(|problems| read(settings).validate(problems));
            assert_eq!(problems.keys(), [key], "{settings}");
            assert!(problems.to_string().contains(text), "{problems}");
        }
        assert!(serde_json::from_str::<OtlpHttpConfig>(r#"{"endpont": "http://h"}"#).is_err());
    }

    #[test]
    fn a_signal_goes_to_its_own_url_or_below_the_base() {
        let config = read(r#"{"endpoint": "http://h:1/base/", "logs_endpoint": "https://l/in?x=1"}"#);
        assert_eq!(config.url(Signal::Traces).as_deref(), Some("http://h:1/base/v1/traces"));
        assert_eq!(config.url(Signal::Logs).as_deref(), Some("https://l/in?x=1"));
        let config = read(r#"{"endpoint": "http://h"}"#);
        assert_eq!(config.url(Signal::Metrics).as_deref(), Some("http://h/v1/metrics"));
        assert_eq!(read(r#"{"logs_endpoint": "http://l"}"#).url(Signal::Traces), None);
    }

    #[test]
    fn endpoints_on_unix_sockets_name_the_socket_and_what_is_asked_for() {
        for (endpoint, url) in [
            ("unix:///run/otel.sock", "unix:///run/otel.sock:/v1/logs"),
            ("unix:///run/otel.sock:/", "unix:///run/otel.sock:/v1/logs"),
            ("unix:///run/otel.sock:/base", "unix:///run/otel.sock:/base/v1/logs"),
        ] {
            let config = OtlpHttpConfig { endpoint: endpoint.to_owned(), ..OtlpHttpConfig::default() };
            let made = config.url(Signal::Logs).unwrap();
            assert_eq!((made.as_str(), parse_url(&made).is_ok()), (url, true));
        }
        assert_eq!(parse_url("unix://:/v1/logs").unwrap_err(), "unix socket path cannot be empty");
    }
}
