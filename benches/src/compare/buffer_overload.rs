//! More spans than can wait for their decision, for minutes: memory must stay flat and bounded, every error must arrive, and
//! what arrives must say how much there was.
//!
//! The rate is fixed, and the buffer so small that it lasts for half of the wait; the collector itself says for how long.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::compare::http;
use crate::compare::overload::{Overload, gauge};
use crate::compare::procfs::{self, CpuReading};
use crate::compare::run::{Bench, REST, Run, SETTLE};
use crate::compare::sample::Sample;
use crate::compare::watch::{self, Watch};

/// At scale 1.
const DURATION: Duration = Duration::from_secs(300);
/// The rest of a load whose last requests wait.
const GRACE: Duration = Duration::from_secs(120);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);
/// Memory may be so much more than what lives in it.
const MEMORY_OF_LIVE: f64 = 8.0 / 7.0;

pub(crate) fn sample(bench: &Bench, run: &Run<'_>) -> Result<Option<Sample>> {
    let Some(stand) = bench.stand(run.variant, run.subject, &[])? else { return Ok(None) };
    let mut sample = stand.at_rest(bench, run, REST)?;
    let pid = stand.subject.pid();
    let shape = run.shape();
    let duration = DURATION.mul_f64(run.scale);
    let rate = shape.rate.context("it is paced")?;
    // Far below 2⁵³.
    let requests = ((f64::from(rate) * duration.as_secs_f64()).round() as u64).max(1);
    let mut load = bench.start_load(shape, requests, &stand.ports)?;
    let before = CpuReading::of(pid)?;
    let watch = Watch::start(pid, format!("{} {}", run.workload.name, run.subject.kind.name()), duration);
    let report = load.run(duration + GRACE);
    let resident_mib = watch.stop()?;
    let report = report.with_context(|| stand.complaint())?;
    let metrics = http::get(stand.ports.metrics_listen().parse()?, "/metrics")?;
    let of_buffer = |name: &str| gauge(&metrics, &format!("phoenix_processor_tail_sampling_buffer_{name}"));
    let lasts_s = of_buffer("headroom_seconds").context("it says how long memory lasts")?;
    let limit = of_buffer("limit_bytes").context("it says how much memory there is")?;
    std::thread::sleep(SETTLE);
    sample.set_cpu(CpuReading::of(pid)?.since(&before));
    sample.peak_mib = Some(procfs::peak_mib(pid)?);
    let offered = shape.waits_ms.unwrap_or_default() as f64 / 1e3 / lasts_s;
    sample.overload = Some(Overload {
        carried_items_per_s: report.items_per_s / offered,
        offered,
        not_retryable: report.failed - report.retryable,
        budget_mib: Some(limit * MEMORY_OF_LIVE / f64::from(1 << 20)),
        drift: watch::drift(&resident_mib),
        resident_mib,
    });
    sample.load = Some(report);
    stand.stop(&mut sample, DRAIN_TIMEOUT)?;
    Ok(Some(sample))
}
