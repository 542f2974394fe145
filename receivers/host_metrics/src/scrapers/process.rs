use std::time::Duration;

use super::identity::Identities;
use super::{Failures, Scene, Scraper};
use crate::catalog::ProcessMetric as M;
use crate::config::{Attributes, Filter, ProcessConfig};
use crate::host;
use crate::output::{Output, Times};
use crate::parse::{Counts, Io, MemInfo, Status};
use crate::processes::{Process, file_of};

const OF_IO: [M; 2] = [M::DiskIo, M::DiskOperations];
const OF_STATUS: [M; 2] = [M::ContextSwitches, M::SignalsPending];
/// States of CPU time, in the order of [`ticks`].
const STATES: [&str; 3] = ["user", "system", "wait"];
const DIRECTIONS: [&str; 2] = ["read", "write"];

/// Each process.
pub(crate) struct ProcessScraper {
    config: ProcessConfig,
    attributes: Attributes,
    names: Filter,
    delay: u64,
    known: Identities,
}

/// What was read of a process besides its `stat`.
#[derive(Default)]
struct Details {
    io: Option<Io>,
    status: Option<Status>,
    open_files: Option<u64>,
    utilization: Option<[f64; 3]>,
    memory_percent: Option<f64>,
}

fn ticks(counts: &Counts) -> [u64; 3] {
    [counts.user, counts.system, counts.waited]
}

impl ProcessScraper {
    pub(crate) fn new(config: &ProcessConfig, refresh: Duration) -> Result<ProcessScraper, regex::Error> {
        Ok(ProcessScraper {
            attributes: Attributes::from(&config.resource_attributes),
            names: Filter { include: config.include.matcher()?, exclude: config.exclude.matcher()? },
            delay: config.scrape_process_delay.as_duration().as_nanos() as u64,
            known: Identities::new(refresh),
            config: config.clone(),
        })
    }

    /// Reads files of a process; one that ended meanwhile is no failure.
    fn details(&self, scene: &mut Scene<'_>, process: &Process, failures: &mut Failures) -> Details {
        let metrics = &self.config.metrics;
        let mut details = Details::default();
        let proc = &scene.paths.proc;
        if metrics.is_any_on(&OF_IO) {
            match host::read_into(&file_of(proc, process.pid, "io"), scene.buffer) {
                Ok(()) => details.io = Some(Io::parse(scene.buffer)),
                Err(error) if error.is_gone() || self.config.mute_process_io_error => {}
                Err(error) => failures.add(1, error),
            }
        }
        if metrics.is_any_on(&OF_STATUS) {
            match host::read_into(&file_of(proc, process.pid, "status"), scene.buffer) {
                Ok(()) => details.status = Some(Status::parse(scene.buffer)),
                Err(error) if error.is_gone() => {}
                Err(error) => failures.add(1, error),
            }
        }
        if metrics.is_on(M::OpenFiles) {
            match host::list(&file_of(proc, process.pid, "fd")) {
                Ok(entries) => details.open_files = Some(entries.count() as u64),
                Err(error) if error.is_gone() => {}
                Err(error) => failures.add(1, error),
            }
        }
        details
    }

    fn put(
        &self,
        scene: &Scene<'_>,
        out: &mut Output,
        (process, identity): (&Process, &super::identity::Identity),
        details: &Details,
        times: Times,
    ) {
        let (counts, attributes) = (&process.counts, self.attributes);
        let resident = counts.resident_pages.saturating_mul(scene.constants.page_size);
        out.resource(
            "process",
            &self.config.metrics,
            times,
            |resource| identity.put(resource, process, attributes),
            |metrics| {
                let status = details.status;
                metrics.put(M::ContextSwitches, |points| {
                    let Some(status) = status else { return };
                    points.int(status.involuntary_switches, &[("type", "involuntary")]);
                    points.int(status.voluntary_switches, &[("type", "voluntary")]);
                });
                metrics.put(M::CpuTime, |points| {
                    for (state, ticks) in STATES.iter().zip(ticks(counts)) {
                        points.double(scene.seconds(ticks), &[("state", state)]);
                    }
                });
                metrics.put(M::CpuUtilization, |points| {
                    for (state, share) in STATES.iter().zip(details.utilization.into_iter().flatten()) {
                        points.double(share, &[("state", state)]);
                    }
                });
                metrics.put(M::DiskIo, |points| {
                    for (direction, bytes) in DIRECTIONS.iter().zip(details.io.iter().flat_map(|io| io.bytes))
                    {
                        points.int(bytes, &[("direction", direction)]);
                    }
                });
                metrics.put(M::DiskOperations, |points| {
                    for (direction, count) in
                        DIRECTIONS.iter().zip(details.io.iter().flat_map(|io| io.operations))
                    {
                        points.int(count, &[("direction", direction)]);
                    }
                });
                metrics.put(M::MemoryUsage, |points| points.int(resident, &[]));
                metrics.put(M::MemoryUtilization, |points| {
                    details.memory_percent.iter().for_each(|percent| points.double(*percent, &[]));
                });
                metrics.put(M::MemoryVirtual, |points| points.int(counts.virtual_bytes, &[]));
                metrics.put(M::OpenFiles, |points| {
                    details.open_files.iter().for_each(|count| points.int(*count, &[]));
                });
                metrics.put(M::PagingFaults, |points| {
                    points.int(counts.major_faults, &[("type", "major")]);
                    points.int(counts.minor_faults, &[("type", "minor")]);
                });
                metrics.put(M::SignalsPending, |points| {
                    status.iter().for_each(|status| points.int(status.pending_signals, &[]));
                });
                metrics.put(M::Threads, |points| points.int(counts.threads, &[]));
                metrics.put(M::Uptime, |points| {
                    points.double(times.now.saturating_sub(times.start) as f64 / 1e9, &[]);
                });
            },
        );
    }

    /// Bytes of memory of the host, where they are asked for.
    fn total_memory(&self, scene: &mut Scene<'_>, failures: &mut Failures) -> Option<u64> {
        if !self.config.metrics.is_on(M::MemoryUtilization) {
            return None;
        }
        match host::read_into(&scene.paths.proc.join("meminfo"), scene.buffer) {
            Ok(()) => MemInfo::parse(scene.buffer).total.filter(|total| *total > 0),
            Err(error) => {
                failures.add(1, error);
                None
            }
        }
    }
}

/// Shares of all CPUs between two looks.
fn utilization(last: ([u64; 3], u64), now: ([u64; 3], u64), ticks_per_second: u64, cpus: usize) -> [f64; 3] {
    let seconds = now.1.saturating_sub(last.1) as f64 / 1e9;
    let mut shares = [0.0; 3];
    if seconds > 0.0 && cpus > 0 {
        for (share, (now, last)) in shares.iter_mut().zip(now.0.iter().zip(last.0)) {
            let spent = now.saturating_sub(last) as f64 / ticks_per_second as f64;
            *share = spent / seconds / cpus as f64;
        }
    }
    shares
}

impl Scraper for ProcessScraper {
    fn name(&self) -> &'static str {
        "process"
    }

    fn metrics(&self) -> u64 {
        self.config.metrics.count()
    }

    fn wants_processes(&self) -> bool {
        true
    }

    fn scrape(&mut self, scene: &mut Scene<'_>, out: &mut Output, failures: &mut Failures) {
        let processes = match scene.processes {
            Ok(processes) => processes,
            Err(error) => return failures.add(self.metrics(), error),
        };
        if !self.config.mute_process_name_error {
            processes.refused.iter().for_each(|error| failures.add(1, error));
        }
        let cpus = scene.stat.map_or(0, |stat| stat.cpus.len());
        let total_memory = self.total_memory(scene, failures);
        self.known.read_users(&scene.paths.etc);
        for (index, process) in processes.iter().enumerate() {
            if (scene.is_late)() {
                let missing = processes.len() - processes.refused.len() - index;
                failures.add(
                    self.metrics() * missing as u64,
                    format!("the time was over before {missing} processes were read"),
                );
                break;
            }
            let start =
                scene.boot + process.counts.started * (1_000_000_000 / scene.constants.ticks_per_second);
            let known = self.known.of(
                &scene.paths.proc,
                process,
                processes.name(process),
                scene.now,
                &self.config,
                self.attributes,
            );
            if !self.names.takes(&known.identity.name) || scene.now.saturating_sub(start) < self.delay {
                continue;
            }
            known.identity.report(failures);
            let now = (ticks(&process.counts), scene.now);
            let last = known.last.replace(now);
            let identity = known.identity.clone();
            let mut details = self.details(scene, process, failures);
            details.utilization =
                last.map(|last| utilization(last, now, scene.constants.ticks_per_second, cpus));
            let resident = process.counts.resident_pages.saturating_mul(scene.constants.page_size);
            details.memory_percent = total_memory.map(|total| 100.0 * resident as f64 / total as f64);
            // A process counts from its own start.
            let times = Times { start, now: scene.now };
            self.put(scene, out, (process, &identity), &details, times);
        }
        self.known.forget_others();
        if self.config.mute_process_all_errors {
            *failures = Failures::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utilization_is_a_share_of_all_cpus() {
        let second = 1_000_000_000;
        assert_eq!(
            utilization(([0; 3], 0), ([100, 50, 0], second), 100, 4),
            [0.25, 0.125, 0.0],
            "one of four CPUs"
        );
        assert_eq!(utilization(([9; 3], 5), ([0; 3], 5), 100, 4), [0.0; 3], "no time, and a fall");
    }
}
