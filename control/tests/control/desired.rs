//! What an agent is to run, against what it says that it runs.

use std::time::Duration;

use phoenix_opamp::RemoteConfigStatuses::{Applied, Applying, Failed};
use serde_json::{Value, json};

use crate::agent::{Agent, Kind};
use crate::rig::{GOOD, Rig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wanted_and_what_runs_are_told_side_by_side() {
    let rig = Rig::start().await;
    let (token, group) = (rig.token().await, rig.group().await);
    let mut agent = Agent::connect(&rig, Kind::Http, 1, &token).await.expect("let in");
    agent.say_all().await;
    let path = format!("/agents/{}", agent.id());
    let desired = async || rig.get(&path).await.body["desired"].clone();
    let nothing = json!({"group_id": group, "version_id": null, "hash": null, "state": "none"});
    assert_eq!(desired().await, nothing);

    let version = rig.version("base", GOOD).await;
    let rollout = format!("/rollouts/{}", rig.roll_out(&group, &version, json!([{"percent": 100}])).await);
    let told = desired().await;
    assert_eq!((&told["version_id"], &told["state"]), (&json!(version), &json!("differs")));
    let offer = agent.offer(Duration::from_secs(20)).await.expect("offered");
    let digits: String = offer.config_hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(told["hash"], json!(digits));
    for (status, state) in [(Applying, "applying"), (Applied, "applied")] {
        agent.report(&offer.config_hash, status, "").await;
        assert_eq!(desired().await["state"], state);
    }
    rig.until(&rollout, |rollout| rollout["state"] == "succeeded").await;
    // It says that it has something else by now.
    agent.report(b"something else", Applied, "").await;
    assert_eq!(desired().await["state"], "differs");
    agent.report(&offer.config_hash, Failed, "it broke").await;
    assert_eq!(desired().await["state"], "failed");
    // In no group, nothing is wanted of it.
    let labels = json!({"env": "other"});
    assert_eq!(
        rig.request("PUT", &format!("{path}/labels"), &rig.key, &[("if-match", "*")], Some(labels))
            .await
            .status,
        200
    );
    assert_eq!(desired().await, json!({"group_id": null, "version_id": null, "hash": null, "state": "none"}));

    // Locked out, it is given nothing to do.
    assert_eq!(rig.post(&format!("{path}/revoke"), json!({})).await.status, 204);
    let refused = rig.post(&format!("{path}/tasks"), json!({"kind": "reload"})).await;
    assert_eq!((refused.status, refused.body["type"].as_str()), (409, Some("urn:phoenix:problem:conflict")));
    assert_eq!(rig.get("/tasks").await.body["items"], Value::Array(Vec::new()));
    rig.stop().await;
}
