//! More load than the backend takes, for minutes: memory must stay flat and bounded, refusals must be such that
//! senders try again, and what was accepted must arrive.
//!
//! The sink is the bottleneck, by waiting rather than by work, so that a machine of two cores has room for load and
//! collector at twice the rate. A closed loop in front of a fresh collector finds what rate is carried, by what arrives; then another
//! fresh one gets an open loop at twice that rate, which does not slow down when requests are refused.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::compare::http;
use crate::compare::procfs::{self, CpuReading};
use crate::compare::run::{Bench, LOAD_TIMEOUT, REST, Run, SETTLE};
use crate::compare::sample::Sample;
use crate::compare::watch::{self, Watch};
use crate::compare::workloads::{Shape, UNTIL_FULL};

/// At scale 1.
const DURATION: Duration = Duration::from_secs(300);
const TIMES_CARRIED: f64 = 2.0;
/// The rest of a load whose last requests wait.
const GRACE: Duration = Duration::from_secs(120);
/// A full budget goes out at the backend's pace when the collector stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

/// What a run under too much load showed, beside the figures that every load has.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Overload {
    /// Items a second that the backend behind this collector takes.
    pub(crate) carried_items_per_s: f64,
    /// Items a second that were sent, refused or not, as a ratio to that.
    pub(crate) offered: f64,
    /// Refusals after which a sender may not try again, and broken connections.
    pub(crate) not_retryable: u64,
    /// The bytes that the collector allows itself, where it says so.
    pub(crate) budget_mib: Option<f64>,
    /// See `watch::drift`.
    pub(crate) drift: Option<f64>,
    /// Resident memory over time, evenly spaced.
    pub(crate) resident_mib: Vec<f64>,
}

impl Overload {
    /// What resident memory may reach for this budget, in MiB.
    pub(crate) fn bound_mib(&self) -> Option<f64> {
        Some(1.15 * self.budget_mib? + 32.0)
    }
}

/// Finds the rate that is carried, then sends twice as much.
pub(crate) fn sample(bench: &Bench, run: &Run<'_>) -> Result<Option<Sample>> {
    let Some(carried_items_per_s) = carried(bench, run)? else { return Ok(None) };
    let Some(stand) = bench.stand(run.variant, run.subject, &[])? else { return Ok(None) };
    let mut sample = stand.at_rest(bench, run, REST)?;
    let pid = stand.subject.pid();
    let duration = DURATION.mul_f64(run.scale);
    let per_s = requests_per_s(carried_items_per_s, run.variant.shape.items);
    let shape = Shape { rate: Some(per_s), retry: false, ..run.shape() };
    // Less than a billion.
    let requests = ((f64::from(per_s) * duration.as_secs_f64()).round() as u64).max(1);
    let label = format!("{} {}", run.workload.name, run.subject.kind.name());
    eprintln!("  {label}: {carried_items_per_s:.0} items/s are carried, {per_s} requests/s are sent");
    let mut load = bench.start_load(shape, requests, &stand.ports)?;
    let before = CpuReading::of(pid)?;
    let watch = Watch::start(pid, label, duration);
    let report = load.run(duration + GRACE);
    let resident_mib = watch.stop()?;
    let report = report.with_context(|| stand.complaint())?;
    let budget_mib = budget_mib(&stand.ports.metrics_listen());
    std::thread::sleep(SETTLE);
    sample.set_cpu(CpuReading::of(pid)?.since(&before));
    sample.peak_mib = Some(procfs::peak_mib(pid)?);
    let sent = (report.accepted_requests + report.failed) as f64 * shape.items as f64;
    sample.overload = Some(Overload {
        carried_items_per_s,
        offered: sent / report.wall_s / carried_items_per_s,
        not_retryable: report.failed - report.retryable,
        budget_mib,
        drift: watch::drift(&resident_mib),
        resident_mib,
    });
    sample.load = Some(report);
    stand.stop(&mut sample, DRAIN_TIMEOUT)?;
    Ok(Some(sample))
}

/// Items a second that arrive behind the subject while a closed loop keeps it full.
fn carried(bench: &Bench, run: &Run<'_>) -> Result<Option<f64>> {
    let Some(stand) = bench.stand(run.variant, run.subject, &[])? else { return Ok(None) };
    let mut sample = stand.at_rest(bench, run, REST)?;
    let report = bench.start_load(UNTIL_FULL, UNTIL_FULL.requests, &stand.ports)?.run(LOAD_TIMEOUT);
    sample.load = Some(report.with_context(|| stand.complaint())?);
    stand.stop(&mut sample, DRAIN_TIMEOUT)?;
    let arrived = sample.sink.context("the sink counted nothing")?;
    Ok(Some(arrived.items_per_s().context("too little arrived to tell a rate")?))
}

fn requests_per_s(carried_items_per_s: f64, items: usize) -> u32 {
    // Saturates, and is above zero.
    ((carried_items_per_s * TIMES_CARRIED / items as f64).round() as u32).max(1)
}

/// The budget that the subject shows among its own metrics; `None` if it has none.
fn budget_mib(address: &str) -> Option<f64> {
    let address: SocketAddr = address.parse().ok()?;
    Some(gauge(&http::get(address, "/metrics").ok()?, "phoenix_budget_limit")? / f64::from(1 << 20))
}

/// The value of a metric without labels of interest, in Prometheus' text form.
pub(crate) fn gauge(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| {
        line.strip_prefix(name).filter(|rest| rest.starts_with('{') || rest.starts_with(' '))
    })?;
    rest.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::workloads::config_text;

    #[test]
    fn reads_a_gauge() {
        let text = "# TYPE phoenix_budget_limit gauge\nphoenix_budget_limit_x 3\nphoenix_budget_limit{a=\"b c\"} 1e+06\n";
        assert_eq!(gauge(text, "phoenix_budget_limit"), Some(1e6));
        assert_eq!(gauge("phoenix_budget_limit 5\n", "phoenix_budget_limit"), Some(5.0));
        assert_eq!(gauge(text, "phoenix_budget"), None);
    }

    #[test]
    fn twice_of_what_is_carried_in_whole_requests() {
        assert_eq!(requests_per_s(40_000.0, 100), 800);
        assert_eq!(requests_per_s(0.1, 100), 1);
    }

    #[test]
    fn the_goal_is_the_limit_of_the_configuration() {
        assert!(config_text("overload").unwrap().contains(" limit_mib: 128\n"));
    }
}
