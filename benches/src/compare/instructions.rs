//! Instructions per request: figures that a busy machine does not blur.
//!
//! Where the CPU's counters can be read, `perf` counts the user-space instructions of a subject during a load.
//! Elsewhere `valgrind --tool=callgrind` runs the subject twice, with few and with more requests: the
//! difference is what the requests cost, start and stop left out.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::compare::process::{Process, STOP_TIMEOUT};
use crate::compare::run::{Bench, Run, shape_for};
use crate::compare::sample::Sample;
use crate::compare::subjects::Subject;
use crate::compare::workloads::{Shape, Variant};

/// valgrind runs one thread at a time, some fifty times slower than the machine does.
const SLOW_TIMEOUT: Duration = Duration::from_secs(300);
const PERF_TIMEOUT: Duration = Duration::from_secs(600);
/// Items of a counted load: enough that a request's own cost dwarfs chance.
pub(crate) const COUNTED_ITEMS: u64 = 20_000;
/// The same where a difference of a hundredth counts.
const FINELY_COUNTED_ITEMS: u64 = 100_000;
/// What is wrong without a counter.
pub(crate) const NO_COUNTER: &str = "instructions cannot be counted here: neither perf nor valgrind works";

/// How instructions are counted here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    Perf,
    Callgrind,
}

impl Counter {
    /// The best that works here; `None` if nothing does.
    pub(crate) fn find() -> Option<Counter> {
        let perf = Command::new("perf")
            .args(["stat", "-x,", "-e", "instructions:u", "true"])
            .stdout(Stdio::null())
            .output();
        if perf.is_ok_and(|output| parse_perf(&String::from_utf8_lossy(&output.stderr)).is_some()) {
            return Some(Counter::Perf);
        }
        let mut valgrind = Command::new("valgrind");
        valgrind.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        valgrind.status().is_ok_and(|status| status.success()).then_some(Counter::Callgrind)
    }

    /// The name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Counter::Perf => "perf, user space",
            Counter::Callgrind => "callgrind",
        }
    }

    /// Instructions of the subject per request, over a load of at least `items`; `None` if it cannot run the variant.
    pub(crate) fn per_request(
        self,
        bench: &Bench,
        variant: &Variant,
        subject: &Subject,
        items: u64,
    ) -> Result<Option<f64>> {
        let shape = counted_shape(shape_for(subject.kind, variant.shape));
        let few = (items / shape.items as u64 / 4).max(10);
        match self {
            Counter::Perf => with_perf(bench, variant, subject, shape, few * 20),
            Counter::Callgrind => {
                let Some(less) = with_callgrind(bench, variant, subject, shape, few)? else {
                    return Ok(None);
                };
                let Some(more) = with_callgrind(bench, variant, subject, shape, few * 5)? else {
                    return Ok(None);
                };
                Ok(Some(more.saturating_sub(less) as f64 / (few * 4) as f64))
            }
        }
    }
}

/// Counts the instructions of a request.
///
/// # Errors
/// If the machine cannot count.
pub(crate) fn sample(bench: &Bench, run: &Run<'_>) -> Result<Option<Sample>> {
    let counter = Counter::find().context(NO_COUNTER)?;
    let counted = counter.per_request(bench, run.variant, run.subject, FINELY_COUNTED_ITEMS)?;
    Ok(counted.map(|counted| Sample {
        instructions_per_request: Some(counted),
        note: Some(format!("instructions are counted by {}", counter.name())),
        ..Sample::new(run)
    }))
}

fn counted_shape(shape: Shape) -> Shape {
    Shape { connections: 2, in_flight: 4, prepared: shape.prepared.min(8), ..shape }
}

fn with_perf(
    bench: &Bench,
    variant: &Variant,
    subject: &Subject,
    shape: Shape,
    requests: u64,
) -> Result<Option<f64>> {
    let Some(mut stand) = bench.stand(variant, subject, &[])? else { return Ok(None) };
    let mut load = bench.start_load(shape, requests, &stand.ports)?;
    let log = bench.directory.join("perf.log");
    let pid = stand.subject.pid().to_string();
    let arguments = ["stat", "-x,", "-e", "instructions:u", "-p", &pid];
    let mut perf = Process::start(Path::new("perf"), &arguments, &[], &log, false)?;
    // perf says nothing when it is attached.
    std::thread::sleep(Duration::from_millis(500));
    let report = load.run(PERF_TIMEOUT)?;
    perf.signal("INT")?;
    perf.wait(STOP_TIMEOUT)?;
    stand.subject.stop(STOP_TIMEOUT)?;
    let instructions = parse_perf(&std::fs::read_to_string(&log)?).context("perf counted nothing")?;
    Ok(Some(instructions as f64 / report.accepted_requests as f64))
}

fn with_callgrind(
    bench: &Bench,
    variant: &Variant,
    subject: &Subject,
    shape: Shape,
    requests: u64,
) -> Result<Option<u64>> {
    let out = bench.directory.join("callgrind.out");
    let wrapper = [
        "valgrind".to_owned(),
        "--tool=callgrind".to_owned(),
        format!("--callgrind-out-file={}", out.display()),
    ];
    let Some(mut stand) = bench.stand(variant, subject, &wrapper)? else { return Ok(None) };
    let report = bench.start_load(shape, requests, &stand.ports)?.run(SLOW_TIMEOUT)?;
    ensure!(report.accepted_requests == requests, "only {} requests were taken", report.accepted_requests);
    ensure!(stand.subject.stop(SLOW_TIMEOUT)?, "{} did not stop", subject.kind.name());
    let text = std::fs::read_to_string(&out).context("callgrind wrote nothing")?;
    Ok(Some(parse_callgrind(&text).context("callgrind counted nothing")?))
}

/// The count in `perf stat -x,`: the first field of the event's line.
fn parse_perf(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains("instructions"))?;
    line.split(',').next()?.parse().ok()
}

/// The total in a callgrind file.
fn parse_callgrind(text: &str) -> Option<u64> {
    let total = |key| text.lines().rev().find_map(|line| line.strip_prefix(key));
    total("totals:").or_else(|| total("summary:"))?.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_counters_print() {
        assert_eq!(parse_perf("# started\n\n123456,,instructions:u,1000,100.00,,\n"), Some(123_456));
        assert_eq!(parse_perf("<not supported>,,instructions:u,0,100.00,,\n"), None);
        assert_eq!(parse_perf(""), None);
        assert_eq!(parse_callgrind("events: Ir\nsummary: 5\n\ntotals: 987654\n"), Some(987_654));
        assert_eq!(parse_callgrind("events: Ir\nsummary: 5\n"), Some(5));
        assert_eq!(parse_callgrind("events: Ir\n"), None);
    }
}
