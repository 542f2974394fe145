//! Takes requests apart into runs of spans of one trace, and each run to where it belongs.

use std::sync::Arc;
use std::time::Duration;

use phoenix_component::{Batch, ObservedSpan};
use phoenix_ottl::{Env, Scratch, SpanSession};
use phoenix_pdata::view::{ResourceSpans, ScopeSpans, Span, View as _};
use phoenix_pdata::wire::Fields;
use phoenix_sampling::Threshold;

use super::{TailStage, reason};
use crate::buffer::{Entry, Lookup, ResourceId, ScopeId, Slot};
use crate::conditions::{Ottl, is_error};
use crate::decided::{Kept, Remembered};
use crate::facts::TraceFacts;
use crate::generation::numbered;
use crate::metrics::{Early, Outcome};
use crate::partition::{shard_of, trace_id};
use crate::release::Mark;
use crate::wheel::{tick_after, tick_before};

/// Where the spans of a run go.
enum Target {
    /// To a trace that waits, or that begins.
    Waiting { slot: Slot, is_new: bool },
    /// Out, after the trace that they belong to.
    Kept(Box<Kept>),
    /// Nowhere.
    Dropped,
}

/// Spans of one trace that follow each other in a scope.
struct Run {
    id: [u8; 16],
    /// Where they begin and end in the scope's entry.
    start: usize,
    end: usize,
    spans: u32,
    target: Target,
    had_root: bool,
    /// Where what is known of the spans is gathered, if that is not the trace.
    fresh: Option<usize>,
}

/// What a run is in.
#[derive(Clone, Copy)]
struct Place<'a> {
    resource: ResourceId,
    scope: ScopeId,
    /// The resource's entry, and in it the scope's.
    around: &'a [u8],
    entry: &'a [u8],
}

/// Open evaluations of the OTTL conditions of one generation.
struct Sessions<'a> {
    generation: u32,
    of: &'a [Ottl],
    list: Vec<SpanSession<'a>>,
}

/// From which fullness on new traces are sampled.
const STRESS: f64 = 0.97;
/// No smaller share of new traces is let in; what is more is refused.
const LEAST_SHARE: f64 = 1.0 / 64.0;
/// A trace that takes more than this part of all memory is decided at once.
const LARGEST_PART: usize = 8;

impl TailStage {
    /// Takes the spans of a request in.
    pub(super) fn take_in(&mut self, batch: &Batch) {
        let runner = self.runner.clone();
        let now = self.now;
        let result = runner.run(batch.client.as_deref(), |env| {
            let unix = i64::try_from(now.unix_nanos).unwrap_or(i64::MAX);
            let env = Env { now_unix_nanos: unix, ..*env };
            // Held here, so that they can be used while everything else changes.
            let ottl: Vec<(u32, Arc<Vec<Ottl>>)> = self
                .generations
                .iter()
                .filter(|generation| !generation.plan.conditions.ottl().is_empty())
                .map(|generation| (generation.number, generation.plan.conditions.ottl().clone()))
                .collect();
            let scratch: Vec<Vec<Scratch>> =
                ottl.iter().map(|(_, of)| of.iter().map(|_| Scratch::default()).collect()).collect();
            let mut sessions: Vec<Sessions<'_>> = Vec::with_capacity(ottl.len());
            for ((generation, of), scratch) in ottl.iter().zip(&scratch) {
                let list = of.iter().zip(scratch).map(|(ottl, room)| ottl.matcher.begin(room, env)).collect();
                sessions.push(Sessions { generation: *generation, of, list });
            }
            for piece in batch.payload.pieces() {
                self.take_in_piece(piece, &mut sessions);
            }
            Ok(())
        });
        debug_assert!(result.is_ok(), "errors of conditions become votes");
        self.buffer.pool().came_in(batch.payload.len() as u64, now.monotonic);
    }

    fn take_in_piece<'a>(&mut self, piece: &'a [u8], sessions: &mut [Sessions<'a>]) {
        for entry in Fields::new(piece).filter(|field| field.is_len(1)) {
            let resource = self.buffer.interned.resource(entry.body);
            if !sessions.is_empty() {
                let view = ResourceSpans::new(entry.body);
                let all = sessions.iter_mut().flat_map(|sessions| &mut sessions.list);
                all.for_each(|session| session.resource(&view));
            }
            for scope_entry in Fields::new(entry.body).filter(|field| field.is_len(2)) {
                let scope = self.buffer.interned.scope(resource, scope_entry.body);
                if !sessions.is_empty() {
                    let view = ScopeSpans::new(scope_entry.body);
                    let all = sessions.iter_mut().flat_map(|sessions| &mut sessions.list);
                    all.for_each(|session| session.scope(&view));
                }
                self.take_in_scope(
                    Place { resource, scope, around: entry.body, entry: scope_entry.body },
                    sessions,
                );
                self.buffer.interned.let_go(scope);
            }
            self.buffer.interned.let_resource_go(resource);
            for (slot, facts) in std::mem::take(&mut self.fresh) {
                if !matches!(self.buffer.traces.due(slot), Entry::GONE | Entry::AWAITED) {
                    self.decide_at_ingest(slot, &facts);
                }
            }
        }
    }

    fn take_in_scope<'a>(&mut self, place: Place<'a>, sessions: &mut [Sessions<'a>]) {
        self.look_up(place.entry);
        let mut lookups = std::mem::take(&mut self.lookups);
        let mut next = lookups.drain(..);
        let mut run: Option<Run> = None;
        let (mut current, mut left) = (None, 0);
        let mut seen = None;
        let mut at = 0;
        for field in Fields::new(place.entry) {
            let start = at;
            at += field.raw.len();
            if !field.is_len(2) {
                continue;
            }
            // The spans were told apart when their traces were looked up.
            if left == 0 {
                current = next.next();
                left = current.map_or(1, |lookup: Lookup| lookup.spans);
            }
            left -= 1;
            let Some(Lookup { id, slot: known, .. }) = current else { continue };
            if self.shard.1 > 1 && shard_of(&id, self.shard.1) != self.shard.0 {
                continue;
            }
            if !run.as_ref().is_some_and(|run| run.id == id && run.end == start) {
                if let Some(run) = run.take() {
                    self.end_run(run, place);
                }
                run = Some(self.begin_run(id, start, known, place));
            }
            let Some(run) = &mut run else { continue };
            run.end = at;
            run.spans += 1;
            if let Target::Waiting { slot, .. } = run.target {
                let facts = match run.fresh {
                    None => &mut self.buffer.traces[slot].facts,
                    Some(index) => &mut self.fresh[index].1,
                };
                let Some(generation) = numbered(&mut self.generations, facts.generation) else { continue };
                generation.plan.conditions.observe(field.body, facts);
                if generation.plan.conditions.observers() > 0 {
                    let seen = seen.get_or_insert_with(|| {
                        (ResourceSpans::new(place.around), ScopeSpans::new(place.entry))
                    });
                    let span = ObservedSpan { resource: seen.0, scope: seen.1, span: Span::new(field.body) };
                    generation.plan.conditions.show(&span, facts);
                }
                if let Some(sessions) =
                    sessions.iter_mut().find(|sessions| sessions.generation == facts.generation)
                {
                    evaluate(sessions, field.body, facts);
                }
            }
        }
        if let Some(run) = run {
            self.end_run(run, place);
        }
        drop(next);
        self.lookups = lookups;
    }

    /// Looks the traces of a scope's spans up, all together.
    fn look_up(&mut self, entry: &[u8]) {
        let mut lookups = std::mem::take(&mut self.lookups);
        lookups.clear();
        for field in Fields::new(entry).filter(|field| field.is_len(2)) {
            let id = trace_id(field.body);
            match lookups.last_mut() {
                Some(last) if last.id == id => last.spans += 1,
                _ => lookups.push(self.buffer.traces.lookup(id)),
            }
        }
        self.buffer.traces.look_up(&mut lookups);
        self.decided
            .prepare_recall(lookups.iter().filter(|lookup| lookup.slot.is_none()).map(|lookup| &lookup.id));
        self.lookups = lookups;
    }

    /// Finds out where the spans of a trace go; `known` is where the trace was a moment ago.
    fn begin_run(&mut self, id: [u8; 16], start: usize, known: Option<Slot>, place: Place<'_>) -> Run {
        let has_id = id != [0; 16];
        let known = known.filter(|slot| self.buffer.traces.is_at(*slot, &id));
        let mut target = known
            .or_else(|| self.buffer.traces.find(&id))
            .map(|slot| Target::Waiting { slot, is_new: false });
        if target.is_none() && has_id {
            target = match self.decided.recall(&id) {
                Some(Remembered::Kept(kept)) => Some(Target::Kept(Box::new(kept))),
                Some(Remembered::Dropped) => Some(Target::Dropped),
                // With an error it begins once more: errors are not what memory is saved at.
                Some(Remembered::NotAdmitted) if has_error(place.entry, start, &id) => None,
                Some(Remembered::NotAdmitted) => Some(Target::Dropped),
                None => None,
            };
        }
        let target = target.unwrap_or_else(|| Target::Waiting { slot: self.begin_trace(id), is_new: true });
        let (mut had_root, mut fresh) = (false, None);
        if let Target::Waiting { slot, .. } = target {
            had_root = self.buffer.traces[slot].facts.has_root;
            fresh = self.rules.at_ingest.then(|| self.fresh(slot));
            let facts = match fresh {
                None => &mut self.buffer.traces[slot].facts,
                Some(index) => &mut self.fresh[index].1,
            };
            if let Some(generation) = numbered(&mut self.generations, facts.generation) {
                let conditions = &mut generation.plan.conditions;
                let found = self
                    .buffer
                    .interned
                    .found_in(place.resource, facts.generation, |entry| conditions.of_resource(entry));
                facts.bits.add(&found.bits);
                for (field, value) in &found.values {
                    facts.add_value(*field, value, |_| value.clone());
                }
            }
        }
        Run { id, start, end: start, spans: 0, target, had_root, fresh }
    }

    /// Where what is known of the spans of a trace and a resource alone is gathered.
    fn fresh(&mut self, slot: Slot) -> usize {
        if let Some(index) = self.fresh.iter().position(|(of, _)| *of == slot) {
            return index;
        }
        let facts = &self.buffer.traces[slot].facts;
        let facts = TraceFacts::new(facts.id, facts.first_seen(), facts.generation);
        self.fresh.push((slot, facts));
        self.fresh.len() - 1
    }

    /// A trace begins to wait.
    fn begin_trace(&mut self, id: [u8; 16]) -> Slot {
        if self.buffer.traces.len() as u64 >= self.most_traces() {
            self.decide_oldest();
        }
        self.metrics.new_traces.add(1);
        let now = self.now.monotonic;
        let (number, due) = match self.generations.back_mut() {
            Some(generation) => {
                generation.traces += 1;
                (generation.number, tick_after(now + self.rules.wait))
            }
            None => (0, tick_after(now)),
        };
        let slot = self.buffer.traces.insert(TraceFacts::new(id, now, number), due);
        let entered = self.wheel.enter(slot, due, tick_before(now));
        self.buffer.traces[slot].due = entered;
        slot
    }

    /// This shard's part of the traces that may wait.
    fn most_traces(&self) -> u64 {
        (self.buffer.pool().most_traces() as u64).div_ceil(self.shard.1).max(1)
    }

    fn end_run(&mut self, run: Run, place: Place<'_>) {
        let body = &place.entry[run.start..run.end];
        let spans = u64::from(run.spans);
        if run.id == [0; 16] {
            self.metrics.without_id.add(spans);
        }
        match run.target {
            Target::Waiting { slot, is_new } => self.add_to_trace(slot, is_new, &run, body, place),
            Target::Kept(kept) => {
                self.metrics.late_sampled.add(spans);
                self.count_late(kept.decided_at);
                let mark = self.mark_late(&kept);
                let truncation = kept.truncation.map(|share| (&run.id, share));
                let cut =
                    self.outgoing.add_late(&mut self.buffer, place.scope, (spans, body), truncation, mark);
                if cut > 0 {
                    self.end(reason::TRUNCATED, cut);
                }
                self.late_since.get_or_insert(self.now.monotonic);
            }
            Target::Dropped => {
                self.metrics.late_not_sampled.add(spans);
                self.end(reason::LATE, spans);
            }
        }
    }

    fn count_late(&self, decided_at: u64) {
        let age = self.now.monotonic.saturating_sub(Duration::from_nanos(decided_at));
        self.metrics.late_age.record_time(age);
    }

    fn mark_late(&self, kept: &Kept) -> Mark {
        self.mark(kept, true)
    }

    fn add_to_trace(&mut self, slot: Slot, is_new: bool, run: &Run, body: &[u8], place: Place<'_>) {
        let shells = self.buffer.interned.resource_bytes(place.resource).len()
            + self.buffer.interned.scope_bytes(place.scope).len();
        let facts = &mut self.buffer.traces[slot].facts;
        if let Some(index) = run.fresh {
            // Only what came with this run: what is gathered may be of several.
            let fresh = &mut self.fresh[index].1;
            fresh.bytes += (body.len() + shells) as u64;
            facts.spans += run.spans;
            facts.has_root |= fresh.has_root;
            facts.has_error |= fresh.has_error;
        }
        facts.bytes += (body.len() + shells) as u64;
        let (bytes, gets_root) = (facts.bytes, facts.has_root && !run.had_root);
        if is_new && !self.admit(slot) {
            self.metrics.stress.add(u64::from(run.spans));
            self.forget(slot);
            self.end(reason::STRESS, u64::from(run.spans));
            return;
        }
        self.buffer.append(slot, place.scope, run.spans, body);
        if self.buffer.traces.due(slot) == Entry::AWAITED {
            // It is decided: what comes goes with the rest.
            return;
        }
        if self.rules.most_bytes.is_some_and(|most| bytes > most) {
            self.metrics.too_large.add(1);
            self.drop_trace(slot, reason::TOO_LARGE);
        } else if bytes > (self.buffer.pool().limit() / LARGEST_PART) as u64 {
            self.decide(slot, Some(Early::Size));
        } else if gets_root && let Some(wait) = self.rules.wait_after_root {
            self.wait_until(slot, tick_after(self.now.monotonic + wait));
        }
    }

    /// A trace is due earlier, if that is earlier.
    pub(super) fn wait_until(&mut self, slot: Slot, due: u32) {
        let before = self.buffer.traces[slot].due;
        if due < before && before != Entry::AWAITED {
            let entered = self.wheel.enter(slot, due, tick_before(self.now.monotonic));
            self.buffer.traces[slot].due = entered;
        }
    }

    /// Whether a new trace is let in: while memory is short only a share of them is, chosen by their randomness, so that
    /// what is let in stands for the rest. One that begins with an error always is.
    fn admit(&mut self, slot: Slot) -> bool {
        let fullness = self.buffer.fullness();
        if fullness < STRESS {
            return true;
        }
        let facts = &mut self.buffer.traces[slot].facts;
        if facts.has_error {
            return true;
        }
        let share = ((1.0 - fullness) / (1.0 - STRESS)).clamp(LEAST_SHARE, 1.0);
        const PRECISION: u32 = 4;
        let threshold = Threshold::of_probability(share, PRECISION).unwrap_or(Threshold::ALWAYS);
        facts.sampling.get_or_insert_default().admitted = Some(threshold);
        threshold.keeps(facts.randomness())
    }

    /// Takes a trace out that was not let in.
    fn forget(&mut self, slot: Slot) {
        let (facts, _) = self.buffer.traces.remove(slot);
        self.leave_generation(facts.generation);
        self.metrics.decided(Outcome::NotSampled);
        if facts.id != [0; 16] {
            self.decided.refuse(&facts.id);
        }
    }

    /// One trace less waits for a generation; those that nothing waits for any more go.
    pub(super) fn leave_generation(&mut self, number: u32) {
        if let Some(generation) = numbered(&mut self.generations, number) {
            generation.traces -= 1;
        }
        while self.generations.len() > 1 && self.generations.front().is_some_and(|oldest| oldest.traces == 0)
        {
            self.generations.pop_front();
        }
    }
}

/// Whether one of the spans of a trace that follow each other from a place in a scope's entry on has failed.
fn has_error(entry: &[u8], start: usize, id: &[u8; 16]) -> bool {
    let spans = Fields::new(&entry[start..]).take_while(|field| field.is_len(2));
    spans.map(|field| field.body).take_while(|span| trace_id(span) == *id).any(is_error)
}

/// Evaluates OTTL conditions for a span, as far as they have neither held nor failed for its trace.
fn evaluate<'a>(sessions: &mut Sessions<'a>, span: &'a [u8], facts: &mut TraceFacts) {
    for (ottl, session) in sessions.of.iter().zip(&mut sessions.list) {
        if facts.bits.has(ottl.matched) || facts.bits.has(ottl.failed) {
            continue;
        }
        match session.matches(span) {
            Ok(true) => facts.bits.set(ottl.matched),
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(%error, "a condition of tail_sampling failed");
                facts.bits.set(ottl.failed);
            }
        }
    }
}
