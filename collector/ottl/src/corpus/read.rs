//! The JSON of the corpus from requests, decoded by prost.

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, exponential_histogram_data_point::Buckets, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use phoenix_pdata::Signal;
use prost::Message;
use serde_json::{Value as Json, json};

use crate::Value;
use crate::functions::encode::hex;
use crate::functions::time::format::rfc3339_nano;

/// A value as the corpus writes it.
pub(super) fn to_json(value: Value<'_>) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Double(value) => double(value),
        Value::String(text) => json!(text),
        Value::Bytes(bytes) => json!({ "$bytes": hex(&bytes) }),
        Value::Map(map) => {
            Json::Object(map.into_iter().map(|(key, value)| (key.into_owned(), to_json(value))).collect())
        }
        Value::List(values) => Json::Array(values.into_iter().map(to_json).collect()),
        Value::Time(mut time) => {
            time.zone = crate::Zone::Utc;
            json!({ "$time": rfc3339_nano(&time) })
        }
        Value::Duration(nanos) => json!({ "$duration_ns": nanos }),
        Value::TraceId(id) => json!({ "$trace_id": hex(&id) }),
        Value::SpanId(id) => json!({ "$span_id": hex(&id) }),
        Value::ProfileId(id) => json!({ "$profile_id": hex(&id) }),
        Value::Handle(handle) => json!({ "$handle": format!("{:?}", handle.kind()) }),
    }
}

fn double(value: f64) -> Json {
    match value {
        value if value.is_nan() => json!({ "$double": "NaN" }),
        f64::INFINITY => json!({ "$double": "Infinity" }),
        f64::NEG_INFINITY => json!({ "$double": "-Infinity" }),
        value => json!({ "$double": value }),
    }
}

fn any(value: Option<&AnyValue>) -> Json {
    use any_value::Value::{
        ArrayValue, BoolValue, BytesValue, DoubleValue, IntValue, KvlistValue, StringValue,
        StringValueStrindex,
    };
    match value.and_then(|value| value.value.as_ref()) {
        None | Some(StringValueStrindex(_)) => Json::Null,
        Some(StringValue(text)) => json!(text),
        Some(BoolValue(value)) => json!(value),
        Some(IntValue(value)) => json!(value),
        Some(DoubleValue(value)) => double(*value),
        Some(BytesValue(bytes)) => json!({ "$bytes": hex(bytes) }),
        Some(ArrayValue(array)) => Json::Array(array.values.iter().map(|value| any(Some(value))).collect()),
        Some(KvlistValue(list)) => attributes(&list.values),
    }
}

fn attributes(list: &[KeyValue]) -> Json {
    Json::Object(list.iter().map(|entry| (entry.key.clone(), any(entry.value.as_ref()))).collect())
}

fn resource(resource: Option<&Resource>, schema_url: &str) -> Json {
    let resource = resource.cloned().unwrap_or_default();
    json!({
        "attributes": attributes(&resource.attributes),
        "dropped_attributes_count": resource.dropped_attributes_count,
        "schema_url": schema_url,
    })
}

fn scope(scope: Option<&InstrumentationScope>, schema_url: &str) -> Json {
    let scope = scope.cloned().unwrap_or_default();
    json!({
        "name": scope.name,
        "version": scope.version,
        "attributes": attributes(&scope.attributes),
        "dropped_attributes_count": scope.dropped_attributes_count,
        "schema_url": schema_url,
    })
}

/// The parts of the first record of a request, and of the event or point with this index.
pub(super) fn sections(signal: Signal, request: &[u8], index: Option<u64>) -> Json {
    match signal {
        Signal::Logs => {
            let request = ExportLogsServiceRequest::decode(request).unwrap();
            let entry = &request.resource_logs[0];
            let scopes = &entry.scope_logs[0];
            let log = &scopes.log_records[0];
            json!({
                "resource": resource(entry.resource.as_ref(), &entry.schema_url),
                "scope": scope(scopes.scope.as_ref(), &scopes.schema_url),
                "log": {
                    "time_unix_nano": log.time_unix_nano,
                    "observed_time_unix_nano": log.observed_time_unix_nano,
                    "severity_number": log.severity_number,
                    "severity_text": log.severity_text,
                    "body": any(log.body.as_ref()),
                    "attributes": attributes(&log.attributes),
                    "dropped_attributes_count": log.dropped_attributes_count,
                    "flags": log.flags,
                    "trace_id": hex(&log.trace_id),
                    "span_id": hex(&log.span_id),
                    "event_name": log.event_name,
                },
            })
        }
        Signal::Traces => {
            let request = ExportTraceServiceRequest::decode(request).unwrap();
            let entry = &request.resource_spans[0];
            let scopes = &entry.scope_spans[0];
            let span = &scopes.spans[0];
            let status = span.status.clone().unwrap_or_default();
            json!({
                "resource": resource(entry.resource.as_ref(), &entry.schema_url),
                "scope": scope(scopes.scope.as_ref(), &scopes.schema_url),
                "span": {
                    "trace_id": hex(&span.trace_id),
                    "span_id": hex(&span.span_id),
                    "parent_span_id": hex(&span.parent_span_id),
                    "trace_state": span.trace_state,
                    "name": span.name,
                    "kind": span.kind,
                    "start_time_unix_nano": span.start_time_unix_nano,
                    "end_time_unix_nano": span.end_time_unix_nano,
                    "attributes": attributes(&span.attributes),
                    "dropped_attributes_count": span.dropped_attributes_count,
                    "dropped_events_count": span.dropped_events_count,
                    "dropped_links_count": span.dropped_links_count,
                    "flags": span.flags,
                    "status": { "code": status.code, "message": status.message },
                },
                "spanevent": index.map(|index| event(&span.events[index as usize])),
            })
        }
        Signal::Metrics => {
            let request = ExportMetricsServiceRequest::decode(request).unwrap();
            let entry = &request.resource_metrics[0];
            let scopes = &entry.scope_metrics[0];
            let first = metric(&scopes.metrics[0]);
            json!({
                "resource": resource(entry.resource.as_ref(), &entry.schema_url),
                "scope": scope(scopes.scope.as_ref(), &scopes.schema_url),
                "datapoint": index.map(|index| first["data_points"][index as usize].clone()),
                "metric": first,
                "appended_metrics": scopes.metrics[1..].iter().map(metric).collect::<Vec<_>>(),
            })
        }
    }
}

fn event(event: &Event) -> Json {
    json!({
        "name": event.name,
        "time_unix_nano": event.time_unix_nano,
        "attributes": attributes(&event.attributes),
        "dropped_attributes_count": event.dropped_attributes_count,
    })
}

fn metric(metric: &Metric) -> Json {
    use metric::Data::{ExponentialHistogram, Gauge, Histogram, Sum, Summary};
    let (kind, temporality, is_monotonic, points) = match metric.data.as_ref() {
        None => (None, None, None, Vec::new()),
        Some(Gauge(gauge)) => (Some("gauge"), None, None, gauge.data_points.iter().map(number).collect()),
        Some(Sum(sum)) => (
            Some("sum"),
            Some(sum.aggregation_temporality),
            Some(sum.is_monotonic),
            sum.data_points.iter().map(number).collect(),
        ),
        Some(Histogram(histogram)) => (
            Some("histogram"),
            Some(histogram.aggregation_temporality),
            None,
            histogram
                .data_points
                .iter()
                .map(|point| {
                    json!({
                        "attributes": attributes(&point.attributes),
                        "start_time_unix_nano": point.start_time_unix_nano,
                        "time_unix_nano": point.time_unix_nano,
                        "count": point.count,
                        "sum": point.sum.map(double),
                        "min": point.min.map(double),
                        "max": point.max.map(double),
                        "bucket_counts": point.bucket_counts,
                        "explicit_bounds": point.explicit_bounds.iter().copied().map(double).collect::<Vec<_>>(),
                        "flags": point.flags,
                    })
                })
                .collect(),
        ),
        Some(ExponentialHistogram(histogram)) => (
            Some("exponential_histogram"),
            Some(histogram.aggregation_temporality),
            None,
            histogram
                .data_points
                .iter()
                .map(|point| {
                    json!({
                        "attributes": attributes(&point.attributes),
                        "start_time_unix_nano": point.start_time_unix_nano,
                        "time_unix_nano": point.time_unix_nano,
                        "count": point.count,
                        "sum": point.sum.map(double),
                        "min": point.min.map(double),
                        "max": point.max.map(double),
                        "scale": point.scale,
                        "zero_count": point.zero_count,
                        "zero_threshold": double(point.zero_threshold),
                        "positive": buckets(point.positive.as_ref()),
                        "negative": buckets(point.negative.as_ref()),
                        "flags": point.flags,
                    })
                })
                .collect(),
        ),
        Some(Summary(summary)) => (
            Some("summary"),
            None,
            None,
            summary
                .data_points
                .iter()
                .map(|point| {
                    json!({
                        "attributes": attributes(&point.attributes),
                        "start_time_unix_nano": point.start_time_unix_nano,
                        "time_unix_nano": point.time_unix_nano,
                        "count": point.count,
                        "sum": double(point.sum),
                        "quantile_values": point.quantile_values.iter().map(|at| {
                            json!({ "quantile": double(at.quantile), "value": double(at.value) })
                        }).collect::<Vec<_>>(),
                        "flags": point.flags,
                    })
                })
                .collect(),
        ),
    };
    json!({
        "name": metric.name,
        "description": metric.description,
        "unit": metric.unit,
        "type": kind,
        "aggregation_temporality": temporality,
        "is_monotonic": is_monotonic,
        "metadata": attributes(&metric.metadata),
        "data_points": points,
    })
}

fn buckets(buckets: Option<&Buckets>) -> Json {
    buckets.map_or(
        Json::Null,
        |buckets| json!({ "offset": buckets.offset, "bucket_counts": buckets.bucket_counts }),
    )
}

fn number(point: &opentelemetry_proto::tonic::metrics::v1::NumberDataPoint) -> Json {
    let (as_double, as_int) = match point.value {
        Some(number_data_point::Value::AsDouble(value)) => (Some(double(value)), None),
        Some(number_data_point::Value::AsInt(value)) => (None, Some(value)),
        None => (None, None),
    };
    json!({
        "attributes": attributes(&point.attributes),
        "start_time_unix_nano": point.start_time_unix_nano,
        "time_unix_nano": point.time_unix_nano,
        "value_double": as_double,
        "value_int": as_int,
        "flags": point.flags,
    })
}
