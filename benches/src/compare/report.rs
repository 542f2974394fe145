//! Tables for people, in Markdown.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::compare::goals::{GOALS, Verdict};
use crate::compare::sample::Sample;
use crate::compare::stats::Summary;
use crate::compare::workloads::Workload;

/// Instructions per request of a subject in a workload.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Instructions {
    pub(crate) workload: &'static str,
    pub(crate) variant: &'static str,
    pub(crate) subject: crate::compare::subjects::Kind,
    pub(crate) per_request: f64,
}

const HEADINGS: [&str; 14] = [
    "",
    "CPU s/M",
    "ratio",
    "range",
    "items/s",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "peak MiB",
    "idle MiB",
    "start ms",
    "lost",
    "failed",
    "instr/req",
];

/// Columns that only some workloads or options fill.
const RARE_HEADINGS: [&str; 15] = [
    "duplicates",
    "health p99 ms",
    "health failed",
    "carried items/s",
    "offered",
    "not retryable",
    "budget MiB",
    "drift",
    "fresh KiB",
    "used KiB",
    "cores",
    "bytes held",
    "late p99 ms",
    "errors lost",
    "stands for",
];

/// The table of one workload: medians of its rounds.
pub(crate) fn workload_table(
    workload: &Workload,
    samples: &[Sample],
    instructions: &[Instructions],
) -> String {
    let mine: Vec<&Sample> = samples.iter().filter(|sample| sample.workload == workload.name).collect();
    let mut groups: Vec<_> = mine.iter().map(|sample| (sample.variant, sample.subject)).collect();
    groups.sort_by_key(|(variant, subject)| {
        (workload.variants.iter().position(|known| known.name == *variant), *subject)
    });
    groups.dedup();
    let mut headings = HEADINGS.map(str::to_owned).to_vec();
    headings.extend(RARE_HEADINGS.map(str::to_owned));
    let rows = groups.into_iter().map(|(variant, subject)| {
        let runs: Vec<&Sample> =
            mine.iter().filter(|s| s.variant == variant && s.subject == subject).copied().collect();
        let label = match variant {
            "" => subject.name().to_owned(),
            variant => format!("{}, {variant}", subject.name()),
        };
        let counted = instructions
            .iter()
            .find(|i| i.workload == workload.name && i.variant == variant && i.subject == subject)
            .map(|i| i.per_request)
            .or_else(|| Some(Summary::of(runs.iter().filter_map(|s| s.instructions_per_request))?.median));
        row(label, &runs, samples, counted)
    });
    let (headings, rows) = without_empty_columns(headings, rows.collect());
    let rounds = mine.iter().map(|sample| sample.round + 1).max().unwrap_or(0);
    let mut text = format!(
        "### {}\n\n{}; medians of {rounds} rounds\n\n{}",
        workload.name,
        workload.about,
        table(&headings, &rows)
    );
    let notes: BTreeSet<&str> = mine.iter().filter_map(|sample| sample.note.as_deref()).collect();
    for note in notes {
        // Writing to a string does not fail.
        _ = write!(text, "\n{note}\n");
    }
    text
}

fn row(label: String, runs: &[&Sample], all: &[Sample], instructions: Option<f64>) -> Vec<String> {
    let ratio = Summary::of(runs.iter().filter_map(|sample| sample.cpu_ratio(all)));
    let load = |value: fn(&crate::load::LoadReport) -> u64| {
        median(runs, |sample| Some(value(sample.load.as_ref()?) as f64 / 1e3))
    };
    vec![
        label,
        median(runs, Sample::cpu_per_million),
        number(ratio.map(|ratio| ratio.median)),
        ratio.map_or_else(dash, |ratio| format!("{}–{}", figure(ratio.min), figure(ratio.max))),
        median(runs, Sample::items_per_s),
        load(|load| load.p50_us),
        load(|load| load.p99_us),
        load(|load| load.p999_us),
        median(runs, |sample| sample.peak_mib),
        median(runs, |sample| sample.idle_mib),
        median(runs, |sample| sample.start_ms),
        total(runs, Sample::lost),
        total(runs, |sample| Some(sample.failed()?.cast_signed())),
        number(instructions),
        total(runs, |sample| Some(sample.sink.as_ref()?.ids?.duplicates.cast_signed())),
        median(runs, |sample| sample.health_p99_ms),
        total(runs, |sample| Some(sample.health_failed?.cast_signed())),
        median(runs, |sample| Some(sample.overload.as_ref()?.carried_items_per_s)),
        median(runs, |sample| Some(sample.overload.as_ref()?.offered)),
        total(runs, |sample| Some(sample.overload.as_ref()?.not_retryable.cast_signed())),
        median(runs, |sample| sample.overload.as_ref()?.budget_mib),
        median(runs, |sample| sample.overload.as_ref()?.drift),
        median(runs, |sample| Some(sample.connections?.fresh_kib)),
        median(runs, |sample| Some(sample.connections?.used_kib)),
        median(runs, |sample| sample.cores),
        median(runs, |sample| sample.buffered_bytes),
        median(runs, Sample::late_p99_ms),
        total(runs, Sample::lost_errors),
        median(runs, Sample::stands_for),
    ]
}

/// Leaves out the columns in which nobody has a figure.
fn without_empty_columns(headings: Vec<String>, rows: Vec<Vec<String>>) -> (Vec<String>, Vec<Vec<String>>) {
    let used: Vec<bool> =
        (0..headings.len()).map(|column| rows.iter().any(|row| row[column] != dash())).collect();
    let keep = |cells: Vec<String>| {
        cells.into_iter().zip(&used).filter(|(_, used)| **used).map(|(cell, _)| cell).collect()
    };
    (keep(headings), rows.into_iter().map(keep).collect())
}

/// The goals whose workloads were run, and what became of them.
pub(crate) fn goals_table(samples: &[Sample], ran: &[&Workload]) -> String {
    let headings = ["workload", "figure", "goal", "median", "range", "verdict"].map(str::to_owned);
    let rows: Vec<Vec<String>> = GOALS
        .iter()
        .filter(|goal| ran.iter().any(|workload| workload.name == goal.workload))
        .map(|goal| {
            let measured = goal.figure_of(samples);
            let verdict = match goal.verdict(measured) {
                Verdict::Met => "met",
                Verdict::MetByMedian => "met by the median",
                Verdict::Missed => "MISSED",
                Verdict::NotMeasured => "not measured",
            };
            vec![
                goal.workload.to_owned(),
                goal.label(),
                goal.bound.label(),
                number(measured.map(|summary| summary.median)),
                measured.map_or_else(dash, |s| format!("{}–{}", figure(s.min), figure(s.max))),
                verdict.to_owned(),
            ]
        })
        .collect();
    format!("### Goals\n\n{}", table(&headings, &rows))
}

fn median(runs: &[&Sample], value: impl Fn(&Sample) -> Option<f64>) -> String {
    number(Summary::of(runs.iter().filter_map(|sample| value(sample))).map(|summary| summary.median))
}

fn total(runs: &[&Sample], value: impl Fn(&Sample) -> Option<i64>) -> String {
    let values: Vec<i64> = runs.iter().filter_map(|sample| value(sample)).collect();
    if values.is_empty() { dash() } else { values.iter().sum::<i64>().to_string() }
}

fn dash() -> String {
    "–".to_owned()
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(dash, figure)
}

/// Three significant digits, whole numbers whole.
fn figure(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// A Markdown table with aligned columns, the first to the left and the others to the right.
fn table(headings: &[String], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| &row[column]).chain([&headings[column]]);
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(2)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let mut out = String::new();
    let mut line = |cells: &[String]| {
        for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let padding = " ".repeat(width - cell.chars().count());
            let (left, right) = if column == 0 { ("", padding.as_str()) } else { (padding.as_str(), "") };
            // Writing to a string does not fail.
            _ = write!(out, "| {left}{cell}{right} ");
        }
        out.push_str("|\n");
    };
    line(headings);
    let rule: Vec<String> = widths
        .iter()
        .enumerate()
        .map(
            |(column, width)| {
                if column == 0 { "-".repeat(*width) } else { format!("{}:", "-".repeat(width - 1)) }
            },
        )
        .collect();
    line(&rule);
    for row in rows {
        line(row);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::sample::tests::sample;
    use crate::compare::subjects::Kind;
    use crate::compare::workloads::WORKLOADS;

    #[test]
    fn figures_have_three_digits() {
        for (value, text) in [(0.0456, "0.046"), (1.234, "1.23"), (12.34, "12.3"), (123_456.7, "123457")] {
            assert_eq!(figure(value), text);
        }
    }

    #[test]
    fn a_table_has_a_row_for_each_subject_with_its_ratio_and_losses() {
        let samples =
            [sample("traces-100", "", Kind::Phoenix, 0, 1.0), sample("traces-100", "", Kind::Null, 0, 2.0)];
        let text = workload_table(&WORKLOADS[0], &samples, &[]);
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(rows.len(), 4, "{text}");
        assert!(rows[2].starts_with("| null relay |"));
        let cells: Vec<&str> = rows[3].split('|').map(str::trim).collect();
        assert_eq!(cells[1..6], ["phoenix", "1.00", "0.500", "0.500–0.500", "1000000"]);
        assert_eq!(cells[12..14], ["10", "0"]);
        assert!(!text.contains("health") && !text.contains("duplicates"), "{text}");
        let widths: std::collections::BTreeSet<usize> = rows.iter().map(|row| row.chars().count()).collect();
        assert_eq!(widths.len(), 1, "{text}");
    }

    #[test]
    fn rare_columns_and_notes_are_there_where_a_run_has_them() {
        let limited = |round| Sample {
            cores: Some(0.07),
            note: Some("without limits".to_owned()),
            ..sample("sidecar", "", Kind::Phoenix, round, 1.0)
        };
        let workload = WORKLOADS.iter().find(|workload| workload.name == "sidecar").unwrap();
        let text = workload_table(workload, &[limited(0), limited(1)], &[]);
        assert!(text.contains("| cores |") && text.contains("| 0.070 |"), "{text}");
        assert!(text.ends_with("|\n\nwithout limits\n"), "{text}");
        assert!(!text.contains("drift"), "{text}");
    }

    #[test]
    fn goals_are_shown_for_what_ran() {
        let samples =
            [sample("traces-100", "", Kind::Phoenix, 0, 1.0), sample("traces-100", "", Kind::Null, 0, 1.2)];
        let text = goals_table(&samples, &[&WORKLOADS[0]]);
        assert!(text.contains("MISSED") && text.contains("| met |") || text.contains(" met |"), "{text}");
        assert!(!text.contains("closed-loop"));
    }
}
