//! What is done at the end of an interval.

use std::collections::HashMap;
use std::sync::Arc;

use phoenix_series::{Fingerprint, Slot};

use super::State;
use super::limits::Limits;
use crate::accumulated::Accumulated;
use crate::output::Output;
use crate::series::{FRESH, Goes, Last};

/// The latest value of a series that fell silent counts for so many seconds, as in Prometheus.
const LOOKBACK: u32 = 300;

impl State {
    /// Adds up the latest values of what goes into gauges and into sums that may fall.
    pub(crate) fn add_up_levels(&mut self) {
        let mut any = false;
        self.outputs.retain(|_, output| {
            if let Accumulated::Latest { state, .. } = &mut output.value {
                *state = Default::default();
                any = true;
            }
            true
        });
        if !any {
            return;
        }
        let now = self.now.seconds;
        for (_, series) in self.series.iter() {
            if let (Goes::Into(slot), Last::Number(number), true) =
                (series.goes, &series.last, series.is_live)
                && now.saturating_sub(series.seen) <= LOOKBACK
                && let Some(output) = self.outputs.get_mut(slot)
                && let Accumulated::Latest { function, state } = &mut output.value
            {
                state.add(*function, *number, series.place.time);
            }
        }
    }

    /// Ranks groups anew.
    pub(crate) fn rank(&mut self) {
        let mut changed = false;
        for ranking in self.rankings.values_mut() {
            changed |= ranking.rank(self.now.seconds);
        }
        if changed {
            self.ranked = if self.ranked >= FRESH - 1 { 0 } else { self.ranked + 1 };
        }
    }

    /// Outputs with deltas that came late, and that wait for a newer one: nothing newer is to come.
    pub(crate) fn late(&mut self) -> Vec<Slot> {
        let waits = |output: &Output| output.is_delta() && !output.is_pending && output.is_ready(true);
        let late: Vec<Slot> =
            self.outputs.iter().filter(|(_, output)| waits(output)).map(|(slot, _)| slot).collect();
        for slot in &late {
            if let Some(output) = self.outputs.get_mut(*slot) {
                output.is_pending = true;
            }
        }
        late
    }

    /// Forgets what was idle for so many seconds. Returns outputs that still have something to say.
    pub(crate) fn forget(&mut self, idle: u32) -> Vec<Slot> {
        self.bury(idle);
        let (now, forgotten) = (self.now.seconds, &mut self.forgotten);
        let (outputs, limits) = (&mut self.outputs, &mut self.limits);
        self.series.retain(|_, series| {
            if now.saturating_sub(series.seen) < idle {
                return true;
            }
            if series.last.is_some() {
                *forgotten = (*forgotten).max(series.place.start.saturating_add(1));
            }
            if let Some(share) = series.limit
                && !series.is_over
            {
                limits.give_back(share);
            }
            if let Goes::Into(slot) = series.goes
                && let Some(output) = outputs.get_mut(slot)
            {
                output.contributors = output.contributors.saturating_sub(1);
                output.live = output.live.saturating_sub(u32::from(series.is_live));
            }
            false
        });
        let mut last_words = Vec::new();
        let (limits, caps) = (&mut self.limits, &mut self.caps);
        self.outputs.retain(|slot, output| {
            if now.saturating_sub(output.seen) < idle || output.contributors > 0 || output.is_pending {
                return true;
            }
            if output.is_ready(true) && output.is_delta() && !output.is_last {
                (output.is_last, output.is_pending) = (true, true);
                last_words.push(slot);
                return true;
            }
            release(output, limits, caps);
            false
        });
        let waiting: std::collections::HashSet<Slot> =
            self.series.iter().filter_map(|(_, series)| series.limit).collect();
        self.limits.tidy(now, |share| waiting.contains(&share));
        self.caps.retain(|_, values| {
            values.retain(|_, outputs| *outputs > 0);
            !values.is_empty()
        });
        self.frames.retain(|_, frame| Arc::strong_count(frame) > 1);
        self.parts.retain(|_, part| Arc::strong_count(part) > 1);
        last_words
    }
}

pub(super) fn release(
    output: &Output,
    limits: &mut Limits,
    caps: &mut HashMap<Fingerprint, HashMap<u64, u32>>,
) {
    if let Some(share) = output.limit {
        limits.give_back(share);
    }
    for (of, value) in &output.caps {
        if let Some(outputs) = caps.get_mut(of).and_then(|values| values.get_mut(value)) {
            *outputs = outputs.saturating_sub(1);
        }
    }
}
