//! Clocks that are hours apart: leases, steps and schedules go by the database's.

use std::time::Duration;

use phoenix_control::serve::{self, Options};
use phoenix_opamp::RemoteConfigStatuses;
use serde_json::json;

use crate::agent::{Agent, Kind};
use crate::rig::{GOOD, Rig, new_database, on_server, options};

/// So far the database is ahead of the instances.
const AHEAD: i64 = 5 * 3600;

fn hours_from_now(hours: i64) -> String {
    let moment = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
    moment.to_string()
}

/// Two instances over a new database in PostgreSQL whose clock is hours ahead of theirs.
async fn start_apart() -> Option<(Rig, Rig)> {
    let database = new_database().await?;
    let name = database.rsplit_once('/').expect("names a database").1.to_owned();
    // What is looked for first is found first.
    on_server(
        &database,
        &format!(
            "CREATE SCHEMA apart;
             CREATE FUNCTION apart.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
                 $$ SELECT pg_catalog.clock_timestamp() + interval '{AHEAD} seconds' $$;
             ALTER DATABASE {name} SET search_path = apart, public, pg_catalog"
        ),
    )
    .await;
    let folder = tempfile::tempdir().expect("made");
    let options = Options { database, ..options(folder.path()) };
    let first = serve::start(&options).await.expect("started");
    let second = serve::start(&options).await.expect("started");
    let key = first.first_key.clone().expect("the first start makes a key");
    let other = tempfile::tempdir().expect("made");
    Some((Rig::of(first, folder, key.clone()), Rig::of(second, other, key)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_rollouts_and_schedules_go_by_the_databases_clock() {
    let Some((one, two)) = start_apart().await else { return };
    let (token, group) = (one.token().await, one.group().await);
    let mut enrolled = Agent::connect(&one, Kind::WebSocket, 1, &token).await.expect("let in");
    let own = Agent::credential_in(&enrolled.say_all().await).expect("a credential");
    // By the database's clock it is good from now on, and not hours ago or ahead.
    let mut agent = Agent::connect(&two, Kind::WebSocket, 1, &own).await.expect("let in");
    // An agent's own clock is nobody's: it may be centuries ahead.
    assert!(agent.say_all_at(u64::MAX).await.error_response.is_none());
    let path = format!("/agents/{}", agent.id());
    one.until(&path, |told| told["connected"] == true).await;

    // A rollout that one starts and whoever leads takes the steps of, with a soak.
    let version = one.version("base", GOOD).await;
    let stages = json!([{"percent": 100, "soak_seconds": 1}]);
    let rollout = format!("/rollouts/{}", one.roll_out(&group, &version, stages).await);
    let offer = agent.offer(Duration::from_secs(20)).await.expect("offered");
    agent.report(&offer.config_hash, RemoteConfigStatuses::Applied, "").await;
    one.until(&rollout, |rollout| rollout["state"] == "succeeded").await;

    // What is due by the database's clock is handed out, though to the instances it lies hours ahead; what is not is not.
    let tasks = format!("{path}/tasks");
    let later = one.post(&tasks, json!({"kind": "reload", "run_at": hours_from_now(6)})).await.body;
    let due = one.post(&tasks, json!({"kind": "diagnostics", "run_at": hours_from_now(4)})).await.body;
    let task = agent.task(Duration::from_secs(20)).await.expect("it is due");
    assert_eq!(task["id"], due["id"]);
    // Its lease holds: by a clock of hours ago it would never end, by one of hours ahead it would be over.
    assert!(agent.task(Duration::from_millis(1500)).await.is_none(), "nobody hands it out twice");
    let leased = two.get(&format!("/tasks/{}", due["id"].as_str().expect("an id"))).await.body;
    assert_eq!((&leased["state"], &leased["fence"]), (&json!("leased"), &json!(1)), "{leased}");
    agent.finish(&json!({"id": task["id"], "fence": task["fence"], "result": {"fine": true}})).await;
    let done = one.get(&format!("/tasks/{}", due["id"].as_str().expect("an id"))).await.body;
    assert_eq!(done["state"], "done", "{done}");
    assert!(agent.task(Duration::from_millis(1500)).await.is_none(), "the other is not due");
    let waits = one.get(&format!("/tasks/{}", later["id"].as_str().expect("an id"))).await.body;
    assert_eq!(waits["state"], "ready", "{waits}");

    // A key that expires within the hours that the database is ahead has expired; one after them is good on both.
    let key = |hours| json!({"name": "k", "role": "viewer", "expires_at": hours_from_now(hours)});
    assert_eq!(one.post("/api-keys", key(4)).await.status, 422);
    let made = one.post("/api-keys", key(6)).await.body;
    for rig in [&one, &two] {
        let asked = rig.request("GET", "/me", made["token"].as_str().expect("a token"), &[], None).await;
        assert_eq!(asked.status, 200, "{}", asked.body);
    }

    // A schedule is due next by the same clock.
    let new = json!({"name": "often", "cron": "* * * * *", "selector": "env=test", "kind": "diagnostics"});
    let next = one.post("/schedules", new).await.body["next_at"].as_str().expect("a time").to_owned();
    let next: jiff::Timestamp = next.parse().expect("a time");
    let ahead = next.as_second() - jiff::Timestamp::now().as_second();
    assert!(ahead > AHEAD - 3600, "{ahead} s ahead");

    // The instance that led goes, and another does.
    one.stop().await;
    let next = two.version("other", &GOOD.replace("debug: {}", "debug: {verbosity: basic}")).await;
    let rollout = two.roll_out(&group, &next, json!([{"percent": 100}])).await;
    let offer = agent.offer(Duration::from_secs(30)).await.expect("offered");
    agent.report(&offer.config_hash, RemoteConfigStatuses::Applied, "").await;
    two.until(&format!("/rollouts/{rollout}"), |rollout| rollout["state"] == "succeeded").await;
    two.stop().await;
}
