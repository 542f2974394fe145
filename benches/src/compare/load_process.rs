//! A load as a process of its own: it builds its requests and connects first, and begins when told to.

use std::io::BufReader;
use std::process::ChildStdout;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::client::{FrameSize, Protocol};
use crate::compare::ports::Ports;
use crate::compare::process::{self, Process};
use crate::compare::run::Bench;
use crate::compare::workloads::Shape;
use crate::load::LoadReport;

/// A load that waits to begin.
pub(crate) struct Load {
    process: Process,
    output: BufReader<ChildStdout>,
}

impl Bench {
    /// Starts a load, which builds its requests, connects, and waits.
    pub(crate) fn start_load(&self, shape: Shape, requests: u64, ports: &Ports) -> Result<Load> {
        let endpoint = match shape.protocol {
            Protocol::Grpc => ports.grpc_listen(),
            Protocol::Http => ports.http_listen(),
        };
        let mut arguments = load_arguments(shape, requests, &endpoint);
        if shape.tls {
            arguments.extend(["--tls-folder".to_owned(), self.directory.display().to_string()]);
        }
        if self.exact_ids || shape.exact_ids {
            arguments.push("--unique-ids".to_owned());
        }
        let log = self.directory.join("load.log");
        // Its last lines are to say what is wrong, not where.
        let environment = [("RUST_BACKTRACE", "0".to_owned()), ("RUST_LIB_BACKTRACE", "0".to_owned())];
        let mut process = Process::start(&self.own, &arguments, &environment, &log, true)?;
        let output = process.output()?;
        let mut load = Load { process, output };
        load.expect("ready")?;
        Ok(load)
    }
}

impl Load {
    /// Lets it run to its end.
    pub(crate) fn run(&mut self, timeout: Duration) -> Result<LoadReport> {
        self.begin()?;
        self.end(timeout)
    }

    /// Lets it run until everything is answered; its connections stay open until `end`. Only for a shape that holds.
    pub(crate) fn run_and_hold(&mut self) -> Result<()> {
        self.begin()?;
        self.expect("done")
    }

    /// Waits for the end of one that runs, lets go of one that holds, and reads what it counted.
    pub(crate) fn release(&mut self, timeout: Duration) -> Result<LoadReport> {
        self.process.send_line()?;
        self.end(timeout)
    }

    fn begin(&mut self) -> Result<()> {
        self.process.send_line()
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        let line = process::read_line(&mut self.output).with_context(|| self.process.last_lines())?;
        ensure!(line.trim() == word, "the load says {line:?}");
        Ok(())
    }

    fn end(&mut self, timeout: Duration) -> Result<LoadReport> {
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

fn load_arguments(shape: Shape, requests: u64, endpoint: &str) -> Vec<String> {
    let mut arguments = vec!["load".to_owned(), "--wait".to_owned()];
    let flags = [
        ("--one-each", shape.one_each),
        ("--hold", shape.one_each),
        ("--retry", shape.retry),
        ("--spread-traces", shape.spread_traces),
        ("--stamp", shape.waits_ms.is_some()),
        ("--series", shape.series),
    ];
    arguments.extend(flags.iter().filter(|(_, given)| *given).map(|(flag, _)| (*flag).to_owned()));
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
    if shape.series_copies > 1 {
        option("series-copies", shape.series_copies.to_string());
    }
    option("frame-size", if shape.frame_size == FrameSize::Peer { "peer" } else { "16k" }.to_owned());
    option("encoding", shape.encoding.name().to_owned());
    option("compression", shape.compression.header().unwrap_or("none").to_owned());
    if !shape.http_prefix.is_empty() {
        option("http-prefix", shape.http_prefix.to_owned());
    }
    if let Some(bytes) = shape.request_bytes {
        option("request-bytes", bytes.to_string());
    }
    if let Some(rate) = shape.rate {
        option("rate", rate.to_string());
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
            assert_eq!((options.rate, options.retry), (variant.shape.rate, variant.shape.retry));
            assert_eq!(options.http_prefix, variant.shape.http_prefix);
            assert_eq!((options.one_each, options.hold), (variant.shape.one_each, variant.shape.one_each));
        }
    }
}
