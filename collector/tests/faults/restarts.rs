use std::time::Duration;

use crate::backend::Behaviour;
use crate::binary::{CommandLine, collector, free_port};
use crate::books;
use crate::scene::{Scene, spans_of};

async fn for_a_while() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_goes_out_after_an_orderly_end_and_nothing_twice() {
    let mut scene = Scene::new("", "num_consumers: 2,").await;
    scene.backend.kill().await;
    let collector = scene.start();
    let load = scene.load(4);
    load.accepted(100).await;
    let accepted = load.stop().await;
    assert_eq!(collector.terminate(), 0, "what is left on the disk is no loss");
    assert_eq!(scene.backend.spans().len(), 0);
    assert!(!scene.segments().is_empty(), "it is on the disk");
    scene.backend.revive().await;
    let collector = scene.start();
    scene.closes(accepted).await;
    assert!(scene.backend.spans().values().all(|count| *count == 1), "nothing came twice");
    assert_eq!(collector.terminate(), 0);
    // Whoever starts next finds nothing.
    let before = scene.backend.spans().len();
    let collector = scene.start();
    for_a_while().await;
    assert_eq!(collector.terminate(), 0);
    assert_eq!((scene.backend.spans().len(), scene.segments().len()), (before, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_consumer_sends_in_order_over_a_crash() {
    let mut scene = Scene::new("", "num_consumers: 1,").await;
    scene.backend.kill().await;
    let collector = scene.start();
    // One client, so that there is an order.
    let load = scene.load(1);
    load.accepted(100).await;
    let accepted = load.stop().await;
    drop(collector);
    scene.backend.revive().await;
    let collector = scene.start();
    scene.closes(accepted.clone()).await;
    let order = scene.backend.order();
    let expected: Vec<u64> = accepted.iter().flat_map(|number| spans_of(*number)).collect();
    // What was under way unanswered may be there as well.
    let came: Vec<u64> = order.into_iter().filter(|span| expected.contains(span)).collect();
    assert_eq!(came, expected);
    assert_eq!(collector.terminate(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_directory_while_data_comes_in_costs_nothing() {
    let mut scene = Scene::new("", "num_consumers: 2,").await;
    let collector = scene.start();
    let load = scene.load(4);
    scene.backend.behave(Behaviour::RefuseOneIn(2));
    load.accepted(100).await;
    let former = scene.segments();
    assert!(!former.is_empty());
    // First the exporter stays as it is and goes on where it was, then it changes and begins in the new one.
    scene.queue = scene.queue.with_extension("new");
    for (count, exporter) in ["timeout: 2s", "timeout: 3s"].into_iter().enumerate() {
        scene.configure(exporter);
        collector.signal("HUP");
        collector.wait_for_log_count("configuration applied", count + 1);
        for_a_while().await;
    }
    scene.backend.behave(Behaviour::Accept);
    let accepted = load.stop().await;
    scene.closes(accepted).await;
    books::close(scene.metrics);
    assert_eq!(collector.terminate(), 0);
    assert!(
        scene.segments().is_empty() && !former.iter().any(|path| path.exists()),
        "nothing is left in either"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_exporter_keeps_its_backlog_while_data_comes_in() {
    let mut scene = Scene::new("", "num_consumers: 2,").await;
    let collector = scene.start();
    let load = scene.load(4);
    for (count, timeout) in ["timeout: 1s", "timeout: 3s", "timeout: 2500ms"].into_iter().enumerate() {
        match count {
            1 => scene.backend.kill().await,
            _ => scene.backend.behave(Behaviour::RefuseOneIn(2)),
        }
        for_a_while().await;
        scene.configure(timeout);
        collector.signal("HUP");
        collector.wait_for_log_count("configuration applied", count + 1);
        for_a_while().await;
        if count == 1 {
            scene.backend.revive().await;
        }
    }
    scene.backend.behave(Behaviour::Accept);
    let accepted = load.stop().await;
    scene.closes(accepted).await;
    books::close(scene.metrics);
    assert_eq!(collector.terminate(), 0);
    assert!(scene.segments().is_empty(), "nothing is left: {:?}", scene.segments());
}

/// A queue in front of two levels: the first has nobody behind it, the second the backend.
fn failover(scene: &Scene, gone: u16, interval: &str) -> CommandLine {
    let level = |name: &str, endpoint: String| {
        format!(
            "  otlp/{name}: {{endpoint: '{endpoint}', tls: {{insecure: true}}, compression: none, timeout: 2s, sending_queue: {{enabled: false}}, retry_on_failure: {{enabled: false}}}}"
        )
    };
    let path = scene.write(&format!(
        "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{}'}}}}}}}}
extensions: {{file_storage: {{directory: '{}', create_directory: true}}}}
connectors:
  failover:
    priority_levels: [[traces/near], [traces/far]]
    retry_interval: {interval}
    sending_queue: {{storage: file_storage, sizer: bytes, queue_size: 10000000}}
exporters:
{}
{}
service:
  {}
  extensions: [file_storage]
  pipelines:
    traces: {{receivers: [otlp], exporters: [failover]}}
    traces/near: {{receivers: [failover], exporters: [otlp/near]}}
    traces/far: {{receivers: [failover], exporters: [otlp/far]}}
",
        scene.port,
        scene.queue.display(),
        level("near", format!("127.0.0.1:{gone}")),
        level("far", scene.backend.address().to_string()),
        scene.telemetry(),
    ));
    collector().arg(format!("--config={}", path.display()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_level_takes_survives_kills_and_changes_in_front_of_them() {
    let mut scene = Scene::new("", "").await;
    let gone = free_port();
    scene.backend.kill().await;
    let mut collector = failover(&scene, gone, "1m").start_with_metrics();
    let load = scene.load(4);
    for round in 1..=3 {
        load.accepted(50 * round).await;
        // A change hands the queue over, and a kill leaves it on the disk.
        let changed = failover(&scene, gone, &format!("{round}s"));
        collector.signal("HUP");
        collector.wait_for_log("configuration applied");
        load.accepted(50 * round + 20).await;
        drop(collector);
        collector = changed.start_with_metrics();
    }
    assert_eq!(scene.backend.spans().len(), 0, "nobody was there");
    scene.backend.revive().await;
    let accepted = load.stop().await;
    scene.closes(accepted).await;
    assert_eq!(collector.terminate(), 0);
}

/// Requests that fit into the queues below, which have five spans each.
const ROOM: u64 = 60;
const CLIENTS: u64 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_full_again_after_a_crash_whatever_it_counts() {
    let bytes = prost::Message::encoded_len(&crate::load::request(1_000)) as u64 * ROOM;
    for size in [
        format!("sizer: requests, queue_size: {ROOM},"),
        format!("sizer: items, queue_size: {},", ROOM * crate::load::SPANS),
        format!("sizer: bytes, queue_size: {bytes},"),
        // What batches are made of counts one by one until they are sent.
        format!(
            "sizer: items, queue_size: {}, batch: {{min_size: 50, flush_timeout: 50ms}},",
            ROOM * crate::load::SPANS
        ),
    ] {
        let mut scene = Scene::new("", &format!("num_consumers: 3, {size}")).await;
        scene.backend.kill().await;
        let mut collector = scene.start();
        let load = scene.load(CLIENTS as usize);
        load.refused(20).await;
        for _ in 0..3 {
            let held = load.count();
            assert!((ROOM - 10..=ROOM + 10).contains(&held), "{size} {held} requests were taken");
            drop(collector);
            collector = scene.start();
            load.refused(load.refusals() + 20).await;
            // What a client did not hear of before the kill is there as well, and comes again.
            assert!(load.count() <= held + CLIENTS, "{size} {held} requests, and then {}", load.count());
        }
        scene.backend.revive().await;
        let accepted = load.stop().await;
        scene.closes(accepted).await;
        books::close(scene.metrics);
        assert_eq!(collector.terminate(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_room_on_the_disk_is_served_after_a_crash() {
    let size = format!("num_consumers: 3, block_on_overflow: true, sizer: requests, queue_size: {ROOM},");
    let mut scene = Scene::new("", &size).await;
    scene.backend.kill().await;
    let mut collector = scene.start();
    let load = scene.load(CLIENTS as usize);
    load.accepted(ROOM).await;
    for _ in 0..3 {
        for_a_while().await;
        assert_eq!(load.refusals(), 0, "they wait");
        assert!(load.count() <= ROOM + CLIENTS, "{} requests were taken", load.count());
        scene.swap(&collector);
        for_a_while().await;
        drop(collector);
        collector = scene.start();
    }
    scene.backend.revive().await;
    load.accepted(4 * ROOM).await;
    let accepted = load.stop().await;
    scene.closes(accepted).await;
    books::close(scene.metrics);
    assert_eq!(collector.terminate(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_on_disk_does_not_wait_for_results() {
    let scene = Scene::new("", "wait_for_result: true,").await;
    let refused = scene.command().finish();
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    let text = "`wait_for_result` is not supported with a persistent queue configured with `storage`";
    assert!(refused.stderr.contains(text), "{}", refused.stderr);
}
