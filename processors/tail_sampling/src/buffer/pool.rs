//! Memory that all shards share: one limit, and segments that go from hand to hand.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use phoenix_component::{Budget, Charge};

/// Bytes of a segment.
pub(crate) const SEGMENT: usize = 256 << 10;
/// Larger records have a segment of their own.
pub(crate) const LARGEST_SHARED: usize = SEGMENT / 8;
/// Empty segments that are kept for the next one who needs one, at most; and together no more than such a part of the limit.
const SPARE: usize = 16;
/// Segments may be an eighth larger than what lives in them; see [`super::segments`].
pub(crate) const FILL: f64 = 0.875;
/// Without a budget that says more.
const DEFAULT_LIMIT: usize = 1 << 30;

/// Bytes that may live in so many bytes of memory.
pub(crate) fn live_bytes(max_bytes: u64) -> u64 {
    (max_bytes as f64 * FILL) as u64
}

/// Memory for one segment, charged to the collector's budget.
#[derive(Debug)]
pub(crate) struct Leased {
    pub(crate) bytes: Vec<u8>,
    charge: Charge,
}

/// One budget over all shards.
#[derive(Debug)]
pub(crate) struct Pool {
    /// The most bytes that may live here.
    limit: AtomicUsize,
    used: AtomicUsize,
    traces: AtomicUsize,
    most_traces: AtomicUsize,
    budget: Budget,
    spare: Mutex<Vec<Leased>>,
    /// Bytes that may wait elsewhere.
    elsewhere: AtomicU64,
    /// Bytes that came in ever.
    came_in: AtomicU64,
    inflow: Mutex<Inflow>,
}

/// How fast memory fills.
#[derive(Debug, Default)]
struct Inflow {
    since: Duration,
    came_in: u64,
    /// Bytes in a second, of late.
    rate: f64,
}

/// How often the inflow is measured.
const MEASURED_EVERY: Duration = Duration::from_secs(1);
/// The part of a new measurement in the mean.
const WEIGHT: f64 = 0.3;

impl Pool {
    /// `max_bytes` of memory, or (0) half of the budget; and at most `most_traces` traces.
    pub(crate) fn new(budget: Budget, max_bytes: u64, most_traces: Option<u64>) -> Pool {
        let pool = Pool {
            limit: AtomicUsize::new(0),
            used: AtomicUsize::new(0),
            traces: AtomicUsize::new(0),
            most_traces: AtomicUsize::new(0),
            budget,
            spare: Mutex::default(),
            elsewhere: AtomicU64::new(0),
            came_in: AtomicU64::new(0),
            inflow: Mutex::default(),
        };
        pool.set_limits(max_bytes, most_traces);
        pool
    }

    /// Other limits; what is there stays.
    pub(crate) fn set_limits(&self, max_bytes: u64, most_traces: Option<u64>) {
        let max_bytes = match (usize::try_from(max_bytes).unwrap_or(usize::MAX), self.budget.limit()) {
            (0, usize::MAX) => DEFAULT_LIMIT,
            (0, budget) => budget / 2,
            (given, _) => given,
        };
        let live = usize::try_from(live_bytes(max_bytes as u64)).unwrap_or(usize::MAX);
        self.limit.store(live.max(1), Relaxed);
        let most = most_traces.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        self.most_traces.store(most, Relaxed);
    }

    /// A shard holds other amounts now.
    pub(crate) fn changed(&self, bytes: usize, to_bytes: usize, traces: usize, to_traces: usize) {
        self.used.fetch_add(to_bytes.wrapping_sub(bytes), Relaxed);
        self.traces.fetch_add(to_traces.wrapping_sub(traces), Relaxed);
    }

    /// So many bytes came in; now and then that tells how fast.
    pub(crate) fn came_in(&self, bytes: u64, now: Duration) {
        let total = self.came_in.fetch_add(bytes, Relaxed) + bytes;
        let Ok(mut inflow) = self.inflow.try_lock() else { return };
        let elapsed = now.saturating_sub(inflow.since);
        if elapsed < MEASURED_EVERY {
            return;
        }
        let rate = total.saturating_sub(inflow.came_in) as f64 / elapsed.as_secs_f64();
        let is_first = inflow.since.is_zero();
        inflow.rate = if is_first { rate } else { inflow.rate + WEIGHT * (rate - inflow.rate) };
        (inflow.since, inflow.came_in) = (now, total);
    }

    /// So many bytes may wait elsewhere than in memory.
    pub(crate) fn set_elsewhere(&self, bytes: u64) {
        self.elsewhere.store(bytes, Relaxed);
    }

    /// For how long memory, and what there is beside it, lasts at the present inflow; none where nothing comes in.
    pub(crate) fn lasts_for(&self) -> Option<Duration> {
        let rate = self.inflow.lock().unwrap_or_else(PoisonError::into_inner).rate;
        let seconds = (self.limit() as f64 + self.elsewhere.load(Relaxed) as f64) / rate;
        (rate > 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }

    /// Traces that wait.
    pub(crate) fn traces(&self) -> usize {
        self.traces.load(Relaxed)
    }

    /// How full it is: 1 is full.
    pub(crate) fn fullness(&self) -> f64 {
        self.used.load(Relaxed) as f64 / self.limit.load(Relaxed) as f64
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// Whether as many traces wait as may.
    pub(crate) fn has_all_traces(&self) -> bool {
        self.traces.load(Relaxed) >= self.most_traces.load(Relaxed)
    }

    pub(crate) fn most_traces(&self) -> usize {
        self.most_traces.load(Relaxed)
    }

    /// Memory for a segment that a record of so many bytes fits into.
    pub(crate) fn lease(&self, bytes: usize) -> Leased {
        let is_shared = bytes <= LARGEST_SHARED;
        if is_shared && let Some(spare) = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return spare;
        }
        let size = if is_shared { SEGMENT } else { bytes };
        // What comes here was admitted, and is not refused any more.
        Leased { bytes: Vec::with_capacity(size), charge: self.budget.charge_reserve(size) }
    }

    /// No memory.
    pub(crate) fn nothing(&self) -> Leased {
        Leased { bytes: Vec::new(), charge: self.budget.charge_reserve(0) }
    }

    /// Memory with these bytes in it.
    pub(crate) fn copy(&self, bytes: &[u8]) -> Leased {
        let mut leased = self.lease(bytes.len());
        leased.bytes.extend_from_slice(bytes);
        leased
    }

    pub(crate) fn give_back(&self, mut leased: Leased) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let most = SPARE.min(1 + self.limit() / (SPARE * SEGMENT));
        if leased.charge.bytes() == SEGMENT && spare.len() < most {
            leased.bytes.clear();
            spare.push(leased);
        }
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }
}
