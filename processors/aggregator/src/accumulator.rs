//! What a window adds up to. All of it merges: windows into tiers, parts of hopping windows into the whole.

mod level;
mod shadow;

use phoenix_pdata::view::Number;
use phoenix_series::{Explicit, Exponential, MAX_BUCKETS, Total};

use crate::value::Value;

pub(crate) use level::{Extent, Level, Moments, Needs, Unique};

/// What a window adds up to, by the kind of what comes in.
#[derive(Clone, Debug, Default)]
pub(crate) enum Accumulator {
    /// Nothing came.
    #[default]
    Empty,
    /// Increments of counters.
    Counter(Total),
    /// Levels.
    Level(Box<Level>),
    /// Increments of histograms.
    Explicit(Box<Explicit>),
    /// Increments of exponential histograms.
    Exponential(Box<Exponential>),
    /// The last summary, as it came.
    Summary(Box<(u64, Box<[u8]>)>),
}

/// Two values do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Incompatible;

impl Accumulator {
    /// Adds an increment. For histograms `max_scale` bounds what they take.
    pub(crate) fn add(&mut self, value: &Value, max_scale: i32) -> Result<(), Incompatible> {
        match (&mut *self, value) {
            (Accumulator::Counter(total), Value::Number(number)) => total.add(*number),
            (Accumulator::Empty, Value::Number(number)) => {
                let mut total = Total::default();
                total.add(*number);
                *self = Accumulator::Counter(total);
            }
            (Accumulator::Empty, Value::Explicit(histogram)) => {
                *self = Accumulator::Explicit(histogram.clone())
            }
            (Accumulator::Explicit(sum), Value::Explicit(histogram)) => add_explicit(sum, histogram)?,
            (Accumulator::Empty, Value::Exponential(histogram)) => {
                let mut first = histogram.clone();
                first.downscale_to(max_scale);
                first.limit(MAX_BUCKETS);
                *self = Accumulator::Exponential(first);
            }
            (Accumulator::Exponential(sum), Value::Exponential(histogram)) => {
                sum.merge(histogram, MAX_BUCKETS);
            }
            _ => return Err(Incompatible),
        }
        Ok(())
    }

    /// Adds what another window added up to.
    pub(crate) fn merge(&mut self, other: &Accumulator, max_scale: i32) -> Result<(), Incompatible> {
        match (&mut *self, other) {
            (_, Accumulator::Empty) => {}
            (Accumulator::Empty, other) => {
                *self = other.clone();
                if let Accumulator::Exponential(histogram) = self {
                    histogram.downscale_to(max_scale);
                }
            }
            (Accumulator::Counter(sum), Accumulator::Counter(other)) => sum.merge(other),
            (Accumulator::Level(level), Accumulator::Level(other)) => level.merge(other),
            (Accumulator::Explicit(sum), Accumulator::Explicit(other)) => add_explicit(sum, other)?,
            (Accumulator::Exponential(sum), Accumulator::Exponential(other)) => sum.merge(other, MAX_BUCKETS),
            (Accumulator::Summary(last), Accumulator::Summary(other)) => {
                if other.0 >= last.0 {
                    last.clone_from(other);
                }
            }
            _ => return Err(Incompatible),
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Accumulator::Empty)
    }

    /// The number of a counter.
    pub(crate) fn total(&self) -> Option<Number> {
        match self {
            Accumulator::Counter(total) => Some(total.value()),
            _ => None,
        }
    }

    /// The level, made where there is none.
    pub(crate) fn level(&mut self) -> Option<&mut Level> {
        if matches!(self, Accumulator::Empty) {
            *self = Accumulator::Level(Box::default());
        }
        match self {
            Accumulator::Level(level) => Some(level),
            _ => None,
        }
    }

    /// Bytes on the heap, roughly.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Accumulator::Empty | Accumulator::Counter(_) => 0,
            Accumulator::Level(level) => size_of::<Level>() + level.heap_bytes(),
            Accumulator::Explicit(histogram) => size_of::<Explicit>() + histogram.counts.capacity() * 8,
            Accumulator::Exponential(histogram) => {
                let buckets = histogram.positive.counts.capacity() + histogram.negative.counts.capacity();
                size_of::<Exponential>() + buckets * 8
            }
            Accumulator::Summary(last) => size_of::<(u64, Box<[u8]>)>() + last.1.len(),
        }
    }
}

fn add_explicit(sum: &mut Explicit, histogram: &Explicit) -> Result<(), Incompatible> {
    sum.narrow(histogram).map_err(|_| Incompatible)?;
    sum.add(histogram).map_err(|_| Incompatible)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explicit(bounds: &[f64], counts: &[u64], sum: f64) -> Value {
        Value::Explicit(Box::new(Explicit {
            bounds: bounds.into(),
            counts: counts.to_vec(),
            count: counts.iter().sum(),
            sum: Some(sum),
            ..Explicit::default()
        }))
    }

    #[test]
    fn histograms_meet_on_the_bounds_that_both_have() {
        let mut sum = Accumulator::default();
        sum.add(&explicit(&[1.0, 5.0, 10.0], &[2, 3, 4, 1], 40.0), 20).expect("the first");
        sum.add(&explicit(&[1.0, 10.0], &[1, 6, 2], 60.0), 20).expect("common bounds");
        let Accumulator::Explicit(found) = &sum else { panic!("a histogram") };
        assert_eq!((&found.bounds[..], &found.counts[..]), (&[1.0, 10.0][..], &[3, 13, 3][..]));
        assert_eq!((found.count, found.sum), (19, Some(100.0)));
        assert_eq!(sum.add(&explicit(&[2.0], &[1, 1], 1.0), 20), Err(Incompatible));
        assert_eq!(sum.add(&Value::Number(Number::Int(1)), 20), Err(Incompatible));
    }
}
