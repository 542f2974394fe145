//! Queues on disk: what was taken is delivered, by this exporter, its successor or the next process.

use std::path::Path;

use phoenix_storage::disk::simulated::{Fault, SimulatedDisk};
use phoenix_storage::{Options, Store};
use tempfile::TempDir;

use super::*;

/// A rig with a directory that outlives it.
struct Disk {
    rig: Rig,
    store: Arc<Store>,
    _offer: phoenix_component::Offer,
}

fn storage() -> ComponentId {
    ComponentId::parse("file_storage").unwrap()
}

fn retry() -> RetrySettings {
    let millis = phoenix_config::GoDuration::from_millis;
    RetrySettings { initial_interval: millis(10), max_interval: millis(20), ..RetrySettings::default() }
}

fn on_disk(queue: QueueSettings) -> DeliverySettings {
    let queue = QueueSettings { storage: Some(storage()), ..queue };
    DeliverySettings { retry: retry(), ..settings(Some(queue)) }
}

impl Disk {
    fn with(store: Store, script: Vec<(Answer, u64)>) -> Disk {
        let rig = Rig::new(script);
        let store = Arc::new(store);
        let offer = rig.host.capabilities.offer(&storage(), store.clone());
        Disk { rig, store, _offer: offer }
    }

    fn open(dir: &Path, script: Vec<(Answer, u64)>) -> Disk {
        Disk::with(Store::open(dir, Duration::ZERO, Options::default()).expect("open"), script)
    }

    fn simulated(disk: &SimulatedDisk, options: Options, script: Vec<(Answer, u64)>) -> Disk {
        let store = Store::on_disk(Arc::new(disk.clone()), Path::new("/store"), Duration::ZERO, options);
        Disk::with(store.expect("open"), script)
    }

    async fn exporter(&self, queue: QueueSettings) -> Delivery<Backend> {
        let exporter = self.rig.exporter(on_disk(queue));
        exporter.start(&self.rig.host).await.expect("started");
        exporter
    }

    async fn wait(&self, what: &str, until: impl Fn() -> bool) {
        let end = Instant::now() + seconds(20);
        while !until() {
            assert!(Instant::now() < end, "{what} does not come to pass");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The equation, with what was found on the disk.
    fn assert_balanced(&self, taken: u64, exporters: &[&Delivery<Backend>]) {
        self.rig.assert_balanced((taken as i64 + self.taken_over()) as u64, exporters);
    }

    fn taken_over(&self) -> i64 {
        let attributes = [("exporter", "otlp/test"), ("data_type", "traces")];
        self.rig.host.metrics.sum("phoenix_exporter_storage_taken_over", &attributes)
    }

    /// What is in the log.
    async fn logged(&self) -> u64 {
        let client = self.store.client("exporter_otlp_test_traces").expect("there");
        client.flush().await;
        client.held().items
    }
}

/// The identifiers of the requests as they came, and how many there were.
fn requests(rig: &Rig) -> Vec<u64> {
    let book = rig.backend.0.lock().unwrap();
    book.requests.iter().flat_map(|(spans, _)| spans.first()).map(|(id, _)| *id).collect()
}

/// Copies a directory as it is, as a crash would leave it.
fn copied(dir: &Path) -> TempDir {
    let to = TempDir::new().unwrap();
    for client in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if client.path().is_dir() {
            let folder = to.path().join(client.file_name());
            std::fs::create_dir(&folder).unwrap();
            for file in std::fs::read_dir(client.path()).unwrap().map(Result::unwrap) {
                std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
            }
        }
    }
    to
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_delivered_is_sent_by_the_next_process_in_order() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path(), vec![(Answer::Take, 0), (Answer::Hang, 0)]);
    let exporter = disk.exporter(queue(1, 100)).await;
    for id in 0..20 {
        exporter.export(batch(id, 3)).await.unwrap();
    }
    disk.wait("the first", || disk.rig.backend.attempts() == 2).await;
    assert_eq!((exporter.held().items, disk.rig.sum("otelcol_exporter_queue_size")), (57, 19));
    assert_eq!(disk.logged().await, 57);
    disk.assert_balanced(60, &[&exporter]);

    let crashed = copied(dir.path());
    let next = Disk::open(crashed.path(), vec![(Answer::Take, 0)]);
    let exporter = next.exporter(queue(1, 100)).await;
    next.wait("the rest", || next.rig.backend.taken() == 57).await;
    assert_eq!(requests(&next.rig), (1..20).collect::<Vec<_>>());
    next.wait("the end", || exporter.held().items == 0).await;
    assert_eq!((next.logged().await, next.taken_over()), (0, 57));
    next.assert_balanced(0, &[&exporter]);
    assert_eq!(next.rig.sum("otelcol_exporter_queue_size"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_leaves_on_the_disk_what_cannot_be_delivered() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path(), vec![(Answer::Busy(None), 0)]);
    let exporter = disk.exporter(queue(2, 100)).await;
    for id in 0..10 {
        exporter.export(batch(id, 1)).await.unwrap();
    }
    let lost = exporter.drain(Instant::now() + seconds(5)).await;
    assert_eq!((lost, disk.rig.failed("shutdown")), (Lost::default(), 0));
    disk.assert_balanced(10, &[&exporter]);
    assert_eq!((disk.logged().await, disk.taken_over()), (10, -10));
    assert_eq!(disk.rig.sum("otelcol_exporter_queue_size"), 0);

    disk.rig.backend.answers_from_now_on(Answer::Take);
    let next = disk.exporter(queue(2, 100)).await;
    disk.wait("all", || disk.rig.backend.taken() == 10).await;
    disk.wait("the end", || next.held().items == 0).await;
    disk.assert_balanced(10, &[&exporter, &next]);
    assert_eq!(disk.logged().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_beyond_what_memory_takes_is_read_again_in_order() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path(), vec![(Answer::Busy(None), 0)]);
    // 24 MB in all, in several segments.
    let count = 1200;
    let large = |id: u64| {
        let span = Span { start_time_unix_nano: id, name: "x".repeat(20_000), ..Span::default() };
        let spans = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
        let resource = ResourceSpans { scope_spans: vec![spans], ..ResourceSpans::default() };
        let request = ExportTraceServiceRequest { resource_spans: vec![resource] };
        Batch::new(Signal::Traces, Bytes::from(request.encode_to_vec()).into(), 1)
    };
    let exporter = disk.exporter(queue(1, 10_000)).await;
    for id in 0..count {
        exporter.export(large(id)).await.unwrap();
    }
    let bytes = exporter.held().bytes;
    assert!(bytes > 20_000_000, "{bytes}");
    disk.rig.backend.answers_from_now_on(Answer::Take);
    disk.wait("all", || disk.rig.backend.taken() == count as usize).await;
    assert_eq!(requests(&disk.rig), (0..count).collect::<Vec<_>>());
    disk.wait("the end", || exporter.held().items == 0).await;
    assert_eq!(disk.logged().await, 0);
    disk.assert_balanced(count, &[&exporter]);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_made_and_cut_and_each_record_goes_with_its_last_part() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path(), vec![(Answer::Take, 0), (Answer::Hang, 0)]);
    let batches: QueueSettings = serde_json::from_value(serde_json::json!({
        "num_consumers": 1, "batch": {"min_size": 10, "max_size": 10, "flush_timeout": "1h"}
    }))
    .unwrap();
    let exporter = disk.exporter(batches.clone()).await;
    for id in 0..5 {
        exporter.export(batch(id, 4)).await.unwrap();
    }
    disk.wait("the second batch", || disk.rig.backend.attempts() == 2).await;
    assert_eq!((disk.rig.backend.taken(), exporter.held().items), (10, 10));
    // Of the first ten items eight are of records that are done; the third record has a part in each batch.
    assert_eq!(disk.logged().await, 12);
    let crashed = copied(dir.path());
    let next = Disk::open(crashed.path(), vec![(Answer::Take, 0)]);
    let exporter = next.exporter(batches).await;
    next.wait("the full batch", || next.rig.backend.taken() == 10).await;
    assert_eq!(exporter.held().items, 2, "in the making");
    exporter.drain(Instant::now() + seconds(5)).await;
    assert_eq!((next.rig.backend.taken(), next.logged().await), (12, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_goes_on_with_the_same_queue() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path(), vec![(Answer::Busy(None), 0)]);
    let old = disk.exporter(queue(2, 100)).await;
    for id in 0..10 {
        old.export(batch(id, 1)).await.unwrap();
    }
    let new = disk.exporter(queue(1, 100)).await;
    new.export(batch(10, 1)).await.unwrap();
    assert_eq!(new.adopt(&old), Adoption::Kept);
    // By way of the old graph.
    old.export(batch(11, 1)).await.unwrap();
    disk.assert_balanced(12, &[&old, &new]);
    disk.rig.backend.answers_from_now_on(Answer::Take);
    assert_eq!(old.drain(Instant::now() + seconds(5)).await, Lost::default());
    disk.wait("all", || disk.rig.backend.taken() == 12).await;
    disk.wait("the end", || new.held().items == 0).await;
    assert!(disk.rig.backend.0.lock().unwrap().taken.values().all(|count| *count == 1), "nothing twice");
    assert_eq!((disk.logged().await, disk.taken_over()), (0, 0));
    disk.assert_balanced(12, &[&old, &new]);
    assert_eq!(disk.rig.sum("otelcol_exporter_queue_size"), 0);
    let memory = disk.rig.exporter(settings(Some(queue(1, 10))));
    assert_eq!(memory.adopt(&new), Adoption::Rebuilt, "it has no disk");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_disk_nobody_takes_over_sends_what_is_there_first() {
    let simulated = SimulatedDisk::default();
    let options = Options { segment_bytes: 2000, ..Options::default() };
    let disk = Disk::simulated(&simulated, options, vec![(Answer::Busy(None), 0), (Answer::Take, 1)]);
    // Little of it is in memory.
    disk.rig.host.budget.set_limit(4000);
    let old = disk.exporter(queue(2, 1000)).await;
    for id in 0..200 {
        old.export(batch(id, 1)).await.unwrap();
    }
    let memory = disk.rig.exporter(settings(Some(queue(1, 10))));
    assert_eq!(memory.adopt(&old), Adoption::Rebuilt);
    assert_eq!(old.drain(Instant::now() + seconds(20)).await, Lost::default());
    assert_eq!((disk.rig.backend.taken(), disk.logged().await), (200, 0));
    disk.assert_balanced(200, &[&old]);
    // Where that cannot be done in time, it stays.
    disk.rig.backend.answers_from_now_on(Answer::Busy(None));
    let old = disk.exporter(queue(2, 1000)).await;
    old.export(batch(200, 1)).await.unwrap();
    assert_eq!(memory.adopt(&old), Adoption::Rebuilt);
    assert_eq!(old.drain(Instant::now() + Duration::from_millis(1500)).await, Lost::default());
    assert_eq!(disk.logged().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_not_adopted_reads_once_the_former_has_ended() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path(), vec![(Answer::Busy(None), 0)]);
    let old = disk.exporter(queue(1, 100)).await;
    for id in 0..5 {
        old.export(batch(id, 1)).await.unwrap();
    }
    let new = disk.exporter(queue(1, 100)).await;
    new.export(batch(5, 1)).await.unwrap();
    assert_eq!(old.drain(Instant::now() + seconds(5)).await, Lost::default());
    disk.rig.backend.answers_from_now_on(Answer::Take);
    disk.wait("all", || disk.rig.backend.taken() == 6).await;
    disk.wait("the end", || new.held().items == 0).await;
    disk.assert_balanced(6, &[&old, &new]);
    assert_eq!(disk.taken_over(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_or_fails_is_a_refusal_and_no_loss() {
    let simulated = SimulatedDisk::default();
    let options = Options { fsync: true, segment_bytes: 2000, marks_bytes: 2000, ..Options::default() };
    let disk = Disk::simulated(&simulated, options, vec![(Answer::Busy(None), 0)]);
    let exporter = disk.exporter(queue(1, 1000)).await;
    let (mut taken, mut refused) = (0, 0);
    for id in 0..400 {
        match id {
            100 => simulated.limit(Some(simulated.used() + 500)),
            200 => simulated.limit(None),
            250 => simulated.fail(Some(Fault::Write)),
            300 => simulated.fail(Some(Fault::Sync)),
            350 => simulated.fail(None),
            _ => {}
        }
        match exporter.export(batch(id, 1)).await {
            Ok(()) => taken += 1,
            Err(refusal) => {
                assert!(refusal.is_retryable(), "{refusal}");
                assert_eq!(refusal.reason(), "storage", "{refusal}");
                refused += 1;
            }
        }
    }
    assert!((150..220).contains(&refused), "{refused}");
    assert_eq!(disk.rig.sum("otelcol_exporter_enqueue_failed_spans"), refused);
    disk.assert_balanced(taken, &[&exporter]);
    disk.rig.backend.answers_from_now_on(Answer::Take);
    disk.wait("all", || disk.rig.backend.taken() == taken as usize).await;
    disk.wait("the end", || exporter.held().items == 0).await;
    disk.assert_balanced(taken, &[&exporter]);
    assert_eq!(disk.logged().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_is_counted_and_the_rest_is_delivered() {
    let simulated = SimulatedDisk::default();
    let options = Options { segment_bytes: 2000, marks_bytes: 2000, ..Options::default() };
    let disk = Disk::simulated(&simulated, options, vec![(Answer::Hang, 0)]);
    let exporter = disk.exporter(queue(1, 1000)).await;
    for id in 0..100 {
        exporter.export(batch(id, 2)).await.unwrap();
    }
    simulated.damage(Path::new("/store/exporter_otlp_test_traces.queue/00000000000000000001.log"), 200);
    let next = Disk::simulated(&simulated, options, vec![(Answer::Take, 0)]);
    let exporter = next.exporter(queue(1, 1000)).await;
    next.wait("the rest", || next.rig.backend.taken() == 198).await;
    next.wait("the end", || exporter.held().items == 0).await;
    assert_eq!((next.rig.failed("corrupt"), next.taken_over()), (2, 200));
    next.assert_balanced(0, &[&exporter]);
    let attributes = [("exporter", "otlp/test"), ("data_type", "traces")];
    assert_eq!(next.rig.host.metrics.sum("phoenix_exporter_storage_damaged_segments", &attributes), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_leaves_the_disk_and_what_has_no_room_is_refused() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path(), vec![(Answer::Refuse, 0)]);
    let exporter = disk.exporter(queue(1, 10)).await;
    exporter.export(batch(0, 7)).await.unwrap();
    disk.wait("the end", || exporter.held().items == 0).await;
    assert_eq!((disk.rig.failed("invalid"), disk.logged().await), (7, 0));
    disk.rig.backend.answers_from_now_on(Answer::Hang);
    for id in 1..11 {
        exporter.export(batch(id, 1)).await.unwrap();
    }
    let refusal = exporter.export(batch(11, 1)).await.unwrap_err();
    assert_eq!((refusal.message(), refusal.is_retryable()), ("sending queue is full", true));
    disk.assert_balanced(17, &[&exporter]);
}

#[tokio::test]
async fn a_storage_that_is_not_there_is_a_clear_error() {
    let rig = Rig::new(vec![(Answer::Take, 0)]);
    let exporter = rig.exporter(on_disk(queue(1, 1)));
    let error = exporter.start(&rig.host).await.unwrap_err().to_string();
    assert!(error.contains("no storage client extension found: list file_storage"), "{error}");
}
