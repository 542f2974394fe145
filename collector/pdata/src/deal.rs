//! Deals the records of a request out to several requests, by whatever is known of each.
//!
//! One pass over the bytes says where everything goes; a second one copies, into one buffer of its exact size for
//! each destination. What lies around records is repeated for every destination that gets some of them. Resource
//! entries that go to one place as a whole are shared, not copied, and so is a request that does.

use crate::assemble::Assembly;
use crate::shape::{self, Level, RESOURCE_ENTRY, SCOPE_ENTRY};
use crate::split::Chunk;
use crate::view::{Resource, Scope, View as _};
use crate::wire::{Field, Fields};
use crate::write::{put_varint, varint_len};
use crate::{Payload, Signal};

/// Says where the parts of a request go, from the outside in: none means that it depends on what is inside. A
/// destination is a number below the count of them; a larger one counts as the last.
pub trait Deal {
    /// For all of a resource.
    fn resource(&mut self, resource: Option<Resource<'_>>) -> Option<usize>;

    /// For all of a scope.
    fn scope(&mut self, scope: Option<Scope<'_>>) -> Option<usize> {
        let _ = scope;
        None
    }

    /// For a span, log record or metric, whose body this is. Only a metric has something inside.
    fn record(&mut self, record: &[u8]) -> Option<usize>;

    /// For a data point, whose body this is, of the metric that was asked for last. `kind` is the number of the
    /// metric's field that holds the points.
    fn point(&mut self, kind: u32, point: &[u8]) -> usize {
        let _ = (kind, point);
        0
    }
}

/// Deals a request out to `count` requests, some of which may come out empty. What has no items inside is left out,
/// unless all of the request goes to one place.
pub fn deal(signal: Signal, payload: Payload, count: usize, by: &mut impl Deal) -> Vec<Chunk> {
    let mut plan = Plan::new(signal, count);
    for (piece, bytes) in payload.pieces().enumerate() {
        plan.read(piece, bytes, by);
    }
    plan.finish(payload)
}

/// No message around.
const NONE: u32 = u32::MAX;

/// What goes to one place as it is: a field of a piece.
#[derive(Clone, Copy)]
struct Leaf {
    piece: u32,
    start: u32,
    len: u32,
    /// The message around it.
    around: u32,
    to: u32,
    /// The next one of the same destination.
    next: u32,
    items: u64,
}

/// A message that is repeated around its leaves.
struct Node {
    piece: u32,
    key: u32,
    around: u32,
    /// Its frame: this part of [`Plan::frames`].
    frame: std::ops::Range<u32>,
    /// Bytes of the frame.
    frame_len: usize,
    /// Bytes of its body for the destination that is written; none while it has no leaf of that.
    len: usize,
}

struct Plan {
    item_level: Level,
    count: usize,
    leaves: Vec<Leaf>,
    /// A message stands before those inside it.
    nodes: Vec<Node>,
    /// Start and length, within the piece of the node.
    frames: Vec<(u32, u32)>,
}

/// One piece, to find out where in it a slice is.
#[derive(Clone, Copy)]
struct Piece<'a> {
    index: u32,
    bytes: &'a [u8],
}

impl Piece<'_> {
    /// Pieces are shorter than 4 GiB: no receiver takes longer ones.
    fn offset(&self, part: &[u8]) -> u32 {
        part.as_ptr().addr().wrapping_sub(self.bytes.as_ptr().addr()) as u32
    }
}

impl Plan {
    fn new(signal: Signal, count: usize) -> Plan {
        Plan {
            item_level: shape::item_level(signal),
            count: count.max(1),
            leaves: Vec::new(),
            nodes: Vec::new(),
            frames: Vec::new(),
        }
    }

    fn read(&mut self, index: usize, bytes: &[u8], by: &mut impl Deal) {
        let piece = Piece { index: index as u32, bytes };
        for entry in Fields::new(bytes).filter(shape::is_entry) {
            if let Some(to) = by.resource(first(entry.body).map(Resource::new)) {
                let items = shape::count(entry.body, RESOURCE_ENTRY, self.item_level);
                self.leaf(piece, &entry, NONE, to, items);
                continue;
            }
            let (leaves, nodes, frames) = (self.leaves.len(), self.nodes.len(), self.frames.len());
            let around = self.node(piece, &entry, RESOURCE_ENTRY, NONE);
            for scope in children(&entry, RESOURCE_ENTRY) {
                self.read_scope(piece, &scope, around, by);
            }
            // An entry that turns out to go to one place is one leaf.
            if let Some(whole) = one_place(&self.leaves[leaves..]) {
                let items = self.leaves[leaves..].iter().map(|leaf| leaf.items).sum();
                self.leaves.truncate(leaves);
                self.nodes.truncate(nodes);
                self.frames.truncate(frames);
                self.leaf(piece, &entry, NONE, whole, items);
            }
        }
    }

    fn read_scope(&mut self, piece: Piece<'_>, entry: &Field<'_>, around: u32, by: &mut impl Deal) {
        if let Some(to) = by.scope(first(entry.body).map(Scope::new)) {
            let items = shape::count(entry.body, SCOPE_ENTRY, self.item_level);
            return self.leaf(piece, entry, around, to, items);
        }
        let around = self.node(piece, entry, SCOPE_ENTRY, around);
        for record in children(entry, SCOPE_ENTRY) {
            match by.record(record.body) {
                Some(to) => {
                    let items = shape::count(record.body, 2, self.item_level);
                    self.leaf(piece, &record, around, to, items);
                }
                None => self.read_metric(piece, &record, around, by),
            }
        }
    }

    fn read_metric(&mut self, piece: Piece<'_>, metric: &Field<'_>, around: u32, by: &mut impl Deal) {
        let around = self.node(piece, metric, 2, around);
        for data in children(metric, 2) {
            let around = self.node(piece, &data, 3, around);
            for point in children(&data, 3) {
                let to = by.point(data.number(), point.body);
                self.leaf(piece, &point, around, to, 1);
            }
        }
    }

    fn leaf(&mut self, piece: Piece<'_>, field: &Field<'_>, around: u32, to: usize, items: u64) {
        self.leaves.push(Leaf {
            piece: piece.index,
            start: piece.offset(field.raw),
            len: field.raw.len() as u32,
            around,
            to: to.min(self.count - 1) as u32,
            next: NONE,
            items,
        });
    }

    /// Notes a message that is repeated around what is in it.
    fn node(&mut self, piece: Piece<'_>, field: &Field<'_>, level: Level, around: u32) -> u32 {
        let from = self.frames.len();
        let mut frame_len = 0;
        for inner in Fields::new(field.body).filter(|inner| !shape::is_child(level, inner)) {
            let (start, len) = (piece.offset(inner.raw), inner.raw.len() as u32);
            frame_len += inner.raw.len();
            match self.frames[from..].last_mut() {
                Some((before, before_len)) if *before + *before_len == start => *before_len += len,
                _ => self.frames.push((start, len)),
            }
        }
        let frame = from as u32..self.frames.len() as u32;
        self.nodes.push(Node { piece: piece.index, key: field.key, around, frame, frame_len, len: 0 });
        (self.nodes.len() - 1) as u32
    }

    fn finish(mut self, payload: Payload) -> Vec<Chunk> {
        let mut chunks: Vec<Chunk> = (0..self.count).map(|_| Chunk::default()).collect();
        if let Some(whole) = one_place(&self.leaves) {
            // As it is, the compressed form that it may carry included.
            let items = self.leaves.iter().map(|leaf| leaf.items).sum();
            chunks[whole] = Chunk { payload, items };
            return chunks;
        }
        let mut first = vec![NONE; self.count];
        for index in (0..self.leaves.len()).rev() {
            let leaf = &mut self.leaves[index];
            leaf.next = std::mem::replace(&mut first[leaf.to as usize], index as u32);
        }
        let pieces: Vec<_> = payload.pieces().collect();
        let mut touched = Vec::new();
        for (chunk, first) in chunks.iter_mut().zip(first) {
            let copied = self.measure(first, &mut touched);
            let mut out = Assembly::default();
            out.expect(copied);
            let mut headers = touched.iter().copied().peekable();
            let mut at = first;
            while let Some(leaf) = self.leaves.get(at as usize) {
                at = leaf.next;
                chunk.items += leaf.items;
                let piece = pieces[leaf.piece as usize];
                let raw = &piece[leaf.start as usize..][..leaf.len as usize];
                if leaf.around == NONE {
                    out.share(piece, raw);
                    continue;
                }
                let copy = out.copied();
                while let Some(header) = headers.next_if(|header| *header <= leaf.around) {
                    let node = &self.nodes[header as usize];
                    put_varint(copy, u64::from(node.key));
                    put_varint(copy, node.len as u64);
                    for (start, len) in &self.frames[node.frame.start as usize..node.frame.end as usize] {
                        let piece = pieces[node.piece as usize];
                        copy.extend_from_slice(&piece[*start as usize..][..*len as usize]);
                    }
                }
                copy.extend_from_slice(raw);
            }
            chunk.payload = out.finish();
            touched.drain(..).for_each(|node| self.nodes[node as usize].len = 0);
        }
        chunks
    }

    /// Finds the messages around the leaves that begin with `first`, in their order, and how long each becomes; the
    /// bytes of all that is copied.
    fn measure(&mut self, first: u32, touched: &mut Vec<u32>) -> usize {
        let mut at = first;
        while let Some(leaf) = self.leaves.get(at as usize) {
            at = leaf.next;
            let (mut around, mut inner, from) = (leaf.around, leaf.len as usize, touched.len());
            while let Some(node) = self.nodes.get_mut(around as usize) {
                let is_new = node.len == 0;
                if is_new {
                    touched.push(around);
                    // One more than there is, so that an empty frame counts as touched; taken back below.
                    node.len = node.frame_len + 1;
                }
                node.len += std::mem::take(&mut inner);
                if !is_new {
                    break;
                }
                around = node.around;
            }
            touched[from..].reverse();
        }
        let mut copied = 0;
        for index in touched.iter().rev() {
            let node = &mut self.nodes[*index as usize];
            node.len -= 1;
            let whole = varint_len(u64::from(node.key)) + varint_len(node.len as u64) + node.len;
            match node.around {
                NONE => copied += whole,
                around => self.nodes[around as usize].len += whole,
            }
        }
        copied
    }
}

fn children<'a>(field: &Field<'a>, level: Level) -> impl Iterator<Item = Field<'a>> + use<'a> {
    Fields::new(field.body).filter(move |inner| shape::is_child(level, inner))
}

/// The body of the resource or scope of an entry.
fn first(entry: &[u8]) -> Option<&[u8]> {
    Fields::new(entry).find(|field| field.is_len(1)).map(|field| field.body)
}

/// The destination of all, where they have the same.
fn one_place(leaves: &[Leaf]) -> Option<usize> {
    let to = leaves.first()?.to;
    leaves.iter().all(|leaf| leaf.to == to).then_some(to as usize)
}

#[cfg(test)]
mod tests;
