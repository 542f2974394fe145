//! Requests as prost decodes them, and the same through views.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::{common::v1 as common, logs::v1 as logs, metrics::v1 as metrics};
use opentelemetry_proto::tonic::{resource::v1 as resource, trace::v1 as trace};
use prost::Message as _;

use crate::view::{self, AnyValue, Attributes, Data, Number};
use crate::{Counts, Payload, Signal};

/// An item with all that belongs to it: resource, schema, scope, schema, metric without points, record.
pub(super) type Item = [Vec<u8>; 6];

/// A request.
pub(super) enum Decoded {
    Traces(ExportTraceServiceRequest),
    Metrics(ExportMetricsServiceRequest),
    Logs(ExportLogsServiceRequest),
}

/// The encoding of a message, with a mark for one that is absent.
fn encoded<T: prost::Message>(message: &Option<T>) -> Vec<u8> {
    message.as_ref().map_or(vec![0], |message| message.encode_to_vec())
}

impl Decoded {
    pub(super) fn of(signal: Signal, bytes: &[u8]) -> Option<Decoded> {
        Some(match signal {
            Signal::Traces => Decoded::Traces(ExportTraceServiceRequest::decode(bytes).ok()?),
            Signal::Metrics => Decoded::Metrics(ExportMetricsServiceRequest::decode(bytes).ok()?),
            Signal::Logs => Decoded::Logs(ExportLogsServiceRequest::decode(bytes).ok()?),
        })
    }

    /// Encoded again, for comparing: numbers that are not numbers equal themselves there.
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Decoded::Traces(request) => request.encode_to_vec(),
            Decoded::Metrics(request) => request.encode_to_vec(),
            Decoded::Logs(request) => request.encode_to_vec(),
        }
    }

    pub(super) fn items(&self) -> Vec<Item> {
        let mut items = Vec::new();
        match self {
            Decoded::Traces(request) => {
                for entry in &request.resource_spans {
                    for scope in &entry.scope_spans {
                        for span in &scope.spans {
                            items.push([
                                encoded(&entry.resource),
                                entry.schema_url.clone().into(),
                                encoded(&scope.scope),
                                scope.schema_url.clone().into(),
                                Vec::new(),
                                span.encode_to_vec(),
                            ]);
                        }
                    }
                }
            }
            Decoded::Logs(request) => {
                for entry in &request.resource_logs {
                    for scope in &entry.scope_logs {
                        for record in &scope.log_records {
                            items.push([
                                encoded(&entry.resource),
                                entry.schema_url.clone().into(),
                                encoded(&scope.scope),
                                scope.schema_url.clone().into(),
                                Vec::new(),
                                record.encode_to_vec(),
                            ]);
                        }
                    }
                }
            }
            Decoded::Metrics(request) => {
                for entry in &request.resource_metrics {
                    for scope in &entry.scope_metrics {
                        for metric in &scope.metrics {
                            let mut bare = metric.clone();
                            for point in take_points(&mut bare) {
                                items.push([
                                    encoded(&entry.resource),
                                    entry.schema_url.clone().into(),
                                    encoded(&scope.scope),
                                    scope.schema_url.clone().into(),
                                    bare.encode_to_vec(),
                                    point,
                                ]);
                            }
                        }
                    }
                }
            }
        }
        items
    }

    pub(super) fn counts(&self) -> Counts {
        let (resources, scopes, metrics) = match self {
            Decoded::Traces(request) => {
                let entries = &request.resource_spans;
                (entries.len(), entries.iter().map(|entry| entry.scope_spans.len()).sum(), 0)
            }
            Decoded::Logs(request) => {
                let entries = &request.resource_logs;
                (entries.len(), entries.iter().map(|entry| entry.scope_logs.len()).sum(), 0)
            }
            Decoded::Metrics(request) => {
                let entries = &request.resource_metrics;
                let scopes = || entries.iter().flat_map(|entry| &entry.scope_metrics);
                (entries.len(), scopes().count(), scopes().map(|scope| scope.metrics.len()).sum::<usize>())
            }
        };
        Counts {
            items: self.items().len() as u64,
            bytes: 0,
            resources: resources as u64,
            scopes: scopes as u64,
            metrics: metrics as u64,
        }
    }

    /// Builds the request anew from what views show of it.
    pub(super) fn through_views(signal: Signal, payload: &Payload) -> Decoded {
        match signal {
            Signal::Traces => Decoded::Traces(ExportTraceServiceRequest {
                resource_spans: payload
                    .resource_spans()
                    .map(|entry| trace::ResourceSpans {
                        resource: entry.resource().map(resource_of),
                        scope_spans: entry
                            .scopes()
                            .iter()
                            .map(|scope| trace::ScopeSpans {
                                scope: scope.scope().map(scope_of),
                                spans: scope.records().iter().map(span_of).collect(),
                                schema_url: scope.schema_url().to_string(),
                            })
                            .collect(),
                        schema_url: entry.schema_url().to_string(),
                    })
                    .collect(),
            }),
            Signal::Metrics => Decoded::Metrics(ExportMetricsServiceRequest {
                resource_metrics: payload
                    .resource_metrics()
                    .map(|entry| metrics::ResourceMetrics {
                        resource: entry.resource().map(resource_of),
                        scope_metrics: entry
                            .scopes()
                            .iter()
                            .map(|scope| metrics::ScopeMetrics {
                                scope: scope.scope().map(scope_of),
                                metrics: scope.records().iter().map(metric_of).collect(),
                                schema_url: scope.schema_url().to_string(),
                            })
                            .collect(),
                        schema_url: entry.schema_url().to_string(),
                    })
                    .collect(),
            }),
            Signal::Logs => Decoded::Logs(ExportLogsServiceRequest {
                resource_logs: payload
                    .resource_logs()
                    .map(|entry| logs::ResourceLogs {
                        resource: entry.resource().map(resource_of),
                        scope_logs: entry
                            .scopes()
                            .iter()
                            .map(|scope| logs::ScopeLogs {
                                scope: scope.scope().map(scope_of),
                                log_records: scope.records().iter().map(log_record_of).collect(),
                                schema_url: scope.schema_url().to_string(),
                            })
                            .collect(),
                        schema_url: entry.schema_url().to_string(),
                    })
                    .collect(),
            }),
        }
    }
}

fn take_points(metric: &mut metrics::Metric) -> Vec<Vec<u8>> {
    fn take<T: prost::Message>(points: &mut Vec<T>) -> Vec<Vec<u8>> {
        points.drain(..).map(|point| point.encode_to_vec()).collect()
    }
    use metrics::metric::Data;
    match &mut metric.data {
        None => Vec::new(),
        Some(Data::Gauge(gauge)) => take(&mut gauge.data_points),
        Some(Data::Sum(sum)) => take(&mut sum.data_points),
        Some(Data::Histogram(histogram)) => take(&mut histogram.data_points),
        Some(Data::ExponentialHistogram(histogram)) => take(&mut histogram.data_points),
        Some(Data::Summary(summary)) => take(&mut summary.data_points),
    }
}

fn resource_of(view: view::Resource<'_>) -> resource::Resource {
    resource::Resource {
        attributes: attributes_of(view.attributes()),
        dropped_attributes_count: view.dropped_attributes_count(),
        entity_refs: view
            .entity_refs()
            .iter()
            .map(|entity| common::EntityRef {
                schema_url: entity.schema_url().to_string(),
                r#type: entity.kind().to_string(),
                id_keys: entity.id_keys().iter().map(|key| key.to_string()).collect(),
                description_keys: entity.description_keys().iter().map(|key| key.to_string()).collect(),
            })
            .collect(),
    }
}

fn scope_of(view: view::Scope<'_>) -> common::InstrumentationScope {
    common::InstrumentationScope {
        name: view.name().to_string(),
        version: view.version().to_string(),
        attributes: attributes_of(view.attributes()),
        dropped_attributes_count: view.dropped_attributes_count(),
    }
}

fn attributes_of(view: Attributes<'_>) -> Vec<common::KeyValue> {
    view.iter()
        .map(|attribute| common::KeyValue {
            key: attribute.key().to_string(),
            value: attribute.value_raw().map(|_| value_of(attribute.value())),
            key_strindex: attribute.key_strindex(),
        })
        .collect()
}

fn value_of(view: AnyValue<'_>) -> common::AnyValue {
    use common::any_value::Value;
    let value = match view {
        AnyValue::Empty => None,
        AnyValue::String(text) => Some(Value::StringValue(text.to_string())),
        AnyValue::Bool(value) => Some(Value::BoolValue(value)),
        AnyValue::Int(value) => Some(Value::IntValue(value)),
        AnyValue::Double(value) => Some(Value::DoubleValue(value)),
        AnyValue::Array(values) => {
            Some(Value::ArrayValue(common::ArrayValue { values: values.iter().map(value_of).collect() }))
        }
        AnyValue::Map(entries) => {
            Some(Value::KvlistValue(common::KeyValueList { values: attributes_of(entries) }))
        }
        AnyValue::Bytes(value) => Some(Value::BytesValue(value.to_vec())),
        AnyValue::StringIndex(value) => Some(Value::StringValueStrindex(value)),
    };
    common::AnyValue { value }
}

fn span_of(view: view::Span<'_>) -> trace::Span {
    trace::Span {
        trace_id: view.trace_id().to_vec(),
        span_id: view.span_id().to_vec(),
        trace_state: view.trace_state().to_string(),
        parent_span_id: view.parent_span_id().to_vec(),
        flags: view.flags(),
        name: view.name().to_string(),
        kind: view.kind(),
        start_time_unix_nano: view.start_time_unix_nano(),
        end_time_unix_nano: view.end_time_unix_nano(),
        attributes: attributes_of(view.attributes()),
        dropped_attributes_count: view.dropped_attributes_count(),
        events: view
            .events()
            .iter()
            .map(|event| trace::span::Event {
                time_unix_nano: event.time_unix_nano(),
                name: event.name().to_string(),
                attributes: attributes_of(event.attributes()),
                dropped_attributes_count: event.dropped_attributes_count(),
            })
            .collect(),
        dropped_events_count: view.dropped_events_count(),
        links: view
            .links()
            .iter()
            .map(|link| trace::span::Link {
                trace_id: link.trace_id().to_vec(),
                span_id: link.span_id().to_vec(),
                trace_state: link.trace_state().to_string(),
                attributes: attributes_of(link.attributes()),
                dropped_attributes_count: link.dropped_attributes_count(),
                flags: link.flags(),
            })
            .collect(),
        dropped_links_count: view.dropped_links_count(),
        status: view
            .status()
            .map(|status| trace::Status { message: status.message().to_string(), code: status.code() }),
    }
}

fn log_record_of(view: view::LogRecord<'_>) -> logs::LogRecord {
    logs::LogRecord {
        time_unix_nano: view.time_unix_nano(),
        observed_time_unix_nano: view.observed_time_unix_nano(),
        severity_number: view.severity_number(),
        severity_text: view.severity_text().to_string(),
        body: view.body_raw().map(|_| value_of(view.body())),
        attributes: attributes_of(view.attributes()),
        dropped_attributes_count: view.dropped_attributes_count(),
        flags: view.flags(),
        trace_id: view.trace_id().to_vec(),
        span_id: view.span_id().to_vec(),
        event_name: view.event_name().to_string(),
    }
}

fn metric_of(view: view::Metric<'_>) -> metrics::Metric {
    use metrics::metric;
    let data = view.data().map(|data| match data {
        Data::Gauge(gauge) => metric::Data::Gauge(metrics::Gauge {
            data_points: gauge.data_points().iter().map(number_point_of).collect(),
        }),
        Data::Sum(sum) => metric::Data::Sum(metrics::Sum {
            data_points: sum.data_points().iter().map(number_point_of).collect(),
            aggregation_temporality: temporality_of(sum.raw(), 2),
            is_monotonic: sum.is_monotonic(),
        }),
        Data::Histogram(histogram) => metric::Data::Histogram(metrics::Histogram {
            data_points: histogram.data_points().iter().map(histogram_point_of).collect(),
            aggregation_temporality: temporality_of(histogram.raw(), 2),
        }),
        Data::ExponentialHistogram(histogram) => {
            metric::Data::ExponentialHistogram(metrics::ExponentialHistogram {
                data_points: histogram.data_points().iter().map(exponential_point_of).collect(),
                aggregation_temporality: temporality_of(histogram.raw(), 2),
            })
        }
        Data::Summary(summary) => metric::Data::Summary(metrics::Summary {
            data_points: summary.data_points().iter().map(summary_point_of).collect(),
        }),
    });
    metrics::Metric {
        name: view.name().to_string(),
        description: view.description().to_string(),
        unit: view.unit().to_string(),
        metadata: attributes_of(view.metadata()),
        data,
    }
}

/// The number on the wire: the view has one name for all that are not known.
fn temporality_of(raw: &[u8], number: u32) -> i32 {
    crate::wire::Fields::new(raw)
        .filter(|field| field.number() == number)
        .last()
        .map_or(0, |field| field.scalar as i32)
}

fn exemplars_of(view: view::Many<'_, view::Exemplar<'_>>) -> Vec<metrics::Exemplar> {
    use metrics::exemplar::Value;
    view.iter()
        .map(|exemplar| metrics::Exemplar {
            filtered_attributes: attributes_of(exemplar.filtered_attributes()),
            time_unix_nano: exemplar.time_unix_nano(),
            span_id: exemplar.span_id().to_vec(),
            trace_id: exemplar.trace_id().to_vec(),
            value: exemplar.value().map(|value| match value {
                Number::Double(value) => Value::AsDouble(value),
                Number::Int(value) => Value::AsInt(value),
            }),
        })
        .collect()
}

fn number_point_of(view: view::NumberPoint<'_>) -> metrics::NumberDataPoint {
    use metrics::number_data_point::Value;
    metrics::NumberDataPoint {
        attributes: attributes_of(view.attributes()),
        start_time_unix_nano: view.start_time_unix_nano(),
        time_unix_nano: view.time_unix_nano(),
        exemplars: exemplars_of(view.exemplars()),
        flags: view.flags(),
        value: view.value().map(|value| match value {
            Number::Double(value) => Value::AsDouble(value),
            Number::Int(value) => Value::AsInt(value),
        }),
    }
}

fn histogram_point_of(view: view::HistogramPoint<'_>) -> metrics::HistogramDataPoint {
    metrics::HistogramDataPoint {
        attributes: attributes_of(view.attributes()),
        start_time_unix_nano: view.start_time_unix_nano(),
        time_unix_nano: view.time_unix_nano(),
        count: view.count(),
        sum: view.sum(),
        bucket_counts: view.bucket_counts().iter().collect(),
        explicit_bounds: view.explicit_bounds().iter().collect(),
        exemplars: exemplars_of(view.exemplars()),
        flags: view.flags(),
        min: view.min(),
        max: view.max(),
    }
}

fn exponential_point_of(view: view::ExponentialPoint<'_>) -> metrics::ExponentialHistogramDataPoint {
    let buckets = |buckets: view::Buckets<'_>| metrics::exponential_histogram_data_point::Buckets {
        offset: buckets.offset(),
        bucket_counts: buckets.bucket_counts().iter().collect(),
    };
    metrics::ExponentialHistogramDataPoint {
        attributes: attributes_of(view.attributes()),
        start_time_unix_nano: view.start_time_unix_nano(),
        time_unix_nano: view.time_unix_nano(),
        count: view.count(),
        sum: view.sum(),
        scale: view.scale(),
        zero_count: view.zero_count(),
        positive: view.positive().map(buckets),
        negative: view.negative().map(buckets),
        flags: view.flags(),
        exemplars: exemplars_of(view.exemplars()),
        min: view.min(),
        max: view.max(),
        zero_threshold: view.zero_threshold(),
    }
}

fn summary_point_of(view: view::SummaryPoint<'_>) -> metrics::SummaryDataPoint {
    metrics::SummaryDataPoint {
        attributes: attributes_of(view.attributes()),
        start_time_unix_nano: view.start_time_unix_nano(),
        time_unix_nano: view.time_unix_nano(),
        count: view.count(),
        sum: view.sum(),
        quantile_values: view
            .quantile_values()
            .iter()
            .map(|quantile| metrics::summary_data_point::ValueAtQuantile {
                quantile: quantile.quantile(),
                value: quantile.value(),
            })
            .collect(),
        flags: view.flags(),
    }
}
