//! What OTLP/JSON costs, beside what the same costs as protobuf: 100 items, as SDKs and collectors write
//! them.
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use phoenix_pdata::write::{
    put_attribute, put_bytes, put_double, put_fixed64, put_message, put_uint, put_value,
};
use phoenix_pdata::{InvalidUtf8, Payload, Signal, json};

/// Writes the one scope of a request.
fn with_scope(records: impl FnOnce(&mut Vec<u8>)) -> Payload {
    let mut out = Vec::new();
    put_message(&mut out, 1, |out| {
        put_message(out, 1, |out| put_attribute(out, 1, "service.name", &"shop".into()));
        put_message(out, 2, records);
    });
    Payload::from(bytes::Bytes::from(out))
}

fn traces() -> Payload {
    with_scope(|out| {
        for index in 0..100u64 {
            put_message(out, 2, |out| {
                put_bytes(out, 1, &[0x5b; 16]);
                put_bytes(out, 2, &index.to_be_bytes());
                put_bytes(out, 4, &[0x9e; 8]);
                put_bytes(out, 5, b"GET /api/v1/products/{id}");
                put_uint(out, 6, 2);
                put_fixed64(out, 7, 1_700_000_000_000_000_000 + index);
                put_fixed64(out, 8, 1_700_000_000_100_000_000 + index);
                for (key, value) in [
                    ("http.request.method", "GET"),
                    ("http.route", "/api/v1/products/{id}"),
                    ("url.scheme", "https"),
                    ("server.address", "shop.example.com"),
                    ("client.address", "10.12.33.101"),
                    (
                        "user_agent.original",
                        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
                    ),
                    ("network.protocol.version", "1.1"),
                    ("enduser.id", "user-1234567890"),
                ] {
                    put_attribute(out, 9, key, &value.into());
                }
                put_attribute(out, 9, "server.port", &443i64.into());
                put_attribute(out, 9, "http.response.status_code", &200i64.into());
                put_message(out, 15, |out| put_uint(out, 3, 1));
            });
        }
    })
}

fn logs() -> Payload {
    with_scope(|out| {
        for index in 0..100u64 {
            put_message(out, 2, |out| {
                put_fixed64(out, 1, 1_700_000_000_000_000_000 + index);
                put_fixed64(out, 11, 1_700_000_000_000_000_000 + index);
                put_uint(out, 2, 9);
                put_bytes(out, 3, b"INFO");
                let body =
                    "order \"4711\" accepted for customer 1234567890:\n3 items, 129.95 EUR, express delivery";
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

fn metrics() -> Payload {
    with_scope(|out| {
        for index in 0..100u64 {
            put_message(out, 2, |out| {
                put_bytes(out, 1, b"http.server.request.duration");
                put_bytes(out, 3, b"s");
                put_message(out, 9, |out| {
                    put_message(out, 1, |out| {
                        put_fixed64(out, 2, 1_700_000_000_000_000_000);
                        put_fixed64(out, 3, 1_700_000_060_000_000_000 + index);
                        put_fixed64(out, 4, 4711 + index);
                        put_double(out, 5, 129.953_125 + index as f64 / 3.0);
                        let counts: Vec<u8> =
                            (0..15u64).flat_map(|count| (count * 37).to_le_bytes()).collect();
                        put_bytes(out, 6, &counts);
                        let bounds = [
                            0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5,
                            10.0f64,
                        ];
                        put_bytes(
                            out,
                            7,
                            &bounds.iter().flat_map(|bound| bound.to_le_bytes()).collect::<Vec<u8>>(),
                        );
                        for key in ["http.request.method", "http.route", "url.scheme"] {
                            put_attribute(out, 9, key, &"a value".into());
                        }
                    });
                    put_uint(out, 2, 2);
                });
            });
        }
    })
}

fn benchmarks(criterion: &mut Criterion) {
    for (signal, payload) in
        [(Signal::Traces, traces()), (Signal::Metrics, metrics()), (Signal::Logs, logs())]
    {
        let mut text = Vec::new();
        json::encode(signal, &payload, &mut text);
        let spaced: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        let spaced = serde_json::to_vec_pretty(&spaced).expect("JSON");
        let mut group = criterion.benchmark_group(format!("json/{signal}"));
        group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
        group.throughput(Throughput::Bytes(text.len() as u64));
        let mut buffer = Vec::new();
        group.bench_function("decode", |bencher| {
            bencher.iter(|| {
                let read = json::decode_into(
                    signal,
                    black_box(&text),
                    InvalidUtf8::Pass,
                    std::mem::take(&mut buffer),
                );
                buffer = read.expect("valid").0;
            });
        });
        group.bench_function("encode", |bencher| {
            let mut out = Vec::new();
            bencher.iter(|| {
                out.clear();
                json::encode(signal, black_box(&payload), &mut out);
            });
        });
        group.throughput(Throughput::Bytes(spaced.len() as u64));
        group.bench_function("decode with white space", |bencher| {
            bencher.iter(|| {
                let read = json::decode_into(
                    signal,
                    black_box(&spaced),
                    InvalidUtf8::Pass,
                    std::mem::take(&mut buffer),
                );
                buffer = read.expect("valid").0;
            });
        });
        if let Some(path) = std::env::var_os("PHOENIX_JSON_DUMP") {
            std::fs::write(std::path::Path::new(&path).join(format!("{signal}.json")), &text).expect("dump");
        }
    }
}

criterion_group!(benches, benchmarks);
criterion_main!(benches);
