//! Levels of a window: gauges, and sums that can fall.

use std::cmp::Ordering;

use phoenix_pdata::view::Number;
use phoenix_series::{Distinct, Exponential, Hasher, MAX_BUCKETS, Total, index_of};

use super::shadow::Shadow;
use crate::value::as_double;

/// How many different values are counted exactly.
const EXACT: usize = 256;
/// The scale at which an exponential histogram of values starts: 0.3 % relative error, lowered as it gets wider.
const SCALE: i32 = 7;

/// What every level adds up to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Level {
    /// Streams that had data points.
    pub(crate) series: u64,
    /// The sum of the last value of each.
    pub(crate) latest: Total,
    /// What is in it, where there was a data point.
    pub(crate) extent: Option<Extent>,
    /// What is only there where it is asked for.
    pub(crate) moments: Option<Box<Moments>>,
}

/// The outline of a level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Extent {
    pub(crate) first: (u64, Number),
    pub(crate) last: (u64, Number),
    pub(crate) min: Number,
    pub(crate) max: Number,
}

/// The distribution of a level.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moments {
    pub(crate) count: u64,
    pub(crate) sum: Total,
    pub(crate) mean: f64,
    pub(crate) squares: f64,
    /// Value times nanoseconds, and nanoseconds.
    pub(crate) weighted: f64,
    pub(crate) weight: f64,
    pub(crate) histogram: Option<Exponential>,
    pub(crate) unique: Option<Unique>,
    /// The values themselves, of a sample of series.
    pub(crate) shadow: Option<Box<Shadow>>,
}

/// Which of the costly ones are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) moments: bool,
    pub(crate) histogram: bool,
    pub(crate) unique: bool,
    pub(crate) time_weighted: bool,
    /// Whether it is kept what each stream did.
    pub(crate) members: bool,
    /// Whether the values are kept, to see how far off is what is estimated.
    pub(crate) shadow: bool,
}

/// Different values: few as they are, many as a sketch.
#[derive(Clone, Debug)]
pub(crate) enum Unique {
    Few(Vec<u64>),
    Many(Distinct),
}

impl Extent {
    fn of(time: u64, value: Number) -> Extent {
        Extent { first: (time, value), last: (time, value), min: value, max: value }
    }

    /// Of several at one time the larger counts, so that their order does not matter.
    fn merge(&mut self, other: &Extent) {
        self.first = match self.first.0.cmp(&other.first.0) {
            Ordering::Less => self.first,
            Ordering::Equal => later(self.first, other.first),
            Ordering::Greater => other.first,
        };
        self.last = later(self.last, other.last);
        if as_double(other.min) < as_double(self.min) {
            self.min = other.min;
        }
        if as_double(other.max) > as_double(self.max) {
            self.max = other.max;
        }
    }
}

/// The later of two values, or the larger one.
fn later(a: (u64, Number), b: (u64, Number)) -> (u64, Number) {
    let is_later = b.0 > a.0 || b.0 == a.0 && as_double(b.1) > as_double(a.1);
    if is_later { b } else { a }
}

impl Level {
    /// Takes a data point: `replaces` is the value of its stream that is in `latest` already.
    pub(crate) fn take(&mut self, time: u64, value: Number, replaces: Option<Number>, needs: Needs) {
        match replaces {
            Some(before) => self.latest.subtract(before),
            None => self.series += 1,
        }
        self.latest.add(value);
        match &mut self.extent {
            Some(extent) => extent.merge(&Extent::of(time, value)),
            None => self.extent = Some(Extent::of(time, value)),
        }
        if needs.moments {
            self.moments.get_or_insert_default().take(value, needs);
        }
    }

    /// A stream ended whose last value is in `latest`.
    pub(crate) fn leave(&mut self, before: Number) {
        self.latest.subtract(before);
        self.series = self.series.saturating_sub(1);
    }

    /// The value held for so many nanoseconds.
    pub(crate) fn hold(&mut self, value: Number, nanos: u64) {
        let moments = self.moments.get_or_insert_default();
        moments.weighted += as_double(value) * nanos as f64;
        moments.weight += nanos as f64;
    }

    /// Adds a later window of the same series.
    pub(crate) fn merge(&mut self, other: &Level) {
        // The last value of each stream, as far as it had one in the later window.
        (self.series, self.latest) = (other.series, other.latest);
        match (&mut self.extent, &other.extent) {
            (Some(mine), Some(theirs)) => mine.merge(theirs),
            (mine @ None, theirs) => *mine = *theirs,
            _ => {}
        }
        match (&mut self.moments, &other.moments) {
            (Some(mine), Some(theirs)) => mine.merge(theirs),
            (mine @ None, theirs) => mine.clone_from(theirs),
            _ => {}
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let Some(moments) = &self.moments else { return 0 };
        let histogram = moments.histogram.as_ref().map_or(0, |histogram| {
            (histogram.positive.counts.capacity() + histogram.negative.counts.capacity()) * 8
        });
        let unique = match &moments.unique {
            Some(Unique::Few(values)) => values.capacity() * 8,
            Some(Unique::Many(_)) => 4096,
            None => 0,
        };
        let shadow = moments.shadow.as_ref().map_or(0, |shadow| size_of::<Shadow>() + shadow.heap_bytes());
        size_of::<Moments>() + histogram + unique + shadow
    }
}

impl Moments {
    fn take(&mut self, value: Number, needs: Needs) {
        let double = as_double(value);
        // One that does not have all values knows nothing.
        if needs.shadow && self.count == 0 {
            self.shadow = Some(Box::default());
        }
        if let Some(shadow) = &mut self.shadow {
            shadow.insert(double);
        }
        self.count += 1;
        self.sum.add(value);
        let off = double - self.mean;
        self.mean += off / self.count as f64;
        self.squares += off * (double - self.mean);
        if needs.histogram {
            let histogram = self.histogram.get_or_insert_with(|| Exponential {
                scale: SCALE,
                sum: Some(0.0),
                ..Exponential::default()
            });
            observe(histogram, double);
        }
        if needs.unique {
            self.unique.get_or_insert(Unique::Few(Vec::new())).insert(double);
        }
    }

    /// Chan, Golub and LeVeque, 1979.
    fn merge(&mut self, other: &Moments) {
        match (&mut self.shadow, &other.shadow) {
            (Some(mine), Some(theirs)) => mine.merge(theirs),
            (mine @ None, Some(theirs)) if self.count == 0 => *mine = Some(theirs.clone()),
            (mine, _) if other.count > 0 => *mine = None,
            _ => {}
        }
        let (mine, theirs) = (self.count as f64, other.count as f64);
        let both = mine + theirs;
        if other.count > 0 {
            let off = other.mean - self.mean;
            self.mean += off * theirs / both;
            self.squares += other.squares + off * off * mine * theirs / both;
        }
        self.count += other.count;
        self.sum.merge(&other.sum);
        self.weighted += other.weighted;
        self.weight += other.weight;
        match (&mut self.histogram, &other.histogram) {
            (Some(mine), Some(theirs)) => mine.merge(theirs, MAX_BUCKETS),
            (mine @ None, theirs) => mine.clone_from(theirs),
            _ => {}
        }
        match (&mut self.unique, &other.unique) {
            (Some(mine), Some(theirs)) => mine.merge(theirs),
            (mine @ None, theirs) => mine.clone_from(theirs),
            _ => {}
        }
    }

    /// The variance of the population.
    pub(crate) fn variance(&self) -> Option<f64> {
        (self.count > 0).then(|| self.squares.max(0.0) / self.count as f64)
    }

    pub(crate) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| as_double(self.sum.value()) / self.count as f64)
    }
}

/// Counts a value in an exponential histogram.
fn observe(histogram: &mut Exponential, value: f64) {
    histogram.count += 1;
    histogram.sum = histogram.sum.map(|sum| sum + value);
    histogram.min = Some(histogram.min.map_or(value, |min| min.min(value)));
    histogram.max = Some(histogram.max.map_or(value, |max| max.max(value)));
    if value == 0.0 {
        histogram.zero_count += 1;
        return;
    }
    // The scale first, so that a value far away does not make a long list.
    loop {
        let index = index_of(histogram.scale, value.abs());
        let buckets = if value > 0.0 { &mut histogram.positive } else { &mut histogram.negative };
        let end = buckets.offset + buckets.counts.len() as i64;
        let span = match buckets.counts.is_empty() {
            true => 1,
            false => end.max(index + 1) - buckets.offset.min(index),
        };
        if span <= MAX_BUCKETS as i64 || histogram.scale <= -10 {
            buckets.add(index, 1);
            return;
        }
        histogram.downscale_to(histogram.scale - 1);
    }
}

impl Unique {
    fn insert(&mut self, value: f64) {
        // Zero has two signs.
        let bits = if value == 0.0 { 0 } else { value.to_bits() };
        match self {
            Unique::Few(values) => {
                let Err(place) = values.binary_search(&bits) else { return };
                values.insert(place, bits);
                if values.len() > EXACT {
                    let mut many = Distinct::default();
                    values.iter().for_each(|bits| many.insert(hash(*bits)));
                    *self = Unique::Many(many);
                }
            }
            Unique::Many(many) => many.insert(hash(bits)),
        }
    }

    fn merge(&mut self, other: &Unique) {
        match (&mut *self, other) {
            (Unique::Many(mine), Unique::Many(theirs)) => mine.merge(theirs),
            (_, Unique::Few(values)) => values.iter().for_each(|bits| self.insert(f64::from_bits(*bits))),
            (Unique::Few(values), Unique::Many(theirs)) => {
                let mut many = theirs.clone();
                values.iter().for_each(|bits| many.insert(hash(*bits)));
                *self = Unique::Many(many);
            }
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Unique::Few(values) => values.len() as u64,
            Unique::Many(many) => many.estimate(),
        }
    }
}

/// Any seed will do, since it is the same for all that are merged.
fn hash(bits: u64) -> u64 {
    Hasher::new(0).bytes(&bits.to_le_bytes()).half()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Needs = Needs {
        moments: true,
        histogram: true,
        unique: true,
        time_weighted: true,
        members: false,
        shadow: false,
    };

    fn of(values: &[f64]) -> Level {
        let mut level = Level::default();
        for (time, value) in values.iter().enumerate() {
            level.take(time as u64, Number::Double(*value), None, ALL);
        }
        level
    }

    #[test]
    fn moments_merge_as_the_reference_has_it() {
        let mut mine = Moments { count: 3, mean: 2.0, squares: 2.0, ..Moments::default() };
        mine.merge(&Moments { count: 2, mean: 10.0, squares: 8.0, ..Moments::default() });
        assert!((mine.mean - 5.2).abs() < 1e-12 && (mine.squares - 86.8).abs() < 1e-12, "{mine:?}");
        assert!((mine.variance().expect("some") - 17.36).abs() < 1e-12);
    }

    #[test]
    fn parts_that_are_merged_are_the_whole() {
        let values: Vec<f64> = (0..1000).map(|n| f64::from((n * 7919) % 613) - 100.0).collect();
        let whole = of(&values);
        let mut merged = of(&values[..300]);
        merged.merge(&of(&values[300..]));
        let (a, b) = (whole.moments.expect("moments"), merged.moments.expect("moments"));
        assert_eq!(
            (a.count, a.sum, a.unique.as_ref().map(Unique::count)),
            (b.count, b.sum, b.unique.as_ref().map(Unique::count))
        );
        assert!((a.squares - b.squares).abs() < 1e-6 * a.squares);
        let (a, b) = (a.histogram.expect("one"), b.histogram.expect("one"));
        assert!(a.adds_up() && b.adds_up() && a.count == 1000);
        assert_eq!(
            (a.scale, a.zero_count, &a.positive, &a.negative),
            (b.scale, b.zero_count, &b.positive, &b.negative)
        );
        assert_eq!(
            merged.extent.map(|e| (e.min, e.max)),
            Some((Number::Double(-100.0), Number::Double(512.0)))
        );
    }

    #[test]
    fn different_values_are_exact_while_they_are_few() {
        let count = |n: u32| {
            let level = of(&(0..n).chain(0..n).map(f64::from).collect::<Vec<_>>());
            level.moments.and_then(|moments| Some(moments.unique?.count())).expect("some")
        };
        assert_eq!((count(1), count(256)), (1, 256));
        assert!(count(10_000).abs_diff(10_000) < 650);
    }
}
