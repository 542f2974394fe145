//! Where the files of the host are, and how they are read.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The most that is read of one file: tables of connections and mounts can be large, never endless.
const LARGEST_FILE: u64 = 64 << 20;

/// Where `/proc`, `/sys` and `/etc` of the host are.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    pub(crate) root: PathBuf,
    pub(crate) proc: PathBuf,
    pub(crate) sys: PathBuf,
    pub(crate) etc: PathBuf,
    pub(crate) dev: PathBuf,
    /// Where mounts are listed; none for the usual places.
    pub(crate) mountinfo: Option<PathBuf>,
}

impl Paths {
    /// Below `root_path`; what the environment says of `HOST_PROC` and the like comes first, as in otelcol.
    pub(crate) fn new(root_path: &str, env: impl Fn(&str) -> Option<String>) -> Paths {
        let root = PathBuf::from(if root_path.is_empty() { "/" } else { root_path });
        let from_env = |name: &str| env(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let folder = |name: &str, path: &str| from_env(name).unwrap_or_else(|| root.join(path));
        Paths {
            proc: folder("HOST_PROC", "proc"),
            sys: folder("HOST_SYS", "sys"),
            etc: folder("HOST_ETC", "etc"),
            dev: folder("HOST_DEV", "dev"),
            mountinfo: from_env("HOST_PROC_MOUNTINFO"),
            root,
        }
    }

    /// A path of the host as this process sees it.
    pub(crate) fn inside(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

/// A failure to read a file of the host.
#[derive(Debug)]
pub(crate) struct ReadError {
    path: PathBuf,
    source: io::Error,
}

impl ReadError {
    pub(crate) fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Whether what was to be read is not there (any more): a process that ended.
    pub(crate) fn is_gone(&self) -> bool {
        // ESRCH: the process ended between opening and reading.
        self.kind() == io::ErrorKind::NotFound || self.source.raw_os_error() == Some(3)
    }
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.source)
    }
}

/// Reads `path` into `buffer`, in place of what is there.
///
/// # Errors
/// Those of the file.
pub(crate) fn read_into(path: &Path, buffer: &mut Vec<u8>) -> Result<(), ReadError> {
    buffer.clear();
    let read = File::open(path).and_then(|file| file.take(LARGEST_FILE).read_to_end(buffer));
    read.map(|_| ()).map_err(|source| ReadError { path: path.to_owned(), source })
}

/// What a link points to.
///
/// # Errors
/// Those of the link.
pub(crate) fn read_link(path: &Path) -> Result<PathBuf, ReadError> {
    fs::read_link(path).map_err(|source| ReadError { path: path.to_owned(), source })
}

/// Names in a folder.
///
/// # Errors
/// Those of the folder.
pub(crate) fn list(path: &Path) -> Result<fs::ReadDir, ReadError> {
    fs::read_dir(path).map_err(|source| ReadError { path: path.to_owned(), source })
}
