use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::sink::{BUFFER_BYTES, Losses, Sink};
use super::subscriber::LogSubscriber;
use super::*;
use crate::Metrics;

fn with_handle(handle: &LogHandle, say: impl FnOnce()) {
    tracing::subscriber::with_default(LogSubscriber { logger: handle.logger() }, say);
}

fn to_file(file: &std::path::Path) -> LogOptions {
    LogOptions { outputs: vec![Output::File(file.to_owned())], ..LogOptions::default() }
}

fn read(handle: &LogHandle, file: &std::path::Path) -> String {
    assert!(handle.flush(Duration::from_secs(30)));
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn events_become_records_with_the_component_that_is_at_work() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.log");
    let handle = LogHandle::default();
    let options = LogOptions {
        encoding: Encoding::Json,
        context: vec![("resource".to_owned(), Value::Map(vec![("service.name".to_owned(), "x".into())]))],
        ..to_file(&file)
    };
    handle.apply(options.clone()).unwrap();
    let scope = Scope::of(vec![
        ("otelcol.component.id", "batch".to_owned()),
        ("otelcol.component.kind", "processor".to_owned()),
    ]);
    with_handle(&handle, || {
        scope.run(|| tracing::warn!(items = 3, "in a component"));
        scope.run(|| tracing::info!(exporter = "otlp", "about another"));
        tracing::debug!("not written");
        handle.apply(LogOptions { caller: false, stacktrace: Some(LogLevel::Error), ..options }).unwrap();
        tracing::error!(error = "no", "failed");
    });
    let text = read(&handle, &file);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    let tail = r#""msg":"in a component","resource":{"service.name":"x"},"otelcol.component.id":"batch","otelcol.component.kind":"processor","items":3}"#;
    assert!(lines[0].ends_with(tail), "{text}");
    assert!(lines[0].contains(r#""caller":"phoenix_telemetry/logs/tests.rs:"#), "{text}");
    let tail = r#","otelcol.component.id":"otlp","otelcol.component.kind":"exporter"}"#;
    assert!(lines[1].ends_with(tail), "{text}");
    assert!(lines[2].contains(r#""error":"no","stacktrace":""#) && !lines[2].contains("caller"), "{text}");
}

#[test]
fn a_level_for_a_time_ends_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.log");
    let handle = LogHandle::default();
    handle.apply(LogOptions { sampling: None, ..to_file(&file) }).unwrap();
    let say = |what: &'static str| tracing::debug!("{what}");
    with_handle(&handle, || {
        say("before");
        handle.set_level(LogLevel::Debug, Some(Instant::now() + Duration::from_secs(600)));
        say("more");
        assert_eq!(handle.level().effective, LogLevel::Debug);
        assert!(handle.level().remaining.is_some_and(|left| left > Duration::from_secs(500)));
        handle.set_level(LogLevel::Error, Some(Instant::now()));
        tracing::info!("over already");
        say("again not");
        handle.set_level(LogLevel::Fatal, None);
        tracing::error!("nothing at all");
        handle.reset_level();
        tracing::info!("back");
    });
    let expected = LevelState { effective: LogLevel::Info, configured: LogLevel::Info, remaining: None };
    assert_eq!(handle.level(), expected);
    let messages: Vec<String> = read(&handle, &file)
        .lines()
        .map(|line| line.split('\t').nth(3).unwrap_or_default().to_owned())
        .collect();
    assert_eq!(messages, ["more", "over already", "back"]);
}

#[test]
fn repeated_records_are_thinned_out_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.log");
    let handle = LogHandle::default();
    let sampling = Sampling { tick: Duration::from_secs(3600), initial: 2, thereafter: 5 };
    handle.apply(LogOptions { sampling: Some(sampling), ..to_file(&file) }).unwrap();
    with_handle(&handle, || {
        for attempt in 0..12 {
            tracing::info!(attempt, "again");
        }
    });
    assert_eq!(read(&handle, &file).lines().count(), 4);
    let metrics = Metrics::default();
    handle.count_in(&metrics);
    assert_eq!(metrics.sum("phoenix_log_records_dropped", &[("reason", "sampled")]), 8);
}

#[test]
fn an_output_that_cannot_be_opened_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.log");
    let handle = LogHandle::default();
    handle.apply(to_file(&file)).unwrap();
    let error = handle.apply(to_file(&folder.path().join("missing/own.log"))).unwrap_err();
    assert!(error.to_string().contains("missing/own.log"), "{error}");
    with_handle(&handle, || tracing::info!("still here"));
    assert!(read(&handle, &file).contains("still here"));
}

/// An output that takes nothing before it is told to.
struct Blocking(Receiver<()>, Written);

impl Write for Blocking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        self.1.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct Count(Mutex<(usize, usize)>);

impl Losses for Count {
    fn blocked(&self) {
        self.0.lock().unwrap().0 += 1;
    }

    fn failed(&self, _: &io::Error) {
        self.0.lock().unwrap().1 += 1;
    }
}

type Written = Arc<Mutex<Vec<u8>>>;

fn blocking() -> (Sink, Sender<()>, Written, Arc<Count>) {
    let ((go, wait), written, count) = (channel(), Arc::default(), Arc::new(Count::default()));
    let output = Blocking(wait, Arc::clone(&written));
    (Sink::start(Box::new(output), count.clone()).unwrap(), go, written, count)
}

#[test]
fn an_output_that_blocks_loses_records_and_holds_up_nobody() {
    let (sink, go, written, count) = blocking();
    let line: Arc<str> = "x".repeat(64 << 10).into();
    for _ in 0..1000 {
        sink.push(line.clone());
    }
    assert!(!sink.flush(Instant::now()), "nothing was taken");
    assert_eq!(count.0.lock().unwrap().0, 1000 - BUFFER_BYTES / line.len());
    drop(go);
    assert!(sink.flush(Instant::now() + Duration::from_secs(30)));
    assert_eq!(written.lock().unwrap().len(), BUFFER_BYTES);
    sink.push("y".repeat(2 * BUFFER_BYTES).into());
    assert!(sink.flush(Instant::now() + Duration::from_secs(30)));
    assert_eq!(written.lock().unwrap().len(), 3 * BUFFER_BYTES, "one record of any size is taken");
}

#[test]
fn a_failure_to_write_is_counted_and_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let errors = folder.path().join("errors.log");
    let handle = LogHandle::default();
    let options = LogOptions {
        outputs: vec![Output::File("/dev/full".into())],
        error_outputs: vec![Output::File(errors.clone())],
        ..LogOptions::default()
    };
    handle.apply(options).unwrap();
    with_handle(&handle, || {
        tracing::info!("one");
        tracing::info!("two");
    });
    assert!(handle.flush(Duration::from_secs(30)));
    let metrics = Metrics::default();
    handle.count_in(&metrics);
    assert_eq!(metrics.sum("phoenix_log_records_dropped", &[("reason", "failed")]), 2);
    let said = std::fs::read_to_string(&errors).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("write error: No space left on device"), "{said}");
}
