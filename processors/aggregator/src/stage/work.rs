//! Closes windows, in portions: nothing that comes in waits for all of it.

use phoenix_component::Output;
use phoenix_series::{Slot, Table};

use super::Aggregator;
use crate::replicas::Replicas;
use crate::series::Series;
use crate::stream::{Events, Stream};

/// Streams and series that are looked at in one call.
pub(super) const PORTION: usize = 16_384;
/// Data points of one batch.
const BATCH: usize = 8192;

/// Windows that are being closed.
#[derive(Debug)]
pub(super) struct Closing {
    /// Their end.
    pub(super) end: u64,
    /// Nothing is to come: what is open is let out as it is.
    last: bool,
    phase: Phase,
    /// The earliest data point that still waits.
    earliest: u64,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// What streams have up to the end is taken.
    Streams { next: usize },
    /// What streams added together is handed to the series.
    Routes { next: usize },
    /// The series of a plan are let out.
    Series { plan: usize, next: usize },
}

impl Closing {
    /// Whether all streams have been looked at.
    pub(super) fn has_streams(&self) -> bool {
        !matches!(self.phase, Phase::Streams { .. })
    }
}

impl Aggregator {
    /// Closes what the watermark has passed. False if there is more, or the output is full.
    pub(super) fn work(&mut self, out: &mut Output) -> bool {
        let mut portion = self.portion;
        if !self.capture(portion) {
            return false;
        }
        loop {
            if self.closing.is_none() {
                let end = self.limit();
                if !self.begun || end > self.watermark.current() {
                    return true;
                }
                for plan in self.plans.iter_mut().filter(|plan| plan.next_end == end) {
                    plan.busy = false;
                }
                self.start_closing(end, false);
            }
            if !self.close(&mut portion, out) {
                return false;
            }
        }
    }

    /// Lets out what is open, since nothing is to come. False if there is more.
    pub(super) fn work_last(&mut self, out: &mut Output) -> bool {
        if !self.begun {
            return true;
        }
        if self.closing.is_none() {
            self.start_closing(u64::MAX, true);
        }
        let mut portion = usize::MAX;
        self.close(&mut portion, out)
    }

    fn start_closing(&mut self, end: u64, last: bool) {
        let idle_before = self.watermark.current().saturating_sub(self.settings.staleness);
        self.replicas.iter_mut().for_each(|replicas| replicas.forget_idle(idle_before));
        self.closing = Some(Closing { end, last, phase: Phase::Streams { next: 0 }, earliest: u64::MAX });
    }

    /// Goes on closing. False if there is more.
    fn close(&mut self, portion: &mut usize, out: &mut Output) -> bool {
        while let Some(mut closing) = self.closing.take() {
            let done = match closing.phase {
                Phase::Streams { next } => self.close_streams(&mut closing, next, portion),
                Phase::Routes { next } => self.close_routes(&mut closing, next, portion),
                Phase::Series { plan, next } => self.close_series(&mut closing, plan, next, portion, out),
            };
            if done {
                self.metrics.state.set(self.state_bytes() as i64);
                self.tell();
                return true;
            }
            self.closing = Some(closing);
            if *portion == 0 || out.is_full() {
                return false;
            }
        }
        true
    }

    /// Takes what streams have up to the end, and forgets those that are idle. Never the last phase.
    fn close_streams(&mut self, closing: &mut Closing, mut next: usize, portion: &mut usize) -> bool {
        let mut events = Events::default();
        let holds = self.plans.iter().any(|plan| plan.next_end == closing.end);
        // As of the end of the window, however far the watermark has jumped behind it.
        let idle_before = self.watermark.current().min(closing.end).saturating_sub(self.settings.staleness);
        while let Some(slot) = self.streams.place(next) {
            if *portion == 0 {
                closing.phase = Phase::Streams { next };
                self.account_events(events);
                return false;
            }
            *portion -= 1;
            next += 1;
            self.release(slot, closing.end, &mut events);
            let Some(stream) = self.streams.get(slot) else { continue };
            if stream.waiting.is_empty() && stream.last.place.time < idle_before {
                self.forget(slot);
                continue;
            }
            closing.earliest = closing.earliest.min(stream.waiting.earliest().unwrap_or(u64::MAX));
            if let (true, Some((since, value))) = (holds, stream.level()) {
                for target in stream.targets.iter().filter(|target| since > target.since) {
                    let plan = &mut self.plans[usize::from(target.plan)];
                    if plan.next_end == closing.end {
                        plan.hold(target.slot, closing.end, since, value);
                    }
                }
            }
        }
        self.account_events(events);
        // From here on what belongs into these windows is late.
        for plan in self.plans.iter_mut().filter(|plan| plan.next_end == closing.end) {
            plan.closed = closing.end;
        }
        self.align();
        closing.phase = Phase::Routes { next: 0 };
        false
    }

    /// Hands on what streams added together. Never the last phase.
    fn close_routes(&mut self, closing: &mut Closing, mut next: usize, portion: &mut usize) -> bool {
        while let Some(slot) = self.routes.place(next) {
            if *portion == 0 {
                closing.phase = Phase::Routes { next };
                return false;
            }
            next += 1;
            let Some(route) =
                self.routes.get(slot).filter(|route| route.pending.is_some() || route.bytes_in > 0)
            else {
                continue;
            };
            let open = self.paces.get(usize::from(route.pace)).and_then(|pace| pace.open);
            if closing.last || open.is_none_or(|open| open.end == closing.end) {
                *portion = portion.saturating_sub(route.targets.len());
                self.hand_on(slot);
            }
        }
        closing.phase = Phase::Series { plan: 0, next: 0 };
        false
    }

    /// A stream had no data points for long. What it counts when it comes again, others may have counted.
    fn forget(&mut self, slot: Slot) {
        let Some(stream) = self.streams.remove(slot) else { return };
        self.shortcuts.remove(slot);
        self.horizon = self.horizon.max(stream.last.place.time);
        let level = stream.level();
        for target in stream.targets.iter() {
            let level = level.filter(|(since, _)| *since > target.since).map(|(_, value)| value);
            self.plans[usize::from(target.plan)].leave(target.slot, !stream.ended, level);
        }
        self.leave_route(stream.route);
        self.metrics.streams.set(self.streams.len() as i64);
    }

    /// Lets series out. True when all plans are done.
    fn close_series(
        &mut self,
        closing: &mut Closing,
        mut index: usize,
        mut next: usize,
        portion: &mut usize,
        out: &mut Output,
    ) -> bool {
        while let Some(plan) = self.plans.get_mut(index) {
            let end = if closing.last { plan.next_end } else { closing.end };
            if plan.next_end == end {
                while let Some(slot) = plan.table.place(next) {
                    if *portion == 0 || self.emission.len() >= BATCH || out.is_full() {
                        self.emission.send(out, |head, which| plan.shape.naming(head, which));
                        closing.phase = Phase::Series { plan: index, next };
                        return false;
                    }
                    *portion -= 1;
                    next += 1;
                    if !plan.close(slot, end, closing.last, &mut self.emission) {
                        plan.table.remove(slot);
                        plan.removed += 1;
                        self.series = self.series.saturating_sub(1);
                    }
                }
                self.emission.send(out, |head, which| plan.shape.naming(head, which));
                plan.forget_heads();
                plan.publish_books();
                plan.publish_quality();
                if closing.last {
                    plan.began = plan.began.max(std::mem::take(&mut plan.flushed));
                } else {
                    let after = end.saturating_add(plan.shape.step);
                    // Windows in which there is nothing are passed over.
                    let next_data = closing.earliest.min(self.watermark.current().saturating_add(1));
                    plan.next_end = if plan.busy { after } else { after.max(plan.shape.end_of(next_data)) };
                    plan.closed = plan.window_start();
                }
            }
            (index, next) = (index + 1, 0);
        }
        self.align();
        self.metrics.series.set(self.series as i64);
        true
    }

    /// Bytes of all streams and series, from some of them: looking at all would hold up who waits.
    pub(crate) fn state_bytes(&self) -> usize {
        // A fingerprint, and a slot in the index with the room that a hash table keeps.
        const PLACE: usize = 16 + 11;
        // What an allocator takes for the attributes beside them.
        const ALLOCATED: usize = 14;
        let bytes = |series: &Series| series.bytes() + PLACE + ALLOCATED;
        let series = self.plans.iter().map(|plan| sampled(&plan.table, bytes));
        let stream = |stream: &Stream| {
            let values = stream.last.value.heap_bytes() + stream.waiting.heap_bytes();
            size_of::<Stream>() + PLACE + stream.targets.heap_bytes() + values
        };
        let routes = sampled(&self.routes, |route| route.bytes() + PLACE);
        let standby = self.replicas.as_ref().map_or(0, |replicas| replicas.bytes());
        series.sum::<usize>() + sampled(&self.streams, stream) + routes + self.shortcuts.memory() + standby
    }

    /// Lets go of everything.
    pub(super) fn clear(&mut self) {
        self.streams.retain(|_, _| false);
        self.routes.retain(|_, _| false);
        self.shortcuts.clear();
        self.replicas.iter_mut().for_each(Replicas::clear);
        for plan in &mut self.plans {
            plan.table.retain(|_, _| false);
            plan.heads.clear();
        }
        (self.series, self.overflows) = (0, 0);
        self.closing = None;
        self.begun = false;
    }
}

/// The sum over a table, from at most so many of its states.
fn sampled<T>(table: &Table<T>, bytes: impl Fn(&T) -> usize) -> usize {
    const SAMPLE: usize = 1024;
    let stride = (table.len() / SAMPLE).max(1);
    let places =
        (0..).step_by(stride).map_while(|number| table.place(number)).filter_map(|slot| table.get(slot));
    let (count, sum) = places.fold((0, 0), |(count, sum), state| (count + 1, sum + bytes(state)));
    if count == 0 { 0 } else { (sum as f64 / count as f64 * table.len() as f64) as usize }
}
