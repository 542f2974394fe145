use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::{Rank, Threshold, Weight};

/// Of all that is offered, keeps what ranks highest and fits a budget; then tells the threshold of each.
///
/// It takes from the top until the next would not fit. That one is the *bar*: kept is what ranks above it, and every
/// threshold follows from it. Moving anything that is kept to another place above the bar leaves the bar where it is, so
/// estimates by those thresholds are unbiased whatever the costs (Ting, *Adaptive Threshold Sampling*, SIGMOD 2022).
///
/// The first is kept whatever it costs: without that, what costs more than the budget would never be seen. So at most
/// one more than the budget is kept. Of equal rank at the bar all or none: none.
///
/// - Memory: as many as fit the budget, where each costs at least 1.
/// - Time: O(log k) for each that is offered, O(1) for those below the bar.
#[derive(Clone, Debug)]
pub struct BottomK {
    budget: u64,
    kept: BinaryHeap<Reverse<Candidate>>,
    cost: u64,
    offered: u64,
    offered_weight: f64,
    bar: Option<Rank>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    rank: Rank,
    cost: u64,
}

impl BottomK {
    /// Nothing yet, of what may cost `budget`.
    pub fn new(budget: u64) -> BottomK {
        BottomK { budget, kept: BinaryHeap::new(), cost: 0, offered: 0, offered_weight: 0.0, bar: None }
    }

    /// Offers something. A cost of zero counts as one.
    pub fn offer(&mut self, rank: Rank, cost: u64) {
        let cost = cost.max(1);
        self.offered = self.offered.saturating_add(cost);
        self.offered_weight += cost as f64 * rank.weight().value();
        if self.bar.is_some_and(|bar| rank <= bar) {
            return;
        }
        self.cost = self.cost.saturating_add(cost);
        self.kept.push(Reverse(Candidate { rank, cost }));
        self.fit();
    }

    /// Goes on with less.
    pub fn shrink(&mut self, budget: u64) {
        self.budget = self.budget.min(budget);
        self.fit();
    }

    fn fit(&mut self) {
        while let Some(Reverse(lowest)) = self.kept.peek() {
            let is_too_much = self.cost > self.budget && self.kept.len() > 1;
            if !is_too_much && self.bar != Some(lowest.rank) {
                break;
            }
            self.bar = Some(lowest.rank);
            self.cost -= lowest.cost;
            self.kept.pop();
        }
    }

    /// What all that is kept costs.
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// What that of it costs that also reaches thresholds of the caller's, by weight.
    pub fn cost_above(&self, threshold: impl Fn(Weight) -> Threshold) -> u64 {
        let reaches = |Reverse(candidate): &&Reverse<Candidate>| {
            threshold(candidate.rank.weight()).keeps(candidate.rank.randomness())
        };
        self.kept.iter().filter(reaches).map(|Reverse(candidate)| candidate.cost).sum()
    }

    /// What all that was offered costs.
    pub fn offered(&self) -> u64 {
        self.offered
    }

    /// The same, each cost multiplied by its weight.
    pub fn offered_weight(&self) -> f64 {
        self.offered_weight
    }

    /// The threshold for something of this weight.
    pub fn threshold(&self, weight: Weight) -> Threshold {
        match self.bar {
            Some(bar) => bar.threshold_above(weight),
            None => Threshold::ALWAYS,
        }
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Candidate) -> Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Candidate) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Candidate) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Randomness;
    use crate::chance::Chance;

    fn rank(weight: f64, bits: u64) -> Rank {
        Rank::new(Weight::new(weight).expect("a weight"), Randomness::new(bits))
    }

    #[test]
    fn what_fits_is_kept_with_certainty() {
        let mut all = BottomK::new(10);
        for bits in [5, 7, 9] {
            all.offer(rank(1.0, bits), 3);
        }
        assert_eq!(all.threshold(Weight::ONE), Threshold::ALWAYS);
        all.offer(rank(1.0, 6), 3);
        assert_eq!(all.threshold(Weight::ONE), Threshold::new(6), "the lowest is the bar, with 5");
        assert_eq!((all.cost(), all.offered()), (9, 12));
    }

    #[test]
    fn the_first_is_kept_whatever_it_costs() {
        let mut all = BottomK::new(10);
        all.offer(rank(1.0, 9), 1000);
        assert_eq!(all.threshold(Weight::ONE), Threshold::ALWAYS);
        all.offer(rank(1.0, 8), 1);
        assert_eq!((all.cost(), all.threshold(Weight::ONE)), (1000, Threshold::new(9)));
    }

    #[test]
    fn of_equal_ranks_at_the_bar_none_is_kept() {
        let mut all = BottomK::new(2);
        for bits in [9, 5, 5, 5] {
            all.offer(rank(1.0, bits), 1);
        }
        assert_eq!((all.cost(), all.threshold(Weight::ONE)), (1, Threshold::new(6)));
    }

    #[test]
    fn estimates_of_slots_are_unbiased_whatever_the_costs() {
        // Traces of 1 to 50 spans, costs known to depend on the group; 4,000 slots of 100 traces with room for 200 spans.
        let mut chance = Chance::new(7);
        let (mut truth, mut estimate, mut variance) = (0.0, 0.0, 0.0);
        let (mut most, mut large, mut large_estimate) = (0, 0.0, 0.0);
        for _ in 0..4000 {
            let traces: Vec<(Randomness, u64)> =
                (0..100).map(|_| (chance.randomness(), [1, 1, 1, 5, 50][chance.below(5) as usize])).collect();
            let mut slot = BottomK::new(200);
            traces
                .iter()
                .for_each(|(randomness, cost)| slot.offer(Rank::new(Weight::ONE, *randomness), *cost));
            most = most.max(slot.cost());
            let threshold = slot.threshold(Weight::ONE);
            for (randomness, cost) in &traces {
                let (spans, is_large) = (*cost as f64, f64::from(u8::from(*cost == 50)));
                truth += spans;
                large += is_large;
                if threshold.keeps(*randomness) {
                    let stands_for = threshold.adjusted_count();
                    estimate += spans * stands_for;
                    large_estimate += is_large * stands_for;
                    variance += spans * spans * stands_for * (stands_for - 1.0);
                }
            }
        }
        let sigma = f64::sqrt(variance);
        assert!(most <= 200, "{most}");
        assert!((estimate - truth).abs() < 4.0 * sigma, "{estimate} for {truth}, sigma {sigma}");
        assert!(sigma < truth * 0.02, "the bound says something: {sigma} of {truth}");
        assert!((large_estimate / large - 1.0).abs() < 0.05, "{large_estimate} for {large}");
    }

    #[test]
    fn weights_are_estimated_without_bias_and_heavy_ones_come_first() {
        let mut chance = Chance::new(11);
        let (mut truth, mut estimate, mut variance) = (0.0, 0.0, 0.0);
        let (mut kept, mut of) = ([0_u32; 3], [0_u32; 3]);
        for _ in 0..4000 {
            let traces: Vec<(Randomness, usize)> = (0..100)
                .map(|_| (chance.randomness(), [0, 0, 0, 0, 0, 0, 1, 1, 1, 2][chance.below(10) as usize]))
                .collect();
            let weight = |group: usize| Weight::new([1.0, 4.0, 40.0][group]).expect("a weight");
            let mut slot = BottomK::new(20);
            traces
                .iter()
                .for_each(|(randomness, group)| slot.offer(Rank::new(weight(*group), *randomness), 1));
            for (randomness, group) in &traces {
                let threshold = slot.threshold(weight(*group));
                truth += weight(*group).value();
                of[*group] += 1;
                if threshold.keeps(*randomness) {
                    let (stands_for, w) = (threshold.adjusted_count(), weight(*group).value());
                    kept[*group] += 1;
                    estimate += w * stands_for;
                    variance += w * w * stands_for * (stands_for - 1.0);
                }
            }
        }
        assert!((estimate - truth).abs() < 4.0 * f64::sqrt(variance), "{estimate} for {truth}");
        let share = |group: usize| f64::from(kept[group]) / f64::from(of[group]);
        assert!(share(2) > 0.95 && share(1) > 2.5 * share(0), "{kept:?} of {of:?}");
    }

    proptest! {
        #[test]
        fn the_order_of_offers_does_not_matter(
            mut offers in prop::collection::vec((0_u8..40, 0_u64..50, 0_u64..9), 0..60),
            budget in 0_u64..60,
        ) {
            let outcome = |offers: &[(u8, u64, u64)], first: u64| {
                let mut all = BottomK::new(first);
                offers.iter().for_each(|(weight, bits, cost)| all.offer(rank(f64::from(*weight), *bits), *cost));
                all.shrink(budget);
                let weights: Vec<Threshold> = (0..40).map(|weight| all.threshold(Weight::new(f64::from(weight)).expect("a weight"))).collect();
                (all.cost(), weights)
            };
            let before = outcome(&offers, budget);
            // What one pass over all of them in their order keeps.
            let mut sorted = offers.clone();
            sorted.sort_by_key(|(weight, bits, _)| Reverse(rank(f64::from(*weight), *bits)));
            let (mut cost, mut bar) = (0, None);
            for (index, (weight, bits, own)) in sorted.iter().enumerate() {
                if index > 0 && cost + own.max(&1) > budget {
                    bar = Some(rank(f64::from(*weight), *bits));
                    break;
                }
                cost += own.max(&1);
            }
            let above: u64 = sorted.iter().filter(|(weight, bits, _)| bar.is_none_or(|bar| rank(f64::from(*weight), *bits) > bar)).map(|(_, _, own)| own.max(&1)).sum();
            prop_assert_eq!(before.0, above);
            offers.reverse();
            prop_assert_eq!(&outcome(&offers, budget), &before);
            prop_assert_eq!(&outcome(&offers, u64::MAX), &before, "shrinking afterwards is the same");
        }
    }
}
