//! The registry of instruments.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::instruments::{Bounds, Counter, Gauge, Histogram, HistogramValue, Measure, TimeCounter};
use crate::level::{Level, Switch};
use crate::scope::scope_of;
use crate::view::{self, View};

/// Series that one metric may have; those beyond are counted as one, marked as the specification says.
const MAX_SERIES: usize = 2000;

/// The attribute of what is counted together since there were too many series.
const OVERFLOW: &str = "otel.metric.overflow";

/// One attribute of an instrument: a key and its value.
pub type Attribute = (&'static str, String);

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
    /// A sum that moves both ways.
    UpDownCounter,
    /// A value that moves both ways.
    Gauge,
    /// A spread of values.
    Histogram,
}

/// A value at one moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A spread.
    Histogram(HistogramValue),
}

impl Value {
    /// The number, or how many there are of a spread.
    fn number(&self) -> i64 {
        match self {
            Value::Int(value) => *value,
            Value::Float(value) => *value as i64,
            Value::Histogram(value) => value.count() as i64,
        }
    }
}

/// One series at the moment of a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What is measured.
    pub description: Description,
    /// Which way it moves.
    pub kind: InstrumentKind,
    /// The level from which on it exists.
    pub level: Level,
    /// Its attributes, sorted by key.
    pub attributes: Vec<Attribute>,
    /// The value.
    pub value: Value,
}

/// One metric as it is shown: after level and views.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// The name on the side of OpenTelemetry.
    pub name: Cow<'static, str>,
    /// The unit in UCUM notation.
    pub unit: &'static str,
    /// One sentence for people.
    pub text: Cow<'static, str>,
    /// The instrumentation scope.
    pub scope: &'static str,
    /// Which way it moves.
    pub kind: InstrumentKind,
    /// Its series.
    pub points: Vec<Point>,
}

/// One series of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Its attributes, sorted by key.
    pub attributes: Vec<Attribute>,
    /// The value.
    pub value: Value,
}

type Read = Arc<dyn Fn() -> Option<Value> + Send + Sync>;

#[derive(Clone)]
enum Instrument {
    Counter(Counter),
    /// Not shown while it is zero.
    QuietCounter(Counter),
    Time(TimeCounter),
    Gauge(InstrumentKind, Gauge),
    /// With the bounds that it has where no view says otherwise.
    Histogram(Histogram, Bounds),
    Observed(InstrumentKind, Read),
}

impl Instrument {
    fn kind(&self) -> InstrumentKind {
        match self {
            Instrument::Counter(_) | Instrument::QuietCounter(_) | Instrument::Time(_) => {
                InstrumentKind::Counter
            }
            Instrument::Gauge(kind, _) | Instrument::Observed(kind, _) => *kind,
            Instrument::Histogram(..) => InstrumentKind::Histogram,
        }
    }

    /// None where there is nothing to show.
    fn read(&self) -> Option<Value> {
        Some(match self {
            Instrument::Counter(counter) => Value::Int(counter.value() as i64),
            Instrument::QuietCounter(counter) => match counter.value() {
                0 => return None,
                value => Value::Int(value as i64),
            },
            Instrument::Time(time) => Value::Float(time.value().as_secs_f64()),
            Instrument::Gauge(_, gauge) => Value::Int(gauge.value()),
            Instrument::Histogram(histogram, _) => {
                let value = histogram.value();
                if value.count() == 0 {
                    return None;
                }
                Value::Histogram(value)
            }
            Instrument::Observed(_, read) => return read(),
        })
    }
}

#[derive(Clone)]
struct Entry {
    description: Description,
    level: Level,
    instrument: Instrument,
}

#[derive(Default)]
struct Table {
    instruments: BTreeMap<(&'static str, Vec<Attribute>), Entry>,
    series: HashMap<&'static str, usize>,
    views: Arc<[View]>,
    version: &'static str,
}

struct Shared {
    table: Mutex<Table>,
    switch: Switch,
    started: SystemTime,
}

/// The registry of instruments of one collector. Clones share it.
#[derive(Clone)]
pub struct Metrics {
    shared: Arc<Shared>,
    /// Of what is made through this handle.
    level: Level,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let (table, switch) = (Mutex::default(), Switch::default());
        let shared = Arc::new(Shared { table, switch, started: SystemTime::now() });
        Metrics { shared, level: Level::Basic }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metrics({} series)", self.table().instruments.len())
    }
}

/// Attributes as they are handed in.
type Given<'a> = &'a [(&'static str, &'a str)];

impl Metrics {
    /// A handle whose instruments exist from `level` on; others are made at level basic.
    pub fn at(&self, level: Level) -> Metrics {
        Metrics { shared: self.shared.clone(), level }
    }

    /// Puts a level and views in force, for what there is and what comes.
    pub fn configure(&self, level: Level, views: Vec<View>, version: &'static str) {
        self.shared.switch.set(level);
        let mut table = self.table();
        (table.views, table.version) = (views.into(), version);
        for entry in table.instruments.values() {
            if let Instrument::Histogram(histogram, default) = &entry.instrument {
                histogram.set_bounds(&bounds(&table, entry.description, default));
            }
        }
    }

    /// Whether instruments of `level` exist now.
    pub fn allows(&self, level: Level) -> bool {
        self.shared.switch.allows(level)
    }

    /// When counting began.
    pub fn started(&self) -> SystemTime {
        self.shared.started
    }

    /// The counter of that name and those attributes, made on first use.
    ///
    /// # Panics
    /// If the same name and attributes are already another kind of instrument: a programming error. The same
    /// holds for the others.
    pub fn counter(&self, description: Description, attributes: Given<'_>) -> Counter {
        self.counter_as(description, attributes, Instrument::Counter)
    }

    /// A counter that is not shown before it counts something: for what otelcol shows only then.
    pub fn quiet_counter(&self, description: Description, attributes: Given<'_>) -> Counter {
        self.counter_as(description, attributes, Instrument::QuietCounter)
    }

    fn counter_as(
        &self,
        description: Description,
        attributes: Given<'_>,
        make: fn(Counter) -> Instrument,
    ) -> Counter {
        let make = |_: &Table| make(Counter::detached());
        self.with(description, attributes, make, |instrument| match instrument {
            Instrument::Counter(counter) | Instrument::QuietCounter(counter) => Some(counter.clone()),
            _ => None,
        })
    }

    /// Shows `counter` under another name as well.
    pub fn alias(&self, counter: &Counter, description: Description, attributes: Given<'_>) {
        self.with(description, attributes, |_| Instrument::QuietCounter(counter.clone()), |_| Some(()));
    }

    /// A counter of time, shown in seconds.
    pub fn time_counter(&self, description: Description, attributes: Given<'_>) -> TimeCounter {
        let make = |_: &Table| Instrument::Time(TimeCounter::detached());
        self.with(description, attributes, make, |instrument| match instrument {
            Instrument::Time(counter) => Some(counter.clone()),
            _ => None,
        })
    }

    /// The gauge of that name and those attributes, made on first use.
    pub fn gauge(&self, description: Description, attributes: Given<'_>) -> Gauge {
        self.gauge_as(InstrumentKind::Gauge, description, attributes)
    }

    /// A gauge that is a sum: over several of them the values add up.
    pub fn up_down_counter(&self, description: Description, attributes: Given<'_>) -> Gauge {
        self.gauge_as(InstrumentKind::UpDownCounter, description, attributes)
    }

    fn gauge_as(&self, kind: InstrumentKind, description: Description, attributes: Given<'_>) -> Gauge {
        let make = |_: &Table| Instrument::Gauge(kind, Gauge::detached());
        self.with(description, attributes, make, |instrument| match instrument {
            Instrument::Gauge(_, gauge) => Some(gauge.clone()),
            _ => None,
        })
    }

    /// The histogram of that name and those attributes, made on first use. `bounds` are the upper bounds of
    /// its buckets, ascending, in the unit that is shown.
    pub fn histogram(
        &self,
        description: Description,
        attributes: Given<'_>,
        measure: Measure,
        bounds: &[f64],
    ) -> Histogram {
        let make = |table: &Table| {
            let default = Bounds::from(bounds);
            let bounds = self::bounds(table, description, &default);
            let switch = self.shared.switch.clone();
            Instrument::Histogram(Histogram::new(bounds, measure, self.level, switch), default)
        };
        self.with(description, attributes, make, |instrument| match instrument {
            Instrument::Histogram(histogram, _) => Some(histogram.clone()),
            _ => None,
        })
    }

    /// Shows what `read` says whenever somebody looks; nothing where that is none. A later one of the same
    /// name and attributes takes its place. `read` must not block, nor use this registry.
    pub fn observe(
        &self,
        description: Description,
        kind: InstrumentKind,
        attributes: Given<'_>,
        read: impl Fn() -> Option<Value> + Send + Sync + 'static,
    ) {
        let read: Read = Arc::new(read);
        let made = read.clone();
        let make = move |_: &Table| Instrument::Observed(kind, made);
        self.enter(description, attributes, make, move |instrument| {
            if let Instrument::Observed(_, old) = instrument {
                *old = read;
            }
        });
    }

    fn with<T>(
        &self,
        description: Description,
        attributes: Given<'_>,
        make: impl FnOnce(&Table) -> Instrument,
        pick: impl FnOnce(&Instrument) -> Option<T>,
    ) -> T {
        self.enter(description, attributes, make, |instrument| pick(instrument))
            .expect("an instrument keeps its kind")
    }

    fn enter<T>(
        &self,
        description: Description,
        attributes: Given<'_>,
        make: impl FnOnce(&Table) -> Instrument,
        pick: impl FnOnce(&mut Instrument) -> T,
    ) -> T {
        let mut attributes: Vec<Attribute> =
            attributes.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        attributes.sort();
        let mut table = self.table();
        let mut key = (description.name, attributes);
        if !table.instruments.contains_key(&key) {
            let series = table.series.entry(description.name).or_default();
            if *series >= MAX_SERIES {
                key.1 = vec![(OVERFLOW, "true".to_owned())];
            } else {
                *series += 1;
            }
            if !table.instruments.contains_key(&key) {
                let entry = Entry { description, level: self.level, instrument: make(&table) };
                table.instruments.insert(key.clone(), entry);
            }
        }
        pick(&mut table.instruments.get_mut(&key).expect("entered above").instrument)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.shared.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Handles of all instruments: what they say is read without the lock.
    fn entries(&self, wanted: impl Fn(&str) -> bool) -> Vec<(Vec<Attribute>, Entry)> {
        let table = self.table();
        let of_these = table.instruments.iter().filter(|((name, _), _)| wanted(name));
        of_these.map(|((_, attributes), entry)| (attributes.clone(), entry.clone())).collect()
    }

    /// Every series that has something to show, whatever the level in force, sorted by name and attributes.
    pub fn snapshot(&self) -> Vec<Sample> {
        self.snapshot_of(|_| true)
    }

    /// The same of the metrics whose names are `wanted`: costs little where these are few.
    pub fn snapshot_of(&self, wanted: impl Fn(&str) -> bool) -> Vec<Sample> {
        let sample = |(attributes, entry): (Vec<Attribute>, Entry)| {
            let value = entry.instrument.read()?;
            let (description, kind, level) = (entry.description, entry.instrument.kind(), entry.level);
            Some(Sample { description, kind, level, attributes, value })
        };
        self.entries(wanted).into_iter().filter_map(sample).collect()
    }

    /// What is shown: the metrics of the level in force, through the views, sorted by name.
    pub fn streams(&self) -> Vec<Stream> {
        let (views, version) = {
            let table = self.table();
            (table.views.clone(), table.version)
        };
        let mut streams: Vec<Stream> = Vec::new();
        for sample in self.snapshot() {
            if !self.allows(sample.level) {
                continue;
            }
            let point = Point { attributes: sample.attributes, value: sample.value };
            match streams.last_mut().filter(|stream| stream.name == sample.description.name) {
                Some(stream) => stream.points.push(point),
                None => streams.push(stream(sample.description, sample.kind, vec![point])),
            }
        }
        streams.into_iter().flat_map(|stream| view::look(&views, stream, version)).collect()
    }

    /// The sum of all metrics of that name whose attributes contain `attributes`; 0 where there is none. Of
    /// a histogram its count.
    pub fn sum(&self, name: &str, attributes: &[(&str, &str)]) -> i64 {
        self.snapshot()
            .iter()
            .filter(|sample| sample.description.name == name)
            .filter(|sample| {
                attributes
                    .iter()
                    .all(|(k, v)| sample.attributes.iter().any(|(key, value)| key == k && value == v))
            })
            .map(|sample| sample.value.number())
            .sum()
    }
}

fn stream(description: Description, kind: InstrumentKind, points: Vec<Point>) -> Stream {
    let Description { name, unit, text } = description;
    Stream { name: name.into(), unit, text: text.into(), scope: scope_of(name), kind, points }
}

/// The bounds of a histogram: a view's, or its own.
fn bounds(table: &Table, description: Description, default: &Bounds) -> Bounds {
    let described = stream(description, InstrumentKind::Histogram, Vec::new());
    view::bounds_for(&table.views, &described, table.version).unwrap_or_else(|| default.clone())
}

#[cfg(test)]
mod tests;
