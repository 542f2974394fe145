//! What is read: one scraper each, all of which write into one request.

mod cpu;
mod disk;
mod filesystem;
mod identity;
mod load;
mod memory;
mod network;
mod nfs;
mod paging;
mod process;
mod processes;
mod system;

use std::fmt;

use crate::HostMetricsConfig;
use crate::config::Switches;
use crate::host::Paths;
use crate::metric::Catalog;
use crate::output::{Metrics, Output, Times};
use crate::parse::KernelStat;
use crate::processes::Processes;

pub(crate) use filesystem::{Space, space};

/// Texts of failures that are kept of one scrape.
const KEPT_TEXTS: usize = 3;

/// What a scrape sees, besides the files of the host.
pub(crate) struct Scene<'a> {
    pub(crate) paths: &'a Paths,
    pub(crate) constants: Constants,
    pub(crate) stat: Result<&'a KernelStat, &'a str>,
    pub(crate) processes: Result<&'a Processes, &'a str>,
    /// Unix nanoseconds.
    pub(crate) now: u64,
    /// When the host started, in Unix nanoseconds.
    pub(crate) boot: u64,
    /// For files that are read and left.
    pub(crate) buffer: &'a mut Vec<u8>,
    /// Whether the time for this scrape is over.
    pub(crate) is_late: &'a (dyn Fn() -> bool + Sync),
    /// Asks for the space of a filesystem.
    pub(crate) space: &'a (dyn Fn(&std::path::Path) -> std::io::Result<Space> + Sync),
}

/// What does not change while a host runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Constants {
    pub(crate) ticks_per_second: u64,
    pub(crate) page_size: u64,
}

impl Scene<'_> {
    pub(crate) fn times(&self) -> Times {
        Times { start: self.boot, now: self.now }
    }

    pub(crate) fn seconds(&self, ticks: u64) -> f64 {
        ticks as f64 / self.constants.ticks_per_second as f64
    }
}

/// What could not be read.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// Metrics that are missing for it.
    pub(crate) metrics: u64,
    /// How often something failed.
    pub(crate) count: u64,
    texts: Vec<String>,
}

impl Failures {
    /// Records a failure for which `metrics` metrics are missing.
    pub(crate) fn add(&mut self, metrics: u64, what: impl fmt::Display) {
        self.metrics += metrics;
        self.count += 1;
        if self.texts.len() < KEPT_TEXTS {
            self.texts.push(what.to_string());
        }
    }

    /// The first of them in words.
    pub(crate) fn texts(&self) -> String {
        let more = self.count.saturating_sub(self.texts.len() as u64);
        let texts = self.texts.join("; ");
        if more == 0 { texts } else { format!("{texts}; and {more} more") }
    }
}

/// Reads one part of the host.
pub(crate) trait Scraper: Send + Sync {
    /// Its name in the settings.
    fn name(&self) -> &'static str;

    /// How many metrics it has on, which are missing where it cannot run at all.
    fn metrics(&self) -> u64;

    /// Whether it needs a look at all processes.
    fn wants_processes(&self) -> bool {
        false
    }

    /// Reads and writes.
    fn scrape(&mut self, scene: &mut Scene<'_>, out: &mut Output, failures: &mut Failures);
}

/// Writes metrics of the host itself, whose resource has no attributes.
pub(crate) fn put_host<C: Catalog>(
    out: &mut Output,
    scraper: &str,
    switches: &Switches<C>,
    times: Times,
    body: impl FnOnce(&mut Metrics<'_, C>),
) {
    out.resource(scraper, switches, times, |_| {}, body);
}

/// The scrapers that the settings ask for.
///
/// # Errors
/// An expression that is none; the settings were validated before.
pub(crate) fn scrapers(config: &HostMetricsConfig) -> Result<Vec<Box<dyn Scraper>>, regex::Error> {
    let mut all: Vec<Box<dyn Scraper>> = Vec::new();
    let wanted = &config.scrapers;
    if let Some(config) = wanted.cpu.get() {
        all.push(Box::new(cpu::Cpu::new(config)));
    }
    if let Some(config) = wanted.disk.get() {
        all.push(Box::new(disk::Disk::new(config)?));
    }
    if let Some(config) = wanted.filesystem.get() {
        all.push(Box::new(filesystem::Filesystem::new(config)?));
    }
    if let Some(config) = wanted.load.get() {
        all.push(Box::new(load::Load::new(config)));
    }
    if let Some(config) = wanted.memory.get() {
        all.push(Box::new(memory::Memory::new(config)));
    }
    if let Some(config) = wanted.network.get() {
        all.push(Box::new(network::Network::new(config)?));
    }
    if let Some(config) = wanted.nfs.get() {
        all.push(Box::new(nfs::Nfs::new(config)));
    }
    if let Some(config) = wanted.paging.get() {
        all.push(Box::new(paging::Paging::new(config)));
    }
    if let Some(config) = wanted.processes.get() {
        all.push(Box::new(processes::ProcessCounts::new(config)));
    }
    if let Some(scraper) = wanted.process.get() {
        let refresh = config.metadata_collection_interval.as_duration();
        all.push(Box::new(process::ProcessScraper::new(scraper, refresh)?));
    }
    if let Some(config) = wanted.system.get() {
        all.push(Box::new(system::System::new(config)));
    }
    Ok(all)
}
