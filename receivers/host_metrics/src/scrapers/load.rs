use super::{Failures, Scene, Scraper, put_host};
use crate::catalog::LoadMetric;
use crate::config::{LoadConfig, Switches};
use crate::host;
use crate::output::Output;
use crate::parse::load_averages;

/// Load averages.
pub(crate) struct Load {
    switches: Switches<LoadMetric>,
    cpu_average: bool,
}

impl Load {
    pub(crate) fn new(config: &LoadConfig) -> Load {
        Load { switches: config.metrics.clone(), cpu_average: config.cpu_average }
    }
}

impl Scraper for Load {
    fn name(&self) -> &'static str {
        "load"
    }

    fn metrics(&self) -> u64 {
        self.switches.count()
    }

    fn scrape(&mut self, scene: &mut Scene<'_>, out: &mut Output, failures: &mut Failures) {
        let path = scene.paths.proc.join("loadavg");
        if let Err(error) = host::read_into(&path, scene.buffer) {
            return failures.add(self.metrics(), error);
        }
        let Some(averages) = load_averages(scene.buffer) else {
            return failures.add(self.metrics(), format!("{}: no load averages", path.display()));
        };
        let divisor = match (self.cpu_average, scene.stat) {
            (true, Ok(stat)) => stat.cpus.len().max(1) as f64,
            (true, Err(error)) => return failures.add(self.metrics(), error),
            (false, _) => 1.0,
        };
        let [one, five, fifteen] = averages.map(|average| average / divisor);
        put_host(out, "load", &self.switches, scene.times(), |metrics| {
            metrics.put(LoadMetric::Fifteen, |points| points.double(fifteen, &[]));
            metrics.put(LoadMetric::One, |points| points.double(one, &[]));
            metrics.put(LoadMetric::Five, |points| points.double(five, &[]));
        });
    }
}
