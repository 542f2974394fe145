use std::collections::HashMap;

use crate::{BottomK, Rank, Threshold, Weight, max_min_fair};

/// How keys share the budget of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Every key has all of it for itself.
    Each,
    /// The keys have it together, max-min fairly.
    Fair,
}

/// What one slot of time may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Spans, bytes or traces.
    pub budget: u64,
    /// Whose it is.
    pub sharing: Sharing,
    /// Keys that are told apart; later ones are one together.
    pub most_keys: usize,
}

/// The candidates of one slot of time, by key.
#[derive(Debug)]
pub struct Slot {
    allowance: Allowance,
    keys: HashMap<u64, BottomK>,
    /// Of those keys that are too many.
    rest: BottomK,
}

/// What was decided of a slot.
#[derive(Debug)]
pub struct Closed {
    slot: Slot,
    cost: u64,
}

impl Slot {
    /// An empty one. `debt` is what former slots kept beyond their budgets.
    pub fn new(allowance: Allowance, debt: u64) -> Slot {
        let allowance = Allowance { budget: allowance.budget.saturating_sub(debt), ..allowance };
        Slot { allowance, keys: HashMap::new(), rest: BottomK::new(allowance.budget) }
    }

    /// Offers something of a key.
    pub fn offer(&mut self, key: u64, rank: Rank, cost: u64) {
        let is_known = self.keys.contains_key(&key);
        if is_known || self.keys.len() < self.allowance.most_keys {
            let budget = self.allowance.budget;
            self.keys.entry(key).or_insert_with(|| BottomK::new(budget)).offer(rank, cost);
        } else {
            self.rest.offer(rank, cost);
        }
    }

    /// Decides.
    pub fn close(mut self) -> Closed {
        let mut groups: Vec<(u64, &mut BottomK)> =
            self.keys.iter_mut().map(|(key, group)| (*key, group)).collect();
        if self.allowance.sharing == Sharing::Fair {
            // By key, so that what cannot be shared does not go by the order of a hash map.
            groups.sort_unstable_by_key(|(key, _)| *key);
            groups.push((0, &mut self.rest));
            let demands: Vec<u64> = groups.iter().map(|(_, group)| group.offered()).collect();
            let shares = max_min_fair(self.allowance.budget, &demands);
            groups.iter_mut().zip(shares).for_each(|((_, group), share)| group.shrink(share));
        }
        let cost = self.keys.values().chain([&self.rest]).map(BottomK::cost).sum();
        Closed { slot: self, cost }
    }
}

impl Closed {
    /// The threshold for something of this key and weight.
    pub fn threshold(&self, key: u64, weight: Weight) -> Threshold {
        self.slot.keys.get(&key).unwrap_or(&self.slot.rest).threshold(weight)
    }

    /// What all that is kept costs.
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// What the next slots have to save: what keys kept because the first of each is always kept. At most one budget,
    /// so that one large trace does not silence what comes after it for long.
    pub fn debt(&self, per_slot: u64) -> u64 {
        match self.slot.allowance.sharing {
            Sharing::Each => 0,
            Sharing::Fair => self.cost.saturating_sub(self.slot.allowance.budget).min(per_slot),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Randomness;
    use crate::chance::Chance;

    const FAIR: Allowance = Allowance { budget: 300, sharing: Sharing::Fair, most_keys: 100 };

    fn one(randomness: Randomness) -> Rank {
        Rank::new(Weight::ONE, randomness)
    }

    /// Offers `(key, traces, spans each)` and tells what is kept and estimated of each key, over `slots` slots.
    fn play(allowance: Allowance, slots: u32, load: &[(u64, u64, u64)]) -> (Vec<f64>, Vec<f64>, u64) {
        let mut chance = Chance::new(3);
        let (mut kept, mut estimates, mut total, mut debt) =
            (vec![0.0; load.len()], vec![0.0; load.len()], 0, 0);
        for _ in 0..slots {
            let mut slot = Slot::new(allowance, debt);
            let mut traces = Vec::new();
            for (index, (key, count, spans)) in load.iter().enumerate() {
                for _ in 0..*count {
                    let randomness = chance.randomness();
                    slot.offer(*key, one(randomness), *spans);
                    traces.push((index, *key, randomness, *spans as f64));
                }
            }
            let closed = slot.close();
            debt = closed.debt(allowance.budget);
            total += closed.cost();
            for (index, key, randomness, spans) in traces {
                let threshold = closed.threshold(key, Weight::ONE);
                if threshold.keeps(randomness) {
                    kept[index] += spans;
                    estimates[index] += spans * threshold.adjusted_count();
                }
            }
        }
        kept.iter_mut().chain(&mut estimates).for_each(|sum| *sum /= f64::from(slots));
        (kept, estimates, total / u64::from(slots))
    }

    #[test]
    fn a_loud_tenant_leaves_the_quiet_their_share_and_estimates_are_right() {
        let load = [(1, 1000, 10), (2, 5, 8), (3, 50, 4), (4, 40, 5)];
        let (kept, estimates, total) = play(FAIR, 2000, &load);
        assert_eq!(kept[1], 40.0, "asks for less than its share, and gets all: {kept:?}");
        for loud in [0, 2, 3] {
            assert!((75.0..=88.0).contains(&kept[loud]), "{kept:?}");
        }
        assert!(total <= 300, "{total}");
        for (index, (_, count, spans)) in load.iter().enumerate() {
            let truth = (count * spans) as f64;
            assert!(
                (estimates[index] / truth - 1.0).abs() < 0.05,
                "{index}: {} for {truth}",
                estimates[index]
            );
        }
    }

    #[test]
    fn what_is_kept_beyond_the_budget_is_saved_later() {
        // Each of 20 keys keeps at least one trace of 10 spans in a slot; the budget is 100.
        let load: Vec<(u64, u64, u64)> = (0..20).map(|key| (key, 3, 10)).collect();
        let mut slot = Slot::new(Allowance { budget: 100, ..FAIR }, 0);
        let mut chance = Chance::new(1);
        for (key, count, spans) in load {
            (0..count).for_each(|_| slot.offer(key, one(chance.randomness()), spans));
        }
        let closed = slot.close();
        assert_eq!((closed.cost(), closed.debt(100)), (200, 100));
    }

    #[test]
    fn every_key_may_have_a_budget_of_its_own() {
        let each = Allowance { budget: 100, sharing: Sharing::Each, most_keys: 2 };
        let (kept, estimates, _) = play(each, 500, &[(1, 30, 10), (2, 5, 10), (3, 20, 10), (4, 20, 10)]);
        assert_eq!((kept[0], kept[1]), (100.0, 50.0));
        assert_eq!(kept[2] + kept[3], 100.0, "keys that are too many are one");
        assert!((estimates[0] / 300.0 - 1.0).abs() < 0.05, "{estimates:?}");
    }
}
