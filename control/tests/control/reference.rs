//! The reference client and supervisor of OpAMP as agents: programs that know nothing of Phoenix.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use phoenix_control::serve::Options;
use serde_json::{Value, json};

use crate::agent::{Agent, Kind};
use crate::collector::{Collector, free_port, listens, until, until_nobody_listens, wrapper};
use crate::rig::{GOOD, Rig, free_address, options};

#[expect(clippy::print_stderr, reason = "says that it is skipped")]
fn installed(name: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.test-tools/opamp")).join(name);
    if !path.exists() {
        eprintln!("skipped: the reference {name} of OpAMP is not built (.ci/install-test-tools does that)");
        return None;
    }
    Some(path)
}

/// A service that says where it is.
async fn service() -> Rig {
    let (folder, opamp) = (tempfile::tempdir().expect("made"), free_address());
    let options = Options {
        opamp_listen: opamp.to_string(),
        opamp_public_url: Some(format!("ws://{opamp}")),
        ..options(folder.path())
    };
    Rig::start_with(folder, &options).await
}

/// An agent on the reference client, and what it told so far. Ends with its input.
struct Client {
    process: Child,
    said: Arc<Mutex<Vec<Value>>>,
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Client {
    fn start(program: &Path, url: &str, token: &str) -> Client {
        let mut process = Command::new(program)
            .args([url, token])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let said: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (out, hears) = (process.stdout.take().expect("piped"), said.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                hears.lock().unwrap_or_else(PoisonError::into_inner).push(event);
            }
        });
        Client { process, said }
    }

    fn said(&self) -> Vec<Value> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The event of this name, counted from 1.
    async fn told(&self, event: &str, number: usize) -> Value {
        self.told_of(event, |_| true, number).await
    }

    /// The same of those that fit.
    async fn told_of(&self, event: &str, fits: impl Fn(&Value) -> bool, number: usize) -> Value {
        for _ in 0..600 {
            let said = self.said();
            let mut named = said.iter().filter(|said| said["event"] == event && fits(said));
            if let Some(found) = named.nth(number - 1) {
                return found.clone();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{event} never came for the time {number}: {:?}", self.said());
    }
}

/// What the only agent of the only group is to do, over one transport.
async fn drive(scheme: &str) {
    let Some(program) = installed("client") else { return };
    let rig = service().await;
    let (token, group) = (rig.token().await, rig.group().await);
    let mut client = Client::start(&program, &format!("{scheme}://{}/v1/opamp", rig.opamp), &token);

    // It enrols, tells how it is, and takes a credential of its own.
    let agents = rig.until("/agents", |agents| agents["items"][0]["healthy"] == true).await;
    let agent = format!("/agents/{}", agents["items"][0]["id"].as_str().expect("an id"));
    let labels = &agents["items"][0]["labels"];
    assert_eq!((&labels["env"], &labels["zone"]), (&json!("test"), &json!("go")), "{agents}");
    let told = rig.until(&agent, |told| told["connection_settings"]["status"] == "applied").await;
    assert_eq!(told["effective_config"], "a: 1\n", "{told}");
    assert!(told["components"].to_string().contains("debug"), "{told}");
    let first = client.told("credential", 1).await["value"].as_str().expect("a credential").to_owned();

    // A configuration reaches it as it was written; one that it refuses is taken back, and it hears the former again.
    let good = rig.version("base", GOOD).await;
    let rollout = format!("/rollouts/{}", rig.roll_out(&group, &good, json!([{"percent": 100}])).await);
    rig.until(&rollout, |rollout| rollout["state"] == "succeeded").await;
    assert_eq!(client.told("remote_config", 1).await["text"], GOOD);
    rig.until(&agent, |told| told["effective_config"] == GOOD).await;
    let configuration =
        rig.get("/configurations").await.body["items"][0]["id"].as_str().expect("an id").to_owned();
    let bad = rig.next_version(&configuration, &format!("# to refuse\n{GOOD}")).await;
    let rollout = format!("/rollouts/{}", rig.roll_out(&group, &bad, json!([{"percent": 100}])).await);
    let back = rig.until(&rollout, |rollout| rollout["state"] == "rolled_back").await;
    assert!(back["reason"].as_str().is_some_and(|why| why.contains("failed on 1")), "{back}");
    let told = rig
        .until(&agent, |told| told["reported_status"] == "applied" && told["effective_config"] == GOOD)
        .await;
    assert!(told["failures"].to_string().contains("it does not want to"), "{told}");

    // Custom messages both ways.
    let task = rig.post(&format!("{agent}/tasks"), json!({"kind": "diagnostics"})).await.body;
    let task = format!("/tasks/{}", task["id"].as_str().expect("an id"));
    let done = rig.until(&task, |task| task["state"] == "done").await;
    assert_eq!(done["result"]["did"], "diagnostics", "{done}");

    // Where its own telemetry goes.
    let path = format!("/groups/{group}");
    let seen = format!("\"{}\"", rig.get(&path).await.body["revision"]);
    let own = json!({"own_telemetry": {"metrics": {"endpoint": "http://127.0.0.1:1/v1/metrics"}}});
    let changed = rig.request("PATCH", &path, &rig.key, &[("if-match", &seen)], Some(own)).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    // Until then nowhere, which it heard, too.
    client.told_of("own_metrics", |told| told["endpoint"] == "http://127.0.0.1:1/v1/metrics", 1).await;

    // Its credential is replaced, and the one before lets nobody in once the new one was shown.
    assert_eq!(rig.post(&format!("{agent}/credential/rotation"), json!({})).await.status, 202);
    let second = client.told("credential", 2).await["value"].as_str().expect("a credential").to_owned();
    assert_ne!(first, second);
    let mut is_let_in = true;
    for _ in 0..300 {
        is_let_in = Agent::connect(&rig, Kind::Http, 9, &first).await.is_ok();
        if !is_let_in {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!is_let_in, "the former credential counts no more");

    // The service starts again, and the client comes back by itself; at its end it says goodbye.
    let rig = rig.restart().await;
    rig.until(&agent, |told| told["connected"] == true && told["healthy"] == true).await;
    drop(client.process.stdin.take());
    rig.until(&agent, |told| told["connected"] == false).await;
    assert!(client.said().iter().all(|said| said["event"] != "error"), "{:?}", client.said());
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reference_client_is_an_agent_over_websocket() {
    drive("ws").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reference_client_is_an_agent_over_plain_http() {
    drive("http").await;
}

/// Phoenix as the collector of the reference supervisor, which writes its files and restarts it.
async fn supervise(scheme: &str) {
    let Some(program) = installed("supervisor") else { return };
    let rig = service().await;
    let (token, group) = (rig.token().await, rig.group().await);
    let folder = rig.folder.path().join("supervisor");
    std::fs::create_dir(&folder).expect("made");
    let config = folder.join("supervisor.yaml");
    let text = format!(
        "server: {{endpoint: '{scheme}://{}/v1/opamp', headers: {{Authorization: ['Bearer {token}']}}}}
capabilities:
  accepts_remote_config: true
  accepts_restart_command: true
  accepts_opamp_connection_settings: true
  reports_effective_config: true
  reports_health: true
  reports_remote_config: true
  reports_available_components: true
  reports_heartbeat: true
storage: {{directory: '{}'}}
agent:
  executable: '{}'
  bootstrap_timeout: 60s
  config_apply_timeout: 8s
  orphan_detection_interval: 500ms
  description: {{non_identifying_attributes: {{zone: supervised}}}}
",
        rig.opamp,
        folder.join("storage").display(),
        wrapper(&folder, "--set=service::telemetry::metrics::level=none").display(),
    );
    std::fs::write(&config, text).expect("written");
    let output = || std::fs::File::options().create(true).append(true).open(config.with_extension("log"));
    let supervisor = Command::new(program)
        .arg("--config")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(output().expect("made"))
        .stderr(output().expect("made"))
        .spawn();
    let supervisor = Collector(supervisor.expect("started"));

    let agents = until(&rig, "/agents", &config, |agents| agents["items"][0]["connected"] == true).await;
    let agent = format!("/agents/{}", agents["items"][0]["id"].as_str().expect("an id"));
    let told = until(&rig, &agent, &config, |told| told["components"].is_array()).await;
    assert_eq!(told["labels"]["zone"], "supervised", "{told}");

    // The supervisor waits for its own while before it says that something was applied.
    let roll_out = async |version: &str| {
        let gates = json!({"patience_seconds": 50});
        let started =
            rig.post("/rollouts", json!({"group_id": group, "version_id": version, "gates": gates})).await;
        assert_eq!(started.status, 202, "{}", started.body);
        started.body["id"].as_str().expect("an id").to_owned()
    };
    // A configuration reaches the collector behind it, by a restart.
    let port = free_port();
    let text = |port: u16| GOOD.replace("localhost:0", &format!("127.0.0.1:{port}"));
    let good = rig.version("base", &text(port)).await;
    let rollout = format!("/rollouts/{}", roll_out(&good).await);
    until(&rig, &rollout, &config, |rollout| rollout["state"] == "succeeded").await;
    assert!(listens(port).await, "the receiver of the collector");
    until(&rig, &agent, &config, |told| {
        told["effective_config"].as_str().is_some_and(|text| text.contains(&port.to_string()))
    })
    .await;

    // One that its collector does not start with is reported as failed, and the former one comes back.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let configuration =
        rig.get("/configurations").await.body["items"][0]["id"].as_str().expect("an id").to_owned();
    let bad = rig.next_version(&configuration, &text(taken.local_addr().expect("an address").port())).await;
    let rollout = format!("/rollouts/{}", roll_out(&bad).await);
    until(&rig, &rollout, &config, |rollout| rollout["state"] == "rolled_back").await;
    until(&rig, &agent, &config, |told| told["reported_status"] == "applied" && told["healthy"] == true)
        .await;
    assert!(listens(port).await, "the former receiver");

    // It took a credential of its own: the token alone would not let it in again.
    let rig = rig.restart().await;
    until(&rig, &agent, &config, |told| told["connected"] == true && told["healthy"] == true).await;
    // Killed, it leaves no collector behind: that ends with it.
    drop(supervisor);
    assert!(until_nobody_listens(port).await, "the collector is an orphan");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reference_supervisor_manages_a_collector_over_websocket() {
    supervise("ws").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reference_supervisor_manages_a_collector_over_plain_http() {
    supervise("http").await;
}
