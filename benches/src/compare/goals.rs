//! The figures that Phoenix must show, as data.

use serde::Serialize;

use crate::compare::sample::{Sample, by_round};
use crate::compare::stats::Summary;
use crate::compare::subjects::Kind;

/// A figure of Phoenix in one workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// CPU time per item, as a ratio to the null relay's in the same round.
    CpuRatio,
    /// CPU time per item, as a ratio to a peer's in the same round.
    CpuAgainst(Kind),
    /// Most resident memory, as a ratio to a peer's in the same round.
    PeakAgainst(Kind),
    /// Most resident memory, in MiB.
    PeakMib,
    /// Throughput of one variant as a ratio to another's in the same round.
    Throughput { of: &'static str, against: &'static str },
    /// 99th percentile of the health endpoint's answers, in milliseconds.
    HealthP99Ms,
    /// Resident memory at rest, in MiB.
    IdleMib,
    /// From the start of the process to an open port, in milliseconds.
    StartMs,
    /// Size of the binary, in millions of bytes.
    SizeMb,
    /// Instructions for each request, of one variant as a ratio to another's in the same round.
    Instructions { of: &'static str, against: &'static str },
    /// Most resident memory, as a part of 1.15 times the budget and 32 MiB.
    PeakOfBudget,
    /// By what part resident memory differs between the halves of a run.
    MemoryDrift,
    /// Items sent, refused or not, as a ratio to what is carried.
    Offered,
    /// Requests that were refused or broke off.
    Failed,
    /// Refusals after which a sender may not try again, and broken connections.
    NotRetryable,
    /// Accepted items that did not arrive.
    Lost,
    /// Resident memory for each open connection before its first request, in KiB.
    FreshConnectionKib,
    /// Resident memory for each connection at rest after its first request, in KiB.
    UsedConnectionKib,
    /// CPU time over the time of the load.
    Cores,
    /// From a start with a backlog on disk until the first export, in milliseconds.
    FirstExportMs,
    /// Resident memory for each item that waits in the subject, in bytes.
    Buffered,
    /// The same as a ratio to a peer's in the same round.
    BufferedAgainst(Kind),
    /// By how much kept spans came later than they had to wait, at the 99th percentile, in milliseconds.
    LateP99Ms,
    /// Accepted spans with an error that did not arrive.
    LostErrors,
    /// By what part the number of spans, as those that arrived say it, differs from what was accepted.
    EstimateError,
}

/// What a figure has to stay within.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    /// The bound, for people.
    pub(crate) fn label(self) -> String {
        match self {
            AtMost(bound) => format!("≤ {}", (bound * 1e3).round() / 1e3),
            AtLeast(bound) => format!("≥ {bound}"),
        }
    }
}

/// A figure and its bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    pub(crate) workload: &'static str,
    pub(crate) figure: Figure,
    pub(crate) bound: Bound,
}

const fn goal(workload: &'static str, figure: Figure, bound: Bound) -> Goal {
    Goal { workload, figure, bound }
}

use Bound::{AtLeast, AtMost};
use Figure::{
    Buffered, BufferedAgainst, Cores, CpuAgainst, CpuRatio, EstimateError, Failed, FirstExportMs,
    FreshConnectionKib, HealthP99Ms, IdleMib, Instructions, LateP99Ms, Lost, LostErrors, MemoryDrift,
    NotRetryable, Offered, PeakAgainst, PeakMib, PeakOfBudget, SizeMb, StartMs, Throughput,
    UsedConnectionKib,
};

/// All goals.
pub(crate) const GOALS: &[Goal] = &[
    goal("traces-100", CpuRatio, AtMost(0.7)),
    goal("logs-100", CpuRatio, AtMost(0.7)),
    goal("metrics-100", CpuRatio, AtMost(0.7)),
    goal("traces-1000", CpuRatio, AtMost(0.8)),
    goal("traces-10", CpuRatio, AtMost(0.6)),
    goal("batch-traces-100", CpuRatio, AtMost(0.6)),
    goal("batch-logs-100", CpuRatio, AtMost(0.6)),
    goal("batch-metrics-100", CpuRatio, AtMost(0.6)),
    goal("batch-traces-10", CpuRatio, AtMost(0.35)),
    goal("traces-100", PeakMib, AtMost(16.0)),
    goal("logs-100", PeakMib, AtMost(16.0)),
    goal("metrics-100", PeakMib, AtMost(16.0)),
    goal("batch-traces-100", PeakMib, AtMost(32.0)),
    goal("batch-logs-100", PeakMib, AtMost(32.0)),
    goal("batch-metrics-100", PeakMib, AtMost(32.0)),
    goal("frames-16k", CpuRatio, AtMost(0.8)),
    goal("http-traces-100", CpuRatio, AtMost(0.5)),
    // What pass-through may cost, and 0.4 for the TLS.
    goal("mtls-traces-100", CpuRatio, AtMost(1.1)),
    goal("zstd", CpuRatio, AtMost(1.0)),
    goal("gzip", CpuRatio, AtMost(0.9)),
    goal("zstd-passthrough", CpuRatio, AtMost(0.5)),
    goal("traces-100", CpuAgainst(Kind::Otelcol), AtMost(1.0 / 6.0)),
    goal("batch-traces-100", CpuAgainst(Kind::Otelcol), AtMost(1.0 / 8.0)),
    goal("traces-100", PeakAgainst(Kind::Otelcol), AtMost(0.2)),
    goal("batch-traces-100", PeakAgainst(Kind::Otelcol), AtMost(0.2)),
    goal("logs-100", CpuAgainst(Kind::Otelcol), AtMost(1.0 / 6.0)),
    goal("batch-logs-100", CpuAgainst(Kind::Otelcol), AtMost(1.0 / 8.0)),
    goal("logs-100", PeakAgainst(Kind::Otelcol), AtMost(0.2)),
    goal("batch-logs-100", PeakAgainst(Kind::Otelcol), AtMost(0.2)),
    goal("metrics-100", CpuAgainst(Kind::Otelcol), AtMost(1.0 / 6.0)),
    goal("batch-metrics-100", CpuAgainst(Kind::Otelcol), AtMost(1.0 / 8.0)),
    goal("metrics-100", PeakAgainst(Kind::Otelcol), AtMost(0.2)),
    goal("batch-metrics-100", PeakAgainst(Kind::Otelcol), AtMost(0.2)),
    goal("json-traces-100", CpuAgainst(Kind::Otelcol), AtMost(1.0 / 8.0)),
    goal("resource-attributes", CpuRatio, AtMost(0.9)),
    goal("transform-3", CpuRatio, AtMost(1.1)),
    goal("filter-3", CpuRatio, AtMost(0.9)),
    goal("sampler-10", CpuRatio, AtMost(0.7)),
    goal("transform-50", CpuRatio, AtMost(2.0)),
    goal("aggregate-by", CpuRatio, AtMost(1.2)),
    goal("aggregate-tiers", CpuRatio, AtMost(1.8)),
    goal("aggregate-remote-write", CpuAgainst(Kind::Vmagent), AtMost(1.0 / 5.0)),
    goal("aggregate-remote-write", PeakAgainst(Kind::Vmagent), AtMost(1.0 / 3.0)),
    goal("interval", CpuAgainst(Kind::Otelcol), AtMost(1.0 / 5.0)),
    goal("interval", PeakAgainst(Kind::Otelcol), AtMost(1.0 / 3.0)),
    goal("remote-write", CpuRatio, AtMost(1.5)),
    goal("optimizer-drop-label", CpuRatio, AtMost(1.2)),
    goal("optimizer-limit", CpuRatio, AtMost(1.5)),
    // 100,000 x (200 B + 340 B of labels), and what pass-through takes.
    goal("optimizer-limit", PeakMib, AtMost(51.5 + 16.0)),
    goal("optimizer-chain", CpuAgainst(Kind::Otelcol), AtMost(1.0 / 6.0)),
    goal("traces-tail", CpuRatio, AtMost(0.9)),
    goal("traces-tail-20", CpuRatio, AtMost(1.2)),
    goal("traces-tail", CpuAgainst(Kind::Otelcol), AtMost(1.0 / 8.0)),
    goal("traces-tail", PeakAgainst(Kind::Otelcol), AtMost(0.25)),
    goal("traces-tail", LateP99Ms, AtMost(150.0)),
    goal("tail-overload", Offered, AtLeast(1.9)),
    goal("tail-overload", PeakOfBudget, AtMost(1.0)),
    goal("tail-overload", MemoryDrift, AtMost(0.1)),
    goal("tail-overload", NotRetryable, AtMost(0.0)),
    goal("tail-overload", LostErrors, AtMost(0.0)),
    goal("tail-overload", EstimateError, AtMost(0.03)),
    // Of 507 bytes on the wire: 1.15 times that, and 40.
    goal("tail-buffer", Buffered, AtMost(623.0)),
    goal("tail-buffer", BufferedAgainst(Kind::Otelcol), AtMost(0.25)),
    goal("resource-attributes", CpuAgainst(Kind::Otelcol), AtMost(1.0 / 5.0)),
    goal("transform-3", CpuAgainst(Kind::Otelcol), AtMost(1.0 / 5.0)),
    goal("filter-3", CpuAgainst(Kind::Otelcol), AtMost(1.0 / 5.0)),
    goal("sampler-10", CpuAgainst(Kind::Otelcol), AtMost(1.0 / 5.0)),
    goal("transform-50", CpuAgainst(Kind::Otelcol), AtMost(1.0 / 5.0)),
    goal("closed-loop", Throughput { of: "batch", against: "pass-through" }, AtLeast(0.8)),
    goal("closed-loop", Throughput { of: "delivered", against: "pass-through" }, AtLeast(0.8)),
    goal("connections", Throughput { of: "one", against: "many" }, AtLeast(0.8)),
    goal("health", HealthP99Ms, AtMost(50.0)),
    goal("idle", IdleMib, AtMost(8.0)),
    goal("idle", StartMs, AtMost(10.0)),
    goal("idle", SizeMb, AtMost(15.0)),
    goal("own-telemetry", Instructions { of: "normal", against: "none" }, AtMost(1.02)),
    goal("overload", Offered, AtLeast(1.9)),
    goal("overload", PeakOfBudget, AtMost(1.0)),
    goal("overload", PeakMib, AtMost(128.0)),
    goal("overload", MemoryDrift, AtMost(0.1)),
    goal("overload", NotRetryable, AtMost(0.0)),
    goal("overload", Lost, AtMost(0.0)),
    goal("idle-connections", FreshConnectionKib, AtMost(32.0)),
    goal("idle-connections", UsedConnectionKib, AtMost(32.0)),
    goal("idle-connections-mtls", UsedConnectionKib, AtMost(64.0)),
    goal("sidecar", Failed, AtMost(0.0)),
    goal("sidecar", Lost, AtMost(0.0)),
    goal("sidecar", PeakMib, AtMost(12.0)),
    goal("sidecar", Cores, AtMost(0.1)),
    goal("load-balancing", CpuRatio, AtMost(1.2)),
    goal("load-balancing", Lost, AtMost(0.0)),
    goal("persistent-queue", CpuRatio, AtMost(1.2)),
    goal("persistent-queue", Lost, AtMost(0.0)),
    goal("recovery", FirstExportMs, AtMost(1000.0)),
    goal("recovery", PeakMib, AtMost(64.0)),
    goal("recovery", Lost, AtMost(0.0)),
];

/// Whether a goal is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// In every round.
    Met,
    /// By the median, but not in every round.
    MetByMedian,
    Missed,
    /// There are no figures.
    NotMeasured,
}

impl Goal {
    /// The figure over all rounds; `None` if it was not measured.
    pub(crate) fn figure_of(&self, samples: &[Sample]) -> Option<Summary> {
        let mine: Vec<&Sample> = samples
            .iter()
            .filter(|sample| sample.workload == self.workload && sample.subject == Kind::Phoenix)
            .collect();
        let each = |value: fn(&Sample) -> Option<f64>| Summary::of(mine.iter().filter_map(|s| value(s)));
        match self.figure {
            CpuRatio => Summary::of(mine.iter().filter_map(|sample| sample.cpu_ratio(samples))),
            CpuAgainst(kind) => {
                Summary::of(mine.iter().filter_map(|sample| sample.cpu_against(kind, samples)))
            }
            PeakAgainst(kind) => {
                Summary::of(mine.iter().filter_map(|sample| sample.peak_against(kind, samples)))
            }
            Buffered => each(|sample| sample.buffered_bytes),
            LateP99Ms => each(Sample::late_p99_ms),
            LostErrors => each(|sample| Some(sample.lost_errors()? as f64)),
            EstimateError => each(|sample| Some((sample.stands_for()? - 1.0).abs())),
            BufferedAgainst(kind) => {
                Summary::of(mine.iter().filter_map(|sample| sample.buffered_against(kind, samples)))
            }
            PeakMib => each(|sample| sample.peak_mib),
            HealthP99Ms => each(|sample| sample.health_p99_ms),
            IdleMib => each(|sample| sample.idle_mib),
            StartMs => each(|sample| sample.start_ms),
            SizeMb => each(|sample| Some(sample.binary_bytes? as f64 / 1e6)),
            PeakOfBudget => each(Sample::peak_of_budget),
            MemoryDrift => each(|sample| sample.overload.as_ref()?.drift),
            Offered => each(|sample| Some(sample.overload.as_ref()?.offered)),
            Failed => each(|sample| Some(sample.failed()? as f64)),
            NotRetryable => each(|sample| Some(sample.overload.as_ref()?.not_retryable as f64)),
            Lost => each(|sample| Some(sample.lost()? as f64)),
            FreshConnectionKib => each(|sample| Some(sample.connections?.fresh_kib)),
            UsedConnectionKib => each(|sample| Some(sample.connections?.used_kib)),
            Cores => each(|sample| sample.cores),
            FirstExportMs => each(|sample| Some(sample.recovery?.first_export_ms)),
            Instructions { of, against } => {
                Summary::of(by_round(&mine, of, against).filter_map(|(of, against)| {
                    Some(of.instructions_per_request? / against.instructions_per_request?)
                }))
            }
            Throughput { of, against } => Summary::of(
                by_round(&mine, of, against)
                    .filter_map(|(of, against)| Some(of.items_per_s()? / against.items_per_s()?)),
            ),
        }
    }

    /// Compares a figure with the bound.
    pub(crate) fn verdict(&self, figure: Option<Summary>) -> Verdict {
        let Some(figure) = figure else { return Verdict::NotMeasured };
        let within = |value: f64| match self.bound {
            AtMost(bound) => value <= bound,
            AtLeast(bound) => value >= bound,
        };
        match (within(figure.median), within(figure.min) && within(figure.max)) {
            (true, true) => Verdict::Met,
            (true, false) => Verdict::MetByMedian,
            (false, _) => Verdict::Missed,
        }
    }

    /// What the figure is, for people.
    pub(crate) fn label(&self) -> String {
        match self.figure {
            CpuRatio => "CPU, ratio to the null relay".to_owned(),
            CpuAgainst(kind) => format!("CPU, ratio to {}'s", kind.name()),
            PeakAgainst(kind) => format!("peak memory, ratio to {}'s", kind.name()),
            Buffered => "memory for each item that waits, bytes".to_owned(),
            BufferedAgainst(kind) => format!("memory for each item that waits, ratio to {}'s", kind.name()),
            LateP99Ms => "kept spans after their wait, p99, ms".to_owned(),
            LostErrors => "accepted errors lost".to_owned(),
            EstimateError => "spans that what is kept stands for, error".to_owned(),
            PeakMib => "peak memory, MiB".to_owned(),
            Throughput { of, against } => format!("throughput, {of} to {against}"),
            HealthP99Ms => "health p99, ms".to_owned(),
            IdleMib => "idle memory, MiB".to_owned(),
            StartMs => "start to listening, ms".to_owned(),
            SizeMb => "binary, MB".to_owned(),
            Instructions { of, against } => format!("instructions per request, {of} to {against}"),
            PeakOfBudget => "peak memory, part of 1.15 × budget + 32 MiB".to_owned(),
            MemoryDrift => "memory, change between the halves".to_owned(),
            Offered => "load, ratio to what is carried".to_owned(),
            Failed => "requests refused or broken off".to_owned(),
            NotRetryable => "refusals that are not retryable".to_owned(),
            Lost => "accepted items lost".to_owned(),
            FreshConnectionKib => "memory for an open connection, KiB".to_owned(),
            UsedConnectionKib => "memory for a connection at rest, KiB".to_owned(),
            Cores => "CPU, cores".to_owned(),
            FirstExportMs => "start to first export, ms".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::connections::Connections;
    use crate::compare::overload::Overload;
    use crate::compare::recovery::Recovery;
    use crate::compare::sample::tests::sample;
    use crate::compare::workloads::WORKLOADS;

    #[test]
    fn every_goal_names_a_workload_and_its_variants() {
        for goal in GOALS {
            let workload = WORKLOADS.iter().find(|workload| workload.name == goal.workload).unwrap();
            if let Throughput { of, against } | Instructions { of, against } = goal.figure {
                for name in [of, against] {
                    assert!(workload.variants.iter().any(|variant| variant.name == name), "{name}");
                }
            }
        }
    }

    #[test]
    fn the_readme_has_the_goals_and_the_workloads() {
        let readme = include_str!("../../README.md");
        for goal in GOALS {
            let row = format!("| `{}` | {} | {} |", goal.workload, goal.label(), goal.bound.label());
            assert!(readme.contains(&row), "{row}");
        }
        for workload in WORKLOADS {
            let row = format!("| `{}` | {} |", workload.name, workload.about);
            assert!(readme.contains(&row), "{row}");
        }
    }

    #[test]
    fn ratios_pair_samples_of_the_same_round() {
        let samples = [
            sample("traces-100", "", Kind::Null, 0, 2.0),
            sample("traces-100", "", Kind::Phoenix, 0, 1.0),
            sample("traces-100", "", Kind::Null, 1, 4.0),
            sample("traces-100", "", Kind::Phoenix, 1, 3.0),
            sample("traces-100", "", Kind::Phoenix, 2, 9.0),
            sample("traces-10", "", Kind::Phoenix, 0, 9.0),
        ];
        let goal = &GOALS[0];
        let figure = goal.figure_of(&samples);
        assert_eq!(figure, Some(Summary { median: 0.625, min: 0.5, max: 0.75 }));
        assert_eq!(goal.verdict(figure), Verdict::MetByMedian);
        assert_eq!(goal.verdict(Summary::of([0.6])), Verdict::Met);
        assert_eq!(goal.verdict(Summary::of([0.8])), Verdict::Missed);
        assert_eq!(goal.verdict(goal.figure_of(&[])), Verdict::NotMeasured);
    }

    #[test]
    fn throughput_compares_variants_of_the_same_round() {
        let goal = GOALS.iter().find(|goal| goal.workload == "connections").unwrap();
        let samples = [
            sample("connections", "one", Kind::Phoenix, 0, 1.0),
            sample("connections", "many", Kind::Phoenix, 0, 1.0),
            sample("connections", "many", Kind::Null, 0, 1.0),
        ];
        assert_eq!(goal.figure_of(&samples), Summary::of([1.0]));
    }
    #[test]
    fn every_figure_of_overload_and_connections_is_read() {
        let mut overloaded = sample("overload", "", Kind::Phoenix, 0, 1.0);
        overloaded.peak_mib = Some(73.5);
        overloaded.overload = Some(Overload {
            carried_items_per_s: 1e3,
            offered: 2.0,
            not_retryable: 3,
            budget_mib: Some(100.0),
            drift: Some(0.05),
            resident_mib: vec![],
        });
        let mut connected = sample("idle-connections", "", Kind::Phoenix, 0, 1.0);
        connected.connections = Some(Connections { count: 10, fresh_kib: 8.0, used_kib: 9.0 });
        let mut beside = sample("sidecar", "", Kind::Phoenix, 0, 1.0);
        beside.cores = Some(0.07);
        let mut recovered = sample("recovery", "", Kind::Phoenix, 0, 1.0);
        recovered.recovery = Some(Recovery { backlog_mib: 1024.0, first_export_ms: 80.0, all_s: 3.0 });
        let samples = [overloaded, connected, beside, recovered];
        let figures = [
            ("overload", Offered, 2.0),
            ("overload", PeakOfBudget, 0.5),
            ("overload", MemoryDrift, 0.05),
            ("overload", NotRetryable, 3.0),
            ("overload", Lost, 10.0),
            ("idle-connections", FreshConnectionKib, 8.0),
            ("idle-connections", UsedConnectionKib, 9.0),
            ("sidecar", Failed, 0.0),
            ("sidecar", Cores, 0.07),
            ("recovery", FirstExportMs, 80.0),
        ];
        for (workload, figure, expected) in figures {
            let goal = GOALS.iter().find(|g| g.workload == workload && g.figure == figure).unwrap();
            assert_eq!(goal.figure_of(&samples), Summary::of([expected]), "{figure:?}");
        }
    }

    #[test]
    fn own_telemetry_compares_instructions_of_the_same_round() {
        let of = |variant, round, instructions| Sample {
            instructions_per_request: Some(instructions),
            ..sample("own-telemetry", variant, Kind::Phoenix, round, 1.0)
        };
        let samples =
            [of("normal", 0, 101.0), of("none", 0, 100.0), of("none", 1, 200.0), of("normal", 1, 206.0)];
        let goal = GOALS.iter().find(|goal| goal.workload == "own-telemetry").unwrap();
        let figure = goal.figure_of(&samples);
        assert_eq!(figure, Some(Summary { median: 1.02, min: 1.01, max: 1.03 }));
        assert_eq!(goal.verdict(figure), Verdict::MetByMedian);
    }
}
