//! A million series: memory for each, the longest that a call takes while windows are let out or a checkpoint is collected, and
//! how long a start takes. `cargo bench -p phoenix-processor-aggregator --bench scale [-- SERIES]`.
//!
//! A call is what holds data up: the shard works on one at a time. Calls are measured in time on a core, so that what else the
//! machine does counts for nothing.

#![allow(clippy::print_stdout, reason = "its figures are read by people")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use phoenix_component::{Ack, Batch, Drained, Fragment, Now, Output, Stage};
use phoenix_pdata::write::{put_attribute, put_bytes, put_fixed64, put_message, put_uint};
use phoenix_pdata::{Payload, Signal};
use phoenix_processor_aggregator::{AggregatorConfig, Place, stage};
use phoenix_telemetry::Metrics;

const S: u64 = 1_000_000_000;
const BASE: u64 = 1_800_000_000 * S;
/// Data points of one request.
const POINTS: u64 = 100;

/// Cumulative counters of a pod.
fn request(pod: u64, seconds: u64) -> Batch {
    let mut out = Vec::new();
    put_message(&mut out, 1, |out| {
        put_message(out, 1, |out| {
            put_attribute(out, 1, "k8s.pod.name", &format!("checkout-{pod:08}").as_str().into());
            put_attribute(out, 1, "service.name", &"checkout".into());
        });
        put_message(out, 2, |out| {
            put_message(out, 2, |out| {
                put_bytes(out, 1, b"http.server.requests");
                put_message(out, 7, |out| {
                    for number in 0..POINTS {
                        put_message(out, 1, |out| {
                            put_fixed64(out, 2, BASE);
                            put_fixed64(out, 3, BASE + seconds * S);
                            put_fixed64(out, 6, seconds * (number + 1));
                            put_attribute(out, 7, "route", &format!("/r/{number}").as_str().into());
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

/// An aggregator, and the longest call to it.
struct Timed {
    shard: Box<dyn Stage>,
    metrics: Metrics,
    now: Now,
    longest: Duration,
    let_out: u64,
}

impl Timed {
    fn new(directory: &std::path::Path) -> Timed {
        let settings = format!(
            r#"{{"rules": [{{"id": "a"}}], "watermark": {{"partition": "none"}}, "checkpoint": {{"directory": {directory:?}}}}}"#
        );
        let config: AggregatorConfig = serde_json::from_str(&settings).expect("settings");
        let metrics = Metrics::default();
        let mut spec = stage(&config, &metrics, &Place::default(), None).expect("no store");
        let shard = spec.shards.pop().expect("one shard");
        let now = Now { monotonic: Duration::from_secs(1), unix_nanos: BASE + 1_000_000 * S };
        Timed { shard, metrics, now, longest: Duration::ZERO, let_out: 0 }
    }

    fn call<T>(&mut self, act: impl FnOnce(&mut dyn Stage, Now, &mut Output) -> T) -> T {
        let mut out = Output::with_room(64);
        let began = on_core();
        let result = act(&mut *self.shard, self.now, &mut out);
        self.longest = self.longest.max(on_core() - began);
        self.let_out += out.take_batches().iter().map(|fragment| fragment.batch.items).sum::<u64>();
        result
    }

    fn send(&mut self, pod: u64, seconds: u64) {
        let batch = request(pod, seconds);
        self.call(|shard, now, out| shard.ingest(Fragment { batch, ack: Ack::none() }, now, out));
    }

    /// Works on while there is something to do at once.
    fn settle(&mut self) {
        while self.shard.wake_at().is_some_and(|at| at <= self.now.monotonic + Duration::from_millis(1)) {
            self.call(|shard, now, out| shard.tick(now, out));
        }
    }

    /// The longest call of those that `act` makes, and how long all of it took.
    fn measure(&mut self, act: impl FnOnce(&mut Timed)) -> (Duration, Duration) {
        self.longest = Duration::ZERO;
        let began = Instant::now();
        act(self);
        (self.longest, began.elapsed())
    }
}

/// How long this thread has been on a core.
fn on_core() -> Duration {
    let status = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(status.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn main() {
    let series = std::env::args().skip(1).find_map(|text| text.parse().ok()).unwrap_or(1_000_000_u64);
    let pods = series / POINTS;
    let directory = tempfile::tempdir().expect("a folder");
    let mut timed = Timed::new(directory.path());
    let before = resident();
    for step in [1, 11, 21] {
        for pod in 0..pods {
            timed.send(pod, step);
        }
    }
    let state = timed.metrics.sum("phoenix_processor_aggregator_streams", &[]);
    println!("series: {state}, one stream each");
    println!(
        "resident memory for each, stream, series and open window: {} B",
        (resident() - before) / series
    );

    let (longest, all) = timed.measure(|timed| {
        timed.send(0, 80);
        timed.settle();
    });
    assert_eq!(timed.let_out, series, "the first window");
    println!("a window of all series: longest call {longest:?}, {all:?} in all");
    let bytes = timed.metrics.sum("phoenix_processor_aggregator_state_size", &[]);
    println!("state as it says itself: {} B a series, of which streams are a part", bytes as u64 / series);

    // Every stream is there again, while the window is let out.
    let (longest, all) = timed.measure(|timed| {
        for pod in 0..pods {
            timed.send(pod, 140 + 10 * u64::from(pod > pods / 2));
        }
        timed.settle();
    });
    println!("a window while all send: longest call {longest:?}, {all:?} in all");

    timed.now.monotonic += Duration::from_secs(61);
    let (longest, all) = timed.measure(|timed| {
        timed.call(|shard, now, out| shard.tick(now, out));
        for pod in 0..pods {
            timed.send(pod, 155);
        }
        timed.settle();
    });
    println!("a checkpoint while all send: longest call {longest:?}, {all:?} in all");

    let began = Instant::now();
    while timed.call(|shard, now, out| shard.drain(now, out)) == Drained::More {}
    println!("an end with a checkpoint: {:?}", began.elapsed());
    drop(timed);
    let size: u64 = std::fs::read_dir(directory.path())
        .expect("a folder")
        .filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()))
        .sum();
    let mut timed = Timed::new(directory.path());
    let (longest, _) = timed.measure(|timed| timed.call(|shard, now, out| shard.tick(now, out)));
    assert_eq!(timed.metrics.sum("phoenix_processor_aggregator_series", &[]), series as i64);
    println!("a start from {} MB: {longest:?}", size / 1_000_000);
}
