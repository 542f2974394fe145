//! A collector whose way to the server has its credentials from an extension.

use serde_json::json;

use crate::collector::{base, start, until};
use crate::rig::Rig;

/// The base configuration with the token in an extension instead of a header; `extensions` in this order.
fn with_extension(rig: &Rig, over: &str, token: &str, extensions: &str) -> String {
    let header = format!("headers: {{Authorization: 'Bearer {token}'}}");
    let text = base(rig, over, token).replace(&header, "auth: bearertokenauth/way");
    text.replace("extensions:\n", &format!("extensions:\n  bearertokenauth/way: {{token: '{token}'}}\n"))
        .replace("!append [opamp]", extensions)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_adds_the_credentials_over_each_transport() {
    let rig = Rig::start().await;
    for (number, over) in ["ws", "http", "long_poll"].into_iter().enumerate() {
        let made = rig.post("/enrolment-tokens", json!({"name": over})).await.body;
        let token = made["token"].as_str().expect("a token");
        let config = rig.folder.path().join(format!("{over}.yaml"));
        let text = with_extension(&rig, over, token, "!append [bearertokenauth/way, opamp]");
        assert!(text.contains("auth: bearertokenauth/way") && !text.contains("headers"), "{text}");
        std::fs::write(&config, text).expect("written");
        let _collector = start(&config);
        let came = |agents: &serde_json::Value| {
            let items = agents["items"].as_array().map_or(&[][..], Vec::as_slice);
            items.iter().any(|agent| agent["enrolled_with"] == made["id"] && agent["healthy"] == true)
        };
        let agents = until(&rig, "/agents", &config, came).await;
        assert_eq!(agents["items"].as_array().map(Vec::len), Some(number + 1));
        // From then on it shows what the server gave it.
        let kept = rig.folder.path().join(format!("agent-{over}")).join("credential");
        let is_kept = |_: &serde_json::Value| kept.exists();
        until(&rig, "/agents", &config, is_kept).await;
        let revoked = format!("/enrolment-tokens/{}", made["id"].as_str().expect("an id"));
        assert_eq!(rig.request("DELETE", &revoked, &rig.key, &[], None).await.status, 204);
        let id = agents["items"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|agent| agent["enrolled_with"] == made["id"]);
        let agent = format!("/agents/{}", id.and_then(|agent| agent["id"].as_str()).expect("an id"));
        let asked = rig
            .post(&format!("{agent}/tasks"), json!({"kind": "diagnostics", "payload": {"only": "health"}}))
            .await;
        let task = format!("/tasks/{}", asked.body["id"].as_str().expect("an id"));
        until(&rig, &task, &config, |task| task["state"] == "done").await;
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_that_is_not_there_yet_stops_the_start() {
    let rig = Rig::start().await;
    for extensions in ["!append [opamp, bearertokenauth/way]", "!append [opamp]"] {
        let config = rig.folder.path().join("base.yaml");
        std::fs::write(&config, with_extension(&rig, "ws", "x", extensions)).expect("written");
        let mut collector = start(&config);
        let ended =
            tokio::task::spawn_blocking(move || collector.0.wait()).await.expect("waited").expect("ended");
        assert!(!ended.success(), "{extensions}");
        let log = std::fs::read_to_string(config.with_extension("log")).expect("read");
        assert!(log.contains("bearertokenauth/way") && log.contains("before this extension"), "{log}");
    }
    rig.stop().await;
}
