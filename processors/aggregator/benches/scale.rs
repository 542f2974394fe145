//! A million series: memory for each, the longest that a call takes while windows are let out or a checkpoint is collected, and
//! how long a start takes. `cargo bench -p phoenix-processor-aggregator --bench scale [-- SERIES]`.
//!
//! A call is what holds data up: the shard works on one at a time. Calls are measured in time on a core, so that what else the
//! machine does counts for nothing.

#![allow(clippy::print_stdout, reason = "its figures are read by people")]

mod load;

use std::time::{Duration, Instant};

use load::{Driven, Of, Request, resident};
use phoenix_component::Batch;

/// Data points of one request.
const POINTS: u64 = 100;

/// Cumulative counters of a pod.
fn request(pod: u64, seconds: u64) -> Batch {
    let name = format!("checkout-{pod:08}");
    let resource = [("k8s.pod.name", name.as_str().into()), ("service.name", "checkout".into())];
    let fill = |scope: &mut load::Scope<'_>| {
        scope.metric("http.server.requests", Of::Counter, POINTS, seconds, |number, hand| {
            let route = format!("/r/{number}");
            hand(&[("route", route.as_str().into())]);
        });
    };
    Request::default().resource(&resource, fill).batch()
}

fn aggregator(rule: &str, directory: &std::path::Path) -> Driven {
    Driven::new(rule, &format!(r#", "checkpoint": {{"directory": {directory:?}}}"#))
}

/// The longest call of those that `act` makes, and how long all of it took.
fn measure(driven: &mut Driven, act: impl FnOnce(&mut Driven)) -> (Duration, Duration) {
    driven.longest = Duration::ZERO;
    let began = Instant::now();
    act(driven);
    (driven.longest, began.elapsed())
}

/// The argument with which only streams are measured.
const STREAMS_ALONE: &str = "streams-alone";

fn main() {
    if std::env::args().any(|text| text == STREAMS_ALONE) {
        let pods = std::env::args().skip(1).find_map(|text| text.parse().ok());
        return measure_streams(pods.unwrap_or(1));
    }
    let series = std::env::args().skip(1).find_map(|text| text.parse().ok()).unwrap_or(1_000_000_u64);
    let pods = series / POINTS;
    let directory = tempfile::tempdir().expect("a folder");
    let rule = r#"{"id": "a"}"#;
    let mut driven = aggregator(rule, directory.path());
    let before = resident();
    for step in [1, 11, 21] {
        for pod in 0..pods {
            driven.send(request(pod, step));
        }
    }
    let streams = driven.metrics.sum("phoenix_processor_aggregator_streams", &[]);
    println!("series: {streams}, one stream each");
    println!(
        "resident memory for each stream, its series and the open window: {} B",
        (resident() - before) / series
    );

    let (longest, all) = measure(&mut driven, |driven| {
        driven.send(request(0, 80));
        driven.settle();
    });
    assert_eq!(driven.let_out, series, "the first window");
    println!("a window of all series: longest call {longest:?}, {all:?} in all");
    let bytes = driven.metrics.sum("phoenix_processor_aggregator_state_size", &[]);
    println!("the same once cumulative sums are kept: {} B", (resident() - before) / series);
    println!("state as it says itself: {} B a series, of which streams are a part", bytes as u64 / series);

    // Every stream is there again, while the window is let out.
    let (longest, all) = measure(&mut driven, |driven| {
        for pod in 0..pods {
            driven.send(request(pod, 140 + 10 * u64::from(pod > pods / 2)));
        }
        driven.settle();
    });
    println!("a window while all send: longest call {longest:?}, {all:?} in all");

    driven.now.monotonic += Duration::from_secs(61);
    let (longest, all) = measure(&mut driven, |driven| {
        driven.call(|shard, now, out| shard.tick(now, out));
        for pod in 0..pods {
            driven.send(request(pod, 155));
        }
        driven.settle();
    });
    println!("a checkpoint while all send: longest call {longest:?}, {all:?} in all");

    let began = Instant::now();
    driven.end();
    println!("an end with a checkpoint: {:?}", began.elapsed());
    drop(driven);
    let size: u64 = std::fs::read_dir(directory.path())
        .expect("a folder")
        .filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()))
        .sum();
    let mut driven = aggregator(rule, directory.path());
    let (longest, _) = measure(&mut driven, |driven| driven.call(|shard, now, out| shard.tick(now, out)));
    assert_eq!(driven.metrics.sum("phoenix_processor_aggregator_series", &[]), series as i64);
    println!("a start from {} MB: {longest:?}", size / 1_000_000);
    drop(driven);

    // In memory that is there already nothing would show.
    let streams_alone = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args([pods.to_string(), STREAMS_ALONE.to_owned()])
        .output()
        .expect("another process");
    print!("{}", String::from_utf8_lossy(&streams_alone.stdout));
}

/// Memory of streams that all go to one series.
fn measure_streams(pods: u64) {
    let mut driven = Driven::new(r#"{"id": "a", "by": []}"#, "");
    let before = resident();
    for step in [1, 11, 21] {
        for pod in 0..pods {
            driven.send(request(pod, step));
        }
    }
    println!("resident memory for each stream of one series: {} B", (resident() - before) / (pods * POINTS));
}
