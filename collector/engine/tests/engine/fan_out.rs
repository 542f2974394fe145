//! One batch to several branches: who is asked when, and what the sender hears.

use std::time::Duration;

use phoenix_pdata::Signal::Traces;
use tokio::time::Instant;

use crate::rig::{Answer, Rig, batch_of};
use crate::{THREE_SINKS, TWO_SINKS};

#[tokio::test(start_paused = true)]
async fn a_batch_reaches_every_branch_once() {
    let rig = Rig::start(TWO_SINKS).await;
    rig.send("source", Traces, &[1, 2, 3]).await.expect("accepted");
    assert_eq!(rig.world.sink("sink/a").got(), [1, 2, 3]);
    assert_eq!(rig.world.sink("sink/b").got(), [1, 2, 3]);
    rig.assert_balanced().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_branch_does_not_hold_the_other() {
    let rig = Rig::start(TWO_SINKS).await;
    rig.world.sink("sink/a").answers(Answer::Slow(Duration::from_secs(60)));
    let send = rig.send("source", Traces, &[1]);
    assert!(
        tokio::time::timeout(Duration::from_secs(1), send).await.is_err(),
        "the sender waits for the slow one"
    );
    assert_eq!(rig.world.sink("sink/b").got(), [1]);
}

#[tokio::test(start_paused = true)]
async fn only_the_branch_that_refused_is_tried_again() {
    let rig = Rig::start(TWO_SINKS).await;
    let (a, b) = (rig.world.sink("sink/a"), rig.world.sink("sink/b"));
    a.answers(Answer::Refuse);
    let recovery = tokio::spawn({
        let a = a.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            a.answers(Answer::Accept);
        }
    });
    rig.send("source", Traces, &[7]).await.expect("accepted after the recovery");
    recovery.await.unwrap();
    assert_eq!((a.got(), b.got()), (vec![7], vec![7]));
    assert!(a.calls() > 1 && b.calls() == 1);
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_stays_down_is_told_to_the_sender_and_counted() {
    let rig = Rig::start(TWO_SINKS).await;
    rig.world.sink("sink/a").answers(Answer::Refuse);
    let mut batch = batch_of(Traces, &[7, 8]);
    let deadline = Instant::now() + Duration::from_secs(3);
    batch.deadline = Some(deadline);
    let refusal = rig.send_batch("source", batch).await.expect_err("one branch did not take it");
    assert!(refusal.is_retryable() && Instant::now() < deadline, "told in time");
    assert_eq!(rig.engine.host().metrics.sum("phoenix_fanout_partial", &[]), 2);
    assert_eq!(rig.world.sink("sink/b").got(), [7, 8]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_branch_does_not_keep_another_from_being_tried_again() {
    let rig = Rig::start(THREE_SINKS).await;
    let [a, b, c] = ["sink/a", "sink/b", "sink/c"].map(|id| rig.world.sink(id));
    a.answers(Answer::Slow(Duration::from_secs(4)));
    b.answers(Answer::Refuse);
    let recovery = tokio::spawn({
        let b = b.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            b.answers(Answer::Accept);
            tokio::time::sleep(Duration::from_secs(2)).await;
            b.got()
        }
    });
    let start = Instant::now();
    rig.send("source", Traces, &[7]).await.expect("accepted by all in the end");
    assert_eq!(start.elapsed(), Duration::from_secs(4), "no longer than the slow one takes");
    assert_eq!(recovery.await.unwrap(), [7], "while the slow one was being waited for");
    assert_eq!((a.got(), c.got(), c.calls()), (vec![7], vec![7], 1));
    rig.assert_balanced().await;
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_nobody_is_waited_for() {
    let rig = Rig::start(TWO_SINKS).await;
    rig.world.sink("sink/a").answers(Answer::Hang);
    let mut batch = batch_of(Traces, &[7, 8]);
    let start = Instant::now();
    batch.deadline = Some(start + Duration::from_secs(3));
    let refusal = rig.send_batch("source", batch).await.expect_err("one branch did not answer");
    assert!(refusal.is_retryable(), "{refusal}");
    assert_eq!((refusal.reason(), start.elapsed()), ("deadline", Duration::from_secs(3)));
    assert_eq!(rig.engine.host().metrics.sum("phoenix_fanout_partial", &[]), 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_sender_that_goes_away_will_repeat_is_counted() {
    let rig = Rig::start(TWO_SINKS).await;
    rig.world.sink("sink/a").answers(Answer::Hang);
    let send = rig.send("source", Traces, &[1, 2, 3]);
    assert!(tokio::time::timeout(Duration::from_secs(1), send).await.is_err());
    assert_eq!(rig.engine.host().metrics.sum("phoenix_fanout_partial", &[]), 3);
    rig.world.sink("sink/b").answers(Answer::Hang);
    let send = rig.send("source", Traces, &[4]);
    assert!(tokio::time::timeout(Duration::from_secs(1), send).await.is_err());
    assert_eq!(rig.engine.host().metrics.sum("phoenix_fanout_partial", &[]), 3, "nobody took that");
}

#[tokio::test(start_paused = true)]
async fn the_sender_hears_of_every_branch_that_failed() {
    let rig = Rig::start(THREE_SINKS).await;
    rig.world.sink("sink/a").answers(Answer::Reject);
    rig.world.sink("sink/b").answers(Answer::Reject);
    let both = rig.send("source", Traces, &[7]).await.expect_err("rejected by two");
    assert!(!both.is_retryable());
    assert_eq!(rig.engine.host().metrics.sum("phoenix_fanout_partial", &[]), 0, "nobody sends that again");
    rig.world.sink("sink/b").answers(Answer::Refuse);
    let refusal = rig.send("source", Traces, &[8]).await.expect_err("refused by one for now");
    assert!(refusal.is_retryable(), "whoever may take it later gets another chance");
    assert_eq!(rig.world.sink("sink/c").got(), [7, 8]);
}

#[tokio::test(start_paused = true)]
async fn where_no_branch_took_the_batch_the_refusal_comes_back_at_once() {
    let rig = Rig::start(TWO_SINKS).await;
    let (a, b) = (rig.world.sink("sink/a"), rig.world.sink("sink/b"));
    a.answers(Answer::Refuse);
    b.answers(Answer::Refuse);
    let before = Instant::now();
    assert!(rig.send("source", Traces, &[7]).await.expect_err("refused").is_retryable());
    assert_eq!((a.calls(), b.calls(), before.elapsed()), (1, 1, Duration::ZERO));
    assert_eq!(rig.engine.host().metrics.sum("phoenix_fanout_partial", &[]), 0);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_of_one_branch_does_not_keep_the_batch_from_the_others() {
    let rig = Rig::start(TWO_SINKS).await;
    rig.world.sink("sink/a").answers(Answer::Reject);
    let refusal = rig.send("source", Traces, &[7]).await.expect_err("rejected by one");
    assert!(!refusal.is_retryable());
    assert_eq!(rig.world.sink("sink/b").got(), [7]);
}

#[tokio::test(start_paused = true)]
async fn branches_that_commit_are_asked_after_those_that_relay() {
    let rig = Rig::start(
        "
receivers: {source: {}}
exporters: {sink/a: {owns: true}, sink/b: {}}
service: {pipelines: {traces: {receivers: [source], exporters: [sink/a, sink/b]}}}
",
    )
    .await;
    rig.world.sink("sink/b").answers(Answer::Refuse);
    rig.send("source", Traces, &[1]).await.expect_err("refused by the relay");
    assert_eq!(rig.world.sink("sink/a").calls(), 0, "the sender's retry repeats nothing");
    rig.world.sink("sink/b").answers(Answer::Accept);
    rig.send("source", Traces, &[1]).await.expect("accepted");
    assert_eq!(rig.world.sink("sink/a").got(), [1]);
}
