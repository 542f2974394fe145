//! What is done, and what becomes of segments of which nothing is left.

use std::io;
use std::ops::Range;

use super::{Log, SET_ASIDE_KEPT, segment_name};
use crate::Weight;

impl Log {
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
    pub(super) fn retire(&mut self, first: u64) {
        match self.segments.get(&first).is_some_and(|segment| segment.is_damaged) {
            true => self.put_aside(first),
            false => self.remove(first),
        }
    }

    pub(super) fn remove(&mut self, first: u64) {
        let Some(segment) = self.segments.remove(&first) else { return };
        self.bytes = self.bytes.saturating_sub(segment.len);
        // Where it stays, its records are found done at the next start, or come again.
        let _ = self.disk.remove(&self.dir.join(segment_name(first)));
    }

    pub(super) fn put_aside(&mut self, first: u64) {
        if let Some(segment) = self.segments.remove(&first) {
            self.bytes = self.bytes.saturating_sub(segment.len);
        }
        self.rename_aside(&segment_name(first));
    }

    pub(super) fn rename_aside(&mut self, name: &str) {
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
