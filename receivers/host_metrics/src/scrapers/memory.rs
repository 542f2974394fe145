use super::{Failures, Scene, Scraper, put_host};
use crate::catalog::MemoryMetric;
use crate::config::{MemoryConfig, Switches};
use crate::host;
use crate::output::Output;
use crate::parse::MemInfo;

/// Memory by state.
pub(crate) struct Memory {
    switches: Switches<MemoryMetric>,
}

impl Memory {
    pub(crate) fn new(config: &MemoryConfig) -> Memory {
        Memory { switches: config.metrics.clone() }
    }
}

/// Bytes by state; what is used is what is not available, as in otelcol since 0.137.
fn states(info: &MemInfo, total: u64) -> [(&'static str, u64); 6] {
    [
        ("used", total.saturating_sub(info.available())),
        ("free", info.free.unwrap_or(0)),
        ("buffered", info.buffers.unwrap_or(0)),
        ("cached", info.cached()),
        ("slab_reclaimable", info.reclaimable.unwrap_or(0)),
        ("slab_unreclaimable", info.unreclaimable.unwrap_or(0)),
    ]
}

impl Scraper for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn metrics(&self) -> u64 {
        self.switches.count()
    }

    fn scrape(&mut self, scene: &mut Scene<'_>, out: &mut Output, failures: &mut Failures) {
        let path = scene.paths.proc.join("meminfo");
        if let Err(error) = host::read_into(&path, scene.buffer) {
            return failures.add(self.metrics(), error);
        }
        let info = MemInfo::parse(scene.buffer);
        let Some(total) = info.total.filter(|total| *total > 0) else {
            return failures.add(self.metrics(), format!("{}: no MemTotal", path.display()));
        };
        let states = states(&info, total);
        let huge_total = info.huge_total.unwrap_or(0);
        let huge_free = info.huge_free.unwrap_or(0);
        let huge = [("free", huge_free), ("used", huge_total.saturating_sub(huge_free))];
        let page_size = scene.constants.page_size;
        put_host(out, "memory", &self.switches, scene.times(), |metrics| {
            let single = [
                (MemoryMetric::Available, info.available()),
                (MemoryMetric::Dirty, info.dirty.unwrap_or(0)),
                (MemoryMetric::Limit, total),
                (MemoryMetric::HugepagesLimit, huge_total),
                (MemoryMetric::HugepagesPageSize, info.huge_size.unwrap_or(0)),
                (MemoryMetric::HugepagesReserved, info.huge_reserved.unwrap_or(0)),
                (MemoryMetric::HugepagesSurplus, info.huge_surplus.unwrap_or(0)),
                (MemoryMetric::PageSize, page_size),
            ];
            for (metric, value) in single {
                metrics.put(metric, |points| points.int(value, &[]));
            }
            const HUGE_STATE: &str = "system.memory.linux.hugepages.state";
            metrics.put(MemoryMetric::HugepagesUsage, |points| {
                for (state, pages) in huge {
                    points.int(pages, &[(HUGE_STATE, state)]);
                }
            });
            metrics.put(MemoryMetric::HugepagesUtilization, |points| {
                for (state, pages) in huge.iter().filter(|_| huge_total > 0) {
                    points.double(*pages as f64 / huge_total as f64, &[(HUGE_STATE, state)]);
                }
            });
            metrics.put(MemoryMetric::Usage, |points| {
                for (state, bytes) in states {
                    points.int(bytes, &[("state", state)]);
                }
            });
            metrics.put(MemoryMetric::Utilization, |points| {
                for (state, bytes) in states {
                    points.double(bytes as f64 / total as f64, &[("state", state)]);
                }
            });
        });
    }
}
