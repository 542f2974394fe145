//! Freezes, and rollouts that a second person must approve.

use serde_json::{Value, json};

use crate::rig::{GOOD, Rig};

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

impl Rig {
    async fn deployer(&self, name: &str) -> String {
        text(&self.post("/api-keys", json!({"name": name, "role": "deployer"})).await.body["token"])
    }

    async fn set(&self, token: &str, group: &Value, change: Value) -> (u16, Value) {
        let path = format!("/groups/{}", text(&group["id"]));
        let tag = format!("\"{}\"", self.get(&path).await.body["revision"]);
        let answer = self.request("PATCH", &path, token, &[("if-match", &tag)], Some(change)).await;
        (answer.status, answer.body)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_waits_for_a_second_person() {
    let rig = Rig::start().await;
    let (ada, bob) = (rig.deployer("ada").await, rig.deployer("bob").await);
    let group = rig.post("/groups", json!({"name": "all", "selector": "env=prod"})).await.body;
    let version = rig.version("base", GOOD).await;
    let required = json!({"requires_approval": true});
    assert_eq!(rig.set(&ada, &group, required.clone()).await.0, 403, "whoever is bound cannot unbind");
    let (status, guarded) = rig.set(&rig.key, &group, required).await;
    assert_eq!((status, &guarded["requires_approval"]), (200, &json!(true)));

    let ask = async |token: &str, path: &str, body: Value| {
        let answer = rig.request("POST", path, token, &[], Some(body)).await;
        (answer.status, answer.body)
    };
    let new = json!({"group_id": group["id"], "version_id": version});
    let (status, waiting) = ask(&ada, "/rollouts", new.clone()).await;
    assert_eq!((status, &waiting["state"]), (202, &json!("waiting")));
    let path = format!("/rollouts/{}", text(&waiting["id"]));
    let orders = format!("{path}/orders");
    let approve = json!({"order": "approve"});
    assert_eq!(ask(&ada, &orders, approve.clone()).await.0, 403, "the same person");
    assert_eq!(ask(&rig.key, &orders, approve.clone()).await.0, 403, "who made the key that started it");
    assert_eq!(ask(&bob, &orders, json!({"order": "resume"})).await.0, 409, "that is no way round");
    assert_eq!(rig.get(&path).await.body["state"], "waiting");
    let (status, approved) = ask(&bob, &orders, approve.clone()).await;
    assert_eq!((status, &approved["state"]), (200, &json!("running")), "{approved}");
    assert!(text(&approved["approved_by"]).contains("bob"), "{approved}");
    rig.until(&path, |rollout| rollout["state"] == "succeeded").await;

    // One that was prepared for another state of the group, and one that nobody wants.
    let configuration = text(&rig.get("/configurations").await.body["items"][0]["id"]);
    let next =
        rig.next_version(&configuration, &GOOD.replace("debug: {}", "debug: {verbosity: basic}")).await;
    let new = json!({"group_id": group["id"], "version_id": next});
    let first = text(&ask(&ada, "/rollouts", new.clone()).await.1["id"]);
    let second = text(&ask(&ada, "/rollouts", new).await.1["id"]);
    assert_eq!(ask(&bob, &format!("/rollouts/{first}/orders"), approve.clone()).await.0, 200);
    rig.until(&format!("/rollouts/{first}"), |rollout| rollout["state"] == "succeeded").await;
    assert_eq!(ask(&bob, &format!("/rollouts/{second}/orders"), approve).await.0, 409);
    let (_, cancelled) =
        ask(&ada, &format!("/rollouts/{second}/orders"), json!({"order": "roll_back"})).await;
    assert_eq!(cancelled["state"], "cancelled");

    // Agents do not come by a new version through another group either.
    let other = json!({"name": "other", "selector": "env=prod", "priority": 9});
    assert_eq!(ask(&ada, "/groups", other).await.0, 403);
    assert_eq!(rig.set(&ada, &group, json!({"selector": "env=test"})).await.0, 403);
    let audit = rig.get("/audit").await.body.to_string();
    assert!(audit.contains("rollout.running") && audit.contains("rollout.cancelled"), "{audit}");
    assert_eq!(rig.get("/audit/verification").await.body["intact"], true);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_begins_in_a_freeze() {
    let rig = Rig::start().await;
    let deployer = rig.deployer("ada").await;
    let group = rig.post("/groups", json!({"name": "all"})).await.body;
    let version = rig.version("base", GOOD).await;
    let wrong = json!({"freezes": [{"from": "2026-01-01T00:00:00Z", "until": "yesterday"}]});
    let (status, refused) = rig.set(&rig.key, &group, wrong).await;
    assert_eq!((status, &refused["errors"][0]["field"]), (422, &json!("freezes.0.until")));
    let holidays = |until: &str| json!({"freezes": [{"from": "2000-01-01T00:00:00Z", "until": until}]});
    assert_eq!(rig.set(&deployer, &group, holidays("2001-01-01T00:00:00Z")).await.0, 403);
    assert_eq!(rig.set(&rig.key, &group, holidays("9000-01-01T00:00:00Z")).await.0, 200);
    let new = json!({"group_id": group["id"], "version_id": version});
    let refused = rig.post("/rollouts", new.clone()).await;
    assert_eq!(refused.status, 409);
    assert!(text(&refused.body["detail"]).contains("frozen until 9000-01-01T00:00:00Z"), "{}", refused.body);
    assert_eq!(rig.set(&rig.key, &group, holidays("2001-01-01T00:00:00Z")).await.0, 200, "it is over");
    assert_eq!(rig.post("/rollouts", new).await.status, 202);
    rig.stop().await;
}
