//! What clients ask of the state of what they read, change and make.

use serde_json::json;

use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_made_to_the_states_that_its_client_agrees_to() {
    let rig = Rig::start().await;
    let made = rig.post("/configurations", json!({"name": "a"})).await;
    let path = format!("/configurations/{}", made.body["id"].as_str().expect("an id"));
    let new = json!({"description": "x"});
    // (headers, status, the revision afterwards)
    type Case<'a> = (&'a [(&'a str, &'a str)], u16, &'a str);
    let cases: [Case<'_>; 13] = [
        (&[("if-match", "\"1\"")], 200, "\"2\""),
        (&[("if-match", "*")], 200, "\"3\""),
        (&[("if-match", "\"1\" , W/\"2\", \"3\"")], 200, "\"4\""),
        (&[("if-match", "\"1\""), ("if-match", "\"4\"")], 200, "\"5\""),
        (&[("if-match", "\"5\""), ("if-none-match", "\"4\"")], 200, "\"6\""),
        (&[("if-match", "\"6\""), ("if-none-match", "*")], 412, "\"6\""),
        (&[("if-match", "*"), ("if-none-match", "W/\"6\"")], 412, "\"6\""),
        (&[("if-match", "W/\"6\"")], 412, "\"6\""),
        (&[("if-match", "\"5\"")], 412, "\"6\""),
        (&[("if-match", "6")], 400, "\"6\""),
        (&[("if-match", "\"6\" \"7\"")], 400, "\"6\""),
        (&[("if-none-match", "\"5\"")], 428, "\"6\""),
        (&[], 428, "\"6\""),
    ];
    for (headers, status, tag) in cases {
        let answer = rig.request("PATCH", &path, &rig.key, headers, Some(new.clone())).await;
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.body);
        if status == 400 {
            assert!(
                answer.body["detail"].as_str().is_some_and(|text| text.contains("`If-Match`")),
                "{headers:?}"
            );
        }
        assert_eq!(rig.get(&path).await.header("etag"), tag, "{headers:?}");
    }
    // What is not there agrees with nobody.
    let nowhere =
        rig.request("PATCH", "/configurations/cfg_1", &rig.key, &[("if-match", "*")], Some(new)).await;
    assert_eq!(nowhere.status, 404);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_has_is_not_read_again_where_its_tag_tells_all() {
    let rig = Rig::start().await;
    let group = rig.post("/groups", json!({"name": "all"})).await.body;
    let path = format!("/groups/{}", group["id"].as_str().expect("an id"));
    for (tags, status) in
        [("\"1\"", 304), ("W/\"1\"", 304), ("\"0\", \"1\"", 304), ("*", 304), ("\"2\"", 200), ("1", 400)]
    {
        let answer = rig.request("GET", &path, &rig.key, &[("if-none-match", tags)], None).await;
        assert_eq!(answer.status, status, "{tags}");
        if status == 304 {
            assert_eq!((answer.header("etag").as_str(), answer.body.is_null()), ("\"1\"", true), "{tags}");
        }
    }
    // Of a rollout more changes than its revision: it is read again.
    let version = rig.version("base", crate::rig::GOOD).await;
    let rollout = rig.post("/rollouts", json!({"group_id": group["id"], "version_id": version})).await.body;
    let path = format!("/rollouts/{}", rollout["id"].as_str().expect("an id"));
    let tag = rig.get(&path).await.header("etag");
    assert_eq!(rig.request("GET", &path, &rig.key, &[("if-none-match", &tag)], None).await.status, 200);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn something_is_made_where_there_is_none_yet() {
    let rig = Rig::start().await;
    for (path, new) in [
        ("/groups", json!({"name": "a"})),
        ("/configurations", json!({"name": "a"})),
        ("/templates", json!({"name": "a", "text": "a: 1"})),
        ("/users", json!({"name": "a", "role": "viewer", "password": "correct horse battery"})),
        ("/schedules", json!({"name": "a", "cron": "@daily", "kind": "reload"})),
    ] {
        let make = async |headers: &[(&str, &str)]| {
            rig.request("POST", path, &rig.key, headers, Some(new.clone())).await.status
        };
        let none = [("if-none-match", "*")];
        assert_eq!(make(&none).await, 201, "{path}");
        assert_eq!((make(&none).await, make(&[]).await), (412, 409), "{path}");
        assert_eq!(make(&[("if-none-match", "none")]).await, 400, "{path}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_nothing_asks_for_is_refused() {
    let rig = Rig::start().await;
    let new = json!({"name": "a"});
    for (method, path, body, key) in [
        ("POST", "/groups?dry_run=true", Some(new.clone()), "dry_run"),
        ("POST", "/configurations?x", Some(new.clone()), "x"),
        ("GET", "/me?fields=actor", None, "fields"),
        ("DELETE", "/sessions/current?all=1", None, "all"),
        ("GET", "/groups?sort=name", None, "sort"),
    ] {
        let refused = rig.request(method, path, &rig.key, &[], body).await;
        assert_eq!(
            (refused.status, &refused.body["errors"][0]["field"]),
            (422, &json!(key)),
            "{path}: {}",
            refused.body
        );
    }
    assert_eq!(rig.get("/groups").await.body["items"], json!([]), "nothing was made");
    assert_eq!(rig.get("/groups?").await.status, 200, "it says nothing");
    // Each list has pages, however short it is.
    let first = rig.get("/roles?limit=3").await.body;
    let cursor = first["next_cursor"].as_str().expect("there is another");
    let rest = rig.get(&format!("/roles?limit=3&cursor={cursor}")).await.body;
    assert_eq!(
        (first["items"].as_array().map(Vec::len), &rest["items"][0]["name"]),
        (Some(3), &json!("admin"))
    );
    assert_eq!(rig.get("/roles?limit=0").await.status, 422);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_locks_everybody_out() {
    let rig = Rig::start().await;
    // A key that has expired by now, and the first one.
    let soon = phoenix_control::time::rfc3339(phoenix_control::time::now_ms() + 3_000);
    let short = json!({"name": "short", "role": "admin", "expires_at": soon});
    let made = rig.post("/api-keys", short).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let first = rig.get("/api-keys").await.body["items"][0]["id"].as_str().expect("an id").to_owned();
    while rig.request("GET", "/me", made.body["token"].as_str().expect("a token"), &[], None).await.status
        == 200
    {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let last = rig.request("DELETE", &format!("/api-keys/{first}"), &rig.key, &[], None).await;
    assert_eq!(last.status, 409, "{}", last.body);
    // With a user who administers it may go; and what they do last is in the log.
    let user = json!({"name": "ada", "role": "admin", "password": "correct horse battery"});
    assert_eq!(rig.post("/users", user).await.status, 201);
    let login = json!({"name": "ada", "password": "correct horse battery"});
    let session = rig.request("POST", "/sessions", "", &[], Some(login)).await.body;
    let session = session["token"].as_str().expect("a token");
    assert_eq!(rig.request("DELETE", "/sessions/current", session, &[], None).await.status, 204);
    let audit = rig.get("/audit").await.body["items"].to_string();
    assert!(audit.contains("session.open") && audit.contains("session.close"), "{audit}");
    assert_eq!(rig.request("DELETE", &format!("/api-keys/{first}"), &rig.key, &[], None).await.status, 204);
    rig.stop().await;
}
