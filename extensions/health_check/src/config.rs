use phoenix_component::Touch;
use phoenix_config::{Block, Described, GoDuration, PresentBlock, Problems, Settings};
use phoenix_transport::probe;
use phoenix_transport::settings::{
    GrpcServerSettings, NO_LIMITER, NotYet, ServerKeepalive, TlsServerSettings, Transport, refuse,
    refuse_limiters,
};
use phoenix_transport::side_server_settings;
use serde::Deserialize;

side_server_settings! {
    /// Settings of the `health_check` extension: otelcol's keys, of both versions.
    pub struct HealthCheckConfig at "localhost:13133" {
        /// The path that it answers; one that ends with `/` stands for all below.
        pub path: String = "/".to_owned(),
        /// What it answers, instead of the state as JSON.
        pub response_body: Option<ResponseBody> = None,
        /// Without effect, as in otelcol.
        pub check_collector_pipeline: CheckCollectorPipeline = CheckCollectorPipeline::default(),
        /// Whether the second version answers: `http` and `grpc` instead of the keys above.
        pub use_v2: bool = false,
        /// Status and configuration over HTTP.
        pub http: PresentBlock<StatusHttp> = PresentBlock::off(),
        /// `grpc.health.v1`.
        pub grpc: PresentBlock<StatusGrpc> = PresentBlock::off(),
        /// Which errors make a component unhealthy.
        pub component_health: PresentBlock<ComponentHealth> = PresentBlock::off(),
    }
}

side_server_settings! {
    /// `http` of the second version.
    pub struct StatusHttp at "localhost:13133" {
        /// The status of the collector, of a pipeline, of components.
        pub status: StatusPath = StatusPath::default(),
        /// The effective configuration, secrets hidden.
        pub config: ConfigPath = ConfigPath::default(),
    }
}

/// Where the status is served.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct StatusPath {
    /// Whether it is.
    pub enabled: bool,
    /// At which path.
    pub path: String,
}

impl Default for StatusPath {
    fn default() -> StatusPath {
        StatusPath { enabled: true, path: "/status".to_owned() }
    }
}

/// Where the effective configuration is served.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigPath {
    /// Whether it is.
    pub enabled: bool,
    /// At which path.
    pub path: String,
}

impl Default for ConfigPath {
    fn default() -> ConfigPath {
        ConfigPath { enabled: false, path: "/config".to_owned() }
    }
}

/// `grpc` of the second version.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct StatusGrpc {
    /// `host:port`, or the path of a Unix socket.
    pub endpoint: String,
    /// TCP or Unix.
    pub transport: Transport,
    /// TLS; plaintext without.
    pub tls: Block<TlsServerSettings>,
    /// Largest message in MiB; 0 is 4.
    pub max_recv_msg_size_mib: i64,
    /// Streams of one connection at a time; 0 is the library's bound.
    pub max_concurrent_streams: u32,
    /// Taken for compatibility: buffers are sized by need.
    pub read_buffer_size: i64,
    /// Taken for compatibility: buffers are sized by need.
    pub write_buffer_size: i64,
    /// When connections are pinged and closed.
    pub keepalive: ServerKeepalive,
    /// Of no use here.
    pub include_metadata: bool,
    /// The extension that checks credentials.
    #[described(unsupported = NO_AUTH)]
    pub auth: NotYet,
    /// Memory limiters that are asked before a request is read.
    #[described(unsupported = NO_LIMITER)]
    pub middlewares: Vec<serde::de::IgnoredAny>,
}

impl Default for StatusGrpc {
    fn default() -> StatusGrpc {
        let block = GrpcServerSettings::default();
        StatusGrpc {
            endpoint: "localhost:13132".to_owned(),
            transport: block.transport,
            tls: block.tls,
            max_recv_msg_size_mib: block.max_recv_msg_size_mib,
            max_concurrent_streams: block.max_concurrent_streams,
            read_buffer_size: block.read_buffer_size,
            write_buffer_size: block.write_buffer_size,
            keepalive: block.keepalive,
            include_metadata: block.include_metadata,
            auth: None,
            middlewares: Vec::new(),
        }
    }
}

/// Why health checks over gRPC ask nobody.
const NO_AUTH: &str = "clients of gRPC health checks send no credentials";

impl StatusGrpc {
    /// The listener's part of the settings.
    pub fn grpc(&self) -> GrpcServerSettings {
        GrpcServerSettings {
            endpoint: self.endpoint.clone(),
            transport: self.transport,
            tls: self.tls.clone(),
            max_recv_msg_size_mib: self.max_recv_msg_size_mib,
            max_concurrent_streams: self.max_concurrent_streams,
            read_buffer_size: self.read_buffer_size,
            write_buffer_size: self.write_buffer_size,
            keepalive: self.keepalive.clone(),
            include_metadata: self.include_metadata,
            middlewares: Vec::new(),
            ..GrpcServerSettings::default()
        }
    }
}

/// Which errors make a component, and what it belongs to, unhealthy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ComponentHealth {
    /// Errors that last until the configuration changes.
    pub include_permanent_errors: bool,
    /// Errors that last for longer than `recovery_duration`.
    pub include_recoverable_errors: bool,
    /// What a component gets to recover.
    pub recovery_duration: GoDuration,
}

impl Default for ComponentHealth {
    fn default() -> ComponentHealth {
        ComponentHealth {
            include_permanent_errors: false,
            include_recoverable_errors: false,
            recovery_duration: GoDuration::from_secs(60),
        }
    }
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

impl Default for CheckCollectorPipeline {
    fn default() -> CheckCollectorPipeline {
        CheckCollectorPipeline {
            enabled: false,
            interval: GoDuration::from_secs(300),
            exporter_failure_threshold: 5,
        }
    }
}

impl HealthCheckConfig {
    /// Every listener: protocol, endpoint, and what else makes it the same one.
    pub(crate) fn listeners(&self) -> Vec<(&'static str, String, Transport, Block<TlsServerSettings>)> {
        if !self.use_v2 {
            return vec![("http", self.endpoint.clone(), self.transport, self.tls.clone())];
        }
        let http =
            self.http.get().map(|http| ("http", http.endpoint.clone(), http.transport, http.tls.clone()));
        let grpc =
            self.grpc.get().map(|grpc| ("grpc", grpc.endpoint.clone(), grpc.transport, grpc.tls.clone()));
        http.into_iter().chain(grpc).collect()
    }

    fn validate_v1(&self, problems: &mut Problems) {
        if self.endpoint.is_empty() {
            problems.error_with_help("endpoint", "must be specified", "for example `0.0.0.0:13133`");
        }
        problems.require(self.path.starts_with('/'), "path", "must start with /");
        self.validate_listener(problems);
        let check = &self.check_collector_pipeline;
        problems.require(
            check.exporter_failure_threshold > 0,
            "check_collector_pipeline::exporter_failure_threshold",
            "expects a positive number",
        );
        if check.enabled {
            problems.warn(
                "check_collector_pipeline::enabled",
                "has no effect, as in otelcol: health says whether the pipelines run; `use_v2` tells of components",
            );
        }
        let v2 = [
            ("http", self.http.is_on()),
            ("grpc", self.grpc.is_on()),
            ("component_health", self.component_health.is_on()),
        ];
        for (key, is_on) in v2 {
            if is_on {
                problems.warn(key, "has no effect without `use_v2: true`");
            }
        }
    }

    fn validate_v2(&self, problems: &mut Problems) {
        if !self.http.is_on() && !self.grpc.is_on() {
            problems.error_with_help(
                "",
                "must specify at least one protocol",
                "add `http: {}`, `grpc: {}` or both",
            );
        }
        if let Some(http) = self.http.get() {
            problems.within("http", |problems| {
                problems.require(!http.endpoint.is_empty(), "endpoint", "http endpoint required");
                http.validate_listener(problems);
                let paths = [
                    ("status::path", http.status.enabled, &http.status.path),
                    ("config::path", http.config.enabled, &http.config.path),
                ];
                for (key, enabled, path) in paths {
                    problems.require(!enabled || path.starts_with('/'), key, "path must start with /");
                }
            });
        }
        if let Some(grpc) = self.grpc.get() {
            problems.within("grpc", |problems| {
                problems.require(!grpc.endpoint.is_empty(), "endpoint", "grpc endpoint required");
                grpc.grpc().validate(problems);
                refuse(problems, "auth", &grpc.auth, NO_AUTH);
                refuse_limiters(problems, &grpc.middlewares);
            });
        }
        if let Some(health) = self.component_health.get() {
            problems.require(
                !health.recovery_duration.is_negative(),
                "component_health::recovery_duration",
                "must not be negative",
            );
        }
    }
}

impl HealthCheckConfig {
    /// What a start would reach out to: its listeners.
    pub(crate) fn touches(&self) -> Vec<Touch> {
        let touch = |(protocol, endpoint, transport, _): (&str, String, Transport, _)| {
            let key = if self.use_v2 { format!("{protocol}::endpoint") } else { "endpoint".to_owned() };
            probe::listen(&key, transport, &endpoint)
        };
        self.listeners().into_iter().map(touch).collect()
    }
}

impl Settings for HealthCheckConfig {
    fn validate(&self, problems: &mut Problems) {
        match self.use_v2 {
            false => self.validate_v1(problems),
            true => self.validate_v2(problems),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_bad_settings_and_names_the_field() {
        // (settings, fields that the errors name)
        let cases: [(&str, &[&str]); 16] = [
            ("{}", &[]),
            ("{endpoint: '0.0.0.0:13133', path: /health, keep_alives_enabled: false}", &[]),
            ("{response_body: {healthy: ok}, tls: {enabled: false}, cors: {allowed_origins: ['*']}}", &[]),
            ("{check_collector_pipeline: {enabled: true, interval: 1m}, idle_timeout: 1s}", &[]),
            ("{use_v2: true, http: {status: {path: /s}, config: {enabled: true}}, grpc: {}}", &[]),
            ("{use_v2: true, grpc: {transport: unix, endpoint: /tmp/x.sock}, component_health: {}}", &[]),
            ("{endpoint: '', path: health}", &["endpoint", "path"]),
            ("{auth: {authenticator: basicauth}}", &[]),
            ("{auth: {}}", &["auth::authenticator"]),
            ("{use_v2: true, grpc: {auth: {authenticator: x}}}", &["grpc::auth"]),
            ("{tls: {cert_file: x}}", &["tls", "tls"]),
            (
                "{check_collector_pipeline: {exporter_failure_threshold: 0}}",
                &["check_collector_pipeline::exporter_failure_threshold"],
            ),
            ("{use_v2: true}", &[""]),
            (
                "{use_v2: true, http: {endpoint: '', status: {path: s}}}",
                &["http::endpoint", "http::status::path"],
            ),
            ("{use_v2: true, http: {statuses: {}}}", &["http::statuses"]),
            (
                "{use_v2: true, http: {}, component_health: {recovery_duration: -1s}}",
                &["component_health::recovery_duration"],
            ),
        ];
        for (settings, fields) in cases {
            let found = match phoenix_config::decode_text::<HealthCheckConfig>(settings) {
                Ok(_) => Vec::new(),
                Err(problems) => {
                    problems.errors().map(|problem| problem.path.to_string()).collect::<Vec<_>>()
                }
            };
            assert!(
                found.iter().zip(fields).all(|(found, field)| found.starts_with(field)),
                "{settings}: {found:?}"
            );
            assert_eq!(found.len(), fields.len(), "{settings}: {found:?}");
        }
    }

    #[test]
    fn each_protocol_has_its_own_port() {
        let config: HealthCheckConfig =
            phoenix_config::decode_text("{use_v2: true, http: , grpc: }").expect("valid");
        let endpoints: Vec<_> = config.listeners().into_iter().map(|(_, endpoint, ..)| endpoint).collect();
        assert_eq!(endpoints, ["localhost:13133", "localhost:13132"]);
        assert_eq!(HealthCheckConfig::default().http().endpoint, "localhost:13133");
    }
}
