//! The handles through which components count. None of them takes a lock or looks anything up.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crossbeam_utils::CachePadded;

mod histogram;

pub(crate) use histogram::Bounds;
pub use histogram::{Histogram, HistogramValue, Measure};

/// Cells of each instrument: enough that threads rarely share one, few enough that instruments stay small.
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

/// Time that adds up; shown in seconds, kept in nanoseconds.
#[derive(Clone, Debug)]
pub struct TimeCounter(Counter);

impl TimeCounter {
    /// A counter that no registry knows.
    pub fn detached() -> TimeCounter {
        TimeCounter(Counter::detached())
    }

    /// Adds a span of time.
    #[inline]
    pub fn add(&self, time: Duration) {
        self.0.add(time.as_nanos() as u64);
    }

    /// The sum.
    pub fn value(&self) -> Duration {
        Duration::from_nanos(self.0.value())
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
