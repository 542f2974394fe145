//! A tail sampler that is killed while spans wait on its disk: what was there is decided by the next process, and nothing
//! of it comes twice, since nothing of it had been let out.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Status, status::StatusCode};

use crate::binary::{Running, collector};
use crate::books;
use crate::load::{self, SPANS};
use crate::scene::{Scene, spans_of};

/// Traces of a request, requests, and bytes of text in each span: 18 MB, over four times the memory.
const TRACES: u64 = 40;
const REQUESTS: u64 = 150;
const TEXT: usize = 600;
const MEMORY: u64 = 4_000_000;
/// Of so many traces one has an error, and is kept.
const ERRORS_ONE_IN: u64 = 4;

const RESTORED: &str = "phoenix_processor_tail_sampling_spill_restored_spans";
const IN_MEMORY: &str = "phoenix_processor_tail_sampling_buffer_bytes";
const WAITING: &str = "otelcol_processor_tail_sampling_sampling_traces_on_memory";
const SPANS_DECIDED: &str = "otelcol_processor_tail_sampling_count_spans_sampled";

fn is_error(trace: u64) -> bool {
    trace.is_multiple_of(ERRORS_ONE_IN)
}

/// The request of that number; text that does not compress to nothing.
fn request(number: u64) -> ExportTraceServiceRequest {
    let mut whole = load::request(number * TRACES);
    for trace in number * TRACES..(number + 1) * TRACES {
        let mut part = load::request(trace);
        let spans = &mut part.resource_spans[0].scope_spans[0].spans;
        for (index, span) in (0_u64..).zip(spans.iter_mut()) {
            let mut state = trace * SPANS + index;
            let text = std::iter::repeat_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from(b'a' + (state >> 59) as u8 % 26)
            });
            let value = Some(AnyValue { value: Some(Value::StringValue(text.take(TEXT).collect())) });
            span.attributes.push(KeyValue { key: "text".into(), value, ..Default::default() });
            if is_error(trace) {
                span.status = Some(Status { code: StatusCode::Error as i32, ..Default::default() });
            }
        }
        let all = &mut whole.resource_spans[0].scope_spans[0].spans;
        if trace == number * TRACES {
            all.clear();
        }
        all.append(spans);
    }
    whole
}

/// Starts a collector whose sampler waits for so long.
fn start(scene: &Scene, wait: &str) -> Running {
    let path = scene.write(&format!(
        "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{}'}}}}}}}}
extensions: {{file_storage: {{directory: '{}', create_directory: true}}}}
processors:
  tail_sampling:
    decision_wait: {wait}
    buffer: {{max_bytes: {MEMORY}, spill: {{storage: file_storage}}}}
    policies: [{{name: errors, type: status_code, status_code: {{status_codes: [ERROR]}}}}]
exporters: {{otlp: {{endpoint: '{}', tls: {{insecure: true}}, compression: none}}}}
service:
  {}
  extensions: [file_storage]
  pipelines: {{traces: {{receivers: [otlp], processors: [tail_sampling], exporters: [otlp]}}}}
",
        scene.port,
        scene.queue.display(),
        scene.backend.address(),
        scene.telemetry(),
    ));
    collector().arg(format!("--config={}", path.display())).start_with_metrics()
}

/// Sends, and does not run ahead of the disk: where memory is short traces are decided early.
async fn send(scene: &Scene, numbers: impl Iterator<Item = u64>) {
    let endpoint = format!("http://127.0.0.1:{}", scene.port);
    let mut client = TraceServiceClient::connect(endpoint).await.expect("it listens");
    for number in numbers {
        until(scene, "memory is freed", |sum| sum(IN_MEMORY) <= 0.65 * MEMORY as f64).await;
        client.export(request(number)).await.expect("there is room");
    }
}

/// Waits until the metrics are so.
async fn until(scene: &Scene, what: &str, holds: impl Fn(&dyn Fn(&str) -> f64) -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let sums = books::scrape(scene.metrics).unwrap_or_default();
        if holds(&|name| sums.get(name).copied().unwrap_or_default()) {
            return;
        }
        assert!(Instant::now() < end, "{what}: {sums:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until everything that a process found on the disk, or took in itself, is decided, and delivered where it was kept; the
/// spans that it found.
async fn all_is_decided(scene: &Scene, own: u64, least: u64, before: u64) -> u64 {
    until(scene, "what was on the disk is decided and delivered", |sum| {
        let is_decided = sum(SPANS_DECIDED) == sum(RESTORED) + own as f64 && sum(WAITING) == 0.0;
        is_decided
            && sum(RESTORED) >= least as f64
            && scene.backend.spans().len() as u64 == before + kept_spans(scene)
    })
    .await;
    let sums = books::scrape(scene.metrics).expect("it runs");
    sums.get(RESTORED).copied().unwrap_or_default() as u64
}

/// The spans that the sampler has kept, as it says.
fn kept_spans(scene: &Scene) -> u64 {
    let all = books::scrape_series(scene.metrics).unwrap_or_default();
    let kept = all
        .iter()
        .filter(|(series, _)| series.starts_with(SPANS_DECIDED) && series.contains("sampled=\"true\""));
    kept.map(|(_, value)| *value as u64).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_on_the_disk_of_a_sampler_survives_a_kill() {
    let scene = Scene::new("", "").await;
    let running = start(&scene, "1h");
    send(&scene, 0..REQUESTS).await;
    assert_eq!(scene.backend.spans().len(), 0, "nothing is decided");
    drop(running);

    let (sent, own) = (REQUESTS * TRACES * SPANS, TRACES * SPANS);
    // What was in memory is lost, with what was on its way to the disk: no more than memory has room for.
    let least = sent - MEMORY / TEXT as u64;
    let running = start(&scene, "10ms");
    send(&scene, REQUESTS..=REQUESTS).await;
    let restored = all_is_decided(&scene, own, least, 0).await;
    assert_eq!(running.terminate(), 0, "and nothing is lost at the end");
    let delivered = scene.backend.spans().len() as u64;
    assert!(delivered >= least / ERRORS_ONE_IN, "{delivered} of {restored} that were there");

    // The next one finds nothing that was decided.
    let running = start(&scene, "10ms");
    send(&scene, REQUESTS + 1..=REQUESTS + 1).await;
    let restored = restored + all_is_decided(&scene, own, 0, delivered).await;
    assert_eq!(running.terminate(), 0);
    assert!(restored < sent, "what was in memory is lost: {restored} of {sent}");
    let errors = (0..(REQUESTS + 2) * TRACES).filter(|trace| is_error(*trace));
    let errors: BTreeSet<u64> = errors.flat_map(spans_of).collect();
    let came = scene.backend.spans();
    assert!(came.iter().all(|(span, count)| *count == 1 && errors.contains(span)), "errors, and each once");
    eprintln!(
        "{sent} spans accepted, {restored} on the disk at the kill, {} of them with errors came",
        came.len()
    );
}
