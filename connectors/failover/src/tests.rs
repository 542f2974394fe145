use std::time::Duration;

use phoenix_component::Consumer;
use phoenix_component::harness::with_context;
use phoenix_config::{Kind, PipelineId, Settings as _, decode_text};
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

impl Rig {
    fn try_new(settings: &str) -> Result<Rig, String> {
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
        match made.map_err(|error| error.to_string())? {
            Connector::Flow(flow) => Ok(Rig { flow, sinks }),
            Connector::Stage { .. } => panic!("it holds nothing"),
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
        self.flow.consume(Batch::new(Signal::Traces, Payload::default(), 1)).await
    }

    /// Requests that came to each pipeline since the last call.
    fn got(&self) -> [u64; 4] {
        [0, 1, 2, 3].map(|index| std::mem::take(&mut *self.sinks[index].got.lock().expect("not poisoned")))
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
        (read(&[&["traces/a"], &["traces/a"]]), "priority_levels::1::0"),
        (FailoverConfig { retry_interval: seconds(0), ..two() }, "retry_interval"),
        (FailoverConfig { retry_gap: Some(seconds(300)), ..two() }, "retry_gap"),
        (FailoverConfig { retry_gap: Some(seconds(0)), ..two() }, "retry_gap"),
        (FailoverConfig { max_retries: Some(-1), ..two() }, "max_retries"),
        (FailoverConfig { sending_queue: Some(serde::de::IgnoredAny), ..two() }, "sending_queue"),
    ];
    for (config, key) in cases {
        assert_eq!(Problems::of(|problems| config.validate(problems)).keys(), [key], "{config:?}");
    }
    let fine = FailoverConfig { retry_gap: Some(seconds(299)), max_retries: Some(10), ..two() };
    assert!(Problems::of(|problems| fine.validate(problems)).keys().is_empty());
}
