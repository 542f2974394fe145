//! Load, relay and sink against each other, and payloads against the generated types.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;

use crate::body::{self, Pieces};
use crate::client::{Encoding, FrameSize, Protocol};
use crate::compression::Compression;
use crate::ledger::{IdReport, Ledger};
use crate::load::{self, LoadOptions};
use crate::payloads::Payload;
use crate::relay;
use crate::signal::Signal;
use crate::sink::{Sink, SinkOptions};
use crate::wire;

fn load_options(endpoint: String) -> LoadOptions {
    LoadOptions {
        http_prefix: String::new(),
        endpoint,
        protocol: Protocol::Grpc,
        signal: Signal::Traces,
        items: 100,
        request_bytes: None,
        requests: 20,
        connections: 2,
        in_flight: 2,
        variants: 3,
        frame_size: FrameSize::Peer,
        compression: Compression::None,
        encoding: Encoding::Proto,
        rate: None,
        one_each: false,
        unique_ids: true,
        spread_traces: false,
        stamp: false,
        series: false,
        series_copies: 1,
        retry: false,
        retry_pause_ms: 20,
        seed: 1,
        tls_folder: None,
        wait: false,
        hold: false,
    }
}

fn sink_options() -> SinkOptions {
    let any_port = "127.0.0.1:0".parse().unwrap();
    SinkOptions {
        grpc: any_port,
        http: any_port,
        delay_ms: 0,
        at_once: None,
        fail_permille: 0,
        throttle_permille: 0,
        retry_delay_ms: 100,
        max_frame_bytes: 16 << 10,
        tls_folder: None,
        ids: true,
        wait_ms: None,
    }
}

#[test]
fn an_item_has_about_500_bytes_and_ten_attributes() {
    for signal in Signal::ALL {
        let payload = Payload::new(signal, 100, 7);
        assert_eq!(payload.items, 100, "{signal:?}");
        let bytes_per_item = payload.bytes.len() / 100;
        assert!((450..=560).contains(&bytes_per_item), "{signal:?}: {bytes_per_item}");
    }
    let request = ExportTraceServiceRequest::decode(Payload::new(Signal::Traces, 1, 7).bytes).unwrap();
    let resource = &request.resource_spans[0];
    assert_eq!(resource.resource.as_ref().unwrap().attributes.len(), 8);
    assert_eq!(resource.scope_spans[0].spans[0].attributes.len(), 10);
}

#[test]
fn equal_seeds_give_equal_bytes() {
    for signal in Signal::ALL {
        assert_eq!(Payload::new(signal, 30, 3).bytes, Payload::new(signal, 30, 3).bytes);
        assert_ne!(Payload::new(signal, 30, 3).bytes, Payload::new(signal, 30, 4).bytes);
    }
}

#[test]
fn numbered_payloads_stay_well_formed_and_every_record_has_its_number() {
    for signal in Signal::ALL {
        let payload = Payload::new(signal, 120, 5);
        let numbered = payload.numbered_from(1000);
        assert_eq!(numbered.len(), payload.bytes.len());
        let mut ids = Vec::new();
        wire::each_id(&numbered, signal, |offset| {
            ids.push(wire::read_id(&numbered, offset.unwrap(), signal));
        })
        .unwrap();
        assert_eq!(ids, (1000..1120).collect::<Vec<_>>(), "{signal:?}");
        match signal {
            Signal::Traces => drop(ExportTraceServiceRequest::decode(numbered).unwrap()),
            Signal::Logs => drop(ExportLogsServiceRequest::decode(numbered).unwrap()),
            Signal::Metrics => drop(ExportMetricsServiceRequest::decode(numbered).unwrap()),
        }
    }
}

#[test]
fn spread_traces_have_eight_spans_in_four_requests() {
    let payload = Payload::new(Signal::Traces, 100, 5);
    let mut spans: BTreeMap<Vec<u8>, Vec<u64>> = BTreeMap::new();
    for number in 0..8 {
        let mut bytes = payload.bytes.to_vec();
        payload.spread(&mut bytes, number);
        let request = ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap();
        for scope in request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans) {
            scope.spans.into_iter().for_each(|span| spans.entry(span.trace_id).or_default().push(number));
        }
    }
    assert_eq!(spans.len(), 100);
    for of_trace in spans.values() {
        let first = of_trace[0];
        assert_eq!(of_trace, &[0, 0, 1, 1, 2, 2, 3, 3].map(|offset| first + offset));
        assert!(first == 0 || first == 4);
    }
}

#[test]
fn payloads_in_json_are_the_same_requests() {
    let payload = Payload::new(Signal::Traces, 20, 5);
    let json = Payload::json(Signal::Traces, &payload.bytes).unwrap();
    let request: ExportTraceServiceRequest = serde_json::from_slice(&json).unwrap();
    assert_eq!(request.encode_to_vec(), payload.bytes);
    assert!(Payload::json(Signal::Traces, &[0x0a, 0x7f]).is_err());
}

#[tokio::test]
async fn with_one_each_every_connection_sends_once() {
    let sink = Sink::bind(sink_options()).await.unwrap();
    let (grpc, _) = sink.addresses().unwrap();
    let ledger = sink.ledger();
    let serving = tokio::spawn(sink.serve());
    let options = load_options(grpc.to_string());
    let options = LoadOptions { one_each: true, connections: 50, in_flight: 1, items: 10, ..options };
    assert_eq!(load::run(options).await.unwrap().accepted_items, 500);
    assert_eq!(ledger.report().ids, Some(IdReport { distinct: 500, duplicates: 0, foreign: 0 }));
    serving.abort();
}

#[test]
fn a_filled_payload_comes_close_to_its_limit() {
    let limit = 1 << 20;
    let payload = Payload::new(Signal::Logs, 20, 1).filled_to(limit);
    assert!(payload.bytes.len() <= limit && payload.bytes.len() > limit - (16 << 10));
    let request = ExportLogsServiceRequest::decode(payload.bytes).unwrap();
    let records: usize =
        request.resource_logs.iter().flat_map(|block| &block.scope_logs).map(|s| s.log_records.len()).sum();
    assert_eq!(records as u64, payload.items);
}

#[test]
fn series_go_on_ten_seconds_later_and_counters_grow() {
    use opentelemetry_proto::tonic::metrics::v1::{NumberDataPoint, metric::Data, number_data_point::Value};
    let payload = Payload::new(Signal::Metrics, 50, 1);
    let points = |bytes: &[u8]| -> Vec<(u64, i64, u64, u64)> {
        let request = ExportMetricsServiceRequest::decode(bytes).unwrap();
        let scopes = request.resource_metrics.into_iter().flat_map(|block| block.scope_metrics);
        let numbers = |points: Vec<NumberDataPoint>| {
            points.into_iter().map(|point| match point.value {
                Some(Value::AsInt(value)) => (point.time_unix_nano, value, 0, 0),
                _ => (point.time_unix_nano, 0, 0, 0),
            })
        };
        scopes
            .flat_map(|scope| scope.metrics)
            .flat_map(|metric| match metric.data.unwrap() {
                Data::Sum(sum) => numbers(sum.data_points).collect::<Vec<_>>(),
                Data::Gauge(gauge) => numbers(gauge.data_points).collect(),
                Data::Histogram(histogram) => histogram
                    .data_points
                    .iter()
                    .map(|point| (point.time_unix_nano, 0, point.count, point.bucket_counts.iter().sum()))
                    .collect(),
                other => panic!("{other:?}"),
            })
            .collect()
    };
    let first = points(&payload.bytes);
    let mut bytes = payload.bytes.to_vec();
    payload.go_on(&mut bytes, 3);
    let fourth = points(&bytes);
    assert_eq!(first.len(), 50);
    let (mut counters, mut histograms) = (0, 0);
    for (before, after) in first.iter().zip(&fourth) {
        assert_eq!(after.0 - before.0, 30_000_000_000);
        assert_eq!(after.2, after.3, "the count is that of the buckets");
        counters += after.1 - before.1;
        histograms += after.2 - before.2;
    }
    assert_eq!((counters, histograms), (30 * 30, 10 * 3), "three metrics of ten points, and one");
}

#[test]
fn cut_off_requests_are_malformed_and_never_panic() {
    for signal in Signal::ALL {
        let bytes = Payload::new(signal, 10, 1).bytes;
        for length in 0..bytes.len() {
            // A cut between two blocks is a shorter request; anywhere else it is an error.
            let _ = wire::count(&bytes[..length], signal);
            let _ = wire::each_id(&bytes[..length], signal, |_| {});
        }
        assert!(wire::count(&bytes[..bytes.len() - 1], signal).is_err());
        assert!(wire::count(&[0x0b], signal).is_err(), "group");
        assert!(wire::count(&[0xff; 11], signal).is_err(), "endless varint");
        assert!(wire::count(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], signal).is_err());
    }
}

#[test]
fn a_ledger_tells_losses_duplicates_and_strangers() {
    let ledger = Ledger::new(true, None);
    let payload = Payload::new(Signal::Traces, 10, 1);
    ledger.record(Signal::Traces, &payload.numbered_from(1)).unwrap();
    ledger.record(Signal::Traces, &payload.numbered_from(6)).unwrap();
    ledger.record(Signal::Traces, &payload.numbered_from(1 << 40)).unwrap();
    assert!(ledger.record(Signal::Traces, &[0x0a, 0x7f]).is_err());
    let report = ledger.report();
    assert_eq!(report.ids, Some(IdReport { distinct: 15, duplicates: 5, foreign: 10 }));
    assert_eq!((report.spans, report.requests, report.malformed), (30, 3, 1));
}

#[test]
fn compression_comes_back_and_is_bounded() {
    let text = b"phoenix ".repeat(1000);
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let compressed = compression.compress(&text).unwrap();
        assert_eq!(compression.decompress(&compressed, text.len()).unwrap(), text);
        assert!(compression.decompress(&compressed, text.len() - 1).is_err());
        assert_eq!(Compression::of_header(compression.header().unwrap_or("")).unwrap(), compression);
    }
    assert!(Compression::of_header("br").is_err());
}

#[tokio::test]
async fn every_record_arrives_once_whatever_the_protocol() {
    let sink = Sink::bind(sink_options()).await.unwrap();
    let (grpc, http) = sink.addresses().unwrap();
    let ledger = sink.ledger();
    let serving = tokio::spawn(sink.serve());
    let mut sent = 0;
    for (protocol, signal, frame_size, compression) in [
        (Protocol::Grpc, Signal::Traces, FrameSize::Peer, Compression::None),
        (Protocol::Grpc, Signal::Metrics, FrameSize::SixteenKib, Compression::Gzip),
        (Protocol::Grpc, Signal::Logs, FrameSize::SixteenKib, Compression::None),
        (Protocol::Http, Signal::Traces, FrameSize::Peer, Compression::Zstd),
        (Protocol::Http, Signal::Logs, FrameSize::Peer, Compression::None),
    ] {
        let endpoint = if protocol == Protocol::Grpc { grpc } else { http };
        let options =
            LoadOptions { protocol, signal, frame_size, compression, ..load_options(endpoint.to_string()) };
        let report = load::run(options).await.unwrap();
        assert_eq!((report.failed, report.partial), (0, 0), "{protocol:?} {signal:?}");
        assert_eq!(report.accepted_items, 2000);
        sent += report.accepted_items;
    }
    let report = ledger.report();
    assert_eq!(report.items(), sent);
    // Each load numbers from 1, so only the first is new.
    assert_eq!(report.ids, Some(IdReport { distinct: 2000, duplicates: 8000, foreign: 0 }));
    serving.abort();
}

#[tokio::test]
async fn refusals_are_counted_on_both_sides_and_retried_to_the_end() {
    let options = SinkOptions { fail_permille: 200, throttle_permille: 100, ..sink_options() };
    let sink = Sink::bind(options).await.unwrap();
    let (grpc, http) = sink.addresses().unwrap();
    let ledger = sink.ledger();
    let serving = tokio::spawn(sink.serve());
    for (protocol, endpoint) in [(Protocol::Grpc, grpc), (Protocol::Http, http)] {
        let before = ledger.report();
        let options = LoadOptions { protocol, retry: true, ..load_options(endpoint.to_string()) };
        let report = load::run(options).await.unwrap();
        let after = ledger.report();
        assert_eq!(report.accepted_requests, 20);
        let turned_away = after.refused + after.throttled - before.refused - before.throttled;
        assert!(turned_away > 0);
        assert_eq!((report.failed, report.retryable), (turned_away, turned_away));
        assert_eq!(report.refusals.values().sum::<u64>(), turned_away);
    }
    serving.abort();
}

#[tokio::test]
async fn a_sink_that_works_on_one_request_at_a_time_takes_its_delay_for_each() {
    let sink = Sink::bind(SinkOptions { at_once: Some(1), delay_ms: 10, ..sink_options() }).await.unwrap();
    let (grpc, _) = sink.addresses().unwrap();
    let ledger = sink.ledger();
    let serving = tokio::spawn(sink.serve());
    assert_eq!(load::run(load_options(grpc.to_string())).await.unwrap().accepted_items, 2000);
    let report = ledger.report();
    assert!(report.busy_us >= 19 * 10_000, "{report:?}");
    assert!(report.items_per_s().unwrap() <= 10_000.0);
    serving.abort();
    assert!(Sink::bind(SinkOptions { at_once: Some(0), ..sink_options() }).await.is_err());
}

#[tokio::test]
async fn the_null_relay_passes_everything_on() {
    let sink = Sink::bind(sink_options()).await.unwrap();
    let (grpc, _) = sink.addresses().unwrap();
    let ledger = sink.ledger();
    let serving = tokio::spawn(sink.serve());
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap();
    let relaying =
        tokio::spawn(async move { relay::serve(incoming, &grpc.to_string(), Compression::None).await });
    let report = load::run(load_options(address.to_string())).await.unwrap();
    assert_eq!((report.accepted_items, report.failed), (2000, 0));
    assert_eq!(ledger.report().ids, Some(IdReport { distinct: 2000, duplicates: 0, foreign: 0 }));
    relaying.abort();
    serving.abort();
}

#[tokio::test]
async fn numbers_of_refused_requests_are_used_again() {
    let sink = Sink::bind(SinkOptions { fail_permille: 500, ..sink_options() }).await.unwrap();
    let (grpc, _) = sink.addresses().unwrap();
    let ledger = sink.ledger();
    let serving = tokio::spawn(sink.serve());
    let options = LoadOptions { connections: 1, in_flight: 1, ..load_options(grpc.to_string()) };
    let report = load::run(options).await.unwrap();
    assert_eq!((report.accepted_requests, report.failed, report.retryable), (10, 10, 10));
    // The ten that were accepted have the first thousand numbers, so none of these is new.
    let payload = Payload::new(Signal::Traces, 1000, 1);
    ledger.record(Signal::Traces, &payload.numbered_from(1)).unwrap();
    assert_eq!(ledger.report().ids, Some(IdReport { distinct: 1000, duplicates: 1000, foreign: 0 }));
    serving.abort();
}

/// The largest DATA frame of a load to a server that accepts frames of 1 MiB.
async fn largest_frame(frame_size: FrameSize) -> usize {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    let largest = Arc::new(AtomicUsize::new(0));
    let seen = largest.clone();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(|request: Request<Incoming>| {
            let seen = seen.clone();
            async move {
                let mut body = request.into_body();
                while let Some(Ok(frame)) = body.frame().await {
                    seen.fetch_max(frame.data_ref().map_or(0, |data| data.len()), Ordering::Relaxed);
                }
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                let body = Pieces::whole(body::grpc_framed(&[], false)).with_trailers(trailers);
                Ok::<_, Infallible>(Response::new(body))
            }
        });
        let mut server = http2::Builder::new(TokioExecutor::new());
        server.max_frame_size(1 << 20).serve_connection(TokioIo::new(stream), service).await.ok();
    });
    let options = LoadOptions { connections: 1, frame_size, ..load_options(endpoint) };
    assert_eq!(load::run(options).await.unwrap().accepted_requests, 20);
    serving.abort();
    largest.load(Ordering::Relaxed)
}

#[tokio::test]
async fn frames_are_as_large_as_asked_for() {
    assert_eq!(largest_frame(FrameSize::SixteenKib).await, 16 << 10);
    assert!(largest_frame(FrameSize::Peer).await > 32 << 10);
}

#[test]
fn copies_of_requests_are_other_series_and_nothing_else() {
    let payload = Payload::new(Signal::Metrics, 100, 1);
    let copy = |number| {
        let mut bytes = payload.bytes.to_vec();
        payload.rename(&mut bytes, number);
        bytes
    };
    let differ = |a: &[u8], b: &[u8]| a.iter().zip(b).filter(|(a, b)| a != b).count();
    assert_eq!(differ(&copy(0x1111), &copy(0x2222)), 400, "four digits of each of a hundred points");
    assert_eq!(copy(7), copy(7));
}
