use std::collections::HashSet;

use super::{Failures, Scene, Scraper, put_host};
use crate::catalog::CpuMetric;
use crate::config::{CpuConfig, Switches};
use crate::host::{self, ReadError};
use crate::output::Output;
use crate::parse::{CpuTimes, Frequencies, STATES, logical_cpus, physical_cpus};

/// Time of each CPU.
pub(crate) struct Cpu {
    switches: Switches<CpuMetric>,
    /// Of the last scrape, for utilization.
    last: Vec<CpuTimes>,
}

impl Cpu {
    pub(crate) fn new(config: &CpuConfig) -> Cpu {
        Cpu { switches: config.metrics.clone(), last: Vec::new() }
    }

    /// Cores by their lists of threads in `/sys`, else by what `cpuinfo` says.
    fn cores(scene: &Scene<'_>, cpuinfo: &[u8]) -> u64 {
        let folder = scene.paths.sys.join("devices/system/cpu");
        for file in ["topology/core_cpus_list", "topology/thread_siblings_list"] {
            let Ok(entries) = host::list(&folder) else { break };
            let mut lists = HashSet::new();
            for entry in entries.flatten() {
                let name = entry.file_name();
                let is_cpu = name.to_str().and_then(|name| name.strip_prefix("cpu")).is_some_and(|number| {
                    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
                });
                let mut list = Vec::new();
                if is_cpu && host::read_into(&entry.path().join(file), &mut list).is_ok() {
                    lists.insert(list);
                }
            }
            if !lists.is_empty() {
                return lists.len() as u64;
            }
        }
        physical_cpus(cpuinfo)
    }
}

impl Scraper for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn metrics(&self) -> u64 {
        self.switches.count()
    }

    fn scrape(&mut self, scene: &mut Scene<'_>, out: &mut Output, failures: &mut Failures) {
        let stat = match scene.stat {
            Ok(stat) => stat,
            Err(error) => return failures.add(self.metrics(), error),
        };
        let of_cpuinfo = [CpuMetric::Frequency, CpuMetric::LogicalCount, CpuMetric::PhysicalCount];
        let mut cpuinfo = std::mem::take(scene.buffer);
        cpuinfo.clear();
        if self.switches.is_any_on(&of_cpuinfo) {
            let read: Result<(), ReadError> =
                host::read_into(&scene.paths.proc.join("cpuinfo"), &mut cpuinfo);
            if let Err(error) = read {
                let missing = of_cpuinfo.iter().filter(|metric| self.switches.is_on(**metric)).count();
                failures.add(missing as u64, error);
            }
        }
        put_host(out, "cpu", &self.switches, scene.times(), |metrics| {
            metrics.put(CpuMetric::Frequency, |points| {
                for (cpu, hertz) in Frequencies::parse(&cpuinfo) {
                    points.double(hertz, &[("cpu", &format!("cpu{cpu}"))]);
                }
            });
            metrics.put(CpuMetric::LogicalCount, |points| {
                let listed = logical_cpus(&cpuinfo);
                points.int(if listed == 0 { stat.cpus.len() as u64 } else { listed }, &[]);
            });
            metrics.put(CpuMetric::PhysicalCount, |points| points.int(Cpu::cores(scene, &cpuinfo), &[]));
            metrics.put(CpuMetric::Time, |points| {
                for cpu in &stat.cpus {
                    for (state, field) in STATES {
                        points
                            .double(scene.seconds(cpu.ticks[field]), &[("cpu", &cpu.name), ("state", state)]);
                    }
                }
            });
            metrics.put(CpuMetric::Utilization, |points| {
                for cpu in &stat.cpus {
                    // One that came to be just now has no share yet.
                    let Some(last) = self.last.iter().find(|last| last.name == cpu.name) else { continue };
                    let elapsed = cpu.total().saturating_sub(last.total());
                    for (state, field) in STATES {
                        // A host that counts idle time badly may let it fall.
                        let spent = cpu.ticks[field].saturating_sub(last.ticks[field]);
                        let share = if elapsed == 0 { 0.0 } else { spent as f64 / elapsed as f64 };
                        points.double(share, &[("cpu", &cpu.name), ("state", state)]);
                    }
                }
            });
        });
        *scene.buffer = cpuinfo;
        if self.switches.is_on(CpuMetric::Utilization) {
            self.last.clone_from(&stat.cpus);
        }
    }
}
