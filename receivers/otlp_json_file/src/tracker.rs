//! Which files were there before, under whatever name, and how far they were read.
//!
//! A file is known by its inode, as long as what stands before the place that was read is still there: its
//! first bytes (the fingerprint) and the last ones before that place. So it is followed when it is moved,
//! also out of the patterns, and found out when it is truncated. A file with another inode and the same
//! bytes is a copy of one that was read (`copytruncate`): while the original is there it is left alone, and
//! once that is truncated it goes on where the original was.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::config::{OtlpJsonFileConfig, StartAt};
use crate::glob::Glob;

/// Files that are followed at a time; more are left alone, which is logged.
pub(crate) const MOST_FILES: usize = 65_536;
/// Bytes before the place that was read by which a file is known again.
const TAIL: usize = 256;
/// Files that are gone, and whose copies may still come.
const MOST_GONE: usize = 1024;
/// Rounds in which a file that was moved away is still read: its writer may not know yet.
const GRACE: u32 = 5;

/// Device and inode.
type Key = (u64, u64);

/// A file, and how far it was read.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) path: PathBuf,
    key: Key,
    /// Its first bytes.
    head: Vec<u8>,
    /// Everything before was taken.
    pub(crate) offset: u64,
    /// What stands before `offset`.
    tail: Vec<u8>,
    /// Bytes, when it was last looked at.
    pub(crate) size: u64,
    /// Kept open, so that it can be read to its end when it is moved away.
    pub(crate) file: Option<Arc<File>>,
    /// A line without an end: up to where, and since when it is like that.
    pub(crate) partial: Option<(u64, Duration)>,
    /// Within a line that is too long, up to its end.
    pub(crate) skipping: bool,
    round: u64,
    /// Rounds since its path was last there.
    missing: u32,
}

/// Everything that is known of files.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) tracked: Vec<Tracked>,
    /// No longer there; the latest last.
    gone: VecDeque<Tracked>,
    round: u64,
}

/// Where to look, and for what.
#[derive(Debug)]
pub(crate) struct Look {
    include: Vec<Glob>,
    exclude: Vec<Glob>,
    older_than: Option<Duration>,
    fingerprint: usize,
    most_open: usize,
    start_at: StartAt,
}

/// What a look came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Looked {
    /// Files that the patterns mean.
    pub(crate) matched: usize,
    /// Files that could not be opened.
    pub(crate) unreadable: usize,
    /// Whether there are more files than can be followed.
    pub(crate) too_many: bool,
}

impl Look {
    /// # Errors
    /// A pattern that is none; the settings were validated.
    pub(crate) fn new(config: &OtlpJsonFileConfig) -> Result<Look, &'static str> {
        let globs = |patterns: &[String]| {
            patterns.iter().map(|text| Glob::parse(text)).collect::<Result<Vec<_>, _>>()
        };
        Ok(Look {
            include: globs(&config.include)?,
            exclude: globs(&config.exclude)?,
            older_than: config
                .exclude_older_than
                .is_positive()
                .then(|| config.exclude_older_than.as_duration()),
            fingerprint: config.fingerprint_size.0,
            most_open: (config.max_concurrent_files / 2).max(1),
            start_at: if config.replay_file { StartAt::Beginning } else { config.start_at },
        })
    }

    fn paths(&self) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        self.include.iter().for_each(|glob| glob.find(MOST_FILES + 1, &mut paths));
        let mut seen = std::collections::HashSet::new();
        paths.retain(|path| !self.exclude.iter().any(|glob| glob.matches(path)) && seen.insert(path.clone()));
        paths
    }

    fn is_too_old(&self, metadata: &fs::Metadata, now: SystemTime) -> bool {
        let age = metadata.modified().ok().and_then(|modified| now.duration_since(modified).ok());
        matches!((self.older_than, age), (Some(most), Some(age)) if age > most)
    }
}

/// Reads what of `bytes` there is at `offset`.
pub(crate) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// A file as it was found in this round.
struct Found {
    path: PathBuf,
    key: Key,
    size: u64,
    file: File,
    head: Vec<u8>,
}

impl Found {
    fn open(path: &Path, fingerprint: usize) -> io::Result<Found> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let mut head = vec![0; fingerprint.min(usize::try_from(metadata.len()).unwrap_or(usize::MAX))];
        let count = read_at(&file, &mut head, 0)?;
        head.truncate(count);
        let key = (metadata.dev(), metadata.ino());
        Ok(Found { path: path.to_owned(), key, size: metadata.len(), file, head })
    }

    /// Whether what was read of `known` stands in this file.
    fn holds(&self, known: &Tracked) -> bool {
        if self.size < known.offset
            || !self.head.starts_with(&known.head[..known.head.len().min(self.head.len())])
        {
            return false;
        }
        let mut tail = vec![0; known.tail.len()];
        let from = known.offset - tail.len() as u64;
        self.head.len() >= known.head.len().min(known.offset as usize)
            && read_at(&self.file, &mut tail, from).is_ok_and(|count| count == tail.len())
            && tail == known.tail
    }
}

impl Tracked {
    fn new(found: Found, offset: u64, round: u64) -> Tracked {
        let mut tracked = Tracked {
            path: found.path,
            key: found.key,
            head: found.head,
            offset,
            tail: Vec::new(),
            size: found.size,
            file: None,
            partial: None,
            skipping: false,
            round,
            missing: 0,
        };
        if offset > 0 {
            let mut tail = vec![0; TAIL.min(usize::try_from(offset).unwrap_or(TAIL))];
            let from = offset - tail.len() as u64;
            if read_at(&found.file, &mut tail, from).is_ok_and(|count| count == tail.len()) {
                tracked.tail = tail;
            }
        }
        tracked.file = Some(Arc::new(found.file));
        tracked
    }

    fn refresh(&mut self, found: Found, round: u64) {
        self.path = found.path;
        self.size = found.size;
        if found.head.len() > self.head.len() {
            self.head = found.head;
        }
        self.file = Some(Arc::new(found.file));
        (self.round, self.missing) = (round, 0);
    }

    /// `taken` bytes, up to `end`, were taken.
    pub(crate) fn advance(&mut self, end: u64, taken: &[u8]) {
        self.tail.extend_from_slice(&taken[taken.len().saturating_sub(TAIL)..]);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
        self.offset = end;
        self.size = self.size.max(end);
    }

    /// Whether there may be something to read at `now`.
    pub(crate) fn wants(&self) -> bool {
        self.size > self.offset || self.missing > 0
    }

    /// Whether it is read for the last time.
    pub(crate) fn is_leaving(&self) -> bool {
        self.missing >= GRACE
    }
}

impl Table {
    /// Looks at every file. In the `first` round, what was not known begins where the settings say; later
    /// it is new and begins at its beginning.
    pub(crate) fn look(&mut self, look: &Look, first: bool, now: SystemTime) -> Looked {
        self.round += 1;
        let mut looked = Looked::default();
        let places: HashMap<Key, usize> =
            self.tracked.iter().enumerate().map(|(place, tracked)| (tracked.key, place)).collect();
        let mut unknown = Vec::new();
        for path in look.paths() {
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let place = places.get(&(metadata.dev(), metadata.ino())).copied();
            if place.is_none() && look.is_too_old(&metadata, now) {
                continue;
            }
            looked.matched += 1;
            if let Some(place) = place {
                let tracked = &mut self.tracked[place];
                // Another name of the same, or nothing new.
                if tracked.round == self.round {
                    continue;
                }
                if tracked.size == metadata.len() && tracked.path == path {
                    (tracked.round, tracked.missing) = (self.round, 0);
                    continue;
                }
            }
            let Ok(found) = Found::open(&path, look.fingerprint) else {
                looked.unreadable += 1;
                if let Some(place) = place {
                    self.tracked[place].round = self.round;
                }
                continue;
            };
            match place {
                Some(place) if found.holds(&self.tracked[place]) => {
                    self.tracked[place].refresh(found, self.round);
                }
                Some(place) => {
                    let new = Tracked::new(found, 0, self.round);
                    let former = std::mem::replace(&mut self.tracked[place], new);
                    self.gone.push_back(former);
                }
                None => unknown.push(found),
            }
        }
        for found in unknown {
            self.welcome(found, look, first, &mut looked);
        }
        for tracked in self.tracked.iter_mut().filter(|tracked| tracked.round != self.round) {
            tracked.missing += 1;
            let size = tracked.file.as_ref().and_then(|file| file.metadata().ok()).map(|m| m.len());
            tracked.size = size.unwrap_or(tracked.offset);
        }
        looked
    }

    fn welcome(&mut self, found: Found, look: &Look, first: bool, looked: &mut Looked) {
        let is_copy = |known: &Tracked| known.offset > 0 && !known.tail.is_empty() && found.holds(known);
        if let Some(place) = self.gone.iter().rposition(is_copy) {
            let known = self.gone.remove(place).expect("found above");
            let mut tracked = Tracked::new(found, known.offset, self.round);
            tracked.skipping = known.skipping;
            self.tracked.push(tracked);
            return;
        }
        if !first && self.tracked.iter().any(is_copy) {
            // Read by way of the original, for as long as that is there.
            return;
        }
        if self.tracked.len() >= MOST_FILES {
            looked.too_many = true;
            return;
        }
        let offset = if first && look.start_at == StartAt::End { found.size } else { 0 };
        self.tracked.push(Tracked::new(found, offset, self.round));
    }

    /// Lets go of files that are gone and read, and of open ones beyond what may be open.
    pub(crate) fn retire(&mut self, look: &Look) -> usize {
        let leaving =
            |tracked: &mut Tracked| tracked.missing > 0 && (tracked.file.is_none() || tracked.is_leaving());
        self.gone.extend(self.tracked.extract_if(.., leaving));
        for tracked in &mut self.gone {
            tracked.file = None;
        }
        let surplus = self.gone.len().saturating_sub(MOST_GONE);
        self.gone.drain(..surplus);
        let mut open = 0;
        for tracked in &mut self.tracked {
            if tracked.file.is_some() {
                open += 1;
                if open > look.most_open {
                    tracked.file = None;
                }
            }
        }
        open.min(look.most_open)
    }
}
