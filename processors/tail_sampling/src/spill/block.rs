//! A segment on disk: its bytes as they were in memory, and what a later run has to know of its records.
//!
//! The bytes alone are for who reads the segment back in the same run; the directory in front of them says of each record whose
//! trace it is, since when that waits, and in which resource and scope it stood.

use std::ops::Range;

use phoenix_pdata::wire::{Wire, key};
use phoenix_pdata::write::{put_varint, varint_len};
use phoenix_sampling::Threshold;

use crate::buffer::Header;

const MAGIC: [u8; 4] = *b"PhTS";
/// Raised whenever what is written changes its meaning.
pub(crate) const VERSION: u32 = 1;
/// Magic, version, and the length of all that is compressed.
const PREAMBLE: usize = 12;
/// No block is larger before it is compressed: a segment, or one large record, with its directory.
const LARGEST: usize = 512 << 20;
/// Fast: what is written is read once, soon.
const LEVEL: i32 = 1;
/// Bytes of a record in the directory.
const RECORD: usize = 44;
/// No threshold.
const NONE: u64 = u64::MAX;

/// Why a block cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Another version of Phoenix wrote it.
    Version(u32),
    Damaged,
}

/// What a later run has to know of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) id: [u8; 16],
    /// When the first span of its trace came, in Unix nanoseconds.
    pub(crate) first_seen: u64,
    /// The threshold by which the trace was let in.
    pub(crate) admitted: Option<Threshold>,
}

/// A directory in the making.
#[derive(Default)]
pub(crate) struct Directory {
    shells: Vec<u8>,
    shell_count: u32,
    records: Vec<u8>,
}

impl Directory {
    /// Adds a resource with a scope; its number.
    pub(crate) fn add_shell(&mut self, resource: &[u8], scope: &[u8]) -> u32 {
        for bytes in [resource, scope] {
            self.shells.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            self.shells.extend_from_slice(bytes);
        }
        self.shell_count += 1;
        self.shell_count - 1
    }

    pub(crate) fn add_record(&mut self, offset: u32, len: u32, shell: u32, waiting: &Waiting) {
        for word in [offset, len, shell] {
            self.records.extend_from_slice(&word.to_le_bytes());
        }
        self.records.extend_from_slice(&waiting.id);
        let admitted = waiting.admitted.map_or(NONE, Threshold::bits);
        self.records.extend_from_slice(&waiting.first_seen.to_le_bytes());
        self.records.extend_from_slice(&admitted.to_le_bytes());
    }

    /// The directory as bytes, and their number in front.
    pub(crate) fn finish(self) -> Vec<u8> {
        let count = (self.records.len() / RECORD) as u32;
        let mut out = Vec::with_capacity(12 + self.shells.len() + self.records.len());
        out.extend_from_slice(&((8 + self.shells.len() + self.records.len()) as u32).to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&self.records);
        out.extend_from_slice(&self.shell_count.to_le_bytes());
        out.extend_from_slice(&self.shells);
        out
    }
}

/// Contexts that are used again.
#[derive(Default)]
pub(crate) struct Codec {
    compressor: Option<zstd::bulk::Compressor<'static>>,
    decompressor: Option<zstd::bulk::Decompressor<'static>>,
}

impl Codec {
    /// The block of a directory and a segment.
    pub(crate) fn encode(&mut self, directory: &[u8], segment: &[u8]) -> std::io::Result<Vec<u8>> {
        let compressor = match &mut self.compressor {
            Some(compressor) => compressor,
            none => none.insert(zstd::bulk::Compressor::new(LEVEL)?),
        };
        let plain = [directory, segment].concat();
        let mut out = Vec::with_capacity(PREAMBLE + plain.len() / 2);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(plain.len() as u32).to_le_bytes());
        out.extend_from_slice(&compressor.compress(&plain)?);
        Ok(out)
    }

    fn decompress(&mut self, block: &[u8]) -> Result<Vec<u8>, Unreadable> {
        if !block.starts_with(&MAGIC) {
            return Err(Unreadable::Damaged);
        }
        match word(block, 4) {
            Some(VERSION) => {}
            Some(version) => return Err(Unreadable::Version(version)),
            None => return Err(Unreadable::Damaged),
        }
        let len = word(block, 8).map(|len| len as usize).filter(|len| *len <= LARGEST);
        let len = len.ok_or(Unreadable::Damaged)?;
        let decompressor = match &mut self.decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(zstd::bulk::Decompressor::new().map_err(|_| Unreadable::Damaged)?),
        };
        let plain = decompressor.decompress(&block[PREAMBLE..], len).map_err(|_| Unreadable::Damaged)?;
        if plain.len() == len { Ok(plain) } else { Err(Unreadable::Damaged) }
    }

    /// All of a block, and where the bytes of the segment begin in it.
    pub(crate) fn segment(&mut self, block: &[u8]) -> Result<(Vec<u8>, usize), Unreadable> {
        let plain = self.decompress(block)?;
        let begin = 4 + word(&plain, 0).ok_or(Unreadable::Damaged)? as usize;
        if begin <= plain.len() { Ok((plain, begin)) } else { Err(Unreadable::Damaged) }
    }

    /// The records of a block of an earlier run.
    pub(crate) fn decode(&mut self, block: &[u8]) -> Result<Block, Unreadable> {
        let (plain, begin) = self.segment(block)?;
        Block::read(plain, begin).ok_or(Unreadable::Damaged)
    }
}

struct Record {
    body: Range<usize>,
    shell: u32,
    waiting: Waiting,
}

/// A block of an earlier run.
pub(crate) struct Block {
    plain: Vec<u8>,
    records: Vec<Record>,
    /// Resources and scopes.
    shells: Vec<(Range<usize>, Range<usize>)>,
}

impl Block {
    fn read(plain: Vec<u8>, begin: usize) -> Option<Block> {
        let count = word(&plain, 4)? as usize;
        let mut at = 8;
        let mut records = Vec::new();
        for _ in 0..count {
            let bytes = plain.get(at..at + RECORD)?;
            let start = begin + word(bytes, 0)? as usize + Header::BYTES;
            let body = start..start.checked_add(word(bytes, 4)? as usize)?;
            let (first_seen, admitted) = (long(bytes, 28)?, long(bytes, 36)?);
            let admitted = (admitted != NONE).then(|| Threshold::new(admitted));
            let waiting = Waiting { id: bytes.get(12..28)?.try_into().ok()?, first_seen, admitted };
            plain.get(body.clone())?;
            records.push(Record { body, shell: word(bytes, 8)?, waiting });
            at += RECORD;
        }
        let shell_count = word(&plain, at)?;
        at += 4;
        let mut shells = Vec::new();
        let mut next = || {
            let start = at + 4;
            let end = start.checked_add(word(&plain, at)? as usize).filter(|end| *end <= begin)?;
            at = end;
            Some(start..end)
        };
        for _ in 0..shell_count {
            shells.push((next()?, next()?));
        }
        records.iter().all(|record| (record.shell as usize) < shells.len()).then_some(())?;
        Some(Block { plain, records, shells })
    }

    /// The records that are wanted as a request, with what is known of their traces.
    pub(crate) fn request(&self, wanted: impl Fn(usize, &Waiting) -> bool) -> (Vec<u8>, Vec<Waiting>) {
        let (mut out, mut waiting) = (Vec::new(), Vec::new());
        let all = self.records.iter().enumerate();
        let chosen: Vec<&Record> =
            all.filter(|(n, record)| wanted(*n, &record.waiting)).map(|(_, record)| record).collect();
        for group in chosen.chunk_by(|one, other| one.shell == other.shell) {
            let Some((resource, scope)) =
                group.first().and_then(|first| self.shells.get(first.shell as usize))
            else {
                continue;
            };
            let bodies: usize = group.iter().map(|record| record.body.len()).sum();
            let inner = scope.len() + bodies;
            let outer = resource.len() + 1 + varint_len(inner as u64) + inner;
            put_length(&mut out, 1, outer);
            out.extend_from_slice(&self.plain[resource.clone()]);
            put_length(&mut out, 2, inner);
            out.extend_from_slice(&self.plain[scope.clone()]);
            for record in group {
                out.extend_from_slice(&self.plain[record.body.clone()]);
                if waiting.last().is_none_or(|last: &Waiting| last.id != record.waiting.id) {
                    waiting.push(record.waiting);
                }
            }
        }
        (out, waiting)
    }
}

fn put_length(out: &mut Vec<u8>, number: u32, size: usize) {
    put_varint(out, u64::from(key(number, Wire::Len)));
    put_varint(out, size as u64);
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}
