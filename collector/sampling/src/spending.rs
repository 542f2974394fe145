use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::{BottomK, Demand, Part, Rank, Threshold, Weight, max_min_fair_weighted};

/// How keys share what is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Every key has all of it for itself.
    Each,
    /// The keys have it together, max-min fairly.
    Fair,
}

/// What may be kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allowance {
    /// Spans, bytes or traces in a second, above 0.
    pub per_second: f64,
    /// Whose it is.
    pub sharing: Sharing,
    /// Keys that are told apart; later ones are one together.
    pub most_keys: usize,
}

/// Keeps to an [`Allowance`] over time, slot by slot.
///
/// Whatever is due together makes a slot; its budget is what has not been spent, up to that of one second. In it every key
/// keeps what [`BottomK`] chooses. Because that keeps the first whatever it costs, there is a floor besides: no more is
/// expected to be kept than twice the key's share. What is kept beyond the budget is saved in later slots.
///
/// Bar and floor depend on what costs how much and on former slots, never on the randomness of what they keep, so
/// estimates by their thresholds are unbiased. Everything has a chance: a budget is never less than a quarter of what
/// came in since the last slot.
///
/// Where several shards have an allowance together, each has the part of it that its part of the [`Demand`] is.
#[derive(Debug)]
pub struct Spending {
    allowance: Allowance,
    purses: HashMap<u64, Purse>,
    /// What all shards are asked for, and which one this is.
    shared: Option<(Arc<Demand>, usize)>,
}

/// What is left to spend, of one key or of all.
#[derive(Clone, Copy, Debug)]
struct Purse {
    credit: f64,
    at: Duration,
}

/// The most that can be saved or owed, in seconds.
const MOST_SAVED: f64 = 1.0;
const MOST_OWED: f64 = 10.0;
/// The part of its income that a slot can spend whatever is owed.
const LEAST: f64 = 0.25;
/// How many times its share a key may be expected to keep.
const SLACK: f64 = 2.0;

impl Purse {
    /// What can be spent now.
    fn open(&mut self, per_second: f64, now: Duration) -> f64 {
        let since = now.saturating_sub(self.at).as_secs_f64().max(0.001);
        self.at = self.at.max(now);
        let income = per_second * since.min(MOST_SAVED);
        self.credit = (self.credit + income).min(per_second * MOST_SAVED);
        self.credit.max(income * LEAST)
    }

    fn spend(&mut self, cost: u64, per_second: f64) {
        self.credit = (self.credit - cost as f64).max(-per_second * MOST_OWED);
    }
}

impl Spending {
    /// With nothing spent yet.
    pub fn new(allowance: Allowance) -> Spending {
        Spending { allowance, purses: HashMap::new(), shared: None }
    }

    /// As one of the shards that have an allowance together.
    pub fn shared(allowance: Allowance, demand: Arc<Demand>, shard: usize) -> Spending {
        Spending { shared: Some((demand, shard)), ..Spending::new(allowance) }
    }

    /// Goes on with what another one has spent.
    pub fn adopt(&mut self, old: &mut Spending) {
        std::mem::swap(&mut self.purses, &mut old.purses);
        if let (Some((mine, _)), Some((theirs, _))) = (&mut self.shared, &old.shared)
            && mine.shards() == theirs.shards()
        {
            *mine = theirs.clone();
        }
    }

    /// Keys that are known.
    pub fn keys(&self) -> usize {
        self.purses.len()
    }

    /// The purse of a key that has so much in a second.
    fn purse(&mut self, key: u64, per_second: f64, now: Duration) -> &mut Purse {
        self.purses.entry(key).or_insert(Purse { credit: per_second * MOST_SAVED, at: now })
    }

    /// This shard's part of the allowance, for a slot with these keys.
    fn part(&self, groups: &[(u64, &mut BottomK)], now: Duration) -> Part {
        match &self.shared {
            None => Part { of_keys: vec![1.0; groups.len()], of_all: 1.0 },
            Some((demand, shard)) => {
                let asked: Vec<(u64, u64)> =
                    groups.iter().map(|(key, group)| (*key, group.offered())).collect();
                demand.note(*shard, &asked, self.allowance.per_second, now)
            }
        }
    }

    /// Decides about a slot at a monotonic time.
    pub fn close(&mut self, mut slot: Slot, now: Duration) -> Closed {
        let Allowance { per_second, sharing, most_keys } = self.allowance;
        // By key, so that nothing goes by the order of a hash map.
        let mut groups: Vec<(u64, &mut BottomK)> =
            slot.keys.iter_mut().map(|(key, group)| (*key, group)).collect();
        groups.sort_unstable_by_key(|(key, _)| *key);
        let part = self.part(&groups, now);
        let mut floors = HashMap::with_capacity(groups.len());
        let mut cost = 0;
        let shares: Vec<f64> = match sharing {
            Sharing::Each => {
                let rates = part.of_keys.iter().map(|part| per_second * part);
                let keys = groups.iter().map(|(key, _)| *key);
                keys.zip(rates).map(|(key, rate)| self.purse(key, rate, now).open(rate, now)).collect()
            }
            Sharing::Fair => {
                let rate = per_second * part.of_all;
                let budget = self.purse(0, rate, now).open(rate, now);
                let demands: Vec<f64> = groups.iter().map(|(_, group)| group.offered() as f64).collect();
                max_min_fair_weighted(budget, &demands, &part.of_keys)
            }
        };
        for (((key, group), share), of_key) in groups.into_iter().zip(shares).zip(part.of_keys) {
            group.shrink(share as u64);
            // The rank that so much weight is expected to reach as the share allows for.
            let is_enough = group.offered() as f64 <= share;
            let floor = if is_enough { 0.0 } else { group.offered_weight() / (SLACK * share) };
            let kept = group.cost_above(|weight| floor_of(floor, weight));
            floors.insert(key, floor);
            cost += kept;
            if sharing == Sharing::Each {
                let rate = per_second * of_key;
                self.purse(key, rate, now).spend(kept, rate);
            }
        }
        match sharing {
            Sharing::Fair => {
                let rate = per_second * part.of_all;
                self.purse(0, rate, now).spend(cost, rate);
            }
            // Who has not been seen for so long owes nothing, and has no more saved than who is new.
            Sharing::Each if self.purses.len() > 2 * most_keys => {
                let oldest = now.saturating_sub(Duration::from_secs_f64(MOST_OWED + MOST_SAVED));
                self.purses.retain(|_, purse| purse.at > oldest);
                if self.purses.len() > 2 * most_keys {
                    self.purses.clear();
                }
            }
            Sharing::Each => {}
        }
        Closed { slot, floors, cost }
    }
}

/// The candidates of one slot, by key.
#[derive(Debug)]
pub struct Slot {
    allowance: Allowance,
    keys: HashMap<u64, BottomK>,
}

/// The key of those that are too many.
const REST: u64 = u64::MAX;

impl Slot {
    /// An empty one.
    pub fn new(allowance: Allowance) -> Slot {
        Slot { allowance, keys: HashMap::new() }
    }

    fn key(&self, key: u64) -> u64 {
        let is_known = self.keys.contains_key(&key) || self.keys.len() < self.allowance.most_keys;
        if is_known { key } else { REST }
    }

    /// Offers something of a key.
    pub fn offer(&mut self, key: u64, rank: Rank, cost: u64) {
        let most = (self.allowance.per_second * MOST_SAVED) as u64;
        self.keys.entry(self.key(key)).or_insert_with(|| BottomK::new(most)).offer(rank, cost);
    }
}

/// What was decided of a slot.
#[derive(Debug)]
pub struct Closed {
    slot: Slot,
    floors: HashMap<u64, f64>,
    cost: u64,
}

impl Closed {
    /// The threshold for something of this key and weight; none where nothing like it was offered.
    pub fn threshold(&self, key: u64, weight: Weight) -> Option<Threshold> {
        let key = if self.floors.contains_key(&key) { key } else { REST };
        let (group, floor) = (self.slot.keys.get(&key)?, self.floors.get(&key)?);
        Some(group.threshold(weight).max(floor_of(*floor, weight)))
    }

    /// What all that is kept costs.
    pub fn cost(&self) -> u64 {
        self.cost
    }
}

fn floor_of(floor: f64, weight: Weight) -> Threshold {
    Threshold::of_rate(floor / weight.value().max(f64::MIN_POSITIVE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Randomness;
    use crate::chance::Chance;

    const FAIR: Allowance = Allowance { per_second: 300.0, sharing: Sharing::Fair, most_keys: 100 };

    fn one(randomness: Randomness) -> Rank {
        Rank::new(Weight::ONE, randomness)
    }

    /// Offers `(key, traces, spans each)` in every slot; tells what is kept and estimated of each per slot.
    fn play(
        allowance: Allowance,
        slots: u32,
        length: Duration,
        load: &[(u64, u64, u64)],
    ) -> (Vec<f64>, Vec<f64>) {
        let mut chance = Chance::new(3);
        let (mut kept, mut estimates) = (vec![0.0; load.len()], vec![0.0; load.len()]);
        let mut spending = Spending::new(allowance);
        for number in 0..slots {
            let mut slot = Slot::new(allowance);
            let mut traces = Vec::new();
            for (index, (key, count, spans)) in load.iter().enumerate() {
                for _ in 0..*count {
                    let randomness = chance.randomness();
                    slot.offer(*key, one(randomness), *spans);
                    traces.push((index, *key, randomness, *spans as f64));
                }
            }
            let closed = spending.close(slot, length * number);
            let before: f64 = kept.iter().sum();
            for (index, key, randomness, spans) in traces {
                let threshold = closed.threshold(key, Weight::ONE).expect("it was offered");
                if threshold.keeps(randomness) {
                    kept[index] += spans;
                    estimates[index] += spans * threshold.adjusted_count();
                }
            }
            assert_eq!(kept.iter().sum::<f64>() - before, closed.cost() as f64, "is what it says");
        }
        kept.iter_mut().chain(&mut estimates).for_each(|sum| *sum /= f64::from(slots));
        (kept, estimates)
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_loud_tenant_leaves_the_quiet_their_share_and_estimates_are_right() {
        let load = [(1, 1000, 10), (2, 5, 8), (3, 50, 4), (4, 40, 5)];
        let (kept, estimates) = play(FAIR, 2000, SECOND, &load);
        assert_eq!(kept[1], 40.0, "asks for less than its share, and gets all: {kept:?}");
        for loud in [0, 2, 3] {
            assert!((75.0..=88.0).contains(&kept[loud]), "{kept:?}");
        }
        assert!(kept.iter().sum::<f64>() <= 300.0, "{kept:?}");
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
    fn traces_that_are_larger_than_the_budget_of_a_slot_do_not_break_it() {
        // Slots of 100 ms have 30 spans to spend, and 20 keys with traces of 50 spans.
        let load: Vec<(u64, u64, u64)> = (0..20).map(|key| (key, 3, 50)).collect();
        let (kept, estimates) = play(FAIR, 20_000, SECOND / 10, &load);
        let total: f64 = kept.iter().sum();
        assert!((27.0..=31.0).contains(&total), "{total} of 30");
        let (estimate, truth) = (estimates.iter().sum::<f64>(), 20.0 * 150.0);
        assert!((estimate / truth - 1.0).abs() < 0.05, "{estimate} for {truth}");
    }

    #[test]
    fn every_key_may_have_a_budget_of_its_own() {
        let each = Allowance { per_second: 100.0, sharing: Sharing::Each, most_keys: 2 };
        let load = [(1, 30, 10), (2, 5, 10), (3, 20, 10), (4, 20, 10)];
        let (kept, estimates) = play(each, 500, SECOND, &load);
        assert_eq!((kept[0], kept[1]), (100.0, 50.0));
        assert_eq!(kept[2] + kept[3], 100.0, "keys that are too many are one");
        assert!((estimates[0] / 300.0 - 1.0).abs() < 0.05, "{estimates:?}");
    }

    #[test]
    fn keys_are_bounded() {
        let each = Allowance { per_second: 100.0, sharing: Sharing::Each, most_keys: 5 };
        let mut spending = Spending::new(each);
        for number in 0..1000 {
            let mut slot = Slot::new(each);
            slot.offer(number, one(Randomness::MAX), 1);
            let closed = spending.close(slot, SECOND * number as u32);
            assert_eq!(closed.threshold(number, Weight::ONE), Some(Threshold::ALWAYS));
            assert_eq!(closed.threshold(number + 1, Weight::ONE), None);
            assert!(spending.keys() <= 11);
        }
    }
}
