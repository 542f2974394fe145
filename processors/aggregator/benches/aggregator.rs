//! What a data point costs: known streams, one rule by two attributes or ten rules; and a window that is let out.

mod load;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use load::{Driven, Of, Request};
use phoenix_component::Batch;

/// Data points of one request, all of one metric of one resource.
const POINTS: u64 = 1000;

/// Cumulative counters with five attributes.
fn request(step: u64) -> Batch {
    let fill = |scope: &mut load::Scope<'_>| {
        scope.metric("http.server.requests", Of::Counter, POINTS, step * 10, |number, hand| {
            let (route, pod) = (format!("/r/{}", number % 10), format!("pod-{number}"));
            hand(&[
                ("http.method", "GET".into()),
                ("http.route", route.as_str().into()),
                ("http.status_code", 200.into()),
                ("pod", pod.as_str().into()),
                ("zone", "eu-1".into()),
            ]);
        });
    };
    Request::default().resource(&[("host.name", "host-1".into())], fill).batch()
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
        let mut driven = Driven::new(&rules, "");
        let mut step = 1;
        group.throughput(Throughput::Elements(POINTS));
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    step += 1;
                    request(step)
                },
                |batch| {
                    driven.send(batch);
                    driven.settle();
                    black_box(driven.let_out)
                },
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, aggregates);
criterion_main!(benches);
