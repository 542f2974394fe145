use super::{Failures, Scene, Scraper, put_host};
use crate::catalog::SystemMetric;
use crate::config::{Switches, SystemConfig};
use crate::host;
use crate::output::Output;
use crate::parse::{decimal, words};

/// Uptime.
pub(crate) struct System {
    switches: Switches<SystemMetric>,
}

impl System {
    pub(crate) fn new(config: &SystemConfig) -> System {
        System { switches: config.metrics.clone() }
    }
}

impl Scraper for System {
    fn name(&self) -> &'static str {
        "system"
    }

    fn metrics(&self) -> u64 {
        self.switches.count()
    }

    fn scrape(&mut self, scene: &mut Scene<'_>, out: &mut Output, failures: &mut Failures) {
        let path = scene.paths.proc.join("uptime");
        if let Err(error) = host::read_into(&path, scene.buffer) {
            return failures.add(self.metrics(), error);
        }
        let Some(uptime) = words(scene.buffer).next().and_then(decimal) else {
            return failures.add(self.metrics(), format!("{}: no uptime", path.display()));
        };
        put_host(out, "system", &self.switches, scene.times(), |metrics| {
            // In whole seconds, as in otelcol.
            metrics.put(SystemMetric::Uptime, |points| points.double(uptime.floor(), &[]));
        });
    }
}
