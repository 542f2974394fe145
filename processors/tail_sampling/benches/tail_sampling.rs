//! What a request of 100 spans costs from intake to decision, in the processor's time.

mod driver;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use phoenix_component::Host;

use driver::{BEGIN, Driver, FIVE, SPANS, Template, twenty};

const NOTHING: &str = "num_shards: 1";

fn bench(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let host = runtime.block_on(async { Host::for_tests() });
    let mut group = c.benchmark_group("100_spans");
    group.throughput(Throughput::Elements(SPANS as u64)).sample_size(20);
    let cases: [(&str, String, usize, usize); 2] =
        [("5_policies", FIVE.to_owned(), 2, 8), ("20_policies", twenty(), 2, 8)];
    for (name, policies, per_trace, attributes) in cases {
        // Two seconds of requests.
        measure(&mut group, name, || {
            Driver::new(&host, (&policies, NOTHING), 2_000, Template::new(per_trace, attributes))
        });
    }
    group.finish();
    let mut group = c.benchmark_group("traces_in_the_buffer");
    group.throughput(Throughput::Elements(SPANS as u64)).sample_size(20);
    for (name, waiting) in [("20000", 20_000 / BEGIN), ("2000000", 2_000_000 / BEGIN)] {
        measure(&mut group, name, || Driver::new(&host, (FIVE, NOTHING), waiting, Template::new(1, 1)));
    }
    group.finish();
}

#[allow(clippy::print_stderr)]
fn measure(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, make: impl Fn() -> Driver) {
    let mut driver = None;
    group.bench_function(name, |bencher| {
        let driver = driver.get_or_insert_with(&make);
        bencher.iter_custom(|times| driver.steps(times));
    });
    if let Some(driver) = driver {
        eprintln!("{name}: {}", driver.state());
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
