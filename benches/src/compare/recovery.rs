//! A collector that starts with a long queue on disk: when the first of it goes out, and what that takes.
//!
//! A first process takes the load while nobody listens behind it, and is killed. A second one, with the sink there,
//! sends what it finds. The file system's cache is warm.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::compare::ports::Ports;
use crate::compare::process::STOP_TIMEOUT;
use crate::compare::procfs::{self, CpuReading};
use crate::compare::run::{Bench, LOAD_TIMEOUT, Run, Stand};
use crate::compare::sample::Sample;

/// How long it may take until everything has gone out.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(300);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What a start with a backlog showed.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Recovery {
    /// On the disk when it started.
    pub(crate) backlog_mib: f64,
    /// From its start until the sink had taken a request.
    pub(crate) first_export_ms: f64,
    /// From its start until nothing was left on the disk.
    pub(crate) all_s: f64,
}

/// Fills the disk, and starts on it.
pub(crate) fn sample(bench: &Bench, run: &Run<'_>) -> Result<Option<Sample>> {
    let ports = Ports::pick()?;
    let storage = ports.storage_folder();
    let Some((mut first, _)) = bench.start_subject(run.variant, run.subject, &[], &ports)? else {
        return Ok(None);
    };
    let report = bench.start_load(run.shape(), run.requests(), &ports)?.run(LOAD_TIMEOUT);
    let report = report.with_context(|| format!("the subject says: {}", first.last_lines()))?;
    first.kill()?;
    let backlog = bytes_in(storage.path())?;
    let sink = bench.start_sink(run.variant, run.shape(), &ports)?;
    let Some((subject, start)) = bench.start_subject(run.variant, run.subject, &[], &ports)? else {
        return Ok(None);
    };
    let (pid, started, begun) = (subject.pid(), subject.started_at(), Instant::now());
    let stand = Stand::new(ports, storage, sink, subject, start);
    let mut sample = stand.at_rest(bench, run, Duration::ZERO)?;
    while bytes_in(stand.storage())? > 0 {
        ensure!(begun.elapsed() < DRAIN_TIMEOUT, "the queue does not get empty: {}", stand.complaint());
        std::thread::sleep(LOOK_AGAIN);
    }
    let all_s = (start + begun.elapsed()).as_secs_f64();
    sample.load = Some(report);
    sample.set_cpu(CpuReading::of(pid)?.since(&CpuReading::default()));
    sample.peak_mib = Some(procfs::peak_mib(pid)?);
    stand.stop(&mut sample, STOP_TIMEOUT)?;
    let first_at = sample.sink.as_ref().and_then(|sink| sink.first_at).context("the sink took nothing")?;
    let first_export = first_at.duration_since(started).unwrap_or_default();
    sample.recovery = Some(Recovery {
        backlog_mib: backlog as f64 / f64::from(1 << 20),
        first_export_ms: first_export.as_secs_f64() * 1e3,
        all_s,
    });
    Ok(Some(sample))
}

/// Bytes of the segments in all folders of a storage.
fn bytes_in(storage: &Path) -> Result<u64> {
    let mut bytes = 0;
    for folder in std::fs::read_dir(storage)?.flatten().filter(|entry| entry.path().is_dir()) {
        for file in std::fs::read_dir(folder.path())?.flatten() {
            if file.path().extension().is_some_and(|extension| extension == "log") {
                // It may be gone by now.
                bytes += file.metadata().map_or(0, |metadata| metadata.len());
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_what_counts() {
        let storage = tempfile::tempdir().unwrap();
        let folder = storage.path().join("exporter_otlp_grpc__traces.queue");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(storage.path().join("phoenix.lock"), "1").unwrap();
        std::fs::write(folder.join("marks.0"), "12345").unwrap();
        assert_eq!(bytes_in(storage.path()).unwrap(), 0);
        std::fs::write(folder.join("00000000000000000001.log"), "123").unwrap();
        assert_eq!(bytes_in(storage.path()).unwrap(), 3);
    }
}
