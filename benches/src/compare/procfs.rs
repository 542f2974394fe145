//! CPU time and memory of a process, as Linux tells them.
//!
//! `/proc/PID/stat` counts the whole process, threads that are gone included, in ticks of 10 ms.
//! `/proc/PID/task/*/schedstat` has nanoseconds, but only of the threads that are there. The difference of
//! two readings uses nanoseconds if no thread went away between them, and ticks otherwise.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;

/// Ticks per second in `/proc/PID/stat`: Linux's user-space ABI fixes it on the machines we run on.
const TICKS_PER_SECOND: f64 = 100.0;
/// Nanoseconds and ticks of the same span differ by rounding; by more than this one of them is wrong.
const PLAUSIBLE_DIFFERENCE_S: f64 = 0.05;

/// Where a CPU time came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CpuSource {
    Nanoseconds,
    Ticks,
}

/// CPU time used so far; by default none.
#[derive(Clone, Debug, Default)]
pub(crate) struct CpuReading {
    ticks: u64,
    thread_nanos: BTreeMap<u32, u64>,
}

impl CpuReading {
    /// Reads the CPU time of a running process.
    pub(crate) fn of(pid: u32) -> Result<CpuReading> {
        let ticks = parse_stat(&read(pid, "stat")?).context("unexpected /proc/PID/stat")?;
        let mut thread_nanos = BTreeMap::new();
        for entry in std::fs::read_dir(directory(pid).join("task"))? {
            let entry = entry?;
            let Some(thread) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // A thread may end while we read; a kernel may not keep these figures.
            if let Ok(text) = std::fs::read_to_string(entry.path().join("schedstat"))
                && let Some(nanos) = parse_schedstat(&text)
            {
                thread_nanos.insert(thread, nanos);
            }
        }
        Ok(CpuReading { ticks, thread_nanos })
    }

    /// Seconds of CPU time from `earlier` to this reading.
    pub(crate) fn since(&self, earlier: &CpuReading) -> (f64, CpuSource) {
        let by_ticks = self.ticks.saturating_sub(earlier.ticks) as f64 / TICKS_PER_SECOND;
        let none_left = earlier.thread_nanos.keys().all(|thread| self.thread_nanos.contains_key(thread));
        let total = |reading: &CpuReading| reading.thread_nanos.values().sum::<u64>();
        let by_nanos = total(self).saturating_sub(total(earlier)) as f64 / 1e9;
        let plausible = (by_nanos - by_ticks).abs() <= PLAUSIBLE_DIFFERENCE_S.max(by_ticks * 0.01);
        if none_left && !self.thread_nanos.is_empty() && plausible {
            (by_nanos, CpuSource::Nanoseconds)
        } else {
            (by_ticks, CpuSource::Ticks)
        }
    }
}

/// Resident memory now, in MiB.
pub(crate) fn resident_mib(pid: u32) -> Result<f64> {
    status_mib(pid, "VmRSS")
}

/// The most resident memory so far, in MiB.
pub(crate) fn peak_mib(pid: u32) -> Result<f64> {
    status_mib(pid, "VmHWM")
}

fn status_mib(pid: u32, key: &str) -> Result<f64> {
    let kib = parse_status(&read(pid, "status")?, key).with_context(|| format!("no {key} in status"))?;
    Ok(kib as f64 / 1024.0)
}

fn directory(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

fn read(pid: u32, file: &str) -> Result<String> {
    let path = directory(pid).join(file);
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// User and system ticks; the name in parentheses may hold anything, parentheses too.
fn parse_stat(text: &str) -> Option<u64> {
    let (_, after_name) = text.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Nanoseconds on a CPU.
fn parse_schedstat(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// A value in KiB.
fn parse_status(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(ticks: u64, threads: &[(u32, u64)]) -> CpuReading {
        CpuReading { ticks, thread_nanos: threads.iter().copied().collect() }
    }

    #[test]
    fn reads_what_proc_prints() {
        let stat = "42 (a ) b) S 1 2 3 0 -1 4194304 2851 6534 11 0 52 31 9 9 20 0 1 0 90849 16965632 3355";
        assert_eq!(parse_stat(stat), Some(83));
        assert_eq!(parse_stat("42 (cut"), None);
        assert_eq!(parse_schedstat("543244253 253374 99\n"), Some(543_244_253));
        let status = "Name:\tx\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\n";
        assert_eq!(parse_status(status, "VmHWM"), Some(20_480));
        assert_eq!(parse_status(status, "VmSwap"), None);
    }

    #[test]
    fn prefers_nanoseconds_unless_a_thread_went_away() {
        let before = reading(100, &[(1, 500_000_000), (2, 500_000_000)]);
        let grown = reading(223, &[(1, 1_000_000_000), (2, 1_000_000_000), (3, 234_000_000)]);
        assert_eq!(grown.since(&before), (1.234, CpuSource::Nanoseconds));
        let lost_one = reading(223, &[(1, 1_734_000_000)]);
        assert_eq!(lost_one.since(&before), (1.23, CpuSource::Ticks));
        let none = reading(223, &[]);
        assert_eq!(none.since(&reading(100, &[])), (1.23, CpuSource::Ticks));
        let implausible = reading(223, &[(1, 9_000_000_000), (2, 500_000_000)]);
        assert_eq!(implausible.since(&before), (1.23, CpuSource::Ticks));
    }

    #[test]
    fn reads_this_very_process() {
        let pid = std::process::id();
        let first = CpuReading::of(pid).unwrap();
        let (seconds, _) = CpuReading::of(pid).unwrap().since(&first);
        assert!(seconds >= 0.0);
        assert!(peak_mib(pid).unwrap() >= resident_mib(pid).unwrap() * 0.5);
    }
}
