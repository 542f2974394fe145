//! The file system, as far as the exporter needs it; tests hand in one that fills up or fails.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Permissions of new files, less the umask.
const FILE_MODE: u32 = 0o644;

/// Where files are.
pub(crate) trait Storage: Send + Sync {
    /// Opens a file to append to it; makes it where it is missing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Target>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    fn exists(&self, path: &Path) -> bool;
    /// The names of what is in a folder.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// Makes a folder and those above it.
    fn create_folder(&self, folder: &Path, mode: u32) -> io::Result<()>;
}

/// What an open file is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A file with that many bytes.
    Regular(u64),
    /// A pipe or device: it only takes.
    Stream,
    /// Somebody moved or removed it.
    Gone,
}

/// An open file.
pub(crate) trait Target: Send {
    /// What it is, given the path at which it was opened.
    fn shape(&self, path: &Path) -> io::Result<Shape>;
    /// Appends all of `bytes`; after an error some of them may be there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Waits until what was written is on the disk.
    fn sync(&self) -> io::Result<()>;
}

/// The file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Disk;

impl Storage for Disk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Target>> {
        // Reading too, since a pipe that nobody reads would block otherwise.
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(FILE_MODE);
        let file = match options.open(path) {
            // Some devices are for writing alone, standard output among them.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                options.read(false).open(path)?
            }
            opened => opened?,
        };
        Ok(Box::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn exists(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok()
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn create_folder(&self, folder: &Path, mode: u32) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(mode).create(folder)
    }
}

impl Target for File {
    fn shape(&self, path: &Path) -> io::Result<Shape> {
        let own = self.metadata()?;
        let kind = own.file_type();
        if kind.is_fifo() || kind.is_char_device() || kind.is_socket() || kind.is_block_device() {
            return Ok(Shape::Stream);
        }
        match fs::metadata(path) {
            Ok(there) if (there.dev(), there.ino()) == (own.dev(), own.ino()) => {
                Ok(Shape::Regular(own.len()))
            }
            Ok(_) => Ok(Shape::Gone),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Shape::Gone),
            Err(error) => Err(error),
        }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
