//! Exponential histograms.

#[cfg(test)]
mod tests;

use phoenix_pdata::view::{self, ExponentialPoint};

use crate::mapping::lower_bound;
use crate::{Place, Step};

/// The most buckets of either sign after a merge; the SDKs' default.
pub const MAX_BUCKETS: usize = 160;
/// The most buckets of a point that is read at all.
const MOST_READ: usize = 4096;

/// The buckets of one sign: counts from `offset` on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// The index of the first count.
    pub offset: i64,
    /// Counts without gaps.
    pub counts: Vec<u64>,
}

impl Buckets {
    fn read(&mut self, buckets: Option<view::Buckets<'_>>) -> bool {
        self.counts.clear();
        self.offset = 0;
        let Some(buckets) = buckets else { return true };
        self.offset = i64::from(buckets.offset());
        self.counts.extend(buckets.bucket_counts().into_iter().take(MOST_READ + 1));
        let fits = self.counts.len() <= MOST_READ;
        self.trim();
        fits
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }

    /// The bucket behind the last.
    fn end(&self) -> i64 {
        self.offset + self.counts.len() as i64
    }

    fn total(&self) -> Option<u64> {
        self.counts.iter().try_fold(0_u64, |total, count| total.checked_add(*count))
    }

    /// Counts so many more in a bucket.
    pub fn add(&mut self, index: i64, count: u64) {
        if self.counts.is_empty() {
            self.offset = index;
        }
        if index < self.offset {
            let missing = (self.offset - index) as usize;
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.offset = index;
        }
        let place = (index - self.offset) as usize;
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] = self.counts[place].saturating_add(count);
    }

    /// Leaves out zeros at either end.
    pub fn trim(&mut self) {
        let leading = self.counts.iter().take_while(|count| **count == 0).count();
        if leading == self.counts.len() {
            self.counts.clear();
            self.offset = 0;
            return;
        }
        let trailing = self.counts.iter().rev().take_while(|count| **count == 0).count();
        self.counts.truncate(self.counts.len() - trailing);
        self.counts.drain(..leading);
        self.offset += leading as i64;
    }

    fn downscale(&mut self, by: u32) {
        if by == 0 || self.counts.is_empty() {
            return;
        }
        let by = by.min(62);
        let old = self.offset;
        let offset = old >> by;
        for index in 0..self.counts.len() {
            let count = std::mem::take(&mut self.counts[index]);
            // An arithmetic shift rounds towards minus infinity; a division would not.
            let place = (((old + index as i64) >> by) - offset) as usize;
            self.counts[place] = self.counts[place].saturating_add(count);
        }
        let len = (((old + self.counts.len() as i64 - 1) >> by) - offset + 1) as usize;
        self.counts.truncate(len);
        self.offset = offset;
    }

    fn merge(&mut self, other: &Buckets) {
        if other.counts.is_empty() {
            return;
        }
        self.add(other.offset, 0);
        self.add(other.end() - 1, 0);
        let from = (other.offset - self.offset) as usize;
        for (mine, theirs) in self.counts[from..].iter_mut().zip(&other.counts) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    fn at(&self, index: i64) -> u64 {
        let place = index.checked_sub(self.offset).and_then(|place| usize::try_from(place).ok());
        place.and_then(|place| self.counts.get(place)).copied().unwrap_or(0)
    }

    /// How many buckets both take together.
    fn span(&self, other: &Buckets) -> i64 {
        match (self.counts.is_empty(), other.counts.is_empty()) {
            (true, true) => 0,
            (false, true) => self.counts.len() as i64,
            (true, false) => other.counts.len() as i64,
            (false, false) => self.end().max(other.end()) - self.offset.min(other.offset),
        }
    }

    /// Takes out what lies within a threshold of zero, or reaches into it: how many, and the threshold that then holds.
    fn fold(&mut self, scale: i32, threshold: f64) -> (u64, f64) {
        let (mut folded, mut threshold) = (0, threshold);
        while let Some(count) = self.counts.first().copied() {
            let inside = lower_bound(scale, self.offset) < threshold;
            if !inside {
                break;
            }
            if count > 0 {
                folded = u64::saturating_add(folded, count);
                threshold = threshold.max(lower_bound(scale, self.offset + 1));
            }
            self.counts.remove(0);
            self.offset += 1;
        }
        if self.counts.is_empty() {
            self.offset = 0;
        }
        (folded, threshold)
    }
}

/// An exponential histogram, or increments of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exponential {
    /// The base is 2 to the power of 2 to the power of minus this.
    pub scale: i32,
    /// How many measurements are within the threshold of zero.
    pub zero_count: u64,
    /// The width of the bucket of zero.
    pub zero_threshold: f64,
    /// Buckets of positive measurements.
    pub positive: Buckets,
    /// Buckets of negative measurements.
    pub negative: Buckets,
    /// How many measurements there are.
    pub count: u64,
    /// Their sum, where it is known.
    pub sum: Option<f64>,
    /// The smallest of them, where it is known.
    pub min: Option<f64>,
    /// The largest of them, where it is known.
    pub max: Option<f64>,
}

impl Exponential {
    /// The bytes that it takes.
    pub fn memory(&self) -> usize {
        let counts = self.positive.counts.capacity() + self.negative.counts.capacity();
        size_of::<Exponential>() + counts * size_of::<u64>()
    }

    /// Reads a point into this one's buffers. False where it is no histogram: a scale or a threshold beyond all use, counts that
    /// do not add up, a sum that is not finite.
    pub fn read(&mut self, point: &ExponentialPoint<'_>) -> bool {
        self.scale = point.scale();
        self.zero_count = point.zero_count();
        self.zero_threshold = point.zero_threshold();
        self.count = point.count();
        self.sum = point.sum();
        (self.min, self.max) = (point.min(), point.max());
        self.positive.read(point.positive()) & self.negative.read(point.negative())
            && (-10..=20).contains(&self.scale)
            && self.zero_threshold >= 0.0
            && self.zero_threshold.is_finite()
            && self.sum.is_none_or(f64::is_finite)
            && self.adds_up()
    }

    /// Whether the buckets hold what `count` says.
    pub fn adds_up(&self) -> bool {
        let total = self.positive.total().zip(self.negative.total());
        let total = total
            .and_then(|(positive, negative)| positive.checked_add(negative)?.checked_add(self.zero_count));
        total == Some(self.count)
    }

    /// Sets all counts to 0.
    pub fn clear(&mut self) {
        for buckets in [&mut self.positive, &mut self.negative] {
            buckets.counts.clear();
            buckets.offset = 0;
        }
        (self.zero_count, self.count) = (0, 0);
        self.sum = self.sum.map(|_| 0.0);
        (self.min, self.max) = (None, None);
    }

    /// Lowers the scale, exactly; a scale that is lower already stays.
    pub fn downscale_to(&mut self, scale: i32) {
        if scale >= self.scale {
            return;
        }
        let by = (self.scale - scale) as u32;
        self.positive.downscale(by);
        self.negative.downscale(by);
        self.scale = scale;
    }

    /// Leaves out zeros at either end of the buckets.
    pub fn trim(&mut self) {
        self.positive.trim();
        self.negative.trim();
    }

    /// Lowers the scale until neither sign has more buckets.
    pub fn limit(&mut self, max_buckets: usize) {
        self.trim();
        while self.positive.counts.len().max(self.negative.counts.len()) > max_buckets.max(1)
            && self.scale > -10
        {
            self.downscale_to(self.scale - 1);
        }
    }

    /// Raises the threshold of zero to at least this: what lies within goes into the bucket of zero, and a bucket that
    /// reaches beyond takes the threshold with it.
    fn raise_zero(&mut self, threshold: f64) {
        let mut threshold = threshold;
        loop {
            let (positive, raised) = self.positive.fold(self.scale, threshold);
            let (negative, raised) = self.negative.fold(self.scale, raised);
            self.zero_count = self.zero_count.saturating_add(positive).saturating_add(negative);
            self.zero_threshold = raised;
            if raised <= threshold {
                return;
            }
            threshold = raised;
        }
    }

    /// Adds a histogram: on the lower scale, on one that leaves at most `max_buckets` to either sign, and with the
    /// wider bucket of zero.
    pub fn merge(&mut self, other: &Exponential, max_buckets: usize) {
        let aligned;
        let mut other = other;
        self.trim();
        let mut scale = self.scale.min(other.scale);
        if scale != other.scale {
            let mut lowered = other.clone();
            lowered.downscale_to(scale);
            aligned = lowered;
            other = &aligned;
        }
        self.downscale_to(scale);
        let fits = |scale: i32, mine: &Exponential, theirs: &Exponential| {
            let by = (mine.scale - scale) as u32;
            let span = |a: &Buckets, b: &Buckets| match a.span(b) {
                0 => 0,
                _ => {
                    let first = [a, b].iter().filter(|x| !x.counts.is_empty()).map(|x| x.offset).min();
                    let end = [a, b].iter().filter(|x| !x.counts.is_empty()).map(|x| x.end() - 1).max();
                    (end.unwrap_or(0) >> by) - (first.unwrap_or(0) >> by) + 1
                }
            };
            let widest = span(&mine.positive, &theirs.positive).max(span(&mine.negative, &theirs.negative));
            widest <= max_buckets.max(1) as i64
        };
        while !fits(scale, self, other) && scale > -10 {
            scale -= 1;
        }
        let lowered;
        if scale != other.scale {
            let mut copy = other.clone();
            copy.downscale_to(scale);
            lowered = copy;
            other = &lowered;
        }
        self.downscale_to(scale);
        self.positive.merge(&other.positive);
        self.negative.merge(&other.negative);
        self.zero_count = self.zero_count.saturating_add(other.zero_count);
        // Behind the last change of scale: buckets that it widened may reach into the bucket of zero.
        let threshold = self.zero_threshold.max(other.zero_threshold);
        if threshold > 0.0 {
            self.raise_zero(threshold);
        }
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.zip(other.sum).map(|(mine, theirs)| mine + theirs);
        self.min = self.min.zip(other.min).map(|(mine, theirs)| mine.min(theirs));
        self.max = self.max.zip(other.max).map(|(mine, theirs)| mine.max(theirs));
        self.trim();
        debug_assert!(self.adds_up() || self.count == u64::MAX);
    }

    /// What became of the stream since `last`, which this point takes the place of; the increments are left in `self`,
    /// without minimum and maximum. `last` is unchanged where the point is not newer.
    pub fn advance(&mut self, last: &mut Exponential, from: Place, to: Place) -> Step {
        if to.time <= from.time {
            return from.step(to, false);
        }
        if self.scale == last.scale && self.zero_threshold == last.zero_threshold {
            return self.advance_aligned(last, from, to);
        }
        let mut new = self.clone();
        let scale = new.scale.min(last.scale);
        new.downscale_to(scale);
        last.downscale_to(scale);
        let threshold = new.zero_threshold.max(last.zero_threshold);
        if new.zero_threshold != last.zero_threshold {
            new.raise_zero(threshold);
            last.raise_zero(new.zero_threshold);
            new.raise_zero(last.zero_threshold);
        }
        let step = from.step(to, new.fell_below(last));
        (self.min, self.max) = (None, None);
        if step != Step::Next {
            last.clone_from(self);
            if step == Step::UnknownReset {
                self.clear();
            }
            return step;
        }
        let before = std::mem::replace(last, self.clone());
        let subtract = |new: &mut Buckets, old: &Buckets| {
            for (count, index) in new.counts.iter_mut().zip(new.offset..) {
                *count -= old.at(index);
            }
            new.trim();
        };
        subtract(&mut new.positive, &before.positive);
        subtract(&mut new.negative, &before.negative);
        new.zero_count -= before.zero_count;
        new.count -= before.count;
        new.sum = new.sum.zip(before.sum).map(|(new, old)| new - old);
        (new.min, new.max) = (None, None);
        *self = new;
        step
    }

    /// The same where both have one scale and one bucket of zero, as nearly always; needs no memory.
    fn advance_aligned(&mut self, last: &mut Exponential, from: Place, to: Place) -> Step {
        let step = from.step(to, self.fell_below(last));
        (self.min, self.max) = (None, None);
        if step != Step::Next {
            last.clone_from(self);
            if step == Step::UnknownReset {
                self.clear();
            }
            return step;
        }
        // What was the last point becomes the increments, in its own buffers.
        std::mem::swap(self, last);
        for (mine, new) in [(&mut self.positive, &last.positive), (&mut self.negative, &last.negative)] {
            if new.counts.is_empty() {
                continue;
            }
            mine.add(new.offset, 0);
            mine.add(new.end() - 1, 0);
            for (mine, index) in mine.counts.iter_mut().zip(mine.offset..) {
                *mine = new.at(index) - *mine;
            }
            mine.trim();
        }
        self.zero_count = last.zero_count - self.zero_count;
        self.count = last.count - self.count;
        self.sum = last.sum.zip(self.sum).map(|(new, old)| new - old);
        step
    }

    /// Whether there is less in some bucket than in the other, which has the same scale and bucket of zero.
    fn fell_below(&self, last: &Exponential) -> bool {
        let covers = |new: &Buckets, old: &Buckets| {
            old.counts.iter().zip(old.offset..).all(|(count, index)| new.at(index) >= *count)
        };
        self.count < last.count
            || self.zero_count < last.zero_count
            || !covers(&self.positive, &last.positive)
            || !covers(&self.negative, &last.negative)
    }

    /// The value below which a share `q` of the measurements lies, evenly spread by ratio within each bucket. None
    /// without measurements.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let Reached { lower, upper, share } = self.reached(q)?;
        Some(match lower * upper > 0.0 {
            true => lower * (upper / lower).powf(share),
            false => lower + (upper - lower) * share,
        })
    }

    /// The same as the middle of its bucket, of which no value of the bucket is off by more than
    /// [`relative_error`](crate::relative_error).
    pub fn middle(&self, q: f64) -> Option<f64> {
        let Reached { lower, upper, .. } = self.reached(q)?;
        Some(match lower * upper > 0.0 {
            // As a product of ratios, which neither overflows nor vanishes at the ends of the range.
            true => lower * (2.0 / (1.0 + lower / upper)),
            false => lower + (upper - lower) / 2.0,
        })
    }

    /// The bucket in which a share `q` of the measurements is reached.
    fn reached(&self, q: f64) -> Option<Reached> {
        if self.count == 0 {
            return None;
        }
        let rank = q.clamp(0.0, 1.0) * self.count as f64;
        let mut below = 0.0;
        let mut last = 0.0;
        let negative = self.negative.counts.iter().enumerate().rev().map(|(place, count)| {
            let index = self.negative.offset + place as i64;
            (*count, -lower_bound(self.scale, index + 1), -lower_bound(self.scale, index))
        });
        let zero = std::iter::once((self.zero_count, -self.zero_threshold, self.zero_threshold));
        let positive = self.positive.counts.iter().zip(self.positive.offset..).map(|(count, index)| {
            (*count, lower_bound(self.scale, index), lower_bound(self.scale, index + 1))
        });
        for (count, lower, upper) in negative.chain(zero).chain(positive) {
            let count = count as f64;
            if count == 0.0 {
                continue;
            }
            if below + count >= rank {
                return Some(Reached { lower, upper, share: (rank - below) / count });
            }
            below += count;
            last = upper;
        }
        Some(Reached { lower: last, upper: last, share: 1.0 })
    }
}

/// Where a quantile lies.
struct Reached {
    /// The bounds of its bucket.
    lower: f64,
    upper: f64,
    /// How far into the measurements of the bucket.
    share: f64,
}
