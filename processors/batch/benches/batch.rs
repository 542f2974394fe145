//! What a request costs in the stage: prepared, ingested and let out in a batch of 8192 items.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use phoenix_component::{Ack, Batch, Fragment, Now, Output};
use phoenix_pdata::view::AnyValue;
use phoenix_pdata::{Payload, Signal, write};
use phoenix_processor_batch::{BatchConfig, stage};
use phoenix_telemetry::Metrics;

/// A request of `items` log records of some 500 bytes.
fn request(items: u64) -> Batch {
    let body = "x".repeat(480);
    let mut request = Vec::new();
    write::put_message(&mut request, 1, |resource| {
        write::put_message(resource, 2, |scope| {
            for number in 0..items {
                write::put_message(scope, 2, |record| {
                    write::put_fixed64(record, 1, number);
                    write::put_value(record, 5, &AnyValue::from(body.as_str()));
                });
            }
        });
    });
    Batch::new(Signal::Logs, Payload::from(Bytes::from(request)), items)
}

fn batches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch");
    for (items, max) in [(10, 0), (100, 0), (100, 8192), (1000, 8192)] {
        let config = BatchConfig { send_batch_max_size: max, ..BatchConfig::default() };
        let requests = 10 * 8192 / items;
        let batch = request(items);
        group.throughput(Throughput::Elements(requests));
        group.bench_function(format!("requests of {items}, maximum {max}"), |bencher| {
            let mut spec = stage(&config, &Metrics::default(), "batch");
            let (partition, mut shard) = (spec.partition, spec.shards.pop().expect("one shard"));
            bencher.iter(|| {
                for _ in 0..requests {
                    let mut out = Output::with_room(64);
                    let mut emit = |_, batch| {
                        let fragment = Fragment { batch, ack: Ack::none() };
                        shard.ingest(fragment, Now::default(), &mut out);
                    };
                    partition.prepare(batch.clone(), &mut emit).expect("taken");
                    black_box(out.take_batches());
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, batches);
criterion_main!(benches);
