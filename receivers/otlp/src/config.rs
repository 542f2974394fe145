//! Settings of the OTLP receiver.

use phoenix_component::Touch;
use phoenix_config::{Described, PresentBlock, Problems, Settings};
use phoenix_pdata::InvalidUtf8;
use phoenix_transport::http_server_settings;
use phoenix_transport::probe;
use phoenix_transport::settings::GrpcServerSettings;
use serde::Deserialize;

/// Settings of the OTLP receiver.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpReceiverConfig {
    /// The protocols that are served; each is off unless it is named.
    pub protocols: Protocols,
    /// What becomes of texts that are not UTF-8.
    pub invalid_utf8: Utf8Policy,
}

/// The protocols.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Protocols {
    /// OTLP over gRPC.
    pub grpc: PresentBlock<GrpcServerSettings>,
    /// OTLP over HTTP with protobuf.
    pub http: PresentBlock<OtlpHttpSettings>,
}

/// What becomes of texts that are not UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "lowercase")]
pub enum Utf8Policy {
    /// They pass, as in otelcol.
    #[default]
    Pass,
    /// Bad sequences are replaced by U+FFFD.
    Repair,
    /// The request is refused.
    Reject,
}

impl From<Utf8Policy> for InvalidUtf8 {
    fn from(policy: Utf8Policy) -> InvalidUtf8 {
        match policy {
            Utf8Policy::Pass => InvalidUtf8::Pass,
            Utf8Policy::Repair => InvalidUtf8::Repair,
            Utf8Policy::Reject => InvalidUtf8::Reject,
        }
    }
}

http_server_settings! {
    /// Settings of `protocols::http`.
    pub struct OtlpHttpSettings {
        /// The path for traces.
        pub traces_url_path: String = "/v1/traces".to_owned(),
        /// The path for metrics.
        pub metrics_url_path: String = "/v1/metrics".to_owned(),
        /// The path for logs.
        pub logs_url_path: String = "/v1/logs".to_owned(),
    }
}

impl OtlpHttpSettings {
    /// The path of each signal, with a slash in front.
    pub fn paths(&self) -> [String; 3] {
        [&self.traces_url_path, &self.metrics_url_path, &self.logs_url_path].map(|path| {
            match path.strip_prefix('/') {
                Some(_) => path.clone(),
                None => format!("/{path}"),
            }
        })
    }
}

impl OtlpReceiverConfig {
    /// The listeners, and the files of their TLS.
    pub(crate) fn touches(&self) -> Vec<Touch> {
        let mut touches = Vec::new();
        if let Some(grpc) = self.protocols.grpc.get() {
            touches.push(probe::listen("protocols::grpc::endpoint", grpc.transport, &grpc.endpoint));
            let tls = grpc.tls.get();
            touches.extend(tls.into_iter().flat_map(|tls| probe::server_files("protocols::grpc::tls", tls)));
        }
        if let Some(http) = self.protocols.http.get() {
            touches.push(probe::listen("protocols::http::endpoint", http.transport, &http.endpoint));
            let tls = http.tls.get();
            touches.extend(tls.into_iter().flat_map(|tls| probe::server_files("protocols::http::tls", tls)));
        }
        touches
    }
}

impl Settings for OtlpReceiverConfig {
    fn validate(&self, problems: &mut Problems) {
        if !self.protocols.grpc.is_on() && !self.protocols.http.is_on() {
            problems.error_with_help(
                "",
                "must specify at least one protocol when using the OTLP receiver",
                "add `protocols: {grpc: {}, http: {}}`",
            );
        }
        if let Some(grpc) = self.protocols.grpc.get() {
            problems.within("protocols::grpc", |problems| grpc.validate(problems));
        }
        if let Some(http) = self.protocols.http.get() {
            problems.within("protocols::http", |problems| {
                http.http().validate(problems);
                let keys = ["traces_url_path", "metrics_url_path", "logs_url_path"];
                for (key, path) in keys.into_iter().zip(http.paths()) {
                    let valid = http::uri::PathAndQuery::try_from(path.as_str())
                        .is_ok_and(|uri| uri.query().is_none() && is_escaped(uri.path()));
                    problems.require(valid, key, format!("invalid HTTP URL path {path:?}"));
                }
            });
        }
    }
}

/// Whether each `%` of a path is followed by the two digits of a byte.
fn is_escaped(path: &str) -> bool {
    let mut parts = path.split('%');
    parts.next();
    parts.all(|part| part.len() >= 2 && part.bytes().take(2).all(|digit| digit.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use phoenix_component::harness::settings_of_example;

    use super::*;

    fn problems(yaml: &str) -> Vec<String> {
        match phoenix_config::decode_text::<OtlpReceiverConfig>(yaml) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.errors().map(|problem| problem.path.to_string()).collect(),
        }
    }

    #[test]
    fn the_example_of_the_readme_is_valid() {
        let config: OtlpReceiverConfig = settings_of_example(include_str!("../README.md"), "receivers::otlp");
        let grpc = config.protocols.grpc.get().expect("on");
        assert_eq!(grpc.options().max_message_bytes, 16 << 20);
        let http = config.protocols.http.get().expect("on");
        assert!(http.http().options().cors.is_some());
        assert_eq!(config.invalid_utf8, Utf8Policy::Repair);
    }

    #[test]
    fn a_protocol_is_on_when_it_is_named() {
        let config: OtlpReceiverConfig = phoenix_config::decode_text("protocols: {grpc: }").expect("valid");
        assert_eq!(config.protocols.grpc.get().map(|grpc| grpc.endpoint.as_str()), Some("localhost:4317"));
        assert!(!config.protocols.http.is_on());
        let config: OtlpReceiverConfig =
            phoenix_config::decode_text("protocols: {http: {logs_url_path: logs}}\ninvalid_utf8: repair")
                .expect("valid");
        let http = config.protocols.http.get().expect("on");
        assert_eq!(http.http().endpoint, "localhost:4318");
        assert_eq!(http.paths(), ["/v1/traces", "/v1/metrics", "/logs"]);
        assert_eq!(InvalidUtf8::from(config.invalid_utf8), InvalidUtf8::Repair);
    }

    #[test]
    fn problems_name_their_key() {
        for (yaml, path) in [
            ("{}", ""),
            ("protocols: {grpc: {enabled: false}}", ""),
            ("protocols: {grcp: {}}", "protocols::grcp"),
            ("protocols: {grpc: {auth: {authenticator: x, y: z}}}", "protocols::grpc::auth::y"),
            ("protocols: {http: {auth: {}}}", "protocols::http::auth::authenticator"),
            ("protocols: {http: {traces_url_path: 'a b'}}", "protocols::http::traces_url_path"),
            ("protocols: {http: {logs_url_path: /%41%4}}", "protocols::http::logs_url_path"),
            ("protocols: {http: {profiles_url_path: /p}}", "protocols::http::profiles_url_path"),
            ("protocols: {http: {}}\ninvalid_utf8: drop", "invalid_utf8"),
        ] {
            assert_eq!(problems(yaml).first().map(String::as_str), Some(path), "{yaml}");
        }
    }
}
