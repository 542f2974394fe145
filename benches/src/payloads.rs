//! Requests as an instrumented web service sends them, encoded once before the clock starts.
//!
//! An item has ten attributes and about 500 bytes on the wire; a resource has eight attributes and holds at
//! most fifty items. Equal seeds give equal bytes.

use anyhow::Result;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::signal::Signal;
use crate::wire::{self, FIRST_TIME_UNIX_NANO};

const ITEMS_PER_RESOURCE: usize = 50;
const POINTS_PER_METRIC: usize = 10;
const SPANS_PER_TRACE: usize = 5;
/// Spans of one trace in one request, and requests that have some, where traces are spread.
const SPREAD_TOGETHER: u64 = 2;
const SPREAD_REQUESTS: u64 = 4;
/// The label of a data point that no other has, encoded up to its eight hexadecimal digits.
const SESSION: &[u8] = b"\x0a\x0asession.id\x12\x0a\x0a\x08";
const SECOND_NANOS: u64 = 1_000_000_000;

/// A request body and where its records' own bytes are.
#[derive(Debug)]
pub(crate) struct Payload {
    /// The protobuf message.
    pub(crate) bytes: Bytes,
    /// Spans, log records or data points in it.
    pub(crate) items: u64,
    /// Spans with an error.
    pub(crate) failed: u64,
    signal: Signal,
    id_offsets: Vec<usize>,
    /// Those of trace ids; none but for spans.
    trace_id_offsets: Vec<usize>,
    /// What grows from report to report, and by how much; none but for data points.
    growing: Vec<(usize, u64)>,
    /// The values of the label that tells one series of a data point from another.
    session_offsets: Vec<usize>,
}

impl Payload {
    /// Builds a request of `items` records.
    pub(crate) fn new(signal: Signal, items: usize, seed: u64) -> Payload {
        let mut made = Maker { random: SmallRng::seed_from_u64(seed) };
        let bytes = match signal {
            Signal::Traces => made.traces(items).encode_to_vec(),
            Signal::Logs => made.logs(items).encode_to_vec(),
            Signal::Metrics => made.metrics(items).encode_to_vec(),
        };
        Payload::of_bytes(signal, bytes)
    }

    /// Repeats the request until one more would pass `limit_bytes`; at least once.
    ///
    /// Concatenated protobuf messages merge, so the result is one request with all the records.
    pub(crate) fn filled_to(self, limit_bytes: usize) -> Payload {
        let copies = (limit_bytes / self.bytes.len().max(1)).max(1);
        Payload::of_bytes(self.signal, self.bytes.repeat(copies))
    }

    fn of_bytes(signal: Signal, bytes: Vec<u8>) -> Payload {
        let mut id_offsets = Vec::new();
        wire::each_id(&bytes, signal, |offset| id_offsets.extend(offset))
            .expect("an encoded request is well-formed");
        let items = wire::count(&bytes, signal).expect("an encoded request is well-formed");
        let mut trace_id_offsets = Vec::new();
        if signal == Signal::Traces {
            wire::each_trace_id(&bytes, |offset| trace_id_offsets.push(offset))
                .expect("an encoded request is well-formed");
        }
        let mut failed = 0;
        if signal == Signal::Traces {
            wire::each_span(&bytes, |span| failed += u64::from(span.has_failed))
                .expect("an encoded request is well-formed");
        }
        let mut session_offsets = Vec::new();
        let mut growing = Vec::new();
        if signal == Signal::Metrics {
            wire::each_growing(&bytes, |offset, step| growing.push((offset, step)))
                .expect("an encoded request is well-formed");
            let found = bytes.windows(SESSION.len()).enumerate().filter(|(_, window)| *window == SESSION);
            session_offsets.extend(found.map(|(start, _)| start + SESSION.len()));
        }
        let bytes = bytes.into();
        Payload { bytes, items, failed, signal, id_offsets, trace_id_offsets, growing, session_offsets }
    }

    /// Rewrites a request of this module in OTLP/JSON.
    ///
    /// # Errors
    /// If the bytes are no request of that signal.
    pub(crate) fn json(signal: Signal, bytes: &[u8]) -> Result<Vec<u8>> {
        Ok(match signal {
            Signal::Traces => serde_json::to_vec(&ExportTraceServiceRequest::decode(bytes)?)?,
            Signal::Logs => serde_json::to_vec(&ExportLogsServiceRequest::decode(bytes)?)?,
            Signal::Metrics => serde_json::to_vec(&ExportMetricsServiceRequest::decode(bytes)?)?,
        })
    }

    #[cfg(test)]
    /// A copy in which the records are numbered `first_id`, `first_id + 1` and so on.
    pub(crate) fn numbered_from(&self, first_id: u64) -> Bytes {
        let mut bytes = self.bytes.to_vec();
        self.number(&mut bytes, first_id);
        bytes.into()
    }

    /// Numbers the records of a copy.
    pub(crate) fn number(&self, bytes: &mut [u8], first_id: u64) {
        for (id, offset) in (first_id..).zip(&self.id_offsets) {
            wire::write_id(bytes, *offset, self.signal, id);
        }
    }

    /// Writes into the spans of a copy when they are sent: nanoseconds, as their ids.
    pub(crate) fn stamp(&self, bytes: &mut [u8], unix_nanos: u64) {
        for offset in &self.id_offsets {
            wire::write_id(bytes, *offset, self.signal, unix_nanos);
        }
    }

    /// Lets the series of a copy go on to their report `number`: ten seconds later each, with counters that grew.
    pub(crate) fn go_on(&self, bytes: &mut [u8], number: u64) {
        for (offset, step) in &self.growing {
            let place = &mut bytes[*offset..*offset + 8];
            let before = place.try_into().map_or(0, u64::from_le_bytes);
            place.copy_from_slice(&before.wrapping_add(number * step).to_le_bytes());
        }
    }

    /// Makes other series of those of a copy: those of the copy `number`, below 65536.
    pub(crate) fn rename(&self, bytes: &mut [u8], number: u64) {
        let digits = format!("{number:04x}");
        for offset in &self.session_offsets {
            bytes[*offset..*offset + 4].copy_from_slice(&digits.as_bytes()[..4]);
        }
    }

    /// Gives the spans of a copy that is the request `number` of all to traces of eight spans: two in each of
    /// four requests that follow each other.
    pub(crate) fn spread(&self, bytes: &mut [u8], number: u64) {
        let first = number / SPREAD_REQUESTS * (self.items / SPREAD_TOGETHER);
        for (span, offset) in (0..).zip(&self.trace_id_offsets) {
            let trace = first + span / SPREAD_TOGETHER;
            bytes[*offset..*offset + 8].copy_from_slice(&(trace + 1).to_be_bytes());
            // Samplers go by these.
            bytes[*offset + 8..*offset + 16].copy_from_slice(&mixed(trace).to_be_bytes());
        }
    }
}

struct Maker {
    random: SmallRng,
}

impl Maker {
    fn traces(&mut self, items: usize) -> ExportTraceServiceRequest {
        let resource_spans = portions(items, ITEMS_PER_RESOURCE)
            .map(|spans| ResourceSpans {
                resource: Some(self.resource()),
                scope_spans: vec![ScopeSpans {
                    scope: Some(scope()),
                    spans: portions(spans, SPANS_PER_TRACE).flat_map(|n| self.trace(n)).collect(),
                    ..Default::default()
                }],
                ..Default::default()
            })
            .collect();
        ExportTraceServiceRequest { resource_spans }
    }

    /// Spans of one trace, each the parent of the next.
    fn trace(&mut self, spans: usize) -> Vec<Span> {
        let trace_id: [u8; 16] = self.random.random();
        let failed = self.random.random_ratio(1, 20);
        let mut parent_span_id = Vec::new();
        (0..spans)
            .map(|depth| {
                let span_id = self.random.random::<[u8; 8]>().to_vec();
                let start = self.time();
                Span {
                    trace_id: trace_id.to_vec(),
                    span_id: span_id.clone(),
                    parent_span_id: std::mem::replace(&mut parent_span_id, span_id),
                    name: format!("POST /api/v2/accounts/{{id}}/{}", self.pick(&RESOURCES)),
                    kind: if depth == 0 { 2 } else { 3 },
                    start_time_unix_nano: start,
                    end_time_unix_nano: start + self.random.random_range(100_000..2 * SECOND_NANOS),
                    attributes: self.attributes(),
                    status: Some(Status { code: if failed { 2 } else { 0 }, ..Default::default() }),
                    flags: 0x101,
                    ..Default::default()
                }
            })
            .collect()
    }

    fn logs(&mut self, items: usize) -> ExportLogsServiceRequest {
        let resource_logs = portions(items, ITEMS_PER_RESOURCE)
            .map(|records| ResourceLogs {
                resource: Some(self.resource()),
                scope_logs: vec![ScopeLogs {
                    scope: Some(scope()),
                    log_records: (0..records).map(|_| self.log_record()).collect(),
                    ..Default::default()
                }],
                ..Default::default()
            })
            .collect();
        ExportLogsServiceRequest { resource_logs }
    }

    fn log_record(&mut self) -> LogRecord {
        let time = self.time();
        let (severity_number, severity_text) =
            self.pick(&[(9, "INFO"), (9, "INFO"), (13, "WARN"), (17, "ERROR")]);
        let body = format!(
            "upstream {} answered {} bytes in {} ms",
            self.pick(&RESOURCES),
            self.random.random_range(100..1_000_000),
            self.random.random_range(1..5000),
        );
        LogRecord {
            time_unix_nano: time,
            observed_time_unix_nano: time + 1_000_000,
            severity_number,
            severity_text: severity_text.to_owned(),
            body: Some(AnyValue { value: Some(Value::StringValue(body)) }),
            attributes: self.attributes(),
            trace_id: self.random.random::<[u8; 16]>().to_vec(),
            span_id: self.random.random::<[u8; 8]>().to_vec(),
            flags: 1,
            ..Default::default()
        }
    }

    fn metrics(&mut self, items: usize) -> ExportMetricsServiceRequest {
        let mut number = 0;
        let resource_metrics = portions(items, ITEMS_PER_RESOURCE)
            .map(|points| ResourceMetrics {
                resource: Some(self.resource()),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(scope()),
                    metrics: portions(points, POINTS_PER_METRIC)
                        .map(|points| {
                            number += 1;
                            self.metric(number, points)
                        })
                        .collect(),
                    ..Default::default()
                }],
                ..Default::default()
            })
            .collect();
        ExportMetricsServiceRequest { resource_metrics }
    }

    /// Of five metrics three are counters, one is a gauge and one a histogram.
    fn metric(&mut self, number: usize, points: usize) -> Metric {
        const CUMULATIVE: i32 = 2;
        let data = match number % 5 {
            0 => Data::Gauge(Gauge {
                data_points: (0..points)
                    .map(|_| {
                        let value = self.random.random_range(0.0..100.0);
                        self.number_point(number_data_point::Value::AsDouble(value))
                    })
                    .collect(),
            }),
            1 => Data::Histogram(Histogram {
                aggregation_temporality: CUMULATIVE,
                data_points: (0..points).map(|_| self.histogram_point()).collect(),
            }),
            _ => Data::Sum(Sum {
                aggregation_temporality: CUMULATIVE,
                is_monotonic: true,
                data_points: (0..points)
                    .map(|_| {
                        let value = self.random.random_range(0..1_000_000);
                        self.number_point(number_data_point::Value::AsInt(value))
                    })
                    .collect(),
            }),
        };
        Metric {
            name: format!("app.requests.{number}"),
            description: "requests handled".to_owned(),
            unit: "{request}".to_owned(),
            data: Some(data),
            ..Default::default()
        }
    }

    fn number_point(&mut self, value: number_data_point::Value) -> NumberDataPoint {
        NumberDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: FIRST_TIME_UNIX_NANO,
            time_unix_nano: self.time(),
            value: Some(value),
            ..Default::default()
        }
    }

    fn histogram_point(&mut self) -> HistogramDataPoint {
        let bounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
        let bucket_counts: Vec<u64> = (0..=bounds.len()).map(|_| self.random.random_range(0..100)).collect();
        HistogramDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: FIRST_TIME_UNIX_NANO,
            time_unix_nano: self.time(),
            count: bucket_counts.iter().sum(),
            sum: Some(self.random.random_range(0.0..1000.0)),
            bucket_counts,
            explicit_bounds: bounds.to_vec(),
            ..Default::default()
        }
    }

    fn attributes(&mut self) -> Vec<KeyValue> {
        let account = self.random.random_range(10_000..99_999);
        let host = self.random.random_range(0..100);
        let thread = self.random.random_range(0..64);
        let session = self.random.random::<u32>();
        let resource = self.pick(&RESOURCES);
        vec![
            text("http.request.method", self.pick(&["GET", "POST", "PUT", "DELETE"])),
            text("url.path", format!("/api/v2/accounts/{account}/{resource}")),
            text("http.route", format!("/api/v2/accounts/{{id}}/{resource}")),
            int("http.response.status_code", self.pick(&[200, 200, 200, 201, 404, 503])),
            text("server.address", format!("payments-{host}.prod.example.internal")),
            int("server.port", 8443),
            text("user_agent.original", "okhttp/4.12.0 (Linux; Android 14)"),
            text("client.address", format!("10.{}.{}.{host}", account % 256, thread)),
            text("thread.name", format!("http-worker-{thread}")),
            text("session.id", format!("{session:08x}")),
        ]
    }

    fn resource(&mut self) -> Resource {
        let service = self.pick(&["checkout", "payments", "inventory", "accounts"]);
        let node = self.random.random_range(0..100);
        let pod = self.random.random::<u32>();
        Resource {
            attributes: vec![
                text("service.name", service),
                text("service.version", "2.7.1"),
                text("service.instance.id", format!("{service}-{pod:08x}")),
                text("deployment.environment.name", "production"),
                text("host.name", format!("node-{node}.eu-west-1.example.internal")),
                text("k8s.namespace.name", "shop"),
                text("k8s.pod.name", format!("{service}-6d5f7-{pod:08x}")),
                text("cloud.region", "eu-west-1"),
            ],
            ..Default::default()
        }
    }

    fn time(&mut self) -> u64 {
        FIRST_TIME_UNIX_NANO + self.random.random_range(0..SECOND_NANOS)
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.random.random_range(0..choices.len())]
    }
}

const RESOURCES: [&str; 4] = ["transactions", "orders", "statements", "payment-methods"];

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "io.opentelemetry.okhttp-3.0".to_owned(),
        version: "2.11.0".to_owned(),
        ..Default::default()
    }
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    key_value(key, Value::StringValue(value.into()))
}

fn int(key: &str, value: i64) -> KeyValue {
    key_value(key, Value::IntValue(value))
}

fn key_value(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

/// Bits that look random: those of SplitMix64.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Sizes of the portions of `total`, each at most `most`.
fn portions(total: usize, most: usize) -> impl Iterator<Item = usize> {
    (0..total).step_by(most).map(move |start| most.min(total - start))
}
