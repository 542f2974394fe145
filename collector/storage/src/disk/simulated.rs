//! A disk in memory that can lose power, run full and fail: for tests.
//!
//! What was not synced when the power goes may be there afterwards, or not, or in part, in any
//! combination: a write behind another may have reached the disk while that one has not. The same holds for
//! names in a folder. Seeds decide, so that each loss can be had again.

use std::any::Any;
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Disk, DiskFile};

/// What a sector of a disk holds: it is written as a whole, or not at all.
const SECTOR: usize = 512;

/// A disk in memory. Clones share it.
#[derive(Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: Vec<Inode>,
    /// As a running process sees it.
    names: BTreeMap<PathBuf, usize>,
    /// As it would be found after a loss of power, but for `unsynced`.
    synced_names: BTreeMap<PathBuf, usize>,
    unsynced: Vec<(PathBuf, Option<usize>)>,
    room: Option<u64>,
    fails: Option<Fault>,
    /// Of the power: handles of before it went do nothing.
    epoch: u64,
    syncs: u64,
}

/// What goes wrong from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Writing.
    Write,
    /// Waiting until something is on the disk.
    Sync,
    /// Reading.
    Read,
}

#[derive(Default)]
struct Inode {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    unsynced: Vec<Change>,
}

enum Change {
    Write(usize, Vec<u8>),
    Len(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write(offset, data) => {
                if bytes.len() < offset + data.len() {
                    bytes.resize(offset + data.len(), 0);
                }
                bytes[*offset..offset + data.len()].copy_from_slice(data);
            }
            Change::Len(len) => bytes.resize(*len, 0),
        }
    }
}

impl SimulatedDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the disk run full once it holds so many bytes; none for never.
    pub fn limit(&self, room: Option<u64>) {
        self.state().room = room;
    }

    /// Lets something fail from now on; none for nothing any more.
    pub fn fail(&self, fault: Option<Fault>) {
        self.state().fails = fault;
    }

    /// Bytes in files.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// How often somebody waited for a file to be on the disk.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Flips a bit of a file, behind everybody's back.
    pub fn damage(&self, path: &Path, offset: usize) {
        let mut state = self.state();
        let Some(file) = state.names.get(path).copied() else { return };
        let file = &mut state.files[file];
        for bytes in [&mut file.bytes, &mut file.synced] {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= 0x10;
            }
        }
    }

    /// Takes the power away: of what was not synced `random` (uniform below its argument) decides what
    /// is there afterwards. Files that are open then do nothing any more.
    pub fn lose_power(&self, random: &mut dyn FnMut(usize) -> usize) {
        let mut state = self.state();
        let state = &mut *state;
        state.epoch += 1;
        for file in &mut state.files {
            for change in std::mem::take(&mut file.unsynced) {
                match (random(4), &change) {
                    (0, _) => {}
                    (1, Change::Write(offset, data)) => {
                        // Sectors go one by one.
                        let mut at = 0;
                        while at < data.len() {
                            let end = (((offset + at) / SECTOR + 1) * SECTOR - offset).min(data.len());
                            if random(2) == 0 {
                                Change::Write(offset + at, data[at..end].to_vec()).apply(&mut file.synced);
                            }
                            at = end;
                        }
                    }
                    (2, Change::Write(offset, data)) => {
                        let data = data[..random(data.len() + 1)].to_vec();
                        Change::Write(*offset, data).apply(&mut file.synced);
                    }
                    (_, change) => change.apply(&mut file.synced),
                }
            }
            file.bytes = file.synced.clone();
        }
        for (path, file) in std::mem::take(&mut state.unsynced) {
            if random(2) == 0 {
                match file {
                    Some(file) => drop(state.synced_names.insert(path, file)),
                    None => drop(state.synced_names.remove(&path)),
                }
            }
        }
        state.names = state.synced_names.clone();
    }

    fn name(&self, path: &Path, file: Option<usize>) {
        let mut state = self.state();
        match file {
            Some(file) => drop(state.names.insert(path.to_owned(), file)),
            None => drop(state.names.remove(path)),
        }
        state.unsynced.push((path.to_owned(), file));
    }
}

impl State {
    fn used(&self) -> u64 {
        self.names.values().map(|file| self.files[*file].bytes.len() as u64).sum()
    }

    fn check(&self, fault: Fault) -> io::Result<()> {
        match self.fails == Some(fault) {
            true => Err(io::Error::other("simulated input/output error")),
            false => Ok(()),
        }
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    file: usize,
    epoch: u64,
}

impl Disk for SimulatedDisk {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let names = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(names.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let (file, epoch) = {
            let mut state = self.state();
            state.check(Fault::Write)?;
            state.files.push(Inode::default());
            (state.files.len() - 1, state.epoch)
        };
        self.name(path, Some(file));
        Ok(Box::new(SimulatedFile { disk: self.clone(), file, epoch }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let state = self.state();
        let file = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(SimulatedFile { disk: self.clone(), file, epoch: state.epoch }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let file = *self.state().names.get(from).ok_or(io::ErrorKind::NotFound)?;
        self.name(to, Some(file));
        self.name(from, None);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.name(path, None);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.check(Fault::Sync)?;
        let state = &mut *state;
        let (here, elsewhere) = std::mem::take(&mut state.unsynced)
            .into_iter()
            .partition::<Vec<_>, _>(|(path, _)| path.parent() == Some(dir));
        state.unsynced = elsewhere;
        for (path, file) in here {
            match file {
                Some(file) => drop(state.synced_names.insert(path, file)),
                None => drop(state.synced_names.remove(&path)),
            }
        }
        Ok(())
    }

    fn lock(&self, _: &Path, _: Duration) -> io::Result<Option<Box<dyn Any + Send + Sync>>> {
        Ok(Some(Box::new(())))
    }
}

impl SimulatedFile {
    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.epoch != self.epoch {
            return Ok(());
        }
        let (used, room) = (state.used(), state.room);
        let file = &mut state.files[self.file];
        let before = file.bytes.len() as u64;
        let after = match &change {
            Change::Write(offset, data) => before.max((offset + data.len()) as u64),
            Change::Len(len) => *len as u64,
        };
        if after > before && room.is_some_and(|room| used - before + after > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        change.apply(&mut file.bytes);
        file.unsynced.push(change);
        Ok(())
    }
}

impl DiskFile for SimulatedFile {
    fn write(&self, mut offset: u64, pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        self.disk.state().check(Fault::Write)?;
        for piece in pieces {
            self.change(Change::Write(offset as usize, piece.to_vec()))?;
            offset += piece.len() as u64;
        }
        Ok(())
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.state();
        state.check(Fault::Read)?;
        let rest = state.files[self.file].bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.check(Fault::Sync)?;
        state.syncs += 1;
        if state.epoch == self.epoch {
            let file = &mut state.files[self.file];
            let Inode { synced, unsynced, .. } = file;
            unsynced.drain(..).for_each(|change| change.apply(synced));
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.state().check(Fault::Write)?;
        self.change(Change::Len(len as usize))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.file].bytes.len() as u64)
    }
}
