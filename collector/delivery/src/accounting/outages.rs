//! Backends that throttle or do not answer.

use super::*;

fn circuit_is_open(rig: &Rig) -> bool {
    rig.sum("phoenix_exporter_circuit_open") == 1
}

#[tokio::test(start_paused = true)]
async fn a_throttle_holds_all_sends_and_no_longer_than_the_longest_interval() {
    let rig = Rig::new(vec![(Answer::Busy(Some(20_000)), 0)]);
    let exporter = rig.exporter(settings(Some(queue(4, 10))));
    exporter.export(batch(0, 1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    rig.backend.answers_from_now_on(Answer::Take);
    let start = Instant::now();
    for id in 1..4 {
        exporter.export(batch(id, 1)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(19_990)).await;
    assert_eq!((rig.backend.attempts(), exporter.held().items), (1, 4));
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!((rig.backend.attempts(), exporter.held().items), (5, 0));
    assert!(start.elapsed() < seconds(21));
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_does_not_answer_is_probed_by_one_attempt_at_a_time() {
    let rig = Rig::new(vec![(Answer::Hang, 0)]);
    let exporter = rig.exporter(settings(Some(queue(10, 100))));
    for id in 0..50 {
        exporter.export(batch(id, 1)).await.unwrap();
    }
    tokio::time::sleep(seconds(30)).await;
    assert!(matches!(rig.status(), Status::Recoverable(_)) && circuit_is_open(&rig));
    rig.backend.0.lock().unwrap().most_under_way = 0;
    let before = rig.backend.attempts();
    tokio::time::sleep(seconds(60)).await;
    assert_eq!(rig.backend.0.lock().unwrap().most_under_way, 1);
    assert!(rig.backend.attempts() - before <= 13, "60 s hold at most 12 attempts of 5 s");
    rig.backend.answers_from_now_on(Answer::Take);
    tokio::time::sleep(seconds(60)).await;
    assert_eq!((exporter.held().items, rig.backend.taken(), rig.status()), (0, 50, Status::Ok));
    assert!(!circuit_is_open(&rig));
    rig.assert_balanced(50, &[&exporter]);
}

#[tokio::test(start_paused = true)]
async fn one_batch_is_tried_when_its_own_retries_would_have_it_tried() {
    let rig = Rig::new(vec![(Answer::Busy(None), 0)]);
    let exporter = rig.exporter(settings(Some(queue(10, 100))));
    exporter.export(batch(0, 1)).await.unwrap();
    tokio::time::sleep(seconds(400)).await;
    let began = rig.backend.0.lock().unwrap().began.clone();
    let waits: Vec<_> = began.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    let first = [5000, 7500, 11250, 16875, 25313, 30000];
    assert_eq!(waits[..6], first);
    assert!(waits[6..].iter().all(|wait| *wait == 30_000));
    assert_eq!((rig.failed("unavailable"), exporter.held().items), (1, 0), "given up after five minutes");
    assert!(began[began.len() - 1] - began[0] <= seconds(300));
}

#[tokio::test(start_paused = true)]
async fn the_line_is_fair_and_each_batch_keeps_its_time() {
    let rig = Rig::new(vec![(Answer::Busy(None), 0)]);
    let exporter = rig.exporter(settings(Some(queue(4, 100))));
    for id in 0..4 {
        exporter.export(batch(id, 1)).await.unwrap();
    }
    tokio::time::sleep(seconds(290)).await;
    // Four at once, then one after the other at growing intervals: as many as one batch alone would make.
    assert!((4 + 11..=4 + 14).contains(&rig.backend.attempts()), "{}", rig.backend.attempts());
    assert_eq!(exporter.held().items, 4);
    tokio::time::sleep(seconds(20)).await;
    assert_eq!((rig.failed("unavailable"), exporter.held().items), (4, 0));
    rig.assert_balanced(4, &[&exporter]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_any_attempt_lets_the_whole_line_go() {
    let rig = Rig::new(vec![(Answer::Busy(None), 0)]);
    let exporter = rig.exporter(settings(Some(queue(100, 1000))));
    for id in 0..60 {
        exporter.export(batch(id, 1)).await.unwrap();
    }
    tokio::time::sleep(seconds(1)).await;
    assert!(circuit_is_open(&rig));
    assert_eq!(rig.sum("phoenix_exporter_circuit_opened"), 1);
    rig.backend.answers_from_now_on(Answer::Refuse);
    tokio::time::sleep(seconds(9)).await;
    assert_eq!(rig.failed("invalid"), 60, "a backend that says no is there");
    rig.assert_balanced(60, &[&exporter]);
}

#[tokio::test(start_paused = true)]
async fn senders_in_line_leave_it_at_their_deadline_or_with_their_future() {
    let rig = Rig::new(vec![(Answer::Busy(None), 0)]);
    let exporter = Arc::new(rig.exporter(settings(None)));
    let start = Instant::now();
    let senders: Vec<_> = (0..20)
        .map(|id: u64| {
            let exporter = exporter.clone();
            let deadline = id.is_multiple_of(2).then(|| start + seconds(60 + id));
            tokio::spawn(async move { exporter.export(Batch { deadline, ..batch(id, 1) }).await })
        })
        .collect();
    tokio::time::sleep(seconds(30)).await;
    assert!(circuit_is_open(&rig));
    senders.iter().skip(1).step_by(2).for_each(tokio::task::JoinHandle::abort);
    for (id, sender) in senders.into_iter().enumerate() {
        match id % 2 {
            0 => assert!(sender.await.unwrap().unwrap_err().is_retryable()),
            _ => assert!(sender.await.unwrap_err().is_cancelled()),
        }
    }
    assert!(start.elapsed() <= seconds(79));
    rig.backend.answers_from_now_on(Answer::Take);
    exporter.export(batch(20, 1)).await.unwrap();
    assert_eq!((rig.failed("cancelled"), exporter.held().items), (10, 0));
    assert!(!circuit_is_open(&rig));
    rig.assert_balanced(21, &[&exporter]);
}

#[tokio::test(start_paused = true)]
async fn a_successor_takes_the_line_along_at_once() {
    let rig = Rig::new(vec![(Answer::Hang, 0)]);
    let old = rig.exporter(settings(Some(queue(10, 100))));
    for id in 0..30 {
        old.export(batch(id, 1)).await.unwrap();
    }
    tokio::time::sleep(seconds(60)).await;
    assert!(circuit_is_open(&rig));
    let new = rig.exporter(settings(Some(queue(10, 100))));
    new.adopt(&old);
    rig.backend.answers_from_now_on(Answer::Take);
    let attempts = rig.backend.attempts();
    old.drain(Instant::now() + seconds(6)).await;
    assert!(!circuit_is_open(&rig), "the gauge goes with the exporter that moved it");
    tokio::time::sleep(seconds(1)).await;
    assert_eq!((rig.backend.taken(), rig.backend.attempts() - attempts), (30, 30));
    rig.assert_balanced(30, &[&old, &new]);
}
