//! What becomes of a point: where its series goes, and what it adds there.

use std::sync::Arc;

use phoenix_pdata::view::Number;
use phoenix_pdata::wire::Fields;
use phoenix_series::{Fingerprint, Place as Instant, Slot};

use super::follow::follow;
use super::{Around, Fate, Standing, State};
use crate::accumulated::Accumulated;
use crate::compress::Learned;
use crate::contribute::{contribute, end};
use crate::kind::{Kind, Reading, Value};
use crate::metrics::{OptimizerMetrics, Reason};
use crate::output::Output;
use crate::rule_counts::RuleCounts;
use crate::rules::{Plan, RuleSet};
use crate::series::{Goes, Last, OUTDATED, Series};

impl State {
    pub(super) fn key(&mut self, around: &Around<'_>, reading: &Reading<'_>) -> Fingerprint {
        around.form.series(self.hasher.attributes(&reading.attributes))
    }

    /// The identity under which a series goes on by itself; `key` is the one under which it comes.
    pub(super) fn key_under(
        &mut self,
        plan: &Plan,
        key: Fingerprint,
        around: &Around<'_>,
        reading: &Reading<'_>,
    ) -> Fingerprint {
        let form = around.form_under(plan);
        if *form == around.form {
            return key;
        }
        form.series(self.hasher.attributes(&reading.attributes))
    }

    /// Counts a point for a rule whose series have no state.
    pub(crate) fn count(&mut self, rule: u16, around: &Around<'_>, reading: &Reading<'_>) {
        let key = self.key(around, reading);
        self.counted.entry(rule).or_default().matched.insert(key.half());
    }

    /// Finds out what becomes of a point, and does it.
    pub(crate) fn point(
        &mut self,
        around: &Around<'_>,
        reading: &Reading<'_>,
        rules: &RuleSet,
        metrics: &OptimizerMetrics,
    ) -> Fate {
        let kind = around.place.kind;
        let untouched = around.plan.is_some_and(|plan| !plan.tracks(kind));
        if untouched && !around.may_fold {
            return Fate::Passes(around.plan.cloned());
        }
        let key = self.key(around, reading);
        let found = self.series.find(key);
        if untouched
            && found.is_none()
            && let Some(plan) = around.plan
        {
            let key = self.key_under(plan, key, around, reading);
            if self.outputs.find(key).is_none() {
                self.counts.matched(&plan.rules, 1, reading.body.len() as u64);
                return Fate::Passes(around.plan.cloned());
            }
        }
        let slot = match found {
            Some(slot) => slot,
            None => match self.admit(key, around, reading, rules) {
                Ok(slot) => slot,
                Err(plan) => return self.untracked(key, plan, around, reading, metrics),
            },
        };
        self.refresh(slot, key, around, reading, rules);
        let at = self.now;
        let Some(series) = self.series.get_mut(slot) else { return Fate::Passes(None) };
        series.seen = at.seconds;
        let plan = &series.plan;
        for rules in [&plan.rules, &plan.shadow] {
            self.counts.matched(rules, 1, reading.body.len() as u64);
        }
        for rule in &plan.shadow {
            self.counted.entry(*rule).or_default().matched.insert(key.half());
        }
        if let Some(rule) = plan.drop {
            self.counts.dropped(rule, 1);
            return Fate::Ends("optimized_away");
        }
        let target = match series.goes {
            Goes::Into(target) => target,
            Goes::On => {
                // What passes must not have the identity of what is let out.
                if around.may_fold {
                    let plan = series.plan.clone();
                    let own = self.key_under(&plan, key, around, reading);
                    if self.outputs.find(own).is_some() {
                        return self.point_again(slot, key, around, reading, rules, metrics);
                    }
                }
                let Some(series) = self.series.get_mut(slot) else { return Fate::Passes(None) };
                let plan = &series.plan;
                if plan.limit.as_ref().is_some_and(|limit| limit.settings.rebalances()) {
                    follow(series, reading, kind, &at, &mut self.buffers);
                }
                return quiet(series, reading, kind, &mut self.counts);
            }
            Goes::Unmerged => {
                metrics.ignored(Reason::NotMergeable);
                return Fate::Passes(Some(series.plan.clone()));
            }
            Goes::Nowhere => {
                series.heat(1.0);
                metrics.ignored(Reason::GaugeOverflow);
                return Fate::Ends(Reason::GaugeOverflow.name());
            }
        };
        self.add_to_output(slot, target, around, reading, metrics)
    }

    /// The series turned out to go into an output.
    fn point_again(
        &mut self,
        slot: Slot,
        key: Fingerprint,
        around: &Around<'_>,
        reading: &Reading<'_>,
        rules: &RuleSet,
        metrics: &OptimizerMetrics,
    ) -> Fate {
        if let Some(series) = self.series.get_mut(slot) {
            series.version = OUTDATED;
        }
        self.refresh(slot, key, around, reading, rules);
        match self.series.get(slot).map(|series| series.goes) {
            Some(Goes::Into(target)) => self.add_to_output(slot, target, around, reading, metrics),
            _ => Fate::Passes(None),
        }
    }

    fn add_to_output(
        &mut self,
        slot: Slot,
        target: Slot,
        around: &Around<'_>,
        reading: &Reading<'_>,
        metrics: &OptimizerMetrics,
    ) -> Fate {
        let (kind, at) = (around.place.kind, self.now);
        let (Some(series), Some(output)) = (self.series.get_mut(slot), self.outputs.get_mut(target)) else {
            return Fate::Passes(None);
        };
        self.counts.folded(&series.plan.rules);
        if series.is_over
            && let Some(limit) = &series.plan.limit
        {
            self.counts.overflowed(limit.rule);
        }
        output.seen = at.seconds;
        if reading.is_stale() {
            end(series, output, reading, &at);
            if output.ended != 0 {
                self.enqueue(target);
            }
            return Fate::Absorbed;
        }
        match contribute(series, output, reading, kind, &at, &mut self.buffers) {
            Ok(effect) => {
                let metric = around.form.metric;
                let mut learned = Learned { choices: &mut self.choices, metric, now: at.seconds };
                if let (Accumulated::Explicit(_), Some((_, settings))) =
                    (&output.value, &series.plan.histograms)
                {
                    learned.learn(&self.buffers.explicit, settings);
                }
                if let Accumulated::Point(latest) = &mut output.value {
                    if !latest.next(effect.is_reset) {
                        metrics.ignored(Reason::Untracked);
                    }
                    let body = &mut latest.body;
                    crate::edit::point(&series.plan, kind, reading, &mut self.buffers, &mut learned, body);
                } else if !series.plan.drop_exemplars {
                    keep_exemplars(output, reading);
                }
                match (series.is_over, output.limit) {
                    (true, _) => series.heat(effect.heat),
                    (false, Some(_)) => output.heat(effect.heat),
                    _ => {}
                }
                if effect.is_reset {
                    metrics.resets.add(1);
                }
                if effect.is_baseline {
                    metrics.ignored(Reason::UnknownStart);
                }
                if effect.is_ahead {
                    metrics.ignored(Reason::Ahead);
                }
                if let (Some(group), Some(metric)) = (series.group, series.ranks)
                    && let Some(top_k) = &series.plan.top_k
                    && let Some(ranking) = self.rankings.get_mut(&top_k.ranking)
                {
                    ranking.weigh(group, metric, effect.weight);
                }
                self.enqueue(target);
                Fate::Absorbed
            }
            Err(Reason::NotMergeable) => {
                metrics.ignored(Reason::NotMergeable);
                let plan = series.plan.clone();
                self.leave(slot);
                if let Some(series) = self.series.get_mut(slot) {
                    series.goes = Goes::Unmerged;
                }
                Fate::Passes(Some(plan))
            }
            Err(reason) => {
                metrics.ignored(reason);
                Fate::Ends(reason.name())
            }
        }
    }

    /// Notes that an output has something to say.
    pub(super) fn enqueue(&mut self, slot: Slot) {
        let Some(output) = self.outputs.get_mut(slot) else { return };
        if std::mem::replace(&mut output.is_pending, true) {
            return;
        }
        let interval = output.plan.interval.unwrap_or(self.interval);
        match self.pending.iter_mut().find(|(other, _)| *other == interval) {
            Some((_, slots)) => slots.push(slot),
            None => self.pending.push((interval, vec![slot])),
        }
    }

    /// A series for whose state there is no room: deltas are added up all the same, what needs to know the point
    /// before ends here, and what the rules leave alone goes on.
    fn untracked(
        &mut self,
        key: Fingerprint,
        plan: Arc<Plan>,
        around: &Around<'_>,
        reading: &Reading<'_>,
        metrics: &OptimizerMetrics,
    ) -> Fate {
        if plan.drop.is_some() {
            return Fate::Ends("optimized_away");
        }
        let (kind, at) = (around.place.kind, self.now);
        let folds = plan.folds();
        if !folds && plan.limit.is_none() {
            return Fate::Passes(Some(plan));
        }
        let is_delta = kind.temporality() == Some(phoenix_pdata::view::Temporality::Delta);
        let is_mergeable = Accumulated::of(kind, plan.gauges).is_some();
        if !is_delta && (is_mergeable || !folds) {
            // It would need a state, wherever it went.
            metrics.ignored(Reason::Untracked);
            return Fate::Ends(Reason::Untracked.name());
        }
        let mut stranger = Series { is_live: true, is_over: true, ..Series::new(plan.clone(), at.seconds) };
        // Without a state of its own nobody can tell when it goes: it counts as one over the limit.
        let target =
            self.target(key, &plan, around, reading, Standing { is_over: true, ..Standing::default() });
        match target.goes {
            Goes::Into(slot) if is_delta && !reading.is_stale() => {
                let Some(output) = self.outputs.get_mut(slot) else { return Fate::Passes(Some(plan)) };
                match contribute(&mut stranger, output, reading, kind, &at, &mut self.buffers) {
                    Ok(_) => {
                        self.enqueue(slot);
                        Fate::Absorbed
                    }
                    Err(Reason::NotMergeable) => {
                        metrics.ignored(Reason::NotMergeable);
                        Fate::Passes(Some(plan))
                    }
                    Err(reason) => {
                        metrics.ignored(reason);
                        Fate::Ends(reason.name())
                    }
                }
            }
            Goes::Unmerged => Fate::Passes(Some(plan)),
            _ => {
                metrics.ignored(Reason::Untracked);
                Fate::Ends(Reason::Untracked.name())
            }
        }
    }
}

/// Keeps the exemplars of a point that goes into another, with the labels that it has no more.
fn keep_exemplars(output: &mut Output, reading: &Reading<'_>) {
    if reading.exemplars.is_empty() {
        return;
    }
    let stay: Vec<&[u8]> = Fields::new(&output.attributes).map(|field| field.body).collect();
    let lost: Vec<Vec<u8>> =
        reading.attributes.bodies().filter(|body| !stay.contains(body)).map(<[u8]>::to_vec).collect();
    let lost: Vec<&[u8]> = lost.iter().map(Vec::as_slice).collect();
    for exemplar in reading.exemplars.bodies() {
        output.keep_exemplar(exemplar, &lost);
    }
}

/// Whether a gauge that goes on says anything new.
fn quiet(series: &mut Series, reading: &Reading<'_>, kind: Kind, counts: &mut RuleCounts) -> Fate {
    let passes = Fate::Passes(Some(series.plan.clone()));
    let Some((rule, band)) = &series.plan.dead_band else { return passes };
    let Value::Number(Some(number)) = reading.value else { return passes };
    if kind != Kind::Gauge {
        return passes;
    }
    if reading.is_stale() {
        series.last = Last::None;
        return passes;
    }
    let value = match number {
        Number::Int(value) => value as f64,
        Number::Double(value) => value,
    };
    if let Last::Number(Number::Double(last)) = series.last {
        // What is late is not compared with what came after it.
        let silent = reading.time.checked_sub(series.place.time);
        let within = (value - last).abs() <= band.absolute.max(band.relative * last.abs()) || value == last;
        let heartbeat = band.heartbeat.as_duration().as_nanos();
        if within && silent.is_some_and(|silent| u128::from(silent) < heartbeat) {
            counts.dropped(*rule, 1);
            return Fate::Ends("dead_band");
        }
    }
    if reading.time >= series.place.time {
        series.last = Last::Number(Number::Double(value));
        series.place = Instant { start: reading.start, time: reading.time };
    }
    passes
}
