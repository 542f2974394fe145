//! Rewrites a request in one walk, from front to back: what is untouched is copied as it is, in as long
//! runs as possible, and a message whose inside changes gets its new length.
//!
//! The counterpart of [`Editor`](crate::Editor) for who walks the whole request anyway: nothing is collected and
//! nothing is looked for again. Changes come in the order of the request.

#[cfg(test)]
mod fields;

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

/// A message being rewritten. Nothing is copied before the first change.
#[derive(Debug)]
pub struct Rewriter<'a> {
    source: &'a [u8],
    out: Vec<u8>,
    /// How much of the source has been copied, or left out.
    copied: usize,
    /// The messages that lie around the current place, from the outside.
    open: Vec<Open>,
    is_changed: bool,
    /// Bytes that the output is expected to have.
    room: usize,
}

/// A message that is being walked.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Where its field and its body begin in the source, and where they end.
    start: usize,
    body: usize,
    end: usize,
    /// Where they begin in the output, once something in it has changed.
    written: Option<Written>,
}

#[derive(Clone, Copy, Debug)]
struct Written {
    start: usize,
    len: usize,
    body: usize,
}

impl<'a> Rewriter<'a> {
    /// Starts at the front of the body of a message.
    pub fn new(source: &'a [u8]) -> Rewriter<'a> {
        Rewriter::with_room(source, source.len() + source.len() / 8 + 64)
    }

    /// Starts where the result is expected to have about `room` bytes.
    pub fn with_room(source: &'a [u8], room: usize) -> Rewriter<'a> {
        Rewriter { source, out: Vec::new(), copied: 0, open: Vec::new(), is_changed: false, room }
    }

    /// The message as it is without the changes.
    pub fn message(&self) -> &'a [u8] {
        self.source
    }

    /// Whether nothing was changed yet.
    pub fn is_unchanged(&self) -> bool {
        !self.is_changed
    }

    /// Goes into a message. `field` is a length-delimited field of the message that is walked.
    pub fn enter(&mut self, field: &Field<'a>) {
        let start = self.offset(field.raw);
        let end = start + field.raw.len();
        self.open.push(Open { start, body: end - field.body.len(), end, written: None });
    }

    /// Leaves the message that was entered last.
    pub fn leave(&mut self) {
        let Some(open) = self.open.pop() else { return };
        if let Some(written) = open.written {
            self.copy_to(open.end);
            self.close(written);
        }
    }

    /// Leaves the message that was entered last, and takes it out of the request.
    pub fn leave_and_remove(&mut self) {
        let Some(open) = self.open.pop() else { return };
        self.touch();
        match open.written {
            Some(written) => self.out.truncate(written.start),
            None => self.copy_to(open.start),
        }
        self.copied = open.end;
    }

    /// Leaves the message that was entered last, and puts over it what `write` makes of its body, in which
    /// all changes are carried out.
    pub fn leave_and_rewrite(&mut self, write: impl FnOnce(&[u8], &mut Vec<u8>)) {
        if let Some(open) = self.open.last() {
            let end = open.end;
            self.touch();
            self.copy_to(end);
        }
        let Some(Open { written: Some(written), .. }) = self.open.pop() else { return };
        let body = self.out.split_off(written.body);
        write(&body, &mut self.out);
        self.close(written);
    }

    /// The body of the message that was entered last, with the changes so far.
    pub fn body_so_far(&self) -> Vec<u8> {
        let Some(open) = self.open.last() else { return Vec::new() };
        match open.written {
            Some(written) => {
                let rest = &self.source[self.copied..open.end];
                [&self.out[written.body..], rest].concat()
            }
            None => self.source[open.body..open.end].to_vec(),
        }
    }

    /// Takes a field out.
    pub fn remove(&mut self, field: &Field<'a>) {
        let start = self.offset(field.raw);
        self.touch();
        self.copy_to(start);
        self.copied = start + field.raw.len();
    }

    /// Puts another body into a length-delimited field.
    pub fn replace(&mut self, field: &Field<'a>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.offset(field.raw);
        self.touch();
        let key = field.raw.iter().take_while(|byte| **byte >= 0x80).count() + 1;
        self.copy_to(start + key);
        let len = self.out.len();
        let body = len + varint_len(field.body.len() as u64);
        self.out.resize(body, 0);
        write(&mut self.out);
        self.close(Written { start: len, len, body });
        self.copied = start + field.raw.len();
    }

    /// Puts other fields, or none, in the place of a field.
    #[inline]
    pub fn replace_field(&mut self, field: &Field<'a>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.offset(field.raw);
        self.touch();
        self.copy_to(start);
        write(&mut self.out);
        self.copied = start + field.raw.len();
    }

    /// Adds fields at the end of the message that was entered last. Nothing in it may change afterwards.
    pub fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.touch();
        let end = self.open.last().map_or(self.source.len(), |open| open.end);
        self.copy_to(end);
        write(&mut self.out);
    }

    /// The message as it is now, or `None` if nothing changed.
    pub fn finish(mut self) -> Option<Vec<u8>> {
        if !self.is_changed {
            return None;
        }
        while !self.open.is_empty() {
            self.leave();
        }
        self.copy_to(self.source.len());
        // What keeps less than half of its buffer does not hold on to the rest.
        if self.out.len() < self.out.capacity() / 2 {
            self.out.shrink_to_fit();
        }
        Some(self.out)
    }

    /// Where something is in the source.
    fn offset(&self, part: &[u8]) -> usize {
        let offset = part.as_ptr().addr().wrapping_sub(self.source.as_ptr().addr());
        debug_assert!(offset <= self.source.len(), "a field of another message");
        offset
    }

    /// Copies what has not been copied, up to here.
    #[inline]
    fn copy_to(&mut self, end: usize) {
        if let Some(run) = self.source.get(self.copied..end) {
            self.out.extend_from_slice(run);
        }
        self.copied = self.copied.max(end);
    }

    /// Begins the output of all messages around a change.
    #[inline]
    fn touch(&mut self) {
        if !self.is_changed {
            self.is_changed = true;
            self.out.reserve(self.room);
        }
        if self.open.last().is_some_and(|open| open.written.is_none()) {
            self.touch_all();
        }
    }

    fn touch_all(&mut self) {
        for index in 0..self.open.len() {
            let open = self.open[index];
            if open.written.is_some() {
                continue;
            }
            self.copy_to(open.start);
            let start = self.out.len();
            // Key and length as they were; the length is put right in the end.
            self.copy_to(open.body);
            let key = self.source[open.start..].iter().take_while(|byte| **byte >= 0x80).count() + 1;
            let body = self.out.len();
            self.open[index].written = Some(Written { start, len: start + key, body });
        }
    }

    /// Puts the length before a body, which ends where the output does.
    #[inline]
    fn close(&mut self, written: Written) {
        let len = (self.out.len() - written.body) as u64;
        let room = written.body - written.len;
        let (bytes, needed) = varint(len);
        if needed == room {
            self.out[written.len..written.body].copy_from_slice(&bytes[..needed]);
        } else {
            self.move_body(written, len);
        }
    }

    /// The length takes more or fewer bytes than before.
    fn move_body(&mut self, written: Written, len: u64) {
        let (bytes, needed) = varint(len);
        self.out.splice(written.len..written.body, bytes[..needed].iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::Fields;
    use crate::write::{put_bytes, put_message, put_uint};

    fn messages(body: &[u8], number: u32) -> impl Iterator<Item = Field<'_>> {
        Fields::new(body).filter(move |field| field.is_len(number))
    }

    /// A tree of messages: field 1 holds messages, field 2 a number.
    #[derive(Clone, Debug, PartialEq)]
    struct Node {
        number: u64,
        text: Vec<u8>,
        children: Vec<Node>,
        what: What,
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum What {
        Nothing,
        Remove,
        Replace,
        Append,
        RemoveAfter,
        RewriteAfter,
    }

    fn write(node: &Node, out: &mut Vec<u8>) {
        put_uint(out, 2, node.number);
        put_bytes(out, 3, &node.text);
        for child in &node.children {
            put_message(out, 1, |out| write(child, out));
        }
    }

    /// What the walk below makes of a node, written from scratch. `None` if it is gone.
    fn changed(node: &Node) -> Option<Vec<u8>> {
        match node.what {
            What::Remove | What::RemoveAfter => return None,
            What::Replace => return Some(vec![0x10, 7]),
            _ => {}
        }
        let mut out = Vec::new();
        put_uint(&mut out, 2, node.number);
        put_bytes(&mut out, 3, &node.text);
        for child in &node.children {
            if let Some(child) = changed(child) {
                put_bytes(&mut out, 1, &child);
            }
        }
        if node.what == What::Append {
            put_uint(&mut out, 4, 9);
        }
        if node.what == What::RewriteAfter {
            out.splice(0..0, *b"\x28\x01");
        }
        Some(out)
    }

    fn walk(rewriter: &mut Rewriter<'_>, nodes: &[Node], body: &'static [u8]) {
        for (node, field) in nodes.iter().zip(messages(body, 1)) {
            match node.what {
                What::Remove => rewriter.remove(&field),
                What::Replace => rewriter.replace(&field, |out| out.extend_from_slice(&[0x10, 7])),
                _ => {
                    rewriter.enter(&field);
                    walk(rewriter, &node.children, field.body);
                    let so_far = changed(&Node { what: What::Nothing, ..node.clone() }).unwrap_or_default();
                    assert_eq!(rewriter.body_so_far(), so_far);
                    match node.what {
                        What::Append => {
                            rewriter.append(|out| put_uint(out, 4, 9));
                            rewriter.leave();
                        }
                        What::RemoveAfter => rewriter.leave_and_remove(),
                        What::RewriteAfter => rewriter.leave_and_rewrite(|body, out| {
                            out.extend_from_slice(b"\x28\x01");
                            out.extend_from_slice(body);
                        }),
                        _ => rewriter.leave(),
                    }
                }
            }
        }
    }

    fn node() -> impl Strategy<Value = Node> {
        let what = prop_oneof![
            6 => Just(What::Nothing),
            1 => Just(What::Remove),
            1 => Just(What::Replace),
            1 => Just(What::Append),
            1 => Just(What::RemoveAfter),
            1 => Just(What::RewriteAfter),
        ];
        let leaf = (any::<u64>(), proptest::collection::vec(any::<u8>(), 0..200), what.clone())
            .prop_map(|(number, text, what)| Node { number, text, children: Vec::new(), what });
        leaf.prop_recursive(4, 40, 6, move |inner| {
            (any::<u64>(), proptest::collection::vec(inner, 0..6), what.clone())
                .prop_map(|(number, children, what)| Node { number, text: Vec::new(), children, what })
        })
    }

    proptest! {
        #[test]
        fn equals_what_is_written_from_scratch(root in node()) {
            let root = Node { what: What::Nothing, ..root };
            let mut source = Vec::new();
            write(&root, &mut source);
            let source: &'static [u8] = source.leak();
            let mut rewriter = Rewriter::new(source);
            walk(&mut rewriter, &root.children, source);
            let result = rewriter.finish();
            let expected = changed(&root).unwrap();
            prop_assert_eq!(result.as_deref().unwrap_or(source), &expected[..]);
        }
    }
}
