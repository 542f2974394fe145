//! What is written onto spans, scopes and resources that are let out.

use phoenix_pdata::view::{AnyValue, KeyValue, View as _, key_of};
use phoenix_pdata::wire::{Field, Fields};
use phoenix_pdata::write::{put_attribute, put_bytes};
use phoenix_sampling::{Randomness, Threshold, TraceState};

use super::{Mark, MarkedPolicy, ThresholdEdit};
use crate::truncation;

/// The field that holds spans in the entry of a scope.
pub(super) const SPANS: u32 = 2;
const TRACE_ID: u32 = 1;
const TRACE_STATE: u32 = 3;
const SPAN_ATTRIBUTES: u32 = 9;
const SCOPE_ATTRIBUTES: u32 = 3;
const RESOURCE_ATTRIBUTES: u32 = 1;
const SCOPE: u32 = 1;
const RESOURCE: u32 = 1;
/// The attribute of spans in which Refinery and its successors write how many a span stands for.
const SAMPLE_RATE: &str = "SampleRate";
/// The attribute of resources that says how long what is kept is to be stored.
const RETENTION_CLASS: &str = "sampling.retention.class";

/// The fields with the spans of a record.
pub(super) fn spans_of(body: &[u8]) -> impl Iterator<Item = Field<'_>> {
    Fields::new(body).filter(|field| field.is_len(SPANS))
}

/// Writes a span with what its mark says: its threshold changed, and how many others it stands for.
pub(super) fn put_span(out: &mut Vec<u8>, span: &[u8], mark: &Mark) {
    let mut body = Vec::with_capacity(span.len() + 64);
    let mut of_trace = mark.share.map(Threshold::adjusted_count);
    let mut rate_before = None;
    for field in Fields::new(span) {
        let key = if field.is_len(SPAN_ATTRIBUTES) { key_of(field.body) } else { &[] };
        if key == truncation::ADJUSTED_COUNT.as_bytes() {
            // Its trace was cut elsewhere, and maybe again here.
            match KeyValue::new(field.body).value() {
                AnyValue::Double(before) => of_trace = Some(of_trace.unwrap_or(1.0) * before),
                _ if mark.share.is_none() => body.extend_from_slice(field.raw),
                _ => {}
            }
        } else if mark.rate.is_some() && key == SAMPLE_RATE.as_bytes() {
            if let AnyValue::Int(before) = KeyValue::new(field.body).value() {
                rate_before = Some(before);
            }
        } else if mark.threshold.is_none() || field.number() != TRACE_STATE {
            body.extend_from_slice(field.raw);
        }
    }
    let state = State::of(span);
    let after = match mark.threshold {
        Some(edit) => {
            let (written, after) = state.edited(edit);
            if !written.is_empty() {
                put_bytes(&mut body, TRACE_STATE, &written);
            }
            after
        }
        None => mark.rate.map(|rate| state.threshold().map_or(rate, |before| before.max(rate))),
    };
    if let Some(count) = of_trace {
        put_attribute(&mut body, SPAN_ATTRIBUTES, truncation::ADJUSTED_COUNT, &AnyValue::Double(count));
    }
    if let Some(after) = after.filter(|_| mark.rate.is_some()) {
        // A rate from elsewhere is by another randomness, unless the threshold has it already.
        let before = rate_before.filter(|_| state.threshold().is_none()).unwrap_or(1).max(1);
        let rate = after.adjusted_count() * of_trace.unwrap_or(1.0) * before as f64;
        put_attribute(&mut body, SPAN_ATTRIBUTES, SAMPLE_RATE, &AnyValue::Int(rate.round() as i64));
    }
    put_bytes(out, SPANS, &body);
}

/// What a span says of its sampling.
struct State<'a> {
    text: &'a [u8],
    /// None where the text is no tracestate.
    read: Option<TraceState<'a>>,
    randomness: Option<Randomness>,
}

impl<'a> State<'a> {
    fn of(span: &'a [u8]) -> State<'a> {
        let mut text: &[u8] = &[];
        let mut id: &[u8] = &[];
        for field in Fields::new(span) {
            match field.number() {
                TRACE_STATE => text = field.body,
                TRACE_ID => id = field.body,
                _ => {}
            }
        }
        let read = TraceState::read(text).ok();
        let of_id = || id.try_into().map(Randomness::of_trace).ok();
        let randomness = read.as_ref().and_then(TraceState::randomness).or_else(of_id);
        State { text, read, randomness }
    }

    /// Whether the randomness does not reach a threshold, which is none of this span then.
    fn contradicts(&self, threshold: Threshold) -> bool {
        self.randomness.is_none_or(|randomness| !threshold.keeps(randomness))
    }

    /// The threshold that it came with.
    fn threshold(&self) -> Option<Threshold> {
        self.read.as_ref()?.threshold().filter(|threshold| !self.contradicts(*threshold))
    }

    /// Its `tracestate` with the threshold changed, and which one that is then. What is no tracestate stays as it is.
    fn edited(&self, edit: ThresholdEdit) -> (Vec<u8>, Option<Threshold>) {
        let Some(mut state) = self.read else { return (self.text.to_vec(), None) };
        if self.threshold().is_none() {
            state.clear_threshold();
        }
        match edit {
            ThresholdEdit::Raise(threshold) if !self.contradicts(threshold) => {
                state.raise_threshold(threshold);
            }
            ThresholdEdit::Raise(_) | ThresholdEdit::Clear => state.clear_threshold(),
        }
        let mut text = Vec::new();
        state.write(&mut text);
        (text, state.threshold())
    }
}

/// Writes the shell of a resource with a class of retention in its attributes, in the place of one that was there.
pub(super) fn put_classed_resource(out: &mut Vec<u8>, shell: &[u8], class: &str) {
    let mut resource = Vec::new();
    for field in Fields::new(shell) {
        if field.is_len(RESOURCE) {
            let is_class = |field: &Field<'_>| {
                field.is_len(RESOURCE_ATTRIBUTES) && key_of(field.body) == RETENTION_CLASS.as_bytes()
            };
            for field in Fields::new(field.body).filter(|field| !is_class(field)) {
                resource.extend_from_slice(field.raw);
            }
        } else {
            out.extend_from_slice(field.raw);
        }
    }
    put_attribute(&mut resource, RESOURCE_ATTRIBUTES, RETENTION_CLASS, &class.into());
    put_bytes(out, RESOURCE, &resource);
}

/// Writes the shell of a scope with the policy in its attributes, as otelcol does.
pub(super) fn put_marked_scope(out: &mut Vec<u8>, shell: &[u8], policy: &MarkedPolicy) {
    let mut scope = Vec::new();
    for field in Fields::new(shell) {
        if field.is_len(SCOPE) {
            scope.extend_from_slice(field.body);
        } else {
            out.extend_from_slice(field.raw);
        }
    }
    let name: &str = &policy.name;
    put_attribute(&mut scope, SCOPE_ATTRIBUTES, "tailsampling.policy", &name.into());
    if let Some(part) = &policy.part {
        let part: &str = part;
        put_attribute(&mut scope, SCOPE_ATTRIBUTES, "tailsampling.composite_policy", &part.into());
    }
    if policy.generation > 0 {
        let generation = i64::from(policy.generation);
        put_attribute(&mut scope, SCOPE_ATTRIBUTES, "tailsampling.generation", &generation.into());
    }
    if policy.is_cached {
        put_attribute(&mut scope, SCOPE_ATTRIBUTES, "tailsampling.cached_decision", &true.into());
    }
    put_bytes(out, SCOPE, &scope);
}
