//! What the agent costs in a collector: two collectors that do nothing, one with the agent and one without, side by side.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;

use crate::api::Api;
use crate::figures::Figures;
use crate::service::{Service, cpu_seconds, memory_kib};

/// Pairs that are measured; the figures are medians.
const ROUNDS: usize = 3;
/// Until connections, first reports and a collector's own start are over.
const SETTLE: Duration = Duration::from_secs(5);

/// Killed with its owner.
struct Collector(Child);

impl Drop for Collector {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(binary: &Path, folder: &Path, name: &str, text: &str) -> anyhow::Result<Collector> {
    let config = folder.join(format!("{name}.yaml"));
    std::fs::write(&config, text)?;
    let child = Command::new(binary)
        .args(["collector", "--config"])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(config.with_extension("log"))?)
        .spawn()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    Ok(Collector(child))
}

const PIPELINE: &str = "receivers: {nop: {}}
exporters: {nop: {}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [nop], exporters: [nop]}}
";

fn with_agent(service: &Service, token: &str, storage: &Path) -> String {
    let extension = format!(
        "extensions:
  opamp:
    server: {{ws: {{endpoint: 'ws://{}/v1/opamp', headers: {{Authorization: 'Bearer {token}'}}}}}}
    capabilities: {{accepts_remote_config: true, accepts_tasks: true}}
    storage: {{directory: '{}'}}
",
        service.opamp,
        storage.display()
    );
    extension + &PIPELINE.replace("service:\n", "service:\n  extensions: [opamp]\n")
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Memory that a process has written to, and that is in no file.
fn anonymous_kib(process: u32) -> anyhow::Result<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).context("no line of it")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

pub(crate) async fn measure(
    binary: &Path,
    heartbeat_seconds: u64,
    idle: Duration,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let service = Service::start(binary, folder.path(), heartbeat_seconds)?;
    let api = Api::new(service.api, service.key.clone().context("the first start makes a key")?);
    let token = api.post("/enrolment-tokens", &json!({"name": "cost"})).await?;
    let token = token["token"].as_str().context("a token")?.to_owned();
    let (mut memory, mut cpu) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    let mut written = [Vec::new(), Vec::new()];
    // A copy for each: pages of a file that several processes run from are not given back by one of them.
    let copies = [folder.path().join("plain"), folder.path().join("agent")];
    for copy in &copies {
        std::fs::copy(binary, copy).with_context(|| format!("cannot copy {}", binary.display()))?;
        // Pages that are not on disk yet cannot be given back either.
        std::fs::File::open(copy)?.sync_all()?;
    }
    for round in 0..ROUNDS {
        let storage = folder.path().join(format!("storage-{round}"));
        let pair = [
            start(&copies[0], folder.path(), &format!("plain-{round}"), PIPELINE)?,
            start(
                &copies[1],
                folder.path(),
                &format!("agent-{round}"),
                &with_agent(&service, &token, &storage),
            )?,
        ];
        tokio::time::sleep(SETTLE).await;
        anyhow::ensure!(storage.join("credential").exists(), "the agent did not enrol");
        let before = [cpu_seconds(pair[0].0.id())?, cpu_seconds(pair[1].0.id())?];
        let begun = Instant::now();
        tokio::time::sleep(idle).await;
        for (which, collector) in pair.iter().enumerate() {
            let spent = cpu_seconds(collector.0.id())? - before[which];
            cpu[which].push(spent / begun.elapsed().as_secs_f64() * 100.0);
            memory[which].push(memory_kib(collector.0.id())? as f64 / 1024.0);
            written[which].push(anonymous_kib(collector.0.id())? as f64 / 1024.0);
        }
    }
    let [plain, agent] = memory.map(median);
    figures.told("memory without the agent, MiB", format!("{plain:.1}"));
    figures.told("memory with the agent, MiB", format!("{agent:.1}"));
    figures.at_most(2.0, "agent: memory, MiB", agent - plain);
    // The rest is the program's code, which other processes share and the kernel takes back when it wants to.
    let [plain, agent] = written.map(median);
    figures.told("agent: of that heap and stacks, MiB", format!("{:.1}", agent - plain));
    let [plain, agent] = cpu.map(median);
    figures.told("CPU without the agent, % of a core", format!("{plain:.2}"));
    figures.told("CPU with the agent, % of a core", format!("{agent:.2}"));
    figures.at_most(0.1, "agent: CPU, % of a core", agent - plain);
    Ok(())
}
