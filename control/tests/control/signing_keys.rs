//! The key that credentials of agents are signed with is replaced before its time.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::agent::{Agent, Kind};
use crate::rig::Rig;

/// The key that signed a credential.
fn key_of(credential: &str) -> Value {
    let head = credential.split('.').next().expect("a head");
    let head: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).expect("base64url")).expect("JSON");
    head["kid"].clone()
}

async fn keys(rig: &Rig) -> Vec<Value> {
    rig.get("/signing-keys").await.body["items"].as_array().expect("keys").clone()
}

/// An agent that was let in, and the credential that it was given then.
async fn connected(rig: &Rig, number: u8, shows: &str) -> (Agent, Option<String>) {
    let mut agent = Agent::connect(rig, Kind::WebSocket, number, shows).await.expect("let in");
    let answer = agent.say_all().await;
    assert!(answer.error_response.is_none(), "{answer:?}");
    (agent, Agent::credential_in(&answer))
}

/// Orders go to `one` or `other` instance of a service.
async fn replace(one: &Rig, other: &Rig) {
    let token = one.post("/enrolment-tokens", json!({"name": "t"})).await.body["token"].clone();
    let token = token.as_str().expect("a token");
    let (first, own) = connected(other, 1, token).await;
    let own = own.expect("a credential");
    let before = keys(one).await;
    assert_eq!((before.len(), &before[0]["signs"], &before[0]["id"]), (1, &json!(true), &key_of(&own)));

    // It is for administrators, who say what they mean.
    let key = one.post("/api-keys", json!({"name": "d", "role": "deployer"})).await.body["token"].clone();
    let refused =
        one.request("POST", "/signing-keys", key.as_str().expect("a key"), &[], Some(json!({}))).await;
    assert_eq!(refused.status, 403);
    assert_eq!(one.post("/signing-keys", json!({"now": true})).await.status, 422);

    // The next key signs on every instance; what the former signed goes on to count.
    let made = one.post("/signing-keys", json!({})).await;
    assert_eq!((made.status, &made.body["signs"]), (201, &json!(true)), "{}", made.body);
    let listed = keys(other).await;
    assert_eq!((&listed[0]["id"], &listed[1]["id"]), (&made.body["id"], &before[0]["id"]));
    assert_eq!((listed.len(), &listed[1]["signs"]), (2, &json!(false)));
    assert!(!Value::from(listed).to_string().contains("private"));
    drop(first);
    let (mut first, offered) = connected(one, 1, &own).await;
    assert_eq!(offered, None, "it is not due");
    let (_second, another) = connected(other, 2, token).await;
    assert_eq!(key_of(&another.expect("a credential")), made.body["id"]);

    // Told to renew, agents are sent for credentials of the next key, wherever they are connected.
    let next = other.post("/signing-keys", json!({"renew": true})).await.body;
    let ended = async { while first.receive().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("it is sent for another");
    let (renewing, renewed) = connected(other, 1, &own).await;
    let renewed = renewed.expect("another credential");
    assert_eq!(key_of(&renewed), next["id"]);
    drop(renewing);
    // The former one counts until the new one was shown.
    let (_agent, offered) = connected(one, 1, &renewed).await;
    assert_eq!(offered, None);
    assert_eq!(Agent::connect(other, Kind::WebSocket, 1, &own).await.err(), Some(401));

    let audit = one.get("/audit").await.body["items"].to_string();
    for action in ["signing_key.create", "agent.rotate_credentials"] {
        assert!(audit.contains(action), "{action}: {audit}");
    }
    assert_eq!(one.get("/audit/verification").await.body["intact"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_replaced_before_its_time() {
    let rig = Rig::start().await;
    replace(&rig, &rig).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_replaced_for_every_instance() {
    let Some((one, two)) = Rig::start_two().await else { return };
    replace(&one, &two).await;
    one.stop().await;
    two.stop().await;
}
