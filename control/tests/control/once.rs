//! What is done once, however often it is asked for, and whoever goes away meanwhile.

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::agent::{Agent, Kind};
use crate::rig::{Answer, Rig};

/// Asks until the first one has its answer.
async fn answered(ask: impl AsyncFn() -> Answer) -> Answer {
    for _ in 0..600 {
        let answer = ask().await;
        if answer.status != 409 {
            return answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the first one is never answered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repetitions_at_once_are_one_change() {
    let rig = Rig::start().await;
    let key = [("idempotency-key", "one")];
    let new = json!({"name": "a"});
    let ask = async || rig.request("POST", "/configurations", &rig.key, &key, Some(new.clone())).await;
    let answers = join_all((0..16).map(|_| ask())).await;
    let first = |answer: &&Answer| answer.status == 201 && answer.header("idempotent-replay").is_empty();
    assert_eq!(answers.iter().filter(first).count(), 1);
    // The others hear the same, or that it is under way.
    let made = answers.iter().find(first).expect("made").body.clone();
    for answer in answers.iter().filter(|answer| !first(answer)) {
        let is_under_way = answer.body["detail"].as_str().is_some_and(|text| text.contains("under way"));
        assert!(answer.body == made || (answer.status == 409 && is_under_way), "{}", answer.body);
    }
    let again = answered(ask).await;
    assert_eq!((again.status, &again.body), (201, &made));
    assert_eq!(rig.get("/configurations").await.body["items"].as_array().map(Vec::len), Some(1));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_finds_the_answer_later() {
    let rig = Rig::start().await;
    for number in 0..20 {
        let body = json!({"name": format!("c{number}")}).to_string();
        let head = format!(
            "POST /api/v1/configurations HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nidempotency-key: {number}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            rig.key,
            body.len()
        );
        let mut stream = TcpStream::connect(rig.api).await.expect("connected");
        stream.write_all(head.as_bytes()).await.expect("written");
        drop(stream);
        let (key, new) = (number.to_string(), json!({"name": format!("c{number}")}));
        let headers = [("idempotency-key", key.as_str())];
        let ask =
            async || rig.request("POST", "/configurations", &rig.key, &headers, Some(new.clone())).await;
        let answer = answered(ask).await;
        assert_eq!((answer.status, &answer.body["name"]), (201, &new["name"]), "{}", answer.body);
    }
    assert_eq!(rig.get("/configurations").await.body["items"].as_array().map(Vec::len), Some(20));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_for_one_agent_enrols_one_of_many_that_come_at_once() {
    let two = Rig::start_two().await;
    let one = Rig::start().await;
    let rigs: Vec<&Rig> = two.iter().flat_map(|(a, b)| [a, b]).collect();
    for rigs in [vec![&one, &one], rigs] {
        let rigs = &rigs;
        let Some(rig) = rigs.first() else { continue };
        let made = rig.post("/enrolment-tokens", json!({"name": "t", "max_uses": 1})).await.body;
        let token = made["token"].as_str().expect("a token");
        let came = join_all((1..=8).map(|number| async move {
            let mut agent =
                Agent::connect(rigs[usize::from(number) % 2], Kind::WebSocket, number, token).await?;
            let answer = agent.say_all().await;
            Ok::<_, u16>((agent, answer.error_response.is_none()))
        }))
        .await;
        let let_in = came.iter().filter(|came| came.as_ref().is_ok_and(|(_, let_in)| *let_in)).count();
        assert_eq!(let_in, 1, "of eight");
        assert_eq!(rig.get("/agents").await.body["items"].as_array().map(Vec::len), Some(1));
        assert_eq!(rig.get("/enrolment-tokens").await.body["items"][0]["uses"], 1);
    }
    one.stop().await;
    if let Some((a, b)) = two {
        a.stop().await;
        b.stop().await;
    }
}
