//! What a tracked series takes, as the processor itself tells it: `cargo test -p phoenix-processor-optimizer --test processor
//! memory -- --nocapture` prints it.

#![allow(clippy::print_stdout, reason = "the figures are what this is run for")]

use std::time::Duration;

use bytes::Bytes;
use phoenix_component::harness::StageHarness;
use phoenix_component::{Batch, Budget};
use phoenix_config::decode_text;
use phoenix_pdata::{Payload, Signal, write};
use phoenix_processor_optimizer::{OptimizerConfig, Outside, stage_within};
use phoenix_telemetry::Metrics;

const SERIES: u64 = 150_000;
const EACH: u64 = 1000;

/// Counters of so many series from a number on.
fn request(from: u64) -> Batch {
    let mut request = Vec::new();
    write::put_message(&mut request, 1, |entry| {
        write::put_message(entry, 2, |scope| {
            write::put_message(scope, 2, |metric| {
                write::put_bytes(metric, 1, b"requests");
                write::put_message(metric, 7, |sum| {
                    for series in from..from + EACH {
                        write::put_message(sum, 1, |point| {
                            write::put_fixed64(point, 2, 1_000_000_000_000);
                            write::put_fixed64(point, 3, 1_001_000_000_000);
                            write::put_fixed64(point, 6, series);
                            write::put_attribute(point, 7, "pod", &format!("pod-{series}").as_str().into());
                            write::put_attribute(point, 7, "route", &"/orders".into());
                        });
                    }
                    write::put_uint(sum, 2, 2);
                    write::put_uint(sum, 3, 1);
                });
            });
        });
    });
    Batch::new(Signal::Metrics, Payload::from(Bytes::from(request)), EACH)
}

#[test]
fn a_tracked_series_takes_less_than_200_bytes_and_its_labels() {
    let cases = [
        ("into one", "drop_labels: [pod]", 200),
        ("at a limit of a tenth", "limit_series: {limit: 15000}", 200),
        ("with places given anew", "limit_series: {limit: 15000, replace: true}", 200),
        // Each is a series that is let out as well, and keeps its labels: 32 bytes here.
        ("let out one by one", "interval: 60s", 600),
    ];
    println!("| rule | bytes for each of {SERIES} series |");
    println!("|---|---|");
    for (name, rule, most) in cases {
        let yaml = format!("{{rules: [{{name: r, match: {{types: [counter]}}, {rule}}}]}}");
        let config = decode_text::<OptimizerConfig>(&yaml).expect("settings");
        let budget = Budget::new(1 << 30);
        let outside = Outside { budget: budget.clone(), ..Outside::default() };
        let spec =
            stage_within(&config, &[], 1, &Metrics::default(), "optimizer", outside).expect("no conflicts");
        let mut harness = StageHarness::new(spec);
        harness.advance(Duration::from_secs(1000));
        for from in (0..SERIES).step_by(EACH as usize) {
            harness.send(request(from)).expect("taken");
            harness.take_released();
        }
        let bytes = budget.used() as u64 / SERIES;
        println!("| {name} | {bytes} |");
        assert!(bytes <= most, "{name}: {bytes}");
        drop(harness);
        assert_eq!(budget.used(), 0);
    }
}
