//! A checkpoint in a file of its own: written beside it and renamed, so that there is always a whole one.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::{MAGIC, Unreadable, VERSION, check_preamble, number_at};

/// Magic and version, the number of bytes behind it, and their checksum.
const HEADER: usize = MAGIC.len() + 4 + 8 + 8;

/// The file, and which states were written to it.
pub(crate) struct InFile {
    path: PathBuf,
    /// Numbers of the states: an older one never replaces a newer one.
    begun: AtomicU64,
    written: Mutex<u64>,
}

/// A state that is collected for a file: its thread may write when it is whole.
pub(crate) struct Writing {
    file: Arc<InFile>,
    number: u64,
    parts: Vec<Vec<u8>>,
    checksum: Box<Xxh3>,
}

impl InFile {
    pub(super) fn new(path: PathBuf) -> InFile {
        InFile { path, begun: AtomicU64::new(0), written: Mutex::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn read(&self) -> Result<Option<Bytes>, Unreadable> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        check_preamble(&bytes)?;
        let Some(body) = bytes.get(HEADER..) else { return Err(Unreadable::Foreign) };
        let sums = (number_at(&bytes, 12), number_at(&bytes, 20));
        if sums != (Some(body.len() as u64), Some(xxh3_64(body))) {
            return Err(Unreadable::Damaged);
        }
        Ok(Some(bytes.slice(HEADER..)))
    }

    /// Puts what cannot be read where no later state replaces it. Tells where that is.
    pub(super) fn set_aside(&self) -> io::Result<PathBuf> {
        let aside = self.path.with_extension("checkpoint.unreadable");
        fs::rename(&self.path, &aside)?;
        Ok(aside)
    }

    pub(super) fn begin(self: &Arc<Self>) -> Writing {
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        Writing { file: self.clone(), number, parts: Vec::new(), checksum: Box::default() }
    }
}

impl Writing {
    pub(super) fn push(&mut self, part: Vec<u8>) {
        self.checksum.update(&part);
        self.parts.push(part);
    }

    pub(super) fn finish(self, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        let thread = std::thread::Builder::new().name("checkpoint".into());
        // Where there is no thread it is written the next time, or at the end.
        if let Err(error) = thread.spawn(move || done(self.write())) {
            tracing::warn!(%error, "no thread to write the state");
        }
    }

    fn write(self) -> io::Result<()> {
        let mut written = self.file.written.lock().unwrap_or_else(PoisonError::into_inner);
        if *written >= self.number {
            return Ok(());
        }
        let path = &self.file.path;
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        let len: usize = self.parts.iter().map(Vec::len).sum();
        file.write_all(&MAGIC)?;
        file.write_all(&VERSION.to_le_bytes())?;
        file.write_all(&(len as u64).to_le_bytes())?;
        file.write_all(&self.checksum.digest().to_le_bytes())?;
        self.parts.iter().try_for_each(|part| file.write_all(part))?;
        file.sync_all()?;
        drop(file);
        fs::rename(&new, path)?;
        if let Some(directory) = path.parent() {
            // The new name is on disk once the folder is.
            File::open(directory)?.sync_all()?;
        }
        *written = self.number;
        Ok(())
    }
}
