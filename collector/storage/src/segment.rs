//! The bytes of a segment: a header, records, and once it is full a footer with its totals.
//!
//! | part | bytes | fields, little-endian |
//! |---|---|---|
//! | header | 32 | `PHXQUEUE`, version (4), CRC of these twelve (4), first number (8), CRC of that (4), zeros (4) |
//! | record | 32 + length | CRC (4), length (4), number (8), items (8), weight in bytes (8), body |
//! | footer | 48 | CRC (4), `ff ff ff ff` (4), first (8), end (8), records (8), items (8), bytes (8) |
//!
//! The checksums are CRC-32C; those of records and footers begin with the first number of the segment, so
//! that what is left of another file is never taken for a record. Numbers go up by one from record to record.
//! The first sixteen bytes stay as they are in every version.

#[cfg(test)]
mod tests;

use std::ops::Range;

/// Version of the format that is written, and the only one that is read.
pub const VERSION: u32 = 1;

pub(crate) const HEADER: usize = 32;
pub(crate) const RECORD: usize = 32;
pub(crate) const FOOTER: usize = 48;

const MAGIC: &[u8; 8] = b"PHXQUEUE";
/// In the place of a length.
const IS_FOOTER: u32 = u32::MAX;
/// Longest body of a record.
pub(crate) const MAX_BODY: usize = 1 << 30;
/// How many numbers a gap in a damaged segment may span: more than records fit into one.
const MAX_GAP: u64 = 1 << 20;

/// How much some records are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// Records.
    pub records: u64,
    /// Items in them, as whoever appended them counts.
    pub items: u64,
    /// Bytes, as whoever appended them counts.
    pub bytes: u64,
}

impl Weight {
    /// Of one record.
    pub const fn of(items: u64, bytes: u64) -> Weight {
        Weight { records: 1, items, bytes }
    }

    /// Adds another weight; what exceeds 64 bits, as only damaged data says, is cut off.
    pub fn add(&mut self, other: Weight) {
        self.records = self.records.saturating_add(other.records);
        self.items = self.items.saturating_add(other.items);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    /// Takes another weight away, down to nothing.
    pub fn sub(&mut self, other: Weight) {
        self.records = self.records.saturating_sub(other.records);
        self.items = self.items.saturating_sub(other.items);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// Why the header of a segment is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadHeader {
    /// It is not one.
    Damaged,
    /// A later version wrote it.
    Version(u32),
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// What begins every file: a name of eight bytes, and the version.
pub(crate) fn preamble(magic: &[u8; 8]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(magic);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..12]);
    bytes[12..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Whether a file begins as it should.
pub(crate) fn check_preamble(bytes: &[u8], magic: &[u8; 8]) -> Result<(), BadHeader> {
    let preamble = bytes.get(..16).ok_or(BadHeader::Damaged)?;
    if preamble[..8] != *magic || crc32c::crc32c(&preamble[..12]) != u32_at(preamble, 12) {
        return Err(BadHeader::Damaged);
    }
    match u32_at(preamble, 8) {
        VERSION => Ok(()),
        version => Err(BadHeader::Version(version)),
    }
}

/// The header of the segment that begins with the record `first`.
pub(crate) fn header(first: u64) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..16].copy_from_slice(&preamble(MAGIC));
    bytes[16..24].copy_from_slice(&first.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[16..24]);
    bytes[24..28].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The number of the first record, as the header says.
pub(crate) fn read_header(bytes: &[u8]) -> Result<u64, BadHeader> {
    check_preamble(bytes, MAGIC)?;
    let first = bytes.get(16..24).ok_or(BadHeader::Damaged)?;
    match crc32c::crc32c(first) == u32_at(bytes, 24) && bytes.len() >= HEADER {
        true => Ok(u64_at(bytes, 16)),
        false => Err(BadHeader::Damaged),
    }
}

fn seed(first: u64) -> u32 {
    crc32c::crc32c(&first.to_le_bytes())
}

/// What stands before the body of a record.
pub(crate) fn record_header<'a>(
    first: u64,
    number: u64,
    weight: Weight,
    body: impl Iterator<Item = &'a [u8]> + Clone,
) -> [u8; RECORD] {
    let mut bytes = [0; RECORD];
    let len: usize = body.clone().map(<[u8]>::len).sum();
    bytes[4..8].copy_from_slice(&(len as u32).to_le_bytes());
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    bytes[16..24].copy_from_slice(&weight.items.to_le_bytes());
    bytes[24..32].copy_from_slice(&weight.bytes.to_le_bytes());
    let crc = crc32c::crc32c_append(seed(first), &bytes[4..]);
    let crc = body.fold(crc, crc32c::crc32c_append);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The totals of a segment that is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    /// One behind the last number.
    pub(crate) end: u64,
    pub(crate) weight: Weight,
}

pub(crate) fn footer(first: u64, totals: Totals) -> [u8; FOOTER] {
    let mut bytes = [0; FOOTER];
    bytes[4..8].copy_from_slice(&IS_FOOTER.to_le_bytes());
    let Weight { records, items, bytes: weight } = totals.weight;
    for (place, value) in [first, totals.end, records, items, weight].into_iter().enumerate() {
        bytes[8 + 8 * place..16 + 8 * place].copy_from_slice(&value.to_le_bytes());
    }
    let crc = crc32c::crc32c_append(seed(first), &bytes[4..]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

pub(crate) fn read_footer(first: u64, bytes: &[u8]) -> Option<Totals> {
    let bytes = bytes.get(..FOOTER)?;
    let is_footer = u32_at(bytes, 4) == IS_FOOTER
        && u64_at(bytes, 8) == first
        && crc32c::crc32c_append(seed(first), &bytes[4..]) == u32_at(bytes, 0);
    let weight = Weight { records: u64_at(bytes, 24), items: u64_at(bytes, 32), bytes: u64_at(bytes, 40) };
    is_footer.then(|| Totals { end: u64_at(bytes, 16), weight })
}

/// A record as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) number: u64,
    pub(crate) weight: Weight,
    /// Where its body is in what was scanned.
    pub(crate) body: Range<usize>,
}

/// What was found in some bytes of a segment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) records: Vec<Found>,
    /// Where the last record that is whole ends.
    pub(crate) len: usize,
    /// Whether there are whole records behind some that are not: that is not what a loss of power in the
    /// middle of a write looks like.
    pub(crate) has_gap: bool,
    pub(crate) footer: Option<Totals>,
}

/// Reads the records in `bytes`, which begin behind the header or another record; `next` is the number of
/// the first of them. What is not whole is passed over, where something whole comes behind it.
pub(crate) fn scan(first: u64, mut next: u64, bytes: &[u8]) -> Scan {
    let mut scan = Scan::default();
    let mut at = 0;
    while at < bytes.len() {
        if let Some(found) = record_at(first, next..next.saturating_add(1), bytes, at) {
            at = found.body.end;
            next = found.number.saturating_add(1);
            scan.len = at;
            scan.records.push(found);
            continue;
        }
        if let Some(totals) = read_footer(first, &bytes[at..]) {
            scan.footer = Some(totals);
            break;
        }
        // A search costs little where nothing has been damaged: all but torn ends are whole.
        let behind = next..next.saturating_add(MAX_GAP);
        let found = (at + 1..bytes.len()).find(|at| {
            record_at(first, behind.clone(), bytes, *at).is_some()
                || read_footer(first, &bytes[*at..]).is_some()
        });
        let Some(found) = found else { break };
        scan.has_gap = true;
        at = found;
        next = record_at(first, behind, bytes, at).map_or(next, |found| found.number);
    }
    scan
}

/// The record at a place, if a whole one with such a number is there.
fn record_at(first: u64, numbers: Range<u64>, bytes: &[u8], at: usize) -> Option<Found> {
    let rest = &bytes[at..];
    let number = u64_at(rest, 8);
    let len = u32_at(rest, 4) as usize;
    if rest.len() < RECORD || !numbers.contains(&number) || len > MAX_BODY || rest.len() - RECORD < len {
        return None;
    }
    if crc32c::crc32c_append(seed(first), &rest[4..RECORD + len]) != u32_at(rest, 0) {
        return None;
    }
    let weight = Weight::of(u64_at(rest, 16), u64_at(rest, 24));
    Some(Found { number, weight, body: at + RECORD..at + RECORD + len })
}

/// Reads bytes as if they were a segment: for the fuzzer. The number of records, and the bytes in them.
#[doc(hidden)]
pub fn inspect(bytes: &[u8]) -> (usize, usize) {
    let Ok(first) = read_header(bytes) else { return (0, 0) };
    let scan = scan(first, first, &bytes[HEADER..]);
    (scan.records.len(), scan.records.iter().map(|found| found.body.len()).sum())
}
