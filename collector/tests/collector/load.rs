//! A client made with tonic that sends spans with identifiers of their own, and knows which were accepted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

/// Spans of one request.
pub(crate) const SPANS: u64 = 5;

/// A request of [`SPANS`] spans, whose identifiers follow from `number`.
pub(crate) fn request(number: u64) -> ExportTraceServiceRequest {
    let attribute = |key: &str, text: &str| KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(Value::StringValue(text.into())) }),
        ..Default::default()
    };
    let span = |index: u64| Span {
        trace_id: (u128::from(number) + 1).to_be_bytes().to_vec(),
        span_id: (number * SPANS + index + 1).to_be_bytes().to_vec(),
        name: "GET /orders".into(),
        start_time_unix_nano: 1_760_000_000_000_000_000,
        end_time_unix_nano: 1_760_000_000_100_000_000,
        attributes: vec![attribute("http.request.method", "GET")],
        ..Default::default()
    };
    let scope = ScopeSpans { spans: (0..SPANS).map(span).collect(), ..Default::default() };
    let resource = Resource { attributes: vec![attribute("service.name", "orders")], ..Default::default() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![scope],
            ..Default::default()
        }],
    }
}

/// The same with an attribute of its resource that is so many bytes long, where that is not 0.
#[allow(dead_code, reason = "for the fault suite, which shares this file")]
pub(crate) fn padded_request(number: u64, padding: usize) -> ExportTraceServiceRequest {
    let mut request = request(number);
    if let Some(resource) = request.resource_spans[0].resource.as_mut().filter(|_| padding > 0) {
        let value = Some(AnyValue { value: Some(Value::StringValue("x".repeat(padding))) });
        resource.attributes.push(KeyValue { key: "padding".into(), value, ..Default::default() });
    }
    request
}

/// A request with an attribute of lists within lists, deeper than anybody may nest.
pub(crate) fn over_deep() -> ExportTraceServiceRequest {
    let nest = |value, _| Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(value) }] });
    let deep = (0..150).fold(Value::BoolValue(true), nest);
    let mut request = request(1);
    request.resource_spans[0].scope_spans[0].spans[0].attributes[0].value =
        Some(AnyValue { value: Some(deep) });
    request
}

/// What became of a load.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Numbers of the requests that were accepted.
    pub(crate) accepted: Vec<u64>,
    /// Refusals that say try again, as protocol answers.
    pub(crate) refused: u64,
    /// What they said, and how often.
    pub(crate) refusals: BTreeMap<String, u64>,
    /// Final refusals.
    pub(crate) rejected: Vec<u64>,
    /// Errors of the connection, which no answer of a collector may look like.
    pub(crate) broken: Vec<Status>,
}

impl Outcome {
    fn add(&mut self, other: Outcome) {
        self.accepted.extend(other.accepted);
        self.refused += other.refused;
        for (text, count) in other.refusals {
            *self.refusals.entry(text).or_default() += count;
        }
        self.rejected.extend(other.rejected);
        self.broken.extend(other.broken);
    }

    /// The identifiers of all spans that were accepted, sorted.
    pub(crate) fn accepted_spans(&self) -> Vec<u64> {
        let mut ids: Vec<u64> =
            self.accepted.iter().flat_map(|n| (0..SPANS).map(move |i| n * SPANS + i + 1)).collect();
        ids.sort_unstable();
        ids
    }
}

/// Sends from `clients` connections, one request after the other on each, until `stop`. A request that is
/// refused for now is sent again, as SDKs do; after `stop` nothing new is begun.
pub(crate) async fn run(endpoint: String, clients: usize, stop: CancellationToken) -> Outcome {
    run_from(0, endpoint, clients, stop).await
}

/// The same with numbers from `first` on, for several loads at a time.
pub(crate) async fn run_from(
    first: u64,
    endpoint: String,
    clients: usize,
    stop: CancellationToken,
) -> Outcome {
    let next = Arc::new(AtomicU64::new(first));
    let tasks: Vec<_> =
        (0..clients).map(|_| tokio::spawn(client(endpoint.clone(), next.clone(), stop.clone()))).collect();
    let mut outcome = Outcome::default();
    for task in tasks {
        outcome.add(task.await.expect("no panic"));
    }
    outcome
}

async fn client(endpoint: String, next: Arc<AtomicU64>, stop: CancellationToken) -> Outcome {
    let channel = tonic::transport::Endpoint::from_shared(endpoint).expect("an endpoint").connect_lazy();
    let mut client = TraceServiceClient::new(channel);
    let mut outcome = Outcome::default();
    while !stop.is_cancelled() {
        let number = next.fetch_add(1, Ordering::Relaxed);
        loop {
            match client.export(request(number)).await {
                Ok(_) => outcome.accepted.push(number),
                Err(status) if is_broken(&status) => outcome.broken.push(status),
                Err(status) if matches!(status.code(), Code::Unavailable | Code::ResourceExhausted) => {
                    outcome.refused += 1;
                    *outcome.refusals.entry(status.message().to_owned()).or_default() += 1;
                    if !stop.is_cancelled() {
                        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                        continue;
                    }
                }
                Err(_) => outcome.rejected.push(number),
            }
            break;
        }
    }
    outcome
}

/// Whether the error comes from the connection and not from the collector's answer.
fn is_broken(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}
