//! What it costs to keep a tenth of 100 spans of about 500 bytes each.
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use phoenix_component::harness::golden;
use phoenix_component::{Batch, Dropped, Host, Transform};
use phoenix_pdata::write::{put_attribute, put_bytes, put_fixed64, put_message, put_uint};
use phoenix_pdata::{Payload, Signal};
use phoenix_processor_probabilistic_sampler::SamplerFactory;

fn span(out: &mut Vec<u8>, index: u64) {
    // Identifiers that are spread as random ones are.
    put_bytes(
        out,
        1,
        &u128::from(index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes(),
    );
    put_bytes(out, 2, &index.to_be_bytes());
    put_bytes(out, 4, &[9; 8]);
    put_bytes(out, 5, b"GET /api/v1/products/{id}");
    put_uint(out, 6, 2);
    put_fixed64(out, 7, 1_700_000_000_000_000_000);
    put_fixed64(out, 8, 1_700_000_000_100_000_000);
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/api/v1/products/{id}"),
        ("url.scheme", "https"),
        ("server.address", "shop.example.com"),
        ("client.address", "10.12.33.101"),
        (
            "user_agent.original",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0",
        ),
        ("network.protocol.version", "1.1"),
        ("enduser.id", "user-1234567890"),
    ] {
        put_attribute(out, 9, key, &value.into());
    }
    put_attribute(out, 9, "server.port", &443i64.into());
    put_attribute(out, 9, "http.response.status_code", &200i64.into());
    put_message(out, 15, |out| put_uint(out, 3, 1));
    put_uint(out, 16, 257);
}

fn request() -> Payload {
    let mut out = Vec::new();
    put_message(&mut out, 1, |out| {
        put_message(out, 1, |out| put_attribute(out, 1, "service.name", &"shop".into()));
        put_message(out, 2, |out| {
            put_message(out, 1, |out| put_bytes(out, 1, b"io.opentelemetry.http"));
            (0..100).for_each(|index| put_message(out, 2, |out| span(out, index)));
        });
    });
    Payload::from(Bytes::from(out))
}

fn sampler(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let _entered = runtime.enter();
    let host = Host::for_tests();
    let payload = request();
    let mut group = c.benchmark_group("probabilistic_sampler");
    group.throughput(Throughput::Elements(100)).measurement_time(Duration::from_secs(2));
    for mode in ["hash_seed", "equalizing", "proportional"] {
        let yaml = format!("{{sampling_percentage: 10, mode: {mode}}}");
        let made = golden::processor(&SamplerFactory, &yaml, Signal::Traces, &host).expect("made");
        let transform = made.into_inner();
        group.bench_function(mode, |bencher| {
            bencher.iter(|| {
                let batch = Batch::new(Signal::Traces, payload.clone(), 100);
                black_box(transform.apply(batch, &mut Dropped::default()))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, sampler);
criterion_main!(benches);
