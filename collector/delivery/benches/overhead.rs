//! What a batch costs between the pipeline and the first byte of the attempt, with and without a queue.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use phoenix_component::factory::{CreateContext, Shared};
use phoenix_component::{Batch, Exporter, Held, Host, Refusal, StatusReporter};
use phoenix_config::{ComponentId, Kind};
use phoenix_delivery::{Delivered, Delivery, DeliveryContext, DeliverySettings, Push, QueueSettings};
use phoenix_pdata::Signal;

struct Instantly;

impl Push for Instantly {
    async fn push(&self, batch: Batch) -> Result<Delivered, Refusal> {
        black_box(batch);
        Ok(Delivered::whole())
    }
}

fn exporter(host: &Host, queue: Option<QueueSettings>) -> Delivery<Instantly> {
    let id = ComponentId::parse("bench").unwrap();
    let status = StatusReporter::detached(Kind::Exporter, id.clone());
    let create = CreateContext { id: &id, host, status, shared: &Shared::default() };
    let settings = DeliverySettings { timeout: Some(Duration::from_secs(5)), queue, ..Default::default() };
    Delivery::new(Instantly, settings, DeliveryContext::new(&create, Signal::Traces, &[]))
}

fn overhead(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let host = runtime.block_on(async { Host::for_tests() });
    let batch = Batch::new(Signal::Traces, Bytes::from(vec![0; 50_000]).into(), 100);
    for (name, queue) in [("without a queue", None), ("with a queue", Some(QueueSettings::default()))] {
        let exporter = exporter(&host, queue);
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    exporter.export(batch.clone()).await.unwrap();
                    while exporter.held() != Held::default() {
                        tokio::task::yield_now().await;
                    }
                });
            });
        });
    }
}

criterion_group!(benches, overhead);
criterion_main!(benches);
