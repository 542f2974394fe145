use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use super::encode::{encode, timestamp};
use super::sampling::Sampler;
use super::sink::{Losses, Sink};
use super::{LogLevel, LogOptions, Output, Record};
use crate::{Counter, Description, Metrics};

const DROPPED: Description = Description {
    name: "phoenix_log_records_dropped",
    unit: "{record}",
    text: "Own log records that were not written: thinned out because they repeat (sampled), or because an output did not take them in time (blocked) or at all (failed).",
};

/// How often it is said that an output cannot be written.
const COMPLAINTS: Duration = Duration::from_secs(10);

/// What was written last is kept up to so many bytes, for who asks for it.
const RECENT_BYTES: usize = 128 << 10;

/// No level is set for a time.
const NONE: u8 = u8::MAX;

/// Changes the process's logger. Clones share it; one that was not installed writes nothing.
#[derive(Clone)]
pub struct LogHandle(Arc<Logger>);

/// The levels of a logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelState {
    /// The lowest level that is written now.
    pub effective: LogLevel,
    /// The one of the configuration.
    pub configured: LogLevel,
    /// How long the effective one still lasts, where that is limited.
    pub remaining: Option<Duration>,
}

/// An output cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the log output {path}: {source}")]
pub struct OutputError {
    path: String,
    #[source]
    source: io::Error,
}

/// The logger: a function of records, settings and time. Only its sinks do anything by themselves.
pub(super) struct Logger {
    began: Instant,
    configured: AtomicU8,
    /// A level for a time, or [`NONE`], and its end in nanoseconds since the logger began.
    temporary: AtomicU8,
    temporary_ends: AtomicU64,
    work: RwLock<Work>,
    sampler: Mutex<Sampler>,
    losses: Arc<Lost>,
    recent: Mutex<Recent>,
}

/// The lines that were written last.
#[derive(Default)]
struct Recent {
    lines: VecDeque<Arc<str>>,
    bytes: usize,
}

impl Recent {
    fn keep(&mut self, line: Arc<str>) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.bytes > RECENT_BYTES {
            let Some(first) = self.lines.pop_front() else { return };
            self.bytes -= first.len();
        }
    }
}

/// What a change of the settings replaces.
#[derive(Default)]
struct Work {
    options: LogOptions,
    sinks: Vec<(Output, Arc<Sink>)>,
}

impl Default for LogHandle {
    fn default() -> LogHandle {
        LogHandle(Arc::new(Logger {
            began: Instant::now(),
            configured: AtomicU8::new(LogLevel::Info.index()),
            temporary: AtomicU8::new(NONE),
            temporary_ends: AtomicU64::new(0),
            work: RwLock::default(),
            sampler: Mutex::default(),
            losses: Arc::default(),
            recent: Mutex::default(),
        }))
    }
}

impl std::fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogHandle({:?})", self.level())
    }
}

impl LogHandle {
    pub(super) fn logger(&self) -> Arc<Logger> {
        self.0.clone()
    }

    /// Puts settings into effect. Outputs that stay are kept open; the others are closed once what waits for
    /// them is written. A level that was set for a time ends.
    ///
    /// # Errors
    /// The output that cannot be opened; then nothing changes.
    pub fn apply(&self, options: LogOptions) -> Result<(), OutputError> {
        let logger = &*self.0;
        let former = logger.read().sinks.clone();
        let mut sinks = Vec::with_capacity(options.outputs.len());
        for output in &options.outputs {
            let kept = former.iter().find(|(known, _)| known == output).map(|(_, sink)| sink.clone());
            let sink = kept.map_or_else(|| logger.open(output).map(Arc::new), Ok)?;
            sinks.push((output.clone(), sink));
        }
        let mut complaints = Vec::with_capacity(options.error_outputs.len());
        for output in &options.error_outputs {
            complaints.push(output.open().map_err(|source| OutputError { path: path_of(output), source })?);
        }
        logger.losses.lock().outputs = complaints;
        logger.configured.store(options.level.index(), Relaxed);
        logger.temporary.store(NONE, Relaxed);
        *logger.work() = Work { options, sinks };
        tracing::callsite::rebuild_interest_cache();
        Ok(())
    }

    /// Writes records of at least `level` from now on, until `until` or else until the next configuration.
    pub fn set_level(&self, level: LogLevel, until: Option<Instant>) {
        let logger = &*self.0;
        let ends = until.map(|until| until.saturating_duration_since(logger.began).as_nanos());
        let ends = ends.map_or(u64::MAX, |nanos| u64::try_from(nanos).unwrap_or(u64::MAX));
        logger.temporary_ends.store(ends, Relaxed);
        logger.temporary.store(level.index(), Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }

    /// Goes back to the level of the configuration.
    pub fn reset_level(&self) {
        self.0.temporary.store(NONE, Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }

    /// The levels now.
    pub fn level(&self) -> LevelState {
        let now = self.0.now();
        let (effective, remaining) = match self.0.temporary(now) {
            Some((level, remaining)) => (level, remaining),
            None => (self.0.configured(), None),
        };
        LevelState { effective, configured: self.0.configured(), remaining }
    }

    /// Counts in `metrics` what is not written, what was not so far included.
    pub fn count_in(&self, metrics: &Metrics) {
        let counter = |reason| metrics.counter(DROPPED, &[("reason", reason)]);
        let counters =
            Counters { sampled: counter("sampled"), blocked: counter("blocked"), failed: counter("failed") };
        let mut state = self.0.losses.lock();
        counters.sampled.add(state.counters.sampled.value());
        counters.blocked.add(state.counters.blocked.value());
        counters.failed.add(state.counters.failed.value());
        state.counters = counters;
    }

    /// The lines that were written last, the oldest first: at most 128 KiB of them.
    pub fn recent(&self) -> Vec<Arc<str>> {
        self.0.recent.lock().unwrap_or_else(PoisonError::into_inner).lines.iter().cloned().collect()
    }

    /// Waits until every output has written what it was given, for `patience` at most; whether all did.
    pub fn flush(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let sinks: Vec<_> = self.0.read().sinks.iter().map(|(_, sink)| sink.clone()).collect();
        sinks.iter().all(|sink| sink.flush(deadline))
    }
}

impl Logger {
    fn work(&self) -> std::sync::RwLockWriteGuard<'_, Work> {
        self.work.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Work> {
        self.work.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, output: &Output) -> Result<Sink, OutputError> {
        let wrong = |source| OutputError { path: path_of(output), source };
        Sink::start(output.open().map_err(wrong)?, self.losses.clone()).map_err(wrong)
    }

    /// The time since the logger began.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn configured(&self) -> LogLevel {
        LogLevel::from_index(self.configured.load(Relaxed))
    }

    /// The level that is set for a time, and what is left of that.
    fn temporary(&self, now: Duration) -> Option<(LogLevel, Option<Duration>)> {
        let index = self.temporary.load(Relaxed);
        if index == NONE {
            return None;
        }
        let remaining = match self.temporary_ends.load(Relaxed) {
            u64::MAX => None,
            ends => Some(Duration::from_nanos(ends).checked_sub(now).filter(|left| !left.is_zero())?),
        };
        Some((LogLevel::from_index(index), remaining))
    }

    /// The levels that may be in effect before the next change: the lowest of them, and whether a look at
    /// the time is needed to know.
    pub(super) fn possible(&self) -> (LogLevel, bool) {
        match self.temporary.load(Relaxed) {
            NONE => (self.configured(), false),
            index if self.temporary_ends.load(Relaxed) == u64::MAX => (LogLevel::from_index(index), false),
            index => (LogLevel::from_index(index).min(self.configured()), true),
        }
    }

    /// Whether records of that level are written at `now`.
    pub(super) fn writes(&self, level: LogLevel, now: Duration) -> bool {
        level >= self.temporary(now).map_or_else(|| self.configured(), |(level, _)| level)
    }

    /// Whether a level that was set for a time has ended; true once.
    pub(super) fn expired(&self, now: Duration) -> bool {
        let index = self.temporary.load(Relaxed);
        index != NONE
            && self.temporary(now).is_none()
            && self.temporary.compare_exchange(index, NONE, Relaxed, Relaxed).is_ok()
    }

    /// Whether a record with this level needs a stack trace.
    pub(super) fn wants_stacktrace(&self, level: LogLevel) -> bool {
        self.read().options.stacktrace.is_some_and(|from| level >= from)
    }

    /// Writes a record that has the level for it.
    pub(super) fn write(&self, mut record: Record, now: Duration) {
        let work = self.read();
        if let Some(rule) = work.options.sampling {
            let mut sampler = self.sampler.lock().unwrap_or_else(PoisonError::into_inner);
            if !sampler.passes(rule, record.level, &record.message, now) {
                drop(sampler);
                self.losses.lock().counters.sampled.add(1);
                return;
            }
        }
        if !work.options.caller {
            record.caller = None;
        }
        let line: Arc<str> = encode(work.options.encoding, &record, &work.options.context).into();
        for (_, sink) in &work.sinks {
            sink.push(line.clone());
        }
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).keep(line);
        if let Some(also) = &work.options.also {
            also.take(&record);
        }
    }
}

fn path_of(output: &Output) -> String {
    match output {
        Output::Stderr => "stderr".to_owned(),
        Output::Stdout => "stdout".to_owned(),
        Output::File(path) => path.display().to_string(),
    }
}

/// Counts what was not written, and says so on the error outputs.
#[derive(Default)]
struct Lost(Mutex<LostState>);

struct LostState {
    counters: Counters,
    outputs: Vec<Box<dyn io::Write + Send>>,
    complained: Option<Instant>,
}

struct Counters {
    sampled: Counter,
    blocked: Counter,
    failed: Counter,
}

impl Default for LostState {
    fn default() -> LostState {
        let counters = Counters {
            sampled: Counter::detached(),
            blocked: Counter::detached(),
            failed: Counter::detached(),
        };
        LostState { counters, outputs: Vec::new(), complained: None }
    }
}

impl Lost {
    fn lock(&self) -> MutexGuard<'_, LostState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Losses for Lost {
    fn blocked(&self) {
        self.lock().counters.blocked.add(1);
    }

    fn failed(&self, error: &io::Error) {
        let mut state = self.lock();
        state.counters.failed.add(1);
        if state.complained.is_some_and(|last| last.elapsed() < COMPLAINTS) {
            return;
        }
        state.complained = Some(Instant::now());
        let line = format!("{} write error: {error}\n", timestamp(SystemTime::now()));
        // Taken out, so that one that blocks does not hold the lock.
        let mut outputs = std::mem::take(&mut state.outputs);
        drop(state);
        for output in &mut outputs {
            let _ = output.write_all(line.as_bytes()).and_then(|()| output.flush());
        }
        let mut state = self.lock();
        if state.outputs.is_empty() {
            state.outputs = outputs;
        }
    }
}

#[cfg(test)]
mod recent_tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_within_a_bound() {
        let mut recent = Recent::default();
        for number in 0..300 {
            recent.keep(format!("{number:04} {}", "x".repeat(1019)).into());
        }
        assert_eq!(recent.lines.len(), 128);
        assert!(recent.lines.back().is_some_and(|line| line.starts_with("0299")));
        assert!(recent.bytes <= RECENT_BYTES);
        recent.keep("y".repeat(RECENT_BYTES + 1).into());
        assert_eq!((recent.lines.len(), recent.bytes), (0, 0), "one line is longer than everything");
    }
}
