use phoenix_component::{Action, Leases, Touch};
use phoenix_config::{Block, Described, GoDuration, Problems, Settings};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Settings of the `health_check` extension: otelcol's keys.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct HealthCheckConfig {
    /// Where it listens, as `host:port`.
    pub endpoint: String,
    /// The path that it answers; one that ends with `/` stands for all below.
    pub path: String,
    /// What it answers, instead of the state as JSON.
    pub response_body: Option<ResponseBody>,
    /// Without effect, as in otelcol.
    pub check_collector_pipeline: CheckCollectorPipeline,
    /// The most time from the start of a request, or of the wait for one, until its headers are there.
    pub read_header_timeout: GoDuration,
    /// Whether a connection serves more than one request.
    pub keep_alives_enabled: bool,

    // The other keys of an HTTP server: not supported yet.
    /// Refused.
    pub tls: Block<AnyKeys>,
    /// Refused.
    pub cors: Block<AnyKeys>,
    /// Refused.
    pub auth: Block<AnyKeys>,
    /// Refused.
    pub transport: Option<IgnoredAny>,
    /// Refused.
    pub response_headers: Option<IgnoredAny>,
    /// Refused.
    pub compression_algorithms: Option<IgnoredAny>,
    /// Refused.
    pub middlewares: Option<IgnoredAny>,
    /// Refused.
    pub include_metadata: Option<IgnoredAny>,
    /// Refused.
    pub max_request_body_size: Option<IgnoredAny>,
    /// Refused.
    pub read_timeout: Option<IgnoredAny>,
    /// Refused.
    pub write_timeout: Option<IgnoredAny>,
    /// Refused.
    pub idle_timeout: Option<IgnoredAny>,
}

/// What is answered instead of the state as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ResponseBody {
    /// While the pipelines run.
    pub healthy: String,
    /// Before and after.
    pub unhealthy: String,
}

/// A check that otelcol takes and does not do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct CheckCollectorPipeline {
    /// Whether it is asked for.
    pub enabled: bool,
    /// Over what time failures would count.
    pub interval: GoDuration,
    /// How many failures would be too many.
    pub exporter_failure_threshold: i64,
}

/// A block whose keys are not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(default)]
pub struct AnyKeys {}

impl Default for CheckCollectorPipeline {
    fn default() -> CheckCollectorPipeline {
        CheckCollectorPipeline {
            enabled: false,
            interval: GoDuration::from_secs(300),
            exporter_failure_threshold: 5,
        }
    }
}

impl Default for HealthCheckConfig {
    fn default() -> HealthCheckConfig {
        HealthCheckConfig {
            endpoint: "localhost:13133".into(),
            path: "/".into(),
            response_body: None,
            check_collector_pipeline: CheckCollectorPipeline::default(),
            read_header_timeout: GoDuration::from_secs(60),
            keep_alives_enabled: true,
            tls: Block::off(),
            cors: Block::off(),
            auth: Block::off(),
            transport: None,
            response_headers: None,
            compression_algorithms: None,
            middlewares: None,
            include_metadata: None,
            max_request_body_size: None,
            read_timeout: None,
            write_timeout: None,
            idle_timeout: None,
        }
    }
}

impl HealthCheckConfig {
    /// The listener.
    pub(crate) fn touches(&self) -> Vec<Touch> {
        let endpoint = self.endpoint.clone();
        let probe = move || async move {
            let leased = Leases::default().listen_tcp(&endpoint);
            leased.map(|_| "free".to_owned()).map_err(|error| error.to_string())
        };
        vec![Touch::new("endpoint", Action::Listen, &self.endpoint, probe)]
    }

    /// The keys that are not supported, with why, and whether they are there.
    fn unsupported(&self) -> [(&'static str, &'static str, bool); 12] {
        const PLAIN: &str = "it answers plain HTTP/1.1 over TCP in this version";
        const NO_BODY: &str = "bodies of requests are not read";
        const SMALL: &str =
            "the answer is a few bytes; `read_header_timeout` bounds what a connection may take";
        [
            ("tls", PLAIN, self.tls.is_on()),
            ("cors", PLAIN, self.cors.is_on()),
            ("auth", "authenticators come in a later version", self.auth.is_on()),
            ("transport", PLAIN, self.transport.is_some()),
            ("response_headers", PLAIN, self.response_headers.is_some()),
            ("compression_algorithms", NO_BODY, self.compression_algorithms.is_some()),
            ("middlewares", "middlewares come in a later version", self.middlewares.is_some()),
            ("include_metadata", "nothing receives it here", self.include_metadata.is_some()),
            ("max_request_body_size", NO_BODY, self.max_request_body_size.is_some()),
            ("read_timeout", NO_BODY, self.read_timeout.is_some()),
            ("write_timeout", SMALL, self.write_timeout.is_some()),
            ("idle_timeout", SMALL, self.idle_timeout.is_some()),
        ]
    }
}

impl Settings for HealthCheckConfig {
    fn validate(&self, problems: &mut Problems) {
        if self.endpoint.is_empty() {
            problems.error_with_help("endpoint", "must be specified", "for example `0.0.0.0:13133`");
        }
        problems.require(self.path.starts_with('/'), "path", "must start with /");
        problems.require(
            self.read_header_timeout.is_positive(),
            "read_header_timeout",
            "must be longer than zero: without it connections that say nothing would stay for ever",
        );
        let check = &self.check_collector_pipeline;
        problems.require(
            check.exporter_failure_threshold > 0,
            "check_collector_pipeline::exporter_failure_threshold",
            "expects a positive number",
        );
        if check.enabled {
            problems.warn(
                "check_collector_pipeline::enabled",
                "has no effect, as in otelcol: health says whether the pipelines run",
            );
        }
        for (key, why, is_present) in self.unsupported() {
            if is_present {
                problems.error_with_help(key, format!("is not supported yet: {why}"), "remove it");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_bad_settings_and_names_the_field() {
        // (settings, fields that the errors name)
        let cases: [(&str, &[&str]); 9] = [
            ("{}", &[]),
            (r#"{"endpoint": "0.0.0.0:13133", "path": "/health", "keep_alives_enabled": false}"#, &[]),
            (r#"{"response_body": {"healthy": "ok"}, "tls": {"enabled": false, "x": 1}}"#, &[]),
            (r#"{"check_collector_pipeline": {"enabled": true, "interval": "1m"}}"#, &[]),
            (
                r#"{"endpoint": "", "path": "health", "read_header_timeout": "0s"}"#,
                &["endpoint", "path", "read_header_timeout"],
            ),
            (r#"{"tls": {"cert_file": "x"}, "idle_timeout": "1s"}"#, &["tls", "idle_timeout"]),
            (r#"{"cors": {}, "middlewares": []}"#, &["cors", "middlewares"]),
            (r#"{"auth": {"authenticator": "basicauth"}}"#, &["auth"]),
            (
                r#"{"check_collector_pipeline": {"exporter_failure_threshold": 0}}"#,
                &["check_collector_pipeline::exporter_failure_threshold"],
            ),
        ];
        for (settings, fields) in cases {
            let config: HealthCheckConfig = serde_json::from_str(settings).expect(settings);
            assert_eq!(Problems::of(|p| config.validate(p)).keys(), fields, "{settings}");
        }
    }
}
