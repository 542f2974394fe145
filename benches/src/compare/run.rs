//! One run of one subject: sink, subject, load, figures.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::client::Protocol;
use crate::compare::ports::{Ports, Storage};
use crate::compare::probe::Probe;
use crate::compare::process::{self, Process, STOP_TIMEOUT};
use crate::compare::procfs::{self, CpuReading};
use crate::compare::sample::Sample;
use crate::compare::stats;
use crate::compare::subjects::{Kind, Subject, config_for};
use crate::compare::workloads::{Measure, Shape, Variant, Workload, config_text};
use crate::compare::{buffer_overload, connections, instructions, overload, recovery, sidecar};
use crate::ledger::SinkReport;
use crate::tls;

/// How long a subject may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// A load that takes longer is given up.
pub(crate) const LOAD_TIMEOUT: Duration = Duration::from_secs(600);
/// Rest before the load, after which memory counts as idle.
pub(crate) const REST: Duration = Duration::from_millis(300);
/// The same where memory at rest is what is measured: long enough for a collector to give back what its start took.
pub(crate) const LONG_REST: Duration = Duration::from_millis(1500);
/// After the load: longer than a batch waits, so that its last export is in the CPU time.
pub(crate) const SETTLE: Duration = Duration::from_millis(600);
const START_ATTEMPTS: usize = 3;
/// The variable by which configurations find the certificates.
pub(crate) const TLS_FOLDER: &str = "BENCH_TLS_FOLDER";

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

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    pub(crate) workload: &'a Workload,
    pub(crate) variant: &'a Variant,
    pub(crate) subject: &'a Subject,
    pub(crate) round: usize,
    /// Multiplies what the workload says of its length.
    pub(crate) scale: f64,
}

impl Run<'_> {
    /// The requests of the load.
    pub(crate) fn requests(&self) -> u64 {
        // A float of a count that was written by hand, rounded and above zero.
        ((self.variant.shape.requests as f64 * self.scale).round() as u64).max(1)
    }

    /// The load, as this subject can take it.
    pub(crate) fn shape(&self) -> Shape {
        shape_for(self.subject.kind, self.variant.shape)
    }
}

/// A subject that listens, and the sink behind it.
pub(crate) struct Stand {
    pub(crate) ports: Ports,
    pub(crate) sink: Process,
    pub(crate) subject: Process,
    pub(crate) start: Duration,
    /// Dropped last: the subject may still write into it.
    storage: Storage,
}

impl Bench {
    /// Makes one run; `None` if the subject cannot do it.
    ///
    /// # Errors
    /// If a process cannot be started, ends early, or the load does not come to its end.
    pub(crate) fn sample(&self, run: &Run<'_>) -> Result<Option<Sample>> {
        match run.workload.measure {
            Measure::Load | Measure::Health | Measure::Buffer => self.sample_load(run),
            Measure::Idle => self.sample_idle(run),
            Measure::Instructions => instructions::sample(self, run),
            Measure::Overload => overload::sample(self, run),
            Measure::BufferOverload => buffer_overload::sample(self, run),
            Measure::Connections => connections::sample(self, run),
            Measure::Sidecar => sidecar::sample(self, run),
            Measure::Recovery => recovery::sample(self, run),
        }
    }

    fn sample_idle(&self, run: &Run<'_>) -> Result<Option<Sample>> {
        let Some(stand) = self.stand(run.variant, run.subject, &[])? else { return Ok(None) };
        let mut sample = stand.at_rest(self, run, LONG_REST)?;
        stand.stop(&mut sample, STOP_TIMEOUT)?;
        Ok(Some(sample))
    }

    fn sample_load(&self, run: &Run<'_>) -> Result<Option<Sample>> {
        let Some(mut stand) = self.stand(run.variant, run.subject, &[])? else { return Ok(None) };
        let mut sample = stand.at_rest(self, run, REST)?;
        let health = (run.workload.measure == Measure::Health).then(|| stand.ports.health_listen());
        if let Some(address) = &health {
            stand.subject.wait_for_port(address, START_TIMEOUT)?;
        }
        let pid = stand.subject.pid();
        let mut load = self.start_load(run.shape(), run.requests(), &stand.ports)?;
        let before = CpuReading::of(pid)?;
        let probe = health.as_deref().map(Probe::start).transpose()?;
        let report = load.run(LOAD_TIMEOUT);
        let answers = probe.map(Probe::stop).transpose()?;
        sample.load = Some(report.with_context(|| stand.complaint())?);
        std::thread::sleep(SETTLE);
        sample.set_cpu(CpuReading::of(pid)?.since(&before));
        sample.peak_mib = Some(procfs::peak_mib(pid)?);
        if run.workload.measure == Measure::Buffer {
            sample.buffered_bytes = sample.growth_per_item();
        }
        if let Some(answers) = answers {
            sample.health_failed = Some(answers.failed);
            sample.health_p99_ms = stats::quantile(answers.millis, 0.99);
        }
        stand.stop(&mut sample, STOP_TIMEOUT)?;
        Ok(Some(sample))
    }

    /// Starts a sink and a subject, under the program and arguments in `wrapper` if there are any; `None` if the
    /// subject cannot run the variant.
    pub(crate) fn stand(
        &self,
        variant: &Variant,
        subject: &Subject,
        wrapper: &[String],
    ) -> Result<Option<Stand>> {
        let mut attempt = 1;
        loop {
            match self.try_stand(variant, subject, wrapper) {
                Err(error) if attempt < START_ATTEMPTS => {
                    eprintln!("starting again: {error:#}");
                    attempt += 1;
                }
                stand => return stand,
            }
        }
    }

    fn try_stand(&self, variant: &Variant, subject: &Subject, wrapper: &[String]) -> Result<Option<Stand>> {
        let ports = Ports::pick()?;
        let storage = ports.storage_folder();
        let shape = shape_for(subject.kind, variant.shape);
        if shape.tls {
            tls::write_certificates(&self.directory)?;
        }
        let sink = self.start_sink(variant, shape, &ports)?;
        let started = self.start_subject(variant, subject, wrapper, &ports)?;
        Ok(started.map(|(subject, start)| Stand::new(ports, storage, sink, subject, start)))
    }

    /// Starts a subject at these ports, and waits until it listens; how long that took.
    pub(crate) fn start_subject(
        &self,
        variant: &Variant,
        subject: &Subject,
        wrapper: &[String],
        ports: &Ports,
    ) -> Result<Option<(Process, Duration)>> {
        let config = self.config_file(config_for(variant.config, subject.kind))?;
        let Some(arguments) = subject.arguments(variant.config, &config, ports) else { return Ok(None) };
        let mut command: Vec<_> = wrapper.iter().map(std::ffi::OsString::from).collect();
        command.push(subject.program.clone().into());
        command.extend(arguments);
        let log = self.directory.join(format!("{}.log", subject.kind.name().replace(' ', "-")));
        let program = PathBuf::from(command.remove(0));
        let mut environment = ports.environment().to_vec();
        environment.push((TLS_FOLDER, self.directory.display().to_string()));
        let mut process = Process::start(&program, &command, &environment, &log, false)?;
        let address = match shape_for(subject.kind, variant.shape).protocol {
            Protocol::Grpc => ports.grpc_listen(),
            Protocol::Http => ports.http_listen(),
        };
        let start = process.wait_for_port(&address, START_TIMEOUT)?;
        Ok(Some((process, start)))
    }

    fn config_file(&self, name: &str) -> Result<PathBuf> {
        let text = config_text(name).with_context(|| format!("no configuration {name}"))?;
        let file = self.directory.join(format!("{name}.yaml"));
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    pub(crate) fn start_sink(&self, variant: &Variant, shape: Shape, ports: &Ports) -> Result<Process> {
        let mut arguments = vec!["sink".to_owned()];
        let mut option = |name: &str, value: String| {
            arguments.push(format!("--{name}"));
            arguments.push(value);
        };
        let is_several =
            config_text(variant.config).is_some_and(|text| text.contains("BENCH_GRPC_TARGET_PORT"));
        option("grpc", if is_several { ports.grpc_target_everywhere() } else { ports.grpc_target() });
        option("http", ports.http_target());
        option("delay-ms", variant.backend.delay_ms.to_string());
        if let Some(at_once) = variant.backend.at_once {
            option("at-once", at_once.to_string());
        }
        if shape.tls {
            option("tls-folder", self.directory.display().to_string());
        }
        if self.exact_ids || variant.shape.exact_ids {
            arguments.push("--ids".to_owned());
        }
        if let Some(wait_ms) = shape.waits_ms {
            arguments.extend(["--wait-ms".to_owned(), wait_ms.to_string()]);
        }
        let mut sink = Process::start(&self.own, &arguments, &[], &self.directory.join("sink.log"), true)?;
        sink.wait_for_port(&ports.grpc_target(), START_TIMEOUT)?;
        Ok(sink)
    }

    fn binary_bytes(&self, subject: &Subject) -> Result<u64> {
        let distributed = self.distributed.as_deref().filter(|_| subject.kind == Kind::Phoenix);
        file_bytes(distributed.unwrap_or(&subject.program))
    }
}

impl Stand {
    pub(crate) fn new(
        ports: Ports,
        storage: Storage,
        sink: Process,
        subject: Process,
        start: Duration,
    ) -> Stand {
        Stand { ports, sink, subject, start, storage }
    }

    /// Where the subject keeps what it has on disk.
    pub(crate) fn storage(&self) -> &Path {
        self.storage.path()
    }

    /// What is known of the subject once it was left alone for `rest`.
    pub(crate) fn at_rest(&self, bench: &Bench, run: &Run<'_>, rest: Duration) -> Result<Sample> {
        std::thread::sleep(rest);
        let mut sample = Sample::new(run);
        sample.start_ms = Some(self.start.as_secs_f64() * 1e3);
        sample.idle_mib = Some(procfs::resident_mib(self.subject.pid())?);
        sample.binary_bytes = Some(bench.binary_bytes(run.subject)?);
        Ok(sample)
    }

    /// Stops the subject, which may deliver what it holds, and then the sink; adds what that one counted if there
    /// was a load.
    pub(crate) fn stop(mut self, sample: &mut Sample, timeout: Duration) -> Result<()> {
        sample.stopped_in_time = self.subject.stop(timeout)?;
        sample.sink = Some(stop_sink(&mut self.sink)?).filter(|_| sample.load.is_some());
        Ok(())
    }

    /// What the subject said last, to go with an error.
    pub(crate) fn complaint(&self) -> String {
        format!("the subject says: {}", self.subject.last_lines())
    }
}

/// Stops a sink and reads what it counted.
fn stop_sink(sink: &mut Process) -> Result<SinkReport> {
    let mut output = sink.output()?;
    ensure!(sink.stop(STOP_TIMEOUT)?, "the sink did not stop: {}", sink.last_lines());
    process::read_json(&mut output)
}

/// The null relay speaks gRPC only, and no TLS; vmagent takes OTLP under a path of its own.
pub(crate) fn shape_for(kind: Kind, shape: Shape) -> Shape {
    match kind {
        Kind::Null => Shape { protocol: Protocol::Grpc, tls: false, ..shape },
        Kind::Vmagent => Shape { http_prefix: "/opentelemetry", ..shape },
        _ => shape,
    }
}

fn file_bytes(path: &Path) -> Result<u64> {
    Ok(std::fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?.len())
}
