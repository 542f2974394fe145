//! Batching in the queue.

use phoenix_component::ClientInfo;
use phoenix_config::PresentBlock;

use super::*;
use crate::{BatchPartition, QueueBatchSettings, SizeLimits};

fn batching(queue: QueueSettings, batch: QueueBatchSettings) -> DeliverySettings {
    settings(Some(QueueSettings { batch: PresentBlock::on(batch), ..queue }))
}

fn sizes(min: i64, max: i64) -> QueueBatchSettings {
    QueueBatchSettings { min_size: Some(min), max_size: Some(max), ..QueueBatchSettings::default() }
}

#[tokio::test(start_paused = true)]
async fn requests_are_joined_until_they_are_enough_or_old_enough() {
    let rig = Rig::new(vec![(Answer::Take, 0)]);
    let exporter = rig.exporter(batching(queue(2, 100), sizes(10, 0)));
    for id in 0..5 {
        exporter.export(batch(id, 4)).await.unwrap();
    }
    tokio::task::yield_now().await;
    assert_eq!((rig.backend.sizes(), exporter.held().items), (vec![12], 8));
    assert_eq!(rig.sum("otelcol_exporter_queue_size"), 2);
    tokio::time::sleep(Duration::from_millis(199)).await;
    assert_eq!(exporter.held().items, 8);
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!((rig.backend.sizes(), exporter.held()), (vec![12, 8], Held::default()));
    assert_eq!(rig.sum("otelcol_exporter_queue_size"), 0);
    for (trigger, count) in [("size", 1), ("timeout", 1)] {
        let made = rig.host.metrics.sum("phoenix_exporter_queue_batches", &[("trigger", trigger)]);
        assert_eq!(made, count, "{trigger}");
    }
    rig.assert_balanced(20, &[&exporter]);
}

#[tokio::test(start_paused = true)]
async fn batches_are_cut_at_the_most_and_the_tail_waits_for_more() {
    let rig = Rig::new(vec![(Answer::Take, 0)]);
    let exporter = rig.exporter(batching(queue(1, 100), sizes(10, 10)));
    exporter.export(batch(0, 4)).await.unwrap();
    exporter.export(batch(1, 30)).await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!((rig.backend.sizes(), exporter.held().items), (vec![10, 10, 10], 4));
    assert_eq!(rig.sum("otelcol_exporter_queue_size"), 1, "the second request is not through");
    exporter.drain(Instant::now() + seconds(1)).await;
    assert_eq!(rig.backend.sizes(), [10, 10, 10, 4]);
    rig.assert_balanced(34, &[&exporter]);
}

#[tokio::test(start_paused = true)]
async fn bytes_limit_batches_too_and_a_record_over_the_limit_goes_alone() {
    let rig = Rig::new(vec![(Answer::Take, 0)]);
    let most = batch(0, 10).payload.len() as i64;
    let limits = [
        (Sizer::Items, SizeLimits { min_size: 5, max_size: 8 }),
        (Sizer::Bytes, SizeLimits { min_size: most, max_size: most }),
    ];
    let both = QueueBatchSettings { sizers: limits.into(), ..QueueBatchSettings::default() };
    let exporter = rig.exporter(batching(queue(1, 100), both));
    exporter.export(batch(0, 20)).await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!((rig.backend.sizes(), exporter.held().items), (vec![8, 8], 4));
    exporter.drain(Instant::now() + seconds(1)).await;
    let tiny = QueueBatchSettings { sizer: Some(Sizer::Bytes), ..sizes(0, 10) };
    let exporter = rig.exporter(batching(queue(1, 100), tiny));
    exporter.export(batch(1, 3)).await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!(rig.backend.sizes(), [8, 8, 4, 1, 1, 1]);
    assert_eq!(rig.sum("phoenix_exporter_queue_oversized_batches"), 3);
    rig.assert_balanced(23, &[&exporter]);
}

#[tokio::test(start_paused = true)]
async fn each_combination_of_metadata_has_batches_of_its_own_and_keeps_it() {
    let rig = Rig::new(vec![(Answer::Take, 0)]);
    let partition = BatchPartition { metadata_keys: vec!["Tenant".into(), "zone".into()] };
    let by_tenant = QueueBatchSettings { partition, ..sizes(4, 0) };
    let exporter = rig.exporter(batching(queue(1, 100), by_tenant));
    let from = |tenant: &str, id: u64| {
        let metadata = vec![("tenant".to_owned(), tenant.to_owned()), ("other".to_owned(), id.to_string())];
        Batch { client: Some(Arc::new(ClientInfo { metadata, ..ClientInfo::default() })), ..batch(id, 2) }
    };
    for (id, tenant) in ["a", "b", "", "a"].into_iter().enumerate() {
        exporter.export(from(tenant, id as u64)).await.unwrap();
    }
    exporter.export(batch(4, 2)).await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!((rig.backend.sizes(), exporter.held().items), (vec![4], 6));
    exporter.drain(Instant::now() + seconds(1)).await;
    let mut tenants: Vec<_> =
        rig.backend.0.lock().unwrap().requests.iter().map(|(_, tenants)| tenants.join(",")).collect();
    tenants.sort();
    assert_eq!(tenants, ["", "tenant=", "tenant=a", "tenant=b"]);
    rig.assert_balanced(10, &[&exporter]);
}

#[tokio::test(start_paused = true)]
async fn senders_that_wait_hear_the_outcome_of_every_part() {
    let rig = Rig::new(vec![(Answer::Take, 0), (Answer::Refuse, 0), (Answer::Take, 0)]);
    let waiting = QueueSettings { wait_for_result: true, ..queue(1, 100) };
    let exporter = Arc::new(rig.exporter(batching(waiting, sizes(10, 10))));
    let send = |id, items| {
        let exporter = exporter.clone();
        tokio::spawn(async move { exporter.export(batch(id, items)).await })
    };
    let (whole, cut) = (send(0, 5), send(1, 12));
    tokio::time::sleep(Duration::from_millis(300)).await;
    // 0 and the first of 1 are taken, the rest of 1 is refused.
    assert_eq!(whole.await.unwrap(), Ok(()));
    assert_eq!(cut.await.unwrap().unwrap_err().reason(), "invalid");
    assert_eq!((rig.backend.sizes(), rig.failed("invalid")), (vec![10], 7));
    rig.assert_balanced(17, &[&exporter]);
}

#[tokio::test(start_paused = true)]
async fn a_hasty_sender_goes_and_the_batch_stays() {
    let rig = Rig::new(vec![(Answer::Busy(None), 0), (Answer::Take, 0)]);
    let waiting = QueueSettings { wait_for_result: true, ..queue(1, 100) };
    let exporter = Arc::new(rig.exporter(batching(waiting, sizes(10, 0))));
    let start = Instant::now();
    let patient = exporter.clone();
    let patient = tokio::spawn(async move { patient.export(batch(0, 5)).await });
    let hasty = Batch { deadline: Some(start + seconds(2)), ..batch(1, 5) };
    tokio::task::yield_now().await;
    let refusal = exporter.export(hasty).await.unwrap_err();
    assert_eq!((refusal.reason(), start.elapsed()), ("deadline", seconds(2)));
    assert_eq!(patient.await.unwrap(), Ok(()));
    assert_eq!((start.elapsed(), rig.backend.sizes()), (seconds(5), vec![10]));
    rig.assert_balanced(10, &[&exporter]);
}

#[tokio::test(start_paused = true)]
async fn a_successor_takes_batches_in_the_making_and_makes_its_own_of_them() {
    let rig = Rig::new(vec![(Answer::Take, 0)]);
    let hour = QueueBatchSettings { flush_timeout: GoDuration::from_secs(3600), ..sizes(100, 0) };
    let old = rig.exporter(batching(queue(1, 100), hour));
    for id in 0..6 {
        old.export(batch(id, 10)).await.unwrap();
    }
    let new = rig.exporter(batching(queue(1, 3), sizes(25, 25)));
    assert_eq!(new.adopt(&old), Adoption::Kept);
    assert_eq!(old.held(), Held::default());
    old.drain(Instant::now() + seconds(1)).await;
    tokio::task::yield_now().await;
    assert_eq!((rig.backend.sizes(), new.held().items), (vec![25, 25], 10));
    new.drain(Instant::now() + seconds(1)).await;
    assert_eq!(rig.backend.taken(), 60);
    assert_eq!(rig.sum("otelcol_exporter_queue_size"), 0);
    rig.assert_balanced(60, &[&old, &new]);
}
