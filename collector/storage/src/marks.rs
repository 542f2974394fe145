//! Which records are done, on disk: two files of a fixed size that take turns, so that there is room for
//! marks on a disk that is full.
//!
//! | part | bytes | fields, little-endian |
//! |---|---|---|
//! | header | 40 | `PHXMARKS`, version (4), CRC of these (4), generation (8), head (8), CRC of both (4), zeros (4) |
//! | mark | 40 | CRC (4), zeros (4), first number (8), one behind the last (8), items (8), bytes (8) |
//!
//! The file of the higher generation counts. Checksums of marks begin with the generation, so what an earlier
//! one left behind is no mark. Everything below the head is done. A file that is full is
//! written anew, joined, into the other one; at a start both are cleared. A mark that is lost costs a repetition, never data.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::Weight;
use crate::disk::{Disk, DiskFile, read_up_to};
use crate::segment::{BadHeader, check_preamble, preamble};

const MAGIC: &[u8; 8] = b"PHXMARKS";
const HEADER: usize = 40;
const MARK: usize = 40;
const NAMES: [&str; 2] = ["marks.0", "marks.1"];

/// What the files said.
#[derive(Debug, Default)]
pub(crate) struct Read {
    generation: u64,
    /// Below this all is done.
    pub(crate) head: u64,
    pub(crate) done: Vec<(Range<u64>, Weight)>,
}

impl Read {
    /// One behind the last number that is mentioned.
    pub(crate) fn end(&self) -> u64 {
        self.done.iter().map(|(numbers, _)| numbers.end).fold(self.head, u64::max)
    }
}

/// The files, open to write.
pub(crate) struct Marks {
    files: [Box<dyn DiskFile>; 2],
    /// Bytes of each.
    size: usize,
    generation: u64,
    /// Where the next mark goes.
    at: usize,
}

fn place(generation: u64) -> usize {
    (generation % 2) as usize
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn crc_of(bytes: &[u8], seed: u32) -> [u8; 4] {
    crc32c::crc32c_append(seed, bytes).to_le_bytes()
}

/// Reads what there is; a file that is no good counts as empty.
///
/// # Errors
/// Where a file cannot be read, or (the inner one) where a later version wrote it.
pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> io::Result<Result<Read, u32>> {
    let mut best = Read::default();
    for name in NAMES {
        let file = match disk.open(&dir.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let len = usize::try_from(file.len()?).unwrap_or(usize::MAX).min(MOST_BYTES);
        match parse(&read_up_to(&*file, 0, len)?) {
            Ok(read) if read.generation >= best.generation => best = read,
            Ok(_) | Err(BadHeader::Damaged) => {}
            Err(BadHeader::Version(version)) => return Ok(Err(version)),
        }
    }
    Ok(Ok(best))
}

/// Most bytes of a file that are looked at.
const MOST_BYTES: usize = 16 << 20;

fn parse(bytes: &[u8]) -> Result<Read, BadHeader> {
    check_preamble(bytes, MAGIC)?;
    let header = bytes.get(..HEADER).ok_or(BadHeader::Damaged)?;
    if crc_of(&header[16..32], 0) != header[32..36] {
        return Err(BadHeader::Damaged);
    }
    let generation = u64_at(header, 16);
    let whole = bytes[HEADER..].chunks_exact(MARK).map_while(|mark| read_mark(generation, mark));
    Ok(Read { generation, head: u64_at(header, 24), done: whole.collect() })
}

fn read_mark(generation: u64, bytes: &[u8]) -> Option<(Range<u64>, Weight)> {
    let numbers = u64_at(bytes, 8)..u64_at(bytes, 16);
    let is_mark = crc_of(&bytes[4..], generation as u32) == bytes[..4] && !numbers.is_empty();
    let records = numbers.end.saturating_sub(numbers.start);
    let weight = Weight { records, items: u64_at(bytes, 24), bytes: u64_at(bytes, 32) };
    is_mark.then_some((numbers, weight))
}

fn write_mark(generation: u64, numbers: &Range<u64>, weight: Weight, into: &mut Vec<u8>) {
    let begin = into.len();
    into.extend_from_slice(&[0; 8]);
    for value in [numbers.start, numbers.end, weight.items, weight.bytes] {
        into.extend_from_slice(&value.to_le_bytes());
    }
    let crc = crc_of(&into[begin + 4..], generation as u32);
    into[begin..begin + 4].copy_from_slice(&crc);
}

impl Marks {
    /// Opens the files to write, with room for `size` bytes in each, and writes down what `read` is now.
    ///
    /// # Errors
    /// Where there is no room, or the system refuses.
    pub(crate) fn open(
        disk: &dyn Disk,
        dir: &Path,
        size: usize,
        read: &Read,
        head: u64,
        done: &mut dyn Iterator<Item = (Range<u64>, Weight)>,
    ) -> io::Result<Marks> {
        let open = |name: &str| -> io::Result<Box<dyn DiskFile>> {
            let path: PathBuf = dir.join(name);
            let (file, len) = match disk.open(&path) {
                Ok(file) => {
                    let len = file.len()?;
                    (file, len)
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => (disk.create(&path)?, 0),
                Err(error) => return Err(error),
            };
            if len < size as u64 {
                // Written, since only that takes the room.
                let zeros = vec![0; size - len as usize];
                file.write(len, &mut [IoSlice::new(&zeros)])?;
                file.sync()?;
            }
            Ok(file)
        };
        let files = [open(NAMES[0])?, open(NAMES[1])?];
        let mut marks = Marks { files, size, generation: read.generation, at: 0 };
        // A generation that a loss of power took back is counted again: what it left behind must not be there.
        let zeros = vec![0; size];
        let (current, other) = (place(read.generation), place(read.generation + 1));
        for file in [other, current] {
            marks.files[file].write(0, &mut [IoSlice::new(&zeros)])?;
            marks.files[file].sync()?;
            if file == other {
                marks.rewrite(head, done, true)?;
            }
        }
        Ok(marks)
    }

    /// Whether `count` marks more do not fit.
    pub(crate) fn is_full(&self, count: usize) -> bool {
        self.at + count * MARK > self.size
    }

    /// Adds marks behind those that are there. There is room for them.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn add(&mut self, done: &[(Range<u64>, Weight)]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(done.len() * MARK);
        done.iter().for_each(|(numbers, weight)| write_mark(self.generation, numbers, *weight, &mut bytes));
        self.files[place(self.generation)].write(self.at as u64, &mut [IoSlice::new(&bytes)])?;
        self.at += bytes.len();
        Ok(())
    }

    /// Writes what is done into the other file, which counts from then on. `sync`: once it is on the disk.
    ///
    /// # Errors
    /// As the system says; then the file in use stays.
    pub(crate) fn rewrite(
        &mut self,
        head: u64,
        done: &mut dyn Iterator<Item = (Range<u64>, Weight)>,
        sync: bool,
    ) -> io::Result<()> {
        let generation = self.generation + 1;
        let mut bytes = preamble(MAGIC).to_vec();
        for value in [generation, head] {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        let crc = crc_of(&bytes[16..32], 0);
        bytes.extend_from_slice(&crc);
        bytes.extend_from_slice(&[0; 4]);
        done.for_each(|(numbers, weight)| write_mark(generation, &numbers, weight, &mut bytes));
        let file = &self.files[place(generation)];
        file.write(0, &mut [IoSlice::new(&bytes)])?;
        if sync {
            file.sync()?;
        }
        self.generation = generation;
        self.at = bytes.len();
        // Where more is under way than there was room for, the files grow.
        if self.at * 2 > self.size {
            self.size = self.at * 2;
        }
        Ok(())
    }

    /// Waits until the marks are on the disk.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.files[place(self.generation)].sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::simulated::SimulatedDisk;

    fn open(disk: &SimulatedDisk) -> (Marks, Read) {
        let dir = Path::new("/q");
        let read = read(disk, dir).expect("readable").expect("of this version");
        let mut kept = read.done.clone().into_iter();
        (Marks::open(disk, dir, 400, &read, read.head, &mut kept).expect("open"), read)
    }

    #[test]
    fn marks_are_there_after_a_restart_and_the_files_do_not_grow() {
        let disk = SimulatedDisk::default();
        let (mut marks, read) = open(&disk);
        assert_eq!((read.head, read.end()), (0, 0));
        let used = disk.used();
        disk.limit(Some(used));
        let mut done = Vec::new();
        for number in 0..100_u64 {
            let mark = (number * 2..number * 2 + 1, Weight::of(number, 7));
            if marks.is_full(1) {
                done.clear();
                marks.rewrite(number * 2, &mut std::iter::empty(), false).expect("room");
            }
            marks.add(std::slice::from_ref(&mark)).expect("there is room on a full disk");
            done.push(mark);
        }
        assert_eq!(disk.used(), used);
        let (_, read) = open(&disk);
        assert_eq!((read.end(), &read.done), (199, &done));
        assert!(read.head > 0 && read.head <= 198);
    }

    #[test]
    fn what_is_damaged_or_of_a_former_generation_is_no_mark() {
        let disk = SimulatedDisk::default();
        let (mut marks, _) = open(&disk);
        let one = |number: u64| (number..number + 1, Weight::of(1, 1));
        marks.add(&[one(1), one(2), one(3)]).expect("added");
        marks.rewrite(0, &mut [one(1)].into_iter(), true).expect("written");
        marks.rewrite(0, &mut [one(9)].into_iter(), true).expect("written");
        drop(marks);
        let (_, found) = open(&disk);
        assert_eq!(found.done, [one(9)], "those of the first turn are still in the file");
        disk.damage(Path::new("/q/marks.0"), HEADER + 5);
        disk.damage(Path::new("/q/marks.1"), HEADER + 5);
        let (_, found) = open(&disk);
        assert_eq!(found.done, []);
    }
}
