//! Places under limits, given anew at the end of an interval: to each share what is fair, and within one to who counts most.

use std::collections::{HashMap, HashSet};

use phoenix_series::Slot;

use super::State;
use crate::series::{Goes, OUTDATED};

/// How much of a score comes from the last interval.
const NEWEST: f32 = 0.5;

/// Who has a place or wants one.
#[derive(Clone, Copy, Debug)]
enum Who {
    /// A series that comes in.
    Series(Slot),
    /// A series that is let out.
    Output(Slot),
}

#[derive(Clone, Copy, Debug)]
struct Contender {
    who: Who,
    score: f32,
    has_place: bool,
}

/// The score after an interval in which this much came.
fn aged(score: &mut f32, heat: &mut f32) -> f32 {
    *score = NEWEST * std::mem::take(heat) + (1.0 - NEWEST) * *score;
    *score
}

impl State {
    /// Gives places anew. Whoever lost one goes to the others from its next point on, and by increments: its own series stays
    /// as it was. Whoever got one has a series that begins where it left the others.
    pub(crate) fn rebalance(&mut self) {
        if !self.limits.rebalance() {
            return;
        }
        self.limits.forget_promises();
        let mut contenders = self.contenders();
        let wants: Vec<(Slot, usize)> = contenders.iter().map(|(share, all)| (*share, all.len())).collect();
        let mut losers = HashSet::new();
        for (share, places) in self.limits.deal(&wants) {
            let (Some(all), Some(hysteresis)) = (contenders.get_mut(&share), self.limits.hysteresis(share))
            else {
                continue;
            };
            let weight = |one: &Contender| match one.has_place {
                // An infinite factor keeps even who counts nothing.
                true if hysteresis.is_infinite() => f64::INFINITY,
                true => f64::from(one.score) * hysteresis,
                false => f64::from(one.score),
            };
            all.sort_by(|a, b| {
                weight(b)
                    .total_cmp(&weight(a))
                    .then(b.has_place.cmp(&a.has_place))
                    .then(b.score.total_cmp(&a.score))
            });
            // First those that go, since whoever comes needs their places.
            for loser in all.iter().skip(places).filter(|one| one.has_place) {
                self.limits.give_back(share);
                match loser.who {
                    Who::Series(slot) => {
                        if let Some(series) = self.series.get_mut(slot) {
                            (series.is_over, series.version) = (true, OUTDATED);
                        }
                    }
                    Who::Output(slot) => {
                        if let Some(output) = self.outputs.get_mut(slot) {
                            (output.limit, output.is_retired) = (None, true);
                            losers.insert(slot);
                        }
                    }
                }
            }
            for winner in all.iter().take(places).filter(|one| !one.has_place) {
                if let Who::Series(slot) = winner.who
                    && self.limits.promise(share, self.now.seconds)
                    && let Some(series) = self.series.get_mut(slot)
                {
                    (series.is_promised, series.version) = (true, OUTDATED);
                }
            }
        }
        if !losers.is_empty() {
            self.series.retain(|_, series| {
                if let Goes::Into(slot) = series.goes
                    && losers.contains(&slot)
                {
                    (series.is_over, series.version) = (true, OUTDATED);
                }
                true
            });
        }
    }

    /// Who has a place or wants one, by share; scores are brought up to date.
    fn contenders(&mut self) -> HashMap<Slot, Vec<Contender>> {
        let mut found: HashMap<Slot, Vec<Contender>> = HashMap::new();
        let limits = &self.limits;
        let mut add = |share: Slot, contender: Contender| {
            found.entry(share).or_default().push(contender);
        };
        self.series.retain(|slot, series| {
            if let Some(share) = series.limit
                && limits.hysteresis(share).is_some()
            {
                let score = aged(&mut series.score, &mut series.heat);
                series.is_promised = false;
                // Series that become one with others look anew whether that one has a place by now.
                if series.is_over && !series.plan.steps.is_empty() {
                    series.version = OUTDATED;
                }
                add(share, Contender { who: Who::Series(slot), score, has_place: !series.is_over });
            }
            true
        });
        self.outputs.retain(|slot, output| {
            if let Some(share) = output.limit
                && limits.hysteresis(share).is_some()
            {
                let score = aged(&mut output.score, &mut output.heat);
                add(share, Contender { who: Who::Output(slot), score, has_place: true });
            }
            true
        });
        found
    }
}
