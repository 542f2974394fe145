//! Settings, under otelcol's keys and with its defaults.

use http::{StatusCode, Uri};
use phoenix_component::Touch;
use phoenix_config::{Block, Problems, Settings};
use phoenix_delivery::{QueueSettings, RetrySettings};
use phoenix_pdata::Signal;
use phoenix_transport::endpoint::{Target, http_url};
use phoenix_transport::http::Format;
use phoenix_transport::http::client::unix_url;
use phoenix_transport::settings::validate_http_client;
use phoenix_transport::{http_client_settings, probe};

http_client_settings! {
    /// Settings of the `otlp_http` exporter: those of an HTTP client, where data goes, and those of
    /// deliveries. `endpoint` is the base URL, to which each signal's path is appended.
    pub struct OtlpHttpConfig {
        /// The URL for traces, as it is.
        pub traces_endpoint: String = String::new(),
        /// The URL for metrics, as it is.
        pub metrics_endpoint: String = String::new(),
        /// The URL for logs, as it is.
        pub logs_endpoint: String = String::new(),
        /// The URL for profiles.
        #[described(no_effect = "profiles are not sent")]
        pub profiles_endpoint: String = String::new(),
        /// How requests are encoded.
        #[described(words("proto", "json"))]
        pub encoding: String = "proto".to_owned(),
        /// Repetition of failed attempts.
        pub retry_on_failure: RetrySettings = RetrySettings::default(),
        /// The queue in front.
        pub sending_queue: Block<QueueSettings> = Block::on(QueueSettings::default()),
    }
}

impl Settings for OtlpHttpConfig {
    fn validate(&self, problems: &mut Problems) {
        self.validate_endpoints(problems);
        self.validate_encoding(problems);
        validate_http_client(&self.http(), problems);
        problems.within("retry_on_failure", |problems| {
            self.retry_on_failure.validate(problems);
            let expected = "write the number of an HTTP status from 300 to 599, for example `500`";
            self.retry_on_failure.validate_codes(problems, read_code, expected);
        });
        if let Some(queue) = self.sending_queue.get() {
            problems.within("sending_queue", |problems| queue.validate(problems));
        }
    }
}

impl OtlpHttpConfig {
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
    }

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
            if let Some((socket, _)) = unix_url(url) {
                touches.push(probe::connect(key, Target::Unix(socket.into()), None));
                continue;
            }
            let Ok(url) = parse_url(url) else { continue };
            touches.extend(probe::http_server(key, &url, &self.tls, self.force_attempt_http2));
        }
        touches.extend(probe::client_files("tls", &self.tls));
        touches
    }

    /// How requests are encoded.
    pub(crate) fn format(&self) -> Format {
        if self.encoding == "json" { Format::Json } else { Format::Protobuf }
    }

    /// Statuses after which an attempt is repeated beside those of the specification.
    pub(crate) fn extra_codes(&self) -> Vec<StatusCode> {
        self.retry_on_failure.read_codes(read_code)
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
}

/// An HTTP status that is no success.
fn read_code(text: &str) -> Option<StatusCode> {
    let number = text.parse::<u16>().ok().filter(|number| (300..600).contains(number))?;
    StatusCode::from_u16(number).ok()
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
    match text.contains("://") {
        true => http_url(text),
        false => Err("it must begin with http://, https:// or unix://".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use phoenix_component::harness::settings_of_example;

    use super::*;

    #[test]
    fn the_example_of_the_readme_is_valid() {
        let config: OtlpHttpConfig =
            settings_of_example(include_str!("../README.md"), "exporters::otlp_http");
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
            (r#"{"endpoint": "http://h", "proxy_url": "socks5://p"}"#, "proxy_url", "not supported"),
            (r#"{"endpoint": "http://h", "auth": {}}"#, "auth::authenticator", "names no extension"),
            (r#"{"endpoint": "http://h", "headers": {"a b": "x"}}"#, "headers::a b", "is no header name"),
            (r#"{"endpoint": "http://h", "headers": {"Host": "a b"}}"#, "headers::Host", "is no host"),
            (
                r#"{"endpoint": "http://h", "retry_on_failure": {"extra_codes": [500, 200]}}"#,
                "retry_on_failure::extra_codes::1",
                "invalid code \"200\": write the number of an HTTP status",
            ),
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
        for wrong in [r#"{"endpont": "http://h"}"#, r#"{"endpoint": "http://h", "compression": "br"}"#] {
            assert!(serde_json::from_str::<OtlpHttpConfig>(wrong).is_err(), "{wrong}");
        }
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
