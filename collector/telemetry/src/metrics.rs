use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use crossbeam_utils::CachePadded;

/// One attribute of an instrument: a key and its value.
pub type Attribute = (&'static str, String);

/// Cells of each counter: enough that threads rarely share one, few enough that counters stay small.
static CELLS: LazyLock<usize> = LazyLock::new(|| {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) + 1;
    threads.next_power_of_two().min(32)
});

fn cell_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static CELL: Cell<Option<usize>> = const { Cell::new(None) });
    CELL.with(|cell| match cell.get() {
        Some(index) => index,
        None => {
            let index = NEXT.fetch_add(1, Relaxed) & (*CELLS - 1);
            cell.set(Some(index));
            index
        }
    })
}

/// A sum that only grows. Cheap to clone and to update from any thread.
#[derive(Clone, Debug)]
pub struct Counter(Arc<[CachePadded<AtomicU64>]>);

impl Counter {
    /// A counter that no registry knows: for tests, and for parts that are used without telemetry.
    pub fn detached() -> Counter {
        Counter((0..*CELLS).map(|_| CachePadded::new(AtomicU64::new(0))).collect())
    }

    /// Adds `amount`.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0[cell_of_this_thread()].fetch_add(amount, Relaxed);
    }

    /// The sum over all threads. Additions under way may or may not be in it.
    pub fn value(&self) -> u64 {
        self.0.iter().map(|cell| cell.load(Relaxed)).fold(0, u64::wrapping_add)
    }
}

/// A value that goes up and down, such as a queue's size.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// A gauge that no registry knows.
    pub fn detached() -> Gauge {
        Gauge::default()
    }

    /// Replaces the value.
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// Adds `amount`, which may be negative.
    pub fn add(&self, amount: i64) {
        self.0.fetch_add(amount, Relaxed);
    }

    /// The value now.
    pub fn value(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// What an instrument measures. Defined once, as a constant, by the crate that owns the instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// The full name, for example `otelcol_exporter_sent_spans`.
    pub name: &'static str,
    /// The unit in UCUM notation, for example `By`, `s` or `{span}`.
    pub unit: &'static str,
    /// One sentence for people.
    pub text: &'static str,
}

/// Which way a metric can move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstrumentKind {
    /// Grows only, until the process ends.
    Counter,
    /// Moves both ways.
    Gauge,
}

/// One metric at the moment of a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What is measured.
    pub description: Description,
    /// Counter or gauge.
    pub kind: InstrumentKind,
    /// Its attributes, sorted by key.
    pub attributes: Vec<Attribute>,
    /// The value.
    pub value: i64,
}

#[derive(Debug)]
enum Instrument {
    Counter(Counter),
    Gauge(Gauge),
}

type Key = (&'static str, Vec<Attribute>);
type Instruments = BTreeMap<Key, (Description, Instrument)>;

/// The registry of instruments of one collector. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<Instruments>>);

impl Metrics {
    /// The counter of that name and those attributes, made on first use.
    ///
    /// # Panics
    /// If the same name and attributes are already a gauge: a programming error.
    pub fn counter(&self, description: Description, attributes: &[(&'static str, &str)]) -> Counter {
        self.with(
            description,
            attributes,
            || Instrument::Counter(Counter::detached()),
            |i| match i {
                Instrument::Counter(counter) => Some(counter.clone()),
                Instrument::Gauge(_) => None,
            },
        )
    }

    /// The gauge of that name and those attributes, made on first use.
    ///
    /// # Panics
    /// If the same name and attributes are already a counter: a programming error.
    pub fn gauge(&self, description: Description, attributes: &[(&'static str, &str)]) -> Gauge {
        self.with(
            description,
            attributes,
            || Instrument::Gauge(Gauge::detached()),
            |i| match i {
                Instrument::Gauge(gauge) => Some(gauge.clone()),
                Instrument::Counter(_) => None,
            },
        )
    }

    fn with<T>(
        &self,
        description: Description,
        attributes: &[(&'static str, &str)],
        make: impl FnOnce() -> Instrument,
        pick: impl FnOnce(&Instrument) -> Option<T>,
    ) -> T {
        let mut attributes: Vec<Attribute> =
            attributes.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        attributes.sort();
        let mut instruments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, instrument) =
            instruments.entry((description.name, attributes)).or_insert_with(|| (description, make()));
        pick(instrument).expect("an instrument keeps its kind")
    }

    /// Every instrument with its value, sorted by name and attributes.
    pub fn snapshot(&self) -> Vec<Sample> {
        let instruments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        instruments
            .iter()
            .map(|((_, attributes), (description, instrument))| {
                let (kind, value) = match instrument {
                    Instrument::Counter(c) => (InstrumentKind::Counter, c.value() as i64),
                    Instrument::Gauge(g) => (InstrumentKind::Gauge, g.value()),
                };
                Sample { description: *description, kind, attributes: attributes.clone(), value }
            })
            .collect()
    }

    /// The sum of all metrics of that name whose attributes contain `attributes`; 0 where there is none.
    pub fn sum(&self, name: &str, attributes: &[(&str, &str)]) -> i64 {
        self.snapshot()
            .iter()
            .filter(|sample| sample.description.name == name)
            .filter(|sample| {
                attributes
                    .iter()
                    .all(|(k, v)| sample.attributes.iter().any(|(key, value)| key == k && value == v))
            })
            .map(|sample| sample.value)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Description = Description { name: "sent", unit: "{span}", text: "Spans sent." };

    #[test]
    fn the_same_name_and_attributes_are_one_counter_over_all_threads() {
        let metrics = Metrics::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let counter = metrics.counter(SENT, &[("exporter", "otlp"), ("data_type", "traces")]);
                scope.spawn(move || (0..1000).for_each(|_| counter.add(1)));
            }
        });
        metrics.counter(SENT, &[("data_type", "traces"), ("exporter", "otlp")]).add(5);
        assert_eq!(metrics.sum("sent", &[("exporter", "otlp")]), 4005);
        assert_eq!(metrics.snapshot().len(), 1);
        assert_eq!(metrics.sum("sent", &[("exporter", "debug")]), 0);
    }
}
