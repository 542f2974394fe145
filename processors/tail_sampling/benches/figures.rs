//! Prints what the processor promises about many traces and about memory, beside what it reaches:
//! `cargo bench -p phoenix-processor-tail-sampling --bench figures`.

#![allow(clippy::print_stdout)]

mod driver;

use std::time::Duration;

use phoenix_component::Host;

use driver::{BEGIN, Driver, FIVE, SPANS, Template};

/// Requests that are measured at a time, and how often.
const SLICE: u64 = 500;
const SLICES: usize = 21;
/// Traces that the decision cache is made for, and as many that were never seen.
const DROPPED: u64 = 10_000_000;
const UNSEEN: u64 = 5_000_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let host = || runtime.block_on(async { Host::for_tests() });
    // First, since memory that is let go of stays with the process.
    mixed_waits(&host());
    many_traces(&host());
    decision_cache([&host(), &host()]);
}

/// Both take turns, so that whatever else the machine does is the same for both.
fn many_traces(host: &Host) {
    let driver =
        |traces: u64| Driver::new(host, (FIVE, "num_shards: 1"), traces / BEGIN, Template::new(1, 1));
    let (mut few, mut many) = (driver(20_000), driver(2_000_000));
    println!("20,000 traces: {}\n2,000,000 traces: {}", few.state(), many.state());
    let turn = |_| (few.steps(SLICE), many.steps(SLICE));
    let mut turns: Vec<(Duration, Duration)> = (0..SLICES).map(turn).collect();
    let per_span = |time: Duration| time.as_nanos() as f64 / (SLICE * SPANS as u64) as f64;
    turns.sort_by(|a, b| {
        (a.1.as_secs_f64() * b.0.as_secs_f64()).total_cmp(&(b.1.as_secs_f64() * a.0.as_secs_f64()))
    });
    let ratio = |(few, many): (Duration, Duration)| many.as_secs_f64() / few.as_secs_f64();
    let (few, many) = turns[SLICES / 2];
    println!(
        "insert and decide, a span: {:.0} ns with 20,000 traces, {:.0} ns with 2,000,000: {:.2} times (from {:.2} to {:.2}); goal 1.3",
        per_span(few),
        per_span(many),
        ratio((few, many)),
        ratio(turns[1]),
        ratio(turns[SLICES - 2]),
    );
}

/// Half of the traces have a root, after which they wait a quarter of the time.
fn mixed_waits(host: &Host) {
    let before = resident();
    let driver =
        Driver::new(host, (FIVE, "decision_wait_after_root_received: 2s"), 8_000, Template::new(2, 8));
    let held = driver.stage.held();
    let (wire, spans) = (driver.wire_bytes() as f64, held.items as f64);
    println!(
        "{} spans wait for 2 s or 8 s: {:.0} bytes each for {wire:.0} on the wire, goal {:.0}; {:.0} of the process, with the allocator's and all that is remembered",
        held.items,
        held.bytes as f64 / spans,
        wire * 1.15 + 40.0,
        resident().saturating_sub(before) as f64 / spans,
    );
}

fn decision_cache(hosts: [&Host; 2]) {
    const NONE: &str = "[{name: none, type: latency, latency: {threshold_ms: 3600000}}]";
    // A fifth more than are remembered, so that the oldest go.
    let [(_, beside), (mut driver, used)] =
        [(hosts[0], 1, 2_000), (hosts[1], DROPPED, DROPPED / BEGIN * 6 / 5)].map(|(host, size, requests)| {
            let cache = format!("decision_cache: {{sampled_cache_size: 1, non_sampled_cache_size: {size}}}");
            // A trace has its four spans in four requests that follow each other.
            let mut driver = Driver::new(host, (NONE, &cache), 10, Template::new(1, 1));
            driver.steps(requests);
            (driver, host.budget.used())
        });
    let late = || {
        let name = "otelcol_processor_tail_sampling_early_releases_from_cache_decision";
        hosts[1].metrics.sum(name, &[("sampled", "false")])
    };
    let before = late();
    // Every span of these is looked for.
    driver.steps(UNSEEN / BEGIN);
    println!(
        "the last {DROPPED} dropped traces: {:.2} bytes each; {} of {} looks found one that was never seen; goals 8 and 2⁻²⁸",
        (used - beside) as f64 / DROPPED as f64,
        late() - before,
        UNSEEN / BEGIN * SPANS as u64,
    );
}

/// Bytes of the process that are in memory.
fn resident() -> usize {
    const PAGE: usize = 4096;
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux says so");
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number") * PAGE
}
