use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// What rates are to achieve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// One of so many is kept on average.
    Rate(f64),
    /// So many are kept in a second; until the first interval is over, one in `initial_rate`.
    Throughput {
        /// The goal.
        per_second: f64,
        /// Until there is something to go by.
        initial_rate: f64,
    },
}

/// Settings of [`EmaRates`], with Refinery's defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct EmaSettings {
    /// What is to be achieved.
    pub goal: Goal,
    /// How often rates are set.
    pub interval: Duration,
    /// The weight of the last interval against all before it.
    pub weight: f64,
    /// A key whose average falls below this is forgotten.
    pub age_out: f64,
    /// This many times an average interval sets rates early; 0 never.
    pub burst_multiple: f64,
    /// Only after so many intervals.
    pub burst_delay: u32,
    /// Keys counted in an interval.
    pub max_keys: usize,
}

impl EmaSettings {
    /// The defaults for a goal.
    pub fn new(goal: Goal) -> EmaSettings {
        EmaSettings {
            goal,
            interval: Duration::from_secs(15),
            weight: 0.5,
            age_out: 0.5,
            burst_multiple: 2.0,
            burst_delay: 3,
            max_keys: 500,
        }
    }
}

/// Sampling rates by key that give rare keys more than frequent ones: what a key keeps is proportional to the logarithm
/// of its moving average.
///
/// These are the algorithms `EMASampleRate` and `EMAThroughput` of Honeycomb's `dynsampler-go`, step by step, on which
/// Refinery's samplers stand. One thing is other: keys beyond `max_keys` are counted as one, [`OTHER_KEYS`], where Refinery
/// keeps all of them, so that a flood of keys is no way around the goal.
///
/// An interval in which nothing was counted changes nothing.
#[derive(Clone, Debug)]
pub struct EmaRates {
    settings: EmaSettings,
    current: HashMap<Box<str>, f64>,
    /// By key, since what rounding leaves over is passed on in that order.
    averages: BTreeMap<Box<str>, f64>,
    rates: HashMap<Box<str>, u64>,
    counted: f64,
    burst_threshold: f64,
    intervals: u32,
    due: Option<Duration>,
}

/// The key that stands for those that are too many.
pub const OTHER_KEYS: &str = "…";

impl EmaRates {
    /// Without experience.
    pub fn new(settings: EmaSettings) -> EmaRates {
        EmaRates {
            settings,
            current: HashMap::new(),
            averages: BTreeMap::new(),
            rates: HashMap::new(),
            counted: 0.0,
            burst_threshold: 0.0,
            intervals: 0,
            due: None,
        }
    }

    /// Goes on with other settings; what was learned stays.
    pub fn set(&mut self, settings: EmaSettings) {
        self.settings = settings;
    }

    /// Counts `amount` (spans, for example) of a key at a monotonic time; tells that one in how many of the key is to be
    /// kept, from 1.
    pub fn rate(&mut self, key: &str, amount: u64, now: Duration) -> u64 {
        let due = *self.due.get_or_insert(now + self.settings.interval);
        if now >= due {
            self.update();
            self.due = Some(now + self.settings.interval);
        }
        let key = self.count(key, amount as f64);
        if self.is_burst() {
            self.update();
            self.due = Some(now + self.settings.interval);
        }
        if self.intervals == 0 {
            let initial = match self.settings.goal {
                Goal::Rate(rate) => rate,
                Goal::Throughput { initial_rate, .. } => initial_rate,
            };
            return (initial as u64).max(1);
        }
        self.rates.get(key).copied().unwrap_or(1)
    }

    /// Keys with a rate.
    pub fn keys(&self) -> usize {
        self.rates.len()
    }

    fn count<'k>(&mut self, key: &'k str, amount: f64) -> &'k str {
        self.counted += amount;
        if let Some(count) = self.current.get_mut(key) {
            *count += amount;
            return key;
        }
        let key = if self.current.len() < self.settings.max_keys { key } else { OTHER_KEYS };
        *self.current.entry(key.into()).or_default() += amount;
        key
    }

    fn is_burst(&self) -> bool {
        self.burst_threshold > 0.0
            && self.counted >= self.burst_threshold
            && self.intervals >= self.settings.burst_delay
    }

    fn update(&mut self) {
        if self.current.is_empty() {
            return;
        }
        let current = std::mem::take(&mut self.current);
        self.counted = 0.0;
        self.intervals = self.intervals.saturating_add(1);
        self.average(current);
        let sum: f64 = self.averages.values().map(|average| average.max(1.0)).sum();
        self.burst_threshold = sum * self.settings.burst_multiple;
        let goal = match self.settings.goal {
            Goal::Rate(rate) => sum / rate,
            Goal::Throughput { per_second, .. } => per_second * self.settings.interval.as_secs_f64(),
        };
        let logarithms: f64 = self.averages.values().map(|average| average.max(1.0).log10()).sum();
        self.spread(goal / logarithms);
    }

    fn average(&mut self, mut current: HashMap<Box<str>, f64>) {
        let (weight, age_out) = (self.settings.weight, self.settings.age_out);
        self.averages.retain(|key, average| {
            *average = weight * current.remove(key).unwrap_or_default() + (1.0 - weight) * *average;
            *average >= age_out
        });
        let new = current.into_iter().map(|(key, count)| (key, weight * count));
        self.averages.extend(new.filter(|(_, average)| *average >= age_out));
    }

    /// What a key does not need of its goal goes to those after it.
    fn spread(&mut self, ratio: f64) {
        self.rates.clear();
        let mut extra = 0.0;
        for (index, (key, average)) in self.averages.iter().enumerate() {
            let count = average.max(1.0);
            let passed_on = extra / (self.averages.len() - index) as f64;
            extra -= passed_on;
            let goal = (count.log10() * ratio).max(1.0) + passed_on;
            let rate = if count <= goal {
                extra += goal - count;
                1.0
            } else {
                let rate = (count / goal).ceil();
                let rate = if rate.is_nan() { 1.0 } else { rate };
                extra += goal - count / rate;
                rate
            };
            self.rates.insert(key.clone(), rate as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Threshold;
    use crate::chance::Chance;

    const SECOND: Duration = Duration::from_secs(1);

    /// Rates for the keys after the counts of intervals of 15 s.
    fn rates(goal: Goal, intervals: &[&[(&str, u64)]], keys: &[&str]) -> Vec<u64> {
        let mut ema = EmaRates::new(EmaSettings::new(goal));
        for (number, counts) in intervals.iter().enumerate() {
            for (key, count) in *counts {
                ema.rate(key, *count, 15 * SECOND * number as u32);
            }
        }
        ema.due = None;
        ema.update();
        keys.iter().map(|key| ema.rates.get(*key).copied().unwrap_or(1)).collect()
    }

    #[test]
    fn rates_are_those_of_the_published_steps() {
        let first: &[(&str, u64)] = &[("A", 1000), ("B", 100), ("C", 10), ("D", 1)];
        let second: &[(&str, u64)] = &[("A", 2000), ("C", 10)];
        let keys = ["A", "B", "C", "D"];
        assert_eq!(rates(Goal::Rate(10.0), &[first], &keys), [17, 3, 1, 1]);
        assert_eq!(rates(Goal::Rate(10.0), &[first, second], &keys), [17, 1, 1, 1]);
        let goal = Goal::Throughput { per_second: 100.0, initial_rate: 10.0 };
        let counts: &[(&str, u64)] = &[("A", 100_000), ("B", 10_000), ("C", 100)];
        assert_eq!(rates(goal, &[counts], &["A", "B", "C"]), [72, 10, 1]);
    }

    #[test]
    fn averages_move_and_age_out_as_published() {
        let mut ema = EmaRates::new(EmaSettings::new(Goal::Rate(10.0)));
        for (key, count) in [("A", 1000), ("B", 100), ("C", 10), ("D", 1)] {
            ema.count(key, f64::from(count));
        }
        ema.update();
        assert_eq!(ema.averages.values().copied().collect::<Vec<_>>(), [500.0, 50.0, 5.0, 0.5]);
        assert_eq!(ema.burst_threshold, 2.0 * 556.0);
        ema.count("A", 2000.0);
        ema.count("C", 10.0);
        ema.update();
        assert_eq!(ema.averages.values().copied().collect::<Vec<_>>(), [1250.0, 25.0, 7.5], "D aged out");
        ema.update();
        assert_eq!(ema.averages.len(), 3, "without traffic nothing decays");
    }

    #[test]
    fn before_the_first_interval_is_over_the_goal_is_the_rate_and_new_keys_are_kept() {
        let mut ema = EmaRates::new(EmaSettings::new(Goal::Rate(10.0)));
        assert_eq!(ema.rate("A", 1000, SECOND), 10);
        assert!(ema.rate("A", 1, 17 * SECOND) > 1);
        assert_eq!(ema.rate("new", 1, 17 * SECOND), 1);
        let goal = Goal::Throughput { per_second: 5.0, initial_rate: 7.0 };
        assert_eq!(EmaRates::new(EmaSettings::new(goal)).rate("A", 1, SECOND), 7);
    }

    #[test]
    fn a_burst_sets_rates_early_but_not_in_the_first_intervals() {
        let mut ema = EmaRates::new(EmaSettings::new(Goal::Rate(10.0)));
        for interval in 0..4 {
            ema.rate("A", 1000, 15 * SECOND * interval);
        }
        let (before, intervals) = (ema.rates["A"], ema.intervals);
        assert_eq!(intervals, 3);
        ema.rate("A", 20_000, 46 * SECOND);
        assert_eq!(ema.intervals, 4, "at once");
        assert!(ema.rates["A"] >= before);
    }

    #[test]
    fn too_many_keys_are_one_key() {
        let settings = EmaSettings { max_keys: 10, ..EmaSettings::new(Goal::Rate(10.0)) };
        let mut ema = EmaRates::new(settings);
        for second in 0..40 {
            for key in 0..1000 {
                ema.rate(&format!("key {key}"), 10, SECOND * second);
            }
        }
        assert!(ema.keys() <= 11, "{}", ema.keys());
        assert!(ema.rate("key 999", 10, 40 * SECOND) > 5, "a flood of keys is no way around the goal");
    }

    #[test]
    fn a_throughput_is_reached_and_rare_keys_are_seen() {
        // 2,000 traces a second of one span, keys by a power law; the goal is 100 a second.
        let goal = Goal::Throughput { per_second: 100.0, initial_rate: 20.0 };
        let mut ema = EmaRates::new(EmaSettings::new(goal));
        let mut chance = Chance::new(5);
        let (mut kept, mut estimate, mut offered) = (0_u32, 0.0, 0.0);
        let mut kept_of_key = [0_u32; 8];
        for second in 0..300_u32 {
            for part in 0..2000 {
                let key = (chance.next().leading_ones() as usize * 2).min(7);
                let now = SECOND * second + Duration::from_micros(500 * part);
                let threshold = Threshold::of_rate(ema.rate(&key.to_string(), 1, now) as f64);
                let is_kept = threshold.keeps(chance.randomness());
                if second >= 60 {
                    offered += 1.0;
                    kept += u32::from(is_kept);
                    kept_of_key[key] += u32::from(is_kept);
                    estimate += if is_kept { threshold.adjusted_count() } else { 0.0 };
                }
            }
        }
        let per_second = f64::from(kept) / 240.0;
        // Rates are whole numbers and rounded up: the goal is a bound more than a target.
        assert!((70.0..=105.0).contains(&per_second), "{per_second}");
        assert!((estimate / offered - 1.0_f64).abs() < 0.05, "{estimate} of {offered}");
        assert!(
            kept_of_key[6] * 3 > kept_of_key[0],
            "eight times rarer, seen nearly as often: {kept_of_key:?}"
        );
    }
}
