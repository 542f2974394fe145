//! Asks a health endpoint again and again, as an orchestrator does: a new connection each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::compare::http;

const INTERVAL: Duration = Duration::from_millis(10);

/// A probe that is asking.
pub(crate) struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Answers>,
}

/// What the endpoint answered.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Times to the whole answer; a failed one took as long as it took.
    pub(crate) millis: Vec<f64>,
    pub(crate) failed: u64,
}

impl Probe {
    /// Starts to ask.
    pub(crate) fn start(address: &str) -> Result<Probe> {
        let address = address.parse()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut answers = Answers::default();
            while !stopped.load(Relaxed) {
                let start = Instant::now();
                if http::get(address, "/").is_err() {
                    answers.failed += 1;
                }
                answers.millis.push(start.elapsed().as_secs_f64() * 1e3);
                std::thread::sleep(INTERVAL.saturating_sub(start.elapsed()));
            }
            answers
        });
        Ok(Probe { stop, thread })
    }

    /// Stops and gives the answers.
    pub(crate) fn stop(self) -> Result<Answers> {
        self.stop.store(true, Relaxed);
        self.thread.join().map_err(|_| anyhow!("the probe failed"))
    }
}
