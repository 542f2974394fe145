//! Routes of streams to several series at once.

use phoenix_series::Slot;

use super::Aggregator;
use crate::plan::Plan;
use crate::route::{Open, Pace, Route};
use crate::series::Frame;
use crate::stream::{Change, Events, Meaning, Stream, Target};

impl Aggregator {
    /// The paces of plans, which are told theirs.
    pub(super) fn paces(plans: &mut [Plan]) -> Vec<Pace> {
        let mut paces: Vec<Pace> = Vec::new();
        // Sessions end when they do.
        for plan in plans.iter_mut().filter(|plan| !plan.shape.has_sessions()) {
            let step = plan.shape.step;
            let known = paces.iter().position(|pace| pace.step == step);
            plan.pace = Some(known.unwrap_or(paces.len()) as u16);
            if known.is_none() {
                paces.push(Pace { step, open: None });
            }
        }
        paces
    }

    /// Sees which window is open in all plans of a pace, after windows were opened or closed.
    pub(crate) fn align(&mut self) {
        for (index, pace) in self.paces.iter_mut().enumerate() {
            let plans = self.plans.iter().filter(|plan| plan.pace == Some(index as u16));
            let mut open = plans.map(|plan| Open {
                closed: plan.closed,
                start: plan.window_start(),
                end: plan.next_end,
            });
            let first = open.next();
            pace.open = first.filter(|first| open.all(|other| other == *first));
        }
    }

    /// The route of a stream to these series; none where it goes on its own.
    pub(crate) fn route_of(&mut self, meaning: Meaning, targets: &[Target]) -> Option<Slot> {
        let (first, others) = targets.split_first()?;
        let pace_of = |target: &Target| self.plans[usize::from(target.plan)].pace;
        let pace = pace_of(first)?;
        if meaning == Meaning::Levels
            || others.is_empty()
            || targets.iter().any(|target| self.plans[usize::from(target.plan)].shape.counts_members())
            || others.iter().any(|other| pace_of(other) != Some(pace))
        {
            return None;
        }
        let series = || targets.iter().map(|target| (target.plan, target.slot));
        let key = Route::key(series(), &self.hasher);
        let slot = match self.routes.find(key) {
            Some(slot) => slot,
            None => {
                let route =
                    Route { targets: series().collect(), pace, streams: 0, pending: None, bytes_in: 0 };
                let slot = self.routes.insert(key, route).ok()?;
                if let Some(capturing) = &mut self.capturing {
                    capturing.capture.new_route(slot);
                }
                slot
            }
        };
        self.routes.get_mut(slot)?.streams += 1;
        Some(slot)
    }

    /// A stream does not go there any more.
    pub(crate) fn leave_route(&mut self, slot: Option<Slot>) {
        let Some(slot) = slot else { return };
        let Some(route) = self.routes.get_mut(slot) else { return };
        route.streams = route.streams.saturating_sub(1);
        if route.streams == 0 {
            self.hand_on(slot);
            self.routes.remove(slot);
        }
    }

    /// Hands what streams of a route added to all of its series.
    pub(super) fn hand_on(&mut self, slot: Slot) {
        let Some(route) = self.routes.get_mut(slot) else { return };
        let (pending, bytes) = (route.pending.take(), std::mem::take(&mut route.bytes_in));
        for (plan, slot) in &route.targets {
            let plan = &mut self.plans[usize::from(*plan)];
            plan.bytes_in += bytes;
            if let Some(pending) = &pending {
                plan.unite(*slot, pending);
            }
        }
    }

    /// Hands on everything that is still to be.
    pub(crate) fn hand_on_all(&mut self) {
        for number in 0..self.routes.places() {
            if let Some(slot) = self.routes.place(number) {
                self.hand_on(slot);
            }
        }
    }
}

/// A data point as routes see it.
#[derive(Clone, Copy)]
pub(super) struct Passing {
    pub(super) time: u64,
    /// Since when a delta counts; 0 for all else.
    pub(super) start: u64,
    /// The time of the data point before it in its stream.
    pub(super) before: u64,
    pub(super) events: Events,
}

/// Lets what a stream adds meet what others add, where it belongs into the window that is open in all of its series. False where
/// it has to be handed to each of them.
pub(super) fn meet(
    routes: &mut phoenix_series::Table<Route>,
    paces: &[Pace],
    stream: &Stream,
    change: &Change<'_>,
    passing: Passing,
) -> bool {
    let Passing { time, start, before, events } = passing;
    if !matches!(change, Change::Increment { .. } | Change::Baseline { .. }) {
        return false;
    }
    let Some(route) = stream.route.and_then(|slot| routes.get_mut(slot)) else { return false };
    let Some(open) = paces.get(usize::from(route.pace)).and_then(|pace| pace.open) else { return false };
    let since = stream.targets.iter().map(|target| target.since).max().unwrap_or(0);
    let is_whole = time > since && (before == 0 || before > since);
    if route.streams < 2 || time <= open.closed || time > open.end || !is_whole {
        return false;
    }
    let pending = route.pending.get_or_insert_default();
    pending.quality.point((start, time), before, events);
    // What does not go together with the others is counted when it is handed on.
    let _ = pending.take(change, Frame::of_increments(time, before, open.start));
    true
}
