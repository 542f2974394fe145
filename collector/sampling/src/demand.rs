use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::max_min_fair;

/// What each of several shards is asked for, by key: so that a budget goes where the demand is, and not in equal parts to
/// shards of which one has nearly all of it.
///
/// Parts are set every [`EPOCH`], by sums that decay over [`MEMORY`]: within an epoch all shards go by the same ones, so that their
/// parts add up to one. They depend on what comes and never on what is kept, so what is decided by them is as unbiased as it
/// is by fixed parts.
#[derive(Debug)]
pub struct Demand {
    shards: usize,
    most_keys: usize,
    known: Mutex<Known>,
}

/// The part of one shard.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Of each key that was noted, in their order.
    pub of_keys: Vec<f64>,
    /// Of a budget that all keys share fairly.
    pub of_all: f64,
}

const EPOCH: Duration = Duration::from_millis(500);
/// How long demand is remembered: it has fallen to a third by then.
const MEMORY: Duration = Duration::from_secs(2);
/// What shards are given beside what they are asked for: so one that begins to have a demand has something at once.
const SPREAD: f64 = 0.02;
/// Sums below this are none.
const NOTHING: f64 = 1e-3;

#[derive(Debug, Default)]
struct Known {
    /// What each shard is asked for.
    keys: HashMap<u64, Vec<Asked>>,
    /// The part of each shard of what all keys share.
    of_all: Vec<f64>,
    /// When the epoch began.
    since: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    sum: f64,
    /// Of this epoch, which counts from the next on.
    fresh: f64,
}

fn total(shards: &[Asked]) -> f64 {
    shards.iter().map(|asked| asked.sum).sum()
}

/// The part of a shard of what a key has.
fn part(shards: &[Asked], shard: usize) -> f64 {
    let (all, equal) = (total(shards), 1.0 / shards.len() as f64);
    let mine = shards.get(shard).map_or(0.0, |asked| asked.sum);
    if all < NOTHING { equal } else { (mine / all + SPREAD * equal) / (1.0 + SPREAD) }
}

impl Demand {
    /// Of so many shards, at least one, and about so many keys.
    pub fn new(shards: usize, most_keys: usize) -> Demand {
        Demand { shards: shards.max(1), most_keys, known: Mutex::default() }
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// Notes what a shard is asked for at a monotonic time, by key; tells its parts where so much is given in a second.
    pub fn note(&self, shard: usize, asked: &[(u64, u64)], per_second: f64, now: Duration) -> Part {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = &mut *known;
        let age = now.saturating_sub(*known.since.get_or_insert(now));
        if age >= EPOCH {
            known.begin_epoch(age, per_second, self.shards);
            known.since = Some(now);
        }
        let mut of_keys = Vec::with_capacity(asked.len());
        for (key, amount) in asked {
            if known.keys.len() >= 2 * self.most_keys && !known.keys.contains_key(key) {
                known.keys.clear();
            }
            let shards = known.keys.entry(*key).or_insert_with(|| vec![Asked::default(); self.shards]);
            of_keys.push(part(shards, shard));
            if let Some(mine) = shards.get_mut(shard) {
                mine.fresh += *amount as f64;
            }
        }
        let of_all = known.of_all.get(shard).copied().unwrap_or(1.0 / self.shards as f64);
        Part { of_keys, of_all }
    }
}

impl Known {
    fn begin_epoch(&mut self, age: Duration, per_second: f64, shards: usize) {
        let decay = (-age.as_secs_f64() / MEMORY.as_secs_f64()).exp();
        for asked in self.keys.values_mut().flatten() {
            *asked = Asked { sum: asked.sum * decay + asked.fresh, fresh: 0.0 };
        }
        self.keys.retain(|_, shards| total(shards) > NOTHING);
        let rates: Vec<f64> = self.keys.values().map(|of| total(of) / MEMORY.as_secs_f64()).collect();
        let shares = max_min_fair(per_second, &rates);
        let all: f64 = shares.iter().sum();
        let of_shard = |shard| {
            let mine: f64 = self.keys.values().zip(&shares).map(|(of, share)| share * part(of, shard)).sum();
            if all < NOTHING { 1.0 / shards as f64 } else { mine / all }
        };
        self.of_all = (0..shards).map(of_shard).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn parts_go_by_demand_and_add_up() {
        for step in [50, 1000] {
            let demand = Demand::new(2, 100);
            let mut parts = None;
            for tick in 0..200 {
                let one = demand.note(0, &[(1, 90), (2, 10)], 100.0, ms(step * tick));
                let two = demand.note(1, &[(1, 10)], 100.0, ms(step * tick));
                assert!((one.of_keys[0] + two.of_keys[0] - 1.0).abs() < 1e-9);
                assert!((one.of_all + two.of_all - 1.0).abs() < 1e-9);
                parts = Some(one);
            }
            let one = parts.unwrap();
            assert!((one.of_keys[0] - 0.89).abs() < 0.01, "{one:?}");
            assert!(one.of_keys[1] > 0.98, "{one:?}");
            assert!((0.88..0.95).contains(&one.of_all), "{one:?}");
        }
    }

    #[test]
    fn a_fair_budget_goes_by_what_keys_get_of_it() {
        let demand = Demand::new(2, 100);
        for tick in 0..100 {
            demand.note(0, &[(1, 1000)], 100.0, ms(1000 * tick));
            demand.note(1, &[(2, 40)], 100.0, ms(1000 * tick));
        }
        let quiet = demand.note(1, &[(2, 40)], 100.0, ms(100_000));
        // Of 100 a second it gets what it asks for, about 40, for a twenty-fifth of the demand.
        assert!((0.38..0.52).contains(&quiet.of_all), "{quiet:?}");
    }

    #[test]
    fn what_nobody_asked_for_is_shared_equally_and_demand_is_forgotten() {
        let demand = Demand::new(4, 100);
        assert_eq!(demand.note(0, &[(1, 1000)], 10.0, ms(0)), Part { of_keys: vec![0.25], of_all: 0.25 });
        assert!(demand.note(3, &[(1, 10)], 10.0, ms(600)).of_keys[0] < 0.02);
        demand.note(3, &[(1, 10)], 10.0, ms(30_000));
        let later = demand.note(3, &[(1, 10)], 10.0, ms(31_000));
        assert!(later.of_keys[0] > 0.95, "{later:?}");
    }

    #[test]
    fn keys_are_bounded() {
        let demand = Demand::new(2, 10);
        for key in 0..1000 {
            demand.note(0, &[(key, 5)], 10.0, ms(key));
            assert!(demand.known.lock().unwrap().keys.len() <= 20);
        }
    }
}
