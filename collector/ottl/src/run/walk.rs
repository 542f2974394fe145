//! The walk over a piece of a request, and what comes out of it.

use phoenix_pdata::wire::{Field, Fields};
use phoenix_pdata::write::{put_bytes, put_message};
use phoenix_pdata::{Rewriter, Signal};

use crate::EvalError;
use crate::plan::Levels;

use super::message::Message;
use super::{Shape, State};

/// What becomes of a record that was visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep,
    Remove,
}

/// Which records are visited, and what is done about those that are left empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    pub(crate) signal: Signal,
    pub(crate) visits: Levels,
    /// Removes scopes without records and resources without scopes, and metrics without points where points
    /// are visited.
    pub(crate) prunes: bool,
    /// Whether statements may ask for the metric of a point of a summary with the changes so far.
    pub(crate) keeps_metric: bool,
}

/// What is done with each record; gets its depth. The state holds the record and those that it lies in.
pub(crate) type Visit<'v, 'a> = &'v mut dyn FnMut(&mut State<'a>, usize) -> Result<Verdict, EvalError>;

/// Walks a piece. Gives what it is changed to, or `None` if nothing changed.
pub(crate) fn walk<'a>(
    state: &mut State<'a>,
    piece: &'a [u8],
    walk: Walk,
    visit: Visit<'_, 'a>,
) -> Result<Option<Vec<u8>>, EvalError> {
    let deepest = walk.visits.deepest().unwrap_or(0);
    let mut walker = Walker { walk, deepest, rewriter: Rewriter::new(piece), visit };
    for field in Fields::new(piece).filter(|field| field.is_len(1)) {
        walker.resource(state, &field)?;
    }
    Ok(walker.rewriter.finish())
}

/// How many spans, log records or data points a message at a depth holds.
pub(crate) fn items_in(signal: Signal, depth: usize, body: &[u8]) -> usize {
    let inner = |number| Fields::new(body).filter(move |field: &Field<'_>| field.is_len(number));
    match depth {
        0 | 1 => inner(2).map(|field| items_in(signal, depth + 1, field.body)).sum(),
        2 if signal == Signal::Metrics => Fields::new(body)
            .filter(|field| Shape::of_points(field.number()).is_some())
            .map(|data| Fields::new(data.body).filter(|field| field.is_len(1)).count())
            .sum(),
        2 => 1,
        3 if signal == Signal::Metrics => 1,
        _ => 0,
    }
}

struct Walker<'w, 'a> {
    walk: Walk,
    deepest: usize,
    rewriter: Rewriter<'a>,
    visit: Visit<'w, 'a>,
}

impl<'a> Walker<'_, 'a> {
    fn visit(&mut self, state: &mut State<'a>, depth: usize) -> Result<Verdict, EvalError> {
        match self.walk.visits.contains(depth) {
            true => (self.visit)(state, depth),
            false => Ok(Verdict::Keep),
        }
    }

    fn resource(&mut self, state: &mut State<'a>, field: &Field<'a>) -> Result<(), EvalError> {
        state.load_entry(0, Shape::Resource, field.body);
        if self.visit(state, 0)? == Verdict::Remove {
            self.rewriter.remove(field);
            return Ok(());
        }
        let scopes = Fields::new(field.body).filter(|field| field.is_len(2));
        if self.deepest == 0 {
            match self.walk.prunes && scopes.clone().next().is_none() {
                true => self.rewriter.remove(field),
                false => self.replace_entry(&state.messages[0], field),
            }
            return Ok(());
        }
        self.rewriter.enter(field);
        let mut kept = 0;
        for scope in scopes {
            kept += usize::from(self.scope(state, &scope)?);
        }
        self.leave_entry(&state.messages[0], kept);
        Ok(())
    }

    /// Tells whether the scope is kept.
    fn scope(&mut self, state: &mut State<'a>, field: &Field<'a>) -> Result<bool, EvalError> {
        state.load_entry(1, Shape::Scope, field.body);
        if self.visit(state, 1)? == Verdict::Remove {
            self.rewriter.remove(field);
            return Ok(false);
        }
        let records = Fields::new(field.body).filter(|field| field.is_len(2));
        if self.deepest == 1 {
            if self.walk.prunes && records.clone().next().is_none() {
                self.rewriter.remove(field);
                return Ok(false);
            }
            self.replace_entry(&state.messages[1], field);
            return Ok(true);
        }
        self.rewriter.enter(field);
        let mut kept = 0;
        for record in records {
            kept += usize::from(self.record(state, &record)?);
        }
        if !state.appended.is_empty() {
            kept += self.appended(state)?;
        }
        Ok(self.leave_entry(&state.messages[1], kept))
    }

    /// Leaves a resource or scope. Tells whether it is kept.
    fn leave_entry(&mut self, message: &Message<'a>, kept: usize) -> bool {
        if kept == 0 && self.walk.prunes {
            self.rewriter.leave_and_remove();
            return false;
        }
        match message.is_touched() {
            true => self.rewriter.leave_and_rewrite(|body, out| write_entry(message, body, out)),
            false => self.rewriter.leave(),
        }
        true
    }

    fn replace_entry(&mut self, message: &Message<'a>, field: &Field<'a>) {
        if message.is_touched() {
            self.rewriter.replace(field, |out| write_entry(message, field.body, out));
        }
    }

    /// Tells whether the record is kept.
    #[inline]
    fn record(&mut self, state: &mut State<'a>, field: &Field<'a>) -> Result<bool, EvalError> {
        state.load(2, Shape::of_records(self.walk.signal), field.body);
        if self.visit(state, 2)? == Verdict::Remove {
            self.rewriter.remove(field);
            return Ok(false);
        }
        if self.deepest == 2 {
            self.replace(&state.messages[2], field);
            return Ok(true);
        }
        self.rewriter.enter(field);
        let kept = self.within_record(state, field.body)?;
        let is_empty = kept == Some(0) && self.walk.prunes;
        match (is_empty, state.messages[2].is_message_touched()) {
            (true, _) => self.rewriter.leave_and_remove(),
            (false, true) => {
                let message = &state.messages[2];
                self.rewriter.leave_and_rewrite(|body, out| message.write_over(body, out));
            }
            (false, false) => self.rewriter.leave(),
        }
        Ok(!is_empty)
    }

    fn replace(&mut self, message: &Message<'a>, field: &Field<'a>) {
        if message.is_message_touched() {
            self.rewriter.replace(field, |out| message.write(out));
        }
    }

    /// Walks the events of a span or the points of a metric. Tells how many points are kept.
    fn within_record(&mut self, state: &mut State<'a>, body: &'a [u8]) -> Result<Option<usize>, EvalError> {
        match self.walk.signal {
            Signal::Logs => Ok(None),
            Signal::Traces => {
                let events = Fields::new(body).filter(|field| field.is_len(11));
                for (index, event) in events.enumerate() {
                    state.event_index = index as i64;
                    self.leaf(state, Shape::SpanEvent, &event)?;
                }
                Ok(None)
            }
            Signal::Metrics => {
                let mut kept = 0;
                for data in Fields::new(body) {
                    let Some(shape) = Shape::of_points(data.number()) else { continue };
                    self.rewriter.enter(&data);
                    // Only what takes summaries apart asks for it, and makes a metric for each point anyway.
                    let keeps_metric = self.walk.keeps_metric && shape == Shape::SummaryPoint;
                    for point in Fields::new(data.body).filter(|field| field.is_len(1)) {
                        if keeps_metric {
                            state.metric_so_far = Some(self.metric_so_far(body, &data));
                        }
                        kept += usize::from(self.leaf(state, shape, &point)?);
                    }
                    self.rewriter.leave();
                }
                state.metric_so_far = None;
                Ok(Some(kept))
            }
        }
    }

    fn metric_so_far(&self, metric: &[u8], data: &Field<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(metric.len());
        for field in Fields::new(metric) {
            match std::ptr::eq(field.raw, data.raw) {
                true => put_bytes(&mut out, data.number(), &self.rewriter.body_so_far()),
                false => out.extend_from_slice(field.raw),
            }
        }
        out
    }

    /// An event, or a point with its exemplars. Tells whether it is kept.
    fn leaf(&mut self, state: &mut State<'a>, shape: Shape, field: &Field<'a>) -> Result<bool, EvalError> {
        state.load(3, shape, field.body);
        if self.visit(state, 3)? == Verdict::Remove {
            self.rewriter.remove(field);
            return Ok(false);
        }
        let Some(number) = shape.exemplars().filter(|_| self.deepest > 3) else {
            self.replace(&state.messages[3], field);
            return Ok(true);
        };
        self.rewriter.enter(field);
        for exemplar in Fields::new(field.body).filter(|field| field.is_len(number)) {
            state.load(4, Shape::Exemplar, exemplar.body);
            match self.visit(state, 4)? {
                Verdict::Remove => self.rewriter.remove(&exemplar),
                Verdict::Keep => self.replace(&state.messages[4], &exemplar),
            }
        }
        let message = &state.messages[3];
        match message.is_message_touched() {
            true => self.rewriter.leave_and_rewrite(|body, out| message.write_over(body, out)),
            false => self.rewriter.leave(),
        }
        Ok(true)
    }

    /// Metrics that statements added to the scope: visited like the others, then written behind them.
    fn appended(&mut self, state: &mut State<'a>) -> Result<usize, EvalError> {
        let mut kept = 0;
        let mut index = 0;
        while let Some(metric) = state.appended.get(index).copied() {
            index += 1;
            state.load(2, Shape::Metric, metric);
            if self.visit(state, 2)? == Verdict::Remove {
                continue;
            }
            let mut changed = None;
            if self.deepest > 2 {
                // The metric is no part of the request: a rewriter of its own walks it.
                let around = std::mem::replace(&mut self.rewriter, Rewriter::new(metric));
                self.within_record(state, metric)?;
                changed = std::mem::replace(&mut self.rewriter, around).finish();
            }
            let message = &state.messages[2];
            self.rewriter.append(|out| {
                put_message(out, 2, |out| {
                    message.write_over(changed.as_deref().unwrap_or(message.raw()), out)
                });
            });
            kept += 1;
        }
        state.appended.clear();
        Ok(kept)
    }
}

/// Writes the entry of a resource or scope with what was set of it.
fn write_entry(message: &Message<'_>, body: &[u8], out: &mut Vec<u8>) {
    let mut message_pending = message.is_message_touched();
    let schema_url = message.set_schema_url();
    for field in Fields::new(body) {
        match field.number() {
            1 if message.is_message_touched() => {
                if std::mem::take(&mut message_pending) {
                    put_message(out, 1, |out| message.write(out));
                }
            }
            3 if schema_url.is_some() => {}
            _ => out.extend_from_slice(field.raw),
        }
    }
    if message_pending {
        put_message(out, 1, |out| message.write(out));
    }
    if let Some(schema_url) = schema_url.filter(|schema_url| !schema_url.is_empty()) {
        put_bytes(out, 3, schema_url);
    }
}
