//! State that goes on: over a change of the configuration, and over a restart.

use std::collections::HashMap;
use std::time::Duration;

use phoenix_component::{Adoption, Now};

use super::{Aggregator, Early};
use crate::stream::{Stream, Target};

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
            old.checkpoint = None;
            return Adoption::Kept;
        }
        (self.seed, self.hasher) = (old.seed, old.hasher.clone());
        self.next_head = old.next_head;
        self.generation = old.generation + 1;
        self.horizon = old.horizon;
        self.begun = old.begun;
        self.watermark.take_over(&mut old.watermark);
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
            plans.insert(theirs as u16, index as u16);
        }
        let all_kept = plans.len() == old.plans.len();
        self.adopt_streams(old, &plans, all_kept);
        self.count_series();
        // Series of windows that were being closed are where they were.
        let in_place = all_kept && plans.iter().all(|(theirs, mine)| theirs == mine);
        self.closing = old.closing.take().filter(|closing| in_place && closing.has_streams());
        old.checkpoint = None;
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
            let kept = |target: &Target| Some(Target { plan: *plans.get(&target.plan)?, ..*target });
            let targets = theirs.targets.iter().filter_map(kept).collect();
            let stream = match all_kept {
                true => std::mem::replace(theirs, Stream::new(theirs.meaning)),
                false => {
                    let gone: Box<[_]> = theirs
                        .targets
                        .iter()
                        .filter(|target| !plans.contains_key(&target.plan))
                        .copied()
                        .collect();
                    let copy = Stream {
                        meaning: theirs.meaning,
                        generation: 0,
                        last: theirs.last.clone(),
                        ended: theirs.ended,
                        gap: theirs.gap,
                        waiting: theirs.waiting.clone(),
                        targets: Box::default(),
                    };
                    theirs.targets = gone;
                    copy
                }
            };
            // A later look-up finds the rules that are new. Those that were there know where they go.
            let stream = Stream { generation: 0, targets, ..stream };
            // The limit may be lower now: then the last ones are forgotten, as if they were idle.
            if let Err(stream) = self.streams.insert(key, stream) {
                self.horizon = self.horizon.max(stream.last.place.time);
                for target in &stream.targets {
                    self.plans[usize::from(target.plan)].leave(target.slot, !stream.ended, None);
                }
            }
        }
    }

    /// Reads the state of the last run, if there is one.
    pub(super) fn restore(&mut self, now: Now) {
        let Some(checkpoint) = self.checkpoint.clone() else { return };
        match checkpoint.read() {
            Ok(Some(body)) => match self.read_state(&body, now) {
                Some(()) => {
                    tracing::info!(series = self.series, streams = self.streams.len(), "state restored")
                }
                None => {
                    self.clear();
                    tracing::error!(path = %checkpoint.path().display(), "the state cannot be read: starting without");
                }
            },
            Ok(None) => {}
            Err(error) => {
                tracing::error!(path = %checkpoint.path().display(), %error, "the state cannot be read: starting without");
            }
        }
        self.next_checkpoint = now.monotonic + self.settings.checkpoint_interval;
    }

    /// Goes on from a state, without a file.
    #[cfg(test)]
    pub(crate) fn start_from(&mut self, state: &[u8], now: Now) {
        self.early = None;
        self.read_state(state, now).expect("a state");
    }

    /// Writes the state if its time has come and no window is being closed, on a thread of its own: the disk may be slow.
    pub(super) fn checkpoint_if_due(&mut self, now: Now, done: bool) {
        if !done || !self.begun || now.monotonic < self.next_checkpoint {
            return;
        }
        let Some(checkpoint) = self.checkpoint.clone() else { return };
        self.next_checkpoint = now.monotonic + self.settings.checkpoint_interval;
        let snapshot = checkpoint.snapshot(&self.write_state());
        let metrics = self.metrics.clone();
        let write = move || metrics.count_checkpoint(&checkpoint, &checkpoint.write(&snapshot));
        // Where there is no thread it is written the next time, or at the end.
        if let Err(error) = std::thread::Builder::new().name("checkpoint".into()).spawn(write) {
            tracing::warn!(%error, "no thread to write the state");
        }
    }

    /// Writes the state now.
    pub(super) fn write_checkpoint(&mut self) {
        let Some(checkpoint) = self.checkpoint.clone() else { return };
        let written = checkpoint.write(&checkpoint.snapshot(&self.write_state()));
        self.metrics.count_checkpoint(&checkpoint, &written);
    }
}
