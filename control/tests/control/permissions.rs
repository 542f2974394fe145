//! Who may what: every operation of the API with every role, and what a scope leaves out.

use serde_json::{Value, json};

use crate::agent::{Agent, Kind};
use crate::rig::{GOOD, Rig};

/// Who may: whoever has the role of the column.
const VIEW: [&str; 4] = ["viewer", "editor", "deployer", "admin"];
const EDIT: [&str; 2] = ["editor", "admin"];
const DEPLOY: [&str; 2] = ["deployer", "admin"];
const ADMINISTER: [&str; 1] = ["admin"];

/// Every operation, who may, and a body that is in order.
fn operations() -> Vec<(&'static str, &'static str, &'static [&'static str], Value)> {
    let none = Value::Null;
    let group = || json!({"name": "g", "selector": "env=none"});
    let rollout = || json!({"group_id": "grp_0", "version_id": "ver_0"});
    let user = || json!({"name": "u", "role": "viewer", "password": "correct horse battery"});
    vec![
        ("delete", "/sessions/current", &VIEW, none.clone()),
        ("get", "/me", &VIEW, none.clone()),
        ("get", "/roles", &VIEW, none.clone()),
        ("get", "/users", &ADMINISTER, none.clone()),
        ("post", "/users", &ADMINISTER, user()),
        ("get", "/users/{id}", &ADMINISTER, none.clone()),
        ("patch", "/users/{id}", &ADMINISTER, json!({"disabled": true})),
        ("delete", "/users/{id}", &ADMINISTER, none.clone()),
        ("get", "/api-keys", &ADMINISTER, none.clone()),
        ("post", "/api-keys", &ADMINISTER, json!({"name": "k", "role": "viewer"})),
        ("delete", "/api-keys/{id}", &ADMINISTER, none.clone()),
        ("get", "/enrolment-tokens", &ADMINISTER, none.clone()),
        ("post", "/enrolment-tokens", &ADMINISTER, json!({"name": "t"})),
        ("delete", "/enrolment-tokens/{id}", &ADMINISTER, none.clone()),
        ("get", "/signing-keys", &ADMINISTER, none.clone()),
        ("post", "/signing-keys", &ADMINISTER, json!({})),
        ("get", "/configurations", &VIEW, none.clone()),
        ("post", "/configurations", &EDIT, json!({"name": "c"})),
        ("post", "/configurations/validate", &VIEW, json!({"text": GOOD})),
        ("get", "/configurations/{id}", &VIEW, none.clone()),
        ("patch", "/configurations/{id}", &EDIT, json!({"description": "d"})),
        ("get", "/configurations/{id}/versions", &VIEW, none.clone()),
        ("post", "/configurations/{id}/versions", &EDIT, json!({"text": GOOD, "message": "m"})),
        ("get", "/configurations/{id}/versions/{number}", &VIEW, none.clone()),
        ("get", "/configurations/{id}/versions/{number}/effective", &VIEW, none.clone()),
        ("get", "/configurations/{id}/diff", &VIEW, none.clone()),
        ("get", "/templates", &VIEW, none.clone()),
        ("post", "/templates", &EDIT, json!({"name": "t", "text": GOOD})),
        ("get", "/templates/{id}", &VIEW, none.clone()),
        ("put", "/templates/{id}", &EDIT, json!({"name": "t", "text": GOOD})),
        ("delete", "/templates/{id}", &EDIT, none.clone()),
        ("post", "/templates/{id}/render", &VIEW, json!({})),
        ("get", "/groups", &VIEW, none.clone()),
        ("post", "/groups", &DEPLOY, group()),
        ("get", "/groups/{id}", &VIEW, none.clone()),
        ("patch", "/groups/{id}", &DEPLOY, json!({"priority": 1})),
        ("delete", "/groups/{id}", &DEPLOY, none.clone()),
        ("post", "/groups/{id}/plan", &VIEW, json!({"version_id": "ver_0"})),
        ("get", "/rollouts", &VIEW, none.clone()),
        ("post", "/rollouts", &DEPLOY, rollout()),
        ("get", "/rollouts/{id}", &VIEW, none.clone()),
        ("post", "/rollouts/{id}/orders", &DEPLOY, json!({"order": "pause"})),
        ("get", "/agents", &VIEW, none.clone()),
        ("get", "/agents/{id}", &VIEW, none.clone()),
        ("put", "/agents/{id}/labels", &DEPLOY, json!({"a": "b"})),
        ("post", "/agents/{id}/revoke", &ADMINISTER, none.clone()),
        ("delete", "/agents/{id}/credential", &ADMINISTER, none.clone()),
        ("post", "/agents/{id}/credential/rotation", &ADMINISTER, none.clone()),
        ("delete", "/agents/{id}/failures", &DEPLOY, none.clone()),
        ("get", "/agents/{id}/tasks", &VIEW, none.clone()),
        ("post", "/agents/{id}/tasks", &DEPLOY, json!({"kind": "diagnostics"})),
        ("get", "/tasks", &VIEW, none.clone()),
        ("get", "/tasks/{id}", &VIEW, none.clone()),
        ("post", "/tasks/{id}/requeue", &DEPLOY, none.clone()),
        ("post", "/tasks/{id}/cancel", &DEPLOY, none.clone()),
        ("get", "/schedules", &VIEW, none.clone()),
        ("post", "/schedules", &DEPLOY, json!({"name": "s", "cron": "@daily", "kind": "diagnostics"})),
        ("get", "/schedules/{id}", &VIEW, none.clone()),
        ("patch", "/schedules/{id}", &DEPLOY, json!({"enabled": false})),
        ("delete", "/schedules/{id}", &DEPLOY, none.clone()),
        ("get", "/events", &VIEW, none.clone()),
        ("get", "/audit", &ADMINISTER, none.clone()),
        ("get", "/audit/otlp", &ADMINISTER, none.clone()),
        ("get", "/audit/verification", &ADMINISTER, none),
    ]
}

/// Asked without credentials on purpose.
const OPEN: [(&str, &str); 4] = [
    ("post", "/sessions"),
    ("get", "/sessions/oidc"),
    ("post", "/sessions/oidc"),
    ("get", "/sessions/oidc/callback"),
];

impl Rig {
    async fn key_of(&self, role: &str, scope: &str) -> String {
        let made = self.post("/api-keys", json!({"name": role, "role": role, "scope": scope})).await;
        made.body["token"].as_str().expect("a token").to_owned()
    }

    async fn ask(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = (!body.is_null()).then(|| body.clone());
        let headers = [("if-match", "\"1\"")];
        let answer = self.request(&method.to_uppercase(), path, token, &headers, body).await;
        (answer.status, answer.body)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_knows_who_may() {
    let rig = Rig::start().await;
    let known: Vec<(&str, &str)> = operations().iter().map(|(method, path, ..)| (*method, *path)).collect();
    let document = rig.get("/openapi.json").await.body;
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let path = path.strip_prefix("/api/v1").expect("under the prefix");
        for method in methods.as_object().expect("methods").keys() {
            let one = (method.as_str(), path);
            assert!(
                known.contains(&one) || OPEN.contains(&one),
                "{method} {path} is in no line of this table"
            );
        }
    }
    for role in VIEW {
        let token = rig.key_of(role, "").await;
        for (method, path, may, body) in operations() {
            let path = path.replace("{id}", "none_0").replace("{number}", "1");
            let query = match path.rsplit('/').next() {
                Some("diff") => "?from=1&to=2",
                Some("events") => "?of=cfg_0",
                _ => "",
            };
            let (status, answer) = rig.ask(&token, method, &format!("{path}{query}"), &body).await;
            let is_refused = status == 403;
            assert_eq!(is_refused, !may.contains(&role), "{role}: {method} {path}: {status} {answer}");
            assert!(status < 500 && status != 401, "{role}: {method} {path}: {status} {answer}");
        }
    }
    rig.stop().await;
}

/// A fleet of two environments: the identifiers of an agent, a group, a rollout and a task of each.
async fn two_environments(rig: &Rig) -> Vec<[String; 4]> {
    let id = |body: &Value| body["id"].as_str().expect("an id").to_owned();
    let version = rig.version("base", GOOD).await;
    let mut all = Vec::new();
    for (number, env) in [(1, "prod"), (2, "test")] {
        let new = json!({"name": env, "labels": {"env": env}});
        let token = rig.post("/enrolment-tokens", new).await.body;
        let token = token["token"].as_str().expect("a token").to_owned();
        let mut agent = Agent::connect(rig, Kind::Http, number, &token).await.expect("let in");
        agent.say_all().await;
        let group = rig.post("/groups", json!({"name": env, "selector": format!("env={env}")})).await.body;
        let rollout = json!({"group_id": group["id"], "version_id": version});
        let rollout = rig.post("/rollouts", rollout).await.body;
        let task = rig.post(&format!("/agents/{}/tasks", agent.id()), json!({"kind": "reload"})).await.body;
        all.push([agent.id(), id(&group), id(&rollout), id(&task)]);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_out_of_scope_is_as_if_it_did_not_exist() {
    let rig = Rig::start().await;
    let environments = two_environments(&rig).await;
    let token = rig.key_of("admin", "env=prod").await;
    let (_, me) = rig.ask(&token, "get", "/me", &Value::Null).await;
    assert_eq!(me["scope"], "env=prod");
    for ([agent, group, rollout, task], is_seen) in environments.iter().zip([true, false]) {
        let reads = [
            format!("/agents/{agent}"),
            format!("/agents/{agent}/tasks"),
            format!("/groups/{group}"),
            format!("/rollouts/{rollout}"),
            format!("/tasks/{task}"),
            format!("/events?of={agent}"),
            format!("/events?of={group}"),
            format!("/events?of={rollout}"),
            format!("/events?of={task}"),
        ];
        for path in reads {
            let (status, body) = rig.ask(&token, "get", &path, &Value::Null).await;
            assert_eq!(status, if is_seen { 200 } else { 404 }, "{path}: {body}");
        }
        for (list, id) in [("agents", agent), ("groups", group), ("rollouts", rollout), ("tasks", task)] {
            let (_, body) = rig.ask(&token, "get", &format!("/{list}?limit=1"), &Value::Null).await;
            let items = body["items"].as_array().expect("items");
            assert_eq!(items.len(), 1, "{body}");
            assert_eq!(items[0]["id"] == id.as_str(), is_seen, "{list}: {body}");
        }
    }
    // What is everybody's, and what is an administrator's of the whole fleet.
    assert_eq!(rig.ask(&token, "get", "/events?of=key_0", &Value::Null).await.0, 403);
    let [agent, group, rollout, task] = &environments[1];
    let all = rig.post("/schedules", json!({"name": "all", "cron": "@daily", "kind": "reload"})).await.body;
    let all = all["id"].as_str().expect("an id").to_owned();
    for (method, path, body, expected) in [
        ("put", format!("/agents/{agent}/labels"), json!({"env": "prod"}), 404),
        ("post", format!("/agents/{agent}/tasks"), json!({"kind": "reload"}), 404),
        ("post", format!("/agents/{agent}/revoke"), Value::Null, 404),
        ("delete", format!("/agents/{agent}/credential"), Value::Null, 404),
        ("delete", format!("/agents/{agent}/failures"), Value::Null, 404),
        ("patch", format!("/groups/{group}"), json!({"priority": 9}), 404),
        ("patch", format!("/groups/{group}"), json!({"own_telemetry": {}}), 404),
        ("delete", format!("/groups/{group}"), Value::Null, 404),
        ("post", format!("/groups/{group}/plan"), json!({"version_id": "ver_0"}), 404),
        ("post", "/rollouts".to_owned(), json!({"group_id": group, "version_id": "ver_0"}), 422),
        ("post", format!("/rollouts/{rollout}/orders"), json!({"order": "pause"}), 404),
        ("post", format!("/tasks/{task}/requeue"), Value::Null, 404),
        ("post", format!("/tasks/{task}/cancel"), Value::Null, 404),
        ("get", format!("/schedules/{all}"), Value::Null, 404),
        ("patch", format!("/schedules/{all}"), json!({"enabled": false}), 404),
        ("delete", format!("/schedules/{all}"), Value::Null, 404),
        ("post", "/schedules".to_owned(), json!({"name": "x", "cron": "@daily", "kind": "reload"}), 422),
        (
            "post",
            "/schedules".to_owned(),
            json!({"name": "x", "cron": "@daily", "kind": "reload", "agent_id": agent}),
            422,
        ),
        // Nor does anything come into the scope, or leave it.
        ("put", format!("/agents/{}/labels", environments[0][0]), json!({"env": "test"}), 403),
        ("patch", format!("/groups/{}", environments[0][1]), json!({"selector": "zone=a"}), 422),
        ("post", "/groups".to_owned(), json!({"name": "all"}), 422),
        ("post", "/groups".to_owned(), json!({"name": "sly", "selector": "env!=test"}), 422),
        ("post", "/enrolment-tokens".to_owned(), json!({"name": "t", "labels": {"env": "test"}}), 422),
        // What concerns everybody is for who may do that everywhere.
        ("post", "/api-keys".to_owned(), json!({"name": "k", "role": "admin"}), 403),
        ("get", "/users".to_owned(), Value::Null, 403),
        ("get", "/audit".to_owned(), Value::Null, 403),
    ] {
        let (status, answer) = rig.ask(&token, method, &path, &body).await;
        assert_eq!(status, expected, "{method} {path} {body}: {answer}");
    }
    // Within it, all that the role may.
    for (method, path, body, expected) in [
        ("post", "/groups".to_owned(), json!({"name": "edge", "selector": "env=prod,tier=edge"}), 201),
        ("post", "/enrolment-tokens".to_owned(), json!({"name": "t", "labels": {"env": "prod"}}), 201),
        ("post", format!("/agents/{}/tasks", environments[0][0]), json!({"kind": "reload"}), 202),
        (
            "post",
            "/schedules".to_owned(),
            json!({"name": "p", "cron": "@daily", "kind": "reload", "selector": "env=prod"}),
            201,
        ),
        ("put", format!("/agents/{}/labels", environments[0][0]), json!({"tier": "edge"}), 200),
        ("post", format!("/agents/{}/revoke", environments[0][0]), Value::Null, 204),
    ] {
        let (status, answer) = rig.ask(&token, method, &path, &body).await;
        assert_eq!(status, expected, "{method} {path} {body}: {answer}");
    }
    let (_, tokens) = rig.ask(&token, "get", "/enrolment-tokens", &Value::Null).await;
    assert!(!tokens.to_string().contains("\"test\""), "{tokens}");
    let wrong = rig.post("/api-keys", json!({"name": "k", "role": "viewer", "scope": "a b"})).await;
    assert_eq!((wrong.status, &wrong.body["errors"][0]["field"]), (422, &json!("scope")), "{}", wrong.body);
    rig.stop().await;
}
