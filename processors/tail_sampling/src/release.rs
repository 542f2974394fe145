//! What is let out: requests put together from records, resource by resource and scope by scope.

mod rewrite;

use std::ops::Range;
use std::sync::Arc;

use phoenix_component::{Ack, Batch, Budget, Charge, Output};
use phoenix_pdata::wire::{Wire, key};
use phoenix_pdata::write::{put_varint, varint_len};
use phoenix_pdata::{Payload, Signal};
use phoenix_sampling::Threshold;

use crate::buffer::{Buffer, RecordRef, ResourceId, ScopeId};
use crate::truncation::{self, Fate};

use rewrite::{SPANS, put_classed_resource, put_marked_scope, put_span, spans_of};

/// Bytes from which on a request is let out.
const ENOUGH: usize = 512 << 10;
/// No request is larger that has not come so: below what gRPC servers take where nothing else is said.
const LARGEST: usize = 3 << 20;
/// Spans from which on a request is let out.
const ENOUGH_SPANS: u64 = 8192;

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
    /// Its spans stand for others of their trace: they are such a share of them.
    pub(crate) share: Option<Threshold>,
    /// The threshold that says how many spans each stands for, where that is written in numbers.
    pub(crate) rate: Option<Threshold>,
}

impl Mark {
    /// Whether it is written onto each span.
    fn changes_spans(&self) -> bool {
        self.threshold.is_some() || self.share.is_some() || self.rate.is_some()
    }
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
    /// For what was copied.
    charge: Option<Charge>,
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

    /// Adds what stays of a trace that is cut, and lets the rest of it go; returns how many spans that are.
    pub(crate) fn add_truncated(
        &mut self,
        buffer: &mut Buffer,
        head: RecordRef,
        (id, share): (&[u8; 16], Threshold),
        mark: Mark,
    ) -> u64 {
        let mut chain: Vec<RecordRef> = buffer.records(head).collect();
        chain.reverse();
        let largest = chain.iter().map(|at| buffer.segments.body(*at).len()).max().unwrap_or_default();
        let spans = chain.iter().map(|at| spans_of(buffer.segments.body(*at)).count()).sum::<usize>();
        // What finding out takes for a moment: of a trace of a million spans that is as much as the spans themselves.
        let _charge = buffer.pool().budget().charge_reserve(largest + spans * truncation::SPAN_BYTES);
        let fates = {
            let bodies = chain.iter().flat_map(|at| spans_of(buffer.segments.body(*at)));
            let spans: Vec<&[u8]> = bodies.map(|span| span.body).collect();
            truncation::fates(id, &spans, share)
        };
        let mut fates = fates.into_iter();
        let mut cut = 0;
        for at in chain {
            let (scope, body) = (buffer.segments.header(at).scope, buffer.segments.body(at).to_vec());
            let of_record: Vec<Fate> = fates.by_ref().take(spans_of(&body).count()).collect();
            cut += self.add_chosen(buffer, scope, (&body, &of_record), share, &mark);
            buffer.release(at);
        }
        cut
    }

    /// Adds spans that came late to a trace that is let out already; where that was cut (`truncation`: its identifier, and which
    /// share of the rest stays), those that stay. Returns how many do not.
    pub(crate) fn add_late(
        &mut self,
        buffer: &mut Buffer,
        scope: ScopeId,
        (spans, body): (u64, &[u8]),
        truncation: Option<(&[u8; 16], Threshold)>,
        mark: Mark,
    ) -> u64 {
        let Some((id, share)) = truncation else {
            self.add_copy(buffer, scope, (spans, body), mark);
            return 0;
        };
        let fates: Vec<Fate> =
            spans_of(body).map(|span| truncation::fate_of_late(id, span.body, share)).collect();
        self.add_chosen(buffer, scope, (body, &fates), share, &mark)
    }

    /// Adds spans by their fates; returns how many are cut.
    fn add_chosen(
        &mut self,
        buffer: &mut Buffer,
        scope: ScopeId,
        (body, fates): (&[u8], &[Fate]),
        share: Threshold,
        mark: &Mark,
    ) -> u64 {
        let chosen = Mark { share: Some(share), ..mark.clone() };
        for (fate, mark) in [(Fate::Kept, mark), (Fate::Chosen, &chosen)] {
            let (mut of_fate, mut spans) = (Vec::new(), 0);
            for (span, _) in spans_of(body).zip(fates).filter(|(_, of)| **of == fate) {
                of_fate.extend_from_slice(span.raw);
                spans += 1;
            }
            if spans > 0 {
                self.add_copy(buffer, scope, (spans, &of_fate), mark.clone());
            }
        }
        fates.iter().filter(|fate| **fate == Fate::Cut).count() as u64
    }

    /// Adds a copy of spans. `scope` is held for them.
    fn add_copy(&mut self, buffer: &mut Buffer, scope: ScopeId, (spans, body): (u64, &[u8]), mark: Mark) {
        let mark = self.mark(mark);
        buffer.interned.hold(scope);
        let start = self.copied.len();
        self.copied.extend_from_slice(body);
        self.charge_copied(buffer);
        self.push(buffer, mark, scope, body.len(), Body::Copied(start..start + body.len()));
        self.spans += spans;
    }

    /// Charges what was copied by its capacity, each time that grows.
    fn charge_copied(&mut self, buffer: &Buffer) {
        let bytes = self.copied.capacity();
        if self.charge.as_ref().is_none_or(|charge| charge.bytes() != bytes) {
            self.charge = Some(buffer.pool().budget().charge_reserve(bytes));
        }
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
        let mut begin = 0;
        while begin < self.pieces.len() {
            let (portion, spans) = self.portion(buffer, begin);
            begin = portion.end;
            let bytes = self.write(buffer, portion);
            let payload = Payload::from(reserve(buffer.pool().budget(), bytes));
            let batch = Batch { waiting: 0, ..Batch::new(Signal::Traces, payload, spans) };
            out.send(batch, Ack::none());
        }
        for piece in self.pieces.drain(..) {
            match piece.body {
                Body::Record(at) => buffer.release(at),
                Body::Copied(_) => buffer.interned.let_go(piece.scope),
            }
        }
        self.marks.clear();
        self.copied.clear();
        // A large trace is no reason to hold so much for ever.
        self.copied.shrink_to(2 * ENOUGH);
        self.charge_copied(buffer);
        (self.bytes, self.spans, self.records) = (0, 0, 0);
    }

    /// Writes the thresholds of pieces whose mark has one. The rewritten bytes stand in for the record's, which is
    /// released at once.
    fn rewrite_spans(&mut self, buffer: &mut Buffer) {
        if !self.marks.iter().any(Mark::changes_spans) {
            return;
        }
        let mut scratch = Vec::new();
        for piece in &mut self.pieces {
            let mark = &self.marks[piece.mark as usize];
            if !mark.changes_spans() {
                continue;
            }
            scratch.clear();
            let old = match &piece.body {
                Body::Record(at) => buffer.segments.body(*at),
                Body::Copied(range) => &self.copied[range.clone()],
            };
            for span in spans_of(old) {
                put_span(&mut scratch, span.body, mark);
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
        self.charge_copied(buffer);
    }

    /// The pieces from `begin` on that make one request, and their spans: all of them, unless a large trace is among them, which
    /// goes in several requests since hardly a backend takes more than a few MiB at once.
    fn portion(&self, buffer: &Buffer, begin: usize) -> (Range<usize>, u64) {
        if self.bytes <= LARGEST {
            return (begin..self.pieces.len(), self.spans);
        }
        let (mut bytes, mut spans, mut end) = (0, 0, begin);
        for piece in &self.pieces[begin..] {
            if bytes > 0 && bytes + piece.len > LARGEST {
                break;
            }
            bytes += piece.len;
            spans += spans_of(self.body(buffer, piece)).count() as u64;
            end += 1;
        }
        (begin..end, spans)
    }

    fn body<'b>(&'b self, buffer: &'b Buffer, piece: &Piece) -> &'b [u8] {
        match &piece.body {
            Body::Record(at) => buffer.segments.body(*at),
            Body::Copied(range) => &self.copied[range.clone()],
        }
    }

    fn write(&self, buffer: &Buffer, portion: Range<usize>) -> Vec<u8> {
        let groups = self.groups(buffer, portion);
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
                    out.extend_from_slice(self.body(buffer, piece));
                }
            }
        }
        out
    }

    /// The pieces, sorted, by resource and by scope, with their sizes.
    fn groups(&self, buffer: &Buffer, portion: Range<usize>) -> Vec<ResourceGroup> {
        let mut groups: Vec<ResourceGroup> = Vec::new();
        for (index, piece) in portion.clone().zip(&self.pieces[portion]) {
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

#[cfg(test)]
mod tests;

fn reserve(budget: &Budget, bytes: Vec<u8>) -> bytes::Bytes {
    budget.charge_reserve(bytes.capacity()).attach(bytes)
}
