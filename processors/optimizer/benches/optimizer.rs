//! What a request costs in the stage, by what the rules do with it: 1000 series of a counter in one request, over and over.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use phoenix_component::{Ack, Batch, Fragment, Now, Output};
use phoenix_config::decode_text;
use phoenix_pdata::view::AnyValue;
use phoenix_pdata::{Payload, Signal, write};
use phoenix_processor_optimizer::{OptimizerConfig, stage};
use phoenix_telemetry::Metrics;

const POINTS: u64 = 1000;

/// A request with a point of each series at a time in seconds. Requests of different `copies` have different series.
fn request(time: u64, copy: u64) -> Batch {
    let mut request = Vec::new();
    write::put_message(&mut request, 1, |entry| {
        write::put_message(entry, 1, |resource| {
            write::put_attribute(resource, 1, "service.name", &AnyValue::from("checkout"));
        });
        write::put_message(entry, 2, |scope| {
            write::put_message(scope, 2, |metric| {
                write::put_bytes(metric, 1, b"http.server.requests");
                write::put_message(metric, 7, |sum| {
                    for series in 0..POINTS {
                        write::put_message(sum, 1, |point| {
                            write::put_fixed64(point, 2, 1_000_000_000);
                            write::put_fixed64(point, 3, time * 1_000_000_000);
                            write::put_fixed64(point, 6, time + series);
                            let pod = format!("pod-{}", series % 100);
                            let route = format!("/route/{}/{copy}", series / 100);
                            write::put_attribute(point, 7, "pod", &AnyValue::from(pod.as_str()));
                            write::put_attribute(point, 7, "route", &AnyValue::from(route.as_str()));
                            write::put_attribute(point, 7, "code", &AnyValue::from(200));
                        });
                    }
                    write::put_uint(sum, 2, 2);
                    write::put_uint(sum, 3, 1);
                });
            });
        });
    });
    Batch::new(Signal::Metrics, Payload::from(Bytes::from(request)), POINTS)
}

fn rules(criterion: &mut Criterion) {
    let others: String = (0..19)
        .map(|number| format!(", {{name: r{number}, match: {{metrics: ['m{number}.*']}}, drop: true}}"))
        .collect();
    let thousand: String = (0..1000)
        .map(|number| format!(", {{name: r{number}, match: {{metrics: ['m{number}.*']}}, drop: true}}"))
        .collect();
    let drops = "{name: d, match: {types: [counter]}, drop_labels: [pod]}";
    let cases = [
        ("nothing matches", "{name: n, match: {metrics: [x]}, drop: true}".to_owned()),
        ("20 rules, one drops a label", format!("{drops}{others}")),
        ("1001 rules, one drops a label", format!("{drops}{thousand}")),
        ("limit of 2000 series", "{name: l, limit_series: {limit: 2000}}".to_owned()),
        ("limit of 100 series", "{name: l, limit_series: {limit: 100}}".to_owned()),
        ("interval", "{name: i, interval: 60s}".to_owned()),
        (
            "100,000 series at a limit of 10,000",
            "{name: l, limit_series: {limit: 10000, per: metric}}".to_owned(),
        ),
        (
            "100,000 series at a limit of 10,000, places given anew",
            "{name: l, limit_series: {limit: 10000, per: metric, replace: true}}".to_owned(),
        ),
    ];
    let mut group = criterion.benchmark_group("optimizer");
    group.throughput(Throughput::Elements(POINTS));
    let few: Vec<Batch> = (100..200).map(|time| request(time, 0)).collect();
    let many: Vec<Batch> = (100..200).map(|time| request(time, time)).collect();
    for (name, rules) in cases {
        let config = decode_text::<OptimizerConfig>(&format!("{{interval: 10s, rules: [{rules}]}}"));
        let config = config.expect("settings");
        group.bench_function(name, |bencher| {
            let spec = stage(&config, &[], 1, &Metrics::default(), "optimizer").expect("no conflicts");
            let mut shards = spec.shards;
            let shard = shards.first_mut().expect("one shard");
            let requests = if name.starts_with("100,000") { &many } else { &few };
            let mut turn = 0;
            bencher.iter(|| {
                let seconds = 100 + turn % 100;
                let now = Now { monotonic: Duration::from_secs(turn), unix_nanos: seconds * 1_000_000_000 };
                let mut out = Output::with_room(64);
                let batch = requests[(turn % 100) as usize].clone();
                shard.ingest(Fragment { batch, ack: Ack::none() }, now, &mut out);
                turn += 1;
                black_box(out.take_batches());
            });
        });
    }
    group.finish();
}

criterion_group!(benches, rules);
criterion_main!(benches);
