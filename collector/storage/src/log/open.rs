//! Finds what a former process left behind.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::{Damage, Log, Options, Segment};
use crate::disk::{Disk, read_up_to};
use crate::marks::{self, Marks};
use crate::segment::{BadHeader, FOOTER, HEADER, Totals, footer, read_footer, read_header, scan};
use crate::{OpenError, VERSION, Weight};

/// A segment as it was found.
struct Found {
    totals: Totals,
    len: u64,
    /// Numbers of records that cannot be read, between others that can.
    missing: Vec<Range<u64>>,
    torn_bytes: u64,
}

enum Look {
    Good(Found),
    /// It has no records.
    Empty,
    /// Not even its beginning can be read.
    Unreadable,
}

impl Log {
    /// Opens the log in a folder, which is made where there is none. What is torn is cut off, and what is
    /// damaged set aside and counted: neither keeps it from being opened.
    ///
    /// # Errors
    /// Where a later version of Phoenix wrote it, or the system refuses.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, options: Options) -> Result<Log, OpenError> {
        let failed = |source: io::Error| OpenError::Io { path: dir.to_owned(), source };
        let later = |version| OpenError::Version { path: dir.to_owned(), version, known: VERSION };
        disk.create_dir(dir).map_err(failed)?;
        if let Some(parent) = dir.parent() {
            disk.sync_dir(parent).map_err(failed)?;
        }
        let marked = marks::read(&*disk, dir).map_err(failed)?.map_err(later)?;
        let mut names = disk.list(dir).map_err(failed)?;
        names.sort();
        let aside = names.iter().filter(|name| name.ends_with(".corrupt")).cloned().collect();
        let mut segments = std::collections::BTreeMap::new();
        let mut damage = Damage::default();
        let (mut unreadable, mut empty) = (Vec::new(), Vec::new());
        let mut next = marked.end().max(1);
        let mut read_to = 0;
        for name in names {
            let Some(first) = name.strip_suffix(".log").and_then(|first| first.parse::<u64>().ok()) else {
                continue;
            };
            match look(&*disk, &dir.join(&name), first).unwrap_or(Ok(Look::Unreadable)) {
                Err(version) => return Err(later(version)),
                Ok(Look::Empty) => empty.push(name),
                Ok(Look::Unreadable) => unreadable.push(name),
                // Two segments with the same numbers: as no process writes them, but a copy may be.
                Ok(Look::Good(_)) if first < read_to => unreadable.push(name),
                Ok(Look::Good(found)) => {
                    damage.segments += u64::from(!found.missing.is_empty());
                    damage.torn_bytes += found.torn_bytes;
                    read_to = found.totals.end;
                    next = next.max(read_to);
                    let mut segment = Segment::new(read_to, found.len, found.totals.weight);
                    for numbers in found.missing {
                        let records = numbers.end - numbers.start;
                        damage.lost.records += records;
                        segment.is_damaged = true;
                        segment.done.insert(numbers, Weight { records, ..Weight::default() });
                    }
                    segments.insert(first, segment);
                }
            }
        }
        for (numbers, weight) in &marked.done {
            let within = segments.range_mut(..=numbers.start).next_back();
            if let Some((_, segment)) = within.filter(|(_, segment)| numbers.end <= segment.end) {
                segment.done.insert(numbers.clone(), *weight);
            }
        }
        let over = |(first, segment): (&u64, &Segment)| {
            (segment.end <= marked.head || segment.is_done()).then_some(*first)
        };
        let over: Vec<u64> = segments.iter().filter_map(over).collect();
        let marks = {
            let kept = segments.iter().filter(|(first, _)| !over.contains(first));
            let head = kept.clone().next().map_or(next, |(first, _)| *first);
            let mut done = kept.flat_map(|(_, segment)| segment.done.iter());
            Marks::open(&*disk, dir, options.marks_bytes, &marked, head, &mut done).map_err(failed)?
        };
        disk.sync_dir(dir).map_err(failed)?;
        let bytes = segments.values().map(|segment| segment.len).sum();
        let dir = dir.to_owned();
        let mut log =
            Log { disk, dir, options, segments, tail: None, next, marks, bytes, damage, set_aside: aside };
        over.into_iter().for_each(|first| log.retire(first));
        for name in empty {
            let _ = log.disk.remove(&log.dir.join(name));
        }
        for name in unreadable {
            log.damage.segments += 1;
            log.rename_aside(&name);
        }
        Ok(log)
    }
}

/// Looks at one segment: at its header and its footer where it is full, else at all of it.
fn look(disk: &dyn Disk, path: &Path, first: u64) -> io::Result<Result<Look, u32>> {
    let file = disk.open(path)?;
    let len = file.len()?;
    let begin = read_up_to(&*file, 0, HEADER)?;
    match read_header(&begin) {
        Ok(found) if found == first => {}
        // The process ended before it wrote more.
        Err(BadHeader::Damaged) if begin.len() < HEADER => return Ok(Ok(Look::Empty)),
        Err(BadHeader::Version(version)) => return Ok(Err(version)),
        Ok(_) | Err(BadHeader::Damaged) => return Ok(Ok(Look::Unreadable)),
    }
    let behind = len.saturating_sub(FOOTER as u64).max(HEADER as u64);
    if let Some(totals) = read_footer(first, &read_up_to(&*file, behind, FOOTER)?) {
        return Ok(Ok(Look::Good(Found { totals, len, missing: Vec::new(), torn_bytes: 0 })));
    }
    let rest = usize::try_from(len).unwrap_or(usize::MAX) - HEADER;
    let scan = scan(first, first, &read_up_to(&*file, HEADER as u64, rest)?);
    let Some(last) = scan.records.last() else { return Ok(Ok(Look::Empty)) };
    let end = last.number + 1;
    let (mut weight, mut missing, mut next) = (Weight::default(), Vec::new(), first);
    for found in &scan.records {
        weight.add(found.weight);
        if found.number > next {
            missing.push(next..found.number);
        }
        next = found.number + 1;
    }
    weight.records = end - first;
    let totals = Totals { end, weight };
    let whole = (HEADER + scan.len) as u64;
    let mut found = Found { totals, len: whole, missing, torn_bytes: len - whole };
    // From now on it is as if it had been full; where that fails it is scanned again.
    let footer = footer(first, totals);
    let sealed = file
        .set_len(whole)
        .and_then(|()| file.write(whole, &mut [io::IoSlice::new(&footer)]))
        .and_then(|()| file.sync());
    if sealed.is_ok() {
        found.len += FOOTER as u64;
    }
    Ok(Ok(Look::Good(found)))
}
