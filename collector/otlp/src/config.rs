//! Settings, under otelcol's keys and with its defaults.

use phoenix_component::{Code, Touch};
use phoenix_config::{Block, GoDuration, Problems, Settings};
use phoenix_delivery::{QueueSettings, RetrySettings, validate_timeout};
use phoenix_transport::endpoint::{Scheme, Target};
use phoenix_transport::settings::validate_grpc_client;
use phoenix_transport::tls::Alpn;
use phoenix_transport::{grpc_client_settings, probe};

grpc_client_settings! {
    /// Settings of the `otlp_grpc` exporter: those of a gRPC client, and those of deliveries.
    pub struct OtlpGrpcConfig {
        /// Longest time of one attempt; zero for any.
        pub timeout: GoDuration = GoDuration::from_secs(5),
        /// Repetition of failed attempts.
        pub retry_on_failure: RetrySettings = RetrySettings::default(),
        /// The queue in front.
        pub sending_queue: Block<QueueSettings> = Block::on(QueueSettings::default()),
    }
}

impl Settings for OtlpGrpcConfig {
    fn validate(&self, problems: &mut Problems) {
        validate_grpc_client(&self.grpc(), problems);
        validate_timeout(self.timeout, problems);
        problems.within("retry_on_failure", |problems| {
            self.retry_on_failure.validate(problems);
            let expected =
                "write the name of a gRPC status, for example `UNKNOWN`, or its number from 1 to 16";
            self.retry_on_failure.validate_codes(problems, read_code, expected);
        });
        if let Some(queue) = self.sending_queue.get() {
            problems.within("sending_queue", |problems| queue.validate(problems));
        }
    }
}

impl OtlpGrpcConfig {
    /// The server, and the files of TLS.
    pub fn touches(&self) -> Vec<Touch> {
        let mut touches = Vec::new();
        if let Ok((scheme, target)) = Target::parse_grpc(&self.endpoint) {
            let is_plaintext = scheme != Scheme::Https && self.tls.is_plaintext();
            let tls = (!is_plaintext).then_some((&self.tls, Alpn::H2));
            touches.push(probe::connect("endpoint", target, tls));
        }
        touches.extend(probe::client_files("tls", &self.tls));
        touches
    }

    /// Codes after which an attempt is repeated beside those of the specification.
    pub fn extra_codes(&self) -> Vec<Code> {
        self.retry_on_failure.read_codes(read_code)
    }
}

/// The code of a name, in any of its spellings, or of a number.
fn read_code(text: &str) -> Option<Code> {
    let codes = (1..=16).map(Code);
    if let Ok(number) = text.parse::<u8>() {
        return codes.into_iter().find(|code| code.0 == number);
    }
    let plain = |text: &str| text.replace('_', "").to_ascii_lowercase();
    let wanted = match plain(text) {
        british if british == "cancelled" => "canceled".to_owned(),
        name => name,
    };
    codes.into_iter().find(|code| plain(code.name()) == wanted)
}

#[cfg(test)]
mod tests {
    use phoenix_component::harness::settings_of_example;
    use phoenix_config::Opaque;

    use super::*;

    #[test]
    fn the_example_of_the_readme_is_valid() {
        let config: OtlpGrpcConfig = settings_of_example(
            include_str!("../../../exporters/otlp_grpc/README.md"),
            "exporters::otlp_grpc",
        );
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
            (r#"{"endpoint": "h:1", "auth": {}}"#, "auth::authenticator", "names no extension"),
            (r#"{"endpoint": "h:1", "middlewares": [{"id": "x"}]}"#, "middlewares", "not supported yet"),
            (
                r#"{"endpoint": "h:1", "headers": {"bad name": "x"}}"#,
                "headers::bad name",
                "is no header name",
            ),
            (r#"{"endpoint": "h:1", "authority": "a b"}"#, "authority", "is no authority"),
            (
                r#"{"endpoint": "h:1", "retry_on_failure": {"extra_codes": ["INTERNAL", "OK"]}}"#,
                "retry_on_failure::extra_codes::1",
                "invalid code \"OK\": write the name of a gRPC status",
            ),
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
    fn codes_have_names_and_numbers() {
        for (text, code) in
            [("UNKNOWN", 2), ("Unknown", 2), ("resource_exhausted", 8), ("CANCELLED", 1), ("13", 13)]
        {
            assert_eq!(read_code(text), Some(Code(code)), "{text}");
        }
        for text in ["OK", "0", "17", "-1", "no"] {
            assert_eq!(read_code(text), None, "{text}");
        }
        let config = read(r#"{"endpoint": "h:1", "retry_on_failure": {"extra_codes": ["INTERNAL", 2]}}"#);
        assert_eq!(config.extra_codes(), [Code::INTERNAL, Code::UNKNOWN]);
    }
}
