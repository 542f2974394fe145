//! The file that keeps the state over restarts: versioned, with a checksum, replaced as a whole.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use xxhash_rust::xxh3::xxh3_64;

const MAGIC: [u8; 8] = *b"PhxAggr\0";
/// Raised whenever what is written changes its meaning.
const VERSION: u32 = 1;
const HEADER: usize = MAGIC.len() + 4 + 8 + 8;

/// Where the state of one aggregator is kept. Clones mean the same file.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    path: Arc<PathBuf>,
    /// Numbers of the states: an older one never replaces a newer one.
    taken: Arc<AtomicU64>,
    written: Arc<Mutex<u64>>,
}

/// Why a file cannot be used.
#[derive(Debug)]
pub(crate) enum Unreadable {
    Io(io::Error),
    Foreign,
    Version(u32),
    Damaged,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unreadable::Io(error) => error.fmt(f),
            Unreadable::Foreign => f.write_str("it is no checkpoint of an aggregator"),
            Unreadable::Version(version) => {
                write!(f, "it is of version {version}, and this collector reads {VERSION}")
            }
            Unreadable::Damaged => f.write_str("it is damaged: its checksum is another"),
        }
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Unreadable {
        Unreadable::Io(error)
    }
}

/// A state that is to be written.
#[derive(Debug)]
pub(crate) struct Snapshot {
    number: u64,
    bytes: Vec<u8>,
}

impl Checkpoint {
    /// The file of a component in a pipeline.
    pub(crate) fn new(directory: &str, component: &str, pipeline: &str) -> Checkpoint {
        let safe =
            |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-', "_");
        let name = format!("{}-{}.checkpoint", safe(component), safe(pipeline));
        Checkpoint {
            path: Arc::new(Path::new(directory).join(name)),
            taken: Arc::default(),
            written: Arc::default(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What was written last; none if nothing was.
    pub(crate) fn read(&self) -> Result<Option<Vec<u8>>, Unreadable> {
        let mut file = match File::open(&*self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let Some(body) = bytes.get(HEADER..) else { return Err(Unreadable::Foreign) };
        let number = |from: usize, len: usize| {
            bytes[from..from + len].iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
        };
        if bytes[..8] != MAGIC {
            return Err(Unreadable::Foreign);
        }
        let version = number(8, 4) as u32;
        if version != VERSION {
            return Err(Unreadable::Version(version));
        }
        if number(12, 8) != body.len() as u64 || number(20, 8) != xxh3_64(body) {
            return Err(Unreadable::Damaged);
        }
        bytes.drain(..HEADER);
        Ok(Some(bytes))
    }

    /// Numbers a state. It is written by whoever has time for that.
    pub(crate) fn snapshot(&self, body: &[u8]) -> Snapshot {
        let mut bytes = Vec::with_capacity(HEADER + body.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&xxh3_64(body).to_le_bytes());
        bytes.extend_from_slice(body);
        Snapshot { number: self.taken.fetch_add(1, Ordering::AcqRel) + 1, bytes }
    }

    /// Puts a state in the place of the last one, or leaves that as it is.
    pub(crate) fn write(&self, snapshot: &Snapshot) -> io::Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if *written >= snapshot.number {
            return Ok(());
        }
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&snapshot.bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&new, &*self.path)?;
        if let Some(directory) = self.path.parent() {
            // The new name is on disk once the folder is.
            File::open(directory)?.sync_all()?;
        }
        *written = snapshot.number;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_damaged_is_told() {
        let directory = tempfile::tempdir().expect("a folder");
        let checkpoint =
            Checkpoint::new(&directory.path().display().to_string(), "aggregator/a b", "metrics");
        assert!(checkpoint.path().ends_with("aggregator_a_b-metrics.checkpoint"));
        assert!(matches!(checkpoint.read(), Ok(None)));
        let (older, newer) = (checkpoint.snapshot(b"older"), checkpoint.snapshot(b"state"));
        checkpoint.write(&newer).expect("written");
        checkpoint.write(&older).expect("left out");
        assert_eq!(checkpoint.read().expect("readable").as_deref(), Some(&b"state"[..]));
        let whole = fs::read(checkpoint.path()).expect("a file");
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(checkpoint.path(), bytes).expect("written");
            assert!(checkpoint.read().is_err(), "bit {bit}");
        }
        for len in 0..whole.len() {
            fs::write(checkpoint.path(), &whole[..len]).expect("written");
            assert!(checkpoint.read().is_err(), "{len} bytes");
        }
        let mut future = whole.clone();
        future[8] = 9;
        fs::write(checkpoint.path(), future).expect("written");
        let error = checkpoint.read().expect_err("another version").to_string();
        assert_eq!(error, "it is of version 9, and this collector reads 1");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let checkpoint = Checkpoint::new("/nowhere/at/all", "aggregator", "metrics");
        assert!(checkpoint.write(&checkpoint.snapshot(b"state")).is_err());
    }
}
