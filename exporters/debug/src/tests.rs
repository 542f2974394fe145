use std::io;
use std::sync::Mutex;

use bytes::Bytes;
use phoenix_component::harness::assert_example_is_valid;
use phoenix_component::{Batch, Exporter as _, Host};
use phoenix_pdata::{InvalidUtf8, validate, write as wire};

use super::*;

fn request(signal: Signal) -> Payload {
    let bytes: &[u8] = match signal {
        Signal::Traces => include_bytes!("../tests/data/traces.binpb"),
        Signal::Metrics => include_bytes!("../tests/data/metrics.binpb"),
        Signal::Logs => include_bytes!("../tests/data/logs.binpb"),
    };
    validate(signal, Bytes::from_static(bytes), InvalidUtf8::Pass).expect("valid").0
}

fn rendered(verbosity: Verbosity, signal: Signal, payload: &Payload) -> String {
    let mut text = String::new();
    render(&mut text, verbosity, signal, payload).expect("written");
    text
}

#[test]
fn prints_byte_for_byte_what_otelcol_prints() {
    let expected = |verbosity, signal: Signal| {
        let name = match verbosity {
            Verbosity::Basic => "basic",
            Verbosity::Normal => "normal",
            Verbosity::Detailed => "detailed",
        };
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
        std::fs::read_to_string(format!("{data}/{name}-{signal}.expected.txt")).expect("a golden file")
    };
    for verbosity in [Verbosity::Basic, Verbosity::Normal, Verbosity::Detailed] {
        for signal in Signal::ALL {
            let text = rendered(verbosity, signal, &request(signal));
            assert!(text == expected(verbosity, signal), "{verbosity:?} {signal}:\n{text}");
        }
    }
}

#[test]
fn entries_are_numbered_over_all_pieces() {
    let mut payload = request(Signal::Logs);
    payload.append(request(Signal::Logs));
    let text = rendered(Verbosity::Detailed, Signal::Logs, &payload);
    assert!(text.starts_with("Logs\t{\"resource logs\": 2, \"log records\": 4}\nResourceLog #0\n"), "{text}");
    assert!(text.contains("\nResourceLog #1\n"), "{text}");
}

/// A request of one resource, one scope and one record, each empty but for what `build` adds.
fn one_record(build: impl FnOnce(&mut Vec<u8>)) -> Payload {
    let mut request = Vec::new();
    wire::put_message(&mut request, 1, |entry| {
        wire::put_message(entry, 2, |scope| wire::put_message(scope, 2, build));
    });
    Payload::from(Bytes::from(request))
}

#[test]
fn what_is_absent_or_unknown_is_left_empty() {
    let span = one_record(|span| wire::put_uint(span, 6, 77));
    let text = rendered(Verbosity::Detailed, Signal::Traces, &span);
    for line in [
        "Resource SchemaURL: ",
        "InstrumentationScope  ",
        "    Trace ID       : ",
        "    Kind           : ",
        "    Start time     : 1970-01-01 00:00:00 +0000 UTC",
        "    Status code    : Unset",
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} in\n{text}");
    }
    assert_eq!(
        rendered(Verbosity::Normal, Signal::Traces, &span),
        "Traces\t{\"resource spans\": 1, \"spans\": 1}\nResourceTraces #0\nScopeTraces #0\n  \n\n"
    );
    let empty = one_record(|_| {});
    let text = rendered(Verbosity::Detailed, Signal::Metrics, &empty);
    assert!(text.ends_with("     -> Unit: \n     -> DataType: Empty\n\n"), "{text}");
    let sum = one_record(|metric| {
        wire::put_message(metric, 7, |sum| {
            wire::put_uint(sum, 2, 9);
            wire::put_message(sum, 1, |_| {});
        });
    });
    let text = rendered(Verbosity::Detailed, Signal::Metrics, &sum);
    assert!(text.contains("     -> AggregationTemporality: \n"), "{text}");
    assert!(!text.contains("Value"), "{text}");
}

#[tokio::test]
async fn writes_to_files_and_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.txt");
    let config = DebugConfig {
        use_internal_logger: false,
        sampling_initial: 1,
        sampling_thereafter: 0,
        output_paths: Some(vec![path.display().to_string()]),
        ..DebugConfig::default()
    };
    let host = Host::for_tests();
    let debug = Debug::new(&config, "debug", Signal::Logs, &host.metrics, &host.control);
    debug.start(&host).await.expect("started");
    for _ in 0..3 {
        debug.export(Batch::new(Signal::Logs, request(Signal::Logs), 2)).await.expect("written");
    }
    debug.drain(tokio::time::Instant::now()).await;
    let text = std::fs::read_to_string(&path).expect("a file");
    assert_eq!(text, "Logs\t{\"resource logs\": 1, \"log records\": 2}\n", "one of three is taken");
    assert_eq!(host.metrics.sum("otelcol_exporter_sent_log_records", &[("exporter", "debug")]), 6);
}

#[tokio::test]
async fn a_path_that_cannot_be_opened_stops_the_start() {
    let config = DebugConfig {
        use_internal_logger: false,
        output_paths: Some(vec!["/nowhere/at/all".into()]),
        ..DebugConfig::default()
    };
    let host = Host::for_tests();
    let debug = Debug::new(&config, "debug", Signal::Logs, &host.metrics, &host.control);
    let error = debug.start(&host).await.expect_err("no such folder").to_string();
    assert!(error.contains("/nowhere/at/all"), "{error}");
}

#[tokio::test]
async fn output_that_fails_is_counted_and_hurts_nobody() {
    let config = DebugConfig {
        use_internal_logger: false,
        output_paths: Some(vec!["/dev/full".into()]),
        ..DebugConfig::default()
    };
    let host = Host::for_tests();
    let debug = Debug::new(&config, "debug", Signal::Logs, &host.metrics, &host.control);
    debug.start(&host).await.expect("a device that is always full");
    debug.export(Batch::new(Signal::Logs, request(Signal::Logs), 2)).await.expect("accepted");
    assert_eq!(host.metrics.sum("otelcol_exporter_send_failed_log_records", &[]), 2);
    assert_eq!(host.metrics.sum("otelcol_exporter_sent_log_records", &[]), 0);
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_internal_logger_gets_counts_as_fields_and_details_as_text() {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .without_time()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        output::log("debug/x", Verbosity::Normal, Signal::Logs, &request(Signal::Logs));
    });
    let text = String::from_utf8(captured.0.lock().expect("not poisoned").clone()).expect("UTF-8");
    assert!(text.contains("debug exporter: Logs"), "{text}");
    assert!(text.contains("otelcol.component.id=\"debug/x\""), "{text}");
    assert!(text.contains("resource logs=1 log records=2"), "{text}");
    assert!(text.contains("ScopeLog #0 lib@1.2.0 k=true\n"), "{text}");
}

#[test]
fn the_example_of_the_readme_is_valid() {
    assert_example_is_valid(&DebugFactory, include_str!("../README.md"), "exporters::debug");
}
