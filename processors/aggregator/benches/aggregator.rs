//! What a data point costs: known streams, one rule by two attributes or ten rules; and a window that is let out.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use phoenix_component::{Ack, Batch, Fragment, Now, Output, Stage};
use phoenix_pdata::write::{put_attribute, put_bytes, put_fixed64, put_message, put_uint};
use phoenix_pdata::{Payload, Signal};
use phoenix_processor_aggregator::{AggregatorConfig, Place, stage};
use phoenix_telemetry::Metrics;

const S: u64 = 1_000_000_000;
const BASE: u64 = 1_800_000_000 * S;
/// Data points of one request, all of one metric of one resource.
const POINTS: u64 = 1000;

/// Cumulative counters with five attributes.
fn request(resource: u64, step: u64) -> Batch {
    let mut out = Vec::new();
    put_message(&mut out, 1, |out| {
        put_message(out, 1, |out| {
            put_attribute(out, 1, "host.name", &format!("host-{resource}").as_str().into())
        });
        put_message(out, 2, |out| {
            put_message(out, 2, |out| {
                put_bytes(out, 1, b"http.server.requests");
                put_message(out, 7, |out| {
                    for number in 0..POINTS {
                        put_message(out, 1, |out| {
                            put_fixed64(out, 2, BASE);
                            put_fixed64(out, 3, BASE + step * 10 * S);
                            put_fixed64(out, 6, step * number);
                            put_attribute(out, 7, "http.method", &"GET".into());
                            put_attribute(
                                out,
                                7,
                                "http.route",
                                &format!("/r/{}", number % 10).as_str().into(),
                            );
                            put_attribute(out, 7, "http.status_code", &200.into());
                            put_attribute(out, 7, "pod", &format!("pod-{number}").as_str().into());
                            put_attribute(out, 7, "zone", &"eu-1".into());
                        });
                    }
                    put_uint(out, 2, 2);
                    put_uint(out, 3, 1);
                });
            });
        });
    });
    Batch::new(Signal::Metrics, Payload::from(Bytes::from(out)), POINTS)
}

fn shard(rules: &str) -> Box<dyn Stage> {
    let settings = format!(r#"{{"rules": [{rules}], "watermark": {{"partition": "none"}}}}"#);
    let config: AggregatorConfig = serde_json::from_str(&settings).expect("settings");
    let mut spec = stage(&config, &Metrics::default(), &Place::default(), None).expect("no store");
    spec.shards.pop().expect("one shard")
}

fn feed(shard: &mut dyn Stage, batch: Batch) -> usize {
    let now = Now { monotonic: Duration::from_secs(1), unix_nanos: BASE + 1_000_000 * S };
    let mut out = Output::with_room(64);
    shard.ingest(Fragment { batch, ack: Ack::none() }, now, &mut out);
    let mut sent = out.take_batches().len();
    while shard.wake_at().is_some_and(|at| at <= now.monotonic + Duration::from_millis(1)) {
        let mut out = Output::with_room(64);
        shard.tick(now, &mut out);
        sent += out.take_batches().len();
    }
    sent
}

fn aggregates(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("aggregator");
    let one = r#"{"id": "a", "by": ["http.route", "http.method"]}"#.to_owned();
    let ten: Vec<String> = (0..10)
        .map(|n| format!(r#"{{"id": "{n}", "name": "{{rule}}", "by": ["http.route"], "tiers": [{{"interval": "2m"}}, {{"interval": "10m"}}]}}"#))
        .collect();
    let own = r#"{"id": "a"}"#.to_owned();
    for (name, rules) in
        [("one rule", one), ("ten rules, three tiers", ten.join(",")), ("every stream a series", own)]
    {
        let mut shard = shard(&rules);
        let mut step = 1;
        group.throughput(Throughput::Elements(POINTS));
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    step += 1;
                    request(1, step)
                },
                |batch| black_box(feed(&mut *shard, batch)),
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, aggregates);
criterion_main!(benches);
