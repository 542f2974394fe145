//! The REST API over a real socket and database.

use crate::agent::{Agent, Kind};
use crate::rig::{GOOD, Rig, options};
use phoenix_pdata::{InvalidUtf8, Signal};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_shows_nothing_or_something_wrong_is_refused() {
    let rig = Rig::start().await;
    for path in ["/users", "/agents", "/configurations", "/groups", "/rollouts", "/tasks", "/audit", "/me"] {
        for token in ["", "phx_key_000_00", "nonsense"] {
            let answer = rig.request("GET", path, token, &[], None).await;
            assert_eq!(answer.status, 401, "{path} {token}");
            assert_eq!(answer.header("content-type"), "application/problem+json");
            assert_eq!(answer.body["type"], "urn:phoenix:problem:unauthorized");
            assert!(
                !answer.header("x-request-id").is_empty() && !answer.header("ratelimit-limit").is_empty()
            );
        }
    }
    assert_eq!(rig.request("GET", "/nowhere", &rig.key, &[], None).await.status, 404);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_are_kept_apart() {
    let rig = Rig::start().await;
    let group = rig.post("/groups", json!({"name": "all"})).await.body;
    let version = rig.version("base", GOOD).await;
    let rollout = json!({"group_id": group["id"], "version_id": version});
    for (role, configures, deploys, administers) in [
        ("viewer", 403, 403, 403),
        ("editor", 201, 403, 403),
        ("deployer", 403, 202, 403),
        ("admin", 201, 409, 200),
    ] {
        let made = rig.post("/api-keys", json!({"name": role, "role": role})).await;
        assert_eq!(made.status, 201);
        let token = made.body["token"].as_str().expect("a token").to_owned();
        let ask = async |method: &str, path: &str, body: Option<serde_json::Value>| {
            rig.request(method, path, &token, &[], body).await.status
        };
        assert_eq!(ask("GET", "/configurations", None).await, 200, "{role}");
        let new = json!({"name": format!("of {role}")});
        assert_eq!(ask("POST", "/configurations", Some(new)).await, configures, "{role}");
        assert_eq!(ask("POST", "/rollouts", Some(rollout.clone())).await, deploys, "{role}");
        assert_eq!(ask("GET", "/users", None).await, administers, "{role}");
        let id = made.body["id"].as_str().expect("an id");
        assert_eq!(rig.request("DELETE", &format!("/api-keys/{id}"), &rig.key, &[], None).await.status, 204);
        assert_eq!(ask("GET", "/configurations", None).await, 401, "{role} was revoked");
    }
    let keys = rig.get("/api-keys").await.body.to_string();
    assert!(!keys.contains("hash") && !keys.contains("token"), "{keys}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_needs_more_than_its_cookie_to_change_something() {
    let rig = Rig::start().await;
    let user = json!({"name": "ada", "role": "admin", "password": "correct horse battery"});
    let made = rig.post("/users", user).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert!(!made.body.to_string().contains("argon2"));
    let login = async |password: &str| {
        rig.request("POST", "/sessions", "", &[], Some(json!({"name": "ada", "password": password}))).await
    };
    assert_eq!(login("wrong horse battery").await.status, 401);
    let session = login("correct horse battery").await;
    assert_eq!(session.status, 201);
    let cookie = session.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().expect("a cookie").to_owned();
    let csrf = session.body["csrf_token"].as_str().expect("a token").to_owned();
    let new = |name: &str| Some(json!({"name": name}));
    let with_cookie = [("cookie", cookie.as_str())];
    assert_eq!(rig.request("GET", "/me", "", &with_cookie, None).await.body["actor"], "user:ada");
    assert_eq!(rig.request("POST", "/configurations", "", &with_cookie, new("a")).await.status, 403);
    let with_both = [("cookie", cookie.as_str()), ("x-csrf-token", csrf.as_str())];
    assert_eq!(rig.request("POST", "/configurations", "", &with_both, new("a")).await.status, 201);
    // A lock ends the session.
    let id = made.body["id"].as_str().expect("an id");
    let path = format!("/users/{id}");
    let locked = json!({"disabled": true});
    assert_eq!(rig.request("PATCH", &path, &rig.key, &[], Some(locked.clone())).await.status, 428);
    let stale = [("if-match", "\"7\"")];
    assert_eq!(rig.request("PATCH", &path, &rig.key, &stale, Some(locked.clone())).await.status, 412);
    let fresh = [("if-match", "\"1\"")];
    assert_eq!(rig.request("PATCH", &path, &rig.key, &fresh, Some(locked)).await.status, 200);
    assert_eq!(rig.request("GET", "/me", "", &with_cookie, None).await.status, 401);
    assert_eq!(login("correct horse battery").await.status, 401);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_checked_kept_and_compared() {
    let rig = Rig::start().await;
    let base = rig.post("/configurations", json!({"name": "base"})).await.body;
    let path = format!("/configurations/{}/versions", base["id"].as_str().expect("an id"));
    let wrong = GOOD.replace("grpc", "grcp").replace("[debug]", "[nowhere]");
    let refused = rig.post(&path, json!({"text": wrong, "message": "a try"})).await;
    assert_eq!(refused.status, 422);
    let errors = refused.body["errors"].as_array().expect("errors");
    assert!(errors.len() >= 2, "every mistake at once: {errors:?}");
    assert!(errors.iter().all(|error| error["line"].is_u64() && error["column"].is_u64()), "{errors:?}");

    let with_comment = format!("# kept as it is\n{GOOD}");
    let dry = rig.post(&format!("{path}?dry_run=true"), json!({"text": with_comment, "message": "x"})).await;
    assert_eq!((dry.status, dry.body["version"].is_null()), (200, true));
    let first = rig.post(&path, json!({"text": with_comment, "message": "the first"})).await;
    assert_eq!((first.status, first.body["version"]["number"].as_i64()), (201, Some(1)), "{}", first.body);
    assert_eq!(rig.get(&format!("{path}/1")).await.body["text"], with_comment.as_str());
    let same = rig.post(&path, json!({"text": with_comment, "message": "again"})).await;
    assert_eq!(same.status, 409, "{}", same.body);
    let second = GOOD.replace("debug: {}", "debug: {verbosity: detailed}");
    assert_eq!(rig.post(&path, json!({"text": second, "message": "more"})).await.status, 201);
    let diff = rig.get(&format!("{}?from=1&to=2", path.replace("versions", "diff"))).await.body;
    assert_eq!(diff["differences"][0]["key"], "exporters::debug::verbosity", "{diff}");
    assert!(
        diff["changes"]["summary"].as_str().is_some_and(|text| text.contains("exporter debug")),
        "{diff}"
    );

    // A configuration over it is checked with it, and bound to the version that it was made over.
    let child = json!({"name": "edge", "parent_id": base["id"]});
    let child = rig.post("/configurations", child).await.body;
    let over = format!("/configurations/{}/versions", child["id"].as_str().expect("an id"));
    let added = rig.post(&over, json!({"text": "processors: {batch: {}}\n", "message": "a batch"})).await;
    assert_eq!(added.status, 201, "{}", added.body);
    let effective = rig.get(&format!("{over}/1/effective")).await.body;
    let sources = effective["provenance"].to_string();
    assert!(sources.contains("base@2.yaml") && sources.contains("edge@1.yaml"), "{sources}");
    assert_eq!(rig.get("/audit/verification").await.body["intact"], true);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_tells_who_changes_what_restarts_and_what_is_lost() {
    let rig = Rig::start().await;
    let (token, group) = (rig.token().await, rig.group().await);
    let reading = format!(
        "receivers: {{otlp_json_file: {{include: [/tmp/none]}}, nop: {{}}}}\nexporters: {{debug: {{}}}}\n{}",
        "service: {pipelines: {traces: {receivers: [otlp_json_file, nop], exporters: [debug]}}}\n"
    );
    let first = rig.version("edge", &reading).await;
    let mut agent = Agent::connect(&rig, Kind::Http, 1, &token).await.expect("let in");
    agent.say_all().await;
    let plan = async |version: &str| {
        let answer = rig.post(&format!("/groups/{group}/plan"), json!({"version_id": version})).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    };
    let told = plan(&first).await;
    assert_eq!((&told["agents"], &told["agent_count"]), (&json!([agent.id()]), &json!(1)), "{told}");
    assert!(told["changes"].is_null(), "nothing was there before: {told}");
    let rollout = rig.roll_out(&group, &first, json!([{"percent": 100}])).await;
    let offer = agent.offer(std::time::Duration::from_secs(20)).await.expect("offered");
    agent.report(&offer.config_hash, phoenix_opamp::RemoteConfigStatuses::Applied, "").await;
    rig.until(&format!("/rollouts/{rollout}"), |rollout| rollout["state"] == "succeeded").await;
    let configuration =
        rig.get("/configurations").await.body["items"][0]["id"].as_str().expect("an id").to_owned();
    let without =
        reading.replace("[otlp_json_file, nop]", "[nop]").replace("debug: {}", "debug: {verbosity: basic}");
    let second = rig.next_version(&configuration, &without).await;
    let told = plan(&second).await;
    let summary = told["changes"]["summary"].as_str().unwrap_or_default();
    assert!(summary.contains("exporter debug"), "{summary}");
    let losses = told["changes"]["losses"].to_string();
    assert!(losses.contains("otlp_json_file") && losses.contains("positions in files"), "{told}");
    assert!(told["differences"].to_string().contains("exporters::debug::verbosity"), "{told}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_made_from_templates() {
    let rig = Rig::start().await;
    let text = GOOD.replace("localhost:0", "${param:host}:${param:port}");
    let parameters = json!([
        {"name": "host", "type": "string", "default": "localhost"},
        {"name": "port", "type": "integer", "minimum": 0, "maximum": 65535}
    ]);
    let new = json!({"name": "gateway", "text": text, "parameters": parameters});
    let made = rig.post("/templates", new.clone()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(rig.post("/templates", new.clone()).await.status, 409, "the name is taken");
    let id = made.body["id"].as_str().expect("an id");
    let render = format!("/templates/{id}/render");
    let refused = rig.post(&render, json!({"values": {"port": "many"}})).await;
    assert_eq!((refused.status, &refused.body["errors"][0]["field"]), (422, &json!("values.port")));
    let rendered = rig.post(&render, json!({"values": {"port": 4317}})).await.body;
    assert_eq!(rendered["validation"]["valid"], true, "{rendered}");
    assert!(rendered["text"].as_str().is_some_and(|text| text.contains("'localhost:4317'")), "{rendered}");

    let configuration = rig.post("/configurations", json!({"name": "edge"})).await.body;
    let versions = format!("/configurations/{}/versions", configuration["id"].as_str().expect("an id"));
    let from = |port: i64| json!({"template": {"id": id, "values": {"port": port}}, "message": "a port"});
    let added = rig.post(&versions, from(4317)).await;
    assert_eq!(added.status, 201, "{}", added.body);
    let template = &added.body["version"]["template"];
    assert_eq!((&template["id"], &template["revision"]), (&json!(id), &json!(1)), "{template}");
    assert_eq!(template["values"], json!({"host": "localhost", "port": 4317}));
    for wrong in [json!({"message": "m"}), json!({"text": GOOD, "template": {"id": id}, "message": "m"})] {
        assert_eq!(rig.post(&versions, wrong).await.status, 422);
    }
    // The template changes, and what was made from it does not.
    let other = json!({"name": "gateway", "text": GOOD});
    let replaced = rig
        .request("PUT", &format!("/templates/{id}"), &rig.key, &[("if-match", "\"1\"")], Some(other))
        .await;
    assert_eq!((replaced.status, &replaced.body["revision"]), (200, &json!(2)), "{}", replaced.body);
    let kept = rig.get(&format!("{versions}/1")).await.body;
    assert!(kept["text"].as_str().is_some_and(|text| text.contains("localhost:4317")), "{kept}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_requests_name_the_field_and_break_nothing() {
    let rig = Rig::start().await;
    for (path, body, status, field) in [
        ("/configurations", json!({"name": ""}), 422, "name"),
        ("/configurations", json!({"name": 5}), 422, "name"),
        ("/configurations", json!({"name": "a", "color": 1}), 422, "color"),
        ("/configurations", json!({"name": "a", "parent_id": "cfg_0"}), 422, "parent_id"),
        ("/groups", json!({"name": "g", "selector": "a b"}), 422, "selector"),
        ("/users", json!({"name": "u", "role": "god", "password": "x"}), 422, "role"),
        ("/users", json!({"name": "u", "role": "viewer", "password": "short"}), 422, "password"),
        (
            "/api-keys",
            json!({"name": "k", "role": "viewer", "expires_at": "1999-01-01T00:00:00Z"}),
            422,
            "expires_at",
        ),
        ("/enrolment-tokens", json!({"name": "t", "max_uses": 0}), 422, "max_uses"),
        ("/rollouts", json!({"group_id": "g", "version_id": "v"}), 422, "group_id"),
        (
            "/rollouts",
            json!({"group_id": "g", "version_id": "v", "stages": [{"percent": 50}]}),
            422,
            "stages",
        ),
    ] {
        let answer = rig.post(path, body.clone()).await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.body);
        let errors = answer.body["errors"].to_string();
        assert!(errors.contains(field), "{path} {body}: {errors}");
    }
    let raw = async |body: &[u8], kind: &str| rig.raw("/configurations", body, kind).await.status;
    assert_eq!(raw(b"{", "application/json").await, 400);
    assert_eq!(raw(b"{\"name\": \"a\"} {}", "application/json").await, 400);
    assert_eq!(raw(b"\xff", "application/json").await, 400);
    assert_eq!(raw(b"name=a", "application/x-www-form-urlencoded").await, 415);
    assert_eq!(raw(&vec![b' '; 9 << 20], "application/json").await, 413);
    assert_eq!(rig.get("/agents?limit=0").await.status, 422);
    for (query, field) in [("limt=5", "limt"), ("limit=five", "limit")] {
        let refused = rig.get(&format!("/agents?{query}")).await;
        assert_eq!((refused.status, &refused.body["errors"][0]["field"]), (422, &json!(field)), "{query}");
    }
    for (body, field) in
        [(&b"{\"name\": \"a\", \"name\": \"b\"}"[..], "body"), (b"5", "body"), (b" [\"a\", \"\", 0]", "body")]
    {
        let refused = rig.raw("/groups", body, "application/json").await;
        assert_eq!(
            (refused.status, &refused.body["errors"][0]["field"]),
            (422, &json!(field)),
            "{}",
            refused.body
        );
    }
    for cursor in ["%7e", "", "a%20b", "..%2f", "CFG_1", "%c3%a4"] {
        let refused = rig.get(&format!("/configurations?cursor={cursor}")).await;
        assert_eq!(
            (refused.status, &refused.body["errors"][0]["field"]),
            (422, &json!("cursor")),
            "{cursor}"
        );
    }
    assert_eq!(rig.get("/audit?cursor=0x1").await.status, 422);
    // A cursor of another list is a place in this one, and shows nothing that is not in it.
    assert_eq!(rig.get("/configurations?cursor=zzz_0").await.body["items"], json!([]));
    let missing = rig.get("/configurations/cfg_other_tenant").await;
    assert_eq!(missing.status, 404);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_is_a_problem_of_its_kind() {
    let rig = Rig::start().await;
    let group = rig.post("/groups", json!({"name": "g"})).await.body;
    let group = format!("/groups/{}", group["id"].as_str().expect("an id"));
    let viewer = rig.post("/api-keys", json!({"name": "v", "role": "viewer"})).await.body;
    let viewer = viewer["token"].as_str().expect("a token").to_owned();
    let (key, stale) = (rig.key.clone(), [("if-match", "\"9\"")]);
    let new = || Some(json!({"name": "g"}));
    let odd = [("content-type", "text/plain")];
    // (method, path, who, headers, body, status, kind)
    type Headers<'a> = &'a [(&'a str, &'a str)];
    type Case<'a> = (&'a str, &'a str, &'a str, Headers<'a>, Option<serde_json::Value>, u16, &'a str);
    let cases: [Case<'_>; 9] = [
        ("GET", "/groups", "", &[], None, 401, "unauthorized"),
        ("POST", "/groups", &viewer, &[], new(), 403, "forbidden"),
        ("GET", "/groups/grp_0", &key, &[], None, 404, "not-found"),
        ("GET", "/made/up", &key, &[], None, 404, "not-found"),
        ("DELETE", "/groups", &key, &[], None, 405, "method"),
        ("POST", "/groups", &key, &[], new(), 409, "conflict"),
        ("PATCH", &group, &key, &stale, Some(json!({"priority": 1})), 412, "changed"),
        ("PATCH", &group, &key, &[], Some(json!({"priority": 1})), 428, "if-match-required"),
        ("POST", "/groups", &key, &odd, None, 415, "media-type"),
    ];
    for (method, path, who, headers, body, status, kind) in cases {
        let answer = rig.request(method, path, who, headers, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{method} {path}");
        assert_eq!(answer.body["type"], format!("urn:phoenix:problem:{kind}"), "{method} {path}");
        assert_eq!(answer.body["status"], status, "{method} {path}");
        let told = ["title", "detail"].map(|key| answer.body[key].as_str().unwrap_or_default().len());
        assert!(told.iter().all(|length| *length > 0), "{method} {path}: {}", answer.body);
        assert!(!answer.header("x-request-id").is_empty(), "{method} {path}");
        if status == 405 {
            assert!(answer.header("allow").contains("GET"), "{}", answer.head);
        }
    }
    let long = rig.raw("/groups", &vec![b' '; 9 << 20], "application/json").await;
    assert_eq!((long.status, long.header("content-type").as_str()), (413, "application/problem+json"));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_too_much_is_told_when_to_come_back() {
    let folder = tempfile::tempdir().expect("made");
    let options = phoenix_control::serve::Options { requests_per_second: 1, ..options(folder.path()) };
    let rig = Rig::start_with(folder, &options).await;
    let other = rig.post("/api-keys", json!({"name": "other", "role": "viewer"})).await;
    let asked = futures_util::future::join_all((0..60).map(|_| rig.get("/groups"))).await;
    assert!(
        asked.iter().all(|answer| answer.header("ratelimit-limit") == "2"),
        "twice what comes in a second"
    );
    let refused = asked.iter().find(|answer| answer.status == 429).expect("sixty at once are too many");
    assert_eq!(refused.header("content-type"), "application/problem+json");
    assert_eq!(refused.header("ratelimit-remaining"), "0");
    for name in ["retry-after", "ratelimit-reset"] {
        assert!(refused.header(name).parse::<u64>().is_ok_and(|seconds| seconds >= 1), "{}", refused.head);
    }
    // Another principal has an allowance of its own.
    let token = other.body["token"].as_str().expect("a token");
    assert_eq!(rig.request("GET", "/groups", token, &[], None).await.status, 200);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repetition_with_the_same_key_is_answered_and_not_done() {
    let rig = Rig::start().await;
    let key = [("idempotency-key", "once")];
    let ask = async |name: &str| {
        rig.request("POST", "/configurations", &rig.key, &key, Some(json!({"name": name}))).await
    };
    let first = ask("a").await;
    let again = ask("a").await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.body, again.body);
    assert_eq!(again.header("idempotent-replay"), "true");
    assert_eq!(ask("b").await.status, 422, "another request under the same key");
    assert_eq!(rig.get("/configurations").await.body["items"].as_array().map(Vec::len), Some(1));
    // Secrets are not kept for a repetition.
    let new = Some(json!({"name": "k", "role": "viewer"}));
    let key = [("idempotency-key", "secret")];
    let made = rig.request("POST", "/api-keys", &rig.key, &key, new.clone()).await;
    assert_eq!(made.status, 201);
    let again = rig.request("POST", "/api-keys", &rig.key, &key, new).await;
    assert_eq!((again.status, again.body["token"].is_null()), (409, true));
    assert_eq!(again.header("content-type"), "application/problem+json");
    assert_eq!(
        (again.header("idempotent-replay"), &again.body["title"]),
        ("true".to_owned(), &json!("Conflict"))
    );
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_paged_without_gaps() {
    let rig = Rig::start().await;
    for number in 0..7 {
        assert_eq!(rig.post("/configurations", json!({"name": format!("c{number}")})).await.status, 201);
    }
    for path in ["/configurations", "/audit"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = rig.get(&format!("{path}?limit=3{cursor}")).await.body;
            let items = page["items"].as_array().expect("items");
            seen.extend(items.iter().map(ToString::to_string));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let all = rig.get(path).await.body["items"].as_array().expect("items").len();
        assert_eq!(seen.len(), all, "{path}");
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), all, "{path}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_log_is_exported_as_otlp_and_goes_on_where_it_was() {
    let rig = Rig::start().await;
    for number in 0..3 {
        assert_eq!(rig.post("/configurations", json!({"name": format!("c{number}")})).await.status, 201);
    }
    let (mut cursor, mut seqs) = ("0".to_owned(), Vec::new());
    for expected in [3, 2, 0] {
        let page = rig.get(&format!("/audit/otlp?limit=3&cursor={cursor}")).await;
        let body = page.body.to_string();
        let (_, counts) = phoenix_pdata::json::decode(Signal::Logs, body.as_bytes(), InvalidUtf8::Reject)
            .expect("a request of OTLP");
        assert_eq!(counts.items, expected, "{body}");
        let records = page.body["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().expect("records");
        seqs.extend(records.iter().map(|record| record["attributes"][0]["value"]["intValue"].clone()));
        cursor = page.header("phoenix-next-cursor");
    }
    assert_eq!(
        seqs,
        ["1", "2", "3", "4", "5"],
        "the first start made a key for the administrator, and one that signs"
    );
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_thing_has_its_events_and_each_role_its_permissions() {
    let rig = Rig::start().await;
    let configuration = rig.post("/configurations", json!({"name": "edge"})).await.body;
    let id = configuration["id"].as_str().expect("an id");
    rig.next_version(id, GOOD).await;
    rig.next_version(id, &format!("# another\n{GOOD}")).await;
    rig.version("other", GOOD).await;
    let viewer = rig.post("/api-keys", json!({"name": "v", "role": "viewer"})).await.body;
    let viewer = viewer["token"].as_str().expect("a token").to_owned();
    let ask = async |path: &str| rig.request("GET", path, &viewer, &[], None).await;
    let first = ask(&format!("/events?of={id}&limit=2")).await.body;
    let told = |page: &serde_json::Value| {
        let items = page["items"].as_array().expect("items").iter();
        items.map(|event| (event["action"].clone(), event["target"].clone())).collect::<Vec<_>>()
    };
    let made = |number: i64| (json!("version.create"), json!(format!("{id}@{number}")));
    assert_eq!(told(&first), [made(2), made(1)], "{first}");
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let rest = ask(&format!("/events?of={id}&limit=2&cursor={cursor}")).await.body;
    assert_eq!(told(&rest), [(json!("configuration.create"), json!(id))], "{rest}");
    assert!(rest["items"][0]["actor"].as_str().is_some_and(|actor| actor.contains("first start")), "{rest}");
    for (path, status) in [
        ("/events", 422),
        ("/events?of=grp_0", 404),
        ("/events?of=key_0", 403),
        ("/events?of=cfg_0&cursor=x", 422),
        ("/events?of=cfg_0&limit=501", 422),
    ] {
        assert_eq!(ask(path).await.status, status, "{path}");
    }
    let roles = ask("/roles").await.body;
    let names: Vec<_> = roles["items"].as_array().expect("items").iter().map(|role| &role["name"]).collect();
    assert_eq!(names, ["viewer", "editor", "deployer", "admin"]);
    assert_eq!(roles["items"][2]["permissions"], json!(["view", "deploy"]));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_describes_what_is_served() {
    let rig = Rig::start().await;
    let document = rig.get("/openapi.json").await;
    assert_eq!(document.status, 200);
    assert!(document.body["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let paths = document.body["paths"].as_object().expect("paths");
    assert!(paths.len() >= 25, "{}", paths.len());
    // Whatever is described as a plain GET answers to the administrator, and to nobody else.
    for (path, methods) in paths {
        let is_open = methods["get"]["security"].is_array();
        // What happened is asked for one thing.
        if methods["get"].is_null() || path.contains('{') || is_open || path.ends_with("/events") {
            continue;
        }
        let path = path.strip_prefix("/api/v1").expect("under the prefix");
        assert_eq!(rig.get(path).await.status, 200, "{path}");
        assert_eq!(rig.request("GET", path, "", &[], None).await.status, 401, "{path}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_tells_how_it_is_without_naming_anybody() {
    let rig = Rig::start().await;
    let group = rig.post("/groups", json!({"name": "secret-name"})).await.body;
    let path = format!("/groups/{}", group["id"].as_str().expect("an id"));
    for (method, path, token, status) in [
        ("GET", path.as_str(), rig.key.as_str(), 200),
        ("GET", "/groups/grp_none", &rig.key, 404),
        ("GET", "/groups/grp_none", "", 401),
        ("BREW", "/groups", &rig.key, 405),
        ("GET", "/made/up", &rig.key, 404),
    ] {
        assert_eq!(rig.request(method, path, token, &[], None).await.status, status, "{method} {path}");
    }
    let (head, text) = rig.outside("/metrics").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
    let of = |method: &str, route: &str, status: u16| {
        format!(r#"phoenix_control_requests_total{{method="{method}",route="{route}",status="{status}"}} 1"#)
    };
    for line in [
        of("POST", "/api/v1/groups", 201),
        of("GET", "/api/v1/groups/{id}", 200),
        of("GET", "/api/v1/groups/{id}", 404),
        of("GET", "/api/v1/groups/{id}", 401),
        of("_OTHER", "/api/v1/groups", 405),
        of("GET", "none", 404),
        r#"phoenix_control_request_duration_seconds_count{method="GET",route="/api/v1/groups/{id}"} 3"#
            .into(),
        r#"phoenix_control_agents_connected{transport="websocket"} 0"#.into(),
        r#"phoenix_control_rollouts{state="running"} 0"#.into(),
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
    assert!(text.contains("phoenix_control_build_info{") && text.contains(r#"version="0."#), "{text}");
    assert!(!text.contains("grp_") && !text.contains("secret-name"), "{text}");
    rig.stop().await;
}
