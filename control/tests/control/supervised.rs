//! A collector that is a child of `phoenix-collector supervise`: what reaches it, what becomes of its data, and its end.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::collector::{free_port, listens, send_logs, until, until_nobody_listens, wrapper};
use crate::gates::backend;
use crate::rig::Rig;

/// A supervisor, which ends its child before it ends.
struct Supervisor(Child);

impl Supervisor {
    fn start(rig: &Rig, token: &str, arguments: &[String], child: &Path, log: &Path) -> Supervisor {
        let output = std::fs::File::create(log.with_extension("log")).expect("made");
        let started = Command::new(env!("CARGO_BIN_EXE_phoenix-control"))
            .args(["collector", "supervise", "--label=zone=z1", "--grace-period=3s", "--stop-timeout=20s"])
            .arg(format!("--server=ws://{}", rig.opamp))
            .arg(format!("--storage={}", rig.folder.path().join("supervisor").display()))
            .args(arguments)
            .arg("--")
            .arg(child)
            .env("PHOENIX_ENROLMENT_TOKEN", token)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn();
        Supervisor(started.expect("started"))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg("-TERM").arg(self.0.id().to_string()).status();
        for _ in 0..600 {
            if matches!(self.0.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let _ = self.0.kill();
    }
}

/// Drives `child` by a good configuration, one that its data does not survive, and a mistake.
async fn drive(child: impl FnOnce(&Path) -> std::path::PathBuf) {
    let rig = Rig::start().await;
    let token = rig.post("/enrolment-tokens", json!({"name": "test"})).await.body;
    let token = token["token"].as_str().expect("a token").to_owned();
    let (listen, metrics) = (free_port(), free_port());
    let (takes, is_silent) = (backend(true).await, backend(false).await);
    let log = rig.folder.path().join("supervisor.yaml");
    let arguments = [format!("--metrics-url=http://127.0.0.1:{metrics}/metrics")];
    let supervisor = Supervisor::start(&rig, &token, &arguments, &child(rig.folder.path()), &log);
    let agents = until(&rig, "/agents", &log, |agents| agents["items"][0]["healthy"] == true).await;
    let agent = format!("/agents/{}", agents["items"][0]["id"].as_str().expect("an id"));

    let group = rig.post("/groups", json!({"name": "all", "selector": "zone=z1"})).await.body["id"].clone();
    let text = |port: u16| {
        format!(
            "receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{listen}'}}}}}}}}
exporters: {{otlp_http: {{endpoint: 'http://127.0.0.1:{port}', timeout: 1h, sending_queue: {{queue_size: 20, num_consumers: 1}}}}}}
service:
  telemetry: {{metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {metrics}}}}}}}}}]}}}}
  pipelines: {{logs: {{receivers: [otlp], exporters: [otlp_http]}}}}
"
        )
    };
    let roll_out_with = async |version: &str, gates: Value| {
        let new = json!({"group_id": group, "version_id": version, "gates": gates,
            "stages": [{"percent": 100, "soak_seconds": 20}]});
        let started = rig.post("/rollouts", new).await;
        assert_eq!(started.status, 202, "{}", started.body);
        let path = format!("/rollouts/{}", started.body["id"].as_str().expect("an id"));
        until(&rig, &path, &log, |rollout| rollout["state"] != "running").await
    };
    let roll_out = async |version: &str| roll_out_with(version, json!({"min_items": 5})).await;
    let good = rig.version("edge", &text(takes)).await;
    let sending = tokio::spawn(send_logs(listen));
    let first = roll_out(&good).await;
    assert_eq!(first["state"], "succeeded", "{first}");
    let progress = &first["progress"];
    assert_eq!((&progress["applied"], &progress["unmeasured"]), (&json!(1), &json!(0)), "{first}");
    assert!(listens(listen).await);

    // What CPU time the child uses is the child's.
    let configuration =
        rig.get("/configurations").await.body["items"][0]["id"].as_str().expect("an id").to_owned();
    let busy = rig.next_version(&configuration, &format!("# busy\n{}", text(takes))).await;
    let idle = roll_out_with(&busy, json!({"min_items": 5, "max_cpu_percent": 0})).await;
    assert_eq!(idle["state"], "rolled_back", "{idle}");
    assert!(idle["reason"].as_str().is_some_and(|why| why.contains("of its cores")), "{idle}");
    until(&rig, &agent, &log, |told| told["desired"]["state"] == "applied").await;

    // Nothing of the child is unwell, but what comes does not arrive.
    let lossy = rig.next_version(&configuration, &text(is_silent)).await;
    let second = roll_out(&lossy).await;
    assert_eq!(second["state"], "rolled_back", "{second}");
    assert!(second["reason"].as_str().is_some_and(|why| why.contains("beyond a limit")), "{second}");
    let told = until(&rig, &agent, &log, |told| {
        let effective = told["effective_config"].as_str().unwrap_or_default();
        effective.contains(&format!(":{takes}'")) && told["reported_status"] == "applied"
    })
    .await;
    assert_eq!(told["failures"].as_object().map(serde_json::Map::len), Some(2), "{told}");
    sending.abort();

    // What the child itself calls wrong stops nothing.
    let wrong = text(takes).replace("timeout: 1h", "timeout: '${env:PHOENIX_TEST_NO_SUCH_TIME}x'");
    let wrong = rig.next_version(&configuration, &wrong).await;
    let third = roll_out(&wrong).await;
    assert!(third["reason"].as_str().is_some_and(|why| why.contains("failed on 1")), "{third}");
    assert!(listens(listen).await, "the former one runs");
    drop(supervisor);
    assert!(until_nobody_listens(listen).await, "the child ends before its supervisor");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervised_collector_tells_what_becomes_of_its_data() {
    drive(|folder| wrapper(folder, "")).await;
}

#[expect(clippy::print_stderr, reason = "says that it is skipped")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stock_otelcol_is_managed_like_any_other() {
    let Some(otelcol) = std::env::var_os("OTELCOL_PEER") else {
        eprintln!("skipped: OTELCOL_PEER names no Go collector; see collector/tests/differential/README.md");
        return;
    };
    drive(|folder| {
        let path = folder.join("otelcol");
        let otelcol = std::path::PathBuf::from(otelcol);
        let text = format!("#!/bin/sh\nulimit -v 16777216\nexec '{}' \"$@\"\n", otelcol.display());
        crate::collector::write_program(&path, &text);
        path
    })
    .await;
}
