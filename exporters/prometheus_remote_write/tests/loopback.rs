//! The exporter against a receiver that answers as it is told.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, exponential_histogram_data_point::Buckets, metric, number_data_point,
};
use phoenix_component::factory::{CreateContext, ExporterFactory as _, Shared};
use phoenix_component::{Batch, Exporter, Host, Offer, StatusReporter};
use phoenix_config::{ComponentId, Kind};
use phoenix_exporter_prometheus_remote_write::{RemoteWriteConfig, RemoteWriteFactory};
use phoenix_pdata::{InvalidUtf8, Signal, validate};
use phoenix_storage::disk::simulated::SimulatedDisk;
use phoenix_storage::{Options, Store};
use phoenix_telemetry::Value;
use prost::Message;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What these tests look at of both versions of the protocol.
mod wire {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct One {
        #[prost(message, repeated, tag = "1")]
        pub series: Vec<Series>,
        #[prost(message, repeated, tag = "3")]
        pub metadata: Vec<Metadata>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Series {
        #[prost(message, repeated, tag = "1")]
        pub labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        pub samples: Vec<Sample>,
        #[prost(message, repeated, tag = "4")]
        pub histograms: Vec<Histogram>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Label {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "2")]
        pub value: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Sample {
        #[prost(double, tag = "1")]
        pub value: f64,
        #[prost(int64, tag = "2")]
        pub timestamp: i64,
        #[prost(int64, tag = "3")]
        pub start: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Histogram {
        #[prost(uint64, tag = "1")]
        pub count: u64,
        #[prost(sint32, tag = "4")]
        pub schema: i32,
        #[prost(sint64, repeated, tag = "12")]
        pub positive_deltas: Vec<i64>,
        #[prost(int64, tag = "15")]
        pub timestamp: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Metadata {
        #[prost(int32, tag = "1")]
        pub kind: i32,
        #[prost(string, tag = "2")]
        pub family: String,
        #[prost(string, tag = "4")]
        pub help: String,
        #[prost(string, tag = "5")]
        pub unit: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Two {
        #[prost(string, repeated, tag = "4")]
        pub symbols: Vec<String>,
        #[prost(message, repeated, tag = "5")]
        pub series: Vec<SeriesTwo>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct SeriesTwo {
        #[prost(uint32, repeated, tag = "1")]
        pub labels: Vec<u32>,
        #[prost(message, repeated, tag = "2")]
        pub samples: Vec<Sample>,
        #[prost(message, repeated, tag = "3")]
        pub histograms: Vec<Histogram>,
        #[prost(message, optional, tag = "5")]
        pub metadata: Option<MetadataTwo>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct MetadataTwo {
        #[prost(int32, tag = "1")]
        pub kind: i32,
        #[prost(uint32, tag = "3")]
        pub help: u32,
        #[prost(uint32, tag = "4")]
        pub unit: u32,
    }
}

/// A request as it came: its head in lower case, and the plain body.
type Seen = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Answers one request with each of `answers` (a status, and headers with it), then with 204.
async fn receiver(answers: &[&'static str]) -> (u16, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("as these tests make it");
    let port = listener.local_addr().expect("as these tests make it").port();
    let (seen, answers) = (Seen::default(), Arc::new(Mutex::new(VecDeque::from(answers.to_vec()))));
    let all = seen.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("as these tests make it");
            tokio::spawn(serve(stream, all.clone(), answers.clone()));
        }
    });
    (port, seen)
}

async fn serve(mut stream: TcpStream, seen: Seen, answers: Arc<Mutex<VecDeque<&'static str>>>) {
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .expect("as these tests make it");
        let length: usize = length.trim().parse().expect("as these tests make it");
        while bytes.len() < end + length {
            assert_ne!(stream.read_buf(&mut bytes).await.expect("as these tests make it"), 0);
        }
        let body = snap::raw::Decoder::new()
            .decompress_vec(&bytes[end..end + length])
            .expect("as these tests make it");
        bytes.drain(..end + length);
        seen.lock().expect("as these tests make it").push((head, body));
        let answer = answers.lock().expect("as these tests make it").pop_front().unwrap_or("204 No Content");
        if answer.is_empty() {
            return; // Nothing is answered: the connection ends.
        }
        let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.expect("as these tests make it");
    }
}

struct Rig {
    exporter: Arc<dyn Exporter>,
    host: Host,
}

impl Rig {
    async fn new(port: u16, settings: &str) -> Rig {
        let text = format!(
            r#"{{"endpoint": "http://127.0.0.1:{port}/write", "remote_write_queue": {{"enabled": false}}{settings}}}"#
        );
        Rig::on(Host::for_tests(), &text).await
    }

    async fn on(host: Host, text: &str) -> Rig {
        let config: RemoteWriteConfig = serde_json::from_str(text).expect(text);
        let shared = Shared::default();
        let id = ComponentId::parse("prometheus_remote_write").expect("as these tests make it");
        let status = StatusReporter::detached(Kind::Exporter, id.clone());
        let cx = CreateContext { id: &id, host: &host, status, shared: &shared };
        let exporter =
            RemoteWriteFactory.create(&config, cx, Signal::Metrics).expect("as these tests make it");
        exporter.start(&host).await.expect("as these tests make it");
        Rig { exporter, host }
    }

    fn sum(&self, name: &str) -> f64 {
        // The counter of what was sent names the destination as well.
        let streams = self.host.metrics.streams().into_iter().filter(|stream| stream.name == name);
        let values = streams.flat_map(|stream| stream.points).map(|point| match point.value {
            Value::Int(value) => value as f64,
            Value::Float(value) => value,
            Value::Histogram(_) => 0.0,
        });
        values.sum()
    }
}

fn point(value: f64) -> NumberDataPoint {
    NumberDataPoint {
        start_time_unix_nano: 1_000_000_000,
        time_unix_nano: 2_000_000_000,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..Default::default()
    }
}

fn gauge(name: &str) -> Metric {
    let data = metric::Data::Gauge(Gauge { data_points: vec![point(1.0)] });
    Metric {
        name: name.into(),
        description: "help".into(),
        unit: "By".into(),
        data: Some(data),
        ..Default::default()
    }
}

fn counter(temporality: i32) -> Metric {
    let data = metric::Data::Sum(Sum {
        data_points: vec![point(5.0)],
        aggregation_temporality: temporality,
        is_monotonic: true,
    });
    Metric { name: "requests".into(), data: Some(data), ..Default::default() }
}

fn batch(metrics: Vec<Metric>) -> Batch {
    let scope = ScopeMetrics { metrics, ..Default::default() };
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { scope_metrics: vec![scope], ..Default::default() }],
    };
    let (payload, counts) =
        validate(Signal::Metrics, request.encode_to_vec().into(), InvalidUtf8::Pass).expect("valid");
    Batch::new(Signal::Metrics, payload, counts.items)
}

fn name_of(series: &wire::Series) -> &str {
    &series.labels.iter().find(|label| label.name == "__name__").expect("as these tests make it").value
}

#[tokio::test]
async fn version_one_has_labels_samples_histograms_and_metadata() {
    let (port, seen) = receiver(&[]).await;
    let rig = Rig::new(port, r#", "send_metadata": true, "external_labels": {"cluster": "c"}"#).await;
    let point = ExponentialHistogramDataPoint {
        time_unix_nano: 2_000_000_000,
        count: 4,
        scale: 10,
        positive: Some(Buckets { offset: 0, bucket_counts: vec![1, 1, 1, 1] }),
        ..Default::default()
    };
    let data = metric::Data::ExponentialHistogram(ExponentialHistogram {
        data_points: vec![point],
        aggregation_temporality: 2,
    });
    let native = Metric { name: "native".into(), data: Some(data), ..Default::default() };
    rig.exporter.export(batch(vec![gauge("size"), counter(2), native])).await.unwrap();
    let (head, body) = seen.lock().unwrap().pop().unwrap();
    for line in [
        "post /write ",
        "content-type: application/x-protobuf\r\n",
        "content-encoding: snappy",
        "x-prometheus-remote-write-version: 0.1.0",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }
    let request = wire::One::decode(&body[..]).unwrap();
    assert_eq!(
        request.series.iter().map(name_of).collect::<Vec<_>>(),
        ["size_bytes", "requests_total", "native"]
    );
    assert!(request.series.iter().all(|series| series.labels[1].value == "c"));
    assert_eq!(request.series[1].samples, [wire::Sample { value: 5.0, timestamp: 2000, start: 0 }]);
    let histogram = &request.series[2].histograms[0];
    assert_eq!((histogram.schema, histogram.count, &histogram.positive_deltas[..]), (8, 4, &[4][..]));
    let told: Vec<_> = request
        .metadata
        .iter()
        .map(|one| (one.kind, &one.family[..], &one.help[..], &one.unit[..]))
        .collect();
    assert_eq!(told, [(2, "size_bytes", "help", "By"), (1, "requests_total", "", ""), (3, "native", "", "")]);
}

#[tokio::test]
async fn version_two_has_symbols_start_times_and_metadata() {
    const TAKEN: &str = "204 No Content\r\nX-Prometheus-Remote-Write-Samples-Written: 2";
    let (port, seen) = receiver(&[TAKEN]).await;
    let rig = Rig::new(port, r#", "protobuf_message": "io.prometheus.write.v2.Request""#).await;
    rig.exporter.export(batch(vec![gauge("size"), counter(2)])).await.unwrap();
    let (head, body) = seen.lock().unwrap().pop().unwrap();
    assert!(head.contains("application/x-protobuf;proto=io.prometheus.write.v2.request"), "{head}");
    assert!(head.contains("x-prometheus-remote-write-version: 2.0.0"));
    let request = wire::Two::decode(&body[..]).unwrap();
    let text = |place: u32| request.symbols[place as usize].as_str();
    assert_eq!(text(0), "");
    let [size, requests] = &request.series[..] else { panic!("{request:?}") };
    assert_eq!(size.labels.iter().map(|place| text(*place)).collect::<Vec<_>>(), ["__name__", "size_bytes"]);
    let metadata = size.metadata.as_ref().unwrap();
    assert_eq!((metadata.kind, text(metadata.help), text(metadata.unit)), (2, "help", "By"));
    assert_eq!(size.samples[0].start, 0);
    assert_eq!(requests.samples, [wire::Sample { value: 5.0, timestamp: 2000, start: 1000 }]);
    assert_eq!(rig.sum("otelcol_exporter_prometheusremotewrite_written_samples"), 2.0);
}

#[tokio::test]
async fn a_receiver_that_knows_version_one_alone_gets_that() {
    for first in ["204 No Content", "415 Unsupported Media Type"] {
        let (port, seen) = receiver(&[first]).await;
        let rig = Rig::new(port, r#", "protobuf_message": "io.prometheus.write.v2.Request""#).await;
        rig.exporter.export(batch(vec![gauge("size")])).await.unwrap();
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 2, "{first}");
        assert!(seen[1].0.contains("x-prometheus-remote-write-version: 0.1.0"));
        assert_eq!(wire::One::decode(&seen[1].1[..]).unwrap().series.len(), 1);
    }
}

#[tokio::test]
async fn what_can_pass_is_tried_again_and_what_cannot_is_not() {
    // The empty answer is none at all.
    let (port, seen) =
        receiver(&["500 Internal Server Error", "429 Too Many Requests", "", "503 Busy"]).await;
    let rig = Rig::new(port, "").await;
    rig.exporter.export(batch(vec![gauge("size")])).await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 5);
    let (port, seen) = receiver(&["400 Bad Request"]).await;
    let rig = Rig::new(port, "").await;
    let refusal = rig.exporter.export(batch(vec![gauge("size")])).await.unwrap_err();
    assert!(!refusal.is_retryable() && refusal.message().contains("400 Bad Request"), "{refusal}");
    assert_eq!(seen.lock().unwrap().len(), 1);
    assert_eq!(rig.sum("otelcol_exporter_send_failed_metric_points"), 1.0);
}

#[tokio::test]
async fn what_is_too_large_is_cut_and_only_what_was_rejected_fails() {
    let (port, seen) = receiver(&["204 No Content", "400 Bad Request"]).await;
    let rig = Rig::new(port, r#", "max_batch_size_bytes": 200"#).await;
    let metrics: Vec<_> = (0..30).map(|number| gauge(&format!("gauge_number_{number}"))).collect();
    rig.exporter.export(batch(metrics)).await.unwrap();
    let seen = seen.lock().unwrap();
    let requests: Vec<_> = seen.iter().map(|(_, body)| wire::One::decode(&body[..]).unwrap()).collect();
    assert!(requests.len() > 3 && seen.iter().all(|(_, body)| body.len() <= 200));
    assert_eq!(requests.iter().map(|request| request.series.len()).sum::<usize>(), 30);
    let rejected = requests[1].series.len() as f64;
    assert_eq!(rig.sum("otelcol_exporter_send_failed_metric_points"), rejected);
    assert_eq!(rig.sum("otelcol_exporter_sent_metric_points"), 30.0 - rejected);
}

#[tokio::test]
async fn what_has_no_translation_is_counted_and_the_rest_goes() {
    let (port, seen) = receiver(&[]).await;
    let rig = Rig::new(port, "").await;
    rig.exporter.export(batch(vec![counter(1), gauge("size")])).await.unwrap();
    rig.exporter.export(batch(vec![counter(1)])).await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 1, "nothing is sent where there is nothing");
    assert_eq!(rig.sum("otelcol_exporter_prometheusremotewrite_failed_translations"), 2.0);
    assert_eq!(rig.sum("otelcol_exporter_prometheusremotewrite_translated_time_series"), 1.0);
    assert_eq!(rig.sum("otelcol_exporter_sent_metric_points"), 1.0);
}

const STORED: &str = r#", "remote_write_queue": {"num_consumers": 1, "storage": "file_storage"}, "retry_on_failure": {"initial_interval": "10ms", "max_interval": "50ms", "max_elapsed_time": "0s"}"#;

/// An exporter whose queue is on a disk, and what keeps that open.
async fn stored(port: u16, disk: &SimulatedDisk) -> (Rig, Offer) {
    let options = Options { fsync: true, ..Options::default() };
    let store = Store::on_disk(Arc::new(disk.clone()), Path::new("/queue"), Duration::ZERO, options);
    let host = Host::for_tests();
    let id = ComponentId::parse("file_storage").expect("as these tests make it");
    let offer = host.capabilities.offer(&id, Arc::new(store.expect("nobody else has it")));
    let text = format!(r#"{{"endpoint": "http://127.0.0.1:{port}/write"{STORED}}}"#);
    (Rig::on(host, &text).await, offer)
}

/// Waits until so many requests came.
async fn came(seen: &Seen, count: usize) -> Vec<String> {
    let patience = tokio::time::Instant::now() + Duration::from_secs(20);
    while seen.lock().expect("as these tests make it").len() < count {
        assert!(tokio::time::Instant::now() < patience, "{count} requests never came");
        tokio::task::yield_now().await;
    }
    let name = |body: &Vec<u8>| {
        let request = wire::One::decode(&body[..]).expect("as these tests make it");
        name_of(&request.series[0]).to_owned()
    };
    seen.lock().expect("as these tests make it").iter().map(|(_, body)| name(body)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_on_disk_outlives_the_process() {
    let disk = SimulatedDisk::default();
    // Nobody listens there.
    let (first, offer) = stored(1, &disk).await;
    for name in ["a", "b", "c"] {
        first.exporter.export(batch(vec![gauge(name)])).await.expect("it is on the disk");
    }
    let lost = first.exporter.drain(tokio::time::Instant::now()).await;
    assert_eq!(lost.items, 0, "what is on the disk is not lost");
    drop((first, offer));
    let (port, seen) = receiver(&["503 Busy"]).await;
    let (second, _offer) = stored(port, &disk).await;
    assert_eq!(
        came(&seen, 4).await,
        ["a_bytes", "a_bytes", "b_bytes", "c_bytes"],
        "in order, the first one again"
    );
    let patience = tokio::time::Instant::now() + Duration::from_secs(5);
    assert_eq!(second.exporter.drain(patience).await.items, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_newcomers_and_keeps_what_is_there() {
    let disk = SimulatedDisk::default();
    let (first, offer) = stored(1, &disk).await;
    first.exporter.export(batch(vec![gauge("a")])).await.expect("it is on the disk");
    disk.limit(Some(disk.used()));
    let refusal = first.exporter.export(batch(vec![gauge("b")])).await.expect_err("there is no room");
    assert!(refusal.is_retryable() && refusal.message().contains("disk"), "{refusal}");
    disk.limit(None);
    first.exporter.export(batch(vec![gauge("c")])).await.expect("there is room again");
    first.exporter.drain(tokio::time::Instant::now()).await;
    drop((first, offer));
    let (port, seen) = receiver(&[]).await;
    let (_second, _offer) = stored(port, &disk).await;
    assert_eq!(came(&seen, 2).await, ["a_bytes", "c_bytes"]);
}
