//! A real VictoriaMetrics takes aggregates by remote write, and answers queries about them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric, number_data_point,
};
use serde_json::Value;

use crate::binary::{collector, free_port, repository};

/// How long anything may take before the test gives up on it.
const PATIENCE: Duration = Duration::from_secs(90);
const PODS: u64 = 3;
/// Reports of each pod, ten seconds apart, and minutes that they fill.
const MINUTES: u64 = 8;

fn program() -> Option<PathBuf> {
    let path = repository().join(".test-tools/victoria-metrics/usr/bin/victoria-metrics");
    path.is_file().then_some(path)
}

/// A VictoriaMetrics that runs; killed when dropped.
struct Store {
    child: Child,
    port: u16,
}

impl Store {
    fn start(program: &PathBuf, folder: &std::path::Path) -> Store {
        let port = free_port();
        let child = Command::new(program)
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            .arg(format!("-storageDataPath={}", folder.join("data").display()))
            .args(["-search.latencyOffset=0s", "-memory.allowedBytes=67108864"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("log")).expect("made"))
            .spawn()
            .expect("VictoriaMetrics runs");
        Store { child, port }
    }

    /// The body of an answer whose status is 200.
    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.split(' ').nth(1).filter(|status| *status == "200")?;
        Some(body.to_owned())
    }

    /// What an expression gives at one time.
    fn query(&self, expression: &str, seconds: u64) -> Vec<(String, f64)> {
        let escaped: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.get(&format!("/api/v1/query?query={escaped}&time={seconds}"));
        let answer: Value = serde_json::from_str(&answer.unwrap_or_default()).unwrap_or_default();
        let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let value = |one: &Value| one["value"][1].as_str()?.parse().ok();
        let named = |one: &Value| Some((one["metric"]["route"].as_str()?.to_owned(), value(one)?));
        series.iter().filter_map(named).collect()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a pod says at a time: a counter that grows by its number each second, and a level.
fn request(base: u64, after: u64) -> ExportMetricsServiceRequest {
    let attribute = |key: &str, value: String| KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(Any::StringValue(value)) }),
        ..Default::default()
    };
    let point = |pod: u64, value: i64| NumberDataPoint {
        attributes: vec![attribute("route", "/x".into()), attribute("pod", pod.to_string())],
        start_time_unix_nano: base * 1_000_000_000,
        time_unix_nano: (base + after) * 1_000_000_000,
        value: Some(number_data_point::Value::AsInt(value)),
        ..Default::default()
    };
    let pods = || 1..=PODS;
    let counters = pods().map(|pod| point(pod, (pod * after) as i64)).collect();
    let levels = pods().map(|pod| point(pod, (pod * 10) as i64)).collect();
    let all = [
        (
            "requests",
            metric::Data::Sum(Sum { data_points: counters, aggregation_temporality: 2, is_monotonic: true }),
        ),
        ("queue", metric::Data::Gauge(Gauge { data_points: levels })),
    ];
    let metrics =
        all.map(|(name, data)| Metric { name: name.into(), data: Some(data), ..Default::default() });
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics { metrics: metrics.into(), ..Default::default() }],
            ..Default::default()
        }],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn victoria_metrics_takes_aggregates_and_answers_queries_about_them() {
    let Some(program) = program() else {
        eprintln!("skipped: there is no VictoriaMetrics; .ci/install-test-tools unpacks it");
        return;
    };
    let folder = tempfile::tempdir().expect("made");
    let store = Store::start(&program, folder.path());
    let deadline = Instant::now() + PATIENCE;
    while store.get("/health").is_none() {
        assert!(Instant::now() < deadline, "VictoriaMetrics does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (entry, port) = (free_port(), store.port);
    let yaml = format!(
        "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{entry}'}}}}}}}}
processors:
  aggregator:
    flush_on_shutdown: true
    rules:
      - {{id: sums, match: {{kinds: [counter]}}, interval: 1m, without: [pod], outputs: [total, rate_sum], name: '{{name}}_{{output}}'}}
      - {{id: levels, match: {{kinds: [gauge]}}, interval: 1m, by: [route], outputs: [avg, max], name: '{{name}}_{{output}}'}}
exporters:
  prometheus_remote_write:
    endpoint: http://127.0.0.1:{port}/api/v1/write
    tls: {{insecure: true}}
    add_metric_suffixes: false
    retry_on_failure: {{max_elapsed_time: 60s}}
service: {{pipelines: {{metrics: {{receivers: [otlp], processors: [aggregator], exporters: [prometheus_remote_write]}}}}}}
"
    );
    let running =
        tokio::task::spawn_blocking(move || collector().arg(format!("--config=yaml:{yaml}")).start());
    let running = running.await.expect("ready");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let base = (now / 60 - 2 * MINUTES) * 60;
    let mut client =
        MetricsServiceClient::connect(format!("http://127.0.0.1:{entry}")).await.expect("connected");
    for step in 1..=MINUTES * 6 {
        client.export(request(base, step * 10)).await.expect("it is taken");
    }
    // What is open goes out, and what waits is delivered.
    assert_eq!(tokio::task::spawn_blocking(|| running.terminate()).await.expect("stopped"), 0);

    let end = base + MINUTES * 60;
    let all = (1 + 2 + 3) as f64;
    let expected = [
        ("requests_total", all * (MINUTES * 60) as f64),
        ("rate(requests_total[4m])", all),
        ("requests_rate_sum", all),
        ("queue_avg", 20.0),
        ("queue_max", 30.0),
        ("count_over_time(queue_avg[20m])", MINUTES as f64),
    ];
    let deadline = Instant::now() + PATIENCE;
    loop {
        let _ = store.get("/internal/force_flush");
        let found = expected.map(|(expression, _)| store.query(expression, end));
        if expected.iter().zip(&found).all(|((_, value), found)| *found == [("/x".to_owned(), *value)]) {
            return;
        }
        assert!(Instant::now() < deadline, "{found:?}, and expected was {expected:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
