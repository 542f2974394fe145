//! What a scrape shows of what was exported.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar,
    exponential_histogram_data_point::Buckets, metric, number_data_point,
    summary_data_point::ValueAtQuantile,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use phoenix_component::auth::{AuthPublication, Decision, Denied, DeniedBecause, Presented, ServerAuth};
use phoenix_component::factory::{CreateContext, ExporterFactory as _, Shared};
use phoenix_component::{Batch, Exporter, Host, StatusReporter};
use phoenix_config::{ComponentId, Kind, Problems, Settings as _};
use phoenix_exporter_prometheus::{PrometheusConfig, PrometheusFactory};
use phoenix_pdata::{InvalidUtf8, Signal, validate};
use prost::Message;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

struct Rig {
    exporter: Arc<dyn Exporter>,
    host: Host,
    port: u16,
}

fn create(settings: &str, host: &Host, shared: &Shared) -> Arc<dyn Exporter> {
    let config: PrometheusConfig = serde_json::from_str(settings).expect(settings);
    let id = ComponentId::parse("prometheus").expect("as these tests make it");
    let status = StatusReporter::detached(Kind::Exporter, id.clone());
    let cx = CreateContext { id: &id, host, status, shared };
    PrometheusFactory.create(&config, cx, Signal::Metrics).expect("as these tests make it")
}

impl Rig {
    async fn new(settings: &str) -> Rig {
        Rig::on(Host::for_tests(), settings).await
    }

    async fn on(host: Host, settings: &str) -> Rig {
        let free = TcpListener::bind("127.0.0.1:0").await.expect("as these tests make it");
        let port = free.local_addr().expect("as these tests make it").port();
        drop(free);
        let text = format!(r#"{{"endpoint": "127.0.0.1:{port}"{settings}}}"#);
        let exporter = create(&text, &host, &Shared::default());
        exporter.start(&host).await.expect("as these tests make it");
        Rig { exporter, host, port }
    }

    async fn export(&self, metrics: Vec<Metric>) {
        self.exporter.export(batch(metrics)).await.expect("taken");
    }

    /// The head of the answer, and its body.
    async fn get(&self, path: &str, accept: &str) -> (String, String) {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("as these tests make it");
        get(stream, path, &format!("Accept: {accept}\r\n")).await
    }

    async fn text(&self) -> String {
        self.get("/metrics", "*/*").await.1
    }

    fn dropped(&self, reason: &str) -> i64 {
        let attributes = [("exporter", "prometheus"), ("reason", reason)];
        self.host.metrics.sum("phoenix_exporter_prometheus_dropped_points", &attributes)
    }
}

/// Asks for a path with more headers, each with its line end.
async fn get(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str, headers: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("as these tests make it");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("as these tests make it");
    // A server that is about to go closes a connection whose request has not come yet.
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    (head.to_lowercase(), body.to_owned())
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = any_value::Value::StringValue(value.to_owned());
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn batch(metrics: Vec<Metric>) -> Batch {
    let attributes =
        vec![attribute("service.name", "api"), attribute("service.instance.id", "i"), attribute("zone", "z")];
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes, ..Default::default() }),
            scope_metrics: vec![ScopeMetrics { metrics, ..Default::default() }],
            ..Default::default()
        }],
    };
    let (payload, counts) =
        validate(Signal::Metrics, request.encode_to_vec().into(), InvalidUtf8::Pass).expect("valid");
    Batch::new(Signal::Metrics, payload, counts.items)
}

/// `start` and `time` are seconds.
fn point(start: u64, time: u64, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        start_time_unix_nano: start * 1_000_000_000,
        time_unix_nano: time * 1_000_000_000,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..Default::default()
    }
}

fn metric(name: &str, data: metric::Data) -> Metric {
    Metric { name: name.into(), description: "a \"help\"".into(), data: Some(data), ..Default::default() }
}

fn gauge(name: &str, point: NumberDataPoint) -> Metric {
    metric(name, metric::Data::Gauge(Gauge { data_points: vec![point] }))
}

fn counter(point: NumberDataPoint, aggregation_temporality: i32) -> Metric {
    let sum = Sum { data_points: vec![point], aggregation_temporality, is_monotonic: true };
    metric("requests", metric::Data::Sum(sum))
}

fn histogram(start: u64, time: u64, counts: [u64; 2], aggregation_temporality: i32) -> Metric {
    let point = HistogramDataPoint {
        start_time_unix_nano: start * 1_000_000_000,
        time_unix_nano: time * 1_000_000_000,
        count: counts[0] + counts[1],
        sum: Some(1.5),
        bucket_counts: counts.to_vec(),
        explicit_bounds: vec![1.0],
        exemplars: vec![Exemplar {
            time_unix_nano: 3_500_000_000,
            trace_id: vec![0xab; 16],
            span_id: vec![0xcd; 8],
            value: Some(exemplar::Value::AsDouble(0.5)),
            ..Default::default()
        }],
        ..Default::default()
    };
    metric(
        "latency",
        metric::Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality }),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_text_has_every_kind() {
    let rig = Rig::new(r#", "const_labels": {"cluster": "c\"1"}, "namespace": "ns""#).await;
    let summary = SummaryDataPoint {
        time_unix_nano: 2_000_000_000,
        count: 2,
        sum: 3.0,
        quantile_values: vec![ValueAtQuantile { quantile: 0.5, value: 1.0 }],
        ..Default::default()
    };
    let native = ExponentialHistogramDataPoint {
        time_unix_nano: 2_000_000_000,
        count: 4,
        sum: Some(9.0),
        positive: Some(Buckets { offset: 0, bucket_counts: vec![4] }),
        ..Default::default()
    };
    rig.export(vec![
        gauge("size", point(0, 2, 1.5)),
        counter(point(1, 2, 7.0), 2),
        histogram(1, 2, [1, 2], 2),
        metric("quantiles", metric::Data::Summary(Summary { data_points: vec![summary] })),
        metric(
            "sizes",
            metric::Data::ExponentialHistogram(ExponentialHistogram {
                data_points: vec![native],
                aggregation_temporality: 2,
            }),
        ),
    ])
    .await;
    let (head, body) = rig.get("/metrics", "application/openmetrics-text;version=1.0.0").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let of = r#"cluster="c\"1",instance="i",job="api""#;
    let expected = format!(
        r#"# HELP ns_latency a "help"
# TYPE ns_latency histogram
ns_latency_bucket{{{of},le="1"}} 1
ns_latency_bucket{{{of},le="+Inf"}} 3
ns_latency_sum{{{of}}} 1.5
ns_latency_count{{{of}}} 3
# HELP ns_quantiles a "help"
# TYPE ns_quantiles summary
ns_quantiles{{{of},quantile="0.5"}} 1
ns_quantiles_sum{{{of}}} 3
ns_quantiles_count{{{of}}} 2
# HELP ns_requests_total a "help"
# TYPE ns_requests_total counter
ns_requests_total{{{of}}} 7
# HELP ns_size a "help"
# TYPE ns_size gauge
ns_size{{{of}}} 1.5
# HELP ns_sizes a "help"
# TYPE ns_sizes histogram
ns_sizes_bucket{{{of},le="+Inf"}} 4
ns_sizes_sum{{{of}}} 9
ns_sizes_count{{{of}}} 4
"#
    );
    let (others, info): (Vec<_>, Vec<_>) = body.lines().partition(|line| !line.contains("target_info"));
    assert_eq!(others.join("\n"), expected.trim_end());
    assert!(info.iter().any(|line| line.ends_with("} 1") && line.contains(r#"zone="z""#)), "{info:?}");
    assert!(rig.get("/", "*/*").await.0.starts_with("http/1.1 404"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_metrics_has_exemplars_times_and_an_end() {
    let rig = Rig::new(r#", "enable_open_metrics": true, "send_timestamps": true"#).await;
    rig.export(vec![counter(point(1, 2, 7.0), 2), histogram(1, 4, [1, 0], 2)]).await;
    let accept = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5";
    let (head, body) = rig.get("/metrics", accept).await;
    assert!(head.contains("application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    for line in [
        "# TYPE requests counter",
        r#"requests_total{instance="i",job="api"} 7 2.000"#,
        &format!(
            r#"latency_bucket{{instance="i",job="api",le="1.0"}} 1 4.000 # {{span_id="{}",trace_id="{}"}} 0.5 3.500"#,
            "cd".repeat(8),
            "ab".repeat(16)
        ),
        r#"latency_count{instance="i",job="api"} 1 4.000"#,
    ] {
        assert!(body.lines().any(|found| found == line), "{line}\n{body}");
    }
    assert!(body.ends_with("# EOF\n"));
    let text = rig.text().await;
    assert!(text.contains("requests_total{instance=\"i\",job=\"api\"} 7 2000\n"), "{text}");
    assert!(!text.contains("trace_id"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deltas_are_added_up_and_the_late_are_counted() {
    let rig = Rig::new("").await;
    rig.export(vec![counter(point(1, 2, 7.0), 1), histogram(1, 2, [1, 2], 1)]).await;
    rig.export(vec![counter(point(2, 3, 2.0), 1), histogram(2, 3, [1, 0], 1)]).await;
    rig.export(vec![counter(point(1, 2, 9.0), 1), histogram(2, 3, [5, 5], 1)]).await;
    let text = rig.text().await;
    for line in ["requests_total{instance=\"i\",job=\"api\"} 9", "latency_sum{instance=\"i\",job=\"api\"} 3"]
    {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(text.contains("le=\"1\"} 2\n") && text.contains("le=\"+Inf\"} 4\n"), "{text}");
    assert_eq!(rig.dropped("late"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_quoted_for_those_who_can_read_them() {
    let rig = Rig::new(r#", "translation_strategy": "NoTranslation""#).await;
    rig.export(vec![gauge("queue.size", point(0, 2, 1.0))]).await;
    let (head, body) = rig.get("/metrics", "text/plain;version=1.0.0;escaping=allow-utf-8").await;
    assert!(head.contains("version=1.0.0; charset=utf-8; escaping=allow-utf-8"), "{head}");
    assert!(body.contains("# TYPE \"queue.size\" gauge\n{\"queue.size\",instance=\"i\""), "{body}");
    assert!(rig.text().await.contains("\nqueue_size{instance=\"i\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn series_end_and_are_bounded() {
    let rig = Rig::new(r#", "max_series": 2"#).await;
    rig.export(vec![
        gauge("a", point(0, 2, 1.0)),
        gauge("b", point(0, 2, 1.0)),
        gauge("c", point(0, 2, 1.0)),
    ])
    .await;
    // The third gauge, and what is known of the resource.
    assert_eq!(rig.dropped("max_series"), 2);
    rig.export(vec![gauge("a", NumberDataPoint { flags: 1, ..point(0, 3, 0.0) })]).await;
    let text = rig.text().await;
    assert!(!text.contains("\na{") && text.contains("\nb{"), "{text}");
    rig.export(vec![metric(
        "b",
        metric::Data::Summary(Summary {
            data_points: vec![SummaryDataPoint { time_unix_nano: 3_000_000_000, ..Default::default() }],
        }),
    )])
    .await;
    assert_eq!(rig.dropped("type_conflict"), 1);
    let lost = rig.exporter.drain(tokio::time::Instant::now() + Duration::from_secs(1)).await;
    assert_eq!(lost.items, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scrapes_go_over_tls_and_never_without() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("as these tests make it");
    let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
    let rig = Rig::new(&format!(r#", "tls": {{"cert_pem": {certificate:?}, "key_pem": {key:?}}}"#)).await;
    rig.export(vec![gauge("size", point(0, 2, 1.0))]).await;
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a certificate");
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("as the provider has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(("127.0.0.1", rig.port)).await.expect("connects");
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a handshake");
    let (head, body) = get(stream, "/metrics", "").await;
    assert!(head.starts_with("http/1.1 200") && body.contains("\nsize{"), "{head}\n{body}");
    let mut plain = TcpStream::connect(("127.0.0.1", rig.port)).await.expect("connects");
    plain.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.expect("written");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("size"), "nothing is shown without TLS");
}

/// Lets in who shows one header.
struct Token;

impl ServerAuth for Token {
    fn authenticate(&self, presented: Presented<'_>) -> Decision {
        Decision::Now(match presented.first("authorization") {
            Some(b"Bearer scrape") => Ok(Arc::default()),
            _ => Err(Denied::new(DeniedBecause::Missing, "who is it")),
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_shows_a_token_may_scrape() {
    let (host, shared) = (Host::for_tests(), Shared::default());
    let id = ComponentId::parse("token").expect("as these tests make it");
    let status = StatusReporter::detached(Kind::Extension, id.clone());
    let cx = CreateContext { id: &id, host: &host, status, shared: &shared };
    let publication = AuthPublication::new(&cx, Some(Arc::new(Token)), None);
    publication.start(&host);
    let rig = Rig::on(host, r#", "auth": {"authenticator": "token"}"#).await;
    rig.export(vec![gauge("size", point(0, 2, 1.0))]).await;
    let (head, body) = rig.get("/metrics", "*/*").await;
    assert!(head.starts_with("http/1.1 401") && !body.contains("size"), "{head}\n{body}");
    let stream = TcpStream::connect(("127.0.0.1", rig.port)).await.expect("connects");
    let (head, body) = get(stream, "/metrics", "Authorization: Bearer scrape\r\n").await;
    assert!(head.starts_with("http/1.1 200") && body.contains("\nsize{"), "{head}\n{body}");
}

/// Buckets of one histogram that never fall, from the text of a scrape: those of the buckets, then the count.
fn shown_histogram(text: &str) -> Option<[u64; 3]> {
    let value = |start: &str| {
        let line = text.lines().find(|line| line.starts_with(start))?;
        line.rsplit(' ').next()?.parse::<f64>().ok().map(|value| value as u64)
    };
    let bucket = |le: &str| value(&format!("latency_bucket{{instance=\"i\",job=\"api\",le=\"{le}\"}}"));
    Some([bucket("1")?, bucket("+Inf")?, value("latency_count")?])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn scrapes_during_writes_are_whole_and_never_go_back() {
    let rig = Arc::new(Rig::new("").await);
    let writer = {
        let rig = rig.clone();
        tokio::spawn(async move {
            for step in 1..=400_u64 {
                rig.export(vec![
                    counter(point(1, 1 + step, step as f64), 2),
                    histogram(1, 1 + step, [step, step], 2),
                ])
                .await;
            }
        })
    };
    let (mut last, mut scrapes) = ([0; 3], 0);
    while !writer.is_finished() || scrapes == 0 {
        let text = rig.text().await;
        let Some(found) = shown_histogram(&text) else { continue };
        assert_eq!(found[0] * 2, found[1], "the buckets are of one point: {text}");
        assert_eq!(found[1], found[2], "the count is that of the last bucket: {text}");
        assert!(found >= last, "{last:?}, then {found:?}");
        (last, scrapes) = (found, scrapes + 1);
    }
    writer.await.expect("it wrote");
    assert_eq!(shown_histogram(&rig.text().await), Some([400, 800, 800]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_keeps_the_port_and_who_is_connected() {
    let (rig, shared) = (Rig::new("").await, Shared::default());
    rig.export(vec![gauge("size", point(0, 2, 1.0))]).await;
    let settings = format!(r#"{{"endpoint": "127.0.0.1:{}", "namespace": "next"}}"#, rig.port);
    let next = create(&settings, &rig.host, &shared);
    next.start(&rig.host).await.expect("the port is leased to both");
    next.export(batch(vec![gauge("size", point(0, 3, 2.0))])).await.expect("taken");
    let patience = tokio::time::Instant::now() + Duration::from_secs(5);
    assert_eq!(rig.exporter.drain(patience).await.items, 0);
    // Scrapers meet the old one until it has let go, and never nobody.
    loop {
        let text = rig.text().await;
        if text.is_empty() {
            continue;
        }
        let (old, new) = (text.contains("\nsize{"), text.contains("\nnext_size{"));
        assert!(old != new, "one of the two answers: {text}");
        if new {
            break;
        }
        tokio::task::yield_now().await;
        assert!(tokio::time::Instant::now() < patience, "the new one never answered");
    }
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    // (settings, the key that the problem names)
    let cases = [
        (r#"{}"#, "endpoint"),
        (r#"{"endpoint": "localhost:1", "metric_expiration": "0s"}"#, "metric_expiration"),
        (r#"{"endpoint": "localhost:1", "max_series": 0}"#, "max_series"),
        (r#"{"endpoint": "localhost:1", "translation_strategy": "x"}"#, "translation_strategy"),
        (r#"{"endpoint": "localhost:1", "sending_queue": {"enabled": true}}"#, "sending_queue"),
        (r#"{"endpoint": "localhost:1", "resource_constant_labels": {}}"#, "resource_constant_labels"),
    ];
    for (settings, key) in cases {
        let config: PrometheusConfig = serde_json::from_str(settings).expect(settings);
        let problems = Problems::of(|problems| config.validate(problems));
        assert!(problems.keys().contains(&key), "{settings}");
    }
}
