//! The whole way: a real collector as a process of its own, driven from the API.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::rig::{Rig, free_address};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A collector that ends with the test.
pub(crate) struct Collector(pub(crate) Child);

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn free_port() -> u16 {
    free_address().port()
}

/// What stands in the collector's own file: how it reaches the service, and one pipeline that stays.
pub(crate) fn base(rig: &Rig, over: &str, token: &str) -> String {
    let scheme = if over == "ws" { "ws" } else { "http" };
    let interval = if over == "http" { ", polling_interval: 200ms" } else { "" };
    format!(
        "extensions:
  opamp:
    server: {{{over}: {{endpoint: '{scheme}://{}/v1/opamp', headers: {{Authorization: 'Bearer {token}'}}{interval}}}}}
    capabilities: {{accepts_remote_config: true, accepts_tasks: true}}
    storage: {{directory: '{}'}}
    agent_description: {{non_identifying_attributes: {{zone: z1}}}}
    grace_period: 500ms
receivers: {{nop/base: {{}}}}
exporters: {{nop/base: {{}}}}
service:
  extensions: !append [opamp]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces/base: {{receivers: [nop/base], exporters: [nop/base]}}}}
",
        rig.opamp,
        rig.folder.path().join(format!("agent-{over}")).display()
    )
}

pub(crate) fn start(config: &Path) -> Collector {
    let child = Command::new(env!("CARGO_BIN_EXE_phoenix-control"))
        .args(["collector", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(config.with_extension("log")).expect("made"))
        .spawn();
    Collector(child.expect("started"))
}

fn remote(port: u16) -> String {
    format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}}}}}}}\nexporters: {{debug: {{}}}}\nservice: {{pipelines: {{traces: {{receivers: [otlp], exporters: [debug]}}}}}}\n"
    )
}

/// The same with a pipeline for logs besides, over HTTP.
fn tapped(port: u16, http: u16) -> String {
    format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}, http: {{endpoint: '127.0.0.1:{http}'}}}}}}}}
exporters: {{debug: {{}}}}
service:
  pipelines:
    traces: {{receivers: [otlp], exporters: [debug]}}
    logs/tapped: {{receivers: [otlp], exporters: [debug]}}
"
    )
}

/// Sends one record after the other, until it is ended.
pub(crate) async fn send_logs(port: u16) {
    let attribute = json!({"key": "user.email", "value": {"stringValue": "ada@example.com"}});
    let record = json!({"body": {"stringValue": "hello"}, "attributes": [attribute]});
    let body = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).to_string();
    let request = format!(
        "POST /v1/logs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    loop {
        // While a configuration changes, nobody may listen.
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await {
            let _ = stream.write_all(request.as_bytes()).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) async fn until(rig: &Rig, path: &str, log: &Path, holds: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..600 {
        last = rig.get(path).await.body;
        if holds(&last) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let log = std::fs::read_to_string(log.with_extension("log")).unwrap_or_default();
    panic!("{path} never became what was expected: {last}\n{log}");
}

/// Writes a program of a few lines.
pub(crate) fn write_program(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("executable");
}

/// A program in `folder` that is this build's collector, for a supervisor that starts it; it runs with `more` arguments.
pub(crate) fn wrapper(folder: &Path, more: &str) -> PathBuf {
    let path = folder.join("collector");
    let text = format!(
        "#!/bin/sh
case \"$*\" in
    featuregate*|validate*) exec '{0}' collector \"$@\";;
    *) exec '{0}' collector \"$@\" {more};;
esac
",
        env!("CARGO_BIN_EXE_phoenix-control")
    );
    write_program(&path, &text);
    path
}

/// Waits until nothing listens on a port any more.
pub(crate) async fn until_nobody_listens(port: u16) -> bool {
    for _ in 0..600 {
        if TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

pub(crate) async fn listens(port: u16) -> bool {
    for _ in 0..300 {
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

async fn roll_out(rig: &Rig, group: &Value, version: &str) -> String {
    let started = rig.post("/rollouts", json!({"group_id": group, "version_id": version})).await;
    assert_eq!(started.status, 202, "{}", started.body);
    format!("/rollouts/{}", started.body["id"].as_str().expect("an id"))
}

async fn drive(over: &str) {
    let rig = Rig::start().await;
    let token = rig.post("/enrolment-tokens", json!({"name": "test"})).await.body;
    let token = token["token"].as_str().expect("a token").to_owned();
    let config = rig.folder.path().join("base.yaml");
    std::fs::write(&config, base(&rig, over, &token)).expect("written");
    let collector = start(&config);

    // It enrols, and tells how it is.
    let agents = until(&rig, "/agents", &config, |agents| agents["items"][0]["healthy"] == true).await;
    let agent = format!("/agents/{}", agents["items"][0]["id"].as_str().expect("an id"));
    assert_eq!(agents["items"][0]["labels"]["zone"], "z1");
    let told = until(&rig, &agent, &config, |told| told["components"].is_array()).await;
    assert!(told["components"].to_string().contains("otlp"), "{told}");

    // A configuration reaches it, and its own pipeline stays.
    let group = rig.post("/groups", json!({"name": "all", "selector": "zone=z1"})).await.body["id"].clone();
    let port = free_port();
    let good = rig.version("edge", &remote(port)).await;
    let configuration =
        rig.get("/configurations").await.body["items"][0]["id"].as_str().expect("an id").to_owned();
    let rollout = roll_out(&rig, &group, &good).await;
    until(&rig, &rollout, &config, |rollout| rollout["state"] == "succeeded").await;
    assert!(listens(port).await, "the new receiver");
    let told = until(&rig, &agent, &config, |told| {
        told["effective_config"].as_str().is_some_and(|text| text.contains(&port.to_string()))
    })
    .await;
    assert!(told["effective_config"].as_str().is_some_and(|text| text.contains("nop/base")), "{told}");
    assert!(!told["effective_config"].to_string().contains(&token), "secrets stay where they are");

    // One that cannot be applied there is taken back; what ran goes on.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let taken_port = taken.local_addr().expect("an address").port();
    let bad = rig.next_version(&configuration, &remote(taken_port)).await;
    let rollout = roll_out(&rig, &group, &bad).await;
    let back = until(&rig, &rollout, &config, |rollout| rollout["state"] == "rolled_back").await;
    assert!(back["reason"].as_str().is_some_and(|reason| reason.contains("failed on 1")), "{back}");
    assert!(listens(port).await, "the former receiver still listens");
    let told = rig.get(&agent).await.body;
    assert!(told["failures"].to_string().contains(&taken_port.to_string()), "{told}");

    // A task.
    let task = rig.post(&format!("{agent}/tasks"), json!({"kind": "diagnostics"})).await.body;
    let task = format!("/tasks/{}", task["id"].as_str().expect("an id"));
    let done = until(&rig, &task, &config, |task| task["state"] == "done").await;
    assert!(done["result"]["pipelines"].to_string().contains("traces/base"), "{done}");

    // What it would do with a version, it says without doing it.
    let odd = remote(port).replace("debug: {}", "debug: {verbosity: '${file:/none/such}'}");
    let odd = rig.next_version(&configuration, &odd).await;
    for (version, is_valid) in [(&bad, true), (&odd, false)] {
        let asked = json!({"kind": "dry_run", "payload": {"version_id": version}});
        let task = rig.post(&format!("{agent}/tasks"), asked).await.body;
        let task = format!("/tasks/{}", task["id"].as_str().expect("an id"));
        let done = until(&rig, &task, &config, |task| task["state"] == "done").await;
        assert_eq!(done["result"]["valid"], is_valid, "{done}");
        let says = if is_valid { "summary" } else { "error" };
        assert!(done["result"][says].as_str().is_some_and(|text| !text.is_empty()), "{done}");
    }
    assert!(listens(port).await, "nothing changed");

    // What goes through a pipeline shows, but not what is nobody's business; and not to everybody.
    let tap = json!({"kind": "tap", "payload": {"pipeline": "logs/tapped", "items": 1, "for_seconds": 20, "redact": ["user.*"]}});
    let viewer = rig.post("/api-keys", json!({"name": "v", "role": "viewer"})).await.body;
    let viewer = viewer["token"].as_str().expect("a token").to_owned();
    let http = free_port();
    let tapped = rig.next_version(&configuration, &tapped(port, http)).await;
    let rollout = roll_out(&rig, &group, &tapped).await;
    until(&rig, &rollout, &config, |rollout| rollout["state"] == "succeeded").await;
    let sending = tokio::spawn(send_logs(http));
    let task = rig.post(&format!("{agent}/tasks"), tap).await.body;
    let task = format!("/tasks/{}", task["id"].as_str().expect("an id"));
    let done = until(&rig, &task, &config, |task| task["state"] == "done").await;
    sending.abort();
    assert!(!done["result"].to_string().contains("ada@"), "{done}");
    assert!(done["result"]["items"][0].to_string().contains("user.email"), "{done}");
    let seen = rig.request("GET", &task, &viewer, &[], None).await.body;
    assert_eq!((&seen["state"], &seen["result"]), (&json!("done"), &Value::Null));

    // Its credential is replaced.
    let kept =
        |name: &str| std::fs::read_to_string(rig.folder.path().join(format!("agent-{over}")).join(name));
    let before = kept("credential").expect("it has one");
    assert_eq!(rig.post(&format!("{agent}/credential/rotation"), json!({})).await.status, 202);
    until(&rig, &agent, &config, |told| {
        let is_new = kept("credential").is_ok_and(|now| now != before);
        is_new && kept("credential.former").is_err() && told["connected"] == true
    })
    .await;

    // The service goes away and comes back; the collector runs on, and is heard of with its own credential.
    let rig = rig.restart().await;
    assert!(listens(port).await);
    until(&rig, &agent, &config, |told| told["connected"] == true).await;

    // The collector starts again without the service: the last good configuration runs.
    drop(collector);
    let (rig, folder) = rig.without_folder();
    rig.stop().await;
    let _again = start(&config);
    assert!(listens(port).await, "from what was kept");
    drop(folder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_is_driven_over_websocket() {
    drive("ws").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_is_driven_over_plain_http() {
    drive("http").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_is_driven_as_json() {
    drive("long_poll").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_needs_no_file_and_keeps_its_base() {
    for transport in ["ws", "long_poll"] {
        let rig = Rig::start().await;
        let token = rig.post("/enrolment-tokens", json!({"name": "test"})).await.body;
        let token = token["token"].as_str().expect("a token").to_owned();
        let log = rig.folder.path().join("agent.yaml");
        let base = rig.folder.path().join("base.yaml");
        std::fs::write(&base, "receivers: {nop/base: {}}\nexporters: {nop/base: {}}\nservice: {telemetry: {metrics: {level: none}}, pipelines: {traces/base: {receivers: [nop/base], exporters: [nop/base]}}}\n").expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_phoenix-control"));
        command.args(["collector", "agent", "--label=zone=z1", "--grace-period=300ms"]);
        let scheme = if transport == "ws" { "ws" } else { "http" };
        command.arg(format!("--server={scheme}://{}", rig.opamp));
        command.arg(format!("--storage={}", rig.folder.path().join("agent").display()));
        command.arg(format!("--config={}", base.display())).env("PHOENIX_ENROLMENT_TOKEN", &token);
        if transport == "long_poll" {
            command.arg("--long-poll");
        }
        let output = std::fs::File::create(log.with_extension("log")).expect("made");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        let _collector = Collector(command.spawn().expect("started"));
        let agents = until(&rig, "/agents", &log, |agents| agents["items"][0]["healthy"] == true).await;
        let agent = format!("/agents/{}", agents["items"][0]["id"].as_str().expect("an id"));
        assert_eq!(agents["items"][0]["labels"]["zone"], "z1");

        // What its machine is fills in what a configuration for all leaves open, and shows.
        let group =
            rig.post("/groups", json!({"name": "all", "selector": "zone=z1"})).await.body["id"].clone();
        let text = remote(free_port()).replace("debug: {}", "debug: {sampling_initial: '${agent:cores}'}")
            + "processors: {attributes: {actions: [{key: where, action: insert, value: '${agent:host_name}'}]}}\n";
        let version = rig.version("edge", &text).await;
        let rollout = roll_out(&rig, &group, &version).await;
        until(&rig, &rollout, &log, |rollout| rollout["state"] == "succeeded").await;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let told = until(&rig, &agent, &log, |told| {
            told["effective_config"]
                .as_str()
                .is_some_and(|text| text.contains(&format!("sampling_initial: {cores}")))
        })
        .await;
        let effective = told["effective_config"].as_str().expect("told");
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
        assert!(effective.contains(host.trim()) && effective.contains("traces/base"), "{effective}");
        assert!(!effective.contains(&token), "{effective}");

        // Its own metrics and its log come with diagnostics.
        let task = rig.post(&format!("{agent}/tasks"), json!({"kind": "diagnostics"})).await.body;
        let task = format!("/tasks/{}", task["id"].as_str().expect("an id"));
        let done = until(&rig, &task, &log, |task| task["state"] == "done").await;
        assert!(done["result"]["logs"].to_string().contains("Everything is ready"), "{done}");
        assert!(done["result"]["metrics"].is_string(), "{done}");
        assert!(done["result"]["profile"]["memory"].is_object(), "{done}");

        // It begins again as the same process, under the same identity, with what it had.
        let task = rig.post(&format!("{agent}/tasks"), json!({"kind": "restart"})).await.body;
        let task = format!("/tasks/{}", task["id"].as_str().expect("an id"));
        until(&rig, &task, &log, |task| task["state"] == "done").await;
        for _ in 0..300 {
            let text = std::fs::read_to_string(log.with_extension("log")).unwrap_or_default();
            if text.matches("Everything is ready").count() == 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let text = std::fs::read_to_string(log.with_extension("log")).expect("read");
        assert_eq!(text.matches("Everything is ready").count(), 2, "{text}");
        until(&rig, &agent, &log, |told| told["connected"] == true).await;
        assert_eq!(rig.get("/agents").await.body["items"].as_array().map(Vec::len), Some(1));
        rig.stop().await;
    }
}
