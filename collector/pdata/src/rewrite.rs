//! Changes to a request in one pass, in the order of its bytes.
//!
//! Where an [`Editor`](crate::Editor) takes changes in any order, and plans before it copies, a [`Rewriter`]
//! is told of them as a walk over the message meets them, and copies as it goes: what lies between two changes
//! in one piece, each range once. It keeps nothing for a change, so many small ones cost little.

#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::Bytes;

use crate::Payload;
use crate::wire::Field;
use crate::write::{varint, varint_len};

/// Changes each piece of a payload by what gives its new bytes; a piece for which that is none stays shared, one
/// that is left empty goes.
pub fn rewrite(payload: Payload, mut change: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> Payload {
    let mut rewritten = Payload::default();
    for piece in payload {
        let changed = change(&piece);
        rewritten.append(Payload::from(changed.map_or(piece, Bytes::from)));
    }
    rewritten
}

/// Writes a message anew while it is walked.
///
/// A walk [opens](Rewriter::open) the messages that it goes into and [closes](Rewriter::close) them behind
/// it; the changes between concern fields of the message that is open, or add to it. Everything has to come in
/// the order of the bytes: what is before the last change has been written.
///
/// ```
/// # use phoenix_pdata::{Rewriter, wire::Fields, write::put_bytes};
/// # fn without_names(request: &[u8]) -> Option<Vec<u8>> {
/// let mut rewriter = Rewriter::new(request);
/// for entry in Fields::new(request).filter(|field| field.is_len(1)) {
///     rewriter.open(&entry);
///     rewriter.append(|out| put_bytes(out, 3, b"https://example.com/schema"));
///     rewriter.close();
/// }
/// rewriter.finish()
/// # }
/// ```
#[derive(Debug)]
pub struct Rewriter<'a> {
    message: &'a [u8],
    out: Vec<u8>,
    room: usize,
    /// Up to here the message is written or left out.
    done: usize,
    /// The messages around the place of the walk, from the outside in.
    open: Vec<Open>,
    /// So many of them, from the outside, have their beginning written.
    begun: usize,
    changed: bool,
}

#[derive(Clone, Debug)]
struct Open {
    /// Where its field begins, in the message.
    field: usize,
    /// Where the length of its body stands.
    len: usize,
    body: Range<usize>,
    /// The same in what is written, once it is begun: field, length and body.
    written: [usize; 3],
}

impl<'a> Rewriter<'a> {
    /// Starts with no changes to the body of a message.
    pub fn new(message: &'a [u8]) -> Rewriter<'a> {
        Rewriter::with_room(message, message.len() + message.len() / 8 + 64)
    }

    /// Starts where the result is expected to have about `room` bytes.
    pub fn with_room(message: &'a [u8], room: usize) -> Rewriter<'a> {
        Rewriter { message, out: Vec::new(), room, done: 0, open: Vec::new(), begun: 0, changed: false }
    }

    /// The message as it is without the changes.
    pub fn message(&self) -> &'a [u8] {
        self.message
    }

    /// Whether nothing was changed yet.
    pub fn is_unchanged(&self) -> bool {
        !self.changed
    }

    /// Goes into a length-delimited field of the message that is open.
    #[inline]
    pub fn open(&mut self, field: &Field<'a>) {
        let raw = self.place(field.raw);
        let body = raw.end - field.body.len()..raw.end;
        let key_len = varint_len(u64::from(field.key)).min(raw.len());
        self.open.push(Open { field: raw.start, len: raw.start + key_len, body, written: [0; 3] });
    }

    /// Leaves the message that was opened last.
    #[inline]
    pub fn close(&mut self) {
        let depth = self.open.len();
        let Some(open) = self.open.pop() else { return };
        if self.begun < depth {
            return;
        }
        self.begun = depth - 1;
        self.copy(open.body.end);
        self.put_len(open.written);
    }

    /// Leaves the message that was opened last, and leaves it out with all that was written of it.
    pub fn discard(&mut self) {
        let depth = self.open.len();
        let Some(open) = self.open.pop() else { return };
        if self.begun == depth {
            self.begun = depth - 1;
            self.out.truncate(open.written[0]);
        } else {
            self.change(open.field);
        }
        self.done = open.body.end;
    }

    /// Leaves a field out.
    #[inline]
    pub fn remove(&mut self, field: &Field<'a>) {
        self.replace(field, |_| {});
    }

    /// Puts other fields in the place of a field.
    #[inline]
    pub fn replace(&mut self, field: &Field<'a>, by: impl FnOnce(&mut Vec<u8>)) {
        let place = self.place(field.raw);
        self.change(place.start);
        by(&mut self.out);
        self.done = place.end;
    }

    /// Adds fields to the end of the message that is open. Nothing else may follow in it but more of these.
    #[inline]
    pub fn append(&mut self, fields: impl FnOnce(&mut Vec<u8>)) {
        let end = self.open.last().map_or(self.message.len(), |open| open.body.end);
        self.change(end);
        fields(&mut self.out);
    }

    /// The message with the changes, or none if there were none. What is open is closed.
    pub fn finish(mut self) -> Option<Vec<u8>> {
        while !self.open.is_empty() {
            self.close();
        }
        if !self.changed {
            return None;
        }
        self.copy(self.message.len());
        if self.out.len() < self.out.capacity() / 2 {
            self.out.shrink_to_fit();
        }
        Some(self.out)
    }

    /// Where bytes of the message are in it. Other bytes are nowhere: at the end, empty.
    #[inline]
    fn place(&self, bytes: &[u8]) -> Range<usize> {
        let start = bytes.as_ptr().addr().wrapping_sub(self.message.as_ptr().addr());
        let end = start.wrapping_add(bytes.len());
        debug_assert!(start <= end && end <= self.message.len(), "a field of another message");
        debug_assert!(self.done <= start, "a change before the last one");
        if start <= end && end <= self.message.len() {
            start..end
        } else {
            self.message.len()..self.message.len()
        }
    }

    /// Writes all that is before a change at `at`.
    #[inline]
    fn change(&mut self, at: usize) {
        if !self.changed {
            self.changed = true;
            self.out.reserve(self.room);
        }
        while let Some(open) = self.open.get(self.begun) {
            let (field, len, body) = (open.field, open.len, open.body.clone());
            self.copy(field);
            let field_out = self.out.len();
            self.copy(len);
            let len_out = self.out.len();
            // Room for a length of as many bytes as the old one takes if it is written well.
            self.out.resize(len_out + varint_len(body.len() as u64), 0);
            self.done = body.start;
            self.open[self.begun].written = [field_out, len_out, self.out.len()];
            self.begun += 1;
        }
        self.copy(at);
    }

    #[inline]
    fn copy(&mut self, to: usize) {
        if let Some(between) = self.message.get(self.done..to) {
            self.out.extend_from_slice(between);
            self.done = to;
        }
    }

    /// Writes the length of a message whose end has been written.
    #[inline]
    fn put_len(&mut self, [_, len, body]: [usize; 3]) {
        let (bytes, needed) = varint((self.out.len() - body) as u64);
        if needed == body - len {
            self.out[len..body].copy_from_slice(&bytes[..needed]);
        } else {
            self.out.splice(len..body, bytes[..needed].iter().copied());
        }
    }
}
