use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use phoenix_component::factory::{CreateContext, Shared};
use phoenix_component::harness::assert_example_is_valid;
use phoenix_component::{Batch, BoxFuture, Budget, Consumer, Host, Outlets, Refusal, StatusReporter};
use phoenix_config::{ComponentId, Kind};
use phoenix_pdata::Signal;
use phoenix_pdata::view::AnyValue;
use phoenix_telemetry::Metrics;
use tempfile::TempDir;

use super::*;
use crate::metrics::FileMetrics;
use crate::tailer::{Stop, Tailer};

/// Takes logs and remembers their bodies; refuses first what it is told to.
#[derive(Default)]
struct Sink {
    got: Mutex<Vec<String>>,
    refusals: Mutex<Vec<Refusal>>,
}

impl Consumer for Sink {
    fn consume(self: Arc<Self>, batch: Batch) -> BoxFuture<'static, Result<(), Refusal>> {
        if let Some(refusal) = self.refusals.lock().expect("not poisoned").pop() {
            return Box::pin(async move { Err(refusal) });
        }
        let mut got = self.got.lock().expect("not poisoned");
        match batch.signal {
            Signal::Logs => {
                let records = batch.payload.resource_logs().flat_map(|entry| entry.scopes());
                for record in records.flat_map(|entry| entry.records()) {
                    let AnyValue::String(body) = record.body() else { panic!("a body of text") };
                    got.push(body.to_string_lossy().into_owned());
                }
            }
            signal => got.push(format!("{} {}", batch.items, signal)),
        }
        Box::pin(async { Ok(()) })
    }
}

/// A tailer over a folder, with the rounds in the test's hands.
struct Rig {
    folder: TempDir,
    sink: Arc<Sink>,
    outlets: Outlets,
    metrics: Metrics,
    budget: Budget,
    stop: Stop,
    tailer: Tailer,
    now: Duration,
}

fn config(folder: &TempDir, settings: &str) -> OtlpJsonFileConfig {
    let mut config: OtlpJsonFileConfig = serde_json::from_str(settings).expect(settings);
    let below = |pattern: &String| format!("{}/{pattern}", folder.path().display());
    config.include = config.include.iter().map(below).collect();
    config.exclude = config.exclude.iter().map(below).collect();
    config
}

const BEGINNING: &str = r#"{"include": ["*.json"], "start_at": "beginning"}"#;

impl Rig {
    fn new(settings: &str) -> Rig {
        Rig::over(tempfile::tempdir().expect("made"), settings, Budget::unlimited())
    }

    fn over(folder: TempDir, settings: &str, budget: Budget) -> Rig {
        let (sink, outlets, metrics) = (Arc::new(Sink::default()), Outlets::unwired(), Metrics::default());
        for signal in [Signal::Logs, Signal::Traces] {
            outlets.of(signal).wire(Some(sink.clone()));
        }
        let stop = Stop::default();
        let made = Tailer::new(
            "otlp_json_file",
            &config(&folder, settings),
            outlets.clone(),
            FileMetrics::new(&metrics, "otlp_json_file"),
            budget.clone(),
            stop.clone(),
        );
        let tailer = made.expect("a tailer");
        Rig { folder, sink, outlets, metrics, budget, stop, tailer, now: Duration::ZERO }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).expect("opened");
        file.write_all(text.as_bytes()).expect("written");
    }

    fn log(&self, name: &str, body: &str) {
        self.append(name, &(line(body) + "\n"));
    }

    /// A round, and what came of it.
    async fn round(&mut self) -> Vec<String> {
        self.now += Duration::from_millis(200);
        self.tailer.round(self.now, SystemTime::now()).await;
        let mut got = std::mem::take(&mut *self.sink.got.lock().expect("not poisoned"));
        got.sort();
        got
    }

    fn sum(&self, name: &str) -> i64 {
        self.metrics.sum(name, &[("receiver", "otlp_json_file")])
    }
}

fn line(body: &str) -> String {
    format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{{"stringValue":"{body}"}}}}]}}]}}]}}"#
    )
}

const SPANS: &str = r#"{"resource_spans":[{"scopeSpans":[{"spans":[{"name":"a"},{"name":"b"}]}]}]}"#;
const GAUGE: &str =
    r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[{}]}}]}]}]}"#;

#[tokio::test]
async fn lines_go_to_the_pipelines_of_their_signal_and_mistakes_are_skipped() {
    let mut rig = Rig::new(r#"{"include": ["**/*.json"], "exclude": ["no/*"], "start_at": "beginning"}"#);
    let lines = [
        line("1"),
        SPANS.into(),
        GAUGE.into(),
        "{\"resourceLogs\": 7}".into(),
        "garbage".into(),
        String::new(),
        "{}".into(),
        line("2"),
    ];
    rig.append("a.json", &(lines.join("\r\n") + "\n"));
    fs::create_dir(rig.path("no")).expect("made");
    fs::create_dir(rig.path("yes")).expect("made");
    rig.log("no/b.json", "excluded");
    rig.log("yes/c.json", "3");
    rig.log("yes/c.txt", "another");
    assert_eq!(rig.round().await, ["1", "2", "2 traces", "3"]);
    assert_eq!(rig.sum("phoenix_receiver_malformed_requests"), 2);
    assert_eq!(rig.sum("phoenix_receiver_otlp_json_file_unrouted_requests"), 1, "metrics");
    assert_eq!(rig.sum("otelcol_receiver_accepted_log_records"), 3);
    assert_eq!(rig.sum("otelcol_receiver_accepted_spans"), 2);
    assert_eq!(rig.sum("otelcol_fileconsumer_open_files"), 2);
    assert_eq!(rig.sum("otelcol_fileconsumer_reading_files"), 0);
    rig.log("a.json", "4");
    assert_eq!(rig.round().await, ["4"]);
    assert_eq!(rig.round().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_there_at_the_start_is_read_only_where_asked() {
    let mut rig = Rig::new(r#"{"include": ["*.json"]}"#);
    rig.log("old.json", "old");
    rig.append("empty.json", "");
    assert_eq!(rig.round().await, Vec::<String>::new());
    for name in ["old.json", "empty.json", "new.json"] {
        rig.log(name, name);
    }
    assert_eq!(rig.round().await, ["empty.json", "new.json", "old.json"]);
}

#[tokio::test]
async fn a_line_waits_for_its_end_unless_it_is_whole() {
    let mut rig = Rig::new(BEGINNING);
    let whole = line("1");
    let (head, rest) = whole.split_at(20);
    rig.append("a.json", head);
    for _ in 0..5 {
        assert_eq!(rig.round().await, Vec::<String>::new(), "it is no request yet");
    }
    rig.append("a.json", rest);
    let mut rounds = Vec::new();
    for _ in 0..4 {
        rounds.push(rig.round().await);
    }
    let nothing = Vec::<String>::new();
    assert_eq!(rounds, [nothing.clone(), nothing.clone(), nothing, vec!["1".into()]], "after 500ms");
    rig.append("a.json", &("\n".to_owned() + &line("2") + "\n"));
    assert_eq!(rig.round().await, ["2"]);
    assert_eq!(rig.sum("phoenix_receiver_malformed_requests"), 0);
}

#[tokio::test]
async fn lines_that_are_too_long_are_skipped_as_a_whole() {
    let mut rig = Rig::new(r#"{"include": ["*.json"], "start_at": "beginning", "max_log_size": 200}"#);
    rig.append("a.json", &format!("{}\n{}\n{}\n", line("1"), line(&"x".repeat(70_000)), line("2")));
    rig.append("a.json", &line(&"y".repeat(500)));
    assert_eq!(rig.round().await, ["1", "2"]);
    rig.append("a.json", &format!("and more\n{}\n", line("3")));
    assert_eq!(rig.round().await, ["3"]);
    assert_eq!(rig.sum("phoenix_receiver_malformed_requests"), 2);
    // Longer than what is read at a time, and not too long.
    let mut rig = Rig::new(BEGINNING);
    let long = "z".repeat(300_000);
    rig.log("a.json", &long);
    rig.log("a.json", "4");
    assert_eq!(rig.round().await, ["4".to_owned(), long]);
}

#[tokio::test]
async fn a_file_that_is_moved_is_read_to_its_end() {
    let mut rig = Rig::new(BEGINNING);
    rig.log("a.json", "1");
    assert_eq!(rig.round().await, ["1"]);
    rig.log("a.json", "2");
    fs::rename(rig.path("a.json"), rig.path("a.json.1")).expect("moved");
    rig.log("a.json", "3");
    assert_eq!(rig.round().await, ["2", "3"], "out of the patterns, and the new one");
    rig.log("a.json.1", "4");
    assert_eq!(rig.round().await, ["4"], "its writer does not know yet");
    fs::rename(rig.path("a.json"), rig.path("b.json")).expect("moved");
    rig.log("b.json", "5");
    assert_eq!(rig.round().await, ["5"], "within the patterns");
    rig.log("b.json", "6");
    fs::remove_file(rig.path("b.json")).expect("removed");
    assert_eq!(rig.round().await, ["6"], "removed");
    for _ in 0..10 {
        assert_eq!(rig.round().await, Vec::<String>::new());
    }
    assert_eq!(rig.sum("otelcol_fileconsumer_open_files"), 0, "they are let go");
}

#[tokio::test]
async fn a_file_that_is_copied_and_truncated_loses_and_repeats_nothing() {
    let mut rig = Rig::new(r#"{"include": ["*.json*"], "start_at": "beginning"}"#);
    rig.log("a.json", "1");
    assert_eq!(rig.round().await, ["1"]);
    fs::copy(rig.path("a.json"), rig.path("a.json.1")).expect("copied");
    assert_eq!(rig.round().await, Vec::<String>::new(), "a copy of what was read");
    rig.log("a.json.1", "the copy had more");
    OpenOptions::new().write(true).truncate(true).open(rig.path("a.json")).expect("truncated");
    assert_eq!(rig.round().await, ["the copy had more"]);
    rig.log("a.json", "2");
    assert_eq!(rig.round().await, ["2"]);
    // Truncated, and longer than before when it is looked at next.
    OpenOptions::new().write(true).truncate(true).open(rig.path("a.json")).expect("truncated");
    for body in ["3", "4", "5"] {
        rig.log("a.json", body);
    }
    assert_eq!(rig.round().await, ["3", "4", "5"]);
}

#[tokio::test]
async fn files_that_begin_alike_are_two_files() {
    let mut rig = Rig::new(r#"{"include": ["*.json"], "start_at": "beginning", "fingerprint_size": 16}"#);
    rig.log("a.json", "1");
    rig.log("b.json", "2");
    assert_eq!(rig.round().await, ["1", "2"]);
    rig.log("c.json", "3");
    assert_eq!(rig.round().await, ["3"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_now_is_sent_again_and_what_is_rejected_is_counted() {
    let mut rig = Rig::new(BEGINNING);
    let later = || Refusal::retryable("busy", "later").after(Duration::from_secs(3));
    *rig.sink.refusals.lock().expect("not poisoned") = vec![later(), Refusal::retryable("busy", "not now")];
    rig.log("a.json", "1");
    rig.log("a.json", "2");
    let before = tokio::time::Instant::now();
    assert_eq!(rig.round().await, ["1", "2"]);
    assert!(before.elapsed() >= Duration::from_millis(3100), "{:?}", before.elapsed());
    assert_eq!(rig.sum("phoenix_receiver_otlp_json_file_retries"), 2);
    *rig.sink.refusals.lock().expect("not poisoned") = vec![Refusal::permanent("bad", "never")];
    rig.log("a.json", "3");
    rig.log("a.json", "4");
    assert_eq!(rig.round().await, ["4"]);
    assert_eq!(rig.sum("otelcol_receiver_refused_log_records"), 1);
}

#[tokio::test(start_paused = true)]
async fn without_memory_data_waits_in_its_file() {
    let mut rig = Rig::over(tempfile::tempdir().expect("made"), BEGINNING, Budget::new(80_000));
    let charge = rig.budget.try_charge(50_000).expect("room");
    rig.log("a.json", "1");
    let stop = rig.stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(10)).await;
        stop.gently.cancel();
    });
    assert_eq!(rig.round().await, Vec::<String>::new());
    let mut rig2 = Rig::over(rig.folder, BEGINNING, rig.budget.clone());
    rig2.tailer.table = std::mem::take(&mut rig.tailer.table);
    drop(charge);
    assert_eq!(rig2.round().await, ["1"], "nothing is lost");
    assert_eq!(rig2.budget.used(), 0);
}

#[tokio::test]
async fn replay_reads_everything_in_every_round_and_batches_take_turns() {
    let mut rig = Rig::new(r#"{"include": ["*.json"], "replay_file": true}"#);
    rig.append("a.json", &line("1"));
    for _ in 0..3 {
        assert_eq!(rig.round().await, ["1"]);
    }
    let settings =
        r#"{"include": ["*.json"], "start_at": "beginning", "max_concurrent_files": 2, "max_batches": 1}"#;
    let mut rig = Rig::new(settings);
    for name in ["a", "b", "c"] {
        rig.log(&format!("{name}.json"), name);
    }
    let mut all = Vec::new();
    for _ in 0..3 {
        let got = rig.round().await;
        assert_eq!(got.len(), 1);
        all.extend(got);
    }
    all.sort();
    assert_eq!(all, ["a", "b", "c"]);
    assert!(rig.sum("otelcol_fileconsumer_open_files") <= 1);
}

#[tokio::test]
async fn a_signal_without_pipelines_holds_nothing_up() {
    let mut rig = Rig::new(BEGINNING);
    rig.outlets.of(Signal::Logs).wire(None);
    rig.append("a.json", &format!("{}\n{SPANS}\n", line("1")));
    assert_eq!(rig.round().await, ["2 traces"]);
    assert_eq!(rig.sum("phoenix_receiver_otlp_json_file_unrouted_requests"), 1);
}

/// Waits for a condition, with the time of the machine.
async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{what}");
}

#[tokio::test]
async fn a_successor_goes_on_where_the_former_receiver_was() {
    let folder = tempfile::tempdir().expect("made");
    let host = Host::for_tests();
    let sink = Arc::new(Sink::default());
    let outlets = Outlets::unwired();
    outlets.of(Signal::Logs).wire(Some(sink.clone()));
    let make = |settings: &str| {
        let id = ComponentId::parse("otlp_json_file").expect("an identifier");
        let (status, shared) = (StatusReporter::detached(Kind::Receiver, id.clone()), Shared::default());
        let cx = CreateContext { id: &id, host: &host, status, shared: &shared };
        let settings = config(&folder, settings);
        OtlpJsonFileFactory.create(&settings, cx, outlets.clone()).expect("made")
    };
    let got = || sink.got.lock().expect("not poisoned").clone();
    let write = |body: &str| {
        let path = folder.path().join("a.json");
        let mut file = OpenOptions::new().create(true).append(true).open(path).expect("opened");
        file.write_all((line(body) + "\n").as_bytes()).expect("written");
    };
    write("1");
    let mut receiver = make(r#"{"include": ["*.json"], "start_at": "beginning", "poll_interval": "1ms"}"#);
    receiver.bind(&host).await.expect("bound");
    receiver.serve(&host);
    until("the first line", || got() == ["1"]).await;
    // With `end`, what came between two receivers would be lost if positions were.
    for number in 2..10 {
        let next = make(r#"{"include": ["*.json"], "poll_interval": "2ms"}"#);
        next.bind(&host).await.expect("bound");
        write(&number.to_string());
        next.adopt(&*receiver, &host);
        next.serve(&host);
        let former = std::mem::replace(&mut receiver, next);
        former.stop(tokio::time::Instant::now() + Duration::from_secs(5)).await;
    }
    let expected: Vec<_> = (1..10).map(|number| number.to_string()).collect();
    until("every line once", || got() == expected).await;
    // A pipeline that hangs does not hold the stop up for ever.
    *sink.refusals.lock().expect("not poisoned") =
        vec![Refusal::retryable("busy", "x").after(Duration::from_secs(60))];
    write("last");
    until("it was refused", || sink.refusals.lock().expect("not poisoned").is_empty()).await;
    receiver.stop(tokio::time::Instant::now() + Duration::from_secs(5)).await;
    assert_eq!(got(), expected);
}

#[test]
fn the_example_of_the_readme_is_valid() {
    assert_example_is_valid(&OtlpJsonFileFactory, include_str!("../README.md"), "receivers::otlp_json_file");
}
