use std::time::Duration;

use phoenix_component::factory::{ConnectorFactory as _, Factory as _};
use phoenix_component::harness::with_context;
use phoenix_component::{Change, Consumer, Exporter, Lost};
use phoenix_config::{Kind, PipelineId, PresentBlock, Problems, Settings as _, decode_text};
use phoenix_delivery::QueueSettings;
use phoenix_pdata::Payload;

use super::*;

/// Counts requests, and answers as told.
#[derive(Default)]
struct Sink {
    got: Mutex<u64>,
    answer: Mutex<Option<Refusal>>,
}

impl Consumer for Sink {
    fn consume(self: Arc<Self>, _: Batch) -> BoxFuture<'static, Result<(), Refusal>> {
        *self.got.lock().expect("not poisoned") += 1;
        let answer = self.answer.lock().expect("not poisoned").clone();
        Box::pin(async move { answer.map_or(Ok(()), Err) })
    }
}

struct Rig {
    flow: Arc<dyn ConnectorFlow>,
    sinks: Vec<Arc<Sink>>,
}

const PIPELINES: [&str; 4] = ["traces/a", "traces/b", "traces/c", "traces/d"];

/// A connector over four pipelines.
fn make(settings: &str) -> Result<(Connector, Vec<Arc<Sink>>), String> {
    let config = decode_text::<FailoverConfig>(settings).map_err(|report| report.to_string())?;
    let sinks: Vec<Arc<Sink>> = PIPELINES.map(|_| Arc::default()).into();
    let by_pipeline = PIPELINES.iter().zip(&sinks).map(|(name, sink)| {
        let outlet = Outlet::unwired(Signal::Traces);
        outlet.wire(Some(sink.clone()));
        (PipelineId::parse(name).expect("a pipeline"), outlet)
    });
    let outlets =
        ConnectorOutlets { all: Outlet::unwired(Signal::Traces), by_pipeline: by_pipeline.collect() };
    let made = with_context(Kind::Connector, "failover", |cx| {
        FailoverFactory.create(&config, cx, Signal::Traces, Signal::Traces, outlets)
    });
    Ok((made.map_err(|error| error.to_string())?, sinks))
}

fn got(sinks: &[Arc<Sink>]) -> [u64; 4] {
    [0, 1, 2, 3].map(|index| std::mem::take(&mut *sinks[index].got.lock().expect("not poisoned")))
}

fn batch() -> Batch {
    Batch::new(Signal::Traces, Payload::from(bytes::Bytes::from_static(b"12345678")), 1)
}

impl Rig {
    fn try_new(settings: &str) -> Result<Rig, String> {
        match make(settings)? {
            (Connector::Flow(flow), sinks) => Ok(Rig { flow, sinks }),
            _ => panic!("it holds nothing"),
        }
    }

    fn new() -> Rig {
        let levels = "{priority_levels: [[traces/a, traces/b], [traces/c], [traces/d]], retry_interval: 1m}";
        Rig::try_new(levels).unwrap_or_else(|error| panic!("{error}"))
    }

    fn set(&self, index: usize, answer: Option<Refusal>) {
        *self.sinks[index].answer.lock().expect("not poisoned") = answer;
    }

    async fn send(&self) -> Result<(), Refusal> {
        self.flow.consume(batch()).await
    }

    /// Requests that came to each pipeline since the last call.
    fn got(&self) -> [u64; 4] {
        got(&self.sinks)
    }
}

fn down() -> Option<Refusal> {
    Some(Refusal::retryable("busy", "down"))
}

#[tokio::test(start_paused = true)]
async fn a_level_of_which_one_pipeline_fails_is_left_and_comes_back() {
    let rig = Rig::new();
    rig.send().await.expect("taken");
    assert_eq!(rig.got(), [1, 1, 0, 0]);
    rig.set(1, down());
    rig.send().await.expect("taken by the next level");
    assert_eq!(rig.got(), [1, 1, 1, 0]);
    rig.send().await.expect("taken");
    assert_eq!(rig.got(), [0, 0, 1, 0], "the level that failed is not asked");
    tokio::time::sleep(Duration::from_secs(60)).await;
    rig.send().await.expect("taken");
    rig.send().await.expect("taken");
    assert_eq!(rig.got(), [1, 1, 2, 0], "one request has tried it");
    rig.set(1, None);
    tokio::time::sleep(Duration::from_secs(60)).await;
    rig.send().await.expect("taken");
    rig.send().await.expect("taken");
    assert_eq!(rig.got(), [2, 2, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn when_nobody_takes_it_the_sender_hears_so_and_the_next_request_tries_all_again() {
    let rig = Rig::new();
    [0, 2].into_iter().for_each(|index| rig.set(index, down()));
    rig.set(3, Some(Refusal::permanent("bad", "never")));
    let refusal = rig.send().await.expect_err("refused");
    assert!(refusal.is_retryable(), "it was not bad everywhere");
    assert_eq!(rig.got(), [1, 1, 1, 1]);
    [0, 2, 3].into_iter().for_each(|index| rig.set(index, None));
    rig.send().await.expect("taken");
    assert_eq!(rig.got(), [1, 1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn levels_name_pipelines_that_the_connector_feeds() {
    let error = Rig::try_new("{priority_levels: [[traces/x]]}").err().expect("no such pipeline");
    assert!(error.contains("traces/x"), "{error}");
}

const WITH_QUEUE: &str =
    "{priority_levels: [[traces/a], [traces/b]], sending_queue: {queue_size: 2, num_consumers: 1}}";

fn with_queue(settings: &str) -> (Arc<dyn Exporter>, Vec<Arc<Sink>>) {
    match make(settings) {
        Ok((Connector::Queue(queue), sinks)) => (queue, sinks),
        Ok(_) => panic!("it has no queue"),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_in_front_answers_at_once_and_keeps_what_no_level_takes() {
    let (queue, sinks) = with_queue(WITH_QUEUE);
    let set = |index: usize, answer| *sinks[index].answer.lock().expect("not poisoned") = answer;
    assert!(queue.owns_accepted());
    set(0, down());
    queue.export(batch()).await.expect("taken");
    until(|| queue.held().items == 0).await;
    assert_eq!(got(&sinks), [1, 1, 0, 0], "the next level has it");
    set(1, down());
    queue.export(batch()).await.expect("taken");
    queue.export(batch()).await.expect("taken");
    // Far longer than exporters go on trying.
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let refusal = queue.export(batch()).await.expect_err("full");
    assert!(refusal.is_retryable(), "{refusal}");
    assert_eq!(queue.held().items, 2);
    set(1, None);
    got(&sinks);
    until(|| queue.held().items == 0).await;
    assert_eq!(got(&sinks)[1], 2);
    assert_eq!(queue.drain(Instant::now() + Duration::from_secs(1)).await, Lost::default());
}

#[tokio::test(start_paused = true)]
async fn a_successor_takes_the_queue_over() {
    let ((old, down_there), (new, sinks)) = (with_queue(WITH_QUEUE), with_queue(WITH_QUEUE));
    down_there.iter().for_each(|sink| *sink.answer.lock().expect("not poisoned") = down());
    old.export(batch()).await.expect("taken");
    old.export(batch()).await.expect("taken");
    assert_eq!(new.adopt(&*old), phoenix_component::Adoption::Kept);
    assert_eq!(old.drain(Instant::now() + Duration::from_secs(1)).await, Lost::default());
    until(|| new.held().items == 0).await;
    assert_eq!(got(&sinks), [2, 0, 0, 0]);
}

#[test]
fn a_queue_is_there_where_it_is_written() {
    let on = |queue: &str| {
        let settings = format!("{{priority_levels: [[traces/a]]{queue}}}");
        decode_text::<FailoverConfig>(&settings).expect(queue).sending_queue.is_on()
    };
    assert!(!on("") && !on(", sending_queue: {enabled: false}"));
    assert!(on(", sending_queue:") && on(", sending_queue: {}") && on(", sending_queue: {queue_size: 5}"));
    let queue = |settings: &str| decode_text::<FailoverConfig>(settings).expect(settings);
    let (with, without) = (queue(WITH_QUEUE), queue("{priority_levels: [[traces/a]]}"));
    assert_eq!(FailoverFactory.change(&without, Some(&with)), Change::stateless());
    assert_eq!(FailoverFactory.change(&with, Some(&with)), Change::adopted());
    assert_eq!(FailoverFactory.change(&with, Some(&without)), Change::let_out());
}

/// Lets time pass until `holds`.
async fn until(holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3600), wait).await.expect("in time");
}

#[test]
fn rejects_bad_settings_and_names_the_key() {
    let read = |levels: &[&[&str]]| FailoverConfig {
        priority_levels: levels
            .iter()
            .map(|level| level.iter().map(|name| (*name).to_owned()).collect())
            .collect(),
        ..FailoverConfig::default()
    };
    let two = || read(&[&["traces/a"], &["traces/b"]]);
    let seconds = phoenix_config::GoDuration::from_secs;
    // (settings, key that the error names)
    let cases = [
        (read(&[]), "priority_levels"),
        (read(&[&["traces/a"], &[]]), "priority_levels::1"),
        (read(&[&["traces/"]]), "priority_levels::0::0"),
        (read(&[&["traces/b"], &["traces/a", "traces/a"]]), "priority_levels::1::1"),
        (FailoverConfig { retry_interval: seconds(0), ..two() }, "retry_interval"),
        (
            FailoverConfig { retry_gap: Some(phoenix_config::GoDuration::from_nanos(-1)), ..two() },
            "retry_gap",
        ),
        (FailoverConfig { max_retries: Some(-1), ..two() }, "max_retries"),
        (
            FailoverConfig {
                sending_queue: PresentBlock::on(QueueSettings {
                    num_consumers: 0,
                    ..QueueSettings::default()
                }),
                ..two()
            },
            "sending_queue::num_consumers",
        ),
    ];
    for (config, key) in cases {
        assert_eq!(Problems::of(|problems| config.validate(problems)).keys(), [key], "{config:?}");
    }
    // Also both of them, or else one; and as otelcol takes it.
    let fine = read(&[&["traces/a", "traces/b"], &["traces/a"], &["traces/b"]]);
    for (gap, says) in [(0, false), (200, false), (201, true)] {
        let config = FailoverConfig { retry_gap: Some(seconds(gap)), max_retries: Some(10), ..fine.clone() };
        let problems = Problems::of(|problems| config.validate(problems));
        assert_eq!((problems.has_errors(), !problems.is_empty()), (false, says), "{problems}");
    }
}
