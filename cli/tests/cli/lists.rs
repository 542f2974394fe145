//! Every list in every form, and what is done again and again.

use serde_json::{Value, json};

use crate::rig::Rig;

const GOOD: &str = "receivers: {nop: {}}\nexporters: {nop: {}}\nservice: {pipelines: {traces: {receivers: [nop], exporters: [nop]}}}\n";

/// A service with one of everything that there are lists of.
async fn filled() -> (Rig, tokio::task::JoinHandle<()>) {
    let rig = Rig::start().await;
    let agent = rig.agent(1).await;
    rig.write(
        "fleet.yaml",
        "configurations: {base: {file: a.yaml}}\ngroups: {g: {selector: env=prod, configuration: base}}\n",
    );
    rig.write("a.yaml", GOOD);
    rig.run(&["apply", "--wait"]).await.code(0);
    let scope = ["--role", "deployer", "--scope", "env=prod"];
    rig.run(&[&["create", "api-key", "ci"][..], &scope].concat()).await.code(0);
    let server = format!("http://{}", rig.api);
    let environment = [("PHOENIX_SERVER", server.as_str()), ("PHOENIX_TOKEN", rig.key.as_str())];
    let create = [&["create", "user", "ann"][..], &scope].concat();
    rig.bare(&create, &environment, "a long password\n").await.code(0);
    rig.run(&["tasks", "run", "host-1", "diagnostics", "--wait"]).await.code(0);
    let nightly = ["create", "schedule", "nightly", "--cron", "0 3 * * *", "--kind", "diagnostics"];
    rig.run(&[&nightly[..], &["--selector", "env=prod", "--set", "only=logs"]].concat()).await.code(0);
    (rig, agent)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_list_is_a_table_json_and_yaml() {
    let (rig, agent) = filled().await;
    // (command, titles of the table, a key of each item, what one of them says there)
    let cases: [(&[&str], &str, &str, &str); 20] = [
        (&["get", "configurations"], "NAME LATEST DESCRIPTION ID", "name", "base"),
        (&["get", "config", "base", "--versions"], "VERSION CREATED AUTHOR MESSAGE", "author", "key:"),
        (&["get", "groups"], "NAME SELECTOR PRIORITY LIVE VERSION ID", "selector", "env=prod"),
        (
            &["get", "agents"],
            "NAME CONNECTED HEALTHY CONFIGURATION LAST SEEN ID",
            "reported_status",
            "applied",
        ),
        (&["agents", "list"], "NAME CONNECTED HEALTHY CONFIGURATION LAST SEEN ID", "name", "host-1"),
        (&["get", "rollouts"], "ID GROUP STATE STAGE SINCE REASON", "state", "succeeded"),
        (&["rollout", "list"], "ID GROUP STATE STAGE SINCE REASON", "state", "succeeded"),
        (&["get", "tasks"], "ID AGENT KIND STATE ATTEMPT CREATED ERROR", "kind", "diagnostics"),
        (
            &["tasks", "list", "--agent", "host-1"],
            "ID AGENT KIND STATE ATTEMPT CREATED ERROR",
            "state",
            "done",
        ),
        (&["get", "schedules"], "NAME CRON KIND AGENTS AGENT ENABLED NEXT ID", "cron", "0 3 * * *"),
        (&["schedules", "list"], "NAME CRON KIND AGENTS AGENT ENABLED NEXT ID", "selector", "env=prod"),
        (&["get", "users"], "NAME ROLE SCOPE ID", "name", "ann"),
        (&["get", "keys"], "NAME ROLE SCOPE EXPIRES REVOKED ID", "name", "ci"),
        (&["get", "tokens"], "NAME LABELS USES MOST REVOKED ID", "name", "test"),
        (&["get", "audit"], "AT ACTOR ACTION TARGET REQUEST", "action", "schedule.create"),
        (&["roles"], "NAME MAY", "name", "deployer"),
        (&["get", "roles"], "NAME MAY", "name", "admin"),
        (&["signing-keys", "list"], "ID SIGNS CREATED NEEDED UNTIL PUBLIC KEY", "id", "sig_"),
        (&["events", "group", "g"], "AT ACTOR ACTION TARGET REQUEST", "action", "group.create"),
        (&["events", "agent", "host-1"], "AT ACTOR ACTION TARGET REQUEST", "action", "agent.enrol"),
    ];
    for (command, titles, key, value) in cases {
        let table = rig.run(command).await.code(0);
        let first = table.lines().next().unwrap_or_default();
        let words: Vec<&str> = first.split_whitespace().collect();
        assert_eq!(words.join(" "), titles, "{command:?}");
        assert!(table.contains(value), "{command:?}: {table}");
        let as_json = rig.run(&[command, &["-o", "json"]].concat()).await.json();
        let says = |item: &Value| item[key].as_str().is_some_and(|text| text.contains(value));
        assert!(as_json.as_array().is_some_and(|items| items.iter().any(says)), "{command:?}: {as_json}");
        let as_yaml = rig.run(&[command, &["-o", "yaml"]].concat()).await.code(0);
        assert!(as_yaml.starts_with("- "), "{command:?}: {as_yaml}");
        assert!(as_yaml.contains(&format!("{key}: ")) && as_yaml.contains(value), "{command:?}: {as_yaml}");
    }
    let none = rig.run(&["get", "templates", "-o", "json"]).await.json();
    assert_eq!(none, json!([]));
    agent.abort();
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_is_made_held_and_removed() {
    let (rig, agent) = filled().await;
    let told = rig.run(&["schedules", "get", "nightly", "-o", "json"]).await.json();
    assert_eq!((&told["enabled"], &told["payload"]), (&json!(true), &json!({"only": "logs"})));
    assert!(rig.run(&["schedules", "pause", "nightly"]).await.code(0).contains("no further tasks"));
    assert!(rig.run(&["schedules", "list"]).await.code(0).contains("  no  "));
    let resumed = rig.run(&["schedules", "resume", "nightly", "-o", "json"]).await.json();
    assert_eq!(resumed["enabled"], true);
    let wrong = rig.run(&["create", "schedule", "x", "--cron", "never", "--kind", "diagnostics"]).await;
    assert!(wrong.code == 1 && wrong.err.contains("cron"), "{}", wrong.err);
    let one = ["create", "schedule", "one", "--cron", "@daily", "--kind", "restart", "--agent", "host-1"];
    let made = rig.run(&[&one[..], &["-o", "yaml"]].concat()).await.code(0);
    assert!(made.contains("agent_id: ") && made.contains("kind: restart"), "{made}");
    rig.run(&["schedules", "remove", "nightly"]).await.code(0);
    let gone = rig.run(&["schedules", "get", "nightly"]).await;
    assert!(gone.code == 1 && gone.err.contains("nightly"), "{}", gone.err);
    agent.abort();
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gates_taps_and_diagnostics_are_asked_for_by_their_names() {
    let (rig, agent) = filled().await;
    rig.write("a.yaml", &format!("# next\n{GOOD}"));
    rig.run(&["apply", "--no-rollout"]).await.code(0);
    let start = ["rollout", "start", "g", "base", "--stages", "100:1h", "-o", "json"];
    let gates = [
        "--gate",
        "max_failed=1",
        "--gate",
        "max_send_failed_percent=none",
        "--gate",
        "automatic_rollback=false",
    ];
    let started = rig.run(&[&start[..], &gates].concat()).await.json();
    let told = &started["gates"];
    let said = (&told["max_failed"], &told["max_send_failed_percent"], &told["automatic_rollback"]);
    assert_eq!(said, (&json!(1), &Value::Null, &json!(false)), "{told}");
    rig.run(&["rollout", "back", started["id"].as_str().expect("an id")]).await.code(0);
    let wrong = rig.run(&[&start[..], &["--gate", "max_loss=1"]].concat()).await;
    assert!(wrong.code == 1 && wrong.err.contains("max_loss"), "{}", wrong.err);

    let tap = ["tasks", "run", "host-1", "tap", "--set", "pipeline=traces", "--set", "items=5"];
    let redact = ["--set", "redact[]=user.*", "--set", "redact[]=*.id", "--wait", "-o", "json"];
    let task = rig.run(&[&tap[..], &redact].concat()).await.json();
    let given = json!({"pipeline": "traces", "items": 5, "redact": ["user.*", "*.id"]});
    assert_eq!((&task["state"], &task["result"]["given"]), (&json!("done"), &given), "{task}");
    let wrong = rig.run(&["tasks", "run", "host-1", "tap"]).await;
    assert!(wrong.code == 1 && wrong.err.contains("payload.pipeline"), "{}", wrong.err);

    let bundle = rig.run(&["tasks", "run", "host-1", "diagnostics", "--wait", "-o", "yaml"]).await.code(0);
    assert!(bundle.contains("state: done") && bundle.contains("- first line"), "{bundle}");
    agent.abort();
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn help_names_each_command_with_what_it_does() {
    let rig = Rig::start().await;
    let help = rig.bare(&["--help"], &[], "").await.code(0);
    let commands = [
        "login",
        "logout",
        "status",
        "get",
        "create",
        "plan",
        "apply",
        "diff",
        "rollout",
        "tasks",
        "schedules",
        "agents",
        "logs",
        "completion",
    ];
    for command in commands {
        let line = help.lines().find(|line| line.trim_start().starts_with(&format!("{command} ")));
        let line = line.unwrap_or_else(|| panic!("{command} is not in {help}"));
        assert!(line.trim().len() > command.len() + 10, "{command} says what it does: {line}");
        rig.bare(&[command, "--help"], &[], "").await.code(0);
    }
    assert!(help.contains("Exit codes") && help.contains("PHOENIX_TOKEN"), "{help}");
    rig.stop().await;
}
