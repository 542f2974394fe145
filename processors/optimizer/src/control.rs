//! Keeps to targets by carrying out more or fewer of the rules that have a level.
//!
//! What is measured is the demand, before the rules, and what is left of it behind them. More is given up when what is left
//! is over a target. Less is given up only once what is expected then, by the demand of now and the share that was left at
//! that step before, is well below all targets. So a change does not undo its own cause. After each change there is a
//! time of rest, long enough to see what came of it and for series to be forgotten. Without data everything stays as it is.

mod ladder;
mod law;
mod measure;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use ladder::Ladder;
pub(crate) use measure::{Meter, Sample, host_load};

use crate::config::ControlSettings;
use law::{Law, Pressure};

/// How much of an average is of the latest interval: half of it is older than two.
const NEWEST: f64 = 0.292_893;
/// The names of targets, as settings have them.
pub(crate) const TARGETS: [&str; 4] = ["series", "points_per_minute", "bytes_per_second", "load"];

/// A change of the step, and what decided it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Which of [`TARGETS`].
    pub(crate) target: usize,
    pub(crate) measured: f64,
    pub(crate) demand: f64,
    pub(crate) limit: f64,
    pub(crate) expected: Option<f64>,
}

/// Of one target.
#[derive(Clone, Debug)]
struct Tracked {
    limit: f64,
    demand: Option<f64>,
    measured: f64,
    /// The share of the demand that was left, by step, where that was seen.
    shares: Vec<Option<f64>>,
}

impl Tracked {
    /// What is expected at a step: by the share that was left there. One that was skipped lies between its neighbours that were seen:
    /// it is tried once, and known from then on.
    fn expected(&self, step: usize) -> f64 {
        let seen = |step: usize| Some((step, (*self.shares.get(step)?)?));
        let gentler = (0..=step).rev().find_map(seen);
        let harsher = (step + 1..self.shares.len()).find_map(seen);
        let share = match (gentler, harsher) {
            (Some((at, share)), Some((to, less))) if at < step => {
                share + (less - share) * (step - at) as f64 / (to - at) as f64
            }
            (Some((_, share)), _) => share,
            (None, _) => 1.0,
        };
        self.demand.unwrap_or_default() * share
    }
}

/// The loop of one processor.
#[derive(Clone, Debug)]
pub(crate) struct Controller {
    settings: ControlSettings,
    steps: usize,
    step: usize,
    law: Law,
    targets: [Option<Tracked>; 4],
    changed: Option<Duration>,
    /// Whether nothing was measured since the last change.
    is_fresh: bool,
    before: Option<Duration>,
}

impl Controller {
    /// For a ladder of so many steps.
    pub(crate) fn new(settings: &ControlSettings, steps: usize) -> Controller {
        let targets = &settings.targets;
        let limits = [
            targets.series as f64,
            targets.points_per_minute as f64,
            targets.bytes_per_second as f64,
            targets.load,
        ];
        let tracked = |limit: f64| {
            let shares = vec![None; steps + 1];
            (limit > 0.0).then_some(Tracked { limit, demand: None, measured: 0.0, shares })
        };
        Controller {
            law: Law::new(settings),
            settings: settings.clone(),
            steps,
            step: 0,
            targets: limits.map(tracked),
            changed: None,
            is_fresh: false,
            before: None,
        }
    }

    pub(crate) fn step(&self) -> usize {
        self.step
    }

    /// Whether it would do the same as the other.
    pub(crate) fn is_like(&self, settings: &ControlSettings, steps: usize) -> bool {
        self.settings == *settings && self.steps == steps
    }

    /// Takes what was measured in an interval that ended now: by target what was asked for, and what was left.
    pub(crate) fn take(&mut self, samples: [Option<Sample>; 4], now: Duration) -> Option<Change> {
        let minutes = self.before.map_or(0.0, |before| now.saturating_sub(before).as_secs_f64() / 60.0);
        self.before = Some(now);
        let step = self.step;
        let mut any = false;
        // What is measured soon after a change is partly of the step before.
        let since = self.changed.map(|changed| now.saturating_sub(changed));
        let is_settled = since.is_none_or(|since| since >= self.settings.cooldown.as_duration());
        for (target, sample) in self.targets.iter_mut().zip(samples) {
            let (Some(target), Some(Sample { demand, measured })) = (target, sample) else { continue };
            if demand <= 0.0 || !demand.is_finite() || !measured.is_finite() {
                continue;
            }
            any = true;
            let average = |old: f64, new: f64| old + NEWEST * (new - old);
            let is_first = target.demand.is_none() || self.is_fresh;
            target.demand = Some(target.demand.map_or(demand, |old| average(old, demand)));
            if !is_settled {
                continue;
            }
            target.measured = if is_first { measured } else { average(target.measured, measured) };
            if let Some(share) = target.shares.get_mut(step) {
                let now = (measured / demand).min(1.0);
                *share = Some(share.map_or(now, |old| average(old, now)));
            }
        }
        // Nothing is concluded from silence, nor from what a change has not come through to yet.
        if !any || !is_settled {
            return None;
        }
        self.is_fresh = false;
        let (worst, now_at) = self.worst(|target| target.measured)?;
        let below = step.checked_sub(1).and_then(|below| self.worst(|target| target.expected(below)));
        let pressure = Pressure { now: now_at, below: below.map(|(_, below)| below), minutes };
        let mut wanted = self.law.wanted(step, self.steps, &pressure, &self.settings);
        // One step down at a time, after its time, and only to where the targets would still be kept to.
        if wanted < step {
            let is_due = since.is_none_or(|since| since >= self.settings.dwell.as_duration());
            let is_safe = pressure.below.is_some_and(|below| below <= self.settings.down);
            wanted = if is_due && is_safe { step - 1 } else { step };
        }
        if wanted == step {
            return None;
        }
        self.step = wanted;
        self.changed = Some(now);
        self.is_fresh = true;
        let decided = if wanted < step { below.map_or(worst, |(target, _)| target) } else { worst };
        let target = self.targets.get(decided)?.as_ref()?;
        let is_known = target.shares.get(wanted).is_some_and(Option::is_some);
        let change = Change {
            from: step,
            to: wanted,
            target: decided,
            measured: target.measured,
            demand: target.demand.unwrap_or_default(),
            limit: target.limit,
            expected: is_known.then(|| target.expected(wanted)),
        };
        Some(change)
    }

    /// The target of which most is used, and how much of it.
    fn worst(&self, of: impl Fn(&Tracked) -> f64) -> Option<(usize, f64)> {
        let used = |(index, target): (usize, &Option<Tracked>)| {
            let target = target.as_ref().filter(|target| target.demand.is_some())?;
            Some((index, of(target) / target.limit))
        };
        self.targets.iter().enumerate().filter_map(used).max_by(|a, b| a.1.total_cmp(&b.1))
    }
}
