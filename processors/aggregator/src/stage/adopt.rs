//! State that goes on: over a change of the configuration, and over a restart.

use std::collections::HashMap;
use std::time::Duration;

use phoenix_component::{Adoption, Batch, Now, Output};
use phoenix_pdata::{Signal, count_items};
use phoenix_series::Slot;

use super::{Aggregator, Early};
use crate::checkpoint::{Checkpoint, Writing};
use crate::journal::Journal;
use crate::state::Capture;
use crate::stream::{Stream, Target, Targets};

/// Bytes of requests in a journal from which on a checkpoint is written before its time.
const MOST_JOURNALED: u64 = 256 << 20;

/// The least time between the beginnings of two checkpoints, unless the interval is shorter.
const LEAST_APART: Duration = Duration::from_secs(5);

/// A state on its way to a checkpoint.
pub(super) struct Capturing {
    pub(super) capture: Capture,
    writing: Writing,
    /// The last request that is part of it.
    request: u64,
}

impl Aggregator {
    /// Takes over the state of the predecessor: its streams, and the series of rules that are the same. What it has of rules
    /// that are gone it lets out.
    pub(super) fn take_over(&mut self, old: &mut Aggregator) -> Adoption {
        let early = self.early.take().unwrap_or_default();
        self.restores = false;
        if let Some(theirs) = old.early.take() {
            // It was waiting itself: what it waited with comes first.
            let mut fragments = theirs.fragments;
            fragments.extend(early.fragments);
            self.early = Some(Early { fragments, since: Some(Duration::ZERO) });
            if old.restores {
                self.restores = self.checkpoint.is_some();
            }
            // Nobody else will hand anything over.
            self.wake_at = Some(Duration::ZERO);
            (old.checkpoint, old.journal) = (None, None);
            return Adoption::Kept;
        }
        self.take_over_disk(old);
        // Routes are found again with the next data points.
        old.hand_on_all();
        old.routes.retain(|_, _| false);
        (self.seed, self.hasher) = (old.seed, old.hasher.clone());
        self.next_head = old.next_head;
        self.generation = old.generation + 1;
        self.horizon = old.horizon;
        self.begun = old.begun;
        self.watermark.take_over(&mut old.watermark);
        if let (Some(mine), Some(theirs)) = (&mut self.replicas, &mut old.replicas) {
            mine.take_over(theirs);
        }
        let mut plans = HashMap::new();
        for (index, plan) in self.plans.iter_mut().enumerate() {
            let Some(theirs) = old.plans.iter().position(|theirs| theirs.id == plan.id) else {
                if old.begun {
                    // From the first window that nothing was seen of yet.
                    plan.begin(old.watermark.current().saturating_add(1), old.watermark.newest());
                }
                continue;
            };
            let former = &mut old.plans[theirs];
            std::mem::swap(&mut plan.table, &mut former.table);
            std::mem::swap(&mut plan.heads, &mut former.heads);
            (plan.next_end, plan.closed, plan.began) = (former.next_end, former.closed, former.began);
            (plan.busy, plan.books) = (former.busy, former.books);
            (plan.streams, plan.bytes_in) = (former.streams, std::mem::take(&mut former.bytes_in));
            plans.insert(theirs as u16, index as u16);
        }
        let all_kept = plans.len() == old.plans.len();
        self.adopt_streams(old, &plans, all_kept);
        self.align();
        self.count_series();
        // Series of windows that were being closed are where they were.
        let in_place = all_kept && plans.iter().all(|(theirs, mine)| theirs == mine);
        self.closing = old.closing.take().filter(|closing| in_place && closing.has_streams());
        if all_kept {
            old.clear();
        } else {
            old.series = old.plans.iter().map(|plan| plan.table.len()).sum();
            old.closing = None;
        }
        self.early = Some(Early { fragments: early.fragments, since: Some(Duration::ZERO) });
        self.wake_at = Some(Duration::ZERO);
        Adoption::Kept
    }

    /// Streams go on with all that they were; those that go to a rule that is gone stay there as well, until it is let out.
    fn adopt_streams(&mut self, old: &mut Aggregator, plans: &HashMap<u16, u16>, all_kept: bool) {
        let slots: Vec<_> = old.streams.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            let Some(key) = old.streams.key(slot) else { continue };
            let Some(theirs) = old.streams.get_mut(slot) else { continue };
            let kept = |target: Target| Some(Target { plan: *plans.get(&target.plan)?, ..target });
            let targets = theirs.targets.iter().filter_map(kept).collect();
            let stream = match all_kept {
                true => std::mem::replace(theirs, Stream::new(theirs.meaning)),
                false => {
                    let gone: Targets =
                        theirs.targets.iter().filter(|target| !plans.contains_key(&target.plan)).collect();
                    let copy = Stream {
                        meaning: theirs.meaning,
                        generation: 0,
                        last: theirs.last.clone(),
                        ended: theirs.ended,
                        gap: theirs.gap.clone(),
                        waiting: theirs.waiting.clone(),
                        targets: Targets::default(),
                        route: None,
                    };
                    (theirs.targets, theirs.route) = (gone, None);
                    copy
                }
            };
            // A later look-up finds the rules that are new. Those that were there know where they go.
            let stream = Stream { generation: 0, targets, route: None, ..stream };
            // The limit may be lower now: then the last ones are forgotten, as if they were idle.
            if let Err(stream) = self.streams.insert(key, stream) {
                self.horizon = self.horizon.max(stream.last.place.time);
                for target in stream.targets.iter() {
                    self.plans[usize::from(target.plan)].leave(target.slot, !stream.ended, None);
                }
            }
        }
    }

    /// Goes on writing where the predecessor wrote. Elsewhere the state is written at once, and what the predecessor wrote is
    /// done: it would be restored by nobody.
    fn take_over_disk(&mut self, old: &mut Aggregator) {
        self.request = old.request();
        old.capturing = None;
        let same =
            matches!((&self.checkpoint, &old.checkpoint), (Some(mine), Some(theirs)) if mine.is_same(theirs));
        match (same, old.checkpoint.take()) {
            (true, theirs) => (self.checkpoint, self.next_checkpoint) = (theirs, old.next_checkpoint),
            (false, _) => self.next_checkpoint = Duration::ZERO,
        }
        let Some(theirs) = old.journal.take() else {
            if let Some(journal) = &mut self.journal {
                journal.go_on_from(self.request);
                self.next_checkpoint = Duration::ZERO;
            }
            return;
        };
        match &mut self.journal {
            Some(journal) if journal.is_same(&theirs) => journal.take_over(theirs),
            Some(journal) => {
                journal.go_on_from(self.request);
                theirs.open().done_up_to(u64::MAX);
            }
            None => {
                theirs.open().done_up_to(u64::MAX);
                self.next_checkpoint = Duration::ZERO;
            }
        }
    }

    /// Reads the state of the last run, if there is one, and what came after it was written.
    pub(super) fn restore(&mut self, now: Now, out: &mut Output) {
        let Some(checkpoint) = self.checkpoint.clone() else { return };
        match checkpoint.read() {
            Ok(Some(parts)) => match self.read_state(&parts, now) {
                Some(()) => {
                    tracing::info!(series = self.series, streams = self.streams.len(), "state restored")
                }
                None => {
                    self.clear();
                    self.set_aside(&checkpoint, "what is in it does not fit together");
                }
            },
            Ok(None) => {}
            Err(error) => self.set_aside(&checkpoint, error),
        }
        self.next_checkpoint = now.monotonic + self.settings.checkpoint_interval;
        self.replay(now, out);
    }

    /// The state of the last run cannot be read: it is kept for people, and the start is fresh.
    fn set_aside(&self, checkpoint: &Checkpoint, error: impl std::fmt::Display) {
        self.metrics.checkpoints_unreadable.add(1);
        let path = checkpoint.place();
        match checkpoint.set_aside() {
            Ok(aside) => {
                tracing::error!(%path, %error, %aside, "the state cannot be read: it is set aside, and the start is fresh");
            }
            Err(failure) => {
                tracing::error!(%path, %error, %failure, "the state cannot be read: the start is fresh");
            }
        }
    }

    /// Takes the requests that are not part of the checkpoint, as they were taken before. They are in the books of the last run;
    /// the windows that they close are in those of this one.
    fn replay(&mut self, now: Now, out: &mut Output) {
        let Some(mut journal) = self.journal.take() else { return };
        let mut again = Output::with_room(usize::MAX);
        journal.replay(self.request, |moment, payload| {
            self.watermark.resume(moment.watermark, 0, now.monotonic);
            while !self.work(&mut again) {}
            let items = count_items(Signal::Metrics, &payload);
            let batch = Batch::new(Signal::Metrics, payload, items);
            self.consume(batch, Now { unix_nanos: moment.unix_nanos, ..now }, &mut again);
        });
        for fragment in again.take_batches() {
            out.send(fragment.batch, fragment.ack);
        }
        out.produced(again.take_transformed().1);
        self.journal = Some(journal);
    }

    /// Goes on from a state, without a file.
    #[cfg(test)]
    pub(crate) fn start_from(&mut self, state: &[u8], now: Now) {
        self.early = None;
        self.read_state(&[state], now).expect("a state");
    }

    /// Begins to write the state if its time has come and no window is being closed.
    pub(super) fn checkpoint_if_due(&mut self, now: Now, done: bool) {
        let is_long = self.journal.as_ref().is_some_and(|journal| journal.bytes() > MOST_JOURNALED);
        let began = self.next_checkpoint.saturating_sub(self.settings.checkpoint_interval);
        // Where the disk takes none the journal stays long: that is no reason to collect the state all the time.
        let is_due = now.monotonic >= self.next_checkpoint || is_long && now.monotonic >= began + LEAST_APART;
        if !done || !self.begun || !is_due || self.capturing.is_some() {
            return;
        }
        self.next_checkpoint = now.monotonic + self.settings.checkpoint_interval;
        self.begin_checkpoint();
        self.capture(self.portion);
    }

    pub(crate) fn begin_checkpoint(&mut self) {
        // A window that is being closed is no state that could go on elsewhere.
        let Some(checkpoint) = self.checkpoint.clone().filter(|_| self.closing.is_none()) else { return };
        let (capture, request) = (Capture::begin(self), self.request());
        self.capturing = Some(Capturing { capture, writing: checkpoint.begin(), request });
    }

    /// Collects more of the state, if one is being collected. False if there is more: then no window is closed, so that all of
    /// it is of one moment.
    pub(super) fn capture(&mut self, portion: usize) -> bool {
        let Some(mut capturing) = self.capturing.take() else { return true };
        let done = self.collect(&mut capturing.capture, portion);
        if let Some(part) = capturing.capture.full_part() {
            capturing.writing.push(part);
        }
        if !done {
            self.capturing = Some(capturing);
            return false;
        }
        let (writing, then) = self.finished(capturing);
        writing.finish(then);
        true
    }

    /// Collects more of the state. True at the end.
    pub(crate) fn collect(&mut self, capture: &mut Capture, portion: usize) -> bool {
        let replicas = self.replicas.as_mut();
        let saved = replicas.is_none_or(|replicas| {
            replicas.save(portion, |cluster, standby| capture.standby(cluster, standby))
        });
        saved && capture.go_on(self, portion)
    }

    /// The last part is handed over: what is left to do once it is written.
    fn finished(
        &self,
        capturing: Capturing,
    ) -> (Writing, impl FnOnce(std::io::Result<()>) + Send + 'static + use<>) {
        let Capturing { capture, mut writing, request } = capturing;
        writing.push(capture.finish());
        let (metrics, open) = (self.metrics.clone(), self.journal.as_ref().map(Journal::open));
        let place = self.checkpoint.as_ref().map(|checkpoint| checkpoint.place()).unwrap_or_default();
        (writing, move |written: std::io::Result<()>| {
            metrics.count_checkpoint(&place, &written);
            if let (Ok(()), Some(open)) = (written, open) {
                open.done_up_to(request);
            }
        })
    }

    /// Writes down a stream and where it goes, if that is still to be done, before it changes.
    pub(super) fn preserve(&mut self, slot: Slot) {
        let Some(Capturing { capture, .. }) = &mut self.capturing else { return };
        capture.stream(slot, &self.streams);
        if let Some(route) = self.streams.get(slot).and_then(|stream| stream.route) {
            capture.route(route, &self.routes);
        }
        for target in self.streams.get(slot).iter().flat_map(|stream| stream.targets.iter()) {
            let plan = usize::from(target.plan);
            capture.series(plan, target.slot, &self.plans[plan].table);
        }
    }

    /// Writes the state now.
    pub(crate) fn write_checkpoint(&mut self) {
        // One that was not finished is older.
        self.capturing = None;
        self.begin_checkpoint();
        let Some(mut capturing) = self.capturing.take() else { return };
        while !self.collect(&mut capturing.capture, 1024) {
            if let Some(part) = capturing.capture.full_part() {
                capturing.writing.push(part);
            }
        }
        let (writing, then) = self.finished(capturing);
        then(writing.finish_now());
    }
}
