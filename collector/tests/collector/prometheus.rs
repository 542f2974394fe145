//! A real Prometheus scrapes own metrics, and rules as people write them for otelcol say what they should. It also
//! scrapes what `prometheus` shows, and takes what `prometheus_remote_write` sends.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, exponential_histogram_data_point::Buckets, metric,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::binary::{Running, collector, free_port, repository};
use crate::load;

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(90);

const RULES: &str = "deployments/prometheus/phoenix-collector.rules.yaml";

fn tool(name: &str) -> Option<PathBuf> {
    let path = repository().join(".test-tools/prometheus/usr/bin").join(name);
    path.is_file().then_some(path)
}

/// One request on a connection of its own; the body of the answer, whose status is 200. The old version of
/// HTTP, so that it comes in one piece.
fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.split(' ').nth(1).filter(|status| *status == "200")?;
    Some(body.to_owned())
}

/// A collector that receives twice: for an exporter whose backend is away, and for one with a full queue.
struct Target {
    _running: Running,
    steady: u16,
    overloaded: u16,
    metrics: u16,
}

impl Target {
    /// `bare` is whether the names go without the suffixes of Prometheus, as otelcol has them by default.
    fn start(bare: bool) -> Target {
        let (steady, overloaded, metrics) = (free_port(), free_port(), free_port());
        let yaml = format!(
            "
receivers:
  otlp/steady: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{steady}'}}}}}}
  otlp/overloaded: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{overloaded}'}}}}}}
exporters:
  otlp_grpc/failing: {{endpoint: '127.0.0.1:1', tls: {{insecure: true}}, retry_on_failure: {{enabled: false}}}}
  otlp_grpc/stuck:
    endpoint: '127.0.0.1:1'
    tls: {{insecure: true}}
    retry_on_failure: {{max_elapsed_time: 0}}
    sending_queue: {{num_consumers: 1, queue_size: 2}}
service:
  telemetry:
    metrics:
      readers:
        - pull:
            exporter:
              prometheus: {{host: 127.0.0.1, port: {metrics}, without_type_suffix: {bare}, without_units: {bare}, without_scope_info: {bare}}}
  pipelines:
    traces/steady: {{receivers: [otlp/steady], exporters: [otlp_grpc/failing]}}
    traces/overloaded: {{receivers: [otlp/overloaded], exporters: [otlp_grpc/stuck]}}
"
        );
        let running = collector().arg(format!("--config=yaml:{yaml}")).start_with_metrics();
        Target { _running: running, steady, overloaded, metrics }
    }

    fn instance(&self) -> String {
        format!("127.0.0.1:{}", self.metrics)
    }
}

/// Sends on and on, since a rate needs a counter that grows. What is refused is not sent again.
async fn send(port: u16, stop: CancellationToken) {
    let mut client =
        TraceServiceClient::connect(format!("http://127.0.0.1:{port}")).await.expect("connected");
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    for number in 0.. {
        if stop.run_until_cancelled(ticks.tick()).await.is_none() {
            return;
        }
        if let Err(refusal) = client.export(load::request(number)).await {
            assert_eq!(refusal.code(), tonic::Code::Unavailable, "{refusal}");
        }
    }
}

/// A Prometheus that runs; killed when dropped.
struct Prometheus {
    child: Child,
    port: u16,
}

impl Prometheus {
    fn start(program: &Path, folder: &Path, rules: &str, targets: &[String]) -> Prometheus {
        let port = free_port();
        std::fs::write(folder.join("rules.yaml"), rules).expect("written");
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
             rule_files: [rules.yaml]\n\
             scrape_configs: [{{job_name: phoenix-collector, static_configs: [{{targets: {targets:?}}}]}}]\n"
        );
        std::fs::write(folder.join("prometheus.yaml"), config).expect("written");
        let child = Command::new(program)
            .arg("--config.file=prometheus.yaml")
            .arg("--storage.tsdb.path=data")
            .arg("--web.enable-remote-write-receiver")
            .arg("--enable-feature=native-histograms")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("log")).expect("made"))
            .spawn()
            .expect("Prometheus runs");
        Prometheus { child, port }
    }

    /// The `data` of an answer of its API, once it answers.
    fn api(&self, path: &str) -> Option<Value> {
        let answer: Value = serde_json::from_str(&get(self.port, &format!("/api/v1/{path}"))?).expect("JSON");
        assert_eq!(answer["status"], "success", "{answer}");
        Some(answer["data"].clone())
    }

    /// What an expression gives for one instance.
    fn value(&self, expression: &str, instance: &str) -> Option<f64> {
        let escaped: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let found = self.api(&format!("query?query={escaped}"))?;
        let series = found["result"].as_array().expect("a vector").iter();
        let mut values = series.filter(|series| series["metric"]["instance"] == instance);
        values.next()?["value"][1].as_str().expect("a value").parse().ok()
    }

    async fn until<T>(&self, what: &str, look: impl Fn(&Prometheus) -> Result<T, String>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match look(self) {
                Ok(found) => return found,
                Err(seen) => assert!(Instant::now() < deadline, "{what} does not come: {seen}"),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It ends with the test, whatever came of it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn alerts(groups: &Value) -> impl Iterator<Item = &Value> {
    groups["groups"].as_array().into_iter().flatten().flat_map(|group| group["rules"].as_array()).flatten()
}

/// The alerts that fire, with the component that they name.
fn firing(groups: &Value, instance: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for rule in alerts(groups) {
        for alert in rule["alerts"].as_array().into_iter().flatten() {
            let labels = &alert["labels"];
            if alert["state"] == "firing" && labels["instance"] == instance {
                let component = labels["receiver"].as_str().or(labels["exporter"].as_str());
                found.push((
                    rule["name"].as_str().expect("a name").to_owned(),
                    component.unwrap_or_default().to_owned(),
                ));
            }
        }
    }
    found.sort();
    found
}

/// The end of a run of `promtool` with that input.
fn promtool(program: &Path, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(program)
        .args(args)
        .current_dir(repository())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("taken");
    child.wait_with_output().expect("ends")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_scrapes_and_rules_written_for_otelcol_fire_where_they_should() {
    let (Some(program), Some(checker)) = (tool("prometheus"), tool("promtool")) else {
        eprintln!("skipped: there is no Prometheus; .ci/install-test-tools unpacks it");
        return;
    };
    let checked = promtool(&checker, &["check", "rules", RULES], "");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));

    let targets = [Target::start(false), Target::start(true)];
    let stop = CancellationToken::new();
    let loads: Vec<_> = targets
        .iter()
        .flat_map(|target| [target.steady, target.overloaded])
        .map(|port| tokio::spawn(send(port, stop.clone())))
        .collect();

    // What has to last a minute in production fires at once here.
    let shipped = std::fs::read_to_string(repository().join(RULES)).expect("read");
    let rules: String = shipped
        .lines()
        .filter(|line| !line.trim_start().starts_with("for: "))
        .map(|line| format!("{line}\n"))
        .collect();
    let folder = tempfile::tempdir().expect("made");
    let instances = targets.each_ref().map(Target::instance);
    let prometheus = Prometheus::start(&program, folder.path(), &rules, &instances);
    prometheus
        .until("both targets", |prometheus| {
            let found = prometheus.api("targets?state=active").ok_or("no answer")?;
            let active = found["activeTargets"].as_array().expect("targets");
            let up = active.iter().filter(|target| target["health"] == "up").count();
            if up == 2 { Ok(()) } else { Err(found.to_string()) }
        })
        .await;

    let expected = [
        ("CollectorExporterEnqueueFailedSpans", "otlp_grpc/stuck"),
        ("CollectorExporterSendFailedSpans", "otlp_grpc/failing"),
        ("CollectorQueueNearlyFull", "otlp_grpc/stuck"),
        ("CollectorReceiverRefusedSpans", "otlp/overloaded"),
    ];
    for instance in &instances {
        let groups = prometheus
            .until("the alerts", |prometheus| {
                let groups = prometheus.api("rules").ok_or("no answer")?;
                let fires = firing(&groups, instance);
                // How much of a core that takes depends on the machine.
                let fires: Vec<_> = fires.iter().filter(|(name, _)| name != "CollectorCpuHigh").collect();
                let is_it = fires.len() == expected.len()
                    && fires.iter().zip(expected).all(|(found, (name, of))| found.0 == name && found.1 == of);
                if is_it { Ok(groups) } else { Err(format!("{fires:?}")) }
            })
            .await;
        for rule in alerts(&groups) {
            assert_eq!(rule["health"], "ok", "{rule}");
        }
        // (expression, the least and the most that it may be)
        let values = [
            ("up", 1.0, 1.0),
            ("otelcol_exporter_queue_size / otelcol_exporter_queue_capacity", 0.8, 1.0),
            ("otelcol_exporter_queue_capacity{exporter='otlp_grpc/stuck'}", 2.0, 2.0),
            ("{__name__=~'otelcol_process_memory_rss(_bytes)?'}", 1e6, 1e9),
            ("rate({__name__=~'otelcol_process_cpu_seconds(_total)?'}[1m])", 1e-6, 64.0),
            ("{__name__=~'otelcol_process_uptime(_seconds)?(_total)?'}", 0.0, 1e4),
        ];
        for (expression, least, most) in values {
            let of_stuck = expression.replace("_size /", "_size{exporter='otlp_grpc/stuck'} /");
            let value = prometheus.value(&of_stuck, instance);
            assert!(value.is_some_and(|value| (least..=most).contains(&value)), "{expression}: {value:?}");
        }
    }

    let scrape = |target: &Target| get(target.metrics, "/metrics").expect("a scrape");
    let linted = promtool(&checker, &["check", "metrics"], &scrape(&targets[0]));
    let said = String::from_utf8_lossy(&linted.stderr);
    assert!(linted.status.success(), "{said}");
    // Without suffixes they are not as Prometheus advises, which 3 says; 1 would be what it cannot read.
    let linted = promtool(&checker, &["check", "metrics"], &scrape(&targets[1]));
    assert_ne!(linted.status.code(), Some(1), "{}", String::from_utf8_lossy(&linted.stderr));

    stop.cancel();
    for load in loads {
        load.await.expect("no panic");
    }
}

fn number(nanos: u64, value: f64, flags: u32) -> NumberDataPoint {
    NumberDataPoint {
        start_time_unix_nano: nanos - 60_000_000_000,
        time_unix_nano: nanos,
        value: Some(number_data_point::Value::AsDouble(value)),
        flags,
        ..Default::default()
    }
}

/// One metric of each kind, of a service; `ended` is the flags of the gauge.
fn metrics(nanos: u64, ended: u32) -> ExportMetricsServiceRequest {
    let attribute = |key: &str, value: &str| {
        let value = any_value::Value::StringValue(value.to_owned());
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
    };
    let attributes = vec![
        attribute("service.name", "api"),
        attribute("service.namespace", "shop"),
        attribute("service.instance.id", "i1"),
        attribute("host.name", "h"),
    ];
    let histogram = HistogramDataPoint {
        time_unix_nano: nanos,
        count: 6,
        sum: Some(4.5),
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![0.5, 1.0],
        ..Default::default()
    };
    // Bounds of powers of the square root of two, far finer than needed.
    let exponential = ExponentialHistogramDataPoint {
        time_unix_nano: nanos,
        count: 7,
        sum: Some(20.0),
        scale: 10,
        zero_count: 1,
        positive: Some(Buckets { offset: 1023, bucket_counts: vec![6] }),
        ..Default::default()
    };
    let all = [
        ("queue.fill", "1", metric::Data::Gauge(Gauge { data_points: vec![number(nanos, 3.0, ended)] })),
        (
            "requests",
            "{request}",
            metric::Data::Sum(Sum {
                data_points: vec![number(nanos, 7.0, 0)],
                aggregation_temporality: 2,
                is_monotonic: true,
            }),
        ),
        (
            "latency",
            "s",
            metric::Data::Histogram(Histogram { data_points: vec![histogram], aggregation_temporality: 2 }),
        ),
        (
            "sizes",
            "By",
            metric::Data::ExponentialHistogram(ExponentialHistogram {
                data_points: vec![exponential],
                aggregation_temporality: 2,
            }),
        ),
    ];
    let metrics = all.into_iter().map(|(name, unit, data)| Metric {
        name: name.into(),
        unit: unit.into(),
        data: Some(data),
        ..Default::default()
    });
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes, ..Default::default() }),
            scope_metrics: vec![ScopeMetrics { metrics: metrics.collect(), ..Default::default() }],
            ..Default::default()
        }],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_takes_what_is_written_and_answers_queries_about_it() {
    let Some(program) = tool("prometheus") else {
        eprintln!("skipped: there is no Prometheus; .ci/install-test-tools unpacks it");
        return;
    };
    let folder = tempfile::tempdir().expect("made");
    let prometheus = Prometheus::start(&program, folder.path(), "groups: []\n", &[]);
    let otlp = free_port();
    // The second asks for version 2, which this Prometheus does not know, and gets version 1.
    let yaml = format!(
        "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{otlp}'}}}}}}}}
exporters:
  prometheusremotewrite:
    endpoint: http://127.0.0.1:{port}/api/v1/write
    disable_scope_info: true
  prometheus_remote_write/two:
    endpoint: http://127.0.0.1:{port}/api/v1/write
    protobuf_message: io.prometheus.write.v2.Request
    namespace: two
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    metrics: {{receivers: [otlp], exporters: [prometheusremotewrite, prometheus_remote_write/two]}}
",
        port = prometheus.port,
    );
    let _running = collector().arg(format!("--config=yaml:{yaml}")).start_with_metrics();
    let now = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        u64::try_from(since.as_nanos()).expect("before 2554")
    };
    let mut client =
        MetricsServiceClient::connect(format!("http://127.0.0.1:{otlp}")).await.expect("connected");
    client.export(metrics(now(), 0)).await.expect("taken");
    // (expression, its value)
    let values = [
        ("queue_fill_ratio{job='shop/api'}", 3.0),
        ("requests_total", 7.0),
        ("latency_seconds_count", 6.0),
        ("latency_seconds_sum", 4.5),
        ("latency_seconds_bucket{le='0.5'}", 1.0),
        ("latency_seconds_bucket{le='+Inf'}", 6.0),
        ("histogram_count(sizes_bytes)", 7.0),
        ("histogram_sum(sizes_bytes)", 20.0),
        ("target_info{host_name='h'}", 1.0),
        ("two_requests_total", 7.0),
        ("histogram_count(two_sizes_bytes)", 7.0),
    ];
    for (expression, expected) in values {
        prometheus
            .until(expression, |prometheus| match prometheus.value(expression, "i1") {
                Some(value) if value == expected => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await;
    }
    // The six are in (1.998, 2]: the median cannot be elsewhere, however the buckets were scaled down.
    let median = prometheus.value("histogram_quantile(0.6, sizes_bytes)", "i1").expect("a median");
    assert!((1.99..=2.0).contains(&median), "{median}");

    client.export(metrics(now(), 1)).await.expect("taken");
    prometheus
        .until("the end of the gauge", |prometheus| match prometheus.value("queue_fill_ratio", "i1") {
            None if prometheus.value("requests_total", "i1").is_some() => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_scrapes_what_the_exporter_shows() {
    let (Some(program), Some(checker)) = (tool("prometheus"), tool("promtool")) else {
        eprintln!("skipped: there is no Prometheus; .ci/install-test-tools unpacks it");
        return;
    };
    let (otlp, text, open) = (free_port(), free_port(), free_port());
    let yaml = format!(
        "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{otlp}'}}}}}}}}
exporters:
  prometheus: {{endpoint: '127.0.0.1:{text}'}}
  prometheus/open: {{endpoint: '127.0.0.1:{open}', enable_open_metrics: true, send_timestamps: true}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    metrics: {{receivers: [otlp], exporters: [prometheus, prometheus/open]}}
"
    );
    let _running = collector().arg(format!("--config=yaml:{yaml}")).start_with_metrics();
    let now = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        u64::try_from(since.as_nanos()).expect("before 2554")
    };
    let mut client =
        MetricsServiceClient::connect(format!("http://127.0.0.1:{otlp}")).await.expect("connected");
    client.export(metrics(now(), 0)).await.expect("taken");
    let linted = promtool(&checker, &["check", "metrics"], &get(text, "/metrics").expect("a scrape"));
    // 3 would be what Prometheus advises against, such as a metric without a description.
    assert_ne!(linted.status.code(), Some(1), "{}", String::from_utf8_lossy(&linted.stderr));

    let instances = [text, open].map(|port| format!("127.0.0.1:{port}"));
    let folder = tempfile::tempdir().expect("made");
    let prometheus = Prometheus::start(&program, folder.path(), "groups: []\n", &instances);
    // (expression, its value)
    let values = [
        ("queue_fill_ratio{exported_job='shop/api', exported_instance='i1'}", 3.0),
        ("requests_total", 7.0),
        ("latency_seconds_count", 6.0),
        ("latency_seconds_sum", 4.5),
        ("latency_seconds_bucket{le='0.5'}", 1.0),
        ("latency_seconds_bucket{le='+Inf'}", 6.0),
        ("sizes_bytes_count", 7.0),
        ("sizes_bytes_sum", 20.0),
        ("target_info{host_name='h'}", 1.0),
    ];
    for instance in &instances {
        for (expression, expected) in values {
            prometheus
                .until(expression, |prometheus| match prometheus.value(expression, instance) {
                    Some(value) if value == expected => Ok(()),
                    other => Err(format!("{other:?}")),
                })
                .await;
        }
    }
    client.export(metrics(now(), 1)).await.expect("taken");
    prometheus
        .until("the end of the gauge", |prometheus| {
            match prometheus.value("queue_fill_ratio", &instances[0]) {
                None if prometheus.value("requests_total", &instances[0]).is_some() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
}
