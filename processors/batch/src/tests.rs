//! The stage by example, at exact times; `properties` holds what always is.

mod properties;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use phoenix_component::harness::{StageHarness, assert_example_is_valid};
use phoenix_component::{Ack, Adoption, Batch, ClientInfo, Fragment, Now, Output, Stage};
use phoenix_pdata::view::AnyValue;
use phoenix_pdata::{Payload, Signal, write};

use super::*;

/// A request with one log record for each number.
fn logs(numbers: impl IntoIterator<Item = i64>) -> Batch {
    let mut request = Vec::new();
    let mut items = 0;
    write::put_message(&mut request, 1, |resource| {
        write::put_message(resource, 2, |scope| {
            for number in numbers {
                write::put_message(scope, 2, |record| {
                    write::put_value(record, 5, &AnyValue::Int(number));
                });
                items += 1;
            }
        });
    });
    Batch::new(Signal::Logs, Payload::from(Bytes::from(request)), items)
}

/// The numbers in a request.
fn numbers(payload: &Payload) -> Vec<i64> {
    let records = payload.resource_logs().flat_map(|entry| entry.scopes()).flat_map(|scope| scope.records());
    let number = |record: phoenix_pdata::view::LogRecord<'_>| match record.body() {
        AnyValue::Int(number) => number,
        other => panic!("no number: {other:?}"),
    };
    records.map(number).collect()
}

fn config(settings: &str) -> BatchConfig {
    serde_json::from_str(settings).expect("settings")
}

struct Rig {
    harness: StageHarness,
    metrics: Metrics,
}

impl Rig {
    fn new(settings: &str) -> Rig {
        let metrics = Metrics::default();
        Rig { harness: StageHarness::new(stage(&config(settings), &metrics, "batch")), metrics }
    }

    fn send(&mut self, batch: Batch) {
        assert!(self.harness.send(batch).expect("taken").is_none());
    }

    fn advance(&mut self, millis: u64) {
        self.harness.advance(Duration::from_millis(millis));
    }

    fn released(&mut self) -> Vec<Vec<i64>> {
        self.harness.take_released().iter().map(|fragment| numbers(&fragment.batch.payload)).collect()
    }

    fn sum(&self, name: &str) -> i64 {
        self.metrics.sum(name, &[("processor", "batch")])
    }
}

#[test]
fn waits_for_the_timeout_from_the_oldest_item_on() {
    let mut rig = Rig::new(r#"{"timeout": "200ms", "send_batch_size": 10}"#);
    rig.advance(1000);
    rig.send(logs([1]));
    rig.advance(150);
    rig.send(logs([2, 3]));
    rig.advance(49);
    assert!(rig.released().is_empty());
    assert_eq!(rig.harness.held().items, 3);
    rig.advance(1);
    assert_eq!(rig.released(), [[1, 2, 3]]);
    rig.advance(1000);
    assert!(rig.released().is_empty(), "nothing is sent where nothing came");
    assert_eq!(rig.sum("otelcol_processor_batch_timeout_trigger_send"), 1);
    assert_eq!(rig.sum("otelcol_processor_batch_batch_size_trigger_send"), 0);
}

#[test]
fn sends_at_the_size_and_begins_anew() {
    let mut rig = Rig::new(r#"{"timeout": "200ms", "send_batch_size": 3}"#);
    rig.send(logs([1, 2]));
    rig.advance(100);
    rig.send(logs([3, 4]));
    assert_eq!(rig.released(), [[1, 2, 3, 4]], "without a maximum a batch is what came");
    rig.send(logs([5]));
    rig.advance(199);
    assert!(rig.released().is_empty());
    rig.advance(1);
    assert_eq!(rig.released(), [[5]]);
    assert_eq!(rig.sum("otelcol_processor_batch_batch_size_trigger_send"), 1);
}

#[test]
fn cuts_at_the_maximum_and_keeps_the_rest_for_a_full_timeout() {
    let mut rig = Rig::new(r#"{"timeout": "200ms", "send_batch_size": 3, "send_batch_max_size": 3}"#);
    rig.send(logs([1, 2]));
    rig.advance(100);
    rig.send(logs(3..=7));
    assert_eq!(rig.released(), [[1, 2, 3], [4, 5, 6]]);
    rig.advance(199);
    assert!(rig.released().is_empty());
    rig.advance(1);
    assert_eq!(rig.released(), [[7]]);
}

#[test]
fn sends_at_once_without_a_timeout_or_a_size() {
    for settings in [
        r#"{"timeout": "0s", "send_batch_max_size": 0}"#,
        r#"{"send_batch_size": 0}"#,
        r#"{"send_batch_size": 0, "send_batch_max_size": 100}"#,
    ] {
        let mut rig = Rig::new(settings);
        rig.send(logs([1]));
        rig.send(logs([2, 3]));
        assert_eq!(rig.released(), [vec![1], vec![2, 3]], "{settings}");
    }
    let mut rig = Rig::new(r#"{"send_batch_size": 0, "send_batch_max_size": 2}"#);
    rig.send(logs(1..=5));
    assert_eq!(rig.released(), [vec![1, 2], vec![3, 4], vec![5]]);
}

#[test]
fn bytes_are_a_size_and_a_maximum() {
    let one = logs([1]).payload.len();
    let mut rig = Rig::new(&format!(
        r#"{{"send_batch_size": 0, "send_batch_bytes": {}, "send_batch_max_bytes": {}}}"#,
        2 * one,
        3 * one
    ));
    rig.send(logs([1]));
    assert!(rig.released().is_empty());
    rig.send(logs([2]));
    assert_eq!(rig.released(), [[1, 2]], "twice the bytes are enough");

    let mut rig = Rig::new(&format!(r#"{{"send_batch_max_bytes": {}}}"#, 2 * one));
    (1..=5).for_each(|number| rig.send(logs([number])));
    assert_eq!(rig.released(), [[1, 2], [3, 4]], "what does not fit begins the next batch");
    rig.send(logs(6..=30));
    rig.harness.drain();
    let sizes: Vec<_> = rig.harness.take_released();
    assert!(sizes.iter().all(|fragment| fragment.batch.payload.len() <= 2 * one));
    assert_eq!(rig.sum("phoenix_processor_batch_oversized"), 0);

    let mut rig = Rig::new(r#"{"send_batch_max_bytes": 3}"#);
    rig.send(logs([1, 2]));
    assert_eq!(rig.released(), [[1], [2]], "a record that is too large goes alone");
    assert_eq!(rig.sum("phoenix_processor_batch_oversized"), 2);
}

#[test]
fn counts_the_data_points_of_metrics() {
    let mut request = Vec::new();
    write::put_message(&mut request, 1, |resource| {
        write::put_message(resource, 2, |scope| {
            write::put_message(scope, 2, |metric| {
                write::put_bytes(metric, 1, b"requests");
                write::put_message(metric, 5, |gauge| {
                    (0..5).for_each(|_| write::put_message(gauge, 1, |_| {}));
                });
            });
        });
    });
    let mut rig = Rig::new(r#"{"send_batch_size": 2, "send_batch_max_size": 2}"#);
    rig.send(Batch::new(Signal::Metrics, Payload::from(Bytes::from(request)), 5));
    rig.harness.drain();
    let released = rig.harness.take_released();
    assert_eq!(released.iter().map(|fragment| fragment.batch.items).collect::<Vec<_>>(), [2, 2, 1]);
    for fragment in &released {
        assert_eq!(
            phoenix_pdata::count_items(Signal::Metrics, &fragment.batch.payload),
            fragment.batch.items
        );
    }
}

#[test]
fn requests_without_records_end_here() {
    let mut rig = Rig::new("{}");
    rig.send(logs([]));
    assert_eq!(rig.harness.held().items, 0);
    rig.harness.drain();
    assert!(rig.released().is_empty());
}

fn client(pairs: &[(&str, &str)]) -> Option<Arc<ClientInfo>> {
    let metadata = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Some(Arc::new(ClientInfo { address: Some(([127, 0, 0, 1], 1).into()), metadata, auth: None }))
}

#[test]
fn keeps_metadata_apart_up_to_the_limit() {
    let mut rig = Rig::new(r#"{"metadata_keys": ["Tenant"], "metadata_cardinality_limit": 2}"#);
    let from = |number, tenant: &[(&str, &str)]| Batch { client: client(tenant), ..logs([number]) };
    rig.send(from(1, &[("tenant", "a"), ("x", "1")]));
    rig.send(from(2, &[("tenant", "b")]));
    rig.send(from(3, &[("x", "2"), ("TENANT", "a")]));
    for refused in [from(4, &[("tenant", "c")]), from(5, &[]), logs([6])] {
        let refusal = rig.harness.send(refused).err().expect("one too many");
        assert!(!refusal.is_retryable());
        assert_eq!(refusal.message(), "too many batcher metadata-value combinations");
    }
    assert_eq!(rig.sum("otelcol_processor_batch_metadata_cardinality"), 2);
    rig.advance(200);
    let released = rig.harness.take_released();
    let seen: Vec<_> = released
        .iter()
        .map(|fragment| (numbers(&fragment.batch.payload), fragment.batch.client.clone().expect("kept")))
        .collect();
    let info = |tenant: &str| ClientInfo {
        metadata: vec![("tenant".to_owned(), tenant.to_owned())],
        ..ClientInfo::default()
    };
    assert_eq!(seen, [(vec![1, 3], Arc::new(info("a"))), (vec![2], Arc::new(info("b")))]);
    drop(rig.harness);
    assert_eq!(rig.metrics.sum("otelcol_processor_batch_metadata_cardinality", &[]), 0);
}

#[test]
fn clears_the_client_without_metadata_keys() {
    let mut rig = Rig::new(r#"{"send_batch_size": 2}"#);
    assert_eq!(rig.sum("otelcol_processor_batch_metadata_cardinality"), 1);
    rig.send(Batch { client: client(&[("tenant", "a")]), ..logs([1]) });
    rig.send(Batch { client: client(&[("tenant", "b")]), ..logs([2]) });
    let released = rig.harness.take_released();
    assert_eq!(released.len(), 1);
    assert_eq!(released[0].batch.client, None);
}

#[test]
fn delivered_joins_acknowledgements_deadlines_and_waits() {
    let metrics = Metrics::default();
    let config = config(r#"{"acknowledge": "delivered", "send_batch_size": 3, "send_batch_max_size": 3}"#);
    let mut harness = StageHarness::new(stage(&config, &metrics, "batch"));
    let start = tokio::time::Instant::now();
    let due = |seconds| Some(start + Duration::from_secs(seconds));
    let first = harness.send(Batch { deadline: due(9), ..logs([1, 2]) }).expect("taken").expect("a wait");
    let second = harness.send(Batch { deadline: due(5), ..logs([3, 4]) }).expect("taken").expect("a wait");
    let mut full = harness.take_released();
    let Fragment { batch, ack } = full.pop().expect("full");
    assert_eq!((numbers(&batch.payload), batch.waiting), (vec![1, 2, 3], 1), "the second waits for its rest");
    assert_eq!(batch.deadline, due(5));
    assert_eq!(ack.waiting(), 2);
    ack.resolve(Ok(()));
    assert_eq!(first.now_or_never(), Some(Ok(())));
    assert!(second.now_or_never().is_none());
    harness.all_wait();
    let Fragment { batch, ack } = harness.take_released().pop().expect("flushed at once");
    assert_eq!((numbers(&batch.payload), batch.waiting, batch.deadline), (vec![4], 1, due(5)));
    ack.resolve(Ok(()));
    assert_eq!(metrics.sum("phoenix_processor_batch_wait_trigger_send", &[]), 1);
}

#[test]
fn held_batches_answer_to_nobody() {
    let mut rig = Rig::new(r#"{"send_batch_size": 1}"#);
    rig.send(Batch { deadline: Some(tokio::time::Instant::now()), ..logs([1]) });
    let Fragment { batch, ack } = rig.harness.take_released().pop().expect("sent");
    assert_eq!((batch.waiting, batch.deadline, ack.is_awaited()), (0, None, false));
}

fn shard(settings: &str) -> Box<dyn Stage> {
    stage(&config(settings), &Metrics::default(), "batch").shards.pop().expect("one shard")
}

fn drained(stage: &mut dyn Stage) -> Vec<(Vec<i64>, bool)> {
    let mut out = Output::with_room(100);
    stage.drain(Now::default(), &mut out);
    let batches = out.take_batches();
    batches.iter().map(|sent| (numbers(&sent.batch.payload), sent.ack.is_awaited())).collect()
}

#[test]
fn what_is_adopted_goes_before_what_came_since() {
    let (mut old, mut next) = (shard("{}"), shard(r#"{"send_batch_size": 100}"#));
    let mut out = Output::with_room(1);
    let at = |millis| Now { monotonic: Duration::from_millis(millis), unix_nanos: 0 };
    old.ingest(Fragment { batch: logs([1]), ack: Ack::none() }, at(10), &mut out);
    next.ingest(Fragment { batch: logs([2]), ack: Ack::none() }, at(20), &mut out);
    assert_eq!(next.adopt(&mut *old), Adoption::Kept);
    assert_eq!(old.wake_at(), None);
    assert_eq!(next.wake_at(), Some(Duration::from_millis(210)), "due as it was");
    assert_eq!(drained(&mut *next), [(vec![1, 2], false)]);
}

#[test]
fn what_may_be_handed_back_is_not_joined_with_what_must_not() {
    let mut stage = shard("{}");
    let mut out = Output::with_room(1);
    let (ack, _wait) = Ack::pair();
    for (number, ack) in [(1, Ack::none()), (2, ack.split()), (3, ack.split()), (4, Ack::none())] {
        stage.ingest(Fragment { batch: logs([number]), ack }, Now::default(), &mut out);
    }
    assert_eq!(drained(&mut *stage), [(vec![1], false), (vec![2, 3], true), (vec![4], false)]);
}

#[test]
fn the_example_of_the_readme_is_valid() {
    assert_example_is_valid(&BatchFactory, include_str!("../README.md"), "processors::batch");
}
