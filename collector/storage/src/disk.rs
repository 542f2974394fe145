//! What the log needs of a file system: few calls, so that a disk can be simulated that loses power.

pub mod real;
pub mod simulated;

use std::any::Any;
use std::io::{self, IoSlice};
use std::path::Path;
use std::time::Duration;

/// A file system.
pub trait Disk: Send + Sync + 'static {
    /// Makes a folder, which may exist.
    ///
    /// # Errors
    /// As the system says, here and below.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// The names of what is in a folder, in any order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// A new file to write and read; one of that name is emptied.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// A file that exists, to write and read.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Waits until what was created, renamed and removed in a folder is on the disk.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes a file as a lock, for as long as the result lives; none where another process has it, after
    /// so long a wait.
    fn lock(&self, path: &Path, patience: Duration) -> io::Result<Option<Box<dyn Any + Send + Sync>>>;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Writes all pieces, one behind the other, from `offset` on. What was written when it fails is
    /// unknown.
    ///
    /// # Errors
    /// As the system says, here and below.
    fn write(&self, offset: u64, pieces: &mut [IoSlice<'_>]) -> io::Result<()>;

    /// Reads at `offset`, as much as there is; the bytes read.
    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Waits until what was written is on the disk.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the file, or fills it up with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Bytes in the file.
    fn len(&self) -> io::Result<u64>;

    /// Whether there are none.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Fills `into` from `offset` on; what is missing at the end of the file is cut off.
pub(crate) fn read_up_to(file: &dyn DiskFile, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match file.read(offset + filled as u64, &mut bytes[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
