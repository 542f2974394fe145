//! What people and agents send that is no good: a clear answer, nothing half-applied, and the service goes on.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::agent::{Agent, Kind};
use crate::rig::{GOOD, Rig};

/// Nine lists of nine of the lists before it: a billion words in a few lines.
fn bomb() -> String {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..=9 {
        let below = vec![format!("*a{}", level - 1); 9].join(", ");
        text += &format!("a{level}: &a{level} [{below}]\n");
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configurations_that_are_no_good_are_refused_and_leave_nothing() {
    let rig = Rig::start().await;
    let made = rig.post("/configurations", json!({"name": "edge"})).await.body;
    let versions = format!("/configurations/{}/versions", made["id"].as_str().expect("an id"));
    let deep = format!("receivers: {}{}", "[".repeat(20_000), "]".repeat(20_000));
    let unknown = GOOD.replace("debug: {}", "debug: {verbose: true}");
    // (case, the text, a word of the answer)
    let cases = [
        ("a bomb", bomb(), ""),
        ("a bomb in a section", format!("{}receivers: *a9\n", bomb()), ""),
        ("without an end", "a: [".to_owned(), ""),
        ("too deep", deep, ""),
        ("a control character", "a: \u{1}".to_owned(), ""),
        ("an unknown key", unknown, "verbose"),
        ("an unknown component", GOOD.replace("debug", "debugg"), "debugg"),
        ("too long", format!("# {}", "x".repeat(4 << 20)), "4"),
    ];
    for (case, text, tells) in cases {
        let begun = Instant::now();
        let refused = rig.post(&versions, json!({"text": text, "message": "m"})).await;
        assert!(matches!(refused.status, 413 | 422), "{case}: {} {}", refused.status, refused.body);
        assert!(refused.body.to_string().contains(tells), "{case}: {}", refused.body);
        assert!(refused.body.to_string().len() < 1 << 20, "{case}: the answer is bounded");
        assert!(begun.elapsed() < Duration::from_secs(20), "{case}: {:?}", begun.elapsed());
    }
    assert_eq!(rig.get(&versions).await.body["items"], json!([]));
    let good = rig.post(&versions, json!({"text": GOOD, "message": "m"})).await;
    assert_eq!((good.status, &good.body["version"]["number"]), (201, &json!(1)), "{}", good.body);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gates_and_schedules_that_cannot_be_are_named_by_their_field() {
    let rig = Rig::start().await;
    let group = rig.post("/groups", json!({"name": "all"})).await.body["id"].clone();
    let version = rig.version("edge", GOOD).await;
    let rollout = |gates: Value| json!({"group_id": group, "version_id": version, "gates": gates});
    let schedule = |cron: &str| json!({"name": "s", "cron": cron, "kind": "diagnostics"});
    // (path, body, the field that is wrong)
    let cases = [
        ("/rollouts", rollout(json!({"max_refused_percent": 101})), "gates.max_refused_percent"),
        ("/rollouts", rollout(json!({"max_memory_growth_percent": -1})), "gates.max_memory_growth_percent"),
        ("/rollouts", rollout(json!({"max_loss": 1})), "gates.max_loss"),
        ("/schedules", schedule("0 0 30 2 *"), "cron"),
        ("/schedules", schedule("every day"), "cron"),
        ("/schedules", json!({"name": "s", "cron": "@daily", "kind": "sing"}), "kind"),
        ("/schedules", json!({"name": "s", "cron": "@daily", "kind": "tap"}), "payload.pipeline"),
    ];
    for (path, body, field) in cases {
        let refused = rig.post(path, body.clone()).await;
        assert_eq!(refused.status, 422, "{body}: {}", refused.body);
        assert_eq!(refused.body["errors"][0]["field"], field, "{body}: {}", refused.body);
    }
    assert_eq!(rig.get("/schedules").await.body["items"], json!([]));
    assert_eq!(rig.get("/rollouts").await.body["items"], json!([]));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_whose_vitals_are_no_good_hears_so_and_stops_nothing() {
    for kind in [Kind::WebSocket, Kind::Http] {
        let rig = Rig::start().await;
        let token = rig.post("/enrolment-tokens", json!({"name": "test"})).await.body;
        let token = token["token"].as_str().expect("a token").to_owned();
        let mut agent = Agent::connect(&rig, kind, 1, &token).await.expect("let in");
        agent.say_all().await;
        let answer = agent.custom("io.phoenix.vitals/v1", b"{\"memory\": -1}").await;
        assert!(answer.error_response.is_some_and(|error| error.error_message.contains("vitals")));
        // What nobody knows is passed over.
        assert!(agent.custom("com.example.other/v1", b"\xff").await.error_response.is_none());
        assert!(agent.beat().await.error_response.is_none());
        rig.stop().await;
    }
}
