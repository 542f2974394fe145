use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::logs::v1 as logs;
use opentelemetry_proto::tonic::metrics::v1 as metrics;
use opentelemetry_proto::tonic::resource::v1 as resource;
use opentelemetry_proto::tonic::trace::v1 as trace;
use phoenix_pdata::{Payload, deal};
use prost::Message;

use super::*;

fn attribute(key: &str, value: &str) -> common::KeyValue {
    let value = common::any_value::Value::StringValue(value.to_owned());
    let value = Some(common::AnyValue { value: Some(value) });
    common::KeyValue { key: key.to_owned(), value, ..common::KeyValue::default() }
}

fn resource(service: Option<&str>) -> Option<resource::Resource> {
    let attributes = service.map(|name| attribute("service.name", name)).into_iter().collect();
    Some(resource::Resource { attributes, ..resource::Resource::default() })
}

/// The keys that are asked for, in order; all go to one place.
fn keys(signal: Signal, key: RoutingKey, attributes: &[&str], request: &impl Message) -> Vec<String> {
    let names: Vec<String> = attributes.iter().map(|name| (*name).to_owned()).collect();
    let payload = Payload::from(Bytes::from(request.encode_to_vec()));
    let mut seen = Vec::new();
    let mut by_key = ByKey::new(signal, key, &names, 7, |key| {
        seen.push(match std::str::from_utf8(key) {
            Ok(text) if !key.contains(&0) => text.to_owned(),
            _ => key.iter().map(|byte| format!("{byte:02x}")).collect(),
        });
        0
    });
    let dealt = deal(signal, payload, 1, &mut by_key);
    assert_eq!(dealt.len(), 1);
    seen
}

fn span(id: u8, name: &str, tenant: Option<&str>) -> trace::Span {
    trace::Span {
        trace_id: vec![id; 16],
        name: name.to_owned(),
        kind: 2,
        attributes: tenant.map(|tenant| attribute("tenant", tenant)).into_iter().collect(),
        ..trace::Span::default()
    }
}

fn traces(service: Option<&str>, spans: Vec<trace::Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![trace::ScopeSpans { spans, ..trace::ScopeSpans::default() }];
    let entry =
        trace::ResourceSpans { resource: resource(service), scope_spans, ..trace::ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![entry] }
}

#[test]
fn spans_go_by_trace_and_runs_of_a_trace_are_asked_for_once() {
    let request = traces(None, vec![span(0, "a", None), span(0, "b", None), span(1, "c", None)]);
    let seen = keys(Signal::Traces, RoutingKey::TraceId, &[], &request);
    assert_eq!(seen, ["00".repeat(16), "\u{1}".repeat(16)]);
}

#[test]
fn a_service_is_routed_by_its_resource() {
    let request = traces(Some("cart"), vec![span(0, "a", None), span(1, "c", None)]);
    assert_eq!(keys(Signal::Traces, RoutingKey::Service, &[], &request), ["cart"]);
    assert_eq!(keys(Signal::Traces, RoutingKey::Service, &[], &traces(None, vec![span(0, "a", None)])), [""]);
}

#[test]
fn attributes_come_from_the_outermost_place_that_has_them() {
    let spans = vec![span(0, "GET", Some("acme")), span(0, "PUT", None)];
    let request = traces(Some("cart"), spans);
    let attributes = ["service.name", "tenant", "span.kind", "span.name"];
    assert_eq!(
        keys(Signal::Traces, RoutingKey::Attributes, &attributes, &request),
        [
            "service.name=cart|tenant=acme|span.kind=Server|span.name=GET|",
            "service.name=cart|tenant=|span.kind=Server|span.name=PUT|"
        ]
    );
    let whole = keys(Signal::Traces, RoutingKey::Attributes, &["service.name"], &request);
    assert_eq!(whole, ["service.name=cart|"], "the resource is not looked into");
}

#[test]
fn log_records_without_a_trace_share_a_key_of_the_request() {
    let record = |trace_id: Vec<u8>| logs::LogRecord {
        trace_id,
        severity_text: "WARN".to_owned(),
        body: Some(common::AnyValue { value: Some(common::any_value::Value::IntValue(-3)) }),
        ..logs::LogRecord::default()
    };
    let log_records = vec![record(vec![]), record(vec![1; 16]), record(vec![0; 16])];
    let scope_logs = vec![logs::ScopeLogs { log_records, ..logs::ScopeLogs::default() }];
    let entry =
        logs::ResourceLogs { resource: resource(Some("a")), scope_logs, ..logs::ResourceLogs::default() };
    let request = ExportLogsServiceRequest { resource_logs: vec![entry] };
    let random = format!("{:016x}{:016x}", 7, 0);
    let seen = keys(Signal::Logs, RoutingKey::TraceId, &[], &request);
    assert_eq!(seen, [random.clone(), "\u{1}".repeat(16), random]);
    let seen = keys(Signal::Logs, RoutingKey::Attributes, &["log.severity", "log.body"], &request);
    assert_eq!(seen[0], "log.severity=WARN|log.body=-3|");
}

#[test]
fn metrics_go_by_name_by_stream_or_by_attributes_of_points() {
    let point = |tenant| metrics::NumberDataPoint {
        attributes: vec![attribute("tenant", tenant)],
        ..metrics::NumberDataPoint::default()
    };
    let gauge = metrics::Gauge { data_points: vec![point("a"), point("b"), point("a")] };
    let metric = metrics::Metric {
        name: "m".to_owned(),
        data: Some(metrics::metric::Data::Gauge(gauge)),
        ..metrics::Metric::default()
    };
    let scope_metrics =
        vec![metrics::ScopeMetrics { metrics: vec![metric], ..metrics::ScopeMetrics::default() }];
    let entry = metrics::ResourceMetrics {
        resource: resource(Some("a")),
        scope_metrics,
        ..metrics::ResourceMetrics::default()
    };
    let request = ExportMetricsServiceRequest { resource_metrics: vec![entry] };
    assert_eq!(keys(Signal::Metrics, RoutingKey::Metric, &[], &request), ["m"]);
    let streams = keys(Signal::Metrics, RoutingKey::Stream, &[], &request);
    assert!(streams[0] == streams[2] && streams[0] != streams[1], "{streams:?}");
    assert!(streams.iter().all(|key| key.starts_with("stream/")), "{streams:?}");
    let seen = keys(Signal::Metrics, RoutingKey::Attributes, &["tenant"], &request);
    assert_eq!(seen, ["tenant=a|", "tenant=b|", "tenant=a|"]);
    let resources = keys(Signal::Metrics, RoutingKey::Resource, &[], &request);
    assert!(resources.len() == 1 && resources[0].starts_with("resource/"), "{resources:?}");
}
