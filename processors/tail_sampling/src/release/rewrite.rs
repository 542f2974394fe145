//! What is written onto spans, scopes and resources that are let out.

use phoenix_pdata::view::{AnyValue, KeyValue, View as _, key_of};
use phoenix_pdata::wire::{Field, Fields};
use phoenix_pdata::write::{put_attribute, put_bytes};
use phoenix_sampling::{Randomness, Threshold, TraceState};

use super::{MarkedPolicy, ThresholdEdit};
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
/// The attribute of resources that says how long what is kept is to be stored.
const RETENTION_CLASS: &str = "sampling.retention.class";

/// The fields with the spans of a record.
pub(super) fn spans_of(body: &[u8]) -> impl Iterator<Item = Field<'_>> {
    Fields::new(body).filter(|field| field.is_len(SPANS))
}

/// Writes a span with its threshold changed, and how many others of its trace it stands for.
pub(super) fn put_span(
    out: &mut Vec<u8>,
    span: &[u8],
    edit: Option<ThresholdEdit>,
    share: Option<Threshold>,
) {
    let mut body = Vec::with_capacity(span.len() + 64);
    let mut stands_for = share.map(Threshold::adjusted_count);
    for field in Fields::new(span) {
        let is_count = share.is_some()
            && field.is_len(SPAN_ATTRIBUTES)
            && key_of(field.body) == truncation::ADJUSTED_COUNT.as_bytes();
        if is_count {
            // Its trace was cut elsewhere, and again here.
            if let AnyValue::Double(before) = KeyValue::new(field.body).value() {
                stands_for = stands_for.map(|count| count * before);
            }
        } else if edit.is_none() || field.number() != TRACE_STATE {
            body.extend_from_slice(field.raw);
        }
    }
    if let Some(edit) = edit {
        let state = edited_state(span, edit);
        if !state.is_empty() {
            put_bytes(&mut body, TRACE_STATE, &state);
        }
    }
    if let Some(count) = stands_for {
        put_attribute(&mut body, SPAN_ATTRIBUTES, truncation::ADJUSTED_COUNT, &AnyValue::Double(count));
    }
    put_bytes(out, SPANS, &body);
}

/// The `tracestate` of a span with its threshold changed.
fn edited_state(span: &[u8], edit: ThresholdEdit) -> Vec<u8> {
    let mut old: &[u8] = &[];
    let mut id: &[u8] = &[];
    for field in Fields::new(span) {
        match field.number() {
            TRACE_STATE => old = field.body,
            TRACE_ID => id = field.body,
            _ => {}
        }
    }
    // What is no tracestate stays as it is.
    let Ok(mut state) = TraceState::read(old) else { return old.to_vec() };
    let of_id = || id.try_into().map(Randomness::of_trace).ok();
    let randomness = state.randomness().or_else(of_id);
    // A threshold that the randomness does not reach is no threshold of this span.
    let contradicts = |threshold: Threshold| randomness.is_none_or(|r| !threshold.keeps(r));
    if state.threshold().is_some_and(contradicts) {
        state.clear_threshold();
    }
    match edit {
        ThresholdEdit::Raise(threshold) if !contradicts(threshold) => state.raise_threshold(threshold),
        ThresholdEdit::Raise(_) | ThresholdEdit::Clear => state.clear_threshold(),
    }
    let mut new = Vec::new();
    state.write(&mut new);
    new
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
