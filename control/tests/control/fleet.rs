//! Agents over real sockets: what they say, what they are offered, rollouts and tasks.

use std::time::Duration;

use crate::agent::{Agent, Kind};
use crate::rig::{GOOD, Rig, options};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use phoenix_opamp::{RemoteConfigStatuses, ServerErrorResponseType, server_flags};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

impl Rig {
    pub(crate) async fn token(&self) -> String {
        let made = self.post("/enrolment-tokens", json!({"name": "test", "labels": {"env": "test"}})).await;
        made.body["token"].as_str().expect("a token").to_owned()
    }

    pub(crate) async fn group(&self) -> String {
        let made = self.post("/groups", json!({"name": "all", "selector": "env=test"})).await;
        made.body["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn roll_out(&self, group: &str, version: &str, stages: Value) -> String {
        let new = json!({"group_id": group, "version_id": version, "stages": stages, "gates": {"patience_seconds": 120}});
        let started = self.post("/rollouts", new).await;
        assert_eq!(started.status, 202, "{}", started.body);
        started.body["id"].as_str().expect("an id").to_owned()
    }

    /// Asks until `path` answers what `holds`.
    pub(crate) async fn until(&self, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..300 {
            last = self.get(path).await.body;
            if holds(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{path} never became what was expected: {last}");
    }
}

fn once() -> Value {
    json!([{"percent": 100}])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_enrols_tells_and_comes_back_with_its_own_credential() {
    for kind in [Kind::WebSocket, Kind::Http] {
        let rig = Rig::start().await;
        let token = rig.token().await;
        let mut agent = Agent::connect(&rig, kind, 1, &token).await.expect("let in");
        let first = agent.say_all().await;
        assert_ne!(first.capabilities, 0);
        let own = Agent::credential_in(&first).expect("a credential");
        let settings = first.connection_settings.expect("settings").opamp.expect("of OpAMP");
        assert_eq!(settings.heartbeat_interval_seconds, 1);
        let told = rig.get(&format!("/agents/{}", agent.id())).await.body;
        assert_eq!(
            (told["connected"].as_bool(), told["healthy"].as_bool()),
            (Some(true), Some(true)),
            "{told}"
        );
        assert_eq!(told["labels"]["env"], "test", "from the token");
        assert_eq!(told["labels"]["zone"], "a", "from the agent");
        assert_eq!(told["effective_config"], "a: 1\n");
        // A heartbeat changes nothing, and a lost message is asked for.
        assert_eq!(agent.beat().await.flags, 0);
        agent.skip();
        assert_eq!(agent.beat().await.flags, server_flags::REPORT_FULL_STATE);
        drop(agent);

        // The token alone does not take over an agent that has a credential; another agent's does neither.
        let mut thief = Agent::connect(&rig, kind, 1, &token).await.expect("the token is good");
        assert!(thief.say_all().await.error_response.is_some());
        let mut other = Agent::connect(&rig, kind, 2, &own).await.expect("the credential is good");
        let refused = other.say_all().await.error_response.expect("refused");
        assert_eq!(refused.r#type, i32::from(ServerErrorResponseType::BadRequest));
        // Nor does what nobody has signed.
        for forged in forgeries(&own) {
            assert_eq!(Agent::connect(&rig, kind, 1, &forged).await.err(), Some(401), "{forged}");
        }
        // The service starts again, and still knows what it signed.
        let rig = rig.restart().await;
        let mut back = Agent::connect(&rig, kind, 1, &own).await.expect("let in");
        assert!(back.say_all().await.error_response.is_none());
        // Withdrawn, it counts no more at once, and the token brings another.
        let path = format!("/agents/{}/credential", back.id());
        assert_eq!(rig.request("DELETE", &path, &rig.key, &[], None).await.status, 204);
        assert_eq!(Agent::connect(&rig, kind, 1, &own).await.err(), Some(401));
        let mut back = Agent::connect(&rig, kind, 1, &token).await.expect("let in");
        let own = Agent::credential_in(&back.say_all().await).expect("another");
        // Locked out, it stays out.
        let path = format!("/agents/{}/revoke", back.id());
        assert_eq!(rig.post(&path, json!({})).await.status, 204);
        assert!(Agent::connect(&rig, kind, 1, &own).await.is_err(), "401");
        rig.stop().await;
    }
}

/// What somebody might make of a credential without the key that signed it.
fn forgeries(token: &str) -> Vec<String> {
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("no JSON Web Token: {token}");
    };
    let read = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
    };
    let write = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    assert_eq!(read(header)["alg"], "EdDSA");
    assert_eq!(read(claims)["sub"], "01".repeat(16));
    let with = |part: &str, name: &str, value: Value| {
        let mut changed = read(part);
        changed[name] = value;
        write(&changed)
    };
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    bytes[63] ^= 1;
    let none = with(header, "alg", json!("none"));
    vec![
        format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(bytes)),
        format!("{header}.{claims}."),
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{header}.{}.{signature}", with(claims, "sub", json!("02".repeat(16)))),
        format!("{header}.{}.{signature}", with(claims, "jti", json!("0"))),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_not_in_the_log() {
    let rig = Rig::start_process_with(None, &["--log-level=debug"]);
    let token = rig.token().await;
    let mut agent = Agent::connect(&rig, Kind::WebSocket, 1, &token).await.expect("let in");
    let own = Agent::credential_in(&agent.say_all().await).expect("a credential");
    let mut back = Agent::connect(&rig, Kind::WebSocket, 1, &own).await.expect("let in");
    assert!(back.say_all().await.error_response.is_none());
    for forged in forgeries(&own) {
        assert_eq!(Agent::connect(&rig, Kind::Http, 1, &forged).await.err(), Some(401));
    }
    let log = rig.log();
    assert!(log.contains("a new connection of an agent"), "{log}");
    for part in own.split('.').chain([&*token]) {
        assert!(!log.contains(part), "{part} is in the log");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_is_replaced_and_the_former_ends_once_the_new_one_was_shown() {
    for kind in [Kind::WebSocket, Kind::Http] {
        let rig = Rig::start().await;
        let token = rig.token().await;
        let offered = async |token: &str| {
            let mut agent = Agent::connect(&rig, kind, 1, token).await.expect("let in");
            Agent::credential_in(&agent.say_all().await)
        };
        let first = offered(&token).await.expect("a credential");
        assert_eq!(offered(&first).await, None, "it is fresh");
        let path = format!("/agents/{}/credential/rotation", "01".repeat(16));
        assert_eq!(rig.post(&path, json!({})).await.status, 202);
        let lost = offered(&first).await.expect("another");
        // The answer may be lost: the first still counts, and another is offered.
        let second = offered(&first).await.expect("another");
        assert!(Agent::connect(&rig, kind, 1, &lost).await.is_err(), "nobody has it");
        assert_eq!(offered(&second).await, None);
        assert!(Agent::connect(&rig, kind, 1, &first).await.is_err(), "it ended");
        assert_eq!(offered(&second).await, None);
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_agents_have_no_components_for_is_not_rolled_out() {
    let rig = Rig::start().await;
    let (token, group) = (rig.token().await, rig.group().await);
    let version = rig.version("base", GOOD).await;
    for (number, exporters) in [(1, ["nop"]), (2, ["debug"]), (3, ["nop"])] {
        let mut agent = Agent::connect(&rig, Kind::Http, number, &token).await.expect("let in");
        agent.say_all().await;
        agent.has(&["otlp", "nop"], &exporters).await;
    }
    let plan = rig.post(&format!("/groups/{group}/plan"), json!({"version_id": version})).await.body;
    let missing = &plan["missing_components"];
    assert_eq!(missing.as_array().map(Vec::len), Some(1), "{plan}");
    assert_eq!(missing[0]["component"], "exporters::debug");
    assert_eq!(missing[0]["agents"], 2);
    let mut new = json!({"group_id": group, "version_id": version});
    let refused = rig.post("/rollouts", new.clone()).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(
        refused.body["errors"][0]["message"].to_string().contains("exporters::debug is missing on 2 agents")
    );
    new["allow_missing_components"] = json!(true);
    assert_eq!(rig.post("/rollouts", new).await.status, 202);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_turn_is_told_when_to_come_back() {
    let folder = tempfile::tempdir().expect("made");
    let options = phoenix_control::serve::Options { admission: 0, ..options(folder.path()) };
    let rig = Rig::start_with(folder, &options).await;
    let token = rig.token().await;
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let poll = "connection: close\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n";
    for (method, headers) in [("GET", upgrade), ("POST", poll)] {
        let mut stream = tokio::net::TcpStream::connect(rig.opamp).await.expect("connected");
        let head = format!(
            "{method} /v1/opamp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("written");
        let mut read = vec![0; 4096];
        let length = stream.read(&mut read).await.expect("an answer");
        let answer = String::from_utf8_lossy(&read[..length]).to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 429"), "{answer}");
        let after = answer.lines().find_map(|line| line.strip_prefix("retry-after: "));
        let after: u64 = after.and_then(|after| after.parse().ok()).expect("a time");
        assert!((1..=10).contains(&after), "{answer}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_frames_end_the_connection_and_nothing_else() {
    let rig = Rig::start().await;
    let token = rig.token().await;
    assert!(Agent::connect(&rig, Kind::WebSocket, 1, "nonsense").await.is_err());
    for frame in [vec![1, 2, 3], vec![0, 0x0a, 5, 1], vec![], vec![0], vec![0, 0x0a, 1, 7]] {
        let mut agent = Agent::connect(&rig, Kind::WebSocket, 1, &token).await.expect("let in");
        agent.send_raw(frame.clone()).await;
        let answer = agent.receive().await;
        assert!(answer.is_none_or(|answer| answer.error_response.is_some()), "{frame:?}");
    }
    let mut well = Agent::connect(&rig, Kind::WebSocket, 9, &token).await.expect("let in");
    assert!(well.say_all().await.error_response.is_none());
    assert_eq!(rig.get("/agents").await.body["items"].as_array().map(Vec::len), Some(1));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_goes_by_stages_and_waits_for_health() {
    let rig = Rig::start().await;
    let (token, group) = (rig.token().await, rig.group().await);
    let mut agents = Vec::new();
    for number in 1..=4 {
        let mut agent = Agent::connect(&rig, Kind::WebSocket, number, &token).await.expect("let in");
        agent.say_all().await;
        agents.push(agent);
    }
    let version = rig.version("base", GOOD).await;
    let rollout =
        rig.roll_out(&group, &version, json!([{"percent": 25, "soak_seconds": 1}, {"percent": 100}])).await;
    let mut offered = Vec::new();
    for (index, agent) in agents.iter_mut().enumerate() {
        if let Some(offer) = agent.offer(Duration::from_millis(700)).await {
            offered.push((index, offer));
        }
    }
    assert_eq!(offered.len(), 1, "a quarter of four");
    let (canary, offer) = offered.remove(0);
    let texts: Vec<_> = offer.config.as_ref().expect("files").config_map.values().collect();
    assert_eq!(texts[0].body, GOOD.as_bytes());
    agents[canary].report(&offer.config_hash, RemoteConfigStatuses::Applied, "").await;
    // The others get it once that was well for a second.
    for (index, agent) in agents.iter_mut().enumerate().filter(|(index, _)| *index != canary) {
        let offer = agent.offer(Duration::from_secs(10)).await;
        let offer = offer.unwrap_or_else(|| panic!("agent {index} was offered nothing"));
        agent.report(&offer.config_hash, RemoteConfigStatuses::Applied, "").await;
    }
    let path = format!("/rollouts/{rollout}");
    let done = rig.until(&path, |rollout| rollout["state"] == "succeeded").await;
    assert_eq!(done["progress"]["applied"], 4, "{done}");
    assert_eq!(rig.get(&format!("/groups/{group}")).await.body["live_version_id"], version.as_str());
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_is_taken_back_and_not_offered_again() {
    let rig = Rig::start().await;
    let (token, group) = (rig.token().await, rig.group().await);
    let mut agent = Agent::connect(&rig, Kind::WebSocket, 1, &token).await.expect("let in");
    agent.say_all().await;
    let good = rig.version("base", GOOD).await;
    let first = rig.roll_out(&group, &good, once()).await;
    let good_offer = agent.offer(Duration::from_secs(10)).await.expect("offered");
    agent.report(&good_offer.config_hash, RemoteConfigStatuses::Applied, "").await;
    rig.until(&format!("/rollouts/{first}"), |rollout| rollout["state"] == "succeeded").await;

    let configuration =
        rig.get("/configurations").await.body["items"][0]["id"].as_str().expect("an id").to_owned();
    let bad =
        rig.next_version(&configuration, &GOOD.replace("debug: {}", "debug: {verbosity: detailed}")).await;
    let second = rig.roll_out(&group, &bad, once()).await;
    let bad_offer = agent.offer(Duration::from_secs(10)).await.expect("offered");
    // As the reference supervisor says it: failed, then the former one applied.
    agent.report(&bad_offer.config_hash, RemoteConfigStatuses::Failed, "port taken").await;
    let taken_back =
        rig.until(&format!("/rollouts/{second}"), |rollout| rollout["state"] == "rolled_back").await;
    assert!(
        taken_back["reason"].as_str().is_some_and(|reason| reason.contains("failed on 1")),
        "{taken_back}"
    );
    agent.report(&good_offer.config_hash, RemoteConfigStatuses::Applied, "").await;
    // The former one may come again, until the agent has said that it runs; the bad one does not.
    while let Some(offer) = agent.offer(Duration::from_millis(1500)).await {
        assert_eq!(offer.config_hash, good_offer.config_hash);
    }
    let told = rig.get(&format!("/agents/{}", agent.id())).await.body;
    assert_eq!(told["failures"].as_object().map(serde_json::Map::len), Some(1), "{told}");
    assert_eq!(told["reported_status"], "applied");
    // The same version once more: it is known to fail there.
    let third = rig.roll_out(&group, &bad, once()).await;
    rig.until(&format!("/rollouts/{third}"), |rollout| rollout["state"] == "rolled_back").await;
    while let Some(offer) = agent.offer(Duration::from_millis(500)).await {
        assert_eq!(offer.config_hash, good_offer.config_hash);
    }
    // Unless somebody says that it may be tried again.
    let path = format!("/agents/{}/failures", agent.id());
    assert_eq!(rig.request("DELETE", &path, &rig.key, &[], None).await.status, 204);
    rig.roll_out(&group, &bad, once()).await;
    assert!(agent.offer(Duration::from_secs(10)).await.is_some());
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_survives_a_restart_of_the_service() {
    let rig = Rig::start().await;
    let (token, group) = (rig.token().await, rig.group().await);
    let mut agent = Agent::connect(&rig, Kind::Http, 1, &token).await.expect("let in");
    agent.say_all().await;
    let version = rig.version("base", GOOD).await;
    let rollout = rig.roll_out(&group, &version, once()).await;
    let offer = agent.offer(Duration::from_secs(10)).await.expect("offered");
    let rig = rig.restart().await;
    let path = format!("/rollouts/{rollout}");
    assert_eq!(rig.get(&path).await.body["state"], "running");
    // It was applied while the service was away.
    agent.move_to(&rig);
    assert_eq!(agent.beat().await.flags, server_flags::REPORT_FULL_STATE);
    agent.report(&offer.config_hash, RemoteConfigStatuses::Applied, "").await;
    rig.until(&path, |rollout| rollout["state"] == "succeeded").await;
    assert_eq!(rig.get("/audit/verification").await.body["intact"], true);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_are_handed_out_one_by_one_and_a_late_result_counts_no_more() {
    let rig = Rig::start().await;
    let token = rig.token().await;
    let mut agent = Agent::connect(&rig, Kind::WebSocket, 1, &token).await.expect("let in");
    agent.say_all().await;
    let path = format!("/agents/{}/tasks", agent.id());
    let wrong = json!({"kind": "log_level", "payload": {"level": "loud", "for_seconds": 5}});
    assert_eq!(rig.post(&path, wrong).await.status, 422);
    let low = rig.post(&path, json!({"kind": "diagnostics"})).await.body;
    let task = agent.task(Duration::from_secs(10)).await.expect("handed out");
    assert_eq!(task["id"], low["id"]);
    let high = rig.post(&path, json!({"kind": "reload", "priority": 9})).await.body;
    assert!(agent.task(Duration::from_millis(500)).await.is_none(), "one at a time");
    let result =
        |task: &Value, fence: i64| json!({"id": task["id"], "fence": fence, "result": {"fine": true}});
    agent.finish(&result(&task, 99)).await;
    let state = rig.get(&format!("/tasks/{}", low["id"].as_str().expect("an id"))).await.body;
    assert_eq!(state["state"], "leased", "another fence: {state}");
    agent.finish(&result(&task, 1)).await;
    let next = agent.task(Duration::from_secs(10)).await.expect("the next");
    assert_eq!(next["id"], high["id"]);
    agent.finish(&json!({"id": next["id"], "fence": next["fence"], "error": "no", "retryable": false})).await;
    let dead = rig
        .until(&format!("/tasks/{}", high["id"].as_str().expect("an id")), |task| task["state"] == "dead")
        .await;
    assert_eq!(dead["error"], "no");
    let again = rig.post(&format!("/tasks/{}/requeue", high["id"].as_str().expect("an id")), json!({})).await;
    assert_eq!(again.status, 200, "{}", again.body);
    let once_more = agent.task(Duration::from_secs(10)).await.expect("again");
    assert_eq!(once_more["fence"], 2, "a fence never repeats");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_killed_goes_on_where_it_was() {
    let rig = Rig::start_process(None);
    let (token, group) = (rig.token().await, rig.group().await);
    let mut agent = Agent::connect(&rig, Kind::Http, 1, &token).await.expect("let in");
    agent.say_all().await;
    let version = rig.version("base", GOOD).await;
    let rollout = format!("/rollouts/{}", rig.roll_out(&group, &version, once()).await);
    // Killed before the agent has heard of it.
    let rig = rig.restart().await;
    agent.say_all().await;
    let offer = agent.offer(Duration::from_secs(20)).await.expect("offered");
    // Killed while the agent applies it.
    let rig = rig.restart().await;
    agent.say_all().await;
    agent.report(&offer.config_hash, RemoteConfigStatuses::Applied, "").await;
    // Killed as the last stage ends.
    let rig = rig.restart().await;
    agent.say_all().await;
    rig.until(&rollout, |rollout| rollout["state"] == "succeeded").await;
    assert_eq!(rig.get(&format!("/groups/{group}")).await.body["live_version_id"], version.as_str());

    // A task that was handed out stays so, and its result counts.
    let path = format!("/agents/{}/tasks", agent.id());
    let made = rig.post(&path, json!({"kind": "diagnostics"})).await.body;
    let task = agent.task(Duration::from_secs(20)).await.expect("handed out");
    assert_eq!(task["id"], made["id"]);
    let rig = rig.restart().await;
    agent.say_all().await;
    assert!(agent.task(Duration::from_millis(300)).await.is_none(), "it is leased");
    agent.finish(&json!({"id": task["id"], "fence": task["fence"], "result": {"fine": true}})).await;
    let done = rig.get(&format!("/tasks/{}", made["id"].as_str().expect("an id"))).await.body;
    assert_eq!((done["state"].as_str(), done["attempt"].as_i64()), (Some("done"), Some(1)), "{done}");
    assert_eq!(rig.get("/audit/verification").await.body["intact"], true);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_share_a_fleet_and_one_goes_on_for_another() {
    let Some((one, two)) = Rig::start_two().await else { return };
    let (token, group) = (one.token().await, one.group().await);
    let mut agent = Agent::connect(&two, Kind::WebSocket, 1, &token).await.expect("let in");
    agent.say_all().await;
    // Locked out by one, an agent of the other is put out.
    let mut other = Agent::connect(&two, Kind::WebSocket, 2, &token).await.expect("let in");
    let own = Agent::credential_in(&other.say_all().await).expect("a credential");
    let path = format!("/agents/{}", other.id());
    assert_eq!(one.post(&format!("{path}/revoke"), json!({})).await.status, 204);
    assert_eq!(Agent::connect(&two, Kind::WebSocket, 2, &own).await.err(), Some(401));
    two.until(&path, |agent| agent["connected"] == false).await;
    // One that comes to another instance is let go by the former.
    let mut third = Agent::connect(&two, Kind::WebSocket, 3, &token).await.expect("let in");
    let own = Agent::credential_in(&third.say_all().await).expect("a credential");
    let mut moved = Agent::connect(&one, Kind::WebSocket, 3, &own).await.expect("let in");
    assert!(moved.say_all().await.error_response.is_none());
    let ended = async { while third.receive().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the former connection ends");
    assert!(moved.beat().await.error_response.is_none(), "the newest counts");
    let path = format!("/agents/{}", moved.id());
    drop(moved);
    two.until(&path, |agent| agent["connected"] == false).await;
    // Asked of one, the agent is connected to the other.
    let version = one.version("base", GOOD).await;
    let rollout = format!("/rollouts/{}", one.roll_out(&group, &version, once()).await);
    let offer = agent.offer(Duration::from_secs(10)).await.expect("offered");
    agent.report(&offer.config_hash, RemoteConfigStatuses::Applied, "").await;
    one.until(&rollout, |rollout| rollout["state"] == "succeeded").await;
    let path = format!("/agents/{}/tasks", agent.id());
    let made = one.post(&path, json!({"kind": "diagnostics"})).await.body;
    let task = agent.task(Duration::from_secs(10)).await.expect("handed out");
    assert_eq!(task["id"], made["id"]);
    agent.finish(&json!({"id": task["id"], "fence": task["fence"], "result": {"fine": true}})).await;
    let path = format!("/agents/{}", agent.id());
    assert_eq!(one.get(&path).await.body["connected"], true, "connected elsewhere");
    // The one that took the steps of the rollout stops, and another takes them.
    one.stop().await;
    let next = two.version("other", &GOOD.replace("debug: {}", "debug: {verbosity: basic}")).await;
    let rollout = format!("/rollouts/{}", two.roll_out(&group, &next, once()).await);
    let offer = agent.offer(Duration::from_secs(20)).await.expect("offered");
    agent.report(&offer.config_hash, RemoteConfigStatuses::Applied, "").await;
    two.until(&rollout, |rollout| rollout["state"] == "succeeded").await;
    assert_eq!(two.get("/audit/verification").await.body["intact"], true);
    two.stop().await;
}
