//! An agent that goes from one instance to another and back, faster than they hear of each other.

use std::time::Duration;

use serde_json::json;

use crate::agent::{Agent, Kind};
use crate::rig::Rig;

const PATIENCE: Duration = Duration::from_secs(30);

async fn ends(agent: &mut Agent) {
    let ended = async { while agent.receive().await.is_some() {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("the connection ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_connection_stays_however_fast_an_agent_hops() {
    let Some((one, two)) = Rig::start_two().await else { return };
    let token = one.post("/enrolment-tokens", json!({"name": "t"})).await.body["token"].clone();
    let token = token.as_str().expect("a token");
    let mut shows = token.to_owned();
    for round in 0..6u8 {
        let mut open = Vec::new();
        // To one, to the other, and back, before the word of the second has come to the first.
        for rig in [&one, &two, &one] {
            let mut agent = Agent::connect(rig, Kind::WebSocket, 1, &shows).await.expect("let in");
            let answer = agent.say_all().await;
            assert!(answer.error_response.is_none(), "{answer:?}");
            shows = Agent::credential_in(&answer).unwrap_or(shows);
            open.push(agent);
        }
        let mut newest = open.pop().expect("the last");
        for former in &mut open {
            ends(former).await;
        }
        // What `two` tells `one` comes in order: once a later word was heard, so were those before it.
        let number = 10 + round;
        let mut other = Agent::connect(&one, Kind::WebSocket, number, token).await.expect("let in");
        other.say_all().await;
        assert_eq!(two.post(&format!("/agents/{}/revoke", other.id()), json!({})).await.status, 204);
        ends(&mut other).await;
        assert!(newest.beat().await.error_response.is_none(), "round {round}: the newest counts");
        for rig in [&one, &two] {
            assert_eq!(
                rig.get(&format!("/agents/{}", newest.id())).await.body["connected"],
                true,
                "round {round}"
            );
        }
    }
    one.stop().await;
    two.stop().await;
}
