//! The next lines of a file.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::request::{Requests, requests};
use crate::tracker::{Tracked, read_at};

/// Bytes that are read at a time, where lines are shorter.
pub(crate) const CHUNK: usize = 64 * 1024;

/// How lines are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) longest: usize,
    /// After which a line without an end is taken, where it is a request.
    pub(crate) flush_after: Option<Duration>,
}

/// What a line is.
#[derive(Debug)]
pub(crate) struct Line {
    /// Where the next one begins.
    pub(crate) end: u64,
    pub(crate) requests: Result<Requests, String>,
}

/// Lines of a file from where it was read to.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// The bytes of the lines.
    pub(crate) bytes: Vec<u8>,
    pub(crate) lines: Vec<Line>,
    /// Whether there is more to be read at once.
    pub(crate) more: bool,
}

/// Reads on in `tracked`; `now` is monotonic.
///
/// # Errors
/// Those of the file.
pub(crate) fn read(
    tracked: &mut Tracked,
    rules: Rules,
    wanted: [bool; 3],
    now: Duration,
) -> io::Result<Chunk> {
    let file = match &tracked.file {
        Some(file) => file.clone(),
        None => Arc::new(File::open(&tracked.path)?),
    };
    if tracked.skipping && !skip(tracked, &file)? {
        return Ok(Chunk::default());
    }
    let start = tracked.offset;
    let longest = rules.longest.saturating_add(1);
    let mut bytes = vec![0; CHUNK.min(longest)];
    loop {
        let count = read_at(&file, &mut bytes, start)?;
        let is_end = count < bytes.len();
        if let Some(last) = bytes[..count].iter().rposition(|byte| *byte == b'\n') {
            bytes.truncate(last + 1);
            tracked.partial = None;
            let lines = lines(&bytes, start, wanted);
            return Ok(Chunk { bytes, lines, more: true });
        }
        if is_end {
            bytes.truncate(count);
            return Ok(partial(tracked, bytes, rules, wanted, now));
        }
        if bytes.len() >= longest {
            tracked.skipping = true;
            let end = start + count as u64;
            let requests = Err(format!("the line is longer than max_log_size, which is {}", rules.longest));
            return Ok(Chunk { bytes, lines: vec![Line { end, requests }], more: true });
        }
        bytes.resize(bytes.len().saturating_mul(4).min(longest), 0);
    }
}

fn lines(bytes: &[u8], start: u64, wanted: [bool; 3]) -> Vec<Line> {
    let mut end = start;
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| {
            end += line.len() as u64;
            Line { end, requests: requests(line.trim_ascii(), wanted) }
        })
        .collect()
}

/// Steps over the rest of a line that is too long. False where the file ends first.
fn skip(tracked: &mut Tracked, file: &File) -> io::Result<bool> {
    let mut bytes = vec![0; CHUNK];
    loop {
        let count = read_at(file, &mut bytes, tracked.offset)?;
        let newline = bytes[..count].iter().position(|byte| *byte == b'\n');
        let taken = newline.map_or(count, |at| at + 1);
        tracked.advance(tracked.offset + taken as u64, &bytes[..taken]);
        if newline.is_some() {
            tracked.skipping = false;
            return Ok(true);
        }
        if count < bytes.len() {
            return Ok(false);
        }
    }
}

/// A line without an end is taken where it is a whole request and nothing was added for a while. What is
/// no request yet may become one; only where nothing more can come it is a mistake.
fn partial(tracked: &mut Tracked, bytes: Vec<u8>, rules: Rules, wanted: [bool; 3], now: Duration) -> Chunk {
    let end = tracked.offset + bytes.len() as u64;
    if bytes.is_empty() {
        return Chunk::default();
    }
    let is_last = tracked.is_leaving();
    let since = match tracked.partial {
        Some((known, since)) if known == end => since,
        _ => {
            tracked.partial = Some((end, now));
            now
        }
    };
    let is_due = rules.flush_after.is_some_and(|after| now.saturating_sub(since) >= after);
    if !is_due && !is_last {
        return Chunk::default();
    }
    let requests = requests(bytes.trim_ascii(), wanted);
    if requests.is_err() && !is_last {
        // Looked at again once something is added.
        tracked.partial = Some((end, Duration::MAX));
        return Chunk::default();
    }
    tracked.partial = None;
    Chunk { bytes, lines: vec![Line { end, requests }], more: false }
}
