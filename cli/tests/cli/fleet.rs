//! Agents, tasks and rollouts, one by one.

use serde_json::json;

use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_are_labelled_asked_and_locked_out() {
    let rig = Rig::start().await;
    let agent = rig.agent(1).await;
    let listed = rig.run(&["agents", "list", "-l", "env=prod"]).await.code(0);
    assert!(listed.contains("host-1") && listed.contains("yes"), "{listed}");
    assert!(!rig.run(&["agents", "list", "-l", "env=test"]).await.code(0).contains("host-1"));
    rig.run(&["agents", "label", "host-1", "tier=gateway", "zone=a"]).await.code(0);
    rig.run(&["agents", "label", "host-1", "zone-"]).await.code(0);
    let told = rig.run(&["agents", "get", "host-1", "-o", "json"]).await.json();
    assert_eq!(told["operator_labels"], json!({"tier": "gateway"}));
    let refused = rig.run(&["agents", "label", "host-1", "env-"]).await;
    assert!(refused.code == 1 && refused.err.contains("not among the labels"), "{}", refused.err);

    assert_eq!(rig.run(&["logs", "host-1"]).await.code(0), "first line\nsecond line\n");
    let run =
        ["tasks", "run", "host-1", "log_level", "--set", "level=debug", "--set", "for_seconds=60", "--wait"];
    let result = rig.run(&run).await.code(0);
    assert!(result.contains("level: debug") && result.contains("for_seconds: 60"), "{result}");
    let bad = rig.run(&["tasks", "run", "host-1", "log_level"]).await;
    assert!(bad.code == 1 && bad.err.contains("payload.level"), "{}", bad.err);
    assert!(rig.run(&["tasks", "list", "--agent", "host-1"]).await.code(0).contains("done"));

    rig.run(&["agents", "revoke", "host-1"]).await.code(0);
    agent.await.expect("its connection ends");
    let told = rig.run(&["agents", "get", "host-1", "-o", "json"]).await.json();
    assert!(told["revoked_at"].is_string() && told["connected"] == false, "{told}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_is_steered() {
    let rig = Rig::start().await;
    rig.write("fleet.yaml", "configurations: {a: {file: a.yaml}}\ngroups: {g: {selector: env=prod}}\n");
    rig.write("a.yaml", "receivers: {nop: {}}\nexporters: {nop: {}}\nservice: {pipelines: {traces: {receivers: [nop], exporters: [nop]}}}\n");
    rig.run(&["apply"]).await.code(0);
    let _agent = rig.agent(1).await;
    let start = ["rollout", "start", "g", "a", "--stages", "50:1h,100", "-o", "json"];
    let started = rig.run(&start).await.json();
    let id = started["id"].as_str().expect("an id").to_owned();
    assert_eq!(
        started["stages"],
        json!([{"percent": 50, "soak_seconds": 3600}, {"percent": 100, "soak_seconds": 0}])
    );
    assert!(rig.run(&["rollout", "pause", &id]).await.code(0).contains("paused"));
    assert!(rig.run(&["rollout", "resume", &id]).await.code(0).contains("running"));
    assert!(rig.run(&["rollout", "list"]).await.code(0).contains(&id));
    rig.run(&["rollout", "back", &id]).await.code(0);
    assert!(rig.run(&["rollout", "wait", &id]).await.code(2).contains("rolled_back"));
    rig.stop().await;
}
