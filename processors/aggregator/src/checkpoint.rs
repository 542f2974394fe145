//! What keeps the state over restarts: versioned, checked, replaced as a whole. Either a file of its own, or records in the log
//! of a storage extension. It is handed over in parts, as they are collected.

mod file;
mod stored;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use phoenix_storage::Client;

use file::InFile;
use stored::Stored;

const MAGIC: [u8; 8] = *b"PhxAggr\0";
/// Raised whenever what is written changes its meaning.
const VERSION: u32 = 2;
/// The longest that an end waits for the disk.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the state of one aggregator is kept. Clones mean the same place.
#[derive(Clone)]
pub(crate) enum Checkpoint {
    File(Arc<InFile>),
    Stored(Arc<Stored>),
}

/// A state that is being written.
pub(crate) enum Writing {
    File(file::Writing),
    Stored(stored::Writing),
}

/// Why what is there cannot be used.
#[derive(Debug)]
pub(crate) enum Unreadable {
    Io(io::Error),
    Foreign,
    Version(u32),
    Damaged,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

/// What every file and record begins with is right, and of this version.
fn check_preamble(bytes: &[u8]) -> Result<(), Unreadable> {
    let version = bytes.get(MAGIC.len()..MAGIC.len() + 4).and_then(|bytes| bytes.try_into().ok());
    let (Some(version), true) = (version, bytes.starts_with(&MAGIC)) else { return Err(Unreadable::Foreign) };
    match u32::from_le_bytes(version) {
        VERSION => Ok(()),
        version => Err(Unreadable::Version(version)),
    }
}

/// The number in so many bytes, if they are there.
fn number_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

impl Checkpoint {
    /// The file of a component in a pipeline.
    pub(crate) fn in_file(directory: &str, component: &str, pipeline: &str) -> Checkpoint {
        let safe =
            |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-', "_");
        let name = format!("{}-{}.checkpoint", safe(component), safe(pipeline));
        Checkpoint::File(Arc::new(InFile::new(Path::new(directory).join(name))))
    }

    /// The log of a client of a storage extension, of which the last state that is whole counts.
    pub(crate) fn stored(client: Arc<Client>) -> Checkpoint {
        Checkpoint::Stored(Arc::new(Stored::new(client)))
    }

    /// Where it is, for people.
    pub(crate) fn place(&self) -> String {
        match self {
            Checkpoint::File(file) => file.path().display().to_string(),
            Checkpoint::Stored(stored) => stored.name().to_owned(),
        }
    }

    /// Whether both are the same place.
    pub(crate) fn is_same(&self, other: &Checkpoint) -> bool {
        match (self, other) {
            (Checkpoint::File(mine), Checkpoint::File(theirs)) => mine.path() == theirs.path(),
            (Checkpoint::Stored(mine), Checkpoint::Stored(theirs)) => mine.is_same(theirs),
            _ => false,
        }
    }

    /// What was written last, in the parts in which it was handed over or in one; none if nothing was.
    pub(crate) fn read(&self) -> Result<Option<Vec<Bytes>>, Unreadable> {
        match self {
            Checkpoint::File(file) => Ok(file.read()?.map(|whole| vec![whole])),
            Checkpoint::Stored(stored) => stored.read(),
        }
    }

    /// Puts what cannot be read where no later state replaces it, so that a collector that can read it still does. Tells where
    /// that is. Records of a log that are of another version stay there anyway.
    pub(crate) fn set_aside(&self) -> io::Result<String> {
        match self {
            Checkpoint::File(file) => file.set_aside().map(|path| path.display().to_string()),
            Checkpoint::Stored(stored) => Ok(stored.name().to_owned()),
        }
    }

    /// Begins to write a state, which takes the place of the last one once it is whole.
    pub(crate) fn begin(&self) -> Writing {
        match self {
            Checkpoint::File(file) => Writing::File(file.begin()),
            Checkpoint::Stored(stored) => Writing::Stored(stored.begin()),
        }
    }
}

impl Writing {
    /// Hands over the next part.
    pub(crate) fn push(&mut self, part: Vec<u8>) {
        match self {
            Writing::File(file) => file.push(part),
            Writing::Stored(stored) => stored.push(part),
        }
    }

    /// That was all. `done` hears, on another thread, what became of it.
    pub(crate) fn finish(self, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        match self {
            Writing::File(file) => file.finish(done),
            Writing::Stored(stored) => stored.finish(done),
        }
    }

    /// The same, and waits for it.
    pub(crate) fn finish_now(self) -> io::Result<()> {
        let (answer, answered) = mpsc::channel();
        self.finish(move |outcome| drop(answer.send(outcome)));
        answered.recv_timeout(PATIENCE).map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use phoenix_storage::disk::simulated::SimulatedDisk;
    use phoenix_storage::{Options, Store};

    use super::*;

    fn writing(checkpoint: &Checkpoint, parts: &[&[u8]]) -> Writing {
        let mut writing = checkpoint.begin();
        parts.iter().for_each(|part| writing.push(part.to_vec()));
        writing
    }

    fn whole(checkpoint: &Checkpoint) -> Option<Vec<u8>> {
        Some(checkpoint.read().expect("readable")?.concat())
    }

    #[test]
    fn what_is_written_is_read_and_what_is_damaged_is_told() {
        let directory = tempfile::tempdir().expect("a folder");
        let checkpoint =
            Checkpoint::in_file(&directory.path().display().to_string(), "aggregator/a b", "metrics");
        let path = checkpoint.place();
        assert!(path.ends_with("aggregator_a_b-metrics.checkpoint"));
        assert!(matches!(checkpoint.read(), Ok(None)));
        let (older, newer) = (writing(&checkpoint, &[b"older"]), writing(&checkpoint, &[b"st", b"ate"]));
        newer.finish_now().expect("written");
        older.finish_now().expect("left out");
        assert_eq!(whole(&checkpoint).as_deref(), Some(&b"state"[..]));
        let file = fs::read(&path).expect("a file");
        for bit in 0..file.len() * 8 {
            let mut bytes = file.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, bytes).expect("written");
            assert!(checkpoint.read().is_err(), "bit {bit}");
        }
        for len in 0..file.len() {
            fs::write(&path, &file[..len]).expect("written");
            assert!(checkpoint.read().is_err(), "{len} bytes");
        }
        let mut future = file.clone();
        future[8] = 9;
        fs::write(&path, future).expect("written");
        let error = checkpoint.read().expect_err("another version").to_string();
        assert_eq!(error, "it is of version 9, and this collector reads 2");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let checkpoint = Checkpoint::in_file("/nowhere/at/all", "aggregator", "metrics");
        assert!(writing(&checkpoint, &[b"state"]).finish_now().is_err());
    }

    fn stored(disk: &SimulatedDisk) -> Checkpoint {
        let directory = std::path::Path::new("/state");
        let options = Options { fsync: true, ..Options::default() };
        let store = Store::on_disk(Arc::new(disk.clone()), directory, Duration::ZERO, options).expect("free");
        Checkpoint::stored(store.client("x").expect("opened"))
    }

    #[test]
    fn in_a_log_the_last_that_is_whole_counts() {
        let disk = SimulatedDisk::default();
        let checkpoint = stored(&disk);
        assert!(matches!(checkpoint.read(), Ok(None)));
        writing(&checkpoint, &[b"first", b"part"]).finish_now().expect("written");
        drop(writing(&checkpoint, &[b"half of the next"]));
        drop(checkpoint);
        let checkpoint = stored(&disk);
        assert_eq!(whole(&checkpoint).as_deref(), Some(&b"firstpart"[..]));
        // A full disk costs the new one and not the old one.
        disk.limit(Some(disk.used()));
        writing(&checkpoint, &[b"no room"]).finish_now().expect_err("the disk is full");
        disk.limit(None);
        disk.lose_power(&mut |_| 0);
        drop(checkpoint);
        let checkpoint = stored(&disk);
        assert_eq!(whole(&checkpoint).as_deref(), Some(&b"firstpart"[..]));
        writing(&checkpoint, &[b"second"]).finish_now().expect("written");
        assert_eq!(whole(&checkpoint).as_deref(), Some(&b"second"[..]));
    }
}
