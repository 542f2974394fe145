//! Watches a process's resident memory, and says on standard error how far a long run is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::compare::procfs;
use crate::compare::stats::Summary;

const INTERVAL: Duration = Duration::from_millis(250);
const PROGRESS: Duration = Duration::from_secs(15);
/// The part of the readings, from the beginning, in which memory may still grow to what is held.
const WARM_UP: f64 = 0.1;

/// A watch that is kept.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<f64>>,
}

impl Watch {
    /// Starts to read the memory of `pid`, for about `expected`.
    pub(crate) fn start(pid: u32, label: String, expected: Duration) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let (start, mut readings) = (Instant::now(), Vec::new());
            let mut next_word = PROGRESS;
            while !stopped.load(Relaxed) {
                // A process that is gone shows in its load; there is nothing more to read.
                let Ok(mib) = procfs::resident_mib(pid) else { break };
                readings.push(mib);
                if start.elapsed() >= next_word {
                    let (now, of) = (start.elapsed().as_secs(), expected.as_secs());
                    eprintln!("  {label}: {now} of {of} s, {mib:.1} MiB resident");
                    next_word += PROGRESS;
                }
                std::thread::sleep(INTERVAL);
            }
            readings
        });
        Watch { stop, thread }
    }

    /// Ends the watch and gives the readings, in MiB and evenly spaced.
    pub(crate) fn stop(self) -> Result<Vec<f64>> {
        self.stop.store(true, Relaxed);
        self.thread.join().map_err(|_| anyhow!("the watch failed"))
    }
}

/// By what part the median of the second half of `readings` differs from that of the first, once they are warm;
/// `None` with too few of them.
pub(crate) fn drift(readings: &[f64]) -> Option<f64> {
    // A float of a small count.
    let warm = &readings[(readings.len() as f64 * WARM_UP).ceil() as usize..];
    let (first, second) = warm.split_at(warm.len() / 2);
    let median = |part: &[f64]| Some(Summary::of(part.iter().copied())?.median);
    Some((median(second)? / median(first)? - 1.0).abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_compares_halves_after_the_warm_up() {
        let mut readings = vec![1.0; 10];
        readings.extend([100.0; 45]);
        readings.extend([105.0; 45]);
        let up = drift(&readings).unwrap();
        assert!((up - 0.05).abs() < 1e-9, "{up}");
        readings[55..].fill(80.0);
        let down = drift(&readings).unwrap();
        assert!((down - 0.2).abs() < 1e-9, "{down}");
        assert_eq!(drift(&[]), None);
        assert_eq!(drift(&[1.0, 2.0]), None);
    }
}
