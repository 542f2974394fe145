//! The stage as the engine uses it.

mod bad_input;
mod conformance;
mod envelope;
mod exemplars;
mod functions;
mod ha;
mod kills;
mod lasting;
mod limits;
mod properties;
mod senders;
mod two_levels;
mod windows;

use std::collections::BTreeMap;
use std::time::Duration;

use phoenix_component::harness::StageHarness;
use phoenix_component::{Ack, Batch, Drained, Fragment, Now, Output, Stage as _};
use phoenix_config::{Problems, Settings as _};
use phoenix_pdata::view::{self, Attributes, Data, Number, Temporality};
use phoenix_pdata::write::{
    put_attribute, put_bytes, put_double, put_fixed64, put_message, put_sint32, put_uint, put_varint,
};
use phoenix_pdata::{InvalidUtf8, Payload, Signal, check};

use super::*;

/// A second.
const S: u64 = 1_000_000_000;
/// Where the times of the tests begin: a full hour.
const BASE: u64 = 1_800_000_000 * S;

/// What a data point that goes in says.
#[derive(Clone, Debug)]
enum Says {
    Int(i64),
    Double(f64),
    Ended,
    /// Bounds, counts, sum.
    Explicit(Vec<f64>, Vec<u64>, f64),
    /// Scale, offset, counts.
    Exponential(i32, i32, Vec<u64>),
    /// Count and sum.
    Summary(u64, f64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Of {
    Gauge,
    Counter(Temporality),
    UpDown,
    Histogram(Temporality),
    Exponential(Temporality),
    Summary,
}

const CUMULATIVE: Of = Of::Counter(Temporality::Cumulative);
const DELTA: Of = Of::Counter(Temporality::Delta);

/// A data point that goes in, at seconds since the base; `start` of none is unknown.
#[derive(Clone, Debug)]
struct In {
    pod: &'static str,
    of: Of,
    start: Option<u64>,
    time: u64,
    says: Says,
}

fn point(pod: &'static str, of: Of, start: impl Into<Option<u64>>, time: u64, value: i64) -> In {
    In { pod, of, start: start.into(), time, says: Says::Int(value) }
}

fn request(points: &[In]) -> Batch {
    let mut out = Vec::new();
    for point in points {
        put_message(&mut out, 1, |out| {
            put_message(out, 1, |out| put_attribute(out, 1, "pod", &point.pod.into()));
            put_message(out, 2, |out| {
                put_message(out, 1, |out| put_bytes(out, 1, b"scope"));
                put_message(out, 2, |out| put_metric(out, point));
            });
        });
    }
    Batch::new(Signal::Metrics, Payload::from(bytes::Bytes::from(out)), points.len() as u64)
}

fn put_metric(out: &mut Vec<u8>, point: &In) {
    put_bytes(out, 1, b"m");
    put_bytes(out, 3, b"s");
    let field = match point.of {
        Of::Gauge => 5,
        Of::Counter(_) | Of::UpDown => 7,
        Of::Histogram(_) => 9,
        Of::Exponential(_) => 10,
        Of::Summary => 11,
    };
    put_message(out, field, |out| {
        put_message(out, 1, |out| put_point(out, point));
        let temporality = match point.of {
            Of::Counter(temporality) | Of::Histogram(temporality) | Of::Exponential(temporality) => {
                temporality
            }
            _ => Temporality::Cumulative,
        };
        if field == 7 || field == 9 || field == 10 {
            put_uint(out, 2, if temporality == Temporality::Delta { 1 } else { 2 });
        }
        if matches!(point.of, Of::Counter(_)) {
            put_uint(out, 3, 1);
        }
    });
}

fn put_point(out: &mut Vec<u8>, point: &In) {
    if let Some(start) = point.start {
        put_fixed64(out, 2, BASE + start * S);
    }
    put_fixed64(out, 3, BASE + point.time * S);
    let attributes = match point.of {
        Of::Histogram(_) => 9,
        Of::Exponential(_) => 1,
        _ => 7,
    };
    put_attribute(out, attributes, "route", &"/x".into());
    match &point.says {
        Says::Int(value) => put_fixed64(out, 6, *value as u64),
        Says::Double(value) => put_double(out, 4, *value),
        Says::Ended => put_uint(out, if attributes == 7 { 8 } else { 10 }, 1),
        Says::Explicit(bounds, counts, sum) => {
            put_fixed64(out, 4, counts.iter().sum());
            put_double(out, 5, *sum);
            put_message(out, 6, |out| counts.iter().for_each(|count| out.extend(count.to_le_bytes())));
            put_message(out, 7, |out| bounds.iter().for_each(|bound| out.extend(bound.to_le_bytes())));
        }
        Says::Exponential(scale, offset, counts) => {
            put_fixed64(out, 4, counts.iter().sum());
            put_double(out, 5, 1.0);
            put_sint32(out, 6, *scale);
            put_message(out, 8, |out| {
                put_sint32(out, 1, *offset);
                put_message(out, 2, |out| counts.iter().for_each(|count| put_varint(out, *count)));
            });
        }
        Says::Summary(count, sum) => {
            put_fixed64(out, 4, *count);
            put_double(out, 5, *sum);
        }
    }
}

/// A data point that came out. Times are in seconds since the base.
#[derive(Clone, Debug, PartialEq)]
struct Out {
    name: String,
    /// Attributes of resource and data point, and of the scope where there are tiers.
    labels: String,
    /// `gauge`, `delta`, `cumulative` and so on.
    kind: &'static str,
    start: f64,
    time: f64,
    value: Value,
    partial: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Int(i64),
    Double(f64),
    /// No recorded value.
    None,
    /// Bounds and counts, or offset and counts; and the count.
    Explicit(Vec<f64>, Vec<u64>, u64),
    Exponential(i32, i32, Vec<u64>, u64),
    Summary(u64),
}

fn kind_of(temporality: Temporality) -> &'static str {
    if temporality == Temporality::Delta { "delta" } else { "cumulative" }
}

fn read(batch: &Batch) -> Vec<Out> {
    let mut found = Vec::new();
    for piece in batch.payload.pieces() {
        check(Signal::Metrics, piece, InvalidUtf8::Reject).expect("what comes out is valid");
    }
    assert_eq!(batch.items, phoenix_pdata::count_items(Signal::Metrics, &batch.payload));
    for resource in batch.payload.resource_metrics() {
        for scope in resource.scopes() {
            for metric in scope.records() {
                let mut around = BTreeMap::new();
                let mut note = |attributes: Attributes<'_>| {
                    for attribute in attributes {
                        let value = format!("{:?}", attribute.value());
                        let value = value.split('"').nth(1).unwrap_or(&value).to_owned();
                        around.insert(attribute.key().to_string(), value);
                    }
                };
                resource.resource().iter().for_each(|resource| note(resource.attributes()));
                scope.scope().iter().for_each(|scope| note(scope.attributes()));
                let partial = metric.metadata().get("phoenix.partial").is_some();
                read_metric(&metric, &around, partial, &mut found);
            }
        }
    }
    found
}

fn read_metric(
    metric: &view::Metric<'_>,
    around: &BTreeMap<String, String>,
    partial: bool,
    found: &mut Vec<Out>,
) {
    let name = metric.name().to_string();
    let mut push = |attributes: Attributes<'_>, kind, start: u64, time: u64, value| {
        let mut labels = around.clone();
        for attribute in attributes {
            let value = format!("{:?}", attribute.value());
            labels.insert(attribute.key().to_string(), value.split('"').nth(1).unwrap_or(&value).to_owned());
        }
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let seconds = |nanos: u64| nanos.saturating_sub(BASE) as f64 / S as f64;
        let (start, time) = (seconds(start), seconds(time));
        found.push(Out { name: name.clone(), labels: labels.join(","), kind, start, time, value, partial });
    };
    let number = |point: &view::NumberPoint<'_>| match point.value() {
        _ if point.flags() & 1 == 1 => Value::None,
        Some(Number::Int(value)) => Value::Int(value),
        Some(Number::Double(value)) => Value::Double(value),
        None => Value::None,
    };
    match metric.data().expect("data") {
        Data::Gauge(gauge) => gauge.data_points().into_iter().for_each(|point| {
            push(
                point.attributes(),
                "gauge",
                point.start_time_unix_nano(),
                point.time_unix_nano(),
                number(&point),
            );
        }),
        Data::Sum(sum) => sum.data_points().into_iter().for_each(|point| {
            let kind = kind_of(sum.aggregation_temporality());
            push(
                point.attributes(),
                kind,
                point.start_time_unix_nano(),
                point.time_unix_nano(),
                number(&point),
            );
        }),
        Data::Histogram(data) => data.data_points().into_iter().for_each(|point| {
            let bounds = point.explicit_bounds().into_iter().collect();
            let value = Value::Explicit(bounds, point.bucket_counts().into_iter().collect(), point.count());
            let kind = kind_of(data.aggregation_temporality());
            push(point.attributes(), kind, point.start_time_unix_nano(), point.time_unix_nano(), value);
        }),
        Data::ExponentialHistogram(data) => data.data_points().into_iter().for_each(|point| {
            let buckets = point.positive();
            let counts = buckets.iter().flat_map(|buckets| buckets.bucket_counts()).collect();
            let offset = buckets.map_or(0, |buckets| buckets.offset());
            let value = Value::Exponential(point.scale(), offset, counts, point.count());
            let kind = kind_of(data.aggregation_temporality());
            push(point.attributes(), kind, point.start_time_unix_nano(), point.time_unix_nano(), value);
        }),
        Data::Summary(data) => data.data_points().into_iter().for_each(|point| {
            let value = Value::Summary(point.count());
            push(point.attributes(), "summary", point.start_time_unix_nano(), point.time_unix_nano(), value);
        }),
    }
}

/// An aggregator under test, with the clock an hour behind the base.
struct Tested {
    harness: StageHarness,
    metrics: Metrics,
}

fn config(settings: &str) -> AggregatorConfig {
    let config: AggregatorConfig = serde_json::from_str(settings).expect(settings);
    let problems = Problems::of(|problems| config.validate(problems));
    assert!(!problems.has_errors(), "{problems}");
    config
}

/// One rule, beside settings of the processor.
fn rule(rule: &str, others: &str) -> AggregatorConfig {
    let others = if others.is_empty() { String::new() } else { format!(", {others}") };
    config(&format!(r#"{{"rules": [{{"id": "r", {rule}}}]{others}}}"#))
}

impl Tested {
    fn new(config: &AggregatorConfig) -> Tested {
        Tested::at(config, &self::place())
    }

    fn at(config: &AggregatorConfig, place: &Place) -> Tested {
        let metrics = Metrics::default();
        let mut harness = StageHarness::new(stage(config, &metrics, place, None).expect("no store to open"));
        harness.advance(Duration::from_nanos(BASE + 3600 * S));
        Tested { harness, metrics }
    }

    fn send(&mut self, points: &[In]) -> Vec<Out> {
        self.harness.send(request(points)).expect("a stage takes all");
        self.take()
    }

    fn advance(&mut self, seconds: u64) -> Vec<Out> {
        self.harness.advance(Duration::from_secs(seconds));
        self.take()
    }

    fn drain(&mut self) -> Vec<Out> {
        self.harness.drain();
        self.take()
    }

    fn take(&mut self) -> Vec<Out> {
        let released: Vec<Fragment> = self.harness.take_released();
        let mut found: Vec<Out> = released.iter().flat_map(|fragment| read(&fragment.batch)).collect();
        found.sort_by(|a, b| {
            (a.time, &a.name, &a.labels).partial_cmp(&(b.time, &b.name, &b.labels)).expect("no NaN")
        });
        found
    }

    fn dropped(&self, reason: &str) -> u64 {
        self.harness.books().dropped.get(reason).copied().unwrap_or(0)
    }

    fn counted(&self, name: &str) -> i64 {
        self.metrics.sum(&format!("phoenix_processor_aggregator_{name}"), &[])
    }
}

fn place() -> Place {
    Place { component: "aggregator".to_owned(), pipeline: "metrics".to_owned(), ..Place::default() }
}

/// Times and values.
fn values(found: &[Out]) -> Vec<(f64, Value)> {
    found.iter().map(|out| (out.time, out.value.clone())).collect()
}

/// An aggregator without a harness, so that its state can be taken over.
struct Bare {
    aggregator: Aggregator,
    now: Now,
    found: Vec<Out>,
}

impl Aggregator {
    fn adopt_from(&mut self, old: &mut Aggregator) {
        assert_eq!(self.adopt(old), phoenix_component::Adoption::Kept);
    }

    /// As a start from a checkpoint with this state.
    fn restore_from(&mut self, state: &[u8], now: Now) {
        self.start_from(state, now);
    }
}

impl Bare {
    fn new(config: &AggregatorConfig, place: &Place) -> Bare {
        Bare::with_store(config, place, None)
    }

    fn with_store(config: &AggregatorConfig, place: &Place, store: Option<&Store>) -> Bare {
        let metrics = Metrics::default();
        let lasting = lasting(config, &metrics, place, store).expect("a log that can be opened");
        let now = Now { monotonic: Duration::from_secs(1000), unix_nanos: BASE + 3600 * S };
        Bare { aggregator: aggregator(config, &metrics, place, 7, lasting), now, found: Vec::new() }
    }

    fn call(&mut self, act: impl FnOnce(&mut Aggregator, Now, &mut Output)) {
        let mut out = Output::with_room(100);
        act(&mut self.aggregator, self.now, &mut out);
        self.found.extend(out.take_batches().iter().flat_map(|fragment| read(&fragment.batch)));
    }

    fn send(&mut self, points: &[In]) {
        let fragment = Fragment { batch: request(points), ack: Ack::none() };
        self.call(|aggregator, now, out| aggregator.ingest(fragment, now, out));
    }

    /// Another instance that takes over, by way of memory or of bytes, with what has come out so far.
    fn succeeded(mut self, config: &AggregatorConfig, place: &Place, by_memory: bool) -> Bare {
        let mut next = Bare::new(config, place);
        if by_memory {
            next.aggregator.adopt_from(&mut self.aggregator);
            next.tick();
        } else {
            let state = self.aggregator.write_state();
            next.aggregator.restore_from(&state, self.now);
        }
        next.found.extend(self.take());
        next
    }

    fn drain(&mut self) -> Vec<Out> {
        self.call(|aggregator, now, out| assert_eq!(aggregator.drain(now, out), Drained::Done));
        self.take()
    }

    fn take(&mut self) -> Vec<Out> {
        std::mem::take(&mut self.found)
    }

    fn tick(&mut self) {
        self.call(|aggregator, now, out| aggregator.tick(now, out));
    }
}
