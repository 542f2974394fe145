//! All processes of the host, read once for every scraper that wants them.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::host::{self, ReadError};
use crate::parse::{Counts, PidStat};

/// A process at the moment of a scrape.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    name: Range<usize>,
    pub(crate) counts: Counts,
}

/// The processes of the last look. Buffers are kept from look to look.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    all: Vec<Process>,
    names: Vec<u8>,
    /// Those that may not be read.
    pub(crate) refused: Vec<ReadError>,
    buffer: Vec<u8>,
    path: String,
}

impl Processes {
    /// Looks at every process; those that end meanwhile are left out.
    ///
    /// # Errors
    /// Where the folder of processes cannot be read.
    pub(crate) fn look(&mut self, proc: &Path) -> Result<(), ReadError> {
        self.all.clear();
        self.names.clear();
        self.refused.clear();
        for entry in host::list(proc)?.flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            self.path.clear();
            // Writing to a String cannot fail.
            let _ = write!(self.path, "{}/{pid}/stat", proc.display());
            match host::read_into(Path::new(&self.path), &mut self.buffer) {
                Ok(()) => {}
                Err(error) if error.is_gone() => continue,
                Err(error) => {
                    self.refused.push(error);
                    continue;
                }
            }
            // A process that ends may leave an empty file.
            let Some(stat) = PidStat::parse(&self.buffer) else { continue };
            let begin = self.names.len();
            self.names.extend_from_slice(stat.name);
            self.all.push(Process { pid, name: begin..self.names.len(), counts: stat.counts });
        }
        self.all.sort_unstable_by_key(|process| process.pid);
        Ok(())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Process> {
        self.all.iter()
    }

    /// How many there are, those that may not be read included.
    pub(crate) fn len(&self) -> usize {
        self.all.len() + self.refused.len()
    }

    /// The name of a process of this look.
    pub(crate) fn name(&self, process: &Process) -> &[u8] {
        &self.names[process.name.clone()]
    }
}

/// A file of a process.
pub(crate) fn file_of(proc: &Path, pid: u32, file: &str) -> PathBuf {
    let mut path = String::with_capacity(64);
    let _ = write!(path, "{}/{pid}/{file}", proc.display());
    PathBuf::from(path)
}
