//! One shard: takes spans in, decides about traces when they are due, lets out what is kept.
//!
//! Spans come by [`ingest`], decisions by [`decide`]; both work in slices that end by themselves. What is let out goes
//! before anything in the buffer moves, in the same call.

mod decide;
mod ingest;
mod spill;

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use phoenix_component::{
    Adoption, DecisionBook, Drained, Fragment, Held, Now, Offer, Output, Stage, TraceDecision,
};
use phoenix_statements::Runner;

use crate::buffer::{Buffer, Lookup, Slot};
use crate::config::{PolicyConfig, Randomness, SamplingStrategy, TailSamplingConfig};
use crate::decided::Decided;
use crate::facts::TraceFacts;
use crate::generation::Generation;
use crate::metrics::{Early, TailMetrics};
use crate::release::Outgoing;
use crate::spill::Spill;
use crate::wheel::{TICK, Wheel, moment_of};

/// The settings in the form that is asked for with every span.
#[derive(Clone, Copy, Debug)]
struct Rules {
    wait: Duration,
    wait_after_root: Option<Duration>,
    most_bytes: Option<u64>,
    at_ingest: bool,
    drops_pending: bool,
    records_policy: bool,
    records_rate: bool,
    writes_thresholds: bool,
    most_kept: u64,
    most_dropped: u64,
}

/// Decisions that are remembered where nothing else is said.
const MOST_KEPT: u64 = 100_000;
const MOST_DROPPED: u64 = 1_000_000;

/// And what they take: at most this part of the buffer, where nobody has said how many they shall be.
const REMEMBERED_PART: usize = 8;
/// Bytes of so many: 49 in a map of which half may be free, and 7.5 in filters, of which there are two.
const REMEMBERED_BYTES: f64 = MOST_KEPT as f64 * 128.0 + MOST_DROPPED as f64 * 15.0;
/// No fewer in any case.
const LEAST_KEPT: u64 = 1_000;
const LEAST_DROPPED: u64 = 10_000;
/// Bytes of a decision in the book, of which half of the places may be free.
const NOTED_BYTES: usize = 2 * (size_of::<TraceDecision>() + 17);

impl Rules {
    /// `memory` is what may be in use by all shards together.
    fn new(config: &TailSamplingConfig, memory: usize) -> Rules {
        let shards = u64::from(config.num_shards.max(1));
        let share = ((memory / REMEMBERED_PART) as f64 / REMEMBERED_BYTES).min(1.0);
        let remembered = |given: u64, default: u64, least: u64| {
            let default = ((default as f64 * share) as u64).max(least);
            let all = if given > 0 { given } else { config.most_traces().unwrap_or(default) };
            all.div_ceil(shards)
        };
        let after_root = config.decision_wait_after_root_received;
        Rules {
            wait: config.decision_wait.as_duration(),
            wait_after_root: after_root.is_positive().then(|| after_root.as_duration()),
            most_bytes: Some(config.maximum_trace_size_bytes).filter(|most| *most > 0),
            at_ingest: config.sampling_strategy == SamplingStrategy::SpanIngest,
            drops_pending: config.drop_pending_traces_on_shutdown,
            records_policy: config.record_policy,
            records_rate: config.record_sample_rate,
            writes_thresholds: config.randomness == Randomness::W3c
                || config.policies.iter().any(PolicyConfig::uses_randomness),
            most_kept: remembered(config.decision_cache.sampled_cache_size, MOST_KEPT, LEAST_KEPT),
            most_dropped: remembered(
                config.decision_cache.non_sampled_cache_size,
                MOST_DROPPED,
                LEAST_DROPPED,
            ),
        }
    }
}

/// Traces that are due together, and how many of them were decided.
struct Round {
    tick: u32,
    traces: Vec<Slot>,
    done: usize,
}

/// A shard.
pub(crate) struct TailStage {
    rules: Rules,
    /// Its number, and how many there are.
    shard: (u64, u64),
    buffer: Buffer,
    wheel: Wheel,
    round: Option<Round>,
    /// The oldest first; the last one is in force.
    generations: VecDeque<Generation>,
    decided: Decided,
    outgoing: Outgoing,
    /// Where spans are that are not in memory.
    spill: Option<Spill>,
    /// Traces that are to be kept and of which something is there.
    awaited: VecDeque<spill::Awaited>,
    /// With `sampling_strategy: span-ingest`, what is known of the spans of the resource that is taken in.
    fresh: Vec<(Slot, TraceFacts)>,
    /// Traces that were looked up for the scope that is taken in.
    lookups: Vec<Lookup>,
    /// Spans that ended since the last call that could say so, by reason.
    ended: Vec<(&'static str, u64)>,
    /// Since when spans that came late wait to be let out.
    late_since: Option<Duration>,
    wake_at: Option<Duration>,
    now: Now,
    /// When the operator was told last that memory is short.
    warned_at: Option<Duration>,
    metrics: TailMetrics,
    runner: Arc<Runner>,
    /// Where decisions are noted, and what keeps it open.
    book: Arc<DecisionBook>,
    noted: usize,
    _open: Offer,
}

impl TailStage {
    pub(crate) fn new(
        config: &TailSamplingConfig,
        shard: (u64, u64),
        (mut buffer, spill): (Buffer, Option<Spill>),
        generation: Generation,
        metrics: TailMetrics,
        runner: Arc<Runner>,
        (book, open): (Arc<DecisionBook>, Offer),
    ) -> TailStage {
        let rules = Rules::new(config, buffer.pool().limit());
        buffer.segments.allow_freezing(spill.is_some());
        let wake_at = spill.as_ref().map(|_| Duration::ZERO);
        TailStage {
            rules,
            shard,
            buffer,
            wheel: Wheel::default(),
            round: None,
            generations: VecDeque::from([generation]),
            decided: Decided::new(rules.most_kept, rules.most_dropped),
            outgoing: Outgoing::default(),
            spill,
            awaited: VecDeque::new(),
            fresh: Vec::new(),
            lookups: Vec::new(),
            ended: Vec::new(),
            late_since: None,
            wake_at,
            now: Now::default(),
            warned_at: None,
            metrics,
            runner,
            book,
            noted: 0,
            _open: open,
        }
    }

    /// Tells the pool what is in use.
    fn settle(&mut self) {
        let noted = self.noted.min(2 * DecisionBook::MEMORY / self.shard.1 as usize);
        let of_extensions =
            self.generations.back().map_or(0, Generation::note_bytes) * self.buffer.traces.len();
        self.buffer.set_beside(self.decided.bytes(), noted * NOTED_BYTES + of_extensions);
        self.buffer.settle();
    }

    fn end(&mut self, reason: &'static str, spans: u64) {
        match self.ended.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += spans,
            None => self.ended.push((reason, spans)),
        }
    }

    /// Lets out what is ready.
    fn flush(&mut self, out: &mut Output) {
        self.outgoing.flush(&mut self.buffer, out);
        self.late_since = None;
        self.tell_ended(out);
    }

    fn tell_ended(&mut self, out: &mut Output) {
        for (reason, spans) in self.ended.drain(..) {
            out.dropped(reason, spans);
        }
    }

    /// Ends a call: lets out what is ready, makes room, and says when to come back.
    fn finish(&mut self, out: &mut Output) {
        self.relieve(out);
        if self.outgoing.has_records() || self.outgoing.is_enough() {
            self.flush(out);
        }
        self.tell_ended(out);
        // Moving is bounded by what a call has let go.
        const MOST_MOVED: usize = 8;
        for _ in 0..MOST_MOVED {
            if !self.buffer.tidy() {
                break;
            }
        }
        self.settle();
        self.generations.iter_mut().for_each(Generation::settle);
        self.wake_at = self.next_call();
    }

    /// When a tick is wanted: at once where something is due.
    fn next_call(&mut self) -> Option<Duration> {
        let now = self.now.monotonic;
        if self.round.is_some() {
            return Some(now);
        }
        let late = self.late_since.map(|since| since + TICK);
        let due = self.wheel.next().map(moment_of);
        let hurried = due.filter(|_| self.hurry() > Duration::ZERO).map(|due| due.min(now + TICK));
        [late, hurried, due, self.spill_wakes_at()].into_iter().flatten().min()
    }

    /// Leaves everything where it goes on to wait, or decides about it. True where all of it is done.
    fn end_all(&mut self, out: &mut Output) -> bool {
        if !self.release_awaited_now(out) {
            return false;
        }
        let keeps = self.spill.as_ref().is_some_and(|spill| spill.rules.keeps);
        if keeps && self.buffer.traces.len() > 0 && self.leave_on_disk(out) {
            return true;
        }
        if !self.decide_all(out) && !self.release_awaited_now(out) {
            return false;
        }
        self.settle_spill();
        self.round.is_none() && self.buffer.traces.len() == 0
    }

    /// Puts what is inside into requests, for a successor that has state of its own already.
    fn take_requests(&mut self) -> Output {
        let mut out = Output::with_room(usize::MAX);
        self.fetch_all_now();
        let slots: Vec<Slot> = self.buffer.traces.slots().collect();
        for slot in slots {
            let (facts, head) = self.buffer.take(slot);
            let spans = facts.spans();
            self.outgoing.add_trace(&self.buffer, head, spans, crate::release::Mark::default());
        }
        self.flush(&mut out);
        out
    }
}

impl Stage for TailStage {
    fn ingest(&mut self, fragment: Fragment, now: Now, out: &mut Output) {
        self.now = now;
        self.attend_spill(out);
        self.take_in(&fragment.batch);
        self.finish(out);
    }

    fn tick(&mut self, now: Now, out: &mut Output) {
        self.now = now;
        self.attend_spill(out);
        self.decide_due(out);
        self.flush(out);
        self.finish(out);
        if !out.is_full() {
            // The rest of a slice comes after whatever waits to be taken in, a moment later.
            self.wake_at = self.wake_at.map(|at| at.max(now.monotonic + Duration::from_nanos(1)));
        }
    }

    fn drain(&mut self, now: Now, out: &mut Output) -> Drained {
        self.now = now;
        self.flush(out);
        let is_done = self.end_all(out);
        if let Some(spill) = self.spill.as_ref().filter(|_| is_done) {
            spill.flush();
        }
        self.flush(out);
        self.settle();
        self.generations.iter_mut().for_each(Generation::settle);
        self.wake_at = None;
        if is_done { Drained::Done } else { Drained::More }
    }

    fn wake_at(&self) -> Option<Duration> {
        self.wake_at
    }

    fn held(&self) -> Held {
        let ended: u64 = self.ended.iter().map(|(_, spans)| spans).sum();
        Held {
            items: self.buffer.spans + self.outgoing.spans() + ended,
            bytes: if self.buffer.spans == 0 { 0 } else { self.buffer.bytes() },
        }
    }

    /// Spans wait for their time, and what is let out is a small part of what comes in.
    fn fills_up(&self) -> bool {
        false
    }

    /// Buffer, decisions and limiters go on, whatever changed; traces that wait are decided by the policies that first
    /// saw them. What this shard has taken in already joins that.
    fn adopt(&mut self, old: &mut dyn Stage) -> Adoption {
        let Some(old) = old.as_any().downcast_mut::<TailStage>() else { return Adoption::Rebuilt };
        if old.shard != self.shard {
            return Adoption::Rebuilt;
        }
        let pool = self.buffer.pool().clone();
        let newer = self.take_requests();
        self.settle_spill();
        let Some(mut generation) = self.generations.pop_back() else { return Adoption::Rebuilt };
        if let Some(before) = old.generations.back_mut() {
            generation.number = before.number + 1;
            generation.adopt(before);
        }
        generation.traces = 0;
        let mut emptied = Buffer::new(pool.clone());
        std::mem::swap(&mut emptied, &mut old.buffer);
        self.buffer = emptied;
        self.buffer.move_to(pool);
        self.wheel = std::mem::take(&mut old.wheel);
        self.round = old.round.take();
        self.outgoing = std::mem::take(&mut old.outgoing);
        self.spill = Spill::follow(self.spill.take(), old.spill.take());
        self.awaited = std::mem::take(&mut old.awaited);
        self.buffer.segments.allow_freezing(self.spill.is_some());
        self.late_since = old.late_since.take();
        self.ended.append(&mut old.ended);
        self.generations = std::mem::take(&mut old.generations);
        self.generations.push_back(generation);
        let mine = Decided::new(self.rules.most_kept, self.rules.most_dropped);
        let mine = std::mem::replace(&mut self.decided, mine);
        std::mem::swap(&mut self.decided, &mut old.decided);
        self.decided.resize(self.rules.most_kept, self.rules.most_dropped);
        self.decided.join(mine);
        old.wake_at = None;
        if old.now.monotonic > self.now.monotonic {
            self.now = old.now;
        }
        let mut newer = newer;
        for (reason, spans) in newer.take_dropped() {
            self.end(reason, spans);
        }
        for fragment in newer.take_batches() {
            self.take_in(&fragment.batch);
        }
        self.noted = self.noted.max(old.noted);
        self.settle();
        self.wake_at = Some(self.now.monotonic + Duration::from_nanos(1));
        Adoption::Kept
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// Spans that end are counted under these reasons.
mod reason {
    pub(super) const NOT_SAMPLED: &str = "not_sampled";
    pub(super) const DROPPED: &str = "dropped_by_policy";
    pub(super) const LATE: &str = "late_not_sampled";
    pub(super) const TRUNCATED: &str = "truncated";
    pub(super) const TOO_LARGE: &str = "trace_too_large";
    pub(super) const STRESS: &str = "memory_stress";
    pub(super) const LOST: &str = "lost_on_disk";
    pub(super) const SHUTDOWN: &str = "pending_at_shutdown";
}

/// The moment at which traces count as due is so much later than it is, where memory is short.
fn hurried(wait: Duration, fullness: f64) -> Duration {
    /// Where waits begin to shrink, and where they have shrunk to a quarter.
    const BEGIN: f64 = 0.7;
    const END: f64 = 0.97;
    const MOST: f64 = 0.75;
    let part = ((fullness - BEGIN) / (END - BEGIN)).clamp(0.0, 1.0);
    wait.mul_f64(part * MOST)
}

impl TailStage {
    fn hurry(&self) -> Duration {
        hurried(self.rules.wait, self.buffer.fullness())
    }

    fn count_early(&self, early: Option<Early>) {
        if let Some(early) = early {
            self.metrics.early(early);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_shrink_from_seven_tenths_on_to_a_quarter() {
        let wait = Duration::from_secs(100);
        for (fullness, seconds) in [(0.0, 0.0), (0.7, 0.0), (0.835, 37.5), (0.97, 75.0), (5.0, 75.0)] {
            let found = hurried(wait, fullness).as_secs_f64();
            assert!((found - seconds).abs() < 1e-6, "{fullness}: {found}");
        }
    }
}
