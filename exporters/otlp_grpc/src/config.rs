//! Settings, under otelcol's keys and with its defaults.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue};
use phoenix_component::Touch;
use phoenix_config::{Block, Described, GoDuration, OpaqueMap, Problems, Settings};
use phoenix_delivery::{QueueSettings, RetrySettings, validate_timeout};
use phoenix_transport::compression::{Compressor, Encoding};
use phoenix_transport::endpoint::{Scheme, Target};
use phoenix_transport::grpc::client::Balancer;
use phoenix_transport::probe;
use phoenix_transport::settings::{NotYet, TlsClientSettings, WITH_EXTENSIONS, refuse};
use phoenix_transport::tls::Alpn;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Settings of the `otlp_grpc` exporter.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpGrpcConfig {
    #[described(required)]
    /// Where to: `host:port`, also with `http://`, `https://` or `dns:///` before it, or `unix://path`.
    pub endpoint: String,
    /// How messages are compressed.
    #[described(words("gzip", "snappy", "zstd", "none", ""))]
    pub compression: String,
    /// TLS, which is on unless it says `insecure`.
    pub tls: TlsClientSettings,
    /// Longest time of one attempt; zero for any.
    pub timeout: GoDuration,
    /// Pings on connections that are silent.
    pub keepalive: Block<Keepalive>,
    /// Bytes to read at once.
    #[described(min = 0, no_effect = "reads take what there is")]
    pub read_buffer_size: i64,
    /// Bytes to write at once.
    #[described(min = 0, no_effect = "writes are gathered by what there is to write")]
    pub write_buffer_size: i64,
    /// Attempts wait for a connection instead of failing with the first one that cannot be made.
    pub wait_for_ready: bool,
    /// Metadata of every request.
    pub headers: OpaqueMap,
    /// How calls are spread over the endpoint's addresses.
    #[described(words("round_robin", "pick_first", ""))]
    pub balancer_name: String,
    /// `:authority`, where it is not the endpoint's.
    pub authority: String,
    /// The user agent, where it is not the collector's.
    pub user_agent: String,
    /// The extension that adds credentials.
    #[described(unsupported = WITH_EXTENSIONS)]
    pub auth: NotYet,
    /// Extensions that requests go through.
    #[described(unsupported = WITH_EXTENSIONS)]
    pub middlewares: Vec<IgnoredAny>,
    /// Repetition of failed attempts.
    pub retry_on_failure: RetrySettings,
    /// The queue in front.
    pub sending_queue: Block<QueueSettings>,
}

impl Default for OtlpGrpcConfig {
    fn default() -> OtlpGrpcConfig {
        OtlpGrpcConfig {
            endpoint: String::new(),
            compression: "gzip".to_owned(),
            tls: TlsClientSettings::default(),
            timeout: GoDuration::from_secs(5),
            keepalive: Block::off(),
            read_buffer_size: 0,
            write_buffer_size: DEFAULT_WRITE_BUFFER,
            wait_for_ready: false,
            headers: OpaqueMap::default(),
            balancer_name: "round_robin".to_owned(),
            authority: String::new(),
            user_agent: String::new(),
            auth: None,
            middlewares: Vec::new(),
            retry_on_failure: RetrySettings::default(),
            sending_queue: Block::on(QueueSettings::default()),
        }
    }
}

const DEFAULT_WRITE_BUFFER: i64 = 512 * 1024;

/// Pings on connections that are silent.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Keepalive {
    /// Silence after which a ping is sent; less than 10 s counts as 10 s.
    pub time: GoDuration,
    /// Silence after the ping for which the connection is given up.
    pub timeout: GoDuration,
    /// Pings also while there is no request.
    pub permit_without_stream: bool,
}

impl Default for Keepalive {
    fn default() -> Keepalive {
        Keepalive {
            time: GoDuration::from_secs(10),
            timeout: GoDuration::from_secs(10),
            permit_without_stream: false,
        }
    }
}

impl Settings for OtlpGrpcConfig {
    fn validate(&self, problems: &mut Problems) {
        if let Err(error) = Target::parse_grpc(&self.endpoint) {
            problems.error("endpoint", error.to_string());
        }
        if self.encoding().is_none() {
            let text = format!("unsupported compression type {:?}", self.compression);
            problems.error_with_help("compression", text, "gRPC knows `gzip`, `snappy`, `zstd` and `none`");
        }
        problems.within("tls", |problems| self.tls.validate(problems));
        validate_timeout(self.timeout, problems);
        for (key, size, usual) in [
            ("read_buffer_size", self.read_buffer_size, 0),
            ("write_buffer_size", self.write_buffer_size, DEFAULT_WRITE_BUFFER),
        ] {
            problems.require(size >= 0, key, format!("invalid {key} value: {size}"));
            if size >= 0 && size != usual {
                problems.warn(key, format!("`{key}` has no effect: buffers follow what there is to send"));
            }
        }
        if self.balancer().is_none() {
            problems.error("balancer_name", format!("invalid balancer_name: {}", self.balancer_name));
        }
        if let Err(name) = self.metadata() {
            problems.error("headers", format!("{name:?} or its value cannot be sent as metadata"));
        }
        let sendable = |text: &str| HeaderValue::from_str(text).is_ok();
        problems.require(sendable(&self.user_agent), "user_agent", "the text cannot be sent in a header");
        let authority = self.authority.parse::<http::uri::Authority>();
        problems.require(
            self.authority.is_empty() || authority.is_ok(),
            "authority",
            format!("{:?} is no authority", self.authority),
        );
        if let Some(keepalive) = self.keepalive.get() {
            for (key, value) in [("time", keepalive.time), ("timeout", keepalive.timeout)] {
                let key = format!("keepalive::{key}");
                problems.require(!value.is_negative(), &key, "must be non-negative");
            }
        }
        refuse(problems, "auth", &self.auth, WITH_EXTENSIONS);
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

impl OtlpGrpcConfig {
    /// The server, and the files of TLS.
    pub(crate) fn touches(&self) -> Vec<Touch> {
        let mut touches = Vec::new();
        if let Ok((scheme, target)) = Target::parse_grpc(&self.endpoint) {
            let tls = (!self.is_plaintext(scheme)).then_some((&self.tls, Alpn::H2));
            touches.push(probe::connect("endpoint", target, tls));
        }
        touches.extend(probe::client_files("tls", &self.tls));
        touches
    }

    /// What `compression` names; none where gRPC does not have it.
    pub(crate) fn encoding(&self) -> Option<Encoding> {
        match self.compression.as_str() {
            "" | "none" => Some(Encoding::Identity),
            "gzip" => Some(Encoding::Gzip),
            // gRPC's is the framed format.
            "snappy" => Some(Encoding::SnappyFramed),
            "zstd" => Some(Encoding::Zstd),
            _ => None,
        }
    }

    pub(crate) fn compressor(&self) -> Compressor {
        Compressor::new(self.encoding().unwrap_or(Encoding::Identity), 0)
    }

    pub(crate) fn balancer(&self) -> Option<Balancer> {
        match self.balancer_name.as_str() {
            "" | "round_robin" => Some(Balancer::RoundRobin),
            "pick_first" => Some(Balancer::PickFirst),
            _ => None,
        }
    }

    /// Whether connections are plaintext: asked for, without an authority to verify by, and not `https://`.
    pub(crate) fn is_plaintext(&self, scheme: Scheme) -> bool {
        self.tls.is_plaintext() && scheme != Scheme::Https
    }

    /// `headers` as gRPC metadata.
    ///
    /// # Errors
    /// The first name that cannot be sent, or whose value cannot.
    pub(crate) fn metadata(&self) -> Result<HeaderMap, String> {
        let mut metadata = HeaderMap::new();
        for (name, value) in self.headers.iter() {
            let refused = || name.to_owned();
            let lower = name.to_ascii_lowercase();
            let value = match lower.ends_with("-bin") {
                true => STANDARD_NO_PAD.encode(value.reveal()),
                false => value.reveal().to_owned(),
            };
            let mut value = HeaderValue::from_str(&value).map_err(|_| refused())?;
            value.set_sensitive(true);
            metadata.append(HeaderName::try_from(lower).map_err(|_| refused())?, value);
        }
        Ok(metadata)
    }
}

#[cfg(test)]
mod tests {
    use phoenix_config::{EnvProvider, KeyPath, Location, Opaque, Resolver, YamlProvider, decode_checked};

    use super::*;

    #[test]
    fn the_example_of_the_readme_is_valid() {
        let readme = include_str!("../README.md");
        let yaml =
            readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
        let resolver = Resolver::with_environment(EnvProvider::new(|_| None)).with(YamlProvider);
        let root = resolver.resolve(&[format!("yaml:{yaml}")], &[]).expect("YAML").root;
        let path = KeyPath::parse("exporters::otlp_grpc");
        let section = root.at(&path).expect("the section");
        let mut problems = Problems::in_section(path, section, &Location::nowhere());
        let config = decode_checked::<OtlpGrpcConfig>(section, &mut problems).expect("valid settings");
        assert!(problems.is_empty(), "{problems}");
        assert_eq!(config.headers.get("x-tenant").map(Opaque::reveal), Some("default"));
        assert_eq!(config.sending_queue.get().map(|queue| queue.num_consumers), Some(10));
    }

    fn read(settings: &str) -> OtlpGrpcConfig {
        serde_json::from_str(settings).expect(settings)
    }

    #[test]
    fn rejects_bad_settings_and_names_the_key() {
        // (settings, key that the error names, part of its text)
        let cases = [
            (r#"{}"#, "endpoint", "requires a non-empty \"endpoint\""),
            (r#"{"endpoint": "h:nope"}"#, "endpoint", "invalid port \"nope\""),
            (r#"{"endpoint": "unix://"}"#, "endpoint", "unix socket path cannot be empty"),
            (
                r#"{"endpoint": "h:1", "compression": "lz4"}"#,
                "compression",
                "unsupported compression type \"lz4\"",
            ),
            (r#"{"endpoint": "h:1", "timeout": "-1s"}"#, "timeout", "'timeout' must be non-negative"),
            (r#"{"endpoint": "h:1", "balancer_name": "rls"}"#, "balancer_name", "invalid balancer_name: rls"),
            (
                r#"{"endpoint": "h:1", "read_buffer_size": -1}"#,
                "read_buffer_size",
                "invalid read_buffer_size value: -1",
            ),
            (r#"{"endpoint": "h:1", "auth": {"authenticator": "x"}}"#, "auth", "not supported yet"),
            (r#"{"endpoint": "h:1", "middlewares": [{"id": "x"}]}"#, "middlewares", "not supported yet"),
            (r#"{"endpoint": "h:1", "headers": {"bad name": "x"}}"#, "headers", "cannot be sent"),
            (r#"{"endpoint": "h:1", "authority": "a b"}"#, "authority", "is no authority"),
            (
                r#"{"endpoint": "h:1", "sending_queue": {"queue_size": 0}}"#,
                "sending_queue::queue_size",
                "must be positive",
            ),
            (
                r#"{"endpoint": "h:1", "tls": {"ca_file": "a", "ca_pem": "b"}}"#,
                "tls::ca_file",
                "but not both",
            ),
        ];
        for (settings, key, text) in cases {
            let problems = Problems::of(|problems| read(settings).validate(problems));
            assert_eq!(problems.keys(), [key], "{settings}");
            assert!(problems.to_string().contains(text), "{problems}");
        }
        for unknown in [r#"{"endpont": "h:1"}"#, r#"{"keepalive": {"tme": "1s"}}"#] {
            assert!(serde_json::from_str::<OtlpGrpcConfig>(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn compression_names_what_grpc_means_by_it() {
        for (name, encoding) in [
            ("", Encoding::Identity),
            ("none", Encoding::Identity),
            ("gzip", Encoding::Gzip),
            ("snappy", Encoding::SnappyFramed),
            ("zstd", Encoding::Zstd),
        ] {
            let config = OtlpGrpcConfig { compression: name.to_owned(), ..OtlpGrpcConfig::default() };
            assert_eq!(config.compressor().encoding(), encoding, "{name}");
        }
    }

    #[test]
    fn tls_is_on_unless_plaintext_is_asked_for_and_nothing_speaks_against_it() {
        let plaintext = |settings: &str| {
            let config = read(settings);
            let (scheme, _) = Target::parse_grpc(&config.endpoint).unwrap();
            config.is_plaintext(scheme)
        };
        assert!(!plaintext(r#"{"endpoint": "h:1"}"#));
        assert!(!plaintext(r#"{"endpoint": "http://h:1"}"#));
        assert!(plaintext(r#"{"endpoint": "h:1", "tls": {"insecure": true}}"#));
        assert!(!plaintext(r#"{"endpoint": "https://h:1", "tls": {"insecure": true}}"#));
        assert!(!plaintext(r#"{"endpoint": "h:1", "tls": {"insecure": true, "ca_file": "ca.pem"}}"#));
    }

    #[test]
    fn headers_are_lower_case_and_never_shown() {
        let config = read(r#"{"endpoint": "h:1", "headers": {"X-Key": "secret", "trace-bin": "\u0001"}}"#);
        let metadata = config.metadata().unwrap();
        assert_eq!(
            (&metadata["x-key"], &metadata["trace-bin"]),
            (&"secret".parse().unwrap(), &"AQ".parse().unwrap())
        );
        assert!(!format!("{config:?} {metadata:?}").contains("secret"));
    }
}
