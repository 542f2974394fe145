//! Where records are written. Each output has a thread of its own and a bounded buffer before it, so that
//! one that blocks holds up neither the program nor the other outputs.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes that may wait for one output.
pub(super) const BUFFER_BYTES: usize = 4 << 20;

/// A place to write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
    /// A file, which is appended to.
    File(PathBuf),
}

impl Output {
    /// Opens it.
    ///
    /// # Errors
    /// Where a file cannot be opened for appending.
    pub(super) fn open(&self) -> io::Result<Box<dyn Write + Send>> {
        Ok(match self {
            Output::Stderr => Box::new(io::stderr()),
            Output::Stdout => Box::new(io::stdout()),
            Output::File(path) => Box::new(File::options().append(true).create(true).open(path)?),
        })
    }
}

/// What became of records that were not written.
pub(super) trait Losses: Send + Sync {
    /// The buffer was full.
    fn blocked(&self);
    /// Writing failed.
    fn failed(&self, error: &io::Error);
}

/// One output. Dropping it lets what waits be written, in the background.
pub(super) struct Sink {
    shared: Arc<Shared>,
}

struct Shared {
    buffer: Mutex<Buffer>,
    changed: Condvar,
    losses: Arc<dyn Losses>,
}

#[derive(Default)]
struct Buffer {
    lines: VecDeque<Arc<str>>,
    /// Bytes in `lines` and in what is being written.
    bytes: usize,
    writing: bool,
    closed: bool,
}

impl Sink {
    /// Starts the thread that writes.
    pub(super) fn start(output: Box<dyn Write + Send>, losses: Arc<dyn Losses>) -> io::Result<Sink> {
        let shared = Arc::new(Shared { buffer: Mutex::default(), changed: Condvar::new(), losses });
        let of_thread = shared.clone();
        let write = move || of_thread.write_to(output);
        std::thread::Builder::new().name("phoenix-log".to_owned()).stack_size(256 << 10).spawn(write)?;
        Ok(Sink { shared })
    }

    /// Puts a line into the buffer; where it is full, counts and drops the line.
    pub(super) fn push(&self, line: Arc<str>) {
        let mut buffer = self.shared.lock();
        if buffer.bytes > 0 && buffer.bytes + line.len() > BUFFER_BYTES {
            drop(buffer);
            self.shared.losses.blocked();
            return;
        }
        buffer.bytes += line.len();
        buffer.lines.push_back(line);
        drop(buffer);
        self.shared.changed.notify_all();
    }

    /// Waits until all is written, at most until `deadline`; whether it was.
    pub(super) fn flush(&self, deadline: Instant) -> bool {
        let mut buffer = self.shared.lock();
        while buffer.writing || !buffer.lines.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(buffer, left);
            buffer = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut output: Box<dyn Write + Send>) {
        loop {
            let mut buffer = self.lock();
            while buffer.lines.is_empty() && !buffer.closed {
                buffer = self.changed.wait(buffer).unwrap_or_else(PoisonError::into_inner);
            }
            let lines = std::mem::take(&mut buffer.lines);
            if lines.is_empty() {
                return;
            }
            buffer.writing = true;
            drop(buffer);
            for line in &lines {
                if let Err(error) = output.write_all(line.as_bytes()) {
                    self.losses.failed(&error);
                }
                self.lock().bytes -= line.len();
            }
            if let Err(error) = output.flush() {
                self.losses.failed(&error);
            }
            self.lock().writing = false;
            self.changed.notify_all();
        }
    }
}
