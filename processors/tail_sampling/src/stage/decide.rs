//! Decides about traces: when they are due, and earlier where it has to be.

use std::time::Duration;

use phoenix_component::{Output, TraceDecision};
use phoenix_sampling::Threshold;

use super::{Round, TailStage, reason};
use crate::buffer::{Entry, RecordRef, Slot};
use crate::decided::Kept;
use crate::facts::TraceFacts;
use crate::generation::{Decision, Generation, numbered};
use crate::metrics::{Early, Outcome};
use crate::release::{Mark, MarkedPolicy, ThresholdEdit};
use crate::wheel::{moment_of, tick_before};

/// Traces that are decided in one call, at most.
const SLICE: usize = 4096;
/// Traces whose memory is asked for together.
const AHEAD: usize = 16;
/// And records of each.
const RECORDS_AHEAD: usize = 4;
/// From which fullness on traces are decided early to make room.
const CROWDED: f64 = 0.9;
/// Traces that are compared for who is decided early, and those of them that are.
const WINDOW: usize = 64;
const VICTIMS: usize = 16;
/// Windows that one call looks at.
const WINDOWS: usize = 16;
/// Traces younger than this part of the wait, or of what memory lasts for, are decided early only where memory is full.
const SETTLING_PART: u32 = 16;
/// How often the operator is told that memory is short.
const WARNED_EVERY: Duration = Duration::from_secs(60);

impl TailStage {
    /// Decides about traces that are due, as many as fit into a slice.
    pub(super) fn decide_due(&mut self, out: &mut Output) {
        let until = tick_before(self.now.monotonic + self.hurry());
        self.work_off(until, SLICE, out);
    }

    /// Decides about all traces, or drops them, as far as there is room. True where all of it is done.
    pub(super) fn decide_all(&mut self, out: &mut Output) -> bool {
        self.work_off(u32::MAX - 1, usize::MAX, out);
        self.flush(out);
        self.round.is_none() && self.buffer.traces.len() == 0
    }

    fn work_off(&mut self, until: u32, slice: usize, out: &mut Output) {
        let is_drain = slice == usize::MAX;
        let mut left = slice;
        loop {
            if self.round.is_none() {
                let Some((tick, traces)) = self.wheel.take_due(until) else { return };
                self.round = Some(Round { tick, traces, done: 0 });
                self.preview();
            }
            let Some(mut round) = self.round.take() else { return };
            while let Some(slot) = round.traces.get(round.done).copied() {
                if left == 0 || self.outgoing.is_enough() {
                    break;
                }
                if round.done.is_multiple_of(AHEAD) {
                    self.look_ahead(&round.traces[round.done..]);
                }
                round.done += 1;
                left -= 1;
                // One that is not due then was decided, or became due earlier.
                if self.buffer.traces.due(slot) != round.tick {
                    continue;
                }
                if is_drain && self.rules.drops_pending {
                    self.drop_trace(slot, reason::SHUTDOWN);
                } else if self.rules.at_ingest {
                    self.conclude(slot, Decision::not_sampled(), None, reason::NOT_SAMPLED);
                } else {
                    if !is_drain {
                        let late = self.now.monotonic.saturating_sub(moment_of(round.tick));
                        self.metrics.timer_latency.record_time(late);
                    }
                    self.decide(slot, is_drain.then_some(Early::Drain));
                }
            }
            let is_done = round.done == round.traces.len();
            if is_done {
                let now = self.now;
                self.generations.iter_mut().for_each(|generation| generation.end_of_round(now));
            } else {
                self.round = Some(round);
            }
            if self.outgoing.is_enough() {
                self.flush(out);
            }
            if left == 0 || out.is_full() {
                return;
            }
        }
    }

    /// Reads of the next traces what deciding reads first, each step for all of them before the next one: so memory is waited for
    /// a few times, and not for each trace.
    fn look_ahead(&self, slots: &[Slot]) {
        let mut heads = [RecordRef::NONE; AHEAD];
        self.buffer.traces.look_ahead(slots, &mut heads);
        let entries = slots.iter().take(AHEAD).filter_map(|slot| self.buffer.traces.get(*slot));
        self.decided.prepare_drop(entries.map(|entry| &entry.facts.id));
        for _ in 0..RECORDS_AHEAD {
            for head in &mut heads {
                if let Some(at) = head.some() {
                    *head = self.buffer.segments.header(at).previous;
                }
            }
        }
        std::hint::black_box(heads);
    }

    /// Shows all traces of a round to the policies that want to see them first.
    fn preview(&mut self) {
        if !self.generations.iter().any(Generation::wants_preview) {
            return;
        }
        let Some(round) = self.round.take() else { return };
        let now = self.now;
        for slot in &round.traces {
            let Some(entry) = self.buffer.traces.get(*slot).filter(|entry| entry.due == round.tick) else {
                continue;
            };
            if let Some(generation) = numbered(&mut self.generations, entry.facts.generation) {
                generation.preview(&entry.facts, now);
            }
        }
        self.round = Some(round);
    }

    /// Decides about a trace.
    pub(super) fn decide(&mut self, slot: Slot, early: Option<Early>) {
        let now = self.now;
        let facts = &self.buffer.traces[slot].facts;
        let generation = numbered(&mut self.generations, facts.generation);
        let decision =
            generation.map_or_else(Decision::not_sampled, |generation| generation.decide(facts, now));
        self.conclude(slot, decision, early, reason::NOT_SAMPLED);
    }

    /// Decides by what came just now. Whoever is not sure waits.
    pub(super) fn decide_at_ingest(&mut self, slot: Slot, facts: &TraceFacts) {
        let now = self.now;
        let Some(generation) = numbered(&mut self.generations, facts.generation) else { return };
        let decision = generation.decide(facts, now);
        let is_final = match decision.outcome {
            Outcome::Dropped => true,
            // What a policy may still drop is not let out.
            Outcome::Sampled => !generation.has_drops(),
            Outcome::NotSampled => false,
        };
        if is_final {
            self.conclude(slot, decision, None, reason::NOT_SAMPLED);
        }
    }

    /// Drops a trace without asking anybody.
    pub(super) fn drop_trace(&mut self, slot: Slot, why: &'static str) {
        self.conclude(slot, Decision::not_sampled(), None, why);
    }

    /// Does what was decided, and remembers it; of a trace that is to be kept once all of it is in memory.
    pub(super) fn conclude(
        &mut self,
        slot: Slot,
        decision: Decision,
        early: Option<Early>,
        why: &'static str,
    ) {
        if decision.outcome == Outcome::Sampled && self.awaits_spill(slot, &decision, (early, why)) {
            return;
        }
        self.metrics.decided(decision.outcome);
        self.count_early(early);
        self.note(slot, &decision, early, why);
        let facts = match decision.outcome {
            Outcome::Sampled => {
                let (facts, head) = self.buffer.take(slot);
                let generation = numbered(&mut self.generations, facts.generation);
                let truncation = generation.as_ref().and_then(|generation| generation.truncation_of(&facts));
                let class = decision.class.and_then(|class| {
                    generation.and_then(|generation| generation.plan.classes.get(usize::from(class)).cloned())
                });
                let kept = Kept {
                    policy: decision.policy.unwrap_or_default(),
                    part: decision.part,
                    threshold: decision.threshold,
                    admitted: facts.admitted(),
                    class,
                    truncation,
                    generation: facts.generation,
                    decided_at: self.now.monotonic.as_nanos() as u64,
                };
                let mark = self.mark(&kept, false);
                match truncation {
                    None => self.outgoing.add_trace(&self.buffer, head, facts.spans(), mark),
                    Some(share) => {
                        let cut =
                            self.outgoing.add_truncated(&mut self.buffer, head, (&facts.id, share), mark);
                        if cut > 0 {
                            self.metrics.truncated.add(1);
                            self.end(reason::TRUNCATED, cut);
                        }
                    }
                }
                if facts.id != [0; 16] {
                    self.decided.keep(facts.id, kept);
                }
                facts
            }
            Outcome::NotSampled | Outcome::Dropped => {
                let facts = self.buffer.discard(slot);
                let why = if decision.outcome == Outcome::Dropped { reason::DROPPED } else { why };
                self.end(why, facts.spans());
                if facts.id != [0; 16] {
                    self.decided.drop(&facts.id);
                }
                facts
            }
        };
        self.metrics.removal_age.record_time(self.now.monotonic.saturating_sub(facts.first_seen()));
        self.leave_generation(facts.generation);
    }

    /// Writes a decision into the book, for who asks.
    fn note(&mut self, slot: Slot, decision: &Decision, early: Option<Early>, why: &'static str) {
        let facts = &self.buffer.traces[slot].facts;
        let threshold = decision.threshold.map(|threshold| match facts.admitted() {
            Some(admitted) => admitted.max(threshold),
            None => threshold,
        });
        let is_kept = decision.outcome == Outcome::Sampled;
        let noted = TraceDecision {
            outcome: decision.outcome.name(),
            policy: decision.policy.clone(),
            part: decision.part.clone(),
            trigger: match early {
                None if why == reason::NOT_SAMPLED => "decision_wait",
                None => why,
                Some(early) => early.name(),
            },
            adjusted_count: threshold.filter(|_| is_kept).map(Threshold::adjusted_count),
            unix_nanos: self.now.unix_nanos,
            spans: facts.spans(),
            bytes: facts.bytes(),
            generation: facts.generation,
        };
        self.book.note(facts.id, noted);
        self.noted = self.noted.saturating_add(1);
    }

    /// What is written onto a trace that is kept.
    pub(super) fn mark(&self, kept: &Kept, is_cached: bool) -> Mark {
        let threshold = match (self.rules.writes_thresholds, kept.threshold, kept.admitted) {
            (false, _, None) => None,
            (false, _, Some(admitted)) => Some(ThresholdEdit::Raise(admitted)),
            (true, Some(threshold), admitted) => {
                Some(ThresholdEdit::Raise(admitted.map_or(threshold, |admitted| admitted.max(threshold))))
            }
            (true, None, _) => Some(ThresholdEdit::Clear),
        };
        let known = kept.threshold.filter(|_| self.rules.records_rate);
        let rate = known.map(|threshold| kept.admitted.map_or(threshold, |admitted| admitted.max(threshold)));
        let policy = self.rules.records_policy.then(|| MarkedPolicy {
            name: kept.policy.clone(),
            part: kept.part.clone(),
            generation: kept.generation,
            is_cached,
        });
        Mark { threshold, policy, class: kept.class.clone(), share: None, rate }
    }

    /// Decides about the trace that is due first.
    pub(super) fn decide_oldest(&mut self) {
        while let Some((tick, slot)) = self.wheel.take_one() {
            if self.buffer.traces.due(slot) == tick {
                self.decide(slot, Some(Early::Traces));
                return;
            }
        }
    }

    /// Makes room where memory is nearly full: decides about traces that are large and have waited long, and about those
    /// with errors last.
    pub(super) fn relieve(&mut self, out: &mut Output) {
        if self.buffer.fullness() < CROWDED {
            return;
        }
        self.warn_of_memory();
        // A trace whose spans still come would be decided without them, and what is to come would follow that.
        let lasts_for = self.buffer.pool().lasts_for().unwrap_or(self.rules.wait).min(self.rules.wait);
        let settled = (lasts_for / SETTLING_PART).as_nanos() as u64;
        let youngest = if self.buffer.fullness() < 1.0 { settled } else { 0 };
        let mut window: Vec<(bool, f64, Slot)> = Vec::with_capacity(WINDOW);
        for _ in 0..WINDOWS {
            if self.buffer.fullness() < CROWDED || out.is_full() {
                return;
            }
            window.clear();
            let now = self.now.monotonic.as_nanos() as u64;
            self.buffer.traces.look_around(WINDOW, |slot, entry| {
                let age = now.saturating_sub(entry.facts.first_seen).max(1);
                if age >= youngest && entry.due != Entry::AWAITED {
                    window.push((entry.facts.has_error, entry.facts.bytes as f64 * age as f64, slot));
                }
            });
            window.sort_unstable_by(|one, other| {
                (one.0, other.1).partial_cmp(&(other.0, one.1)).unwrap_or(std::cmp::Ordering::Equal)
            });
            for (_, _, slot) in window.iter().take(VICTIMS) {
                self.decide(*slot, Some(Early::Memory));
            }
            if self.outgoing.is_enough() {
                self.flush(out);
            }
        }
    }

    fn warn_of_memory(&mut self) {
        let now = self.now.monotonic;
        if self.warned_at.is_some_and(|at| now < at + WARNED_EVERY) {
            return;
        }
        self.warned_at = Some(now);
        let pool = self.buffer.pool();
        let lasts_for = pool.lasts_for().unwrap_or_default();
        tracing::warn!(
            limit_bytes = pool.limit(),
            lasts_for_seconds = lasts_for.as_secs_f64(),
            decision_wait_seconds = self.rules.wait.as_secs_f64(),
            "tail_sampling decides traces before their time: memory is too small for such a wait"
        );
    }
}
