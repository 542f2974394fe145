//! Snappy elements, written by one who knows what repeats.
//!
//! An encoder has to search for what was there before; here it is said. Elements are literals and copies, as in
//! <https://github.com/google/snappy/blob/main/format_description.txt>, and stand at the end of a block whose first
//! part a usual encoder made: copies may reach into that part, too.

use std::mem::take;

use phoenix_component::buffers;

/// The longest copy of one element.
const LONGEST: usize = 64;
/// Shorter parts are literals: a copy of them would be no shorter.
const SHORTEST: usize = 4;

/// Where bytes are that come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// In the first part of the block.
    First(usize),
    /// Among those that the elements stand for.
    Here(usize),
}

impl At {
    /// The place `more` bytes behind.
    pub(crate) fn plus(self, more: usize) -> At {
        match self {
            At::First(at) => At::First(at + more),
            At::Here(at) => At::Here(at + more),
        }
    }

    /// The place `less` bytes before.
    pub(crate) fn minus(self, less: usize) -> At {
        match self {
            At::First(at) => At::First(at - less),
            At::Here(at) => At::Here(at - less),
        }
    }
}

/// Elements of which the last one may still grow.
#[derive(Debug, Default)]
pub(crate) struct Elements {
    encoded: Vec<u8>,
    /// How many bytes they stand for.
    len: usize,
    literal: Vec<u8>,
    copy: Option<Copied>,
    /// Places in `encoded` of distances that lack the length of the first part.
    reaching: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Copied {
    /// From what comes next back to where it was; into the first part: beside its length.
    distance: u32,
    is_reaching: bool,
    len: usize,
}

impl Elements {
    /// None, with room for `capacity` bytes of them.
    pub(crate) fn with_capacity(capacity: usize) -> Elements {
        // A histogram with sixteen buckets has some 500 bytes, with ten copies from the first part.
        let reaching = Vec::with_capacity(capacity / 32);
        let encoded = buffers::take(capacity).unwrap_or_else(|| Vec::with_capacity(capacity));
        Elements { encoded, reaching, ..Elements::default() }
    }

    /// How many bytes they stand for.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends bytes as they are.
    pub(crate) fn literal(&mut self, bytes: &[u8]) {
        self.end_copy();
        self.literal.extend_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Appends bytes that stand at `at`, too.
    pub(crate) fn again(&mut self, at: At, bytes: &[u8]) {
        if bytes.len() < SHORTEST && self.copy.is_none() {
            return self.literal(bytes);
        }
        self.copy(at, bytes.len());
    }

    /// Appends the `len` bytes at `at`.
    pub(crate) fn copy(&mut self, at: At, len: usize) {
        if len == 0 {
            return;
        }
        let (from, is_reaching) = match at {
            At::First(from) => (from, true),
            At::Here(from) => (from, false),
        };
        // What is behind the first part is as far from its end as it has come: the sum is right once both are there.
        let distance = (self.len as u32).wrapping_sub(from as u32);
        self.len += len;
        if let Some(copy) = &mut self.copy
            && (copy.distance, copy.is_reaching) == (distance, is_reaching)
        {
            copy.len += len;
            return;
        }
        self.end_copy();
        self.end_literal();
        self.copy = Some(Copied { distance, is_reaching, len });
    }

    fn end_literal(&mut self) {
        let Some(most) = self.literal.len().checked_sub(1) else { return };
        // Up to 60 bytes the length is in the tag; beyond, in the one to four bytes behind it.
        if most < 60 {
            self.encoded.push((most as u8) << 2);
        } else {
            let length = (most as u32).to_le_bytes();
            let bytes = 4 - (most as u32).leading_zeros() as usize / 8;
            self.encoded.push((59 + bytes as u8) << 2);
            self.encoded.extend_from_slice(&length[..bytes]);
        }
        self.encoded.extend_from_slice(&self.literal);
        self.literal.clear();
    }

    fn end_copy(&mut self) {
        let Some(Copied { distance, is_reaching, mut len }) = self.copy.take() else { return };
        while len > 0 {
            let now = len.min(LONGEST);
            len -= now;
            let tag = (now as u8 - 1) << 2;
            let [low, high, ..] = distance.to_le_bytes();
            if is_reaching || distance > 0xffff {
                self.encoded.push(tag | 3);
                if is_reaching {
                    self.reaching.push(self.encoded.len());
                }
                self.encoded.extend_from_slice(&distance.to_le_bytes());
            } else if (4..12).contains(&now) && distance < 1 << 11 {
                self.encoded.extend_from_slice(&[1 | (now as u8 - 4) << 2 | high << 5, low]);
            } else {
                self.encoded.extend_from_slice(&[tag | 2, low, high]);
            }
        }
    }

    /// The elements, for a block whose first part has `first_len` bytes, and how many bytes they stand for. None are
    /// left.
    pub(crate) fn finish(&mut self, first_len: usize) -> (Vec<u8>, usize) {
        self.end_copy();
        self.end_literal();
        let Elements { mut encoded, len, reaching, .. } = take(self);
        for at in reaching {
            if let Some(distance) = encoded.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
                *distance = u32::from_le_bytes(*distance).wrapping_add(first_len as u32).to_le_bytes();
            }
        }
        (encoded, len)
    }
}

/// What a receiver reads of a request's two parts, put together as they are when it is sent.
#[cfg(test)]
pub(crate) fn read_back(first: &[u8], elements: &[u8], stand_for: usize) -> Vec<u8> {
    let [first, elements] = [first, elements].map(bytes::Bytes::copy_from_slice);
    let budget = phoenix_component::Budget::unlimited();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let made = phoenix_transport::compression::encode_snappy(first, elements, stand_for, &budget);
    let payload = runtime.block_on(made).expect("a block");
    let block: Vec<u8> = payload.pieces().flat_map(|piece| piece.to_vec()).collect();
    snap::raw::Decoder::new().decompress_vec(&block).expect("snappy")
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng as _, RngCore as _, SeedableRng as _};

    use super::*;

    fn decoded(first: &[u8], elements: &mut Elements) -> Vec<u8> {
        let (encoded, len) = elements.finish(first.len());
        read_back(first, &encoded, len)
    }

    #[test]
    fn a_decoder_reads_what_was_said() {
        let mut random = StdRng::seed_from_u64(4);
        for case in 0..300 {
            let mut first = vec![0; if case % 10 == 0 { 0 } else { random.random_range(1..100_000) }];
            random.fill_bytes(&mut first);
            let (mut elements, mut expected) = (Elements::with_capacity(100), Vec::new());
            for _ in 0..random.random_range(0..200) {
                let len = match random.random_range(0..8) {
                    0 => random.random_range(0..3000),
                    1 => random.random_range(0..70_000),
                    _ => random.random_range(0..130),
                };
                let mut whole = first.clone();
                whole.extend_from_slice(&expected);
                let kind = random.random_range(0..4);
                if kind == 0 || whole.is_empty() {
                    let mut bytes = vec![0; len];
                    random.fill_bytes(&mut bytes);
                    elements.literal(&bytes);
                    expected.extend_from_slice(&bytes);
                    continue;
                }
                let from = random.random_range(0..whole.len());
                let (at, end) = match from.checked_sub(first.len()) {
                    None => (At::First(from), first.len()),
                    Some(from) => (At::Here(from), whole.len()),
                };
                let bytes = &whole[from..end.min(from + len)];
                match kind {
                    1 => elements.again(at, bytes),
                    // In two pieces, which become one.
                    _ => {
                        let cut = bytes.len() / 3;
                        elements.copy(at, cut);
                        elements.copy(at.plus(cut), bytes.len() - cut);
                    }
                }
                expected.extend_from_slice(bytes);
            }
            assert_eq!(elements.len(), expected.len());
            let decoded = decoded(&first, &mut elements);
            assert!(decoded == [first, expected].concat(), "case {case}");
        }
    }

    #[test]
    fn literals_of_every_length_can_be_read() {
        for len in [1, 59, 60, 61, 255, 256, 257, 65_536, 65_537, 1 << 24, (1 << 24) + 1] {
            let mut elements = Elements::default();
            let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            elements.literal(&bytes);
            let decoded = decoded(&[], &mut elements);
            assert!(decoded == bytes, "{len}");
        }
    }
}
