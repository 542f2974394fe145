//! A simulated fleet: agents over real sockets against `phoenix-control`, measured from outside.
//!
//! - Input: the binary of the service, and how many agents; output: one line for each figure, with its goal where it has
//!   one. Exits with 2 where a goal is missed.
//! - Agents do as the protocol says and nothing else: what a collector would cost is not measured here.

mod agent;
mod api;
mod cost;
mod figures;
mod service;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use serde_json::json;
use tokio::sync::Semaphore;

use agent::{Fleet, simulate};
use api::Api;
use figures::Figures;
use service::Service;

/// What agents are given.
const CONFIGURATION: &str = "receivers: {nop: {}}\nexporters: {nop: {}}\nservice: {pipelines: {traces: {receivers: [nop], exporters: [nop]}}}\n";
/// Agents that connect at once at the beginning.
const AT_ONCE: usize = 64;
/// Until what enrolment left is done: whoever reads first after a write marks that in a page of shared memory of SQLite's,
/// which the kernel counts as written.
const AFTER_ENROLMENT: Duration = Duration::from_secs(10);
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
    /// Measures only what the agent costs in a collector that does nothing.
    #[arg(long)]
    agent_cost: bool,
    /// How long two such collectors are looked at, three times.
    #[arg(long, default_value_t = 20)]
    cost_seconds: u64,
}

fn main() -> anyhow::Result<ExitCode> {
    let asked = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut figures = Figures::default();
    runtime.block_on(async {
        if !asked.agent_cost {
            measure(&asked, &mut figures).await?;
        }
        let idle = Duration::from_secs(asked.cost_seconds);
        cost::measure(&asked.control, asked.heartbeat_seconds, idle, &mut figures).await
    })?;
    Ok(if figures.verdict() { ExitCode::SUCCESS } else { ExitCode::from(2) })
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

async fn measure(asked: &Arguments, figures: &mut Figures) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut service = Service::start(&asked.control, folder.path(), asked.heartbeat_seconds)?;
    let api = Api::new(service.api, service.key.clone().context("the first start makes a key")?);
    tokio::time::sleep(Duration::from_secs(2)).await;
    figures.at_most(40.0, "idle memory, MiB", service.memory_mib()?);

    let token = api.post("/enrolment-tokens", &json!({"name": "fleet", "labels": {"env": "sim"}})).await?;
    let token = token["token"].as_str().context("a token")?.to_owned();
    let fleet = Arc::new(Fleet::new(service.opamp, token, asked.heartbeat_seconds));
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let begun = Instant::now();
    for number in 0..asked.agents {
        tokio::spawn(simulate(fleet.clone(), number, turns.clone()));
    }
    until(&fleet.settled, asked.agents, "enrolment").await?;
    figures.told("enrolment of all, s", format!("{:.1}", begun.elapsed().as_secs_f64()));

    tokio::time::sleep(AFTER_ENROLMENT).await;
    let (cpu, written, now) = (service.cpu_seconds()?, service.written_bytes()?, Instant::now());
    let beats = fleet.beats.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(asked.steady_seconds)).await;
    let cores = (service.cpu_seconds()? - cpu) / now.elapsed().as_secs_f64();
    figures.at_most(0.3, "steady: cores", cores);
    figures.at_most(400.0, "steady: memory, MiB", service.memory_mib()?);
    figures.at_most(0.0, "steady: bytes to disk", (service.written_bytes()? - written) as f64);
    figures.told("steady: heartbeats", fleet.beats.load(Ordering::SeqCst) - beats);

    let (spread, failed) =
        api.load(asked.rate, Duration::from_secs(asked.api_seconds), "/agents?limit=20").await?;
    let millis = |quantile| spread.value_at_quantile(quantile) as f64 / 1000.0;
    figures.told("API: p50, ms", format!("{:.1}", millis(0.5)));
    figures.at_most(25.0, "API: p99, ms", millis(0.99));
    figures.told("API: requests", spread.len());
    figures.at_most(0.0, "API: failed", failed as f64);

    let version = api.version(CONFIGURATION).await?;
    let group = api.post("/groups", &json!({"name": "all", "selector": "env=sim"})).await?;
    let begun = Instant::now();
    api.post("/rollouts", &json!({"group_id": group["id"], "version_id": version})).await?;
    until(&fleet.offered, asked.agents, "change").await?;
    figures.told("change: offered to all, s", format!("{:.2}", begun.elapsed().as_secs_f64()));
    until(&fleet.acknowledged, asked.agents, "change").await?;
    figures.at_most(5.0, "change: applied by all, s", begun.elapsed().as_secs_f64());

    fleet.settled.store(0, Ordering::SeqCst);
    let begun = Instant::now();
    service.restart()?;
    until(&fleet.settled, asked.agents, "reconnect").await?;
    figures.at_most(60.0, "reconnect: all settled, s", begun.elapsed().as_secs_f64());
    figures.told("reconnect: told when to come back", fleet.told_when.load(Ordering::SeqCst));
    figures.at_most(0.0, "reconnect: refused without a time", fleet.refused.load(Ordering::SeqCst) as f64);
    figures.told("memory at the end, MiB", format!("{:.0}", service.memory_mib()?));
    Ok(())
}
