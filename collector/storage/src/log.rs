//! The queue of one client on disk: records are appended, read in order, and marked as done one by one.
//!
//! No lock, no thread, no clock: [`crate::Client`] has those.
//!
//! - Records get numbers that go up, also over restarts. A segment that is full gets a footer; one whose
//!   records are all done is removed, in whatever order that happens.
//! - After a restart appending begins in a new segment: what the last one ends with may be torn.
//! - What cannot be read costs what it was, and nothing else: records behind it are looked for. A segment in which
//!   something was damaged is kept under another name once the rest of it is done.

mod open;
#[cfg(test)]
mod power;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::{Disk, DiskFile};
use crate::marks::Marks;
use crate::ranges::Ranges;
use crate::segment::{FOOTER, HEADER, MAX_BODY, RECORD, Totals, footer, header, record_header};
use crate::{AppendError, Weight};

pub use read::{Chunk, Record};

/// Segments that were set aside and are kept; older ones are removed.
const SET_ASIDE_KEPT: usize = 8;

/// How a log works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether an append is only done once it is on the disk.
    pub fsync: bool,
    /// Most bytes of all segments together; none for as many as the disk has.
    pub max_bytes: Option<u64>,
    /// Bytes from which on a segment is full.
    pub segment_bytes: usize,
    /// Bytes reserved for marks, twice.
    pub marks_bytes: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { fsync: false, max_bytes: None, segment_bytes: 8 << 20, marks_bytes: 64 << 10 }
    }
}

/// What is to be appended.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it counts for.
    pub weight: Weight,
    /// Its body, in pieces.
    pub body: Vec<Bytes>,
}

impl Entry {
    fn len(&self) -> usize {
        self.body.iter().map(Bytes::len).sum()
    }
}

/// What became of a log on its way, and what was found when it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Segments that were set aside, or will be once their records are done.
    pub segments: u64,
    /// What was in them and could not be read.
    pub lost: Weight,
    /// Bytes cut off, that were torn by a crash while they were written.
    pub torn_bytes: u64,
}

impl Damage {
    pub(crate) fn add(&mut self, other: Damage) {
        self.segments += other.segments;
        self.lost.add(other.lost);
        self.torn_bytes += other.torn_bytes;
    }
}

struct Segment {
    /// One behind the last number.
    end: u64,
    /// Of the whole file.
    len: u64,
    /// Of all its records.
    total: Weight,
    /// What is lost counts as done, too.
    done: Ranges,
    is_damaged: bool,
    /// Where reading goes on: the number, and the place of its record in the file.
    resume: (u64, u64),
}

impl Segment {
    fn new(end: u64, len: u64, total: Weight) -> Segment {
        Segment { end, len, total, done: Ranges::default(), is_damaged: false, resume: (0, 0) }
    }

    fn is_done(&self) -> bool {
        self.done.weight().records >= self.total.records
    }
}

struct Tail {
    first: u64,
    file: Box<dyn DiskFile>,
    /// Whether its name is on the disk.
    is_named: bool,
}

/// One client's queue.
pub struct Log {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: Options,
    /// By their first number.
    segments: BTreeMap<u64, Segment>,
    tail: Option<Tail>,
    /// The number that comes next.
    next: u64,
    marks: Marks,
    /// Of all segments.
    bytes: u64,
    damage: Damage,
    /// Names of segments set aside, oldest first.
    set_aside: Vec<String>,
}

fn segment_name(first: u64) -> String {
    format!("{first:020}.log")
}

impl Log {
    /// How it works from now on.
    pub fn set_options(&mut self, options: Options) {
        self.options = Options { marks_bytes: self.options.marks_bytes, ..options };
    }

    /// What is not done.
    pub fn held(&self) -> Weight {
        let mut held = Weight::default();
        for segment in self.segments.values() {
            let mut left = segment.total;
            left.sub(segment.done.weight());
            held.add(left);
        }
        held
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// One behind the last number.
    pub fn end(&self) -> u64 {
        self.next
    }

    /// What was damaged since the last call.
    pub fn take_damage(&mut self) -> Damage {
        std::mem::take(&mut self.damage)
    }

    /// Appends entries in this order; with `fsync` they are on the disk when this returns. The number of
    /// each, or why it is not there; then it will never be.
    pub fn append(&mut self, entries: &[Entry]) -> Vec<Result<u64, AppendError>> {
        let mut outcomes = Vec::with_capacity(entries.len());
        while outcomes.len() < entries.len() {
            let begin = outcomes.len();
            let count = match self.fitting(&entries[begin..]) {
                Ok(count) => count,
                Err(error) => {
                    outcomes.push(Err(error));
                    continue;
                }
            };
            let first = self.next;
            match self.write(&entries[begin..begin + count]) {
                Ok(()) => outcomes.extend((first..self.next).map(Ok)),
                Err(error) => {
                    let error = AppendError::from(&error);
                    // One behind the other: none is there where one before it is not.
                    outcomes.resize(entries.len(), Err(error));
                }
            }
        }
        outcomes
    }

    /// How many of the entries go into the segment that is open, or into a new one.
    fn fitting(&mut self, entries: &[Entry]) -> Result<usize, AppendError> {
        let Some(entry) = entries.first() else { return Ok(0) };
        let size = RECORD + entry.len();
        let limit = self.options.max_bytes.unwrap_or(u64::MAX);
        if entry.len() > MAX_BODY || (size + HEADER + FOOTER) as u64 > limit {
            return Err(AppendError::TooLarge { bytes: size, limit: limit.min(MAX_BODY as u64) });
        }
        let used = |log: &Log| log.tail_len().map_or(HEADER, |len| len as usize);
        if used(self) > HEADER && used(self) + size > self.options.segment_bytes {
            self.seal();
        }
        let (mut len, mut count) = (used(self), 0);
        let others = self.bytes - self.tail_len().unwrap_or(0);
        for entry in entries {
            let size = RECORD + entry.len();
            let is_full = count > 0 && len + size > self.options.segment_bytes;
            if is_full || entry.len() > MAX_BODY || others + (len + size + FOOTER) as u64 > limit {
                break;
            }
            len += size;
            count += 1;
        }
        match count {
            0 => Err(AppendError::Full { limit }),
            count => Ok(count),
        }
    }

    fn tail_len(&self) -> Option<u64> {
        let tail = self.tail.as_ref()?;
        self.segments.get(&tail.first).map(|segment| segment.len)
    }

    /// Writes entries, which all fit, into one segment.
    fn write(&mut self, entries: &[Entry]) -> io::Result<()> {
        if self.tail.is_none() {
            self.begin_segment()?;
        }
        let Some(tail) = &mut self.tail else { return Ok(()) };
        let Some(segment) = self.segments.get_mut(&tail.first) else { return Ok(()) };
        let number = |place: usize| self.next + place as u64;
        let headers: Vec<[u8; RECORD]> = entries
            .iter()
            .enumerate()
            .map(|(place, entry)| {
                let body = entry.body.iter().map(|piece| &piece[..]);
                record_header(tail.first, number(place), entry.weight, body)
            })
            .collect();
        let mut pieces = Vec::with_capacity(entries.len() * 3);
        for (header, entry) in headers.iter().zip(entries) {
            pieces.push(IoSlice::new(header));
            pieces.extend(entry.body.iter().map(|piece| IoSlice::new(piece)));
        }
        let written: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut outcome = tail.file.write(segment.len, &mut pieces);
        if outcome.is_ok() && self.options.fsync {
            outcome = tail.file.sync();
            if outcome.is_ok() && !tail.is_named {
                outcome = self.disk.sync_dir(&self.dir);
                tail.is_named = outcome.is_ok();
            }
        }
        if let Err(error) = outcome {
            self.abandon_tail();
            return Err(error);
        }
        segment.len += written as u64;
        self.bytes += written as u64;
        self.next += entries.len() as u64;
        segment.end = self.next;
        entries.iter().for_each(|entry| segment.total.add(entry.weight));
        Ok(())
    }

    /// Cuts off what an append that failed may have written; the segment gets nothing more.
    fn abandon_tail(&mut self) {
        let Some(tail) = self.tail.take() else { return };
        let Some(segment) = self.segments.get(&tail.first) else { return };
        if segment.total.records == 0 {
            self.remove(tail.first);
            return;
        }
        let _ = tail.file.set_len(segment.len);
        // Whoever finds these numbers in what was cut off all the same must not meet them again.
        self.next += 1 << 20;
        self.end_segment(tail);
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        let first = self.next;
        let path = self.dir.join(segment_name(first));
        let file = self.disk.create(&path)?;
        if let Err(error) = file.write(0, &mut [IoSlice::new(&header(first))]) {
            let _ = self.disk.remove(&path);
            return Err(error);
        }
        let len = HEADER as u64;
        self.segments.insert(first, Segment::new(first, len, Weight::default()));
        self.bytes += len;
        self.tail = Some(Tail { first, file, is_named: false });
        Ok(())
    }

    /// Ends the segment that is open; the next append begins another.
    pub fn seal(&mut self) {
        if let Some(tail) = self.tail.take() {
            self.end_segment(tail);
        }
    }

    fn end_segment(&mut self, tail: Tail) {
        let Some(segment) = self.segments.get_mut(&tail.first) else { return };
        if segment.is_done() {
            self.retire(tail.first);
            return;
        }
        // Without a footer it is scanned at the next start: that costs time and nothing else.
        let bytes = footer(tail.first, Totals { end: segment.end, weight: segment.total });
        if tail.file.write(segment.len, &mut [IoSlice::new(&bytes)]).is_ok() {
            segment.len += FOOTER as u64;
            self.bytes += FOOTER as u64;
        }
    }

    /// Notes records as done, and removes the segments of which nothing is left.
    ///
    /// # Errors
    /// Where the marks cannot be written: after a restart such records come again.
    pub fn mark(&mut self, done: &[(u64, Weight)]) -> io::Result<()> {
        let mut new: Vec<(Range<u64>, Weight)> = Vec::new();
        let mut over = Vec::new();
        for (number, weight) in done {
            let numbers = *number..*number + 1;
            let Some((first, segment)) = self.segments.range_mut(..=*number).next_back() else { continue };
            if *number >= segment.end || !segment.done.insert(numbers.clone(), *weight) {
                continue;
            }
            match new.last_mut() {
                Some((last, sum)) if last.end == *number && last.start >= *first => {
                    last.end += 1;
                    sum.add(*weight);
                }
                _ => new.push((numbers, *weight)),
            }
            if segment.is_done() && self.tail.as_ref().is_none_or(|tail| tail.first != *first) {
                over.push(*first);
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let outcome = if self.marks.is_full(new.len()) { self.rewrite_marks() } else { self.marks.add(&new) };
        over.into_iter().for_each(|first| self.retire(first));
        outcome
    }

    fn rewrite_marks(&mut self) -> io::Result<()> {
        let head = self.segments.keys().next().copied().unwrap_or(self.next);
        if self.options.fsync {
            // What was removed stays removed: nothing will say any more that it was done.
            self.disk.sync_dir(&self.dir)?;
        }
        let mut done = self.segments.values().flat_map(|segment| segment.done.iter());
        self.marks.rewrite(head, &mut done, self.options.fsync)
    }

    /// Waits until the marks are on the disk.
    ///
    /// # Errors
    /// As the system says.
    pub fn sync_marks(&mut self) -> io::Result<()> {
        self.marks.sync()
    }

    /// Lets go of a segment that is done: removes it, or keeps it under another name where it was damaged.
    fn retire(&mut self, first: u64) {
        match self.segments.get(&first).is_some_and(|segment| segment.is_damaged) {
            true => self.put_aside(first),
            false => self.remove(first),
        }
    }

    fn remove(&mut self, first: u64) {
        let Some(segment) = self.segments.remove(&first) else { return };
        self.bytes = self.bytes.saturating_sub(segment.len);
        // Where it stays, its records are found done at the next start, or come again.
        let _ = self.disk.remove(&self.dir.join(segment_name(first)));
    }

    fn put_aside(&mut self, first: u64) {
        if let Some(segment) = self.segments.remove(&first) {
            self.bytes = self.bytes.saturating_sub(segment.len);
        }
        self.rename_aside(&segment_name(first));
    }

    fn rename_aside(&mut self, name: &str) {
        let aside = format!("{name}.corrupt");
        if self.disk.rename(&self.dir.join(name), &self.dir.join(&aside)).is_ok() {
            self.set_aside.push(aside);
        }
        while self.set_aside.len() > SET_ASIDE_KEPT {
            let oldest = self.set_aside.remove(0);
            let _ = self.disk.remove(&self.dir.join(oldest));
        }
    }
}
