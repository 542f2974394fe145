//! A snappy block, written by one who knows what repeats.
//!
//! An encoder finds repetition by hashing every few bytes of its input, which costs more than all else that makes a
//! request. Who writes the series knows which of their bytes stood in the series before: nothing is searched, and what
//! repeats is not even written in plain.
//!
//! The format is snappy's `format_description.txt`: the length of the plain bytes, then literals and copies.

use phoenix_pdata::write::{put_varint, varint_len};

/// Room for the length, which is known last.
const ROOM: usize = 5;
/// A copy is three bytes and ends a literal, which then needs a tag again: to repeat less saves nothing.
const MIN_COPY: usize = 6;
/// What a copy has at most.
const MAX_COPY: usize = 64;

/// A block under construction.
#[derive(Debug)]
pub(crate) struct Block {
    out: Vec<u8>,
    /// The literal that is not written yet, since its length comes first.
    literal: Vec<u8>,
    /// The copy that is not written yet, since it may grow.
    copy: Option<Copy>,
    plain: usize,
}

/// `len` bytes that stood `distance` before.
#[derive(Clone, Copy, Debug)]
struct Copy {
    distance: usize,
    len: usize,
}

impl Block {
    /// An empty block with room for `capacity` bytes.
    pub(crate) fn with_capacity(capacity: usize) -> Block {
        let mut out = Vec::with_capacity(ROOM + capacity);
        out.resize(ROOM, 0);
        Block { out, literal: Vec::new(), copy: None, plain: 0 }
    }

    /// How many plain bytes it stands for: the place of the next one.
    pub(crate) fn plain_len(&self) -> usize {
        self.plain
    }

    /// Appends bytes.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.end_copy();
        self.literal.extend_from_slice(bytes);
        self.plain += bytes.len();
    }

    /// Appends bytes that are those from the plain byte `from` on.
    pub(crate) fn repeat(&mut self, from: usize, bytes: &[u8]) {
        let (distance, len) = (self.plain - from, bytes.len());
        match &mut self.copy {
            Some(copy) if copy.distance == distance => copy.len += len,
            _ if len < MIN_COPY || u32::try_from(distance).is_err() => return self.put(bytes),
            _ => {
                self.end_copy();
                self.end_literal();
                self.copy = Some(Copy { distance, len });
            }
        }
        self.plain += len;
    }

    /// Appends `bytes`, of which those at the beginning and at the end that are like those of `before`, which stands at
    /// the plain byte `from`, are copies.
    pub(crate) fn put_like(&mut self, from: usize, before: &[u8], bytes: &[u8]) {
        let start = common_prefix(before, bytes);
        let (old, new) = (&before[start..], &bytes[start..]);
        let end = common_suffix(old, new);
        self.repeat(from, &bytes[..start]);
        self.put(&new[..new.len() - end]);
        self.repeat(from + before.len() - end, &new[new.len() - end..]);
    }

    /// The block, and where in the bytes it begins.
    pub(crate) fn finish(mut self) -> (Vec<u8>, usize) {
        self.end_copy();
        self.end_literal();
        let start = ROOM - varint_len(self.plain as u64);
        let mut len = Vec::with_capacity(ROOM);
        put_varint(&mut len, self.plain as u64);
        self.out[start..ROOM].copy_from_slice(&len);
        (self.out, start)
    }

    fn end_literal(&mut self) {
        let Some(last) = self.literal.len().checked_sub(1) else { return };
        // Up to 60 the length stands in the tag, else in one to four bytes behind it.
        match last {
            0..60 => self.out.push((last as u8) << 2),
            _ => {
                let bytes = (last as u32).to_le_bytes();
                let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
                self.out.push((59 + used as u8) << 2);
                self.out.extend_from_slice(&bytes[..used]);
            }
        }
        self.out.extend_from_slice(&self.literal);
        self.literal.clear();
    }

    fn end_copy(&mut self) {
        let Some(Copy { distance, mut len }) = self.copy.take() else { return };
        while len > 0 {
            // What is left behind a long copy is long enough for the short form.
            let now = if len > MAX_COPY && len < MAX_COPY + 4 { len - 4 } else { len.min(MAX_COPY) };
            len -= now;
            let far = (distance as u32).to_le_bytes();
            let tag = ((now - 1) as u8) << 2;
            match (now, distance) {
                (4..12, ..0x800) => {
                    self.out.extend_from_slice(&[far[1] << 5 | (now as u8 - 4) << 2 | 1, far[0]])
                }
                (_, ..0x1_0000) => self.out.extend_from_slice(&[tag | 2, far[0], far[1]]),
                _ => self.out.extend_from_slice(&[tag | 3, far[0], far[1], far[2], far[3]]),
            }
        }
    }
}

/// How many bytes two texts have in common from their beginning.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let (a_words, b_words) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    let words = a_words.iter().zip(b_words).take_while(|(a, b)| a == b).count() * 8;
    words + a[words..].iter().zip(&b[words..]).take_while(|(a, b)| a == b).count()
}

/// How many bytes two texts have in common up to their end.
fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(block: Block) -> Vec<u8> {
        let (bytes, start) = block.finish();
        snap::raw::Decoder::new().decompress_vec(&bytes[start..]).expect("a block")
    }

    #[test]
    fn decoders_read_literals_and_copies_of_every_length() {
        // Around each limit of a tag, and for the copies distances of two and of four bytes.
        let text: Vec<u8> = (0..70_000_u32).map(|at| (at * 31 % 251) as u8).collect();
        for len in [
            0, 1, 5, 6, 7, 8, 11, 12, 59, 60, 61, 63, 64, 65, 66, 67, 68, 75, 76, 128, 200, 255, 256, 257,
            65_535, 65_536, 65_537,
        ] {
            for before in [0, 3, 1_000, 2_050, 70_000] {
                let mut block = Block::with_capacity(16);
                block.put(&text[..len]);
                block.put(&text[..before]);
                let from = block.plain_len() - before;
                assert_eq!(from, len);
                block.repeat(0, &text[..len]);
                block.put(b"end");
                let expected = [&text[..len], &text[..before], &text[..len], b"end"].concat();
                assert_eq!(block.plain_len(), expected.len());
                assert_eq!(plain(block), expected, "{len} {before}");
            }
        }
        assert!(plain(Block::with_capacity(0)).is_empty());
    }

    #[test]
    fn copies_that_go_on_are_one() {
        let mut block = Block::with_capacity(0);
        block.put(b"0123456789abcdef");
        block.repeat(0, b"01234567");
        block.repeat(8, b"89"); // Short, and it goes on where the copy ends.
        block.put_like(10, b"abcdef", b"abcXYZ");
        let (bytes, start) = block.finish();
        // The length, a tag and 16 bytes, one copy, a tag and three bytes.
        assert_eq!(bytes.len() - start, 1 + 17 + 3 + 4);
        let text = snap::raw::Decoder::new().decompress_vec(&bytes[start..]).expect("a block");
        assert_eq!(text, b"0123456789abcdef0123456789abcXYZ");
    }

    #[test]
    fn a_prefix_is_found_wherever_it_ends() {
        let text: Vec<u8> = (0..40).collect();
        for len in 0..40 {
            let mut other = text.clone();
            other[len] = 99;
            assert_eq!(common_prefix(&text, &other), len);
            assert_eq!(common_prefix(&text, &text[..len]), len);
        }
    }
}
