//! A collector whose way to the server has its credentials from an extension.

use std::process::Command;

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
        // In either order.
        let listed = if over == "http" { "opamp, bearertokenauth/way" } else { "bearertokenauth/way, opamp" };
        let text = with_extension(&rig, over, token, &format!("!append [{listed}]"));
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
async fn an_extension_that_is_not_there_is_named_at_its_key() {
    let rig = Rig::start().await;
    let config = rig.folder.path().join("base.yaml");
    let log = config.with_extension("log");
    for over in ["ws", "http", "long_poll"] {
        std::fs::write(&config, with_extension(&rig, over, "x", "!append [opamp]")).expect("written");
        let mut collector = start(&config);
        let ended =
            tokio::task::spawn_blocking(move || collector.0.wait()).await.expect("waited").expect("ended");
        let told = std::fs::read_to_string(&log).expect("read");
        assert!(
            !ended.success() && told.contains("failed to resolve authenticator \"bearertokenauth/way\""),
            "{told}"
        );
        // A check that starts nothing says the same.
        let mut check = Command::new(env!("CARGO_BIN_EXE_phoenix-control"));
        let checked =
            check.args(["collector", "validate", "--config"]).arg(&config).output().expect("it runs");
        let told =
            String::from_utf8_lossy(&checked.stderr).into_owned() + &String::from_utf8_lossy(&checked.stdout);
        assert!(!checked.status.success() && told.contains(&format!("server::{over}::auth")), "{told}");
    }
    rig.stop().await;
}
