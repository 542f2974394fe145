use phoenix_component::{Batch, Dropped, Refusal, Transform};
use phoenix_ottl::functions::number::parse_float;
use phoenix_pdata::view::{AnyValue, KeyValue, View as _, key_of};
use phoenix_pdata::wire::{Field, Fields};
use phoenix_pdata::write::put_bytes;
use phoenix_pdata::{Rewriter, Signal, rewrite, walk};
use phoenix_sampling::{Randomness, Threshold, TraceState};
use phoenix_telemetry::Metrics;

use crate::config::SamplerConfig;
use crate::metrics::{Policy, SamplerMetrics, Tally};
use crate::mode::{Carrier, Found, Sampler};

/// Fields of a span.
const TRACE_ID: u32 = 1;
const TRACE_STATE: u32 = 3;
const ATTRIBUTES: u32 = 9;
/// The attribute that overrules the decision.
const PRIORITY: &[u8] = b"sampling.priority";
/// What is left out is dropped for this reason.
pub(crate) const NOT_SAMPLED: &str = "not_sampled";

/// Samples the spans of one pipeline.
#[derive(Debug)]
pub(crate) struct TraceSampler {
    sampler: Sampler,
    fail_closed: bool,
    metrics: SamplerMetrics,
}

/// What of a span matters.
#[derive(Default)]
struct Parts<'a> {
    id: &'a [u8],
    state: Option<Field<'a>>,
    priority: Option<Threshold>,
}

impl<'a> Parts<'a> {
    #[inline]
    fn of(span: &'a [u8]) -> Parts<'a> {
        let mut parts = Parts::default();
        let mut has_priority = false;
        for field in Fields::new(span) {
            match field.number() {
                TRACE_ID => parts.id = field.body,
                TRACE_STATE => parts.state = Some(field),
                ATTRIBUTES if !has_priority && key_of(field.body) == PRIORITY => {
                    has_priority = true;
                    parts.priority = priority(&KeyValue::new(field.body).value());
                }
                _ => {}
            }
        }
        parts
    }

    fn state(&self) -> &'a [u8] {
        self.state.map_or(&[], |field| field.body)
    }
}

/// The threshold by a priority: 0 is never, more is always; other values say nothing.
fn priority(value: &AnyValue<'_>) -> Option<Threshold> {
    let number = match value {
        AnyValue::Int(value) => *value as f64,
        AnyValue::Double(value) => *value,
        AnyValue::String(text) => parse_float(text.to_str()?).ok()?,
        _ => return None,
    };
    if number == 0.0 { Some(Threshold::NEVER) } else { (number > 0.0).then_some(Threshold::ALWAYS) }
}

impl Carrier for TraceState<'_> {
    fn threshold(&self) -> Option<Threshold> {
        TraceState::threshold(self)
    }

    fn clear_threshold(&mut self) {
        TraceState::clear_threshold(self);
    }
}

impl TraceSampler {
    pub(crate) fn new(config: &SamplerConfig, metrics: &Metrics) -> TraceSampler {
        TraceSampler {
            sampler: Sampler::new(config, false),
            fail_closed: config.fail_closed,
            metrics: SamplerMetrics::new(metrics, Signal::Traces, ""),
        }
    }

    #[inline]
    fn find<'a>(&self, parts: &Parts<'a>) -> Found<TraceState<'a>> {
        let id: Option<&[u8; 16]> = parts.id.try_into().ok().filter(|id: &&[u8; 16]| **id != [0; 16]);
        let state = TraceState::read(parts.state());
        let mut found = Found {
            policy: Policy::MissingRandomness,
            randomness: Randomness::MAX,
            is_wrong: state.is_err(),
            carrier: state.ok(),
        };
        match &self.sampler {
            Sampler::Never => found.policy = Policy::SamplingPriority,
            Sampler::Hash { seeded, .. } => {
                if let Some(id) = id {
                    (found.policy, found.randomness) = (Policy::TraceIdHash, seeded.randomness(id));
                }
                // Who samples by the specification should not be sampled like this: then what is there stays.
                let in_use =
                    |state: &TraceState<'_>| state.randomness().is_some() || state.threshold().is_some();
                if found.carrier.as_ref().is_some_and(in_use) {
                    (found.is_wrong, found.carrier) = (true, None);
                }
                if let Some(state) = &mut found.carrier {
                    state.set_randomness(found.randomness);
                }
            }
            Sampler::Equalizing(_) | Sampler::Proportional { .. } => {
                let stated = found.carrier.as_ref().and_then(TraceState::randomness);
                if let Some(randomness) = stated {
                    (found.policy, found.randomness) = (Policy::SamplingRandomness, randomness);
                } else if let Some(id) = id.filter(|_| !found.is_wrong) {
                    (found.policy, found.randomness) = (Policy::TraceIdW3c, Randomness::of_trace(id));
                }
            }
        }
        found
    }

    /// Whether a span is kept; then it says so.
    #[inline]
    fn keep<'a>(&self, rewriter: &mut Rewriter<'a>, span: &Field<'a>, room: &mut Room) -> bool {
        let parts = Parts::of(span.body);
        let mut found = self.find(&parts);
        let decision = self.sampler.decide(&mut found, self.fail_closed, parts.priority);
        room.tally.count(decision.policy, decision.is_kept);
        room.tally.wrong += u64::from(found.is_wrong);
        if !decision.is_kept {
            return false;
        }
        let Some(mut state) = found.carrier else { return true };
        state.raise_threshold(decision.threshold);
        room.state.clear();
        state.write(&mut room.state);
        if room.state == parts.state() {
            return true;
        }
        rewriter.enter(span);
        let put = |out: &mut Vec<u8>| {
            if !room.state.is_empty() {
                put_bytes(out, TRACE_STATE, &room.state);
            }
        };
        match &parts.state {
            Some(field) => rewriter.replace_field(field, put),
            None => rewriter.append(put),
        }
        rewriter.leave();
        true
    }

    fn sample(&self, piece: &[u8], room: &mut Room) -> Option<Vec<u8>> {
        let mut rewriter = Rewriter::with_room(piece, piece.len() / 4);
        room.kept +=
            walk::retain_records(&mut rewriter, |_| {}, |rewriter, span| self.keep(rewriter, span, room));
        rewriter.finish()
    }
}

/// Room to work in, of one request.
#[derive(Default)]
struct Room {
    tally: Tally,
    kept: u64,
    /// A `tracestate` in the making.
    state: Vec<u8>,
}

impl Transform for TraceSampler {
    fn apply(&self, mut batch: Batch, dropped: &mut Dropped) -> Result<Option<Batch>, Refusal> {
        let mut room = Room::default();
        batch.payload = rewrite(batch.payload, |piece| self.sample(piece, &mut room));
        settle(batch, room.kept, &room.tally, &self.metrics, dropped)
    }
}

/// Counts what was decided, and passes on what is left.
pub(crate) fn settle(
    mut batch: Batch,
    kept: u64,
    tally: &Tally,
    metrics: &SamplerMetrics,
    dropped: &mut Dropped,
) -> Result<Option<Batch>, Refusal> {
    metrics.add(tally);
    if tally.wrong > 0 {
        tracing::debug!(items = tally.wrong, "what sampling needs is missing or inconsistent");
    }
    if kept < batch.items {
        dropped.add(NOT_SAMPLED, batch.items - kept);
    }
    batch.items = kept;
    Ok((kept > 0).then_some(batch))
}
