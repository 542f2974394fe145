//! Whole-binary benchmarks: how much a collector costs between a load and a sink, and how that compares
//! with a relay that never looks at what it passes on.
//!
//! - `load` sends OTLP requests that were built ahead, in a closed loop.
//! - `sink` takes OTLP and counts what arrived by walking the bytes.
//! - `relay` is the null relay: tonic in, tonic out, the body untouched. It is the unit of every ratio.
//! - `compare` runs collectors in turn between load and sink and prints the figures and the goals.
//!
//! `load`, `sink` and `relay` are processes of their own, so that the collector's CPU time is its own.

// The figures on standard output and the progress on standard error are what this binary is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod body;
mod client;
mod codec;
mod compare;
mod compression;
mod kept;
mod ledger;
mod load;
mod payloads;
mod relay;
mod signal;
mod sink;
#[cfg(test)]
mod tests;
mod tls;
mod wire;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "phoenix-bench",
    about = "Benchmarks of a collector as a whole: load, sink, null relay, comparison"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Worker threads of `load`, `sink` and `relay`; by default one per core.
    #[arg(long, global = true)]
    threads: Option<usize>,
}

#[derive(Subcommand)]
enum Command {
    /// Sends OTLP requests in a closed loop and prints rates and latencies as JSON.
    Load(load::LoadOptions),
    /// Takes OTLP, counts the records, and prints the counts as JSON on SIGTERM.
    Sink(sink::SinkOptions),
    /// Passes gRPC requests on without looking at them.
    Relay(relay::RelayOptions),
    /// Runs collectors between load and sink in turn, and prints figures and goals.
    Compare(Box<compare::CompareOptions>),
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Command::Compare(options) => compare::run(&options),
        Command::Load(options) => runtime(cli.threads)?.block_on(async {
            let report = load::run(options).await?;
            println!("{}", serde_json::to_string(&report)?);
            Ok(())
        }),
        Command::Sink(options) => runtime(cli.threads)?.block_on(sink::run(options)),
        Command::Relay(options) => runtime(cli.threads)?.block_on(relay::run(options)),
    }
}

fn runtime(threads: Option<usize>) -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = threads {
        builder.worker_threads(threads.max(1));
    }
    builder.enable_all().build().context("cannot start the runtime")
}

/// Completes when the process is asked to stop, by SIGTERM or SIGINT.
async fn asked_to_stop() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
