//! Appending: several entries in one write, and the segments that they go to.

use std::io::{self, IoSlice};

use super::{Entry, Log, Segment, Tail, segment_name};
use crate::segment::{FOOTER, HEADER, MAX_BODY, RECORD, Totals, footer, header, record_header};
use crate::{AppendError, Weight};

impl Log {
    /// Appends entries in this order; with `fsync` they are on the disk when this returns. The number of
    /// each, or why it is not there; then it will never be.
    pub fn append(&mut self, entries: &[Entry]) -> Vec<Result<u64, AppendError>> {
        self.append_at(entries).into_iter().map(|outcome| outcome.map(|(number, _)| number)).collect()
    }

    /// The same, with the offset of each record in the file of its segment.
    pub(crate) fn append_at(&mut self, entries: &[Entry]) -> Vec<Result<(u64, u64), AppendError>> {
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
                Ok(mut offset) => {
                    for (number, entry) in (first..self.next).zip(&entries[begin..]) {
                        outcomes.push(Ok((number, offset)));
                        offset += (RECORD + entry.len()) as u64;
                    }
                }
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

    /// Writes entries, which all fit, into one segment; returns where in its file they begin.
    fn write(&mut self, entries: &[Entry]) -> io::Result<u64> {
        if self.tail.is_none() {
            self.begin_segment()?;
        }
        let Some(tail) = &mut self.tail else { return Ok(0) };
        let Some(segment) = self.segments.get_mut(&tail.first) else { return Ok(0) };
        let begin = segment.len;
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
        Ok(begin)
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

    /// Ends the segment that is open where all its records are done: then it is removed.
    pub fn seal_if_done(&mut self) {
        let is_done = |tail: &Tail| self.segments.get(&tail.first).is_some_and(Segment::is_done);
        if self.tail.as_ref().is_some_and(is_done) {
            self.seal();
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
}
