//! Own telemetry: of a collector, sent where the service says, and of the service itself.

use std::sync::{Arc, Mutex, PoisonError};

use phoenix_collector::TelemetryDestination;
use phoenix_control::serve::Options;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::collector::{base, free_port, start, until};
use crate::gates::is_whole;
use crate::rig::{Rig, options};

/// A backend that takes everything and remembers the head of each request.
struct Backend {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Backend {
    async fn start() -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let kept = heads.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let kept = kept.clone();
                tokio::spawn(async move {
                    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
                    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                        read.extend_from_slice(&buffer[..length]);
                        if is_whole(&read) {
                            let text = String::from_utf8_lossy(&read).into_owned();
                            let head = text.split("\r\n\r\n").next().unwrap_or_default().to_ascii_lowercase();
                            kept.lock().unwrap_or_else(PoisonError::into_inner).push(head);
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
        Backend { port, heads }
    }

    /// Waits for a request to `path` with the header.
    async fn hears(&self, path: &str, header: &str) {
        for _ in 0..600 {
            let fits = |head: &String| head.starts_with(&format!("post {path} ")) && head.contains(header);
            if self.heads.lock().unwrap_or_else(PoisonError::into_inner).iter().any(fits) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("{path}: {:?}", self.heads.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_sends_its_own_telemetry_where_its_group_says() {
    let (rig, backend) = (Rig::start().await, Backend::start().await);
    let token = rig.post("/enrolment-tokens", json!({"name": "test"})).await.body;
    let config = rig.folder.path().join("base.yaml");
    let text = base(&rig, "ws", token["token"].as_str().expect("a token"))
        .replace(
            "accepts_tasks: true",
            "accepts_tasks: true, reports_own_metrics: true, reports_own_logs: true",
        )
        .replace(
            "metrics: {level: none}",
            &format!("metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {}}}}}}}}}]}}", free_port()),
        );
    std::fs::write(&config, text).expect("written");
    let _collector = start(&config);
    let agents = until(&rig, "/agents", &config, |agents| agents["items"][0]["healthy"] == true).await;
    assert!(agents["items"][0]["capabilities"].to_string().contains("reports_own_metrics"), "{agents}");
    let agent = format!("/agents/{}", agents["items"][0]["id"].as_str().expect("an id"));

    let made = rig.post("/groups", json!({"name": "all", "selector": "zone=z1"})).await.body;
    let group = format!("/groups/{}", made["id"].as_str().expect("an id"));
    let change = async |own: serde_json::Value| {
        let seen = rig.get(&group).await.body["revision"].to_string();
        let seen = format!("\"{seen}\"");
        let headers = [("if-match", seen.as_str())];
        rig.request("PATCH", &group, &rig.key, &headers, Some(json!({"own_telemetry": own}))).await
    };
    let place = |path: &str| json!({"endpoint": format!("http://127.0.0.1:{}{path}", backend.port), "headers": {"api-key": "hush"}});
    let changed = change(json!({"metrics": place("/own/metrics"), "logs": place("")})).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert!(!changed.body.to_string().contains("hush"), "{}", changed.body);
    backend.hears("/v1/logs", "api-key: hush").await;
    backend.hears("/own/metrics", "api-key: hush").await;
    let told = until(&rig, &agent, &config, |told| told["connection_settings"]["status"] == "applied").await;
    assert!(told["connection_settings"]["error"].is_null(), "{told}");
    // What cannot be is refused here, at its field; and an end is an end.
    let wrong = change(json!({"metrics": {"endpoint": "nowhere"}})).await;
    assert_eq!(
        (wrong.status, &wrong.body["errors"][0]["field"]),
        (422, &json!("own_telemetry.metrics.endpoint"))
    );
    assert_eq!(change(json!({})).await.body["own_telemetry"], json!({}));
    let log = config.with_extension("log");
    for _ in 0..100 {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        if text.matches("own telemetry goes where the server wants it").count() >= 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let text = std::fs::read_to_string(&log).expect("a log");
    assert!(text.matches("own telemetry goes where the server wants it").count() >= 2, "{text}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_sends_its_own_traces_where_it_is_told() {
    let (folder, backend) = (tempfile::tempdir().expect("made"), Backend::start().await);
    let endpoint = format!("http://127.0.0.1:{}", backend.port);
    let headers = vec![("api-key".to_owned(), phoenix_config::Opaque::new("hush"))];
    let traces = Some(TelemetryDestination { endpoint, headers });
    let options = Options { traces, ..options(folder.path()) };
    let rig = Rig::start_with(folder, &options).await;
    assert_eq!(rig.get("/agents").await.status, 200);
    // What is left goes out at the end.
    rig.stop().await;
    backend.hears("/v1/traces", "api-key: hush").await;
    let folder = tempfile::tempdir().expect("made");
    let traces = Some(TelemetryDestination { endpoint: "nowhere".to_owned(), headers: Vec::new() });
    let wrong =
        phoenix_control::serve::start(&Options { traces, ..crate::rig::options(folder.path()) }).await;
    assert!(wrong.is_err(), "it says so at the start");
}
