//! Cuts payloads at the boundaries of records, for metrics of data points.
//!
//! What is cut through (a metric, a scope, a resource) is repeated on both sides with all of its fields,
//! those that are not known included. Entries that stay whole are shared, not copied.

#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::assemble::{Assembly, Part};
use crate::shape::{self, Level, count_items, item_level};
use crate::wire::{Field, Fields};
use crate::{Payload, Signal};

/// A part of a payload that was cut.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    /// A payload of the same signal.
    pub payload: Payload,
    /// Its items.
    pub items: u64,
}

/// Cuts a payload into chunks of `max_items` items, the last of which may have fewer. Takes 0 for 1.
pub fn split_items(signal: Signal, payload: Payload, max_items: u64) -> Vec<Chunk> {
    let items = count_items(signal, &payload);
    if items <= max_items {
        return if payload.is_empty() { Vec::new() } else { vec![Chunk { payload, items }] };
    }
    Cutter::new(signal, Limits::items(max_items, max_items)).cut(&payload)
}

/// Cuts a payload into chunks of at most `max_bytes` bytes each, as large as that allows. A chunk exceeds
/// it only if a single record does, together with the metric, scope and resource that it belongs to.
pub fn split_bytes(signal: Signal, payload: Payload, max_bytes: usize) -> Vec<Chunk> {
    if payload.len() <= max_bytes {
        let items = count_items(signal, &payload);
        return if payload.is_empty() { Vec::new() } else { vec![Chunk { payload, items }] };
    }
    Cutter::new(signal, Limits { bytes: max_bytes, ..Limits::items(u64::MAX, u64::MAX) }).cut(&payload)
}

/// Cuts off the first `items` items: gives them, and what is left. Both share the bytes of `payload`, as
/// far as entries are whole.
pub fn take_items(signal: Signal, payload: Payload, items: u64) -> (Chunk, Chunk) {
    let nothing = Chunk { payload: Payload::default(), items: 0 };
    let all = count_items(signal, &payload);
    if items == 0 {
        return (nothing, Chunk { payload, items: all });
    }
    if all <= items {
        return (Chunk { payload, items: all }, nothing);
    }
    let mut chunks = Cutter::new(signal, Limits::items(items, u64::MAX)).cut(&payload).into_iter();
    (chunks.next().unwrap_or_else(|| nothing.clone()), chunks.next().unwrap_or(nothing))
}

struct Limits {
    /// Items of the chunk that is being filled.
    items: u64,
    /// Items of the chunks after it.
    next_items: u64,
    bytes: usize,
}

impl Limits {
    fn items(items: u64, next_items: u64) -> Limits {
        Limits { items: items.max(1), next_items: next_items.max(1), bytes: usize::MAX }
    }
}

/// A message that is being cut through.
struct Open<'a> {
    key: u32,
    frame: Vec<&'a [u8]>,
    /// What repeating it costs: key, the most that its length can take, and the frame.
    cost: usize,
    /// Its children that go to the chunk being filled. If there are none, neither is the frame.
    parts: Vec<Part<'a>>,
}

struct Cutter<'a> {
    item_level: Level,
    limits: Limits,
    done: Vec<Chunk>,
    chunk: Assembly<'a>,
    items: u64,
    /// At least the bytes of the chunk: the frames that were repeated are rounded up.
    bytes: usize,
    open: Vec<Open<'a>>,
}

impl<'a> Cutter<'a> {
    fn new(signal: Signal, limits: Limits) -> Cutter<'a> {
        Cutter {
            item_level: item_level(signal),
            limits,
            done: Vec::new(),
            chunk: Assembly::default(),
            items: 0,
            bytes: 0,
            open: Vec::new(),
        }
    }

    fn cut(mut self, payload: &'a Payload) -> Vec<Chunk> {
        for piece in payload.pieces() {
            for field in Fields::new(piece) {
                if shape::is_entry(&field) {
                    self.place(piece, field, shape::RESOURCE_ENTRY);
                } else {
                    if !self.fits(field.raw.len(), 0) {
                        self.finish_chunk();
                    }
                    self.push(piece, field.raw, 0);
                }
            }
        }
        self.finish_chunk();
        self.done
    }

    /// Puts a message where there is room, in parts if it must be.
    fn place(&mut self, piece: &'a Bytes, field: Field<'a>, level: Level) {
        let items = shape::count(field.body, level, self.item_level);
        if items > 0 && self.items >= self.limits.items {
            // Before the question of what fits, or a message that is whole would be taken apart.
            self.finish_chunk();
        }
        if self.fits(field.raw.len(), items) {
            return self.push(piece, field.raw, items);
        }
        if level == self.item_level || items == 0 {
            self.finish_chunk();
            return self.push(piece, field.raw, items);
        }
        let frame = shape::runs(field.body, |inner| !shape::is_child(level, inner));
        let cost = field.raw.len() - field.body.len() + frame.iter().map(|run| run.len()).sum::<usize>();
        self.open.push(Open { key: field.key, frame, cost, parts: Vec::new() });
        for child in Fields::new(field.body).filter(|child| shape::is_child(level, child)) {
            self.place(piece, child, level + 1);
        }
        self.close(self.open.len() - 1);
        self.open.pop();
    }

    fn fits(&self, bytes: usize, items: u64) -> bool {
        let repeated: usize = self.unwritten().map(|open| open.cost).sum();
        self.items + items <= self.limits.items
            && self.bytes.saturating_add(repeated).saturating_add(bytes) <= self.limits.bytes
    }

    /// The open messages of which the chunk has nothing yet: an open message that has parts is in the
    /// chunk, and so is all that encloses it.
    fn unwritten(&self) -> impl Iterator<Item = &Open<'a>> {
        let written = self.open.iter().rposition(|open| !open.parts.is_empty()).map_or(0, |last| last + 1);
        self.open[written..].iter()
    }

    fn push(&mut self, piece: &'a Bytes, raw: &'a [u8], items: u64) {
        self.bytes += self.unwritten().map(|open| open.cost).sum::<usize>() + raw.len();
        self.items += items;
        match self.open.last_mut() {
            None => self.chunk.share(piece, raw),
            Some(open) => append(&mut open.parts, piece, raw),
        }
    }

    /// Moves the part of an open message that is in this chunk to the message around it.
    fn close(&mut self, index: usize) {
        let open = &mut self.open[index];
        if open.parts.is_empty() {
            return;
        }
        let mut parts: Vec<_> = open.frame.iter().map(|run| Part::Raw(run)).collect();
        parts.append(&mut open.parts);
        let message = Part::message(open.key, parts);
        match index.checked_sub(1) {
            None => self.chunk.copy(&message),
            Some(parent) => self.open[parent].parts.push(message),
        }
    }

    fn finish_chunk(&mut self) {
        for index in (0..self.open.len()).rev() {
            self.close(index);
        }
        let payload = std::mem::take(&mut self.chunk).finish();
        if payload.is_empty() {
            return;
        }
        self.done.push(Chunk { payload, items: self.items });
        self.items = 0;
        self.bytes = 0;
        self.limits.items = self.limits.next_items;
    }
}

/// Adds a part of `piece`, joined to the part before if they are neighbours there.
fn append<'a>(parts: &mut Vec<Part<'a>>, piece: &'a Bytes, raw: &'a [u8]) {
    if let Some(Part::Raw(last)) = parts.last_mut() {
        let start = last.as_ptr().addr().wrapping_sub(piece.as_ptr().addr());
        let next = raw.as_ptr().addr().wrapping_sub(piece.as_ptr().addr());
        if start.wrapping_add(last.len()) == next
            && let Some(joined) = piece.get(start..next.saturating_add(raw.len()))
        {
            *last = joined;
            return;
        }
    }
    parts.push(Part::Raw(raw));
}
