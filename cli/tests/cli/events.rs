//! What happened to one thing, and what happens to it from then on.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_told_as_they_happen() {
    let rig = Rig::start().await;
    let made =
        rig.run(&["create", "schedule", "nightly", "--cron", "@daily", "--kind", "reload", "-o", "json"]);
    let id = made.await.json()["id"].clone();
    for number in 0..3 {
        let order = if number % 2 == 0 { "pause" } else { "resume" };
        rig.run(&["schedules", order, "nightly"]).await.code(0);
    }
    // The latest last; by name and by identifier.
    let latest = ["events", "schedule", "nightly", "--limit", "2", "-o", "json"];
    let told = rig.run(&latest).await.json();
    assert_eq!((told.as_array().map(Vec::len), &told[1]["action"]), (Some(2), &json!("schedule.change")));
    assert!(told[0]["seq"].as_i64() < told[1]["seq"].as_i64(), "{told}");
    let all = rig.run(&["events", "schedules", id.as_str().expect("an id"), "-o", "json"]).await.json();
    assert_eq!((all.as_array().map(Vec::len), &all[0]["action"]), (Some(4), &json!("schedule.create")));

    let mut following = Command::new(env!("CARGO_BIN_EXE_phoenix"))
        .args(["events", "schedule", "nightly", "--follow", "--limit", "1", "-o", "json"])
        .env("PHOENIX_SERVER", format!("http://{}", rig.api))
        .env("PHOENIX_TOKEN", &rig.key)
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let out = BufReader::new(following.stdout.take().expect("piped"));
    let (says, mut lines) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| says.send(line)));
    let mut next = async || {
        let line = lines.recv().await.expect("a line");
        serde_json::from_str::<Value>(&line).expect("JSON")
    };
    assert_eq!(next().await["seq"], all[3]["seq"]);
    rig.run(&["schedules", "resume", "nightly"]).await.code(0);
    assert_eq!(next().await["action"], "schedule.change");
    rig.run(&["schedules", "remove", "nightly"]).await.code(0);
    // What is gone has nothing further to tell, and is said to be gone.
    let ended = tokio::task::spawn_blocking(move || following.wait()).await.expect("waited").expect("ended");
    assert_eq!(ended.code(), Some(1));

    for (arguments, why) in [
        (&["events", "audit", "x"][..], "events are of one thing"),
        (&["events", "agent", "x"], "there is no agent"),
        (&["events", "agent"], "required"),
        (&["events", "agent", "x", "--limit", "0"], "limit"),
    ] {
        let refused = rig.run(arguments).await;
        assert!(refused.code == 1 && refused.err.contains(why), "{arguments:?}: {}", refused.err);
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signing_key_is_replaced() {
    let rig = Rig::start().await;
    let before = rig.run(&["get", "signing-keys", "-o", "json"]).await.json();
    assert!(rig.run(&["signing-keys", "replace"]).await.code(0).contains("signs from now on"));
    let renewed = rig.run(&["signing-keys", "replace", "--renew", "-o", "json"]).await.json();
    let after = rig.run(&["signing-keys", "list", "-o", "json"]).await.json();
    assert_eq!((&after[0]["id"], &after[0]["signs"]), (&renewed["id"], &json!(true)));
    assert_ne!(after[0]["id"], before[0]["id"]);
    rig.stop().await;
}
