//! Exemplars: measurements that stand for those that a data point counts, with the trace that each is of.
//!
//! Of each window so many stay: of one bucket the best, and of all the best. Those of traces are better than others, and later ones
//! than earlier ones, so that it does not matter in which order they came. They keep what was aggregated away, as filtered
//! attributes.

use phoenix_pdata::view::{Exemplar, Number};
use phoenix_pdata::write::put_bytes;

use crate::labels::{Came, Grouping};
use crate::value::as_double;

/// The most bytes of one; more attributes than that are left out, and longer ones are dropped.
const MOST_BYTES: usize = 2048;
/// Windows that wait to be let out, whose exemplars are kept.
const MOST_WINDOWS: usize = 4;
/// The field of attributes that the data point does not have.
const FILTERED: u32 = 7;

/// One exemplar.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Example {
    /// The end of the window that it belongs to.
    pub(crate) due: u64,
    /// The bucket that it was counted in, of histograms.
    pub(crate) bucket: Option<i64>,
    pub(crate) is_traced: bool,
    pub(crate) time: u64,
    /// Its body, as it goes out.
    pub(crate) body: Box<[u8]>,
}

/// Those of one series.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Examples {
    pub(crate) open: Chosen,
    /// Of the open window of each tier.
    pub(crate) tiers: Vec<Chosen>,
}

/// The best of what was offered, for each window.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Chosen(pub(crate) Vec<Example>);

impl Example {
    /// As it came with a data point at `time`; none if it is too long.
    pub(crate) fn read(
        exemplar: Exemplar<'_>,
        bucket: Option<i64>,
        (time, due): (u64, u64),
        came: &Came<'_>,
        grouping: &Grouping,
    ) -> Option<Example> {
        let mut body = exemplar.raw().to_vec();
        if body.len() > MOST_BYTES {
            return None;
        }
        for attribute in grouping.gone(came) {
            if body.len() + attribute.len() <= MOST_BYTES {
                put_bytes(&mut body, FILTERED, attribute);
            }
        }
        let at = exemplar.time_unix_nano();
        Some(Example {
            due,
            bucket,
            is_traced: exemplar.trace_id().iter().any(|byte| *byte != 0),
            time: if at == 0 { time } else { at },
            body: body.into(),
        })
    }

    /// What is better is greater.
    fn rank(&self) -> (bool, u64, &[u8]) {
        (self.is_traced, self.time, &self.body)
    }
}

impl Chosen {
    /// Takes one, if it is better than others of its window or there are fewer than `most`. Returns whether one had to go.
    pub(crate) fn offer(&mut self, example: Example, most: usize) -> bool {
        let rivals = |other: &Example| other.due == example.due;
        if self.0.iter().any(|other| rivals(other) && other.rank() == example.rank()) {
            return true;
        }
        let in_bucket =
            |other: &Example| rivals(other) && other.bucket.is_some() && other.bucket == example.bucket;
        let rival = match self.0.iter().position(in_bucket) {
            Some(same) => Some(same),
            None if self.0.iter().filter(|other| rivals(other)).count() >= most => {
                let of_window = self.0.iter().enumerate().filter(|(_, other)| rivals(other));
                of_window.min_by(|(_, a), (_, b)| a.rank().cmp(&b.rank())).map(|(index, _)| index)
            }
            None => None,
        };
        match rival {
            Some(index) if self.0[index].rank() < example.rank() => self.0[index] = example,
            Some(_) => {}
            None if most == 0 || self.0.len() >= most.saturating_mul(MOST_WINDOWS) => {}
            None => {
                self.0.push(example);
                return false;
            }
        }
        true
    }

    /// Takes out those of windows that end by then, the earliest first.
    pub(crate) fn take_until(&mut self, end: u64) -> Vec<Example> {
        let mut taken: Vec<Example> = self.0.extract_if(.., |example| example.due <= end).collect();
        taken.sort_by(|a, b| (a.time, &a.body).cmp(&(b.time, &b.body)));
        taken
    }

    /// Takes out all of them up to a time.
    pub(crate) fn take_before(&mut self, time: u64) -> Vec<Example> {
        let mut taken: Vec<Example> = self.0.extract_if(.., |example| example.time <= time).collect();
        taken.sort_by(|a, b| (a.time, &a.body).cmp(&(b.time, &b.body)));
        taken
    }
}

impl Examples {
    /// Bytes on the heap, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let all = self.tiers.iter().chain([&self.open]).flat_map(|chosen| &chosen.0);
        size_of::<Examples>() + all.map(|example| size_of::<Example>() + example.body.len()).sum::<usize>()
    }
}

/// The bucket of an exponential histogram of scale 0 that a value is in: a power of two, and its sign.
pub(crate) fn power_of(value: Option<Number>) -> Option<i64> {
    let value = as_double(value?);
    match value {
        0.0 => Some(i64::MIN),
        value if !value.is_finite() => None,
        value => Some(2 * phoenix_series::index_of(0, value.abs()) + i64::from(value < 0.0)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn example(time: u64, is_traced: bool, bucket: Option<i64>) -> Example {
        Example { due: 60, bucket, is_traced, time, body: time.to_le_bytes().into() }
    }

    #[test]
    fn the_best_of_each_bucket_stay() {
        let mut chosen = Chosen::default();
        for (time, traced, bucket) in
            [(1, false, 1), (2, true, 1), (3, false, 1), (4, false, 2), (5, false, 3)]
        {
            chosen.offer(example(time, traced, Some(bucket)), 2);
        }
        let times: Vec<u64> = chosen.take_until(60).iter().map(|example| example.time).collect();
        assert_eq!(times, [2, 5], "the one with a trace, and the latest of the others");
        assert!(chosen.offer(example(1, true, None), 0), "none are wanted");
        // Other windows have their own, up to a bound.
        for due in 1..10 {
            chosen.offer(Example { due: due * 60, ..example(due * 60, true, None) }, 1);
        }
        assert_eq!(chosen.0.len(), MOST_WINDOWS);
        assert_eq!((chosen.take_until(119).len(), chosen.take_before(200).len()), (1, 2));
    }

    #[test]
    fn powers_of_two_are_buckets() {
        let of = |value: f64| power_of(Some(Number::Double(value)));
        assert_eq!((of(3.0), of(4.0)), (Some(2), Some(2)));
        assert_ne!((of(3.0), of(0.0)), (of(-3.0), of(1.0)));
        assert_eq!((of(f64::NAN), power_of(None)), (None, None));
    }

    proptest! {
        #[test]
        fn their_order_does_not_matter(
            offered in prop::collection::vec((0u64..50, any::<bool>(), prop::option::of(0i64..4)), 0..40),
            shuffle in prop::collection::vec(any::<u32>(), 40),
            most in 1usize..6,
        ) {
            let choose = |offered: &[(u64, bool, Option<i64>)]| {
                let mut chosen = Chosen::default();
                for (time, traced, bucket) in offered {
                    chosen.offer(example(*time, *traced, *bucket), most);
                }
                chosen.take_until(u64::MAX).into_iter().map(|e| (e.time, e.is_traced)).collect::<Vec<_>>()
            };
            // One measurement is in one bucket.
            let mut offered = offered;
            offered.sort();
            offered.dedup_by_key(|(time, ..)| *time);
            let mut other: Vec<_> = offered.iter().copied().zip(&shuffle).collect();
            other.sort_by_key(|(_, key)| **key);
            let other: Vec<_> = other.into_iter().map(|(example, _)| example).collect();
            prop_assert_eq!(choose(&offered), choose(&other));
        }
    }
}
