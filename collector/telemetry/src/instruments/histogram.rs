//! How values are spread: counts by bucket, one set of them for each thread that records.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::{CELLS, cell_of_this_thread};
use crate::level::{Level, Switch};

/// What a histogram records, and in which unit that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Whole numbers, shown as they are.
    Count,
    /// Times, shown in seconds.
    Seconds,
    /// Times, shown in milliseconds.
    Milliseconds,
}

impl Measure {
    /// Recorded units in one that is shown.
    fn scale(self) -> f64 {
        match self {
            Measure::Count => 1.0,
            Measure::Seconds => 1e9,
            Measure::Milliseconds => 1e6,
        }
    }
}

/// The upper bounds of the buckets, in the unit that is shown; ascending, the last bucket has none.
pub(crate) type Bounds = Arc<[f64]>;

/// The spread of what was recorded. Cheap to clone, and to record from any thread.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    switch: Switch,
    level: Level,
    measure: Measure,
    core: ArcSwap<Core>,
}

#[derive(Debug)]
struct Core {
    shown: Bounds,
    /// The same in recorded units.
    bounds: Box<[u64]>,
    /// Made by the first thread that records there.
    cells: Box<[OnceLock<Cell>]>,
}

#[derive(Debug)]
struct Cell {
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// A histogram at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramValue {
    /// The upper bounds of the buckets; the last bucket has none.
    pub bounds: Bounds,
    /// How many values each bucket has; one more than bounds.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub sum: f64,
}

impl HistogramValue {
    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Adds what another one of the same bounds has.
    pub(crate) fn merge(&mut self, other: &HistogramValue) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
        self.sum += other.sum;
    }
}

impl Core {
    fn new(shown: Bounds, measure: Measure) -> Core {
        // Values are whole numbers, so one is at most a bound if it is at most the whole part of that.
        let recorded = |bound: &f64| match measure {
            Measure::Count => bound.floor() as u64,
            Measure::Seconds | Measure::Milliseconds => (bound * measure.scale()).round() as u64,
        };
        let bounds = shown.iter().map(recorded).collect();
        Core { shown, bounds, cells: (0..*CELLS).map(|_| OnceLock::new()).collect() }
    }
}

impl Histogram {
    pub(crate) fn new(bounds: Bounds, measure: Measure, level: Level, switch: Switch) -> Histogram {
        let core = ArcSwap::from_pointee(Core::new(bounds, measure));
        Histogram(Arc::new(Shared { switch, level, measure, core }))
    }

    /// A histogram that no registry knows, without buckets.
    pub fn detached(measure: Measure) -> Histogram {
        Histogram::new(Bounds::from([]), measure, Level::Basic, Switch::default())
    }

    /// Whether anything is recorded at the level in force: to be asked before what is recorded is measured.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.0.switch.allows(self.0.level)
    }

    /// Records a whole number.
    #[inline]
    pub fn record(&self, value: u64) {
        if self.is_on() {
            self.enter(value);
        }
    }

    /// Records a time.
    #[inline]
    pub fn record_time(&self, time: Duration) {
        if self.is_on() {
            self.enter(time.as_nanos() as u64);
        }
    }

    fn enter(&self, value: u64) {
        let core = self.0.core.load();
        let cell = core.cells[cell_of_this_thread()].get_or_init(|| Cell {
            buckets: (0..=core.bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        });
        let bucket = core.bounds.partition_point(|bound| *bound < value);
        cell.buckets[bucket].fetch_add(1, Relaxed);
        cell.sum.fetch_add(value, Relaxed);
    }

    /// Changes the bounds; what was recorded starts afresh where they differ.
    pub(crate) fn set_bounds(&self, bounds: &Bounds) {
        if *self.0.core.load().shown != **bounds {
            self.0.core.store(Arc::new(Core::new(bounds.clone(), self.0.measure)));
        }
    }

    /// What was recorded, over all threads.
    pub fn value(&self) -> HistogramValue {
        let core = self.0.core.load();
        let mut counts = vec![0; core.bounds.len() + 1];
        let mut sum = 0u64;
        for cell in core.cells.iter().filter_map(OnceLock::get) {
            counts.iter_mut().zip(&cell.buckets).for_each(|(count, bucket)| *count += bucket.load(Relaxed));
            sum = sum.wrapping_add(cell.sum.load(Relaxed));
        }
        HistogramValue { bounds: core.shown.clone(), counts, sum: sum as f64 / self.0.measure.scale() }
    }
}
