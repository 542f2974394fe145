//! What is let out: requests put together from records, resource by resource and scope by scope.

use std::ops::Range;
use std::sync::Arc;

use phoenix_component::{Ack, Batch, Budget, Output};
use phoenix_pdata::view::key_of;
use phoenix_pdata::wire::{Field, Fields, Wire, key};
use phoenix_pdata::write::{put_attribute, put_bytes, put_varint, varint_len};
use phoenix_pdata::{Payload, Signal};
use phoenix_sampling::{Randomness, Threshold, TraceState};

use crate::buffer::{Buffer, RecordRef, ResourceId, ScopeId};

/// Bytes from which on a request is let out.
const ENOUGH: usize = 512 << 10;
/// Spans from which on a request is let out.
const ENOUGH_SPANS: u64 = 8192;

/// The field that holds spans in the entry of a scope.
const SPANS: u32 = 2;
const TRACE_ID: u32 = 1;
const TRACE_STATE: u32 = 3;
const SCOPE: u32 = 1;
const SCOPE_ATTRIBUTES: u32 = 3;
const RESOURCE: u32 = 1;
const RESOURCE_ATTRIBUTES: u32 = 1;
/// The attribute of resources that says how long what is kept is to be stored.
const RETENTION_CLASS: &str = "sampling.retention.class";

/// What is done to the threshold in the `tracestate` of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ThresholdEdit {
    /// Raise it to this one.
    Raise(Threshold),
    /// Take it out: with which probability the trace was kept is not known.
    Clear,
}

/// What is written onto what is let out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) threshold: Option<ThresholdEdit>,
    /// The policy that decided, to be put into the attributes of scopes.
    pub(crate) policy: Option<MarkedPolicy>,
    /// The class of retention, to be put into the attributes of resources.
    pub(crate) class: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MarkedPolicy {
    pub(crate) name: Arc<str>,
    pub(crate) part: Option<Arc<str>>,
    /// How often the settings had changed when the trace was first seen.
    pub(crate) generation: u32,
    /// The decision was remembered.
    pub(crate) is_cached: bool,
}

/// Where the bytes of spans are.
#[derive(Clone, Debug)]
enum Body {
    /// In a record that is released once it is written.
    Record(RecordRef),
    /// Among the bytes that were copied for this request.
    Copied(Range<usize>),
}

struct Piece {
    mark: u32,
    resource: ResourceId,
    scope: ScopeId,
    order: u32,
    len: usize,
    body: Body,
}

/// A request in the making. Records that went into it stay where they are until it is flushed, in the same call; spans
/// that came late were copied, and may wait for more.
#[derive(Default)]
pub(crate) struct Outgoing {
    pieces: Vec<Piece>,
    marks: Vec<Mark>,
    copied: Vec<u8>,
    chain: Vec<RecordRef>,
    bytes: usize,
    spans: u64,
    /// Pieces that are in the buffer still.
    records: usize,
}

impl Outgoing {
    /// Whether it has to be flushed before anything in the buffer moves.
    pub(crate) fn has_records(&self) -> bool {
        self.records > 0
    }

    /// Spans in it.
    pub(crate) fn spans(&self) -> u64 {
        self.spans
    }

    /// Whether it should be flushed.
    pub(crate) fn is_enough(&self) -> bool {
        self.bytes >= ENOUGH || self.spans >= ENOUGH_SPANS
    }

    fn mark(&mut self, mark: Mark) -> u32 {
        // There are as many different marks as policies, roughly; looking at the last few finds nearly all.
        const LOOK_BACK: usize = 8;
        let first = self.marks.len().saturating_sub(LOOK_BACK);
        if let Some(index) = self.marks[first..].iter().position(|known| *known == mark) {
            return (first + index) as u32;
        }
        self.marks.push(mark);
        self.marks.len() as u32 - 1
    }

    /// Adds the records of a trace that was taken out of the buffer, `head` the newest.
    pub(crate) fn add_trace(&mut self, buffer: &Buffer, head: RecordRef, spans: u64, mark: Mark) {
        let mark = self.mark(mark);
        let mut chain = std::mem::take(&mut self.chain);
        chain.extend(buffer.records(head));
        for at in chain.drain(..).rev() {
            let header = buffer.segments.header(at);
            let body = Body::Record(at);
            self.push(buffer, mark, header.scope, header.len as usize, body);
        }
        self.chain = chain;
        self.spans += spans;
    }

    /// Adds spans that came late to a trace that is let out already. `scope` is held for them.
    pub(crate) fn add_late(
        &mut self,
        buffer: &mut Buffer,
        scope: ScopeId,
        spans: u64,
        body: &[u8],
        mark: Mark,
    ) {
        let mark = self.mark(mark);
        buffer.interned.hold(scope);
        let start = self.copied.len();
        self.copied.extend_from_slice(body);
        self.push(buffer, mark, scope, body.len(), Body::Copied(start..start + body.len()));
        self.spans += spans;
    }

    fn push(&mut self, buffer: &Buffer, mark: u32, scope: ScopeId, len: usize, body: Body) {
        self.bytes += len;
        self.records += usize::from(matches!(body, Body::Record(_)));
        let (resource, order) = (buffer.interned.resource_of(scope), self.pieces.len() as u32);
        self.pieces.push(Piece { mark, resource, scope, order, len, body });
    }

    /// Lets out what there is, and releases its records.
    pub(crate) fn flush(&mut self, buffer: &mut Buffer, out: &mut Output) {
        if self.pieces.is_empty() {
            return;
        }
        self.rewrite_spans(buffer);
        self.pieces.sort_unstable_by_key(|piece| (piece.resource, piece.mark, piece.scope, piece.order));
        let bytes = self.write(buffer);
        let payload = Payload::from(reserve(buffer.pool().budget(), bytes));
        let batch = Batch { waiting: 0, ..Batch::new(Signal::Traces, payload, self.spans) };
        out.send(batch, Ack::none());
        for piece in self.pieces.drain(..) {
            match piece.body {
                Body::Record(at) => buffer.release(at),
                Body::Copied(_) => buffer.interned.let_go(piece.scope),
            }
        }
        self.marks.clear();
        self.copied.clear();
        (self.bytes, self.spans, self.records) = (0, 0, 0);
    }

    /// Writes the thresholds of pieces whose mark has one. The rewritten bytes stand in for the record's, which is
    /// released at once.
    fn rewrite_spans(&mut self, buffer: &mut Buffer) {
        if self.marks.iter().all(|mark| mark.threshold.is_none()) {
            return;
        }
        let mut scratch = Vec::new();
        for piece in &mut self.pieces {
            let Some(edit) = self.marks[piece.mark as usize].threshold else { continue };
            scratch.clear();
            let old = match &piece.body {
                Body::Record(at) => buffer.segments.body(*at),
                Body::Copied(range) => &self.copied[range.clone()],
            };
            for span in Fields::new(old).filter(|field| field.is_len(SPANS)) {
                put_span(&mut scratch, span.body, edit);
            }
            let start = self.copied.len();
            self.copied.extend_from_slice(&scratch);
            let new = Body::Copied(start..self.copied.len());
            if let Body::Record(at) = std::mem::replace(&mut piece.body, new) {
                buffer.interned.hold(piece.scope);
                buffer.release(at);
            }
            piece.len = scratch.len();
        }
    }

    fn write(&self, buffer: &Buffer) -> Vec<u8> {
        let groups = self.groups(buffer);
        let size = groups.iter().map(|group| group.size_with_key()).sum();
        let mut out = Vec::with_capacity(size);
        for group in &groups {
            put_length(&mut out, 1, group.size);
            match &group.marked {
                Some(marked) => out.extend_from_slice(marked),
                None => out.extend_from_slice(buffer.interned.resource_bytes(group.resource)),
            }
            for scope in &group.scopes {
                put_length(&mut out, SPANS, scope.size);
                match &scope.marked {
                    Some(marked) => out.extend_from_slice(marked),
                    None => out.extend_from_slice(buffer.interned.scope_bytes(scope.scope)),
                }
                for piece in &self.pieces[scope.pieces.clone()] {
                    match &piece.body {
                        Body::Record(at) => out.extend_from_slice(buffer.segments.body(*at)),
                        Body::Copied(range) => out.extend_from_slice(&self.copied[range.clone()]),
                    }
                }
            }
        }
        out
    }

    /// The pieces, sorted, by resource and by scope, with their sizes.
    fn groups(&self, buffer: &Buffer) -> Vec<ResourceGroup> {
        let mut groups: Vec<ResourceGroup> = Vec::new();
        for (index, piece) in self.pieces.iter().enumerate() {
            let class = &self.marks[piece.mark as usize].class;
            let is_new =
                groups.last().is_none_or(|group| group.resource != piece.resource || group.class != *class);
            if is_new {
                let marked = class.as_ref().map(|class| {
                    let mut marked = Vec::new();
                    put_classed_resource(&mut marked, buffer.interned.resource_bytes(piece.resource), class);
                    marked
                });
                let (resource, class) = (piece.resource, class.clone());
                groups.push(ResourceGroup { resource, class, marked, size: 0, scopes: Vec::new() });
            }
            let Some(group) = groups.last_mut() else { continue };
            match group.scopes.last_mut() {
                Some(last) if last.scope == piece.scope && last.mark == piece.mark => {
                    last.size += piece.len;
                    last.pieces.end = index + 1;
                }
                _ => {
                    let shell = buffer.interned.scope_bytes(piece.scope);
                    let marked = self.marks[piece.mark as usize].policy.as_ref().map(|policy| {
                        let mut marked = Vec::with_capacity(shell.len() + 64);
                        put_marked_scope(&mut marked, shell, policy);
                        marked
                    });
                    let size = marked.as_ref().map_or(shell.len(), Vec::len) + piece.len;
                    let pieces = index..index + 1;
                    let (scope, mark) = (piece.scope, piece.mark);
                    group.scopes.push(ScopeGroup { scope, mark, size, marked, pieces });
                }
            }
        }
        for group in &mut groups {
            let scopes: usize = group.scopes.iter().map(|scope| with_key(scope.size)).sum();
            let shell = buffer.interned.resource_bytes(group.resource).len();
            group.size = group.marked.as_ref().map_or(shell, Vec::len) + scopes;
        }
        groups
    }
}

struct ResourceGroup {
    resource: ResourceId,
    class: Option<Arc<str>>,
    /// What stands for the shell where the class is written into it.
    marked: Option<Vec<u8>>,
    size: usize,
    scopes: Vec<ScopeGroup>,
}

impl ResourceGroup {
    fn size_with_key(&self) -> usize {
        with_key(self.size)
    }
}

struct ScopeGroup {
    scope: ScopeId,
    mark: u32,
    size: usize,
    /// What stands for the shell where the policy is written into it.
    marked: Option<Vec<u8>>,
    pieces: Range<usize>,
}

/// Bytes of a message field with a key of one byte.
fn with_key(size: usize) -> usize {
    1 + varint_len(size as u64) + size
}

fn put_length(out: &mut Vec<u8>, number: u32, size: usize) {
    put_varint(out, u64::from(key(number, Wire::Len)));
    put_varint(out, size as u64);
}

fn reserve(budget: &Budget, bytes: Vec<u8>) -> bytes::Bytes {
    budget.charge_reserve(bytes.capacity()).attach(bytes)
}

/// Writes a span with its threshold changed.
fn put_span(out: &mut Vec<u8>, span: &[u8], edit: ThresholdEdit) {
    let mut old: &[u8] = &[];
    let mut id: &[u8] = &[];
    for field in Fields::new(span) {
        match field.number() {
            TRACE_STATE => old = field.body,
            TRACE_ID => id = field.body,
            _ => {}
        }
    }
    let mut new = Vec::new();
    match TraceState::read(old) {
        Ok(mut state) => {
            let of_id = || id.try_into().map(Randomness::of_trace).ok();
            let randomness = state.randomness().or_else(of_id);
            // A threshold that the randomness does not reach is no threshold of this span.
            let contradicts = |threshold: Threshold| randomness.is_none_or(|r| !threshold.keeps(r));
            if state.threshold().is_some_and(contradicts) {
                state.clear_threshold();
            }
            match edit {
                ThresholdEdit::Raise(threshold) if !contradicts(threshold) => {
                    state.raise_threshold(threshold);
                }
                ThresholdEdit::Raise(_) | ThresholdEdit::Clear => state.clear_threshold(),
            }
            state.write(&mut new);
        }
        // What is no tracestate stays as it is.
        Err(_) => new.extend_from_slice(old),
    }
    let mut body = Vec::with_capacity(span.len() + new.len());
    for field in Fields::new(span).filter(|field| field.number() != TRACE_STATE) {
        body.extend_from_slice(field.raw);
    }
    if !new.is_empty() {
        put_bytes(&mut body, TRACE_STATE, &new);
    }
    put_bytes(out, SPANS, &body);
}

/// Writes the shell of a resource with a class of retention in its attributes, in the place of one that was there.
fn put_classed_resource(out: &mut Vec<u8>, shell: &[u8], class: &str) {
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
fn put_marked_scope(out: &mut Vec<u8>, shell: &[u8], policy: &MarkedPolicy) {
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
