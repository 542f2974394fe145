//! Which records are done, as ranges of numbers with what they weigh.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::Weight;

/// Numbers without their neighbours: as many as records are under way at once, and one more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges {
    /// By their first number: one behind the last, and the weight.
    runs: BTreeMap<u64, (u64, Weight)>,
    weight: Weight,
}

impl Ranges {
    /// What they weigh together.
    pub(crate) fn weight(&self) -> Weight {
        self.weight
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        self.runs.range(..=number).next_back().is_some_and(|(_, (end, _))| number < *end)
    }

    /// Adds numbers; false where some are in already, and then nothing is added.
    pub(crate) fn insert(&mut self, numbers: Range<u64>, weight: Weight) -> bool {
        let Range { mut start, mut end } = numbers;
        let is_in = self.runs.range(..end).next_back().is_some_and(|(_, (before, _))| *before > start);
        if start >= end || is_in {
            return false;
        }
        self.weight.add(weight);
        let mut sum = weight;
        if let Some((from, (_, weight))) =
            self.runs.range(..start).next_back().filter(|(_, (before, _))| *before == start)
        {
            (start, sum) = (*from, {
                sum.add(*weight);
                sum
            });
        }
        if let Some((behind, weight)) = self.runs.remove(&end) {
            end = behind;
            sum.add(weight);
        }
        self.runs.insert(start, (end, sum));
        true
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Range<u64>, Weight)> {
        self.runs.iter().map(|(start, (end, weight))| (*start..*end, *weight))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_become_one_and_nothing_counts_twice() {
        let mut ranges = Ranges::default();
        for number in [5, 7, 6, 1, 3, 2] {
            assert!(ranges.insert(number..number + 1, Weight::of(number, 10)), "{number}");
        }
        let runs: Vec<_> = ranges.iter().collect();
        let weight = |records, items, bytes| Weight { records, items, bytes };
        assert_eq!(runs, [(1..4, weight(3, 6, 30)), (5..8, weight(3, 18, 30))]);
        for numbers in [1..2, 3..4, 0..2, 3..6, 7..9, 4..4, 0..20] {
            assert!(!ranges.insert(numbers.clone(), Weight::of(1, 1)), "{numbers:?}");
        }
        assert!(ranges.insert(4..5, Weight::of(4, 10)));
        assert_eq!(ranges.iter().count(), 1);
        assert_eq!(ranges.weight(), weight(7, 28, 70));
        assert!(ranges.contains(1) && ranges.contains(7) && !ranges.contains(8) && !ranges.contains(0));
    }
}
