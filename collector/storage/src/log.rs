//! The queue of one client on disk: records are appended, read in order, and marked as done one by one.
//!
//! No lock, no thread, no clock: [`crate::Client`] has those.
//!
//! - Records get numbers that go up, also over restarts. A segment that is full gets a footer; one whose
//!   records are all done is removed, in whatever order that happens.
//! - After a restart appending begins in a new segment: what the last one ends with may be torn.
//! - What cannot be read costs what it was, and nothing else: records behind it are looked for. A segment in which
//!   something was damaged is kept under another name once the rest of it is done.

mod append;
#[cfg(test)]
mod changed_bytes;
mod done;
mod open;
#[cfg(test)]
mod power;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::Weight;
use crate::disk::{Disk, DiskFile};
use crate::marks::Marks;
use crate::ranges::Ranges;

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
}
