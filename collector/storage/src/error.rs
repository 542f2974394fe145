use std::io;
use std::path::PathBuf;

/// Why a directory or a log in it cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system refuses.
    #[error("cannot open {}", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no such directory.
    #[error("there is no directory {}", path.display())]
    Missing {
        /// Which.
        path: PathBuf,
    },
    /// Somebody else works in it.
    #[error("{} is in use by another process{owner}; no two may share a directory", path.display())]
    Locked {
        /// Which directory.
        path: PathBuf,
        /// Its number, in words, where it is known.
        owner: String,
    },
    /// It was written by a later Phoenix.
    #[error(
        "{} has format {version}, and this version of Phoenix knows format {known}: start the version that wrote it, or move the folder away",
        path.display()
    )]
    Version {
        /// What was found.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// The one that is understood.
        known: u32,
    },
}

/// Why something was not appended. It will not appear later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The log holds as much as it may.
    #[error("the log has reached its limit of {limit} bytes")]
    Full {
        /// Bytes.
        limit: u64,
    },
    /// It will never fit.
    #[error("a record of {bytes} bytes is larger than a log may be ({limit} bytes)")]
    TooLarge {
        /// Bytes of the record.
        bytes: usize,
        /// Bytes that would fit.
        limit: u64,
    },
    /// The system refuses.
    #[error("{text}")]
    Io {
        /// What kind of failure.
        kind: io::ErrorKind,
        /// Its text.
        text: String,
    },
    /// The store has ended.
    #[error("the store has ended")]
    Closed,
}

impl From<&io::Error> for AppendError {
    fn from(error: &io::Error) -> AppendError {
        AppendError::Io { kind: error.kind(), text: error.to_string() }
    }
}
