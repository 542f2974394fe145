use super::{Failures, Scene, Scraper, put_host};
use crate::catalog::PagingMetric;
use crate::config::{PagingConfig, Switches};
use crate::host;
use crate::output::{Output, text};
use crate::parse::{Swap, VmStat, swaps};

/// Operations and faults are multiplied by this in otelcol, which reads them as pages in bytes; dashboards expect it.
const PAGE: u64 = 4096;

/// Paging and swap space.
pub(crate) struct Paging {
    switches: Switches<PagingMetric>,
}

impl Paging {
    pub(crate) fn new(config: &PagingConfig) -> Paging {
        Paging { switches: config.metrics.clone() }
    }

    fn missing(&self, metrics: &[PagingMetric]) -> u64 {
        metrics.iter().filter(|metric| self.switches.is_on(**metric)).count() as u64
    }
}

const OF_SPACE: [PagingMetric; 2] = [PagingMetric::Usage, PagingMetric::Utilization];
const OF_PAGES: [PagingMetric; 2] = [PagingMetric::Faults, PagingMetric::Operations];

impl Scraper for Paging {
    fn name(&self) -> &'static str {
        "paging"
    }

    fn metrics(&self) -> u64 {
        self.switches.count()
    }

    fn scrape(&mut self, scene: &mut Scene<'_>, out: &mut Output, failures: &mut Failures) {
        let pages = match host::read_into(&scene.paths.proc.join("vmstat"), scene.buffer) {
            Ok(()) => Some(VmStat::parse(scene.buffer)),
            Err(error) => {
                failures.add(self.missing(&OF_PAGES), error);
                None
            }
        };
        let path = scene.paths.proc.join("swaps");
        let areas: Vec<Swap<'_>> = match host::read_into(&path, scene.buffer) {
            Err(error) => {
                failures.add(self.missing(&OF_SPACE), error);
                Vec::new()
            }
            Ok(()) => swaps(scene.buffer).unwrap_or_else(|error| {
                failures.add(self.missing(&OF_SPACE), format!("{}: {error}", path.display()));
                Vec::new()
            }),
        };
        let times = crate::output::Times { start: scene.boot, now: scene.now };
        let bytes = |pages: Option<u64>| pages.unwrap_or(0).saturating_mul(PAGE);
        put_host(out, "paging", &self.switches, times, |metrics| {
            metrics.put(PagingMetric::Faults, |points| {
                let Some(stat) = pages else { return };
                let minor = stat.faults.unwrap_or(0).saturating_sub(stat.major_faults.unwrap_or(0));
                points.int(bytes(stat.major_faults), &[("type", "major")]);
                points.int(bytes(Some(minor)), &[("type", "minor")]);
            });
            metrics.put(PagingMetric::Operations, |points| {
                let Some(stat) = pages else { return };
                for (direction, kind, value) in [
                    ("page_in", "major", stat.swapped_in),
                    ("page_out", "major", stat.swapped_out),
                    ("page_in", "minor", stat.paged_in),
                    ("page_out", "minor", stat.paged_out),
                ] {
                    points.int(bytes(value), &[("direction", direction), ("type", kind)]);
                }
            });
            metrics.put(PagingMetric::Usage, |points| {
                for area in &areas {
                    let device = text(area.device);
                    points.int(area.used, &[("device", &device), ("state", "used")]);
                    points
                        .int(area.total.saturating_sub(area.used), &[("device", &device), ("state", "free")]);
                }
            });
            metrics.put(PagingMetric::Utilization, |points| {
                for area in areas.iter().filter(|area| area.total > 0) {
                    let device = text(area.device);
                    let used = area.used as f64 / area.total as f64;
                    points.double(used, &[("device", &device), ("state", "used")]);
                    points.double(1.0 - used, &[("device", &device), ("state", "free")]);
                }
            });
        });
    }
}
