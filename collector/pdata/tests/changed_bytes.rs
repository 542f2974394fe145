//! Requests with bytes changed: they are accepted or refused, what is accepted can be walked and written as JSON, and
//! nothing panics. A small part of what the fuzz targets do, with every test run.

use std::time::{Duration, Instant};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::{logs, metrics, trace};
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use phoenix_pdata::{InvalidUtf8, Signal, count_items, json, validate};
use prost::Message as _;

fn attributes() -> Vec<KeyValue> {
    let list = ArrayValue { values: vec![AnyValue { value: Some(Value::DoubleValue(1.5)) }] };
    let values = [
        Value::StringValue("naïve".into()),
        Value::IntValue(-7),
        Value::ArrayValue(list),
        Value::BytesValue(vec![0, 255]),
    ];
    let pair = |value| KeyValue {
        key: "k".into(),
        value: Some(AnyValue { value: Some(value) }),
        ..Default::default()
    };
    values.into_iter().map(pair).collect()
}

/// One request of each signal.
fn corpus() -> Vec<(Signal, Vec<u8>)> {
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: "n".into(),
        attributes: attributes(),
        ..Default::default()
    };
    let record = LogRecord {
        body: attributes()[2].value.clone(),
        attributes: attributes(),
        time_unix_nano: u64::MAX,
        ..Default::default()
    };
    let point = NumberDataPoint {
        value: Some(number_data_point::Value::AsInt(i64::MIN)),
        attributes: attributes(),
        ..Default::default()
    };
    let metric = Metric {
        name: "m".into(),
        data: Some(Data::Gauge(Gauge { data_points: vec![point] })),
        ..Default::default()
    };
    let traces = trace::v1::ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans { spans: vec![span; 2], ..Default::default() }],
            ..Default::default()
        }],
    };
    let logs = logs::v1::ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs { log_records: vec![record; 2], ..Default::default() }],
            ..Default::default()
        }],
    };
    let metrics = metrics::v1::ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics { metrics: vec![metric; 2], ..Default::default() }],
            ..Default::default()
        }],
    };
    vec![
        (Signal::Traces, traces.encode_to_vec()),
        (Signal::Logs, logs.encode_to_vec()),
        (Signal::Metrics, metrics.encode_to_vec()),
    ]
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize
    }

    /// Some changes to `bytes`; `likely` are bytes that mean something there.
    fn change(&mut self, bytes: &mut Vec<u8>, likely: &[u8]) {
        for _ in 0..=self.next() % 4 {
            let at = self.next() % bytes.len().max(1);
            match (self.next() % 6, bytes.is_empty()) {
                (_, true) => bytes.push(0),
                (0, _) => bytes.truncate(at),
                (1, _) => bytes.insert(at, likely[self.next() % likely.len()]),
                (2, _) => bytes[at] ^= 1 << (self.next() % 8),
                (3, _) => bytes[at] = likely[self.next() % likely.len()],
                (4, _) => {
                    bytes.remove(at);
                }
                _ => {
                    let part = bytes[at..bytes.len().min(at + self.next() % 30)].to_vec();
                    let to = self.next() % bytes.len();
                    bytes.splice(to..to, part);
                }
            }
        }
    }
}

const TIME: Duration = Duration::from_secs(1);

#[test]
fn changed_protobuf_is_accepted_or_refused() {
    let (corpus, mut random, end) = (corpus(), Random(1), Instant::now() + TIME);
    let (mut accepted, mut refused) = (0, 0);
    while Instant::now() < end || accepted == 0 || refused == 0 {
        for (signal, good) in &corpus {
            let mut bytes = good.clone();
            random.change(&mut bytes, &[0, 1, 0x0a, 0x12, 0x7f, 0x80, 0xff]);
            let outcome = validate(*signal, Bytes::from(bytes), InvalidUtf8::Repair);
            let Ok((payload, counts)) = outcome else {
                refused += 1;
                continue;
            };
            accepted += 1;
            assert_eq!(counts.items, count_items(*signal, &payload));
            let mut text = Vec::new();
            json::encode(*signal, &payload, &mut text);
            assert!(json::decode(*signal, &text, InvalidUtf8::Reject).is_ok(), "what is written is read");
        }
    }
}

#[test]
fn changed_json_is_accepted_or_refused() {
    let texts = corpus().into_iter().map(|(signal, bytes)| {
        let (payload, _) = validate(signal, Bytes::from(bytes), InvalidUtf8::Reject).expect("valid");
        let mut text = Vec::new();
        json::encode(signal, &payload, &mut text);
        (signal, text)
    });
    let (texts, mut random, end) = (texts.collect::<Vec<_>>(), Random(2), Instant::now() + TIME);
    let (mut accepted, mut refused) = (0, 0);
    while Instant::now() < end || accepted == 0 || refused == 0 {
        for (signal, good) in &texts {
            let mut text = good.clone();
            random.change(&mut text, b"{}[]\",:\\u0eE-.9 \xff\0");
            match json::decode(*signal, &text, InvalidUtf8::Repair) {
                Err(error) => {
                    refused += 1;
                    assert!(error.offset <= text.len());
                }
                Ok((payload, counts)) => {
                    accepted += 1;
                    let (_, again) =
                        validate(*signal, payload.into_contiguous(), InvalidUtf8::Reject).expect("valid");
                    assert_eq!(again, counts);
                }
            }
        }
    }
}
