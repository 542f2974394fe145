use super::{Failures, Scene, Scraper, put_host};
use crate::catalog::DiskMetric;
use crate::config::{DiskConfig, Filter, Switches};
use crate::host;
use crate::output::{Output, Points, text};
use crate::parse::disks;

/// Block devices.
pub(crate) struct Disk {
    switches: Switches<DiskMetric>,
    devices: Filter,
}

impl Disk {
    pub(crate) fn new(config: &DiskConfig) -> Result<Disk, regex::Error> {
        let devices = Filter { include: config.include.matcher()?, exclude: config.exclude.matcher()? };
        Ok(Disk { switches: config.metrics.clone(), devices })
    }
}

const DIRECTIONS: [&str; 2] = ["read", "write"];

fn both_ints(points: &mut Points<'_>, device: &str, values: [u64; 2]) {
    for (direction, value) in DIRECTIONS.iter().zip(values) {
        points.int(value, &[("device", device), ("direction", direction)]);
    }
}

fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}

impl Scraper for Disk {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn metrics(&self) -> u64 {
        self.switches.count()
    }

    fn scrape(&mut self, scene: &mut Scene<'_>, out: &mut Output, failures: &mut Failures) {
        if let Err(error) = host::read_into(&scene.paths.proc.join("diskstats"), scene.buffer) {
            return failures.add(self.metrics(), error);
        }
        let all: Vec<_> = disks(scene.buffer)
            .map(|disk| (text(disk.device), disk))
            .filter(|(device, _)| self.devices.takes(device))
            .collect();
        put_host(out, "disk", &self.switches, scene.times(), |metrics| {
            metrics.put(DiskMetric::Io, |points| {
                all.iter().for_each(|(device, disk)| both_ints(points, device, disk.bytes));
            });
            metrics.put(DiskMetric::IoTime, |points| {
                for (device, disk) in &all {
                    points.double(seconds(disk.busy_milliseconds), &[("device", device)]);
                }
            });
            metrics.put(DiskMetric::Merged, |points| {
                all.iter().for_each(|(device, disk)| both_ints(points, device, disk.merged));
            });
            metrics.put(DiskMetric::OperationTime, |points| {
                for (device, disk) in &all {
                    for (direction, time) in DIRECTIONS.iter().zip(disk.milliseconds) {
                        points.double(seconds(time), &[("device", device), ("direction", direction)]);
                    }
                }
            });
            metrics.put(DiskMetric::Operations, |points| {
                all.iter().for_each(|(device, disk)| both_ints(points, device, disk.operations));
            });
            metrics.put(DiskMetric::Pending, |points| {
                all.iter().for_each(|(device, disk)| points.int(disk.pending, &[("device", device)]));
            });
            metrics.put(DiskMetric::WeightedIoTime, |points| {
                for (device, disk) in &all {
                    points.double(seconds(disk.weighted_milliseconds), &[("device", device)]);
                }
            });
        });
    }
}
