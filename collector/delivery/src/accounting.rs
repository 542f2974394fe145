//! The books, and what becomes of a batch: case by case here, at random and on real cores in `properties`.

mod batches;
mod durable;
mod interleavings;
mod outages;
mod properties;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use phoenix_component::factory::{CreateContext, Shared};
use phoenix_component::{
    Adoption, Batch, ComponentKey, Exporter, Health, Held, Host, Lost, Refusal, Status, StatusReporter,
};
use phoenix_config::{ComponentId, GoDuration, Kind};
use phoenix_pdata::Signal;
use prost::Message as _;
use tokio::time::Instant;

use crate::{
    Delivered, Delivery, DeliveryContext, DeliverySettings, Left, Push, QueueSettings, RetrySettings, Sizer,
};

/// How a backend answers one attempt, and after how long.
#[derive(Clone, Debug)]
enum Answer {
    Take,
    /// All but so many items.
    TakeBut(u64),
    /// All but the last so many items, which may be tried again, or (true) not.
    Leave(u64, bool),
    Busy(Option<u64>),
    Refuse,
    Hang,
    Panic,
}

/// A backend that answers by a script, over and over, and knows what it took.
#[derive(Clone)]
struct Backend(Arc<Mutex<Book>>);

/// The request of a span, and its place there.
type SpanKey = (u64, u64);

struct Book {
    script: Vec<(Answer, u64)>,
    attempts: usize,
    under_way: usize,
    most_under_way: usize,
    /// How often it took each span of each batch.
    taken: BTreeMap<SpanKey, usize>,
    /// Spans of each request that it took, and their tenants.
    requests: Vec<(Vec<SpanKey>, Vec<String>)>,
    /// When attempts began.
    began: Vec<Instant>,
}

impl Backend {
    fn new(script: Vec<(Answer, u64)>) -> Backend {
        let book = Book {
            script,
            attempts: 0,
            under_way: 0,
            most_under_way: 0,
            taken: BTreeMap::new(),
            requests: Vec::new(),
            began: Vec::new(),
        };
        Backend(Arc::new(Mutex::new(book)))
    }

    /// Spans.
    fn taken(&self) -> usize {
        self.0.lock().unwrap().taken.values().sum()
    }

    /// Spans of each request that was taken.
    fn sizes(&self) -> Vec<usize> {
        self.0.lock().unwrap().requests.iter().map(|(spans, _)| spans.len()).collect()
    }

    fn attempts(&self) -> usize {
        self.0.lock().unwrap().attempts
    }

    fn answers_from_now_on(&self, answer: Answer) {
        self.0.lock().unwrap().script = vec![(answer, 1)];
    }
}

struct UnderWay<'a>(&'a Backend);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().under_way -= 1;
    }
}

impl Backend {
    fn take(&self, batch: Batch) {
        let spans = spans_of(&batch);
        assert_eq!(spans.len() as u64, batch.items);
        let tenants = batch.client.iter().flat_map(|client| &client.metadata);
        let tenants = tenants.map(|(key, value)| format!("{key}={value}")).collect();
        let mut book = self.0.lock().unwrap();
        for span in &spans {
            *book.taken.entry(*span).or_default() += 1;
        }
        book.requests.push((spans, tenants));
    }
}

impl Push for Backend {
    async fn push(&self, batch: Batch) -> Result<Delivered, Refusal> {
        let (answer, millis) = {
            let mut book = self.0.lock().unwrap();
            book.began.push(Instant::now());
            let next = book.script[book.attempts % book.script.len()].clone();
            book.attempts += 1;
            book.under_way += 1;
            book.most_under_way = book.most_under_way.max(book.under_way);
            next
        };
        let _under_way = UnderWay(self);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        match answer {
            Answer::Take => {
                self.take(batch);
                Ok(Delivered::whole())
            }
            Answer::TakeBut(rejected) => {
                self.take(batch);
                Ok(Delivered::except(rejected))
            }
            Answer::Leave(items, for_good) => {
                let taken = batch.items.saturating_sub(items);
                let (head, rest) = phoenix_pdata::take_items(Signal::Traces, batch.payload.clone(), taken);
                if head.items > 0 {
                    self.take(Batch { payload: head.payload, items: head.items, ..batch });
                }
                let refusal = match for_good {
                    true => Refusal::permanent("invalid", "not these"),
                    false => Refusal::retryable("unavailable", "one of several is busy"),
                };
                Ok(match rest.items {
                    0 => Delivered::whole(),
                    items => Delivered::but(Left { payload: rest.payload, items, refusal }),
                })
            }
            Answer::Busy(None) => Err(Refusal::retryable("unavailable", "busy")),
            Answer::Busy(Some(millis)) => {
                Err(Refusal::retryable("unavailable", "busy").after(Duration::from_millis(millis)))
            }
            Answer::Refuse => Err(Refusal::permanent("invalid", "no")),
            Answer::Hang => std::future::pending().await,
            Answer::Panic => panic!("the backend's client has a bug"),
        }
    }
}

/// A request of so many spans, each of which knows the request's identifier and its own place.
fn batch(id: u64, items: u64) -> Batch {
    let span = |place| Span { start_time_unix_nano: id, end_time_unix_nano: place, ..Span::default() };
    let spans = ScopeSpans { spans: (0..items).map(span).collect(), ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![spans], ..ResourceSpans::default() };
    let request = ExportTraceServiceRequest { resource_spans: vec![resource] };
    Batch::new(Signal::Traces, Bytes::from(request.encode_to_vec()).into(), items)
}

fn spans_of(batch: &Batch) -> Vec<SpanKey> {
    let request = ExportTraceServiceRequest::decode(batch.payload.clone().into_contiguous()).unwrap();
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    let spans = scopes.flat_map(|scope| scope.spans);
    spans.map(|span| (span.start_time_unix_nano, span.end_time_unix_nano)).collect()
}

struct Rig {
    host: Host,
    backend: Backend,
    key: ComponentKey,
}

impl Rig {
    fn new(script: Vec<(Answer, u64)>) -> Rig {
        let key = ComponentKey {
            kind: Kind::Exporter,
            id: ComponentId::parse("otlp/test").unwrap(),
            scope: "traces".into(),
        };
        let host = Host::for_tests();
        host.health.reset(&key, Status::Ok);
        Rig { host, backend: Backend::new(script), key }
    }

    fn exporter(&self, settings: DeliverySettings) -> Delivery<Backend> {
        let shared = Shared::default();
        let status: StatusReporter = self.host.health.reporter(self.key.clone());
        let create = CreateContext { id: &self.key.id, host: &self.host, status, shared: &shared };
        let mut context = DeliveryContext::new(&create, Signal::Traces, &[]);
        context.random = || 0.5;
        Delivery::new(self.backend.clone(), settings, context)
    }

    fn sum(&self, name: &str) -> u64 {
        u64::try_from(self.host.metrics.sum(name, &[("exporter", "otlp/test")])).unwrap()
    }

    fn failed(&self, reason: &str) -> u64 {
        let attributes = [("exporter", "otlp/test"), ("data_type", "traces"), ("reason", reason)];
        u64::try_from(self.host.metrics.sum("phoenix_exporter_failed_items", &attributes)).unwrap()
    }

    fn status(&self) -> Status {
        let health: &Health = &self.host.health;
        health.snapshot().into_iter().find(|(key, _)| *key == self.key).unwrap().1
    }

    fn assert_balanced(&self, taken: u64, exporters: &[&Delivery<Backend>]) {
        let held: u64 = exporters.iter().map(|exporter| exporter.held().items).sum();
        let sent = self.sum("otelcol_exporter_sent_spans");
        let failed = self.sum("otelcol_exporter_send_failed_spans");
        assert_eq!(taken, sent + failed + held, "in = sent {sent} + failed {failed} + held {held}");
        assert_eq!(failed, self.sum("phoenix_exporter_failed_items"));
    }
}

fn queue(consumers: i64, size: i64) -> QueueSettings {
    QueueSettings { num_consumers: consumers, queue_size: size, ..QueueSettings::default() }
}

fn settings(queue: Option<QueueSettings>) -> DeliverySettings {
    DeliverySettings { timeout: Some(Duration::from_secs(5)), retry: RetrySettings::default(), queue }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[tokio::test(start_paused = true)]
async fn a_queue_answers_at_once_and_refuses_what_has_no_room() {
    let rig = Rig::new(vec![(Answer::Take, 100)]);
    let exporter = rig.exporter(settings(Some(queue(1, 2))));
    assert!(exporter.owns_accepted());
    for id in 0..2 {
        exporter.export(batch(id, 5)).await.unwrap();
    }
    let refusal = exporter.export(batch(2, 7)).await.unwrap_err();
    assert_eq!((refusal.message(), refusal.is_retryable()), ("sending queue is full", true));
    assert_eq!(rig.sum("otelcol_exporter_enqueue_failed_spans"), 7);
    assert_eq!(rig.sum("otelcol_exporter_queue_size"), 2);
    assert_eq!(
        exporter.held(),
        Held { items: 10, bytes: batch(0, 5).payload.len() + batch(1, 5).payload.len() }
    );
    rig.assert_balanced(10, &[&exporter]);
    let lost = exporter.drain(Instant::now() + seconds(1)).await;
    assert_eq!((lost, rig.backend.taken()), (Lost::default(), 10));
    assert_eq!(rig.sum("otelcol_exporter_queue_size"), 0);
    assert_eq!(rig.sum("otelcol_exporter_in_flight_requests"), 0);
    let closed = exporter.export(batch(3, 1)).await.unwrap_err();
    assert_eq!((closed.reason(), closed.is_retryable()), ("closed", true));
    rig.assert_balanced(10, &[&exporter]);
}

#[tokio::test(start_paused = true)]
async fn sizes_count_in_the_unit_of_the_sizer() {
    let rig = Rig::new(vec![(Answer::Hang, 0)]);
    let items = QueueSettings { sizer: Some(Sizer::Items), ..queue(1, 10) };
    let exporter = rig.exporter(settings(Some(items)));
    let huge = exporter.export(batch(0, 11)).await.unwrap_err();
    assert_eq!((huge.message(), huge.is_retryable()), ("element size too large", false));
    exporter.export(batch(1, 0)).await.expect("nothing is accepted and ignored");
    exporter.export(batch(2, 10)).await.unwrap();
    exporter.export(batch(3, 1)).await.unwrap_err();
    assert_eq!(rig.sum("otelcol_exporter_enqueue_failed_spans"), 12);
    rig.assert_balanced(10, &[&exporter]);
}

#[tokio::test(start_paused = true)]
async fn a_sender_waits_for_room_until_its_deadline() {
    let rig = Rig::new(vec![(Answer::Take, 1000)]);
    let blocking = QueueSettings { block_on_overflow: true, ..queue(1, 1) };
    let exporter = rig.exporter(settings(Some(blocking)));
    let start = Instant::now();
    exporter.export(batch(0, 1)).await.unwrap();
    let hasty = Batch { deadline: Some(start + Duration::from_millis(500)), ..batch(1, 1) };
    assert_eq!(exporter.export(hasty).await.unwrap_err().reason(), "queue_full");
    assert_eq!(start.elapsed(), Duration::from_millis(500));
    exporter.export(batch(2, 1)).await.unwrap();
    assert_eq!(start.elapsed(), seconds(1));
    exporter.drain(Instant::now() + seconds(10)).await;
    rig.assert_balanced(2, &[&exporter]);
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_waits_for_the_result_hears_it() {
    let rig = Rig::new(vec![(Answer::Take, 10), (Answer::Refuse, 10)]);
    let waiting = QueueSettings { wait_for_result: true, ..queue(1, 10) };
    let exporter = rig.exporter(settings(Some(waiting)));
    assert!(!exporter.owns_accepted());
    exporter.export(batch(0, 3)).await.unwrap();
    let refusal = exporter.export(batch(1, 4)).await.unwrap_err();
    assert_eq!(refusal.message(), "not retryable error: Permanent error: no");
    assert_eq!((rig.failed("invalid"), rig.backend.taken()), (4, 3));
    rig.assert_balanced(7, &[&exporter]);
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_the_sender_waits_for_the_end_of_the_retries() {
    let rig = Rig::new(vec![
        (Answer::Busy(None), 0),
        (Answer::Hang, 0),
        (Answer::Take, 0),
        (Answer::Busy(Some(20_000)), 0),
    ]);
    let exporter = rig.exporter(settings(None));
    let start = Instant::now();
    exporter.export(batch(0, 1)).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_millis(5000 + 5000 + 7500));
    let hasty = Batch { deadline: Some(Instant::now() + seconds(6)), ..batch(1, 2) };
    let refusal = exporter.export(hasty).await.unwrap_err();
    assert_eq!(refusal.message(), "request will be cancelled before next retry: Throttle (20s), error: busy");
    assert_eq!((refusal.is_retryable(), refusal.delay()), (true, Some(seconds(20))));
    rig.assert_balanced(3, &[&exporter]);
    assert_eq!(exporter.held(), Held::default());
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_goes_away_takes_its_data_along() {
    let rig = Rig::new(vec![(Answer::Hang, 0)]);
    let exporter = rig.exporter(settings(None));
    let gone = tokio::time::timeout(Duration::from_millis(1), exporter.export(batch(0, 3))).await;
    assert!(gone.is_err());
    assert_eq!(rig.failed("cancelled"), 3);
    rig.assert_balanced(3, &[&exporter]);
}

#[tokio::test(start_paused = true)]
async fn an_end_gives_each_batch_one_attempt_and_counts_the_rest_as_lost() {
    let rig = Rig::new(vec![(Answer::Busy(None), 400)]);
    let exporter = rig.exporter(settings(Some(queue(1, 10))));
    for id in 0..5 {
        exporter.export(batch(id, 10)).await.unwrap();
    }
    tokio::time::sleep(seconds(1)).await;
    let start = Instant::now();
    let lost = exporter.drain(start + seconds(1)).await;
    assert_eq!(start.elapsed(), seconds(1));
    assert_eq!(lost, Lost { items: 50, requests: 5 });
    assert_eq!((rig.failed("shutdown"), rig.backend.attempts()), (50, 4));
    rig.assert_balanced(50, &[&exporter]);
}

#[tokio::test(start_paused = true)]
async fn a_successor_takes_over_what_waits_and_what_would_be_tried_again() {
    let rig = Rig::new(vec![(Answer::Busy(None), 10)]);
    let old = rig.exporter(settings(Some(queue(2, 10))));
    for id in 0..6 {
        old.export(batch(id, 1)).await.unwrap();
    }
    tokio::time::sleep(seconds(1)).await;
    let new = rig.exporter(settings(Some(queue(1, 3))));
    assert_eq!(new.adopt(&old), Adoption::Kept);
    assert_eq!((old.held().items, new.held().items), (2, 4), "two wait for their next attempt");
    rig.backend.answers_from_now_on(Answer::Take);
    assert_eq!(new.export(batch(6, 1)).await.unwrap_err().reason(), "queue_full");
    let lost = old.drain(Instant::now() + seconds(1)).await;
    assert_eq!((lost, old.held().items), (Lost::default(), 0));
    tokio::time::sleep(seconds(10)).await;
    assert_eq!((rig.backend.taken(), new.held().items), (6, 0));
    assert_eq!(rig.sum("otelcol_exporter_queue_size"), 0);
    rig.assert_balanced(6, &[&old, &new]);
    assert_eq!(rig.exporter(settings(None)).adopt(&new), Adoption::Rebuilt);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_handed_to_a_successor_that_has_ended() {
    let rig = Rig::new(vec![(Answer::Take, 10)]);
    let old = rig.exporter(settings(Some(queue(1, 10))));
    for id in 0..3 {
        old.export(batch(id, 1)).await.unwrap();
    }
    let ended = rig.exporter(settings(Some(queue(1, 10))));
    ended.drain(Instant::now() + seconds(1)).await;
    assert_eq!(ended.adopt(&old), Adoption::Rebuilt);
    let lost = old.drain(Instant::now() + seconds(1)).await;
    assert_eq!((lost, rig.backend.taken()), (Lost::default(), 3));
    rig.assert_balanced(3, &[&old, &ended]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_its_batch_and_nothing_else() {
    let rig = Rig::new(vec![(Answer::Panic, 0), (Answer::Take, 0)]);
    let exporter = rig.exporter(settings(Some(queue(1, 10))));
    for id in 0..2 {
        exporter.export(batch(id, 1)).await.unwrap();
    }
    let lost = exporter.drain(Instant::now() + seconds(1)).await;
    assert_eq!((lost, rig.backend.taken(), rig.failed("panic")), (Lost::default(), 1, 1));
    rig.assert_balanced(2, &[&exporter]);
}

#[tokio::test(start_paused = true)]
async fn what_a_backend_rejects_is_counted_and_never_sent_again() {
    let rig = Rig::new(vec![(Answer::TakeBut(3), 0), (Answer::TakeBut(99), 0)]);
    let exporter = rig.exporter(settings(None));
    exporter.export(batch(0, 10)).await.unwrap();
    assert_eq!((rig.sum("otelcol_exporter_sent_spans"), rig.failed("rejected")), (7, 3));
    exporter.export(batch(1, 2)).await.unwrap();
    assert_eq!((rig.failed("rejected"), rig.backend.attempts()), (5, 2));
    assert_eq!(rig.sum("otelcol_exporter_send_failed_spans"), 5);
    rig.assert_balanced(12, &[&exporter]);
}

#[tokio::test(start_paused = true)]
async fn senders_that_wait_for_room_come_in_by_turn_and_leave_the_line_at_their_deadline() {
    let rig = Rig::new(vec![(Answer::Take, 1000)]);
    let blocking = QueueSettings { block_on_overflow: true, ..queue(1, 1) };
    let exporter = Arc::new(rig.exporter(settings(Some(blocking))));
    exporter.export(batch(0, 1)).await.unwrap();
    let mut senders = Vec::new();
    for id in 1..6 {
        let (exporter, start) = (exporter.clone(), Instant::now());
        let deadline = (id == 2).then(|| start + Duration::from_millis(500));
        senders.push(tokio::spawn(async move {
            let outcome = exporter.export(Batch { deadline, ..batch(id, 1) }).await;
            (outcome.map_err(|refusal| refusal.reason()), start.elapsed().as_millis())
        }));
        tokio::task::yield_now().await;
    }
    let mut outcomes = Vec::new();
    for sender in senders {
        outcomes.push(sender.await.unwrap());
    }
    let expected = [(Ok(()), 1000), (Err("queue_full"), 500), (Ok(()), 2000), (Ok(()), 3000), (Ok(()), 4000)];
    assert_eq!(outcomes, expected);
    exporter.drain(Instant::now() + seconds(10)).await;
    rig.assert_balanced(5, &[&exporter]);
}

#[tokio::test(start_paused = true)]
async fn only_what_is_left_of_a_batch_is_tried_again() {
    let rig =
        Rig::new(vec![(Answer::Leave(3, false), 10), (Answer::Leave(1, false), 10), (Answer::Take, 10)]);
    let exporter = rig.exporter(settings(Some(queue(1, 9))));
    exporter.export(batch(0, 8)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!((exporter.held().items, rig.sum("otelcol_exporter_sent_spans")), (3, 5));
    rig.assert_balanced(8, &[&exporter]);
    tokio::time::sleep(seconds(60)).await;
    assert_eq!(rig.backend.sizes(), [5, 2, 1]);
    assert!(rig.backend.0.lock().unwrap().taken.values().all(|times| *times == 1), "none twice");
    rig.assert_balanced(8, &[&exporter]);
    assert_eq!((exporter.held(), rig.sum("otelcol_exporter_queue_size")), (Held::default(), 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_for_good_fails_alone_and_goes_to_a_successor_alone() {
    let rig = Rig::new(vec![(Answer::Leave(2, true), 10), (Answer::Leave(3, false), 10), (Answer::Take, 10)]);
    let exporter = rig.exporter(settings(None));
    let refusal = exporter.export(batch(0, 8)).await.unwrap_err();
    assert_eq!(refusal.message(), "not retryable error: Permanent error: not these");
    assert_eq!((rig.failed("invalid"), rig.sum("otelcol_exporter_sent_spans")), (2, 6));

    let first = rig.exporter(settings(Some(queue(1, 9))));
    first.export(batch(1, 8)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let second = rig.exporter(settings(Some(queue(1, 9))));
    assert_eq!(second.adopt(&first), Adoption::Kept);
    assert_eq!(first.drain(Instant::now() + seconds(1)).await, Lost::default());
    tokio::time::sleep(seconds(1)).await;
    assert_eq!(rig.backend.sizes(), [6, 5, 3]);
    rig.assert_balanced(16, &[&first, &second]);
}
