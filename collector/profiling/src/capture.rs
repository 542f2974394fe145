//! CPU time, sampled by a signal whenever the process has used a hundredth of a second.

use std::time::{Duration, UNIX_EPOCH};

use crate::profile::{Head, Place, Sample, encode};

/// Samples for each second of CPU time, as Go's profiler takes.
const HERTZ: i32 = 100;

/// A capture that runs. It ends when dropped.
pub struct Capture(pprof::ProfilerGuard<'static>);

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Another one is under way.
    #[error("a CPU profile is being taken already; one at a time")]
    Busy,
    /// The system does not let it.
    #[error("cannot take a CPU profile: {0}")]
    Failed(pprof::Error),
}

impl Capture {
    /// Begins to sample.
    ///
    /// # Errors
    /// Where another capture runs, or signals cannot be had.
    pub fn start() -> Result<Capture, CaptureError> {
        let builder = pprof::ProfilerGuardBuilder::default()
            .frequency(HERTZ)
            // Unwinding through these may meet a lock that the interrupted thread holds.
            .blocklist(&["libc", "libgcc", "pthread", "vdso"]);
        match builder.build() {
            Ok(guard) => Ok(Capture(guard)),
            Err(pprof::Error::Running) => Err(CaptureError::Busy),
            Err(error) => Err(CaptureError::Failed(error)),
        }
    }

    /// The profile so far, encoded. Looks names up in the program's debug information: blocks, and takes
    /// memory for that.
    ///
    /// # Errors
    /// Where the samples cannot be read.
    pub fn profile(&self) -> Result<Vec<u8>, CaptureError> {
        let report = self.0.report().build().map_err(CaptureError::Failed)?;
        let period = 1_000_000_000 / i64::from(HERTZ);
        let samples: Vec<_> = report
            .data
            .iter()
            .map(|(frames, count)| {
                let count = i64::try_from(*count).unwrap_or(i64::MAX);
                Sample {
                    stack: frames.frames.iter().map(|symbols| symbols.iter().map(place).collect()).collect(),
                    values: vec![count, count.saturating_mul(period)],
                    label: Some(("thread", frames.thread_name_or_id())),
                }
            })
            .collect();
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        let head = Head {
            types: vec![("samples", "count"), ("cpu", "nanoseconds")],
            period: Some(("cpu", "nanoseconds", period)),
            time_nanos: nanos(report.timing.start_time.duration_since(UNIX_EPOCH).unwrap_or_default()),
            duration_nanos: nanos(report.timing.duration),
            comment: "CPU time of the process, sampled every 10 ms of it".to_owned(),
        };
        Ok(encode(&head, &samples))
    }
}

fn place(symbol: &pprof::Symbol) -> Place {
    Place { function: symbol.name(), file: symbol.filename().into_owned(), line: symbol.lineno() }
}
