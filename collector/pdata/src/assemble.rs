//! Puts payloads together from parts of others: what is whole is shared, the rest is copied once.

use bytes::Bytes;

use crate::Payload;
use crate::write::{put_varint, varint_len};

/// Below this many bytes, sharing a part costs more than copying it.
const SMALL: usize = 512;

/// A part of a message that is put together.
#[derive(Debug)]
pub(crate) enum Part<'a> {
    /// Fields as they are.
    Raw(&'a [u8]),
    /// A message of parts.
    Message {
        key: u32,
        /// Of the parts, without key and length.
        len: usize,
        parts: Vec<Part<'a>>,
    },
}

impl<'a> Part<'a> {
    pub(crate) fn message(key: u32, parts: Vec<Part<'a>>) -> Part<'a> {
        Part::Message { key, len: parts.iter().map(Part::len).sum(), parts }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Part::Raw(raw) => raw.len(),
            Part::Message { key, len, .. } => varint_len(u64::from(*key)) + varint_len(*len as u64) + len,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Part::Raw(raw) => out.extend_from_slice(raw),
            Part::Message { key, len, parts } => {
                put_varint(out, u64::from(*key));
                put_varint(out, *len as u64);
                parts.iter().for_each(|part| part.write(out));
            }
        }
    }
}

/// A payload in the making.
#[derive(Debug, Default)]
pub(crate) struct Assembly<'a> {
    payload: Payload,
    /// What was copied since the last part that is shared.
    copied: Vec<u8>,
    /// Neighbours in the same piece, to be shared as one.
    run: Option<(&'a Bytes, usize, usize)>,
}

impl<'a> Assembly<'a> {
    /// Adds a part of `piece`, as it is. A part of something else is copied.
    pub(crate) fn share(&mut self, piece: &'a Bytes, part: &'a [u8]) {
        let start = part.as_ptr().addr().wrapping_sub(piece.as_ptr().addr());
        let end = start.wrapping_add(part.len());
        if let Some((of, _, run_end)) = &mut self.run
            && of.as_ptr() == piece.as_ptr()
            && *run_end == start
            && end <= of.len()
        {
            *run_end = end;
            return;
        }
        self.settle();
        if start <= end && end <= piece.len() {
            self.run = Some((piece, start, end));
        } else {
            self.copied.extend_from_slice(part);
        }
    }

    /// Adds a part that has to be put together.
    pub(crate) fn copy(&mut self, part: &Part<'_>) {
        self.settle();
        self.copied.reserve(part.len());
        part.write(&mut self.copied);
    }

    /// Makes room for so many bytes that will be copied.
    pub(crate) fn expect(&mut self, bytes: usize) {
        self.copied.reserve_exact(bytes);
    }

    /// Where to copy to.
    pub(crate) fn copied(&mut self) -> &mut Vec<u8> {
        self.settle();
        &mut self.copied
    }

    fn settle(&mut self) {
        let Some((piece, start, end)) = self.run.take() else { return };
        if end - start < SMALL && end - start < piece.len() {
            self.copied.extend_from_slice(&piece[start..end]);
            return;
        }
        self.flush();
        self.payload.append(Payload::from(piece.slice(start..end)));
    }

    fn flush(&mut self) {
        if !self.copied.is_empty() {
            self.payload.append(Payload::from(Bytes::from(std::mem::take(&mut self.copied))));
        }
    }

    pub(crate) fn finish(mut self) -> Payload {
        self.settle();
        self.flush();
        self.payload
    }
}
