//! Transforms and stages: what they hold, what they let out, and what the books say of both.

use std::sync::Arc;
use std::time::Duration;

use phoenix_component::Status;
use phoenix_pdata::Signal::Traces;
use tokio::time::Instant;

use crate::rig::{Answer, Rig, batch_of};
use crate::{settle, with_processor};

#[tokio::test(start_paused = true)]
async fn what_a_transform_leaves_out_is_in_the_books() {
    let rig = Rig::start(&with_processor("odd: {}", "odd")).await;
    rig.send("source", Traces, &[1, 2, 3, 4]).await.expect("accepted");
    rig.send("source", Traces, &[2]).await.expect("accepted, and nothing left of it");
    assert!(!rig.send("source", Traces, &[666]).await.expect_err("rejected").is_retryable());
    assert_eq!(rig.world.sink("sink").got(), [1, 3]);
    let metrics = &rig.engine.host().metrics;
    assert_eq!(
        metrics.sum("phoenix_component_items_dropped", &[("component_id", "odd"), ("reason", "even")]),
        3
    );
    assert_eq!(metrics.sum("phoenix_component_items_refused", &[("component_id", "odd")]), 1);
    rig.assert_balanced().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_one_request_and_shows_in_the_components_health() {
    let rig = Rig::start(&with_processor("odd: {}, hold: {}", "odd, hold")).await;
    assert!(!rig.send("source", Traces, &[13]).await.expect_err("failed").is_retryable());
    assert!(matches!(rig.status("odd"), Status::Recoverable(text) if text.contains("thirteen")));
    rig.send("source", Traces, &[1]).await.expect("the next one passes");
    rig.world.sink("sink").answers(Answer::Panic);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(matches!(rig.status("sink"), Status::Recoverable(_)));
    rig.assert_balanced().await;

    let rig = Rig::start(&with_processor("hold: {}", "hold")).await;
    rig.send("source", Traces, &[13]).await.expect("taken, and lost to the panic");
    rig.send("source", Traces, &[1]).await.expect("the stage works on");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(rig.world.sink("sink").got(), [1]);
    assert_eq!(rig.engine.host().metrics.sum("phoenix_component_items_dropped", &[("reason", "panic")]), 1);
    rig.assert_balanced().await;
}

#[tokio::test(start_paused = true)]
async fn a_stage_answers_when_it_holds_and_delivers_later() {
    let rig = Rig::start(&with_processor("hold: {shards: 3}", "hold")).await;
    rig.send("source", Traces, &[1, 2, 3, 4]).await.expect("held");
    assert_eq!(rig.world.sink("sink").got(), [0u64; 0]);
    rig.assert_balanced().await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let mut got = rig.world.sink("sink").got();
    got.sort_unstable();
    assert_eq!(got, [1, 2, 3, 4]);
    rig.assert_balanced().await;
}

#[tokio::test(start_paused = true)]
async fn sums_stay_exact_over_a_backend_that_refuses_every_second_export() {
    let rig = Rig::start(&with_processor("sum: {}", "sum")).await;
    rig.world.sink("sink").answers(Answer::RefuseEverySecond);
    let mut expected = 0;
    for id in 1..=200u64 {
        // A client that retries what it is refused, as clients do.
        while rig.send("source", Traces, &[id, id]).await.is_err() {}
        expected += 2 * id;
        tokio::time::sleep(Duration::from_millis(137)).await;
    }
    assert_eq!(rig.shutdown().await.items, 0);
    assert_eq!(rig.world.sink("sink").got().iter().sum::<u64>(), expected);
}

#[tokio::test(start_paused = true)]
async fn delivered_means_delivered_and_all_that_wait_go_together() {
    let rig = Arc::new(Rig::start(&with_processor("hold: {delivered: true, every_ms: 60000}", "hold")).await);
    let sink = rig.world.sink("sink");
    sink.answers(Answer::Slow(Duration::from_millis(10)));
    let before = Instant::now();
    rig.send("source", Traces, &[1]).await.expect("delivered");
    assert_eq!(
        (sink.got(), before.elapsed()),
        (vec![1], Duration::from_millis(10)),
        "nobody else was there to wait for"
    );
    let senders: Vec<_> = (0..32u64)
        .map(|id| {
            let rig = rig.clone();
            tokio::spawn(async move { rig.send("source", Traces, &[id * 8]).await })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap().expect("delivered");
    }
    assert_eq!(sink.got().len(), 33);
    assert!(sink.calls() <= 8, "requests that come during a delivery go out together: {}", sink.calls());
    assert!(before.elapsed() < Duration::from_secs(1), "nobody waited for the timer");
    rig.assert_balanced().await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_delivery_hears_of_a_refusal_before_the_deadline() {
    let rig = Rig::start(&with_processor("hold: {delivered: true}", "hold")).await;
    rig.world.sink("sink").answers(Answer::Refuse);
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut batch = batch_of(Traces, &[1]);
    batch.deadline = Some(deadline);
    assert!(rig.send_batch("source", batch).await.expect_err("not delivered").is_retryable());
    assert!(Instant::now() < deadline);
    rig.world.sink("sink").answers(Answer::Accept);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        rig.world.sink("sink").got(),
        [0u64; 0],
        "handed back, so never sent behind the sender's back"
    );
    rig.assert_balanced().await;
    rig.world.sink("sink").answers(Answer::Reject);
    assert!(!rig.send("source", Traces, &[2]).await.expect_err("rejected").is_retryable());
}

#[tokio::test(start_paused = true)]
async fn a_stage_whose_backend_is_down_keeps_what_it_has_and_refuses_newcomers() {
    let rig = Rig::start(&with_processor("hold: {every_ms: 0}", "hold")).await;
    let sink = rig.world.sink("sink");
    sink.answers(Answer::Refuse);
    let mut accepted = Vec::new();
    let refusal = loop {
        let id = accepted.len() as u64 * 8;
        match rig.send("source", Traces, &[id]).await {
            Ok(()) => accepted.push(id),
            Err(refusal) => break refusal,
        }
        settle().await;
        assert!(accepted.len() < 100_000, "it must refuse at some point");
    };
    assert!(refusal.is_retryable() && refusal.delay().is_some());
    rig.assert_balanced().await;
    sink.answers(Answer::Accept);
    tokio::time::sleep(Duration::from_secs(120)).await;
    let mut got = sink.got();
    got.sort_unstable();
    assert_eq!(got, accepted);
}
