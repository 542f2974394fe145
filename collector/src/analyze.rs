//! `analyze`: what a stream of metrics costs, and which rules would save the most.

mod documents;
mod listen;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context as _, ensure};
use phoenix_analytics::{Bounds, Report, Survey, yaml};
use phoenix_component::BuildInfo;
use phoenix_component::factory::Registry;

use crate::cli::{Analyze, Sources};
use documents::Documents;

/// What people read under the options.
pub(crate) const HELP: &str = "Examples:
  phoenix-collector analyze --duration 10m                     # send OTLP to localhost:4317 or :4318
  phoenix-collector analyze --input metrics.json
  phoenix-collector analyze --input metrics.json --rules > catalog.yaml

A file holds requests in OTLP/JSON, one after the other, or in protobuf with a length of four bytes before each, as the
file exporter writes both, or one request in protobuf. Nothing is sent on: to look at a stream that runs, add an exporter
to its pipeline that sends here. Counts of more than 128 are estimates, with 1.6 % standard error.

Exit codes: 0 it was analyzed; 1 a mistake in the input, or the port is taken.";

/// Looks at metrics from a file or from the network, and reports.
///
/// # Errors
/// What is wrong with the input, why the listener cannot start, or that no metrics came.
pub(crate) fn analyze(
    asked: &Analyze,
    sources: &Sources,
    build: BuildInfo,
    registry: Registry,
) -> anyhow::Result<String> {
    let survey = match &asked.input {
        Some(path) => of_file(path)?,
        None => listen::survey(asked, sources, build, registry)?,
    };
    let report = survey.report(asked.top);
    ensure!(report.totals.points > 0, "no metrics came");
    told(asked, &report)
}

fn told(asked: &Analyze, report: &Report) -> anyhow::Result<String> {
    if asked.rules {
        return Ok(yaml(&report.proposals));
    }
    if asked.json {
        return Ok(serde_json::to_string_pretty(report)? + "\n");
    }
    Ok(report.to_string())
}

fn survey() -> Survey {
    Survey::new(Bounds::default(), rand::random())
}

fn of_file(path: &Path) -> anyhow::Result<Survey> {
    let name = path.display().to_string();
    let input: Box<dyn BufRead> = match path.as_os_str() == "-" {
        true => Box::new(BufReader::new(std::io::stdin())),
        false => Box::new(BufReader::new(File::open(path).with_context(|| name.clone())?)),
    };
    let mut survey = survey();
    for request in Documents::new(input) {
        let payload = request.with_context(|| name.clone())?;
        payload.pieces().for_each(|piece| survey.observe(piece));
    }
    Ok(survey)
}
