//! One service's load while the collector has a tenth of a core and 32 MiB.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::compare::cgroup::{ControlGroup, Limits};
use crate::compare::process::STOP_TIMEOUT;
use crate::compare::procfs::{self, CpuReading};
use crate::compare::run::{Bench, LOAD_TIMEOUT, REST, Run, SETTLE};
use crate::compare::sample::Sample;

const LIMITS: Limits = Limits { cores: 0.1, memory_mib: 32 };

/// Runs the load with the limits if the machine lets us set them, else without, and says so.
pub(crate) fn sample(bench: &Bench, run: &Run<'_>) -> Result<Option<Sample>> {
    let group = ControlGroup::make(LIMITS);
    let wrapper = group.as_ref().map(ControlGroup::wrapper).unwrap_or_default();
    // Declared after the group, so dropped before it: a group with a process in it cannot be removed.
    let Some(stand) = bench.stand(run.variant, run.subject, &wrapper)? else { return Ok(None) };
    let mut sample = stand.at_rest(bench, run, REST)?;
    sample.note = group.as_ref().err().map(|error| format!("without limits of CPU and memory: {error:#}"));
    let pid = stand.subject.pid();
    let mut load = bench.start_load(run.shape(), run.requests(), &stand.ports)?;
    let (start, before) = (Instant::now(), CpuReading::of(pid)?);
    let report = load.run(LOAD_TIMEOUT);
    sample.load = Some(report.with_context(|| stand.complaint())?);
    std::thread::sleep(SETTLE);
    let used = CpuReading::of(pid).with_context(|| stand.complaint())?.since(&before);
    sample.cores = Some(used.0 / start.elapsed().as_secs_f64());
    sample.set_cpu(used);
    sample.peak_mib = Some(procfs::peak_mib(pid)?);
    stand.stop(&mut sample, STOP_TIMEOUT)?;
    Ok(Some(sample))
}
