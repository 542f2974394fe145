use super::{Failures, Scene, Scraper, put_host};
use crate::catalog::ProcessesMetric;
use crate::config::{ProcessesConfig, Switches};
use crate::output::Output;
use crate::parse::KernelStat;
use crate::processes::Processes;

/// How many processes there are.
pub(crate) struct ProcessCounts {
    switches: Switches<ProcessesMetric>,
}

impl ProcessCounts {
    pub(crate) fn new(config: &ProcessesConfig) -> ProcessCounts {
        ProcessCounts { switches: config.metrics.clone() }
    }
}

/// Of a letter in `/proc/[pid]/stat`.
fn status(letter: u8) -> &'static str {
    match letter {
        b'D' => "blocked",
        b'I' => "idle",
        b'L' => "locked",
        b'R' => "running",
        b'S' => "sleeping",
        b'T' | b't' => "stopped",
        b'W' => "paging",
        b'Z' => "zombies",
        _ => "unknown",
    }
}

/// Processes by status; those that run or are blocked are counted by the kernel, which counts threads.
fn by_status(processes: &Processes, stat: &KernelStat) -> Vec<(&'static str, u64)> {
    let mut counts = vec![("blocked", stat.blocked), ("running", stat.running)];
    for process in processes.iter() {
        match status(process.counts.state) {
            "blocked" | "running" => {}
            status => match counts.iter_mut().find(|count| count.0 == status) {
                Some(count) => count.1 += 1,
                None => counts.push((status, 1)),
            },
        }
    }
    // What may not be read, and what changed while it was.
    let known: u64 = counts.iter().map(|count| count.1).sum();
    let total = processes.len() as u64;
    if total > known {
        let unknown = total - known;
        match counts.iter_mut().find(|count| count.0 == "unknown") {
            Some(count) => count.1 = unknown,
            None => counts.push(("unknown", unknown)),
        }
    }
    counts
}

impl Scraper for ProcessCounts {
    fn name(&self) -> &'static str {
        "processes"
    }

    fn metrics(&self) -> u64 {
        self.switches.count()
    }

    fn wants_processes(&self) -> bool {
        self.switches.is_on(ProcessesMetric::Count)
    }

    fn scrape(&mut self, scene: &mut Scene<'_>, out: &mut Output, failures: &mut Failures) {
        let stat = match scene.stat {
            Ok(stat) => stat,
            Err(error) => return failures.add(self.metrics(), error),
        };
        let counts = match scene.processes {
            Ok(processes) => by_status(processes, stat),
            Err(error) => {
                failures.add(u64::from(self.wants_processes()), error);
                Vec::new()
            }
        };
        put_host(out, "processes", &self.switches, scene.times(), |metrics| {
            metrics.put(ProcessesMetric::Count, |points| {
                for (status, count) in &counts {
                    points.int(*count, &[("status", status)]);
                }
            });
            metrics.put(ProcessesMetric::Created, |points| points.int(stat.processes_created, &[]));
        });
    }
}
