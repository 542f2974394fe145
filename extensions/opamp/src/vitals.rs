//! How the data of the collector fares: since the remote configuration came, and in the minutes before.
//!
//! Every [`APART`] the metrics that count items are read, and less often while nothing goes through. A series that
//! is new, or starts again, counts from zero, and one that is gone keeps what it has counted: so exporters that a
//! configuration removes take nothing with them. What was before is at most [`KEPT`] readings old. CPU time is
//! measured over the readings since the change, and before.
//!
//! Of a collector in another process the same is read from the text that it offers Prometheus.

mod exposition;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use phoenix_component::{Collector, Host, OutsideSigns, cpu};
use phoenix_opamp::{Items, Vitals};
use phoenix_telemetry::{Metrics, Sample, Value};
use tokio::time::Instant;

/// Between two readings; and how often a server hears of a young configuration.
const APART: Duration = Duration::from_secs(5);
/// The same while nothing goes through: each reading brings code back to memory that a collector at rest does without.
const APART_AT_REST: Duration = Duration::from_secs(30);
/// For how long readings are kept, and how many at most.
const KEPT_FOR: Duration = Duration::from_secs(300);
const KEPT: usize = 60;
/// A configuration is young for so long; then it is told of with heartbeats.
const YOUNG: Duration = Duration::from_secs(600);

const QUEUE_SIZE: &str = "otelcol_exporter_queue_size";
const QUEUE_CAPACITY: &str = "otelcol_exporter_queue_capacity";

/// What one moment shows.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Reading {
    at: Instant,
    /// Since the process began.
    items: Items,
    queue: f64,
    memory: u64,
    /// CPU time since the process began.
    cpu: Duration,
}

/// Shorter times say nothing of CPU: the kernel counts in hundredths of a second.
const LEAST_FOR_CPU: Duration = Duration::from_secs(1);

impl Reading {
    /// CPU time per second from an earlier reading to this one, in cores.
    fn cores_since(&self, earlier: &Reading) -> f64 {
        let passed = self.at.saturating_duration_since(earlier.at);
        match passed >= LEAST_FOR_CPU {
            true => self.cpu.saturating_sub(earlier.cpu).as_secs_f64() / passed.as_secs_f64(),
            false => 0.0,
        }
    }
}

/// Adds up counters whose series come and go.
#[derive(Default)]
struct Meter {
    hasher: RandomState,
    last: HashMap<u64, u64>,
    items: Items,
    /// CPU time, and what the process last said of it.
    cpu: Duration,
    last_cpu: Duration,
    /// Which life of another process the last values are of.
    life: u64,
}

impl Meter {
    fn read(&mut self, samples: &[Sample]) -> Items {
        let hasher = self.hasher.clone();
        self.add(samples.iter().filter_map(|sample| {
            let Value::Int(value) = sample.value else { return None };
            let name = sample.description.name;
            Some((name, hasher.hash_one((name, &sample.attributes)), value.max(0) as u64))
        }))
    }

    /// Adds CPU time, of which the process says how much it was so far.
    fn add_cpu(&mut self, told: Duration) -> Duration {
        let before = std::mem::replace(&mut self.last_cpu, told);
        // One that has ended says nothing, and goes on with nothing.
        self.cpu += told.checked_sub(before).unwrap_or(told);
        self.cpu
    }

    /// What follows is of this life of another process.
    fn lives(&mut self, life: u64) {
        if std::mem::replace(&mut self.life, life) != life {
            self.last.clear();
            self.last_cpu = Duration::ZERO;
        }
    }

    /// The same as [`read`](Meter::read) of what another process says.
    fn read_outside(&mut self, text: &str) -> Items {
        let hasher = self.hasher.clone();
        let counted = exposition::samples(text).map(|sample| {
            let name = sample.name.strip_suffix("_total").unwrap_or(sample.name);
            (name, hasher.hash_one((name, sample.labels)), sample.value.max(0.0) as u64)
        });
        self.add(counted)
    }

    /// Adds counters: name, what tells the series apart, value.
    fn add<'a>(&mut self, counters: impl Iterator<Item = (&'a str, u64, u64)>) -> Items {
        let former = std::mem::take(&mut self.last);
        for (name, key, value) in counters {
            let Some(sum) = sum_of(&mut self.items, name) else { continue };
            let before = former.get(&key).copied().unwrap_or(0);
            *sum += if value < before { value } else { value - before };
            self.last.insert(key, value);
        }
        self.items
    }
}

/// What a metric counts; none of the others.
fn sum_of<'a>(items: &'a mut Items, name: &str) -> Option<&'a mut u64> {
    let (component, rest) = name.strip_prefix("otelcol_")?.split_once('_')?;
    let (what, signal) = rest.rsplit_once('_')?;
    if !matches!(signal, "spans" | "points" | "records" | "samples") {
        return None;
    }
    let what = what.trim_end_matches("_metric").trim_end_matches("_log").trim_end_matches("_profile");
    match (component, what) {
        ("receiver", "accepted") => Some(&mut items.accepted),
        ("receiver", "refused" | "failed") => Some(&mut items.refused),
        ("exporter", "sent") => Some(&mut items.sent),
        ("exporter", "send_failed" | "enqueue_failed") => Some(&mut items.failed),
        _ => None,
    }
}

/// The fullest queue, as a share.
fn fullest(samples: &[Sample]) -> f64 {
    let of = |name: &'static str| samples.iter().filter(move |sample| sample.description.name == name);
    let number = |sample: &Sample| if let Value::Int(value) = sample.value { value as f64 } else { 0.0 };
    let share = |size: &Sample| {
        let capacity = of(QUEUE_CAPACITY).find(|capacity| capacity.attributes == size.attributes)?;
        let capacity = number(capacity);
        (capacity > 0.0).then(|| number(size) / capacity)
    };
    of(QUEUE_SIZE).filter_map(share).fold(0.0, f64::max)
}

/// The fullest queue of another process. Its capacity may have fewer labels than its size.
fn fullest_outside(text: &str) -> f64 {
    let of = |name: &'static str| exposition::samples(text).filter(move |sample| sample.name == name);
    let share = |size: exposition::Sample<'_>| {
        let capacity = of(QUEUE_CAPACITY).find(|capacity| size.has_labels_of(capacity))?;
        (capacity.value > 0.0).then(|| size.value / capacity.value)
    };
    of(QUEUE_SIZE).filter_map(share).fold(0.0, f64::max)
}

/// What the readings say of the configuration that runs.
#[derive(Default)]
pub(crate) struct Monitor {
    meter: Meter,
    readings: VecDeque<Reading>,
    looked_at: Option<Instant>,
    /// Whether the last reading showed what the one before had.
    is_still: bool,
    change: Option<Change>,
    told_at: Option<Instant>,
}

struct Change {
    at: Instant,
    /// What was counted until then.
    items: Items,
    before: Reading,
    /// CPU time per second before it.
    cores: f64,
}

impl Monitor {
    /// When it is time to read again, or to tell of a young configuration.
    pub(crate) fn due_at(&self, now: Instant) -> Instant {
        let Some(looked) = self.looked_at else { return now };
        let is_told_of = self.change.as_ref().is_some_and(|change| now < change.at + YOUNG);
        looked + if self.is_still && !is_told_of { APART_AT_REST } else { APART }
    }

    /// Whether nothing goes through the collector.
    pub(crate) fn is_still(&self) -> bool {
        self.is_still
    }

    pub(crate) fn read(&mut self, collector: &dyn Collector, host: &Host, now: Instant) {
        // Also where there is nothing to read, since another process is not there.
        self.looked_at = Some(now);
        if collector.is_this_process() {
            let cpu = cpu::own_time().unwrap_or_default();
            self.note(&samples(&host.metrics), host.memory.resident(), cpu, now);
        } else if let Some(signs) = collector.outside_signs() {
            self.note_outside(&signs, now);
        }
    }

    fn note(&mut self, samples: &[Sample], memory: u64, cpu: Duration, now: Instant) {
        let (items, cpu) = (self.meter.read(samples), self.meter.add_cpu(cpu));
        self.keep(Reading { at: now, items, queue: fullest(samples), memory, cpu });
    }

    /// The same of another process; one that does not tell its metrics has counted nothing.
    fn note_outside(&mut self, signs: &OutsideSigns, now: Instant) {
        self.meter.lives(signs.life);
        let (items, queue) = match &signs.metrics {
            Some(text) => (self.meter.read_outside(text), fullest_outside(text)),
            None => (self.meter.items, 0.0),
        };
        let cpu = self.meter.add_cpu(signs.cpu);
        self.keep(Reading { at: now, items, queue, memory: signs.memory, cpu });
    }

    fn keep(&mut self, reading: Reading) {
        let seen = self.readings.back().map(|last| (last.items, last.queue));
        self.is_still = seen == Some((reading.items, reading.queue));
        let is_old = |first: &Reading| reading.at >= first.at + KEPT_FOR;
        while self.readings.len() >= KEPT || self.readings.front().is_some_and(is_old) {
            self.readings.pop_front();
        }
        self.looked_at = Some(reading.at);
        self.readings.push_back(reading);
    }

    /// CPU time per second over the readings that there are, in cores.
    fn cores(&self) -> f64 {
        match (self.readings.front(), self.readings.back()) {
            (Some(first), Some(last)) => last.cores_since(first),
            _ => 0.0,
        }
    }

    /// Another configuration is about to be applied.
    pub(crate) fn begin(&mut self, collector: &dyn Collector, host: &Host, now: Instant) {
        self.read(collector, host, now);
        self.mark(now);
    }

    fn mark(&mut self, now: Instant) {
        let items = self.meter.items;
        let first = self.readings.front().map_or(items, |first| first.items);
        let before = Reading {
            at: now,
            items: items.minus(&first),
            queue: self.readings.iter().map(|reading| reading.queue).fold(0.0, f64::max),
            memory: self.readings.iter().map(|reading| reading.memory).max().unwrap_or(0),
            cpu: self.meter.cpu,
        };
        self.change = Some(Change { at: now, items, before, cores: self.cores() });
        self.is_still = false;
        // What follows is of another configuration: of the former one only the counts go on.
        self.readings.clear();
        self.readings.push_back(Reading { at: now, items, queue: 0.0, memory: 0, cpu: self.meter.cpu });
    }

    /// What there is to say of `hash` at this moment.
    pub(crate) fn tell(
        &mut self,
        collector: &dyn Collector,
        host: &Host,
        hash: &[u8],
        now: Instant,
    ) -> Option<Vitals> {
        self.read(collector, host, now);
        self.vitals(hash, host.memory.total(), now)
    }

    fn vitals(&mut self, hash: &[u8], memory_limit: u64, now: Instant) -> Option<Vitals> {
        let (change, last) = (self.change.as_ref()?, *self.readings.back()?);
        self.told_at = Some(now);
        Some(Vitals {
            hash: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            seconds: (now - change.at).as_secs(),
            since: self.meter.items.minus(&change.items),
            before: change.before.items,
            queue: last.queue,
            queue_before: change.before.queue,
            memory: last.memory,
            memory_before: change.before.memory,
            memory_limit,
            cpu: self.cores(),
            cpu_before: change.cores,
            cores: cpu::cores() as f64,
        })
    }

    /// Whether a young configuration is to be told of again.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let is_young = self.change.as_ref().is_some_and(|change| now < change.at + YOUNG);
        is_young && self.told_at.is_none_or(|told| now >= told + APART)
    }
}

fn samples(metrics: &Metrics) -> Vec<Sample> {
    metrics.snapshot_of(|name| {
        name == QUEUE_SIZE || name == QUEUE_CAPACITY || sum_of(&mut Items::default(), name).is_some()
    })
}

#[cfg(test)]
mod tests {
    use phoenix_component::harness::collector::FakeCollector;
    use phoenix_telemetry::Description;

    use super::*;

    const fn named(name: &'static str) -> Description {
        Description { name, unit: "", text: "" }
    }

    const SENT: Description = named("otelcol_exporter_sent_log_records");
    const FAILED: Description = named("otelcol_exporter_send_failed_spans");
    const REFUSED: Description = named("otelcol_receiver_refused_metric_points");
    const ACCEPTED: Description = named("otelcol_receiver_accepted_spans");

    #[test]
    fn what_came_since_is_told_apart_from_what_was_before() {
        let (metrics, mut monitor, start) = (Metrics::default(), Monitor::default(), Instant::now());
        let sent = metrics.counter(SENT, &[("exporter", "a")]);
        let (size, room) = (named(QUEUE_SIZE), named(QUEUE_CAPACITY));
        let queue = metrics.gauge(size, &[("exporter", "a")]);
        metrics.gauge(room, &[("exporter", "a")]).set(100);
        metrics.gauge(room, &[("exporter", "b")]).set(1);
        let note = |monitor: &mut Monitor, memory, cpu, seconds| {
            let now = start + Duration::from_secs(seconds);
            monitor.note(&samples(&metrics), memory, Duration::from_secs(cpu), now);
            now
        };
        sent.add(1_000);
        note(&mut monitor, 500, 10, 0);
        sent.add(50);
        queue.set(25);
        let change = note(&mut monitor, 900, 25, 60);
        assert_eq!(monitor.vitals(&[1], 0, change), None, "nothing was changed yet");
        monitor.mark(change);
        sent.add(5);
        let other = metrics.counter(FAILED, &[("exporter", "b")]);
        other.add(15);
        metrics.counter(REFUSED, &[]).add(7);
        metrics.counter(ACCEPTED, &[]).add(3);
        queue.set(80);
        let now = note(&mut monitor, 700, 70, 90);
        let told = monitor.vitals(&[1, 0xff], 5_000, now).expect("vitals");
        assert_eq!(told.since, Items { accepted: 3, refused: 7, sent: 5, failed: 15 });
        assert_eq!(told.before, Items { sent: 50, ..Items::default() });
        assert_eq!((told.queue_before, told.queue), (0.25, 0.8));
        assert_eq!((told.memory_before, told.memory, told.memory_limit), (900, 700, 5_000));
        assert_eq!((told.hash.as_str(), told.seconds), ("01ff", 30));
        assert_eq!((told.cpu_before, told.cpu), (0.25, 1.5), "cores");
        assert!(told.cores >= 1.0);
        // What was before the next change is of this one alone.
        queue.set(10);
        let again = note(&mut monitor, 600, 80, 120);
        monitor.mark(again);
        let told = monitor.vitals(&[2], 5_000, again).expect("vitals");
        assert_eq!(told.cpu, 0.0, "it is too early to say");
        note(&mut monitor, 650, 80, 150);
        let told = monitor.vitals(&[2], 5_000, again).expect("vitals");
        assert!((told.cpu_before - 55.0 / 60.0).abs() < 1e-9 && told.cpu == 0.0, "{told:?}");
        assert_eq!((told.queue_before, told.memory_before), (0.8, 700));
        assert_eq!(told.before, Items { accepted: 3, refused: 7, sent: 5, failed: 15 });
        assert_eq!(told.since, Items::default());
    }

    #[test]
    fn series_that_come_and_go_are_added_up() {
        let (metrics, mut meter) = (Metrics::default(), Meter::default());
        metrics.counter(SENT, &[("exporter", "a")]).add(100);
        assert_eq!(meter.read(&samples(&metrics)).sent, 100);
        assert_eq!(meter.read(&[]).sent, 100, "what is gone was sent");
        let anew = Metrics::default();
        anew.counter(SENT, &[("exporter", "a")]).add(3);
        assert_eq!(meter.read(&samples(&anew)).sent, 103);
    }

    #[test]
    fn another_process_is_read_by_what_it_tells_prometheus() {
        let (mut monitor, start) = (Monitor::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let note = |monitor: &mut Monitor, life, text: Option<&str>, cpu, seconds| {
            let (metrics, cpu) = (text.map(Into::into), Duration::from_secs(cpu));
            let signs = OutsideSigns { life, metrics, memory: 1_000 + life, cpu };
            monitor.note_outside(&signs, after(seconds));
        };
        let text = r#"# TYPE otelcol_exporter_sent_spans_total counter
otelcol_exporter_sent_spans_total{exporter="otlp",service_instance_id="a b"} 100
otelcol_receiver_accepted_spans{receiver="otlp",transport="grpc"} 1.5e2
otelcol_exporter_queue_capacity{exporter="otlp"} 10
otelcol_exporter_queue_size{data_type="traces",exporter="otlp"} 2
"#;
        note(&mut monitor, 1, Some(text), 100, 0);
        monitor.mark(after(1));
        // The child began again, and counts from zero to more than it had.
        let text = r#"otelcol_exporter_sent_spans_total{exporter="otlp",service_instance_id="a b"} 120
otelcol_exporter_send_failed_spans_total{exporter="otlp"} 30
otelcol_receiver_refused_spans_total{receiver="otlp"} 7
otelcol_exporter_queue_capacity{exporter="otlp"} 10
otelcol_exporter_queue_size{data_type="traces",exporter="otlp"} 9
"#;
        note(&mut monitor, 2, Some(text), 2, 11);
        let told = monitor.vitals(&[1], 5_000, after(11)).expect("vitals");
        assert_eq!(told.cpu, 0.2, "of the life before nothing is counted again");
        assert_eq!(told.since, Items { accepted: 0, refused: 7, sent: 120, failed: 30 });
        assert_eq!((told.queue_before, told.queue), (0.2, 0.9));
        assert_eq!((told.memory_before, told.memory), (1_001, 1_002));
        // It does not answer for once: nothing is counted twice afterwards.
        note(&mut monitor, 2, None, 3, 15);
        note(&mut monitor, 2, Some(text), 4, 21);
        let told = monitor.vitals(&[1], 5_000, after(21)).expect("vitals");
        assert_eq!(told.cpu, 0.2);
        assert_eq!(told.since, Items { accepted: 0, refused: 7, sent: 120, failed: 30 });
    }

    #[test]
    fn a_young_configuration_is_told_of_more_often() {
        let (mut monitor, start) = (Monitor::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(!monitor.is_due(start));
        monitor.note(&[], 0, Duration::ZERO, start);
        monitor.mark(start);
        assert!(monitor.is_due(start), "it was never told of");
        monitor.vitals(&[1], 0, start);
        assert!(!monitor.is_due(after(4)) && monitor.is_due(after(5)) && !monitor.is_due(after(600)));
    }

    #[test]
    fn while_nothing_goes_through_it_is_read_less_often() {
        let (metrics, mut monitor, start) = (Metrics::default(), Monitor::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(monitor.due_at(start), start);
        let sent = metrics.counter(SENT, &[("exporter", "a")]);
        let next = |monitor: &mut Monitor, seconds, count| {
            sent.add(count);
            monitor.note(&samples(&metrics), 0, Duration::ZERO, after(seconds));
            (monitor.is_still(), monitor.due_at(after(seconds)))
        };
        assert_eq!(next(&mut monitor, 0, 0), (false, after(5)), "nothing to compare with");
        assert_eq!(next(&mut monitor, 5, 1), (false, after(10)));
        assert_eq!(next(&mut monitor, 10, 0), (true, after(40)));
        assert_eq!(next(&mut monitor, 40, 3), (false, after(45)));
        monitor.mark(after(40));
        assert_eq!(next(&mut monitor, 45, 0), (true, after(50)), "a young configuration is told of");
        assert_eq!(next(&mut monitor, 700, 0), (true, after(730)));
        assert!(next(&mut monitor, 730, 0).0);
        assert_eq!(monitor.readings.len(), 2, "none is older than five minutes");
    }

    #[tokio::test]
    async fn a_process_that_is_not_there_is_looked_at_no_more_often() {
        let (mut monitor, start) = (Monitor::default(), Instant::now());
        let gone = FakeCollector { is_outside: true, ..FakeCollector::default() };
        monitor.read(&gone, &Host::for_tests(), start);
        assert!(monitor.readings.is_empty());
        assert_eq!(monitor.due_at(start), start + APART);
    }
}
