//! What it costs to look at a request and to change it: 100 items of about 500 bytes each.
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use phoenix_pdata::wire::Fields;
use phoenix_pdata::write::{
    put_attribute, put_bytes, put_double, put_fixed64, put_message, put_uint, put_value,
};
use phoenix_pdata::{Deal, coalesce, count_items, deal, edit, split_items, take_items, validate, view};
use phoenix_pdata::{InvalidUtf8, Payload, Signal, Upsert};
use prost::Message;

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn span(index: u64) -> Span {
    Span {
        trace_id: vec![7; 16],
        span_id: index.to_be_bytes().to_vec(),
        parent_span_id: vec![9; 8],
        name: "GET /api/v1/products/{id}".into(),
        kind: 2,
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_000_100_000_000,
        attributes: vec![
            text("http.request.method", "GET"),
            text("http.route", "/api/v1/products/{id}"),
            text("url.scheme", "https"),
            text("server.address", "shop.example.com"),
            attribute("server.port", Value::IntValue(443)),
            attribute("http.response.status_code", Value::IntValue(200)),
            text("client.address", "10.12.33.101"),
            text(
                "user_agent.original",
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
            ),
            text("network.protocol.version", "1.1"),
            text("enduser.id", "user-1234567890"),
        ],
        status: Some(Status { message: String::new(), code: 1 }),
        flags: 257,
        ..Default::default()
    }
}

fn request(spans: u64) -> Bytes {
    let scope_spans = ScopeSpans {
        scope: Some(InstrumentationScope {
            name: "io.opentelemetry.http".into(),
            version: "1.2.3".into(),
            ..Default::default()
        }),
        spans: (0..spans).map(span).collect(),
        ..Default::default()
    };
    let resource = Resource {
        attributes: vec![
            text("service.name", "shop"),
            text("service.version", "2.0.1"),
            text("host.name", "a-1"),
        ],
        ..Default::default()
    };
    let resource_spans = vec![ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![scope_spans],
        ..Default::default()
    }];
    Bytes::from(ExportTraceServiceRequest { resource_spans }.encode_to_vec())
}

/// Writes the one scope of a request.
fn with_scope(records: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut out = Vec::new();
    put_message(&mut out, 1, |out| {
        put_message(out, 1, |out| put_attribute(out, 1, "service.name", &"shop".into()));
        put_message(out, 2, records);
    });
    Bytes::from(out)
}

fn logs() -> Bytes {
    with_scope(|out| {
        for index in 0..100 {
            put_message(out, 2, |out| {
                put_fixed64(out, 1, 1_700_000_000_000_000_000 + index);
                put_fixed64(out, 11, 1_700_000_000_000_000_000 + index);
                put_uint(out, 2, 9);
                put_bytes(out, 3, b"INFO");
                let body =
                    "order 4711 accepted for customer 1234567890: 3 items, 129.95 EUR, express delivery";
                put_value(out, 5, &body.into());
                for key in ["thread.name", "code.function.name", "code.file.path", "customer.id", "order.id"]
                {
                    put_attribute(out, 6, key, &"a value of some length".into());
                }
                put_attribute(out, 6, "code.line.number", &4711i64.into());
                put_bytes(out, 9, &[7; 16]);
                put_bytes(out, 10, &[9; 8]);
            });
        }
    })
}

fn metrics() -> Bytes {
    let point = |out: &mut Vec<u8>, index: u64| {
        put_message(out, 1, |out| {
            put_fixed64(out, 2, 1_700_000_000_000_000_000);
            put_fixed64(out, 3, 1_700_000_060_000_000_000);
            put_fixed64(out, 4, index);
            put_double(out, 5, 12.5);
            put_bytes(out, 6, &[1; 16 * 8]);
            put_bytes(out, 7, &[1; 15 * 8]);
            for key in ["http.request.method", "http.route", "server.address", "network.protocol.version"] {
                put_attribute(out, 9, key, &"a value".into());
            }
        });
    };
    with_scope(|out| {
        for _ in 0..10 {
            put_message(out, 2, |out| {
                put_bytes(out, 1, b"http.server.request.duration");
                put_bytes(out, 3, b"s");
                put_message(out, 9, |out| {
                    (0..10).for_each(|index| point(out, index));
                    put_uint(out, 2, 2);
                });
            });
        }
    })
}

fn other_signals(criterion: &mut Criterion) {
    for (name, signal, request) in
        [("logs-100", Signal::Logs, logs()), ("metrics-100", Signal::Metrics, metrics())]
    {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(request.len() as u64));
        for policy in [InvalidUtf8::Pass, InvalidUtf8::Reject] {
            assert_eq!(
                validate(signal, request.clone(), policy).map(|(_, counts)| counts.items).ok(),
                Some(100)
            );
            group.bench_function(format!("validate, {}", policy.name()), |bencher| {
                bencher.iter(|| validate(signal, black_box(request.clone()), policy));
            });
        }
        group.finish();
    }
}

fn validation(criterion: &mut Criterion) {
    let request = request(100);
    let mut group = criterion.benchmark_group("traces-100");
    group.throughput(Throughput::Bytes(request.len() as u64));
    for policy in InvalidUtf8::ALL {
        group.bench_function(format!("validate, {}", policy.name()), |bencher| {
            bencher.iter(|| validate(Signal::Traces, black_box(request.clone()), policy));
        });
    }
    group.bench_function("prost decode", |bencher| {
        bencher.iter(|| ExportTraceServiceRequest::decode(black_box(request.clone())));
    });
    group.finish();
}

fn reading(criterion: &mut Criterion) {
    let request = request(100);
    let payload = Payload::from(request.clone());
    let spans = |payload: &Payload| {
        let scopes = payload.resource_spans().flat_map(|entry| entry.scopes());
        scopes.flat_map(|scope| scope.records()).map(|span| span.kind() as u64).sum::<u64>()
    };
    let attributes = |payload: &Payload| {
        let scopes = payload.resource_spans().flat_map(|entry| entry.scopes());
        let spans = scopes.flat_map(|scope| scope.records());
        spans.filter(|span| span.attributes().get("network.protocol.version").is_some()).count()
    };
    let mut group = criterion.benchmark_group("traces-100");
    group.throughput(Throughput::Bytes(request.len() as u64));
    group.bench_function("count items", |bencher| {
        bencher.iter(|| count_items(Signal::Traces, black_box(&payload)))
    });
    group.bench_function("view each span", |bencher| bencher.iter(|| spans(black_box(&payload))));
    group.bench_function("view each span and its 9th attribute", |bencher| {
        bencher.iter(|| attributes(black_box(&payload)));
    });
    group.finish();
}

/// Deals spans out by a byte of their identifier, as evenly as can be.
struct ByTrace;

impl Deal for ByTrace {
    fn resource(&mut self, _: Option<view::Resource<'_>>) -> Option<usize> {
        None
    }

    fn record(&mut self, span: &[u8]) -> Option<usize> {
        let id = Fields::new(span).find(|field| field.is_len(2)).map_or(&[][..], |field| field.body);
        Some(id.iter().map(|byte| usize::from(*byte)).sum::<usize>() % 4)
    }
}

fn changing(criterion: &mut Criterion) {
    let request = request(100);
    let payload = Payload::from(request.clone());
    let mut many = Payload::default();
    for _ in 0..10 {
        many.append(payload.clone());
    }
    let mut group = criterion.benchmark_group("traces-100");
    group.throughput(Throughput::Bytes(request.len() as u64));
    group.bench_function("edit, one attribute of the resource and of each span", |bencher| {
        bencher.iter(|| {
            edit(black_box(payload.clone()), |editor| {
                for entry in view::resource_spans(editor.message()) {
                    if let Some(resource) = entry.resource() {
                        editor.set_attribute(&resource, "deployment", &"prod".into(), Upsert::Upsert);
                    }
                    for span in entry.scopes().into_iter().flat_map(|scope| scope.records()) {
                        editor.set_attribute(&span, "enduser.id", &"hidden".into(), Upsert::Update);
                    }
                }
            })
        });
    });
    group.bench_function("deal to four by trace", |bencher| {
        bencher.iter(|| deal(Signal::Traces, black_box(payload.clone()), 4, &mut ByTrace));
    });
    group.bench_function("split in chunks of 30", |bencher| {
        bencher.iter(|| split_items(Signal::Traces, black_box(payload.clone()), 30));
    });
    group.throughput(Throughput::Bytes(many.len() as u64));
    group.bench_function("ten of them, take 450 spans", |bencher| {
        bencher.iter(|| take_items(Signal::Traces, black_box(many.clone()), 450));
    });
    group.bench_function("ten of them, coalesce", |bencher| {
        bencher.iter(|| coalesce(Signal::Traces, black_box(many.clone())));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = validation, other_signals, reading, changing
}
criterion_main!(benches);
