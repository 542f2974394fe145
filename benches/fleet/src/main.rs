//! A simulated fleet: agents over real sockets against `phoenix-control`, measured from outside.
//!
//! - Input: the binary of the service, and how many agents; output: one line for each figure.
//! - Agents do as the protocol says and nothing else: what a collector would cost is not measured here.

mod agent;
mod api;
mod cost;
mod service;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use serde_json::json;
use tokio::sync::Semaphore;

use agent::{Fleet, simulate};
use api::Api;
use service::Service;

/// What agents are given.
const CONFIGURATION: &str = "receivers: {nop: {}}\nexporters: {nop: {}}\nservice: {pipelines: {traces: {receivers: [nop], exporters: [nop]}}}\n";
/// Agents that connect at once at the beginning.
const AT_ONCE: usize = 64;
/// Longest that any step may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Measures what a fleet of agents costs the control service.
#[derive(Parser)]
struct Arguments {
    /// The binary `phoenix-control`.
    #[arg(long, default_value = "target/release/phoenix-control")]
    control: PathBuf,
    /// How many agents.
    #[arg(long, default_value_t = 10_000)]
    agents: u64,
    /// How often each is heard of.
    #[arg(long, default_value_t = 30)]
    heartbeat_seconds: u64,
    /// How long nothing happens but heartbeats.
    #[arg(long, default_value_t = 60)]
    steady_seconds: u64,
    /// Requests to the API per second.
    #[arg(long, default_value_t = 200)]
    rate: u64,
    /// How long they are sent.
    #[arg(long, default_value_t = 20)]
    api_seconds: u64,
    /// Measures instead what the agent costs in a collector that does nothing, for `--steady-seconds` three times.
    #[arg(long)]
    agent_cost: bool,
}

#[expect(clippy::print_stdout, reason = "figures are what this program is for")]
fn told(figure: &str, value: impl std::fmt::Display) {
    println!("{figure:<42} {value}");
}

fn main() -> anyhow::Result<()> {
    let asked = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if asked.agent_cost {
        let idle = Duration::from_secs(asked.steady_seconds);
        return runtime.block_on(cost::measure(&asked.control, asked.heartbeat_seconds, idle));
    }
    runtime.block_on(measure(&asked))
}

/// Waits until `count` is `wanted`; how long that took.
async fn until(count: &AtomicU64, wanted: u64, what: &str) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    while count.load(Ordering::SeqCst) < wanted {
        let now = count.load(Ordering::SeqCst);
        anyhow::ensure!(begun.elapsed() < PATIENCE, "{what}: only {now} of {wanted} after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(begun.elapsed())
}

async fn measure(asked: &Arguments) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut service = Service::start(&asked.control, folder.path(), asked.heartbeat_seconds)?;
    let api = Api::new(service.api, service.key.clone().context("the first start makes a key")?);
    tokio::time::sleep(Duration::from_secs(2)).await;
    told("idle memory, MiB", service.memory_mib()?);

    let token = api.post("/enrolment-tokens", &json!({"name": "fleet", "labels": {"env": "sim"}})).await?;
    let token = token["token"].as_str().context("a token")?.to_owned();
    let fleet = Arc::new(Fleet::new(service.opamp, token, asked.heartbeat_seconds));
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let begun = Instant::now();
    for number in 0..asked.agents {
        tokio::spawn(simulate(fleet.clone(), number, turns.clone()));
    }
    until(&fleet.settled, asked.agents, "enrolment").await?;
    told("enrolment of all, s", format!("{:.1}", begun.elapsed().as_secs_f64()));

    let (cpu, written, now) = (service.cpu_seconds()?, service.written_bytes()?, Instant::now());
    let beats = fleet.beats.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(asked.steady_seconds)).await;
    let cores = (service.cpu_seconds()? - cpu) / now.elapsed().as_secs_f64();
    told("steady: cores", format!("{cores:.3}"));
    told("steady: memory, MiB", service.memory_mib()?);
    told("steady: bytes to disk", service.written_bytes()? - written);
    told("steady: heartbeats", fleet.beats.load(Ordering::SeqCst) - beats);

    let (spread, failed) =
        api.load(asked.rate, Duration::from_secs(asked.api_seconds), "/agents?limit=20").await?;
    for quantile in [0.5, 0.99] {
        let micros = spread.value_at_quantile(quantile);
        told(&format!("API: p{}, ms", quantile * 100.0), format!("{:.1}", micros as f64 / 1000.0));
    }
    told("API: requests, and failed", format!("{}, {failed}", spread.len()));

    let version = api.version(CONFIGURATION).await?;
    let group = api.post("/groups", &json!({"name": "all", "selector": "env=sim"})).await?;
    let begun = Instant::now();
    api.post("/rollouts", &json!({"group_id": group["id"], "version_id": version})).await?;
    until(&fleet.offered, asked.agents, "change").await?;
    told("change: offered to all, s", format!("{:.2}", begun.elapsed().as_secs_f64()));
    until(&fleet.acknowledged, asked.agents, "change").await?;
    told("change: applied by all, s", format!("{:.2}", begun.elapsed().as_secs_f64()));

    fleet.settled.store(0, Ordering::SeqCst);
    let begun = Instant::now();
    service.restart()?;
    until(&fleet.settled, asked.agents, "reconnect").await?;
    told("reconnect: all settled, s", format!("{:.1}", begun.elapsed().as_secs_f64()));
    told("reconnect: told when to come back", fleet.told_when.load(Ordering::SeqCst));
    told("reconnect: refused without a time", fleet.refused.load(Ordering::SeqCst));
    told("memory at the end, MiB", service.memory_mib()?);
    Ok(())
}
