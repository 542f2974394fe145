//! Files as destination: what was accepted is in them, exactly once, whatever changes meanwhile.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, Behaviour};
use crate::binary::free_port;
use crate::inside::Inside;
use crate::load;

/// How often each span is in the files of `folder`, all of which must be whole lines.
fn spans_in(folder: &Path) -> BTreeMap<u64, u32> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("UTF-8");
        assert!(text.is_empty() || text.ends_with('\n'), "no torn record");
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let items = |value: &serde_json::Value, key: &str| value[key].as_array().expect("a list").clone();
            for resource in items(&line, "resourceSpans") {
                for scope in items(&resource, "scopeSpans") {
                    for span in items(&scope, "spans") {
                        let id = span["spanId"].as_str().expect("text");
                        *found.entry(u64::from_str_radix(id, 16).expect("hexadecimal")).or_default() += 1;
                    }
                }
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_accepted_is_in_the_files_exactly_once_over_rotation_and_changes() {
    let folder = tempfile::tempdir().expect("made");
    let (port, path) = (free_port(), folder.path().join("spans.json"));
    let yaml = |step: usize| {
        format!(
            "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}}}}}}}
processors: {{batch: {{timeout: 5ms, send_batch_size: {}}}}}
exporters:
  file: {{path: '{}', rotation: {{max_megabytes: 1, max_backups: {}}}}}
service:
  pipelines:
    traces: {{receivers: [otlp], processors: {}, exporters: [file]}}
",
            100 + step % 3,
            path.display(),
            1000 + step / 4,
            ["[batch]", "[]"][step / 2 % 2],
        )
    };
    let inside = Inside::start(&yaml(0)).await;
    let stop = CancellationToken::new();
    let load = tokio::spawn(load::run(format!("http://127.0.0.1:{port}"), 4, stop.clone()));
    for step in 1..50 {
        inside.apply(&yaml(step)).await.map_err(drop).expect("applied");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    while inside.metric("phoenix_exporter_file_rotations", &[]) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    let outcome = load.await.expect("no panic");
    assert!(outcome.broken.is_empty() && outcome.rejected.is_empty(), "{:?}", outcome.broken.first());
    let accepted = outcome.accepted_spans();
    let books = inside.empty_books().await;
    let written = inside.metric("otelcol_exporter_sent_spans", &[("exporter", "file")]);
    assert_eq!(written, accepted.len() as i64, "{books:?}");
    assert_eq!(inside.shutdown(Duration::from_secs(10)).await.items, 0);
    let found = spans_in(folder.path());
    assert!(found.len() == accepted.len() && found.values().all(|count| *count == 1), "each exactly once");
    assert!(accepted.iter().all(|id| found.contains_key(id)));
    assert!(std::fs::read_dir(folder.path()).expect("a folder").count() > 1, "it was rotated");
}

/// From a collector's files into another pipeline: the files rotate, the backend refuses, and both ends
/// are replaced meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_is_read_again_exactly_once() {
    let backend = Backend::start().await;
    backend.behave(Behaviour::RefuseOneIn(5));
    let folder = tempfile::tempdir().expect("made");
    let port = free_port();
    let yaml = |step: usize| {
        format!(
            "
receivers:
  otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}}}}}
  otlp_json_file: {{include: ['{folder}/*.json'], start_at: beginning, poll_interval: {}ms}}
exporters:
  file: {{path: '{folder}/spans.json', rotation: {{max_megabytes: 1, max_backups: {}}}}}
  otlp:
    endpoint: '{}'
    tls: {{insecure: true}}
    compression: none
    sending_queue: {{enabled: false}}
    retry_on_failure: {{enabled: false}}
service:
  pipelines:
    traces: {{receivers: [otlp], exporters: [file]}}
    traces/read: {{receivers: [otlp_json_file], exporters: [otlp]}}
",
            5 + step % 4,
            100 + step / 4,
            backend.address(),
            folder = folder.path().display(),
        )
    };
    let inside = Inside::start(&yaml(0)).await;
    let stop = CancellationToken::new();
    let load = tokio::spawn(load::run(format!("http://127.0.0.1:{port}"), 2, stop.clone()));
    for step in 1..40 {
        inside.apply(&yaml(step)).await.map_err(drop).expect("applied");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    while inside.metric("phoenix_exporter_file_rotations", &[]) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    let outcome = load.await.expect("no panic");
    assert!(outcome.broken.is_empty(), "{:?}", outcome.broken.first());
    backend.behave(Behaviour::Accept);
    let accepted = outcome.accepted_spans();
    backend.wait_for_spans(accepted.len()).await;
    inside.empty_books().await;
    let read = [("receiver", "otlp_json_file")];
    assert_eq!(inside.metric("otelcol_receiver_accepted_spans", &read), accepted.len() as i64);
    assert_eq!(inside.metric("phoenix_receiver_malformed_requests", &read), 0);
    assert!(inside.metric("phoenix_receiver_otlp_json_file_retries", &read) > 0, "the backend refused");
    inside.shutdown(Duration::from_secs(10)).await;
    let came = backend.spans();
    assert!(came.len() == accepted.len() && came.values().all(|count| *count == 1), "each exactly once");
}
