//! What OpenTelemetry's instrumentation of HTTP and gRPC measures, under its names. Only at level detailed:
//! below nobody reads a clock or looks at a header for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::HOST;
use http::{HeaderMap, Method, StatusCode, Uri, Version};
use phoenix_component::Code;
use phoenix_telemetry::{Description, Histogram, Level, Measure, Metrics};

/// Combinations of attributes whose instruments are kept at hand; others are looked up each time.
const KEPT: usize = 256;

/// The bounds for seconds of the semantic conventions.
const SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Those of OpenTelemetry's SDKs.
const DEFAULT: &[f64] =
    &[0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10_000.0];

const fn describe(name: &'static str, unit: &'static str, text: &'static str) -> Description {
    Description { name, unit, text }
}

struct Names {
    duration: Description,
    request_body: Description,
    response_body: Option<Description>,
}

const SERVER: Names = Names {
    duration: describe("http.server.request.duration", "s", "Duration of HTTP server requests."),
    request_body: describe("http.server.request.body.size", "By", "Size of HTTP server request bodies."),
    response_body: Some(describe(
        "http.server.response.body.size",
        "By",
        "Size of HTTP server response bodies.",
    )),
};
const CLIENT: Names = Names {
    duration: describe("http.client.request.duration", "s", "Duration of HTTP client requests."),
    request_body: describe("http.client.request.body.size", "By", "Size of HTTP client request bodies."),
    response_body: None,
};

/// Requests over HTTP, of one server or client. Cloning shares it.
#[derive(Clone)]
pub struct HttpMetrics(Arc<Http>);

struct Http {
    names: &'static Names,
    metrics: Metrics,
    secure: AtomicBool,
    kept: Mutex<HashMap<HttpKey, HttpInstruments>>,
}

/// One request that is being answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpKey {
    method: &'static str,
    version: &'static str,
    /// 0 for none.
    status: u16,
    address: String,
    port: Option<u16>,
}

#[derive(Clone)]
struct HttpInstruments {
    duration: Histogram,
    request_body: Histogram,
    response_body: Option<Histogram>,
}

impl std::fmt::Debug for HttpMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HttpMetrics")
    }
}

impl HttpMetrics {
    /// Of a server.
    pub fn server(metrics: &Metrics) -> HttpMetrics {
        HttpMetrics::new(metrics, &SERVER)
    }

    /// Of a client.
    pub fn client(metrics: &Metrics) -> HttpMetrics {
        HttpMetrics::new(metrics, &CLIENT)
    }

    fn new(metrics: &Metrics, names: &'static Names) -> HttpMetrics {
        HttpMetrics(Arc::new(Http {
            names,
            metrics: metrics.at(Level::Detailed),
            secure: AtomicBool::new(false),
            kept: Mutex::default(),
        }))
    }

    /// Says whether connections have TLS.
    pub fn set_secure(&self, secure: bool) {
        self.0.secure.store(secure, Relaxed);
    }

    /// The moment at which a request begins; none where nothing is measured.
    #[inline]
    pub fn begin(&self) -> Option<Instant> {
        self.0.metrics.allows(Level::Detailed).then(Instant::now)
    }

    /// Records a request that ended.
    pub fn record(&self, key: HttpKey, took: Duration, request_bytes: u64, response_bytes: u64) {
        let instruments = self.instruments(key);
        instruments.duration.record_time(took);
        instruments.request_body.record(request_bytes);
        if let Some(response_body) = &instruments.response_body {
            response_body.record(response_bytes);
        }
    }

    fn instruments(&self, key: HttpKey) -> HttpInstruments {
        let http = &*self.0;
        let mut kept = http.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(instruments) = kept.get(&key) {
            return instruments.clone();
        }
        let (status, port) = (key.status.to_string(), key.port.map(|port| port.to_string()));
        let mut attributes = vec![
            ("http.request.method", key.method),
            ("network.protocol.name", "http"),
            ("network.protocol.version", key.version),
            ("server.address", key.address.as_str()),
            ("url.scheme", if http.secure.load(Relaxed) { "https" } else { "http" }),
        ];
        if key.status != 0 {
            attributes.push(("http.response.status_code", status.as_str()));
        }
        if let Some(port) = &port {
            attributes.push(("server.port", port.as_str()));
        }
        let (metrics, names) = (&http.metrics, http.names);
        let size = |description| metrics.histogram(description, &attributes, Measure::Count, DEFAULT);
        let instruments = HttpInstruments {
            duration: metrics.histogram(names.duration, &attributes, Measure::Seconds, SECONDS),
            request_body: size(names.request_body),
            response_body: names.response_body.map(size),
        };
        if kept.len() < KEPT {
            kept.insert(key, instruments.clone());
        }
        instruments
    }
}

impl HttpKey {
    /// Of a request as a server sees it; the status is set later.
    pub fn of_request(method: &Method, uri: &Uri, headers: &HeaderMap, version: Version) -> HttpKey {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let authority = uri.authority().map(http::uri::Authority::as_str).or(host).unwrap_or_default();
        let (address, port) = match authority.rsplit_once(':') {
            Some((address, port)) if !port.ends_with(']') => (address, port.parse().ok()),
            _ => (authority, None),
        };
        let address = address.trim_start_matches('[').trim_end_matches(']').to_owned();
        HttpKey { method: method_name(method), version: version_name(version), status: 0, address, port }
    }

    /// Of a POST to a server.
    pub fn of_post(address: &str, port: u16, version: Version) -> HttpKey {
        HttpKey {
            method: "POST",
            version: version_name(version),
            status: 0,
            address: address.to_owned(),
            port: Some(port),
        }
    }

    /// The same with the answer's status.
    #[must_use]
    pub fn answered(mut self, status: StatusCode) -> HttpKey {
        self.status = status.as_u16();
        self
    }
}

/// Methods that are no usual ones are one.
fn method_name(method: &Method) -> &'static str {
    let usual = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    usual.into_iter().find(|name| *name == method.as_str()).unwrap_or("_OTHER")
}

fn version_name(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

/// Calls of one gRPC method, of a server or a client. Cloning shares it.
#[derive(Clone)]
pub struct RpcMetrics(Arc<Rpc>);

struct Rpc {
    metrics: Metrics,
    names: [Description; 3],
    service: &'static str,
    method: &'static str,
    /// By status code.
    kept: Mutex<HashMap<u8, [Histogram; 3]>>,
}

const RPC_SERVER: [Description; 3] = [
    describe("rpc.server.duration", "ms", "Measures the duration of inbound RPC."),
    describe("rpc.server.requests_per_rpc", "{count}", "Measures the number of messages received per RPC."),
    describe("rpc.server.responses_per_rpc", "{count}", "Measures the number of messages sent per RPC."),
];
const RPC_CLIENT: [Description; 3] = [
    describe("rpc.client.duration", "ms", "Measures the duration of outbound RPC."),
    describe("rpc.client.requests_per_rpc", "{count}", "Measures the number of messages sent per RPC."),
    describe("rpc.client.responses_per_rpc", "{count}", "Measures the number of messages received per RPC."),
];

impl RpcMetrics {
    /// Of a server; `path` is `/service/method`.
    pub fn server(metrics: &Metrics, path: &'static str) -> RpcMetrics {
        RpcMetrics::new(metrics, path, RPC_SERVER)
    }

    /// Of a client; `path` is `/service/method`.
    pub fn client(metrics: &Metrics, path: &'static str) -> RpcMetrics {
        RpcMetrics::new(metrics, path, RPC_CLIENT)
    }

    fn new(metrics: &Metrics, path: &'static str, names: [Description; 3]) -> RpcMetrics {
        let (service, method) = path.trim_start_matches('/').rsplit_once('/').unwrap_or((path, ""));
        let metrics = metrics.at(Level::Detailed);
        RpcMetrics(Arc::new(Rpc { metrics, names, service, method, kept: Mutex::default() }))
    }

    /// The moment at which a call begins; none where nothing is measured.
    #[inline]
    pub fn begin(&self) -> Option<Instant> {
        self.0.metrics.allows(Level::Detailed).then(Instant::now)
    }

    /// Records a call that ended with `code`.
    pub fn record(&self, code: Code, took: Duration) {
        let rpc = &*self.0;
        let [duration, requests, responses] = {
            let mut kept = rpc.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.entry(code.0).or_insert_with(|| rpc.instruments(code)).clone()
        };
        duration.record_time(took);
        requests.record(1);
        responses.record(u64::from(code == Code::OK));
    }
}

impl Rpc {
    fn instruments(&self, code: Code) -> [Histogram; 3] {
        let code = code.0.to_string();
        let attributes = [
            ("rpc.grpc.status_code", code.as_str()),
            ("rpc.method", self.method),
            ("rpc.service", self.service),
            ("rpc.system", "grpc"),
        ];
        let histogram =
            |index: usize, measure| self.metrics.histogram(self.names[index], &attributes, measure, DEFAULT);
        [histogram(0, Measure::Milliseconds), histogram(1, Measure::Count), histogram(2, Measure::Count)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_measured_at_level_detailed_only() {
        let metrics = Metrics::default();
        let (http, rpc) = (HttpMetrics::server(&metrics), RpcMetrics::client(&metrics, "/a.Service/Export"));
        assert!(http.begin().is_none() && rpc.begin().is_none());
        metrics.configure(Level::Detailed, Vec::new(), "1");
        assert!(http.begin().is_some() && rpc.begin().is_some());
        let headers = HeaderMap::from_iter([(HOST, "[::1]:4318".parse().expect("a value"))]);
        let method = Method::from_bytes(b"BREW").expect("a method");
        let key = HttpKey::of_request(&method, &Uri::from_static("/v1/logs"), &headers, Version::HTTP_11);
        http.record(key.answered(StatusCode::OK), Duration::from_millis(3), 100, 2);
        rpc.record(Code::UNAVAILABLE, Duration::from_millis(7));
        let attributes = [
            ("http.request.method", "_OTHER"),
            ("http.response.status_code", "200"),
            ("network.protocol.version", "1.1"),
            ("server.address", "::1"),
            ("server.port", "4318"),
            ("url.scheme", "http"),
        ];
        for name in ["http.server.request.duration", "http.server.response.body.size"] {
            assert_eq!(metrics.sum(name, &attributes), 1, "{name}");
        }
        let attributes =
            [("rpc.service", "a.Service"), ("rpc.method", "Export"), ("rpc.grpc.status_code", "14")];
        assert_eq!(metrics.sum("rpc.client.duration", &attributes), 1);
    }
}
