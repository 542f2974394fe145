//! Aggregators that are killed: two gateways behind a balancer, of which what both let out together is what was sent, and one
//! whose replicas stand in for each other.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use phoenix_component::Lost;
use serde_json::Value;
use tonic::transport::Channel;

use crate::binary::{Running, collector, free_port};
use crate::inside::Inside;

const SECOND: u64 = 1_000_000_000;
/// A full minute, long gone.
const BASE: u64 = 1_700_000_040 * SECOND;
const SERVICES: u64 = 12;
const PODS: u64 = 3;

/// A sidecar: parts of ten seconds as deltas, dealt out by what stays in the gateways.
fn edge(name: &str, port: u16, gateways: [u16; 2]) -> String {
    let [a, b] = gateways;
    format!(
        "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}}}}}}}
processors:
  resource: {{attributes: [{{key: edge, value: {name}, action: upsert}}]}}
  aggregator:
    rules: [{{id: parts, interval: 10s, by: [edge, service.name], temporality: delta}}]
    watermark: {{out_of_order: 1s, idle_timeout: 10m}}
exporters:
  load_balancing:
    routing_key: attributes
    routing_attributes: [service.name]
    protocol: {{otlp: {{tls: {{insecure: true}}, timeout: 60s}}}}
    resolver: {{static: {{hostnames: ['127.0.0.1:{a}', '127.0.0.1:{b}']}}}}
    sending_queue: {{queue_size: 1000}}
service: {{pipelines: {{metrics: {{receivers: [otlp], processors: [resource, aggregator], exporters: [load_balancing]}}}}}}
"
    )
}

/// A gateway: minutes of all sidecars, of which nothing that was answered is lost.
fn gateway(folder: &Path, name: &str, port: u16, more: &str) -> PathBuf {
    let (config, folder) = (folder.join(format!("{name}.yaml")), folder.display());
    let text = format!(
        "
extensions:
  file_storage: {{directory: '{folder}/{name}', create_directory: true}}
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}}}}}}}
processors:
  aggregator:
    storage: file_storage
    durable: true
    flush_on_shutdown: true
    checkpoint: {{interval: 1s}}
    {more}
    rules: [{{id: whole, interval: 1m, by: [service.name], temporality: delta}}]
    watermark: {{out_of_order: 30s, idle_timeout: 10m}}
exporters: {{file: {{path: '{folder}/{name}.json', append: true}}}}
service:
  extensions: [file_storage]
  pipelines: {{metrics: {{receivers: [otlp], processors: [aggregator], exporters: [file]}}}}
"
    );
    std::fs::write(&config, text).expect("written");
    config
}

async fn start(config: &Path) -> Running {
    let command = collector().arg(format!("--config={}", config.display()));
    tokio::task::spawn_blocking(|| command.start()).await.expect("ready")
}

fn attribute(key: &str, value: String) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(Any::StringValue(value)) }),
        ..Default::default()
    }
}

/// What a pod counted in the five seconds before `second`.
fn grew(service: u64, pod: u64, second: u64) -> i64 {
    ((service * 31 + pod * 7 + second) % 100 + 1) as i64
}

fn request(service: u64, second: u64, replica: Option<&str>) -> ExportMetricsServiceRequest {
    let of_pod = |pod| {
        let point = NumberDataPoint {
            start_time_unix_nano: BASE + (second - 5) * SECOND,
            time_unix_nano: BASE + second * SECOND,
            value: Some(number_data_point::Value::AsInt(grew(service, pod, second))),
            ..Default::default()
        };
        let sum = Sum { data_points: vec![point], aggregation_temporality: 1, is_monotonic: true };
        let data = Some(metric::Data::Sum(sum));
        let metric = Metric { name: "requests".into(), data, ..Default::default() };
        let mut attributes =
            vec![attribute("service.name", format!("service-{service}")), attribute("pod", pod.to_string())];
        attributes.extend(replica.map(|replica| attribute("__replica__", replica.to_owned())));
        ResourceMetrics {
            resource: Some(Resource { attributes, ..Default::default() }),
            scope_metrics: vec![ScopeMetrics { metrics: vec![metric], ..Default::default() }],
            ..Default::default()
        }
    };
    ExportMetricsServiceRequest { resource_metrics: (0..PODS).map(of_pod).collect() }
}

/// Sends so many seconds of all services to both sidecars, and waits until the gateways have what is let out by then. What
/// was sent is added to `sent`.
async fn send(
    clients: &mut [MetricsServiceClient<Channel>],
    edges: &[Inside],
    seconds: std::ops::Range<u64>,
    sent: &mut BTreeMap<String, i64>,
) {
    for second in seconds.step_by(5).map(|second| second + 5) {
        for client in &mut *clients {
            for service in 0..SERVICES {
                client.export(request(service, second, None)).await.expect("it is taken");
                let grew: i64 = (0..PODS).map(|pod| grew(service, pod, second)).sum();
                *sent.entry(format!("service-{service}")).or_default() += grew;
            }
        }
    }
    for edge in edges {
        edge.empty_books().await;
    }
}

/// What a gateway let out, by service: windows that came again count once.
fn let_out(folder: &Path, name: &str) -> BTreeMap<String, i64> {
    let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).expect("it let something out");
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut windows: BTreeMap<(String, String), i64> = BTreeMap::new();
    for line in text.lines() {
        let request: Value = serde_json::from_str(line).expect("a request");
        for resource in list(&request, "resourceMetrics") {
            let service =
                resource["resource"]["attributes"][0]["value"]["stringValue"].as_str().expect("a service");
            for metric in list(&resource, "scopeMetrics").iter().flat_map(|scope| list(scope, "metrics")) {
                for point in list(&metric["sum"], "dataPoints") {
                    let value = point["asInt"].as_str().expect("an integer").parse().expect("a number");
                    let before =
                        windows.insert((service.to_owned(), point["startTimeUnixNano"].to_string()), value);
                    assert!(
                        before.is_none_or(|before| before == value),
                        "{service}: {before:?}, then {value}"
                    );
                }
            }
        }
    }
    let mut services = BTreeMap::new();
    for ((service, _), value) in windows {
        *services.entry(service).or_default() += value;
    }
    services
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_gateways_let_out_is_what_was_sent_though_one_is_killed() {
    let folder = tempfile::tempdir().expect("made");
    let ports = [free_port(), free_port()];
    let entries = [free_port(), free_port()];
    let configs = [gateway(folder.path(), "a", ports[0], ""), gateway(folder.path(), "b", ports[1], "")];
    let killed = start(&configs[0]).await;
    let stays = start(&configs[1]).await;
    let edges = [
        Inside::start(&edge("edge-1", entries[0], ports)).await,
        Inside::start(&edge("edge-2", entries[1], ports)).await,
    ];
    let mut clients = Vec::new();
    for port in entries {
        clients.push(
            MetricsServiceClient::connect(format!("http://127.0.0.1:{port}")).await.expect("connected"),
        );
    }
    let mut sent = BTreeMap::new();
    // In the middle of a window, which the journal must bring back.
    send(&mut clients, &edges, 0..100, &mut sent).await;
    killed.signal("KILL");
    tokio::task::spawn_blocking(|| killed.exit_code()).await.expect("it is gone");
    send(&mut clients, &edges, 100..200, &mut sent).await;
    let again = start(&configs[0]).await;
    send(&mut clients, &edges, 200..400, &mut sent).await;

    for edge in &edges {
        assert_eq!(edge.shutdown(Duration::from_secs(20)).await, Lost::default(), "what is open goes out");
    }
    for gateway in [again, stays] {
        assert_eq!(tokio::task::spawn_blocking(|| gateway.terminate()).await.expect("stopped"), 0);
    }
    let (a, b) = (let_out(folder.path(), "a"), let_out(folder.path(), "b"));
    let mut both = a.clone();
    b.iter().for_each(|(service, value)| *both.entry(service.clone()).or_default() += value);
    assert_eq!(both, sent);
    let shared: BTreeSet<&String> = a.keys().filter(|service| b.contains_key(*service)).collect();
    assert!(!shared.is_empty() && b.len() as u64 == SERVICES, "the other one stood in: {a:?} {b:?}");
    assert!(
        b.iter().any(|(service, value)| !a.contains_key(service) && *value == sent[service]),
        "each has its share"
    );
}

/// How many checkpoints a collector has written.
fn checkpoints(port: u16) -> u64 {
    let mut page = String::new();
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return 0 };
    write!(stream, "GET /metrics HTTP/1.0\r\n\r\n").expect("written");
    stream.read_to_string(&mut page).expect("a page");
    let is_it = |line: &&str| {
        line.starts_with("phoenix_processor_aggregator_checkpoints") && line.contains("\"written\"")
    };
    page.lines().find(is_it).and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replica_sent_that_did_not_count_lasts_over_a_kill() {
    let folder = tempfile::tempdir().expect("made");
    let (port, metrics) = (free_port(), free_port());
    let config = gateway(folder.path(), "a", port, "ha: {failover_timeout: 2m}");
    let own = format!("{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {metrics}}}}}}}}}");
    let start = || {
        let command = collector()
            .arg(format!("--config={}", config.display()))
            .arg(format!("--set=service.telemetry.metrics.readers=[{own}]"));
        tokio::task::spawn_blocking(|| command.start_with_metrics())
    };
    let connect = || MetricsServiceClient::connect(format!("http://127.0.0.1:{port}"));
    let killed = start().await.expect("ready");
    let mut client = connect().await.expect("connected");
    let mut sent = 0;
    for second in (5..=100).step_by(5) {
        if second <= 40 {
            client.export(request(0, second, Some("first"))).await.expect("it is taken");
        }
        client.export(request(0, second, Some("second"))).await.expect("it is taken");
        sent += (0..PODS).map(|pod| grew(0, pod, second)).sum::<i64>();
    }
    // A checkpoint that begins after the last request, so that the journal has none of them any more.
    let before = checkpoints(metrics);
    let deadline = Instant::now() + Duration::from_secs(60);
    while checkpoints(metrics) < before + 2 {
        assert!(Instant::now() < deadline, "no checkpoints are written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    killed.signal("KILL");
    tokio::task::spawn_blocking(|| killed.exit_code()).await.expect("it is gone");

    let again = start().await.expect("ready");
    let mut client = connect().await.expect("connected");
    // The first one is gone for good. The second takes its place once it is two minutes ahead.
    for second in (105..=200).step_by(5) {
        client.export(request(0, second, Some("second"))).await.expect("it is taken");
        sent += (0..PODS).map(|pod| grew(0, pod, second)).sum::<i64>();
    }
    assert_eq!(tokio::task::spawn_blocking(|| again.terminate()).await.expect("stopped"), 0);
    assert_eq!(let_out(folder.path(), "a"), BTreeMap::from([("service-0".to_owned(), sent)]));
}
