//! Reading in order, segment by segment, without the log in hand while the disk works.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::{Damage, Log, segment_name};
use crate::Weight;
use crate::disk::{Disk, read_up_to};
use crate::segment::{HEADER, RECORD, scan};

/// A record that is not done.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its number, to mark it by.
    pub number: u64,
    /// What it counts for.
    pub weight: Weight,
    /// What was appended.
    pub body: Bytes,
}

/// What was read at once.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    /// Records that are not done, in order.
    pub records: Vec<Record>,
    /// What was there according to the totals, and cannot be read.
    pub lost: Weight,
    /// Reading goes on with this number.
    pub next: u64,
}

/// A part of one segment that is to be read.
pub(crate) struct ReadPlan {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    first: u64,
    from: u64,
    /// One behind the last number that may be read.
    until: u64,
    offset: u64,
    pub(super) len: usize,
    /// Whether the segment goes on behind that.
    is_cut: bool,
}

impl ReadPlan {
    /// The body of the one record that was read; none where it is damaged.
    pub(crate) fn only_record(&self, bytes: &Bytes) -> Option<Bytes> {
        let found = scan(self.first, self.from, bytes).records.into_iter().next()?;
        (found.number == self.from).then(|| bytes.slice(found.body))
    }

    /// Reads, from the disk.
    pub(crate) fn load(&self) -> io::Result<Vec<u8>> {
        read_up_to(&*self.disk.open(&self.path)?, self.offset, self.len)
    }
}

impl Log {
    /// What is to be read for the records from the number `from` on and below `until`, at most so many bytes; none
    /// where there is nothing.
    pub(crate) fn plan_read(&self, from: u64, until: u64, most: usize) -> Option<ReadPlan> {
        if from >= until {
            return None;
        }
        let (first, segment) = self
            .segments
            .iter()
            .find(|(first, segment)| segment.end > from && **first < until && !segment.is_done())?;
        let from = from.max(*first);
        let offset = match segment.resume {
            (number, offset) if number == from => offset,
            _ => HEADER as u64,
        };
        let left = usize::try_from(segment.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        Some(ReadPlan {
            disk: self.disk.clone(),
            path: self.dir.join(segment_name(*first)),
            first: *first,
            from,
            until: until.min(segment.end),
            offset,
            len: left.min(most),
            is_cut: left > most,
        })
    }

    /// Finds the records in what was read. What should be there and is not is lost. None where that was too
    /// little to find any.
    pub(crate) fn finish_read(&mut self, plan: &ReadPlan, bytes: &Bytes) -> Option<Chunk> {
        let is_from_start = plan.offset == HEADER as u64;
        let scan = scan(plan.first, if is_from_start { plan.first } else { plan.from }, bytes);
        let until = match plan.is_cut {
            false => plan.until,
            true => scan.records.last().map_or(0, |found| found.number + 1).min(plan.until),
        };
        if until <= plan.from {
            return None;
        }
        let mut chunk = Chunk { next: until, ..Chunk::default() };
        let Some(segment) = self.segments.get_mut(&plan.first) else { return Some(chunk) };
        let mut left = segment.total;
        left.sub(segment.done.weight());
        let (mut missing, mut next) = (Vec::new(), plan.from);
        let mut end = scan.len;
        let mut unread = left;
        for found in scan.records {
            let is_done = segment.done.contains(found.number);
            if !is_done {
                unread.sub(found.weight);
            }
            if found.number >= until {
                end = end.min(found.body.start - RECORD);
            } else if found.number >= plan.from {
                missing.extend(next..found.number);
                next = found.number + 1;
                if !is_done {
                    let body = bytes.slice(found.body);
                    chunk.records.push(Record { number: found.number, weight: found.weight, body });
                }
            }
        }
        missing.extend(next..until);
        missing.retain(|number| !segment.done.contains(*number));
        segment.resume = (until, plan.offset + end as u64);
        if missing.is_empty() {
            return Some(chunk);
        }
        let count = missing.len() as u64;
        chunk.lost = match is_from_start && until == segment.end && plan.from == plan.first {
            true => Weight { records: count, ..unread },
            // Exact where all of a segment is read at once; else as the others are on average.
            false => share(left, count),
        };
        self.damage.add(Damage { segments: u64::from(!segment.is_damaged), lost: chunk.lost, torn_bytes: 0 });
        segment.is_damaged = true;
        let mut rest = chunk.lost;
        for number in missing {
            // What it weighs all together is noted with the first of them.
            let weight = Weight { records: 1, ..std::mem::take(&mut rest) };
            segment.done.insert(number..number + 1, weight);
        }
        if segment.is_done() && self.tail.as_ref().is_none_or(|tail| tail.first != plan.first) {
            self.put_aside(plan.first);
        }
        Some(chunk)
    }

    /// What is to be read for the one record of a number, which begins at an offset of its segment's file and has a body of
    /// so many bytes. None where its segment is gone.
    pub(crate) fn plan_read_one(&self, number: u64, offset: u64, len: usize) -> Option<ReadPlan> {
        let (first, segment) = self.segments.range(..=number).next_back()?;
        (number < segment.end).then(|| ReadPlan {
            disk: self.disk.clone(),
            path: self.dir.join(segment_name(*first)),
            first: *first,
            from: number,
            until: number + 1,
            offset,
            len: RECORD + len,
            is_cut: true,
        })
    }

    /// Whether the segment is there that was to be read.
    pub(crate) fn has(&self, plan: &ReadPlan) -> bool {
        self.segments.contains_key(&plan.first)
    }

    /// Gives up on a segment that cannot be read at all: what of it is not done is lost.
    pub(crate) fn give_up(&mut self, plan: &ReadPlan) -> Chunk {
        let mut chunk = Chunk { next: plan.until, ..Chunk::default() };
        if let Some(segment) = self.segments.get(&plan.first) {
            chunk.next = segment.end;
            chunk.lost = segment.total;
            chunk.lost.sub(segment.done.weight());
            self.damage.add(Damage { segments: 1, lost: chunk.lost, torn_bytes: 0 });
            if self.tail.as_ref().is_some_and(|tail| tail.first == plan.first) {
                self.tail = None;
            }
            self.put_aside(plan.first);
        }
        chunk
    }
}

/// What `count` of the records weigh on average.
fn share(all: Weight, count: u64) -> Weight {
    let share = |value: u64| {
        let share = u128::from(value) * u128::from(count) / u128::from(all.records.max(1));
        u64::try_from(share).unwrap_or(u64::MAX)
    };
    Weight { records: count, items: share(all.items), bytes: share(all.bytes) }
}
