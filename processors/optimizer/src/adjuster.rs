//! Carries out what the control loop says, and explains it.

use std::sync::Arc;

use phoenix_component::{Adjustment, AdjustmentBook, Now, Offer};

use crate::Outside;
use crate::config::{ControlSettings, Mode};
use crate::control::{Change, Controller, Ladder, Meter, TARGETS};
use crate::metrics::OptimizerMetrics;
use crate::rules::RuleSet;

/// The control loop of one processor, and what it needs.
pub(crate) struct Adjuster {
    settings: ControlSettings,
    ladder: Ladder,
    controller: Controller,
    pub(crate) meter: Meter,
    book: Option<(Arc<AdjustmentBook>, Offer)>,
    load: fn() -> Option<f64>,
}

impl Adjuster {
    pub(crate) fn new(settings: &ControlSettings, rules: &RuleSet, outside: Outside) -> Adjuster {
        let ladder = Ladder::new(settings, rules);
        Adjuster {
            controller: Controller::new(settings, ladder.len()),
            ladder,
            meter: Meter::new(settings.targets.series > 0),
            settings: settings.clone(),
            book: outside.book,
            load: outside.load,
        }
    }

    /// A successor of the same mind goes on where its predecessor was.
    pub(crate) fn go_on_from(&mut self, before: &mut Adjuster) {
        if before.controller.is_like(&self.settings, self.ladder.len()) {
            std::mem::swap(&mut self.controller, &mut before.controller);
            std::mem::swap(&mut self.meter, &mut before.meter);
        }
    }

    /// The rules whose level is not reached.
    pub(crate) fn resting(&self, rules: &RuleSet) -> Vec<u16> {
        self.resting_on(self.controller.step(), rules)
    }

    fn resting_on(&self, step: usize, rules: &RuleSet) -> Vec<u16> {
        let rests = |(index, rule): (usize, &crate::rules::Rule)| {
            let class = self.settings.classes.iter().position(|class| class.name == rule.config.class);
            let level = class.map_or(0, |class| self.ladder.level(class, step));
            (rule.config.at_level > level).then_some(index as u16)
        };
        rules.rules().iter().enumerate().filter_map(rests).collect()
    }

    /// Takes what was measured until now. Returns whether other rules are carried out from now on.
    pub(crate) fn adjust(&mut self, now: Now, rules: &RuleSet, metrics: &OptimizerMetrics) -> bool {
        let load = (self.settings.targets.load > 0.0).then_some(()).and_then(|()| (self.load)());
        let samples = self.meter.samples(now.unix_nanos, load);
        let change = self.controller.take(samples, now.monotonic);
        for (class, level) in metrics.levels.iter().enumerate() {
            level.set(i64::from(self.ladder.level(class, self.controller.step())));
        }
        let Some(change) = change else { return false };
        let counter = if change.to > change.from { &metrics.adjusted_up } else { &metrics.adjusted_down };
        counter.add(1);
        self.explain(&change, now, rules);
        true
    }

    fn explain(&self, change: &Change, now: Now, rules: &RuleSet) {
        let Some((book, _)) = &self.book else { return };
        let (before, after) = (self.resting_on(change.from, rules), self.resting_on(change.to, rules));
        for (class, settings) in self.settings.classes.iter().enumerate() {
            let (from, to) = (self.ladder.level(class, change.from), self.ladder.level(class, change.to));
            if from == to {
                continue;
            }
            let changed = |(index, rule): (usize, &crate::rules::Rule)| {
                let index = index as u16;
                let is_meant = rule.config.class == settings.name && rule.config.mode == Mode::Enforce;
                (is_meant && before.contains(&index) != after.contains(&index))
                    .then(|| rule.config.name.clone())
            };
            book.note(Adjustment {
                unix_nanos: now.unix_nanos,
                class: settings.name.clone(),
                from,
                to,
                target: TARGETS.get(change.target).copied().unwrap_or_default(),
                measured: change.measured,
                demand: change.demand,
                limit: change.limit,
                expected: change.expected,
                rules: rules.rules().iter().enumerate().filter_map(changed).collect(),
            });
        }
    }
}
