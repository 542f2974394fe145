//! Gates of a rollout over a real collector: what it is healthy with, and what its data does not survive.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::collector::{base, free_port, send_logs, start, until};
use crate::rig::Rig;

/// A backend that takes everything, or answers nothing; its port.
pub(crate) async fn backend(answers: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    read.extend_from_slice(&buffer[..length]);
                    if answers && is_whole(&read) {
                        read.clear();
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                        if stream.write_all(answer).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    port
}

/// Whether a request of HTTP has come to its end.
pub(crate) fn is_whole(read: &[u8]) -> bool {
    let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    read.len() >= end + 4 + length.unwrap_or(0)
}

fn exporting(listen: u16, exporter: &str) -> String {
    format!(
        "receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{listen}'}}}}}}}}
exporters: {{otlphttp: {exporter}}}
service: {{pipelines: {{logs: {{receivers: [otlp], exporters: [otlphttp]}}}}}}
"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_is_healthy_but_loses_data_is_taken_back() {
    let rig = Rig::start().await;
    let token = rig.post("/enrolment-tokens", json!({"name": "test"})).await.body;
    let config = rig.folder.path().join("base.yaml");
    std::fs::write(&config, base(&rig, "ws", token["token"].as_str().expect("a token"))).expect("written");
    let _collector = start(&config);
    until(&rig, "/agents", &config, |agents| agents["items"][0]["healthy"] == true).await;
    let group = rig.post("/groups", json!({"name": "all", "selector": "zone=z1"})).await.body["id"].clone();

    let (listen, takes, is_silent) = (free_port(), backend(true).await, backend(false).await);
    let to = |port: u16| {
        let queue = "sending_queue: {queue_size: 20, num_consumers: 1}";
        exporting(listen, &format!("{{endpoint: 'http://127.0.0.1:{port}', timeout: 1h, {queue}}}"))
    };
    let roll_out = async |version: &str, gates: serde_json::Value| {
        let stages = json!([{"percent": 100, "soak_seconds": 15}]);
        let new = json!({"group_id": group, "version_id": version, "stages": stages, "gates": gates});
        let started = rig.post("/rollouts", new).await;
        assert_eq!(started.status, 202, "{}", started.body);
        let path = format!("/rollouts/{}", started.body["id"].as_str().expect("an id"));
        until(&rig, &path, &config, |rollout| rollout["state"] != "running").await
    };
    let good = rig.version("edge", &to(takes)).await;
    let sending = tokio::spawn(send_logs(listen));
    let first = roll_out(&good, json!({"min_items": 5})).await;
    assert_eq!(first["state"], "succeeded", "{first}");
    assert_eq!((&first["progress"]["applied"], &first["progress"]["unmeasured"]), (&json!(1), &json!(0)));

    // One that may use no CPU at all is taken back as soon as it says how much it uses.
    let configuration =
        rig.get("/configurations").await.body["items"][0]["id"].as_str().expect("an id").to_owned();
    let busy = rig.next_version(&configuration, &format!("# busy\n{}", to(takes))).await;
    let idle = roll_out(&busy, json!({"min_items": 5, "max_cpu_percent": 0})).await;
    assert_eq!(idle["state"], "rolled_back", "{idle}");
    assert!(
        idle["reason"].as_str().is_some_and(|why| why.contains("% of its cores, and may use 0 %")),
        "{idle}"
    );

    // What it is sent to never answers: no component is unwell, but nothing arrives any more. That stops the rollout, and
    // somebody decides.
    let lossy = rig.next_version(&configuration, &to(is_silent)).await;
    let agent = rig.get("/agents").await.body["items"][0]["id"].as_str().expect("an id").to_owned();
    let agent = format!("/agents/{agent}");
    let goes_back = || {
        until(&rig, &agent, &config, |told| {
            let effective = told["effective_config"].as_str().unwrap_or_default();
            effective.contains(&takes.to_string()) && told["reported_status"] == "applied"
        })
    };
    let queue_alone =
        json!({"max_refused_percent": null, "max_send_failed_percent": null, "automatic_rollback": false});
    let second = roll_out(&lossy, queue_alone).await;
    assert_eq!(
        (&second["state"], &second["progress"]["strained"]),
        (&json!("paused"), &json!(1)),
        "{second}"
    );
    assert!(second["reason"].as_str().is_some_and(|why| why.contains("a queue is filled to")), "{second}");
    let orders = format!("/rollouts/{}/orders", second["id"].as_str().expect("an id"));
    assert_eq!(rig.post(&orders, json!({"order": "roll_back"})).await.status, 200);
    goes_back().await;
    // What a gate found is remembered: the version is not offered to this agent again, until somebody says so.
    let again = roll_out(&lossy, json!({"min_items": 5})).await;
    assert_eq!(
        (&again["state"], &again["progress"]["failed"]),
        (&json!("rolled_back"), &json!(1)),
        "{again}"
    );
    assert!(again["reason"].as_str().is_some_and(|why| why.contains("failed on 1")), "{again}");
    let told = rig.get(&agent).await.body;
    assert!(told["failures"].to_string().contains("a queue is filled to"), "{told}");
    assert_eq!(rig.request("DELETE", &format!("{agent}/failures"), &rig.key, &[], None).await.status, 204);
    // With the usual gates it is taken back by itself.
    let third = roll_out(&lossy, json!({"min_items": 5})).await;
    assert_eq!(third["state"], "rolled_back", "{third}");
    assert!(third["reason"].as_str().is_some_and(|why| why.contains("beyond a limit")), "{third}");
    goes_back().await;
    sending.abort();
    rig.stop().await;
}
