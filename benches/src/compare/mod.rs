//! Runs collectors in turn between the same load and the same sink, and sets the figures beside the goals.
//!
//! Each round runs every subject once, the next round in reverse order, so that whatever else the machine
//! does meets all of them alike. Ratios pair a run with the null relay's of the same round.

mod buffer_overload;
mod cgroup;
mod connections;
mod elf;
mod goals;
mod http;
mod instructions;
mod load_process;
mod overload;
mod ports;
mod probe;
mod process;
mod procfs;
mod recovery;
mod report;
mod run;
mod sample;
mod sidecar;
mod stats;
mod subjects;
mod watch;
mod workloads;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Serialize;

use goals::GOALS;
use instructions::{COUNTED_ITEMS, Counter, NO_COUNTER};
use report::Instructions;
use run::{Bench, Run};
use sample::Sample;
use subjects::{Kind, Subject};
use workloads::{Measure, Variant, WORKLOADS, Workload};

/// What to compare and how thoroughly.
#[derive(Args, Clone, Debug)]
pub(crate) struct CompareOptions {
    /// The collector's binary.
    #[arg(long, default_value = "target/release/phoenix-collector")]
    collector: PathBuf,
    /// The static binary with the core components, whose size counts (`make dist-core`); if there is none, the collector's counts.
    #[arg(long, default_value = "dist/phoenix-core")]
    dist: PathBuf,
    /// Run only this workload; may be given several times.
    #[arg(long)]
    workload: Vec<String>,
    /// Rounds. Goals are stated for five at least.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Multiplies the number of requests.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Multiplies the number of requests for the peers, which use more CPU for each.
    #[arg(long, default_value_t = 0.25)]
    peer_scale: f64,
    /// Who takes part; those who are not on the machine are left out.
    #[arg(long, value_delimiter = ',', default_value = "null,phoenix,otelcol,rotel,vmagent")]
    subjects: Vec<Kind>,
    /// Count instructions per request too, where the machine can.
    #[arg(long)]
    instructions: bool,
    /// Number every record, so that losses and duplicates cannot cancel out.
    #[arg(long)]
    exact_ids: bool,
    /// Write all samples and goals to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// List the workloads and stop.
    #[arg(long)]
    list: bool,
}

/// Runs what `options` ask for and prints the tables.
///
/// # Errors
/// If the options make no sense or nothing can be run. A run that fails is reported and left out.
pub(crate) fn run(options: &CompareOptions) -> Result<()> {
    if options.list {
        for workload in WORKLOADS {
            println!("{:20} {}", workload.name, workload.about);
        }
        return Ok(());
    }
    let workloads = chosen(&options.workload)?;
    ensure!(options.runs > 0 && options.scale > 0.0 && options.peer_scale > 0.0, "nothing to run");
    let subjects = Subject::find(&options.subjects, &options.collector)?;
    let directory = tempfile::tempdir().context("no temporary directory")?;
    let bench = Bench {
        own: std::env::current_exe().context("cannot find this program")?,
        directory: directory.path().to_owned(),
        exact_ids: options.exact_ids,
        distributed: Some(options.dist.clone()).filter(|path| path.is_file()),
    };
    let mut results = Results::default();
    let conditions = headline(options, &bench);
    println!("{conditions}");
    for workload in &workloads {
        results.rounds(&bench, options, workload, &subjects);
        if options.instructions && workload.measure == Measure::Load {
            results.count_instructions(&bench, workload, &subjects);
        }
        println!("{}", report::workload_table(workload, &results.samples, &results.instructions));
    }
    println!("{}", report::goals_table(&results.samples, &workloads));
    for failure in &results.failures {
        println!("- failed: {failure}");
    }
    if let Some(file) = &options.json {
        results.write(file, &conditions)?;
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Workload>> {
    if names.is_empty() {
        return Ok(WORKLOADS.iter().collect());
    }
    names
        .iter()
        .map(|name| match WORKLOADS.iter().find(|workload| workload.name == name) {
            Some(workload) => Ok(workload),
            None => bail!("there is no workload {name}; --list shows them"),
        })
        .collect()
}

/// Under what conditions the figures came about.
fn headline(options: &CompareOptions, bench: &Bench) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut text = format!("{cores} cores, {} rounds, scale {}.", options.runs, options.scale);
    let sized = bench.distributed.as_deref().unwrap_or(&options.collector);
    if let Ok(file) = std::fs::read(sized) {
        let linked = match elf::is_static(&file) {
            Some(true) => "statically linked",
            Some(false) => "dynamically linked",
            None => "of an unknown format",
        };
        text.push_str(&format!(" The size is that of {}, {linked}.", sized.display()));
    }
    text.push('\n');
    text
}

#[derive(Debug, Default, Serialize)]
struct Results {
    samples: Vec<Sample>,
    instructions: Vec<Instructions>,
    failures: Vec<String>,
}

impl Results {
    fn rounds(&mut self, bench: &Bench, options: &CompareOptions, workload: &Workload, subjects: &[Subject]) {
        for round in 0..options.runs.min(workload.most_rounds) {
            let mut cases = cases(workload, subjects);
            if round % 2 == 1 {
                cases.reverse();
            }
            for (variant, subject) in cases {
                // Where there is a rate, a shorter load would be another one: less is held, and for less long.
                let is_shorter = subject.kind.is_peer() && variant.shape.rate.is_none();
                let scale = options.scale * if is_shorter { options.peer_scale } else { 1.0 };
                let run = Run { workload, variant, subject, round, scale };
                let label = format!(
                    "{} {}/{} {} {}",
                    workload.name,
                    round + 1,
                    options.runs,
                    subject.kind.name(),
                    variant.name
                );
                match bench.sample(&run) {
                    Ok(Some(sample)) => {
                        eprintln!("{}: {}", label.trim_end(), progress(&sample));
                        self.samples.push(sample);
                    }
                    Ok(None) => {}
                    Err(error) => self.fail(format!("{}: {error:#}", label.trim_end())),
                }
            }
        }
    }

    fn count_instructions(&mut self, bench: &Bench, workload: &Workload, subjects: &[Subject]) {
        let Some(counter) = Counter::find() else {
            return self.fail(NO_COUNTER.to_owned());
        };
        for (variant, subject) in cases(workload, subjects) {
            if subject.kind.is_peer() {
                continue;
            }
            match counter.per_request(bench, variant, subject, COUNTED_ITEMS) {
                Ok(Some(per_request)) => {
                    eprintln!(
                        "{} {} {}: {per_request:.0} instructions per request ({})",
                        workload.name,
                        subject.kind.name(),
                        variant.name,
                        counter.name()
                    );
                    self.instructions.push(Instructions {
                        workload: workload.name,
                        variant: variant.name,
                        subject: subject.kind,
                        per_request,
                    });
                }
                Ok(None) => {}
                Err(error) => {
                    self.fail(format!("{} {}, instructions: {error:#}", workload.name, subject.kind.name()));
                }
            }
        }
    }

    fn fail(&mut self, failure: String) {
        eprintln!("{failure}");
        self.failures.push(failure);
    }

    fn write(&self, file: &Path, conditions: &str) -> Result<()> {
        let goals: Vec<_> = GOALS
            .iter()
            .map(|goal| {
                let figure = goal.figure_of(&self.samples);
                serde_json::json!({
                    "workload": goal.workload,
                    "figure": goal.label(),
                    "bound": format!("{:?}", goal.bound),
                    "measured": figure,
                    "verdict": goal.verdict(figure),
                })
            })
            .collect();
        let all = serde_json::json!({ "conditions": conditions.trim(), "results": self, "goals": goals });
        let text = serde_json::to_string_pretty(&all)?;
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// Every variant with every subject that takes part in it.
fn cases<'a>(workload: &'a Workload, subjects: &'a [Subject]) -> Vec<(&'a Variant, &'a Subject)> {
    workload
        .variants
        .iter()
        .flat_map(|variant| subjects.iter().map(move |subject| (variant, subject)))
        .filter(|(variant, subject)| variant.subjects.contains(&subject.kind))
        .collect()
}

/// The figures of a run in a line.
fn progress(sample: &Sample) -> String {
    let mut figures = Vec::new();
    if let (Some(cpu), Some(load)) = (sample.cpu_per_million(), &sample.load) {
        figures.push(format!(
            "{cpu:.3} CPU s/M, {:.0} items/s, p99 {:.1} ms, lost {}, failed {}",
            load.items_per_s,
            load.p99_us as f64 / 1e3,
            sample.lost().unwrap_or_default(),
            load.failed
        ));
    }
    let mut figure = |name: &str, value: Option<f64>| {
        if let Some(value) = value {
            figures.push(format!("{name} {value:.2}"));
        }
    };
    figure("started in ms", sample.start_ms.filter(|_| sample.load.is_none()));
    figure("idle MiB", sample.idle_mib.filter(|_| sample.load.is_none()));
    figure("peak MiB", sample.peak_mib);
    figure("instructions per request", sample.instructions_per_request);
    figure("offered", sample.overload.as_ref().map(|overload| overload.offered));
    figure("drift", sample.overload.as_ref().and_then(|overload| overload.drift));
    figure("fresh KiB", sample.connections.map(|connections| connections.fresh_kib));
    figure("used KiB", sample.connections.map(|connections| connections.used_kib));
    figure("cores", sample.cores);
    figure("late p99 ms", sample.late_p99_ms());
    figure("stands for", sample.stands_for());
    figure("bytes held", sample.buffered_bytes);
    figures.join(", ")
}
