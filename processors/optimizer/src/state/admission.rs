//! Series that are seen for the first time, and where they go from then on.

use std::sync::Arc;

use phoenix_series::{Fingerprint, Place as Instant, Slot};

use super::{Around, Standing, State};
use crate::accumulated::Accumulated;
use crate::kind::Reading;
use crate::rules::{Plan, RuleSet};
use crate::series::{FRESH, Goes, Last, OUTDATED, Series};

impl State {
    /// Makes the state of a series that was not seen before.
    ///
    /// # Errors
    /// There is no room; what would become of it.
    pub(super) fn admit(
        &mut self,
        key: Fingerprint,
        around: &Around<'_>,
        reading: &Reading<'_>,
        rules: &RuleSet,
    ) -> Result<Slot, Arc<Plan>> {
        let plan = self.plan_of(around, reading, rules);
        self.project(&plan, around, reading, rules);
        if !self.ledger.has_room() {
            return Err(plan);
        }
        let mut series = Series::new(plan.clone(), self.now.seconds);
        self.tombs.resume(key, &mut series);
        self.series.insert(key, series).map_err(|_| plan)
    }

    pub(super) fn plan_of(
        &mut self,
        around: &Around<'_>,
        reading: &Reading<'_>,
        rules: &RuleSet,
    ) -> Arc<Plan> {
        if let Some(plan) = around.plan {
            return plan.clone();
        }
        self.counts.verdict();
        let matched = rules.about_point(around.candidates, &around.place, &reading.attributes, reading.body);
        self.plan(rules, &matched)
    }

    /// Looks anew where a series goes, if what that depends on has changed.
    pub(super) fn refresh(
        &mut self,
        slot: Slot,
        key: Fingerprint,
        around: &Around<'_>,
        reading: &Reading<'_>,
        rules: &RuleSet,
    ) {
        let Some(series) = self.series.get(slot) else { return };
        let is_current =
            series.version == self.ranked || series.plan.top_k.is_none() && series.version < FRESH;
        if is_current {
            return;
        }
        let before = series.goes;
        let was_aggregated = matches!(before, Goes::Into(_));
        let was_outdated = series.version == OUTDATED;
        let plan = if was_outdated { self.plan_of(around, reading, rules) } else { series.plan.clone() };
        self.leave(slot);
        // Who is over a limit by which places are given anew waits for that.
        let waits = plan.limit.as_ref().is_some_and(|limit| limit.settings.rebalances());
        let standing = self.series.get(slot).map_or_else(Standing::default, |series| Standing {
            is_over: waits && series.is_over && !series.is_promised,
            is_promised: series.is_promised,
            is_counted: series.is_over && series.last.is_some(),
        });
        let target = self.target(key, &plan, around, reading, standing);
        let ranks = target
            .group
            .and_then(|(rule, _)| self.rankings.get(&rule)?.metric(around.place.metric.name().as_bytes()));
        if let Goes::Into(output) = target.goes
            && let Some(output) = self.outputs.get_mut(output)
        {
            output.contributors += 1;
            // Series whose increments go elsewhere from now on still go on.
            output.live += u32::from(self.series.get(slot).is_some_and(|series| series.is_live));
        }
        if let Goes::Into(output) = before
            && target.goes != before
        {
            self.abandon(output, self.now.place_of(reading).0.time);
        }
        let version = self.ranked;
        let forgotten = &mut self.forgotten;
        if let Some(series) = self.series.get_mut(slot) {
            // What goes on by itself is not followed: where it is aggregated again, it begins anew.
            if was_aggregated && target.goes == Goes::On {
                if series.last.is_some() {
                    *forgotten = (*forgotten).max(series.place.start.saturating_add(1));
                }
                (series.last, series.place, series.is_live) = (Last::None, Instant::default(), false);
            }
            series.plan = plan;
            series.goes = target.goes;
            series.group = target.group.map(|(_, group)| group);
            series.limit = target.limit;
            series.is_over = target.is_over;
            series.is_promised = false;
            series.ranks = ranks;
            series.version = version;
        }
    }

    /// Ends an output of latest values that nothing goes into any more: its last value would go on being added to those of where its
    /// series went. What counts keeps what it counted.
    fn abandon(&mut self, slot: Slot, time: u64) {
        let Some(output) = self.outputs.get_mut(slot) else { return };
        let is_level = matches!(output.value, Accumulated::Latest { .. });
        if is_level && output.contributors == 0 && output.sent != 0 {
            output.ended = time.max(output.sent.saturating_add(1));
            self.enqueue(slot);
        }
    }

    /// Takes a series out of where it goes.
    pub(super) fn leave(&mut self, slot: Slot) {
        let Some(series) = self.series.get_mut(slot) else { return };
        if let Some(share) = series.limit.take()
            && !series.is_over
        {
            self.limits.give_back(share);
        }
        if let Goes::Into(output) = std::mem::replace(&mut series.goes, Goes::On)
            && let Some(output) = self.outputs.get_mut(output)
        {
            output.contributors = output.contributors.saturating_sub(1);
            output.live = output.live.saturating_sub(u32::from(series.is_live));
        }
    }
}
