//! Settings, under otelcol's keys and with its defaults.

use phoenix_component::Touch;
use phoenix_config::{Described, GoDuration, Key, PresentBlock, Problems, Section, Settings, Shape, Written};
use phoenix_delivery::{QueueSettings, RetrySettings, validate_timeout};
use phoenix_otlp::OtlpGrpcConfig;
use phoenix_pdata::Signal;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Settings of the `load_balancing` exporter.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct LoadBalancingConfig {
    /// How each backend is sent to.
    pub protocol: Protocol,
    /// Where the list of backends comes from; exactly one.
    #[described(required)]
    pub resolver: ResolverSettings,
    /// What meets at one backend: `traceID`, `service`, `resource`, `metric`, `streamID` or `attributes`. Without it the trace
    /// for traces, and the service for metrics and logs.
    #[described(words("traceID", "service", "resource", "metric", "streamID", "attributes", ""))]
    pub routing_key: String,
    /// The attributes of `routing_key: attributes`: of the resource, else of the scope, else of the record or data point. Also
    /// `span.name`, `span.kind`, `log.severity` and `log.body`.
    pub routing_attributes: Vec<String>,
    /// How keys are placed on backends. Not in otelcol.
    pub ring: Ring,
    /// Longest time of one attempt at a batch, detours to other backends included; zero for any.
    pub timeout: GoDuration,
    /// Repetition of what no backend took; where it is absent or off, as `protocol::otlp` says.
    pub retry_on_failure: Option<RetrySettings>,
    /// The queue in front of the routing; where it is off, that of `protocol::otlp` stands there.
    pub sending_queue: PresentBlock<QueueSettings>,
}

/// How backends are sent to.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Protocol {
    /// OTLP over gRPC, with the keys of `otlp_grpc`.
    pub otlp: SubExporter,
}

/// The settings of `otlp_grpc`, but for its endpoint, which each backend has of its own.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct SubExporter(pub OtlpGrpcConfig);

impl Described for SubExporter {
    fn shape() -> Shape {
        let mut shape = OtlpGrpcConfig::shape();
        if let Shape::Section(Section { keys, .. }) = &mut shape {
            let endpoint = keys.iter().position(|key| key.name == "endpoint");
            if let Some(at) = endpoint {
                keys[at] =
                    Key::new("endpoint", Shape::Text, &["Where to."]).no_effect("each backend has its own");
            }
        }
        shape
    }

    fn written(&self) -> Option<Written> {
        self.0.written()
    }
}

impl SubExporter {
    /// As they are for one backend.
    pub(crate) fn with_endpoint(&self, endpoint: String) -> OtlpGrpcConfig {
        OtlpGrpcConfig { endpoint, ..self.0.clone() }
    }
}

/// Where the list of backends comes from.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ResolverSettings {
    /// A fixed list.
    #[serde(rename = "static")]
    pub fixed: Option<Static>,
    /// The addresses of a name.
    pub dns: Option<Dns>,
    /// The endpoints of a Kubernetes service.
    pub k8s: Option<Kubernetes>,
    /// The instances of a service in AWS Cloud Map.
    #[described(unsupported = "name the service by `dns`, which Cloud Map offers for its namespaces")]
    pub aws_cloud_map: Option<IgnoredAny>,
}

/// A fixed list of backends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Static {
    /// `host:port` each; the port is 4317 where none is written.
    #[described(required)]
    pub hostnames: Vec<String>,
}

/// The addresses of a name, of both families.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    /// The name.
    #[described(required)]
    pub hostname: String,
    /// The port of every address; 4317 where none is written.
    pub port: String,
    /// How often it is asked for.
    pub interval: GoDuration,
    /// Longest wait for an answer.
    pub timeout: GoDuration,
}

impl Default for Dns {
    fn default() -> Dns {
        Dns {
            hostname: String::new(),
            port: String::new(),
            interval: GoDuration::from_secs(5),
            timeout: GoDuration::from_secs(1),
        }
    }
}

/// The endpoints of a Kubernetes service that are ready.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Kubernetes {
    /// `name` or `name.namespace`; without one the namespace of this pod.
    #[described(required)]
    pub service: String,
    /// The ports of every endpoint; 4317 where none is written.
    pub ports: Vec<u16>,
    /// Longest time of one watch, after which it begins again.
    pub timeout: GoDuration,
    /// Names of the pods (`pod.service.namespace`) instead of addresses: for certificates, and stable identities.
    pub return_hostnames: bool,
}

impl Default for Kubernetes {
    fn default() -> Kubernetes {
        Kubernetes {
            service: String::new(),
            ports: Vec::new(),
            timeout: GoDuration::from_secs(60),
            return_hostnames: false,
        }
    }
}

/// How keys are placed on backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum Ring {
    /// The ring of otelcol until the middle of 2025.
    V1,
    /// The points of otelcol's ring since then, up to 0.156; where two meet, they stand in line, so that no key of a backend
    /// that stays moves when another leaves.
    #[default]
    V2,
    /// The ring of otelcol since then, up to 0.156, to the last key: where two points meet, one moves on.
    V2Probing,
    /// The ring of otelcol since 0.157, to the last key.
    V3Probing,
    /// Rendezvous hashing: even shares for any number of backends. Not for fleets in which otelcol routes as well.
    Rendezvous,
}

/// What meets at one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoutingKey {
    /// A trace.
    TraceId,
    /// A service, by `service.name`.
    Service,
    /// A resource, by all of its attributes.
    Resource,
    /// A metric, by its name.
    Metric,
    /// A stream of data points, by all that identifies it.
    Stream,
    /// What has the same values of some attributes.
    Attributes,
}

impl LoadBalancingConfig {
    /// The key for `signal`.
    ///
    /// # Errors
    /// Where records of that signal have none of that kind.
    pub fn routing_key(&self, signal: Signal) -> Result<RoutingKey, String> {
        use RoutingKey::{Attributes, Metric, Resource, Service, Stream, TraceId};
        Ok(match (self.routing_key.as_str(), signal) {
            ("", Signal::Traces) | ("traceID", Signal::Traces | Signal::Logs) => TraceId,
            ("", _) | ("service", _) => Service,
            ("resource", Signal::Metrics | Signal::Logs) => Resource,
            ("metric", Signal::Metrics) => Metric,
            ("streamID", Signal::Metrics) => Stream,
            ("attributes", _) => Attributes,
            (other, _) => return Err(format!("unsupported routing_key: {other}")),
        })
    }

    /// The retries that hold.
    pub(crate) fn retry(&self) -> &RetrySettings {
        let own = self.retry_on_failure.as_ref().filter(|retry| retry.enabled);
        own.unwrap_or(&self.protocol.otlp.0.retry_on_failure)
    }

    /// The queue in front.
    pub(crate) fn queue(&self) -> Option<&QueueSettings> {
        self.sending_queue.get().or_else(|| self.protocol.otlp.0.sending_queue.get())
    }

    /// Files of TLS, and the servers of a fixed list.
    pub(crate) fn touches(&self) -> Vec<Touch> {
        let fixed = self.resolver.fixed.iter().flat_map(|fixed| &fixed.hostnames);
        let endpoints = fixed.map(|hostname| with_port(hostname));
        let mut touches: Vec<Touch> = endpoints
            .flat_map(|endpoint| self.protocol.otlp.with_endpoint(endpoint).touches().into_iter().take(1))
            .collect();
        let files = self.protocol.otlp.with_endpoint("backend:4317".to_owned()).touches();
        touches.extend(files.into_iter().skip(1));
        touches
    }
}

impl Settings for LoadBalancingConfig {
    fn validate(&self, problems: &mut Problems) {
        problems.within("resolver", |problems| self.resolver.validate(problems));
        problems.within("protocol::otlp", |problems| {
            self.protocol.otlp.with_endpoint("backend:4317".to_owned()).validate(problems);
        });
        let known = Signal::ALL.iter().any(|signal| self.routing_key(*signal).is_ok());
        let unknown = format!("unsupported routing_key: {}", self.routing_key);
        problems.require(known, "routing_key", unknown);
        match (self.routing_key == "attributes", self.routing_attributes.is_empty()) {
            (true, true) => problems.error(
                "routing_attributes",
                "must name at least one attribute where `routing_key` is `attributes`",
            ),
            (false, false) => {
                problems.warn("routing_attributes", "has no effect unless `routing_key` is `attributes`")
            }
            _ => {}
        }
        validate_timeout(self.timeout, problems);
        if let Some(retry) = &self.retry_on_failure {
            problems.within("retry_on_failure", |problems| retry.validate(problems));
            problems.require(
                retry.extra_codes.is_empty(),
                "retry_on_failure::extra_codes",
                "belong to `protocol::otlp::retry_on_failure`: what answers mean is the protocol's",
            );
        }
        if let Some(queue) = self.sending_queue.get() {
            problems.within("sending_queue", |problems| queue.validate(problems));
        }
    }
}

impl ResolverSettings {
    fn validate(&self, problems: &mut Problems) {
        let ResolverSettings { fixed, dns, k8s, aws_cloud_map } = self;
        if aws_cloud_map.is_some() {
            problems.error_with_help(
                "aws_cloud_map",
                "`aws_cloud_map` is not supported",
                "name the service by `dns`, which Cloud Map offers for its namespaces",
            );
        }
        let given = [fixed.is_some(), dns.is_some(), k8s.is_some(), aws_cloud_map.is_some()];
        match given.iter().filter(|given| **given).count() {
            0 => problems.error("", "no resolvers specified for the exporter"),
            1 => {}
            _ => problems.error("", "only one resolver should be specified"),
        }
        if let Some(fixed) = fixed {
            problems.require(
                !fixed.hostnames.is_empty(),
                "static::hostnames",
                "no endpoints specified for the static resolver",
            );
            for (index, hostname) in fixed.hostnames.iter().enumerate() {
                let key = format!("static::hostnames::{index}");
                if hostname.is_empty() {
                    problems.error(&key, "must not be empty");
                } else if let Err(error) = phoenix_transport::endpoint::Target::parse_grpc(hostname) {
                    problems.error(&key, error.to_string());
                }
            }
        }
        if let Some(dns) = dns {
            problems.within("dns", |problems| dns.validate(problems));
        }
        if let Some(k8s) = k8s {
            problems.within("k8s", |problems| k8s.validate(problems));
        }
    }
}

impl Dns {
    fn validate(&self, problems: &mut Problems) {
        let none = "no hostname specified to resolve the backends";
        problems.require(!self.hostname.is_empty(), "hostname", none);
        let is_port = self.port.is_empty() || self.port.parse::<u16>().is_ok_and(|port| port > 0);
        problems.require(is_port, "port", format!("invalid port {:?}", self.port));
        for (key, duration) in [("interval", self.interval), ("timeout", self.timeout)] {
            problems.require(!duration.is_negative(), key, format!("`{key}` must be non-negative"));
        }
    }
}

impl Kubernetes {
    fn validate(&self, problems: &mut Problems) {
        if let Err(message) = self.names() {
            problems.error("service", message);
        }
        problems.require(!self.ports.contains(&0), "ports", "a port must be positive");
        problems.require(!self.timeout.is_negative(), "timeout", "`timeout` must be non-negative");
    }

    /// Name and namespace of the service, of a name as in the cluster's DNS.
    pub(crate) fn names(&self) -> Result<(&str, Option<&str>), String> {
        let mut labels = self.service.split('.');
        let name = labels.next().unwrap_or_default();
        if name.is_empty() {
            return Err("no service specified to resolve the backends".to_owned());
        }
        let is_label = |label: &str| {
            label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') && label.len() <= 63
        };
        let namespace = labels.next().filter(|label| !label.is_empty());
        let rest: Vec<&str> = labels.collect();
        match rest.as_slice() {
            _ if !is_label(name) || !namespace.is_none_or(is_label) => {
                Err(format!("{:?} is no name of a service", self.service))
            }
            [] => Ok((name, namespace)),
            _ if namespace.is_none() => Err(format!("namespace segment missing in {:?}", self.service)),
            ["svc"] => Err(format!("missing cluster domain in {:?}", self.service)),
            ["svc", ..] => Ok((name, namespace)),
            _ => Err(format!("expected third DNS label to be 'svc' in {:?}", self.service)),
        }
    }
}

/// An endpoint with the port of OTLP where it has none.
pub(crate) fn with_port(endpoint: &str) -> String {
    let has_port = match endpoint.rsplit_once(':') {
        Some((_, rest)) => !rest.ends_with(']') && endpoint.parse::<std::net::Ipv6Addr>().is_err(),
        None => false,
    };
    match has_port {
        true => endpoint.to_owned(),
        false if endpoint.parse::<std::net::Ipv6Addr>().is_ok() => format!("[{endpoint}]:4317"),
        false => format!("{endpoint}:4317"),
    }
}

#[cfg(test)]
mod tests;
