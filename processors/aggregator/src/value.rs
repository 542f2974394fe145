//! Data points as they are kept until their turn comes.

use phoenix_pdata::view::Number;
use phoenix_series::{Explicit, Exponential, Place};

/// What a data point says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A number of a gauge or a sum.
    Number(Number),
    /// A histogram with bounds.
    Explicit(Box<Explicit>),
    /// An exponential histogram.
    Exponential(Box<Exponential>),
    /// A summary.
    Summary(Box<Summary>),
    /// There is no recorded value: the stream ends.
    Ended,
}

/// A data point of a summary: all of it, as it came. Few streams are summaries, so that a value points at it: it takes 16 bytes.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub(crate) struct Summary(pub(crate) Box<[u8]>);

impl Default for Value {
    fn default() -> Value {
        Value::Number(Number::Int(0))
    }
}

impl Value {
    /// Makes it nothing of its kind: 0, or a histogram without measurements.
    pub(crate) fn clear(&mut self) {
        match self {
            Value::Explicit(histogram) => histogram.clear(),
            Value::Exponential(histogram) => histogram.clear(),
            _ => *self = Value::default(),
        }
    }

    /// Bytes on the heap, without the bounds that histograms share.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Value::Number(_) | Value::Ended => 0,
            Value::Explicit(histogram) => histogram.memory(),
            Value::Exponential(histogram) => histogram.memory(),
            Value::Summary(summary) => size_of::<Summary>() + summary.0.len(),
        }
    }

    /// Whether a sum has counted more than another.
    pub(crate) fn outgrows(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Number(a), Value::Number(b)) => as_double(*a) > as_double(*b),
            (Value::Explicit(a), Value::Explicit(b)) => a.count > b.count,
            (Value::Exponential(a), Value::Exponential(b)) => a.count > b.count,
            _ => false,
        }
    }

    /// Of two data points at one time, which counts: a recorded value before none, the larger before the smaller, so that it
    /// does not matter which came first.
    pub(crate) fn outranks(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Ended, _) => false,
            (_, Value::Ended) => true,
            (Value::Summary(a), Value::Summary(b)) => a > b,
            _ => self.outgrows(other),
        }
    }
}

/// A data point: what it says, and the time `(start, time]` that it is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

pub(crate) fn as_double(number: Number) -> f64 {
    match number {
        Number::Int(value) => value as f64,
        Number::Double(value) => value,
    }
}

/// Data points of one stream that wait for those before them, by time. Few wait at a time, and the first two without a
/// buffer of their own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting {
    first: [Option<Sample>; 2],
    more: Option<Box<More>>,
}

/// Those that wait behind the first two: where there are none, as usual, they take 8 bytes.
#[derive(Clone, Debug, Default)]
struct More {
    samples: Vec<Sample>,
}

impl Waiting {
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.iter().count()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first[0].is_none()
    }

    fn more(&self) -> &[Sample] {
        self.more.as_deref().map_or(&[], |more| &more.samples)
    }

    /// The time of the earliest.
    pub(crate) fn earliest(&self) -> Option<u64> {
        self.first[0].as_ref().map(|sample| sample.place.time)
    }

    /// The latest.
    pub(crate) fn last(&self) -> Option<&Sample> {
        self.more().last().or(self.first[1].as_ref()).or(self.first[0].as_ref())
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let more = self
            .more
            .as_deref()
            .map_or(0, |more| size_of::<More>() + more.samples.capacity() * size_of::<Sample>());
        more + self.iter().map(|sample| sample.value.heap_bytes()).sum::<usize>()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Sample> {
        self.first.iter().flatten().chain(self.more())
    }

    /// Puts a data point in its place. Of two at one time one stays: false, and the other is given back in `sample`.
    pub(crate) fn insert(&mut self, sample: &mut Sample) -> bool {
        for place in &mut self.first {
            let Some(other) = place else {
                *place = Some(std::mem::take(sample));
                return true;
            };
            if other.place.time == sample.place.time {
                if sample.value.outranks(&other.value) {
                    std::mem::swap(other, sample);
                }
                return false;
            }
            if other.place.time > sample.place.time {
                // It goes here, and what was here further behind.
                std::mem::swap(other, sample);
            }
        }
        let more = &mut self.more.get_or_insert_default().samples;
        match more.binary_search_by_key(&sample.place.time, |other| other.place.time) {
            Ok(index) => {
                if sample.value.outranks(&more[index].value) {
                    std::mem::swap(&mut more[index], sample);
                }
                false
            }
            Err(index) => {
                more.insert(index, std::mem::take(sample));
                true
            }
        }
    }

    /// Takes the earliest out, if its time is at most `limit`.
    pub(crate) fn pop(&mut self, limit: u64) -> Option<Sample> {
        if self.earliest()? > limit {
            return None;
        }
        let next = self.more.as_mut().map(|more| more.samples.remove(0));
        if self.more().is_empty() {
            self.more = None;
        }
        let second = std::mem::replace(&mut self.first[1], next);
        std::mem::replace(&mut self.first[0], second)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(time: u64, value: i64) -> Sample {
        Sample { place: Place { start: 0, time }, value: Value::Number(Number::Int(value)) }
    }

    proptest! {
        #[test]
        fn they_come_out_by_time_and_once(steps in prop::collection::vec((0u64..20, 0i64..3, any::<bool>()), 0..60)) {
            let (mut waiting, mut model) = (Waiting::default(), std::collections::BTreeMap::new());
            for (time, value, pops) in steps {
                let fresh = waiting.insert(&mut sample(time, value));
                prop_assert_eq!(fresh, !model.contains_key(&time));
                let kept = model.entry(time).or_insert(value);
                *kept = (*kept).max(value);
                if pops {
                    let limit = time;
                    let popped = waiting.pop(limit);
                    let first = model.first_key_value().map(|(time, value)| (*time, *value));
                    let expected = first.filter(|(time, _)| *time <= limit);
                    prop_assert_eq!(popped, expected.map(|(time, value)| sample(time, value)));
                    if let Some((time, _)) = expected { model.remove(&time); }
                }
                prop_assert_eq!(waiting.len(), model.len());
                prop_assert!(waiting.iter().map(|s| s.place.time).eq(model.keys().copied()));
            }
        }
    }
}
