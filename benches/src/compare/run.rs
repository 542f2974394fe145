//! One run of one subject: sink, subject, load, figures.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::client::{FrameSize, Protocol};
use crate::compare::ports::Ports;
use crate::compare::probe::Probe;
use crate::compare::process::{self, Process, STOP_TIMEOUT};
use crate::compare::procfs::{self, CpuReading};
use crate::compare::sample::Sample;
use crate::compare::stats;
use crate::compare::subjects::{Kind, Subject};
use crate::compare::workloads::{Measure, Shape, Variant, Workload, config_text};
use crate::ledger::SinkReport;
use crate::load::LoadReport;

/// How long a subject may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// A load that takes longer is given up.
const LOAD_TIMEOUT: Duration = Duration::from_secs(600);
/// Rest before the load, after which memory counts as idle.
const REST: Duration = Duration::from_millis(300);
/// The same where nothing but rest is measured.
const LONG_REST: Duration = Duration::from_millis(1500);
/// After the load: longer than a batch waits, so that its last export is in the CPU time.
const SETTLE: Duration = Duration::from_millis(600);
const START_ATTEMPTS: usize = 3;

/// What all runs share.
#[derive(Clone, Debug)]
pub(crate) struct Bench {
    /// This program, for `load` and `sink`.
    pub(crate) own: PathBuf,
    /// Where logs and configurations go.
    pub(crate) directory: PathBuf,
    /// Number each record and let the sink tell them apart.
    pub(crate) exact_ids: bool,
    /// The file whose size counts as Phoenix's, if it is not the one that runs.
    pub(crate) distributed: Option<PathBuf>,
}

/// A subject that listens, and the sink behind it.
pub(crate) struct Stand {
    pub(crate) ports: Ports,
    pub(crate) sink: Process,
    pub(crate) subject: Process,
    pub(crate) start: Duration,
}

impl Bench {
    /// Runs `variant` once; `None` if the subject cannot do it.
    ///
    /// # Errors
    /// If a process cannot be started, ends early, or the load does not come to its end.
    pub(crate) fn sample(
        &self,
        workload: &Workload,
        variant: &Variant,
        subject: &Subject,
        round: usize,
        requests: u64,
    ) -> Result<Option<Sample>> {
        let shape = shape_for(subject.kind, variant.shape);
        let Some(mut stand) = self.stand(variant, subject, shape.protocol, &[])? else { return Ok(None) };
        std::thread::sleep(if workload.measure == Measure::Idle { LONG_REST } else { REST });
        let pid = stand.subject.pid();
        let mut sample = Sample {
            workload: workload.name,
            variant: variant.name,
            subject: subject.kind,
            round,
            start_ms: stand.start.as_secs_f64() * 1e3,
            idle_mib: procfs::resident_mib(pid)?,
            binary_bytes: self.binary_bytes(subject)?,
            stopped_in_time: false,
            peak_mib: None,
            cpu_s: None,
            cpu_source: None,
            load: None,
            sink: None,
            health_p99_ms: None,
            health_failed: None,
        };
        if workload.measure != Measure::Idle {
            let health = (workload.measure == Measure::Health).then(|| stand.ports.health_listen());
            if let Some(address) = &health {
                stand.subject.wait_for_port(address, START_TIMEOUT)?;
            }
            let mut load = self.start_load(shape, requests, &stand.ports)?;
            let before = CpuReading::of(pid)?;
            let probe = health.as_deref().map(Probe::start).transpose()?;
            let report = load.run(LOAD_TIMEOUT);
            let answers = probe.map(Probe::stop).transpose()?;
            let report =
                report.with_context(|| format!("the subject says: {}", stand.subject.last_lines()))?;
            std::thread::sleep(SETTLE);
            let (cpu_s, source) = CpuReading::of(pid)?.since(&before);
            (sample.cpu_s, sample.cpu_source) = (Some(cpu_s), Some(source));
            sample.peak_mib = Some(procfs::peak_mib(pid)?);
            sample.load = Some(report);
            if let Some(answers) = answers {
                sample.health_failed = Some(answers.failed);
                sample.health_p99_ms = stats::quantile(answers.millis, 0.99);
            }
        }
        sample.stopped_in_time = stand.subject.stop(STOP_TIMEOUT)?;
        sample.sink = Some(stop_sink(&mut stand.sink)?).filter(|_| sample.load.is_some());
        Ok(Some(sample))
    }

    /// Starts a sink and a subject, under the program and arguments in `wrapper` if there are any.
    pub(crate) fn stand(
        &self,
        variant: &Variant,
        subject: &Subject,
        protocol: Protocol,
        wrapper: &[String],
    ) -> Result<Option<Stand>> {
        let mut attempt = 1;
        loop {
            match self.try_stand(variant, subject, protocol, wrapper) {
                Err(error) if attempt < START_ATTEMPTS => {
                    eprintln!("starting again: {error:#}");
                    attempt += 1;
                }
                stand => return stand,
            }
        }
    }

    fn try_stand(
        &self,
        variant: &Variant,
        subject: &Subject,
        protocol: Protocol,
        wrapper: &[String],
    ) -> Result<Option<Stand>> {
        let ports = Ports::pick()?;
        let config = self.config_file(variant.config)?;
        let Some(arguments) = subject.arguments(variant.config, &config, &ports) else { return Ok(None) };
        let sink = self.start_sink(&ports)?;
        let mut command: Vec<_> = wrapper.iter().map(std::ffi::OsString::from).collect();
        command.push(subject.program.clone().into());
        command.extend(arguments);
        let log = self.directory.join(format!("{}.log", subject.kind.name().replace(' ', "-")));
        let program = PathBuf::from(command.remove(0));
        let mut process = Process::start(&program, &command, &ports.environment(), &log, false)?;
        let address = match protocol {
            Protocol::Grpc => ports.grpc_listen(),
            Protocol::Http => ports.http_listen(),
        };
        let start = process.wait_for_port(&address, START_TIMEOUT)?;
        Ok(Some(Stand { ports, sink, subject: process, start }))
    }

    fn config_file(&self, name: &str) -> Result<PathBuf> {
        let text = config_text(name).with_context(|| format!("no configuration {name}"))?;
        let file = self.directory.join(format!("{name}.yaml"));
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    fn start_sink(&self, ports: &Ports) -> Result<Process> {
        let mut arguments =
            vec!["sink".to_owned(), "--grpc".to_owned(), ports.grpc_target(), "--http".to_owned()];
        arguments.push(ports.http_target());
        if self.exact_ids {
            arguments.push("--ids".to_owned());
        }
        let mut sink = Process::start(&self.own, &arguments, &[], &self.directory.join("sink.log"), true)?;
        sink.wait_for_port(&ports.grpc_target(), START_TIMEOUT)?;
        Ok(sink)
    }

    /// Starts a load, which builds its requests, connects, and waits.
    pub(crate) fn start_load(&self, shape: Shape, requests: u64, ports: &Ports) -> Result<Load> {
        let endpoint = match shape.protocol {
            Protocol::Grpc => ports.grpc_listen(),
            Protocol::Http => ports.http_listen(),
        };
        let mut arguments = load_arguments(shape, requests, &endpoint);
        if self.exact_ids {
            arguments.push("--unique-ids".to_owned());
        }
        let log = self.directory.join("load.log");
        let mut process = Process::start(&self.own, &arguments, &[], &log, true)?;
        let mut output = process.output()?;
        let line = process::read_line(&mut output).with_context(|| process.last_lines())?;
        ensure!(line.trim() == "ready", "the load says {line:?}");
        Ok(Load { process, output })
    }

    fn binary_bytes(&self, subject: &Subject) -> Result<u64> {
        let distributed = self.distributed.as_deref().filter(|_| subject.kind == Kind::Phoenix);
        file_bytes(distributed.unwrap_or(&subject.program))
    }
}

/// A load that waits to begin.
pub(crate) struct Load {
    process: Process,
    output: std::io::BufReader<std::process::ChildStdout>,
}

impl Load {
    /// Lets it run to its end.
    pub(crate) fn run(&mut self, timeout: Duration) -> Result<LoadReport> {
        self.process.send_line()?;
        let Some(status) = self.process.wait(timeout)? else {
            bail!("the load was not through after {} s", timeout.as_secs())
        };
        ensure!(status.success(), "the load failed: {}", self.process.last_lines());
        let report: LoadReport = process::read_json(&mut self.output)?;
        if report.failed > 0 {
            eprintln!("  {} failed: {}", report.failed, self.process.last_lines());
        }
        Ok(report)
    }
}

/// Stops a sink and reads what it counted.
pub(crate) fn stop_sink(sink: &mut Process) -> Result<SinkReport> {
    let mut output = sink.output()?;
    ensure!(sink.stop(STOP_TIMEOUT)?, "the sink did not stop: {}", sink.last_lines());
    process::read_json(&mut output)
}

/// The null relay speaks gRPC only.
pub(crate) fn shape_for(kind: Kind, shape: Shape) -> Shape {
    match kind {
        Kind::Null => Shape { protocol: Protocol::Grpc, ..shape },
        _ => shape,
    }
}

fn file_bytes(path: &Path) -> Result<u64> {
    Ok(std::fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?.len())
}

fn load_arguments(shape: Shape, requests: u64, endpoint: &str) -> Vec<String> {
    let mut arguments = vec!["load".to_owned(), "--wait".to_owned()];
    let mut option = |name: &str, value: String| {
        arguments.push(format!("--{name}"));
        arguments.push(value);
    };
    option("endpoint", endpoint.to_owned());
    option("protocol", if shape.protocol == Protocol::Grpc { "grpc" } else { "http" }.to_owned());
    option("signal", shape.signal.name().to_owned());
    option("items", shape.items.to_string());
    option("requests", requests.to_string());
    option("connections", shape.connections.to_string());
    option("in-flight", shape.in_flight.to_string());
    option("variants", shape.prepared.to_string());
    option("frame-size", if shape.frame_size == FrameSize::Peer { "peer" } else { "16k" }.to_owned());
    option("encoding", shape.encoding.name().to_owned());
    option("compression", shape.compression.header().unwrap_or("none").to_owned());
    if let Some(bytes) = shape.request_bytes {
        option("request-bytes", bytes.to_string());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;
    use crate::compare::workloads::WORKLOADS;
    use crate::load::LoadOptions;

    #[test]
    fn the_load_understands_what_it_is_given() {
        for variant in WORKLOADS.iter().flat_map(|workload| workload.variants) {
            let arguments = load_arguments(variant.shape, 7, "127.0.0.1:1");
            let matches = LoadOptions::augment_args(Command::new("load")).get_matches_from(&arguments);
            let options = LoadOptions::from_arg_matches(&matches).unwrap();
            assert_eq!((options.requests, options.wait), (7, true));
            assert_eq!(options.protocol, variant.shape.protocol);
            assert_eq!(options.frame_size, variant.shape.frame_size);
            assert_eq!(options.compression, variant.shape.compression);
        }
    }
}
