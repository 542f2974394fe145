//! The files of one path, written record by record.
//!
//! A sink outlives its exporters: those of all signals, and while a configuration changes those of the
//! former and of the next one, write to the same. The newest of them says how ([`Sink::claim`]), and what
//! still comes by way of the others is written in its way, so that a file never holds two formats.
//!
//! Either all records of a request are in their files afterwards or none of them is: what was written of
//! a request that fails is cut off again. Where even that fails, the file takes nothing until it works.

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use jiff::tz::TimeZone;

use crate::layout::Layout;
use crate::rotation::{backup_name, outdated};
use crate::storage::{Shape, Storage, Target};

/// Files that a sink remembers having begun. With more than that it appends where it would truncate, so
/// that nothing is lost that it wrote itself.
const REMEMBERED: usize = 65_536;

const OPEN: &str = "open";
const MAKE_FOLDER: &str = "make the folder";

/// A record for a file.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

/// Why a request was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The files are written in another way since.
    #[error("the settings changed")]
    Stale,
    #[error("cannot {action} {}: {source}{}", path.display(), advice(source))]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

impl WriteError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WriteError {
        let path = path.to_owned();
        move |source| WriteError::Io { action, path, source }
    }

    /// Whether it is about a file, and not about its folder.
    pub(crate) fn is_about_a_file(&self) -> bool {
        !matches!(self, WriteError::Io { action: MAKE_FOLDER, .. })
    }

    /// Whether no file can have that name, whatever is done about the disk.
    pub(crate) fn is_bad_name(&self) -> bool {
        let WriteError::Io { action: OPEN | MAKE_FOLDER, source, .. } = self else { return false };
        matches!(
            source.kind(),
            io::ErrorKind::InvalidInput
                | io::ErrorKind::InvalidFilename
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::AlreadyExists
        )
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; make the folder, or set `create_directory: true`",
        io::ErrorKind::PermissionDenied => "; the collector's user must be allowed to write there",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free space, or limit `rotation`",
        _ => "",
    }
}

/// The files of one path; see the module.
pub(crate) struct Sink {
    storage: Arc<dyn Storage>,
    local: TimeZone,
    tickets: AtomicU64,
    state: Mutex<State>,
}

struct State {
    layout: Arc<Layout>,
    /// Of the exporter that said how files are written.
    ticket: u64,
    open: HashMap<PathBuf, Open>,
    /// Grows with each use of a file, to find the one that was not used for longest.
    uses: u64,
    /// Hashes of the files that were begun here.
    begun: std::collections::HashSet<u64>,
}

struct Open {
    target: Box<dyn Target>,
    last_use: u64,
    /// Where the last whole record ends, while something torn stands behind it.
    torn: Option<u64>,
}

/// What writing a request did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    pub(crate) rotations: u64,
}

impl Sink {
    pub(crate) fn new(storage: Arc<dyn Storage>, local: TimeZone, layout: Layout) -> Sink {
        let state = State {
            layout: Arc::new(layout),
            ticket: 0,
            open: HashMap::new(),
            uses: 0,
            begun: std::collections::HashSet::new(),
        };
        Sink { storage, local, tickets: AtomicU64::new(1), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an exporter shows to be heard; later ones outrank earlier ones.
    pub(crate) fn ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Relaxed)
    }

    /// How files are written now.
    pub(crate) fn layout(&self) -> Arc<Layout> {
        self.state().layout.clone()
    }

    /// Checks that `path` can be written. Changes nothing of what is in it: the configuration may come to
    /// nothing yet.
    pub(crate) fn probe(&self, path: &Path, layout: &Layout) -> Result<(), WriteError> {
        let mut state = self.state();
        if !state.open.contains_key(path) {
            let target = self.open(path, layout)?;
            if state.open.is_empty() {
                state.uses += 1;
                let last_use = state.uses;
                state.open.insert(path.to_owned(), Open { target, last_use, torn: None });
            }
        }
        Ok(())
    }

    /// Makes a folder where the settings say so.
    pub(crate) fn make_folder(&self, folder: &Path, layout: &Layout) -> Result<(), WriteError> {
        match layout.folder_mode {
            Some(mode) if !folder.as_os_str().is_empty() => {
                self.storage.create_folder(folder, mode).map_err(WriteError::io(MAKE_FOLDER, folder))
            }
            _ => Ok(()),
        }
    }

    fn open(&self, path: &Path, layout: &Layout) -> Result<Box<dyn Target>, WriteError> {
        if let Some(folder) = path.parent() {
            self.make_folder(folder, layout)?;
        }
        self.storage.open(path).map_err(WriteError::io(OPEN, path))
    }

    /// Has files be written by `layout` from now on, unless a later exporter has said otherwise. Where its
    /// records cannot stand among those that are there, files begin anew: moved aside with `rotation`, else
    /// truncated as after a restart, unless `append` keeps them.
    pub(crate) fn claim(&self, ticket: u64, layout: &Layout, now: SystemTime) {
        let mut state = self.state();
        if ticket <= state.ticket {
            return;
        }
        state.ticket = ticket;
        if *state.layout == *layout {
            return;
        }
        let former = std::mem::replace(&mut state.layout, Arc::new(layout.clone()));
        if former.mixes_with(layout) || state.begun.is_empty() {
            return;
        }
        if layout.rotation.is_some() {
            let paths: Vec<_> = state.open.keys().cloned().collect();
            for path in paths {
                if let Err(error) = self.rotate(&mut state, &path, now) {
                    tracing::warn!(%error, "the file goes on in another format");
                }
            }
        } else if !layout.append {
            state.open.clear();
            state.begun.clear();
        }
    }

    /// Truncates `path` where that is due and nothing was written yet, so that a file of an earlier run
    /// does not stay while there is no data.
    pub(crate) fn begin(&self, path: &Path) -> Result<(), WriteError> {
        let mut state = self.state();
        self.prepare(&mut state, path).map(drop)
    }

    /// Writes the records of one request, all or none.
    ///
    /// # Errors
    /// Why none is there.
    pub(crate) fn write(
        &self,
        layout: &Arc<Layout>,
        records: &[Record],
        now: SystemTime,
    ) -> Result<Written, WriteError> {
        let mut state = self.state();
        if !Arc::ptr_eq(&state.layout, layout) {
            return Err(WriteError::Stale);
        }
        let mut written = Written::default();
        let mut undo: Vec<(&Path, Option<u64>)> = Vec::with_capacity(records.len());
        for record in records {
            let outcome = self.append(&mut state, record, now, &mut written, &mut undo);
            if let Err(error) = outcome {
                for (path, len) in undo.into_iter().rev() {
                    state.cut_off(path, len);
                }
                return Err(error);
            }
        }
        Ok(written)
    }

    fn append<'r>(
        &self,
        state: &mut State,
        record: &'r Record,
        now: SystemTime,
        written: &mut Written,
        undo: &mut Vec<(&'r Path, Option<u64>)>,
    ) -> Result<(), WriteError> {
        let path = record.path.as_path();
        let mut len = self.prepare(state, path)?;
        let limit = state.layout.rotation.as_ref().map(|limits| limits.max_bytes);
        if let (Some(held), Some(limit)) = (len, limit)
            && held > 0
            && held + record.bytes.len() as u64 > limit
        {
            self.rotate(state, path, now)?;
            written.rotations += 1;
            len = Some(0);
        }
        undo.push((path, len));
        let open = state.open.get_mut(path).expect("prepared above");
        open.target.append(&record.bytes).map_err(WriteError::io("write", path))?;
        written.bytes += record.bytes.len() as u64;
        Ok(())
    }

    /// Has `path` open, whole and at the right place, and says how long it is; none for a stream.
    fn prepare(&self, state: &mut State, path: &Path) -> Result<Option<u64>, WriteError> {
        state.uses += 1;
        let last_use = state.uses;
        for _ in 0..2 {
            if !state.open.contains_key(path) {
                state.make_room();
                let target = self.open(path, &state.layout)?;
                state.open.insert(path.to_owned(), Open { target, last_use, torn: None });
            }
            let open = state.open.get_mut(path).expect("opened above");
            open.last_use = last_use;
            let len = match open.target.shape(path).map_err(WriteError::io("look at", path))? {
                Shape::Stream => return Ok(None),
                Shape::Regular(len) => len,
                // Others rotate too: what comes belongs into the file that has the name.
                Shape::Gone => {
                    state.open.remove(path);
                    continue;
                }
            };
            let len = match open.torn {
                Some(whole) if whole < len => {
                    open.target.set_len(whole).map_err(WriteError::io("repair", path))?;
                    whole
                }
                _ => len,
            };
            open.torn = None;
            return if state.begins(path) {
                if len > 0 {
                    let open = state.open.get_mut(path).expect("opened above");
                    open.target.set_len(0).map_err(WriteError::io("truncate", path))?;
                }
                state.remember(path);
                Ok(Some(0))
            } else {
                state.remember(path);
                Ok(Some(len))
            };
        }
        Err(WriteError::io("keep open", path)(io::Error::other("it is moved or removed all the time")))
    }

    /// Moves the file aside, begins a new one and removes those that are too many.
    fn rotate(&self, state: &mut State, path: &Path, now: SystemTime) -> Result<(), WriteError> {
        let layout = state.layout.clone();
        let Some(limits) = &layout.rotation else { return Ok(()) };
        let failed = WriteError::io("replace", path);
        let backup = backup_name(&*self.storage, path, limits, &self.local, now).map_err(failed)?;
        self.storage.rename(path, &backup).map_err(WriteError::io("replace", path))?;
        state.open.remove(path);
        let target = self.open(path, &layout)?;
        let last_use = state.uses;
        state.open.insert(path.to_owned(), Open { target, last_use, torn: None });
        let removed = outdated(&*self.storage, path, limits, &self.local, now)
            .and_then(|outdated| outdated.iter().try_for_each(|path| self.storage.remove(path)));
        if let Err(error) = removed {
            tracing::warn!(path = %path.display(), %error, "replaced files cannot be removed");
        }
        Ok(())
    }

    /// Waits until everything is on the disk.
    pub(crate) fn sync(&self) {
        for (path, open) in &self.state().open {
            match open.target.sync() {
                Ok(()) => {}
                // Not everything that takes data has a disk.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                Err(error) => tracing::warn!(path = %path.display(), %error, "cannot sync the file"),
            }
        }
    }
}

fn hash(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

impl State {
    /// Whether what `path` holds is from before, and goes.
    fn begins(&self, path: &Path) -> bool {
        !self.layout.append
            && self.layout.rotation.is_none()
            && self.begun.len() < REMEMBERED
            && !self.begun.contains(&hash(path))
    }

    fn remember(&mut self, path: &Path) {
        if self.begun.len() < REMEMBERED {
            self.begun.insert(hash(path));
        }
    }

    /// Closes the files that were not used for longest.
    fn make_room(&mut self) {
        while self.open.len() >= self.layout.max_open_files {
            let Some(oldest) = self.open.iter().min_by_key(|(_, open)| open.last_use) else { return };
            let oldest = oldest.0.clone();
            self.open.remove(&oldest);
        }
    }

    /// Takes back what a failed request wrote; what cannot be taken back now is before the next record.
    fn cut_off(&mut self, path: &Path, len: Option<u64>) {
        let Entry::Occupied(mut open) = self.open.entry(path.to_owned()) else { return };
        if let Some(len) = len
            && open.get().target.set_len(len).is_err()
        {
            open.get_mut().torn = Some(len);
        }
    }
}
