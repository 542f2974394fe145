//! From files to agents, and drift on the way.

use std::process::Command;

use crate::rig::Rig;

const GOOD: &str = "# base
receivers: {otlp: {protocols: {grpc: {endpoint: 'localhost:0'}}}}
exporters: {debug: {}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}
";
const FLEET: &str = "configurations:
  base: {file: configs/base.yaml, description: for all}
  edge: {file: configs/edge.yaml, parent: base}
groups:
  edge: {selector: env=prod, configuration: edge, gates: {patience_seconds: 20}}
";

fn git(rig: &Rig, arguments: &[&str]) {
    let identity = ["-c", "user.name=test", "-c", "user.email=test@example.com"];
    let done = Command::new("git").args(identity).args(arguments).current_dir(rig.folder.path()).output();
    assert!(done.expect("git runs").status.success(), "{arguments:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_in_git_become_what_agents_run() {
    let rig = Rig::start().await;
    let agent = rig.agent(1).await;
    rig.write("fleet.yaml", FLEET);
    rig.write("configs/base.yaml", GOOD);
    rig.write("configs/edge.yaml", "exporters: {debug: {verbosity: detailed}}\n");
    git(&rig, &["init", "-q"]);
    git(&rig, &["add", "fleet.yaml", "configs"]);
    git(&rig, &["commit", "-qm", "the first fleet"]);

    // Planned, nothing is done; then done; then there is nothing left to do.
    let plan = rig.run(&["plan"]).await.code(2);
    for part in ["configuration base: create", "configuration edge: add version", "group edge: roll out"] {
        assert!(plan.contains(part), "{part}\n{plan}");
    }
    assert!(
        rig.run(&["get", "configurations", "-o", "json"]).await.json().as_array().expect("a list").is_empty()
    );
    let applied = rig.run(&["apply", "--wait"]).await.code(0);
    assert!(applied.contains("succeeded") && applied.contains("the first fleet"), "{applied}");
    assert!(rig.run(&["plan"]).await.code(0).contains("has what the files say"));
    assert!(rig.run(&["diff"]).await.code(0).contains("have the same"));
    assert!(rig.run(&["apply"]).await.code(0).contains("has what the files say"));
    // The text is kept as it was written, and merged for agents.
    assert_eq!(rig.run(&["get", "configuration", "base"]).await.code(0), GOOD);
    let effective = rig.run(&["get", "configuration", "edge", "--effective"]).await.code(0);
    assert!(effective.contains("verbosity: detailed") && effective.contains("otlp"), "{effective}");
    assert!(rig.run(&["get", "agents"]).await.code(0).contains("applied"));

    // A change of the parent reaches what is laid over it; the plan shows lines.
    rig.write("configs/base.yaml", &GOOD.replace("localhost:0", "localhost:4999"));
    let plan = rig.run(&["plan"]).await.code(2);
    assert!(
        plan.contains("+ receivers: {otlp") && plan.contains("over the new version of its parent"),
        "{plan}"
    );
    assert!(rig.run(&["apply", "--wait", "-m", "another port"]).await.code(0).contains("succeeded"));
    let meaning = rig.run(&["diff", "edge"]).await.code(2);
    assert!(meaning.contains("4999"), "{meaning}");
    assert!(rig.run(&["get", "config", "edge", "--versions"]).await.code(0).contains("another port"));

    // Somebody changes something elsewhere: that is drift, and applying takes it back.
    rig.write("other.yaml", "configurations: {edge: {file: other-edge.yaml, parent: base}}\n");
    rig.write("other-edge.yaml", "exporters: {debug: {verbosity: basic}}\n");
    rig.run(&["apply", "-f", "other.yaml", "--no-rollout"]).await.code(0);
    let drift = rig.run(&["diff"]).await.code(2);
    assert!(drift.contains("- exporters: {debug: {verbosity: basic}}"), "{drift}");
    rig.run(&["apply", "--wait"]).await.code(0);
    assert!(rig.run(&["diff", "-f", "other.yaml"]).await.code(2).contains("group edge: is not in the files"));
    agent.abort();
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_told_and_not_tried_for_ever() {
    let rig = Rig::start().await;
    let _agent = rig.agent(1).await;
    rig.write("fleet.yaml", FLEET);
    rig.write("configs/base.yaml", GOOD);
    rig.write("configs/edge.yaml", "exporters: {debug: {}}\n");
    rig.run(&["apply", "--wait"]).await.code(0);

    // A mistake is told with its place, and nothing is begun.
    rig.write("configs/edge.yaml", "exporters:\n  debug: {verbosty: basic}\n");
    let bad = rig.run(&["apply"]).await;
    assert!(bad.code == 1 && bad.err.contains("2:") && bad.err.contains("verbosty"), "{}", bad.err);
    assert!(rig.run(&["get", "config", "edge", "--versions", "-o", "json"]).await.json()[1].is_null());

    // The agent refuses it: it is rolled back, and not rolled out again until somebody says so.
    rig.write("configs/edge.yaml", "# refuse\nexporters: {debug: {}}\n");
    let failed = rig.run(&["apply", "--wait"]).await.code(2);
    assert!(failed.contains("rolled_back"), "{failed}");
    assert!(rig.run(&["apply"]).await.code(2).contains("--retry"));
    let plan = rig.run(&["plan", "-o", "json"]).await.code(2);
    assert!(plan.contains("\"leave\""), "{plan}");
    let retried = rig.run(&["apply", "--retry", "--wait"]).await.code(2);
    assert!(retried.contains("roll out"), "{retried}");
    let agent = rig.run(&["agents", "get", "host-1", "-o", "json"]).await.json();
    assert!(agent["failures"].to_string().contains("it says refuse"), "{agent}");
    rig.stop().await;
}
