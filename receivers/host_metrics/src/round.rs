//! One look at the host by all scrapers, into one request.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::HostMetricsConfig;
use crate::host::{self, Paths};
use crate::output::Output;
use crate::parse::{KernelStat, decimal, words};
use crate::processes::Processes;
use crate::scrapers::{Constants, Failures, Scene, Scraper, Space, scrapers};

/// All scrapers of a receiver, and their buffers.
pub(crate) struct Round {
    scrapers: Vec<Box<dyn Scraper>>,
    paths: Paths,
    constants: Constants,
    version: &'static str,
    processes: Processes,
    buffer: Vec<u8>,
    /// Bytes of the last request: the next one will have about as many.
    expected: usize,
    /// Of each scraper, how often something failed last time.
    pub(crate) failed: Vec<u64>,
}

/// What a look gave.
pub(crate) struct Scraped {
    /// The request.
    pub(crate) bytes: Vec<u8>,
    pub(crate) points: u64,
    /// Of each scraper: metrics that were read, and that were not.
    pub(crate) scrapers: Vec<(u64, u64)>,
}

/// What changes from look to look, and comes from outside.
pub(crate) struct Moment<'a> {
    pub(crate) now: SystemTime,
    pub(crate) is_late: &'a (dyn Fn() -> bool + Sync),
    pub(crate) space: &'a (dyn Fn(&Path) -> io::Result<Space> + Sync),
}

impl Round {
    /// # Errors
    /// An expression that is none; the settings were validated before.
    pub(crate) fn new(
        config: &HostMetricsConfig,
        paths: Paths,
        constants: Constants,
        version: &'static str,
    ) -> Result<Round, regex::Error> {
        let scrapers = scrapers(config)?;
        Ok(Round {
            failed: vec![0; scrapers.len()],
            scrapers,
            paths,
            constants,
            version,
            processes: Processes::default(),
            buffer: Vec::new(),
            expected: 4096,
        })
    }

    /// The names of the scrapers, in their order.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.scrapers.iter().map(|scraper| scraper.name()).collect()
    }

    /// Looks at everything. What one scraper cannot read does not keep the others from it.
    pub(crate) fn scrape(&mut self, receiver: &str, moment: &Moment<'_>) -> Scraped {
        let now = moment.now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let stat = host::read_into(&self.paths.proc.join("stat"), &mut self.buffer)
            .map(|()| KernelStat::parse(&self.buffer))
            .map_err(|error| error.to_string());
        let boot = self.boot_time(stat.as_ref().ok().and_then(|stat| stat.boot_time), now);
        let wants_processes = self.scrapers.iter().any(|scraper| scraper.wants_processes());
        let looked = match wants_processes {
            true => self.processes.look(&self.paths.proc).map_err(|error| error.to_string()),
            false => Err("processes are not looked at".to_owned()),
        };
        let mut out = Output {
            bytes: Vec::with_capacity(self.expected + self.expected / 8),
            version: self.version,
            ..Output::default()
        };
        let mut scene = Scene {
            paths: &self.paths,
            constants: self.constants,
            stat: stat.as_ref().map_err(String::as_str),
            processes: looked.as_ref().map(|()| &self.processes).map_err(String::as_str),
            now: now.as_nanos() as u64,
            boot,
            buffer: &mut self.buffer,
            is_late: moment.is_late,
            space: moment.space,
        };
        let mut scraped = Vec::with_capacity(self.scrapers.len());
        for (scraper, failed) in self.scrapers.iter_mut().zip(&mut self.failed) {
            let before = out.metrics;
            let mut failures = Failures::default();
            match (moment.is_late)() {
                true => failures.add(scraper.metrics(), "the time was over before it came to be read"),
                false => scraper.scrape(&mut scene, &mut out, &mut failures),
            }
            report(receiver, scraper.name(), &failures, failed);
            scraped.push((out.metrics - before, failures.metrics));
        }
        self.expected = out.bytes.len();
        Scraped { bytes: out.bytes, points: out.points, scrapers: scraped }
    }

    /// Unix nanoseconds at which the host started; now where it does not say.
    fn boot_time(&mut self, told: Option<u64>, now: Duration) -> u64 {
        if let Some(seconds) = told {
            return seconds.saturating_mul(1_000_000_000);
        }
        let uptime = host::read_into(&self.paths.proc.join("uptime"), &mut self.buffer)
            .ok()
            .and_then(|()| words(&self.buffer).next().and_then(decimal))
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        now.saturating_sub(uptime.unwrap_or_default()).as_nanos() as u64
    }
}

/// Says what failed, when it is not the same as last time: hosts often have something that may never be read.
fn report(receiver: &str, scraper: &str, failures: &Failures, failed: &mut u64) {
    if failures.count == *failed {
        return;
    }
    *failed = failures.count;
    if failures.count > 0 {
        let (count, metrics) = (failures.count, failures.metrics);
        tracing::error!(
            receiver,
            scraper,
            failures = count,
            metrics,
            error = failures.texts(),
            "Error scraping metrics"
        );
    } else {
        tracing::info!(receiver, scraper, "everything can be read again");
    }
}
