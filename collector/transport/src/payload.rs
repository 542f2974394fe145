//! A message as a list of pieces that are never joined.

use std::io::IoSlice;

use bytes::{Buf, Bytes};

use crate::compression::Encoding;

/// The bytes of one message, in one or more pieces. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    first: Bytes,
    rest: Vec<Bytes>,
    len: usize,
    encoding: Encoding,
}

impl Payload {
    /// A message that is compressed already; clients with another encoding refuse it.
    pub fn encoded(encoding: Encoding, bytes: Bytes) -> Payload {
        Payload { encoding, ..Payload::from(bytes) }
    }

    /// How the bytes are compressed.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// All bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a piece at the end.
    pub fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        self.len += piece.len();
        if self.first.is_empty() {
            self.first = piece;
        } else {
            self.rest.push(piece);
        }
    }

    /// The pieces in order; none is empty.
    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.first).chain(&self.rest).filter(|piece| !piece.is_empty())
    }

    /// The first piece, empty where there is none, and the others.
    pub(crate) fn into_parts(self) -> (Bytes, Vec<Bytes>) {
        (self.first, self.rest)
    }
}

impl From<Bytes> for Payload {
    fn from(first: Bytes) -> Payload {
        Payload { len: first.len(), first, ..Payload::default() }
    }
}

impl FromIterator<Bytes> for Payload {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Payload {
        let mut payload = Payload::default();
        pieces.into_iter().for_each(|piece| payload.push(piece));
        payload
    }
}

/// Bytes of the gRPC prefix: a compression flag and the length.
pub(crate) const PREFIX_BYTES: usize = 5;

/// A gRPC message on its way out: the prefix, then the pieces.
pub(crate) struct Framed {
    prefix: [u8; PREFIX_BYTES],
    prefix_sent: usize,
    first: Bytes,
    rest: std::vec::IntoIter<Bytes>,
    remaining: usize,
}

impl Framed {
    /// None where the payload is longer than a gRPC message can be.
    pub(crate) fn new(compressed: bool, payload: Payload) -> Option<Framed> {
        let [a, b, c, d] = u32::try_from(payload.len).ok()?.to_be_bytes();
        Some(Framed {
            prefix: [u8::from(compressed), a, b, c, d],
            prefix_sent: 0,
            remaining: PREFIX_BYTES + payload.len,
            first: payload.first,
            rest: payload.rest.into_iter(),
        })
    }

    fn prefix_left(&self) -> &[u8] {
        &self.prefix[self.prefix_sent..]
    }
}

impl Buf for Framed {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        if self.prefix_sent < PREFIX_BYTES { self.prefix_left() } else { &self.first }
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.remaining, "advances past the end");
        self.remaining -= count;
        let of_prefix = count.min(PREFIX_BYTES - self.prefix_sent);
        self.prefix_sent += of_prefix;
        count -= of_prefix;
        while count >= self.first.len() {
            count -= self.first.len();
            // Pieces that were sent are dropped at once, and what they charged with them.
            match self.rest.next() {
                Some(next) => self.first = next,
                None => {
                    self.first = Bytes::new();
                    return;
                }
            }
        }
        self.first.advance(count);
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let pieces = [self.prefix_left(), &self.first].into_iter();
        let rest = self.rest.as_slice().iter().map(|piece| &piece[..]);
        let mut filled = 0;
        for (slot, piece) in into.iter_mut().zip(pieces.chain(rest).filter(|piece| !piece.is_empty())) {
            *slot = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed() -> Framed {
        let pieces = ["", "abc", "", "defgh", "i"].map(|text| Bytes::from_static(text.as_bytes()));
        Framed::new(false, pieces.into_iter().collect()).unwrap()
    }

    #[test]
    fn pieces_come_out_in_order_wherever_they_are_cut() {
        let expected = b"\0\0\0\0\x09abcdefghi";
        for step in 1..=expected.len() {
            let (mut message, mut out) = (framed(), Vec::new());
            while message.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 8];
                let count = message.chunks_vectored(&mut slices);
                let joined: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
                assert_eq!(joined.len(), message.remaining());
                assert!(joined.starts_with(message.chunk()) && !message.chunk().is_empty());
                let taken = step.min(joined.len());
                out.extend_from_slice(&joined[..taken]);
                message.advance(taken);
            }
            assert_eq!(out, expected, "in steps of {step}");
        }
    }
}
