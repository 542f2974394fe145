//! What the benchmarks share: requests of cumulative streams, and an aggregator that is driven by hand.

#![allow(dead_code, reason = "each benchmark uses some of it")]

use std::time::Duration;

use bytes::Bytes;
use phoenix_component::{Ack, Batch, Drained, Fragment, Now, Output, Stage};
use phoenix_pdata::view::AnyValue;
use phoenix_pdata::write::{put_attribute, put_bytes, put_double, put_fixed64, put_message, put_uint};
use phoenix_pdata::{Payload, Signal};
use phoenix_processor_aggregator::{AggregatorConfig, Place, stage};
use phoenix_telemetry::Metrics;

/// A second.
pub(crate) const S: u64 = 1_000_000_000;
/// When streams begin.
pub(crate) const BASE: u64 = 1_800_000_000 * S;

/// An attribute.
pub(crate) type Label<'a> = (&'a str, AnyValue<'a>);

/// A request that is being made.
#[derive(Default)]
pub(crate) struct Request {
    out: Vec<u8>,
    points: u64,
}

/// What a metric of a request is.
#[derive(Clone, Copy)]
pub(crate) enum Of {
    Counter,
    Gauge,
    Histogram,
}

impl Request {
    /// Adds a resource, with metrics that `fill` adds to it.
    pub(crate) fn resource(mut self, labels: &[Label<'_>], fill: impl FnOnce(&mut Scope<'_>)) -> Request {
        let mut points = 0;
        put_message(&mut self.out, 1, |out| {
            put_message(out, 1, |out| {
                labels.iter().for_each(|(key, value)| put_attribute(out, 1, key, value));
            });
            put_message(out, 2, |out| {
                let mut scope = Scope { out, points: 0 };
                fill(&mut scope);
                points = scope.points;
            });
        });
        self.points += points;
        self
    }

    pub(crate) fn batch(self) -> Batch {
        Batch::new(Signal::Metrics, Payload::from(Bytes::from(self.out)), self.points)
    }
}

/// The scope of a resource.
pub(crate) struct Scope<'a> {
    out: &'a mut Vec<u8>,
    points: u64,
}

impl Scope<'_> {
    /// Adds a metric with so many data points, which are `seconds` after the base. `labels` hands those of a data point over.
    pub(crate) fn metric(
        &mut self,
        name: &str,
        of: Of,
        points: u64,
        seconds: u64,
        labels: impl Fn(u64, &mut dyn FnMut(&[Label<'_>])),
    ) {
        self.points += points;
        let (field, attributes) = match of {
            Of::Gauge => (5, 7),
            Of::Counter => (7, 7),
            Of::Histogram => (9, 9),
        };
        put_message(self.out, 2, |out| {
            put_bytes(out, 1, name.as_bytes());
            put_message(out, field, |out| {
                for number in 0..points {
                    put_message(out, 1, |out| {
                        put_fixed64(out, 2, BASE);
                        put_fixed64(out, 3, BASE + seconds * S);
                        match of {
                            Of::Counter => put_fixed64(out, 6, seconds * (number + 1)),
                            Of::Gauge => put_double(out, 4, (seconds % 60) as f64),
                            Of::Histogram => put_histogram(out, seconds),
                        }
                        labels(number, &mut |labels| {
                            labels.iter().for_each(|(key, value)| put_attribute(out, attributes, key, value));
                        });
                    });
                }
                if !matches!(of, Of::Gauge) {
                    put_uint(out, 2, 2);
                }
                if matches!(of, Of::Counter) {
                    put_uint(out, 3, 1);
                }
            });
        });
    }
}

/// A histogram of fourteen bounds, each bucket of which grows by one a second.
fn put_histogram(out: &mut Vec<u8>, seconds: u64) {
    put_fixed64(out, 4, 15 * seconds);
    put_double(out, 5, seconds as f64);
    put_message(out, 6, |out| (0..15).for_each(|_| out.extend_from_slice(&seconds.to_le_bytes())));
    put_message(out, 7, |out| {
        (1..=14).for_each(|bound| out.extend_from_slice(&f64::from(bound * bound).to_le_bytes()));
    });
}

/// An aggregator that is called as the engine calls it, and the longest call to it.
pub(crate) struct Driven {
    pub(crate) shard: Box<dyn Stage>,
    pub(crate) metrics: Metrics,
    pub(crate) now: Now,
    /// In time on the core, so that what else the machine does counts for nothing.
    pub(crate) longest: Duration,
    /// Data points that were let out.
    pub(crate) let_out: u64,
}

impl Driven {
    /// With these rules, and further settings of the processor.
    pub(crate) fn new(rules: &str, others: &str) -> Driven {
        let settings = format!(r#"{{"rules": [{rules}], "watermark": {{"partition": "none"}}{others}}}"#);
        let config: AggregatorConfig = serde_json::from_str(&settings).expect("settings");
        let metrics = Metrics::default();
        let mut spec = stage(&config, &metrics, &Place::default(), None).expect("no store");
        let shard = spec.shards.pop().expect("one shard");
        let now = Now { monotonic: Duration::from_secs(1), unix_nanos: BASE + 1_000_000 * S };
        Driven { shard, metrics, now, longest: Duration::ZERO, let_out: 0 }
    }

    pub(crate) fn call<T>(&mut self, act: impl FnOnce(&mut dyn Stage, Now, &mut Output) -> T) -> T {
        let mut out = Output::with_room(64);
        let began = on_core();
        let result = act(&mut *self.shard, self.now, &mut out);
        self.longest = self.longest.max(on_core() - began);
        self.let_out += out.take_batches().iter().map(|fragment| fragment.batch.items).sum::<u64>();
        result
    }

    pub(crate) fn send(&mut self, batch: Batch) {
        self.call(|shard, now, out| shard.ingest(Fragment { batch, ack: Ack::none() }, now, out));
    }

    /// Works on while there is something to do at once.
    pub(crate) fn settle(&mut self) {
        while self.shard.wake_at().is_some_and(|at| at <= self.now.monotonic + Duration::from_millis(1)) {
            self.call(|shard, now, out| shard.tick(now, out));
        }
    }

    pub(crate) fn end(&mut self) {
        while self.call(|shard, now, out| shard.drain(now, out)) == Drained::More {}
    }
}

/// How long this thread has been on a core.
pub(crate) fn on_core() -> Duration {
    let status = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(status.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

/// Resident memory of this process, in bytes.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}
