//! Histograms with explicit bounds.

mod bounds;
mod choice;
mod convert;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use phoenix_pdata::view::HistogramPoint;

pub use bounds::KnownBounds;
pub use choice::{QuantileBudget, needed_bounds};
pub use convert::Placement;

use crate::{Place, Step};

/// A histogram with explicit bounds, or increments of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explicit {
    /// The upper bounds, growing; shared by all who have the same.
    pub bounds: Arc<[f64]>,
    /// One more than there are bounds; none if the sender has no buckets.
    pub counts: Vec<u64>,
    /// How many measurements there are.
    pub count: u64,
    /// Their sum, where it is known.
    pub sum: Option<f64>,
    /// The smallest of them, where it is known.
    pub min: Option<f64>,
    /// The largest of them, where it is known.
    pub max: Option<f64>,
}

/// Two histograms have no bounds in common, so that only their count and sum could be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch;

impl Explicit {
    /// Reads a point into this one's buffers. False where it is no histogram: bounds that do not grow or are not finite,
    /// counts that do not fit them or do not add up, a sum that is not finite.
    pub fn read(&mut self, point: &HistogramPoint<'_>) -> bool {
        if !self.bounds.iter().copied().eq(point.explicit_bounds()) {
            self.bounds = point.explicit_bounds().into_iter().collect();
        }
        self.read_counts(point)
    }

    /// The same; its bounds are those of others that have the same.
    pub fn read_shared(&mut self, point: &HistogramPoint<'_>, known: &mut KnownBounds) -> bool {
        if !self.bounds.iter().copied().eq(point.explicit_bounds()) {
            self.bounds = known.find(point.explicit_bounds().into_iter());
        }
        self.read_counts(point)
    }

    fn read_counts(&mut self, point: &HistogramPoint<'_>) -> bool {
        self.counts.clear();
        self.counts.extend(point.bucket_counts());
        self.count = point.count();
        self.sum = point.sum();
        (self.min, self.max) = (point.min(), point.max());
        let grow = self.bounds.windows(2).all(|pair| pair[0] < pair[1]);
        let finite = self.bounds.iter().all(|bound| bound.is_finite());
        let fits =
            self.counts.len() == self.bounds.len() + 1 || self.counts.is_empty() && self.bounds.is_empty();
        let total = self.counts.iter().try_fold(0_u64, |total, count| total.checked_add(*count));
        let adds_up = self.counts.is_empty() || total == Some(self.count);
        grow && finite && fits && adds_up && self.sum.is_none_or(f64::is_finite)
    }

    /// What became of the stream since `last`, which this point takes the place of; the increments are left in `self`,
    /// without minimum and maximum. `last` is unchanged where the point is not newer.
    ///
    /// Other bounds in a stream that goes on are a baseline: what came since the last point cannot be told by bucket, and
    /// all of it was counted before.
    pub fn advance(&mut self, last: &mut Explicit, from: Place, to: Place) -> Step {
        let same_bounds = self.bounds == last.bounds && self.counts.len() == last.counts.len();
        let fell = self.count < last.count
            || same_bounds && self.counts.iter().zip(&last.counts).any(|(new, old)| new < old);
        let step = match from.step(to, fell) {
            Step::Next if !same_bounds => Step::UnknownReset,
            step => step,
        };
        if matches!(step, Step::Duplicate | Step::OutOfOrder) {
            return step;
        }
        (self.min, self.max) = (None, None);
        if step != Step::Next {
            last.clone_from(self);
            if step == Step::UnknownReset {
                self.clear();
            }
            return step;
        }
        let (count, sum) = (self.count, self.sum);
        for (new, old) in self.counts.iter_mut().zip(&mut last.counts) {
            let increment = *new - *old;
            *old = *new;
            *new = increment;
        }
        self.count -= last.count;
        self.sum = self.sum.zip(last.sum).map(|(new, old)| new - old);
        (last.count, last.sum) = (count, sum);
        step
    }

    /// The bytes that it takes, without its bounds, which are shared.
    pub fn memory(&self) -> usize {
        size_of::<Explicit>() + self.counts.capacity() * size_of::<u64>()
    }

    /// Sets all counts to 0, and keeps the bounds.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.count = 0;
        self.sum = self.sum.map(|_| 0.0);
        (self.min, self.max) = (None, None);
    }

    /// Leaves count, sum, minimum and maximum, which can be added to those of any other.
    pub fn without_buckets(&mut self) {
        self.counts.clear();
        self.bounds = Arc::default();
    }

    /// Whether the other can be added without a change of the bounds: it has all of them.
    pub fn takes(&self, other: &Explicit) -> bool {
        self.counts.is_empty() == other.counts.is_empty()
            && (Arc::ptr_eq(&self.bounds, &other.bounds)
                || self.bounds == other.bounds
                || self.bounds.iter().all(|bound| other.bounds.contains(bound)))
    }

    /// Adds a histogram that has at least these bounds.
    ///
    /// # Errors
    /// It has not; then nothing changed.
    pub fn add(&mut self, other: &Explicit) -> Result<(), Mismatch> {
        if !self.takes(other) {
            return Err(Mismatch);
        }
        if Arc::ptr_eq(&self.bounds, &other.bounds) || self.bounds == other.bounds {
            for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
                *mine = mine.saturating_add(*theirs);
            }
        } else {
            let mut bucket = 0;
            for (index, count) in other.counts.iter().enumerate() {
                self.counts[bucket] = self.counts[bucket].saturating_add(*count);
                let bound = other.bounds.get(index);
                bucket += usize::from(bound.is_some() && bound == self.bounds.get(bucket));
            }
        }
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.zip(other.sum).map(|(mine, theirs)| mine + theirs);
        self.min = self.min.zip(other.min).map(|(mine, theirs)| mine.min(theirs));
        self.max = self.max.zip(other.max).map(|(mine, theirs)| mine.max(theirs));
        Ok(())
    }

    /// Keeps only the bounds that the other has, too, so that it can be added.
    ///
    /// # Errors
    /// They have none in common; then nothing changed.
    pub fn narrow(&mut self, other: &Explicit) -> Result<(), Mismatch> {
        if self.takes(other) {
            return Ok(());
        }
        let common = self.bounds.iter().copied().filter(|bound| other.bounds.contains(bound));
        let common: Arc<[f64]> = common.collect();
        if common.is_empty() || self.counts.is_empty() || other.counts.is_empty() {
            return Err(Mismatch);
        }
        *self = self.with_bounds(common);
        Ok(())
    }

    /// The same with some of its bounds: buckets between them are merged.
    fn with_bounds(&self, bounds: Arc<[f64]>) -> Explicit {
        let counts = vec![0; bounds.len() + 1];
        let mut narrowed =
            Explicit { bounds, counts, count: 0, sum: Some(0.0), min: self.min, max: self.max };
        // All of the bounds are there, so that this cannot fail.
        let added = narrowed.add(self);
        debug_assert_eq!(added, Ok(()));
        narrowed
    }

    /// The same without the bounds that can go: those for which the bucket that is left is at most `error` wide, as the share
    /// `(hi - lo) / (hi + lo)` by which an estimate in its middle can be off, and that are not to be kept. Which ones go
    /// depends on the bounds alone, so that it is the same for every point of a stream. The last bound stays.
    pub fn merged(&self, error: f64, keep: &[f64]) -> Explicit {
        let mut bounds: Vec<f64> = Vec::with_capacity(self.bounds.len());
        // The lower bound of the bucket that grows; below the first one nothing is known.
        let mut lower = self.bounds.first().copied().unwrap_or(0.0);
        for (index, bound) in self.bounds.iter().enumerate() {
            let next = self.bounds.get(index + 1);
            let may_go = index > 0
                && !keep.contains(bound)
                && lower > 0.0
                && next.is_some_and(|next| (next - lower) / (next + lower) <= error);
            if !may_go {
                bounds.push(*bound);
                lower = *bound;
            }
        }
        if bounds.len() == self.bounds.len() { self.clone() } else { self.with_bounds(bounds.into()) }
    }

    /// The same with only those of its bounds that are listed; with all of them where none is.
    pub fn restricted(&self, to: &[f64]) -> Explicit {
        let bounds: Arc<[f64]> = self.bounds.iter().copied().filter(|bound| to.contains(bound)).collect();
        if bounds.is_empty() || bounds.len() == self.bounds.len() {
            return self.clone();
        }
        self.with_bounds(bounds)
    }

    /// The value below which a share `q` of the measurements lies, as Prometheus computes it: evenly spread within each
    /// bucket. None without measurements or bounds.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let last = *self.bounds.last()?;
        let total = self.counts.iter().fold(0_u64, |total, count| total.saturating_add(*count));
        if total == 0 {
            return None;
        }
        let rank = q.clamp(0.0, 1.0) * total as f64;
        let mut below = 0.0;
        for (index, count) in self.counts.iter().enumerate() {
            let count = *count as f64;
            if count > 0.0 && below + count >= rank {
                let Some(upper) = self.bounds.get(index).copied() else { break };
                let lower = match index {
                    0 if upper <= 0.0 => return Some(upper),
                    0 => 0.0,
                    _ => self.bounds[index - 1],
                };
                return Some(lower + (upper - lower) * (rank - below) / count);
            }
            below += count;
        }
        Some(last)
    }
}
