//! Writes OTLP/JSON from views, as otelcol does: its order of fields, with what holds nothing left out, except
//! for the messages that it keeps by value (resource, scope, status, values, buckets), which are always there.

use super::number::{put_double, put_int, put_uint};
use super::radix::{put_base64, put_hex};
use super::text::put_text;
use crate::view::{
    AnyValue, Attributes, Buckets, Data, EntityRef, Event, Exemplar, ExponentialPoint, HistogramPoint,
    KeyValue, Link, LogRecord, Many, Metric, Number, NumberPoint, Numbers, Quantile, Resource, ResourceEntry,
    Scope, ScopeEntry, Span, Status, SummaryPoint, Text, Texts, View,
};
use crate::wire::{Fields, MAX_DEPTH};
use crate::{Payload, Signal};

/// Appends a request.
pub(super) fn encode(signal: Signal, payload: &Payload, out: &mut Vec<u8>) {
    let mut out = Writer { out, depth: 0 };
    out.object(|out| match signal {
        Signal::Traces => out.array("\"resourceSpans\":", payload.resource_spans(), |out, entry| {
            out.entry(entry, "\"scopeSpans\":", "\"spans\":", Writer::span);
        }),
        Signal::Metrics => out.array("\"resourceMetrics\":", payload.resource_metrics(), |out, entry| {
            out.entry(entry, "\"scopeMetrics\":", "\"metrics\":", Writer::metric);
        }),
        Signal::Logs => out.array("\"resourceLogs\":", payload.resource_logs(), |out, entry| {
            out.entry(entry, "\"scopeLogs\":", "\"logRecords\":", Writer::log_record);
        }),
    });
}

/// Writes values, each followed by a comma; the end of what they are in takes the place of the last one.
///
/// `name` is always a name in quotes and the colon after it.
struct Writer<'o> {
    out: &'o mut Vec<u8>,
    /// How many values are open. Requests that nobody validated might nest without bound.
    depth: u32,
}

impl Writer<'_> {
    #[inline(always)]
    fn name(&mut self, name: &'static str) {
        self.out.extend_from_slice(name.as_bytes());
    }

    #[inline(always)]
    fn comma(&mut self) {
        self.out.push(b',');
    }

    /// Ends an object or an array, and the value that it is.
    #[inline(always)]
    fn end(&mut self, bracket: u8) {
        match self.out.last_mut() {
            Some(last) if *last == b',' => *last = bracket,
            _ => self.out.push(bracket),
        }
    }

    #[inline(always)]
    fn object(&mut self, fields: impl FnOnce(&mut Self)) {
        self.out.push(b'{');
        fields(self);
        self.end(b'}');
    }

    /// A message that is there even if it holds nothing.
    #[inline(always)]
    fn message<T>(&mut self, name: &'static str, message: Option<T>, fields: impl FnOnce(&mut Self, T)) {
        self.name(name);
        self.object(|out| {
            if let Some(message) = message {
                fields(out, message);
            }
        });
        self.comma();
    }

    #[inline(always)]
    fn array<T>(
        &mut self,
        name: &'static str,
        messages: impl IntoIterator<Item = T>,
        mut fields: impl FnMut(&mut Self, T),
    ) {
        let mut messages = messages.into_iter().peekable();
        if messages.peek().is_none() {
            return;
        }
        self.name(name);
        self.out.push(b'[');
        for message in messages {
            self.object(|out| fields(out, message));
            self.comma();
        }
        self.end(b']');
        self.comma();
    }

    #[inline(always)]
    fn text(&mut self, name: &'static str, text: Text<'_>) {
        if !text.is_empty() {
            self.name(name);
            put_text(self.out, text.as_bytes());
            self.comma();
        }
    }

    fn texts(&mut self, name: &'static str, texts: Texts<'_>) {
        if texts.is_empty() {
            return;
        }
        self.name(name);
        self.out.push(b'[');
        for text in texts {
            put_text(self.out, text.as_bytes());
            self.comma();
        }
        self.end(b']');
        self.comma();
    }

    /// An identifier, unless it is all zeros.
    fn id(&mut self, name: &'static str, id: &[u8]) {
        if id.iter().any(|byte| *byte != 0) {
            self.name(name);
            self.out.push(b'"');
            put_hex(self.out, id);
            self.out.extend_from_slice(b"\",");
        }
    }

    #[inline(always)]
    fn uint32(&mut self, name: &'static str, value: u32) {
        if value != 0 {
            self.name(name);
            put_uint(self.out, value.into());
            self.comma();
        }
    }

    #[inline(always)]
    fn int32(&mut self, name: &'static str, value: i32) {
        if value != 0 {
            self.name(name);
            put_int(self.out, value.into());
            self.comma();
        }
    }

    #[inline(always)]
    fn uint64(&mut self, name: &'static str, value: u64) {
        if value != 0 {
            self.name(name);
            self.quoted_uint(value);
            self.comma();
        }
    }

    fn quoted_uint(&mut self, value: u64) {
        self.out.push(b'"');
        put_uint(self.out, value);
        self.out.push(b'"');
    }

    fn int64(&mut self, name: &'static str, value: i64) {
        self.name(name);
        self.out.push(b'"');
        put_int(self.out, value);
        self.out.extend_from_slice(b"\",");
    }

    fn double(&mut self, name: &'static str, value: Option<f64>) {
        if let Some(value) = value {
            self.name(name);
            put_double(self.out, value);
            self.comma();
        }
    }

    /// A number that is left out if it is zero.
    fn nonzero(&mut self, name: &'static str, value: f64) {
        self.double(name, Some(value).filter(|value| *value != 0.0));
    }

    fn numbers<T: crate::view::FromBits>(
        &mut self,
        name: &'static str,
        numbers: Numbers<'_, T>,
        put: impl Fn(&mut Self, T),
    ) {
        if numbers.is_empty() {
            return;
        }
        self.name(name);
        self.out.push(b'[');
        for number in numbers {
            put(self, number);
            self.comma();
        }
        self.end(b']');
        self.comma();
    }

    fn number(&mut self, value: Option<Number>) {
        match value {
            Some(Number::Double(value)) => self.double("\"asDouble\":", Some(value)),
            Some(Number::Int(value)) => self.int64("\"asInt\":", value),
            None => {}
        }
    }

    #[inline(always)]
    fn attributes(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.array(name, attributes, Writer::attribute);
    }

    fn attribute(&mut self, attribute: KeyValue<'_>) {
        self.text("\"key\":", attribute.key());
        self.message("\"value\":", Some(attribute.value()), Writer::value);
        self.int32("\"keyStrindex\":", attribute.key_strindex());
    }

    fn value(&mut self, value: AnyValue<'_>) {
        match value {
            AnyValue::Empty => {}
            AnyValue::String(text) => {
                self.name("\"stringValue\":");
                put_text(self.out, text.as_bytes());
                self.comma();
            }
            AnyValue::Bool(value) => {
                self.name(if value { "\"boolValue\":true," } else { "\"boolValue\":false," });
            }
            AnyValue::Int(value) => self.int64("\"intValue\":", value),
            AnyValue::Double(value) => self.double("\"doubleValue\":", Some(value)),
            AnyValue::Array(values) => {
                self.name("\"arrayValue\":");
                self.nested(|out| out.array("\"values\":", values, Writer::value));
            }
            AnyValue::Map(entries) => {
                self.name("\"kvlistValue\":");
                self.nested(|out| out.attributes("\"values\":", entries));
            }
            AnyValue::Bytes(bytes) => {
                self.name("\"bytesValue\":\"");
                put_base64(self.out, bytes);
                self.out.extend_from_slice(b"\",");
            }
            AnyValue::StringIndex(index) => {
                self.name("\"stringValueStrindex\":");
                put_int(self.out, index.into());
                self.comma();
            }
        }
    }

    /// Values within a value: in a request that was validated they do not reach the limit.
    fn nested(&mut self, values: impl FnOnce(&mut Self)) {
        self.object(|out| {
            if out.depth < MAX_DEPTH {
                out.depth += 1;
                values(out);
                out.depth -= 1;
            }
        });
        self.comma();
    }

    fn entry<'a, R: View<'a>>(
        &mut self,
        entry: ResourceEntry<'a, R>,
        scopes: &'static str,
        records: &'static str,
        record: impl Fn(&mut Self, R),
    ) {
        self.message("\"resource\":", entry.resource(), Writer::resource);
        self.array(scopes, entry.scopes(), |out, entry: ScopeEntry<'a, R>| {
            out.message("\"scope\":", entry.scope(), Writer::scope);
            out.array(records, entry.records(), &record);
            out.text("\"schemaUrl\":", entry.schema_url());
        });
        self.text("\"schemaUrl\":", entry.schema_url());
    }

    fn resource(&mut self, resource: Resource<'_>) {
        self.attributes("\"attributes\":", resource.attributes());
        self.uint32("\"droppedAttributesCount\":", resource.dropped_attributes_count());
        self.array("\"entityRefs\":", resource.entity_refs(), |out, entity: EntityRef<'_>| {
            out.text("\"schemaUrl\":", entity.schema_url());
            out.text("\"type\":", entity.kind());
            out.texts("\"idKeys\":", entity.id_keys());
            out.texts("\"descriptionKeys\":", entity.description_keys());
        });
    }

    fn scope(&mut self, scope: Scope<'_>) {
        self.text("\"name\":", scope.name());
        self.text("\"version\":", scope.version());
        self.attributes("\"attributes\":", scope.attributes());
        self.uint32("\"droppedAttributesCount\":", scope.dropped_attributes_count());
    }

    fn span(&mut self, span: Span<'_>) {
        self.id("\"traceId\":", span.trace_id());
        self.id("\"spanId\":", span.span_id());
        self.text("\"traceState\":", span.trace_state());
        self.id("\"parentSpanId\":", span.parent_span_id());
        self.uint32("\"flags\":", span.flags());
        self.text("\"name\":", span.name());
        self.int32("\"kind\":", span.kind());
        self.uint64("\"startTimeUnixNano\":", span.start_time_unix_nano());
        self.uint64("\"endTimeUnixNano\":", span.end_time_unix_nano());
        self.attributes("\"attributes\":", span.attributes());
        self.uint32("\"droppedAttributesCount\":", span.dropped_attributes_count());
        self.array("\"events\":", span.events(), Writer::event);
        self.uint32("\"droppedEventsCount\":", span.dropped_events_count());
        self.array("\"links\":", span.links(), Writer::link);
        self.uint32("\"droppedLinksCount\":", span.dropped_links_count());
        self.message("\"status\":", span.status(), |out, status: Status<'_>| {
            out.text("\"message\":", status.message());
            out.int32("\"code\":", status.code());
        });
    }

    fn event(&mut self, event: Event<'_>) {
        self.uint64("\"timeUnixNano\":", event.time_unix_nano());
        self.text("\"name\":", event.name());
        self.attributes("\"attributes\":", event.attributes());
        self.uint32("\"droppedAttributesCount\":", event.dropped_attributes_count());
    }

    fn link(&mut self, link: Link<'_>) {
        self.id("\"traceId\":", link.trace_id());
        self.id("\"spanId\":", link.span_id());
        self.text("\"traceState\":", link.trace_state());
        self.attributes("\"attributes\":", link.attributes());
        self.uint32("\"droppedAttributesCount\":", link.dropped_attributes_count());
        self.uint32("\"flags\":", link.flags());
    }

    fn log_record(&mut self, record: LogRecord<'_>) {
        self.uint64("\"timeUnixNano\":", record.time_unix_nano());
        self.uint64("\"observedTimeUnixNano\":", record.observed_time_unix_nano());
        self.int32("\"severityNumber\":", record.severity_number());
        self.text("\"severityText\":", record.severity_text());
        self.message("\"body\":", Some(record.body()), Writer::value);
        self.attributes("\"attributes\":", record.attributes());
        self.uint32("\"droppedAttributesCount\":", record.dropped_attributes_count());
        self.uint32("\"flags\":", record.flags());
        self.id("\"traceId\":", record.trace_id());
        self.id("\"spanId\":", record.span_id());
        self.text("\"eventName\":", record.event_name());
    }

    fn metric(&mut self, metric: Metric<'_>) {
        self.text("\"name\":", metric.name());
        self.text("\"description\":", metric.description());
        self.text("\"unit\":", metric.unit());
        match metric.data() {
            Some(Data::Gauge(gauge)) => {
                self.data("\"gauge\":", gauge.data_points(), &[], Writer::number_point)
            }
            Some(Data::Sum(sum)) => {
                let temporality = temporality(sum.raw());
                let monotonic = u64::from(sum.is_monotonic());
                self.data("\"sum\":", sum.data_points(), &[temporality, monotonic], Writer::number_point);
            }
            Some(Data::Histogram(histogram)) => {
                let temporality = temporality(histogram.raw());
                self.data("\"histogram\":", histogram.data_points(), &[temporality], Writer::histogram_point);
            }
            Some(Data::ExponentialHistogram(histogram)) => {
                let points = histogram.data_points();
                let temporality = temporality(histogram.raw());
                self.data("\"exponentialHistogram\":", points, &[temporality], Writer::exponential_point);
            }
            Some(Data::Summary(summary)) => {
                self.data("\"summary\":", summary.data_points(), &[], Writer::summary_point);
            }
            None => {}
        }
        self.attributes("\"metadata\":", metric.metadata());
    }

    /// The data of a metric: points, and what follows them, as far as the kind of metric has it:
    /// temporality, and whether it is monotonic.
    fn data<'a, P: View<'a>>(
        &mut self,
        name: &'static str,
        points: Many<'a, P>,
        rest: &[u64],
        point: impl Fn(&mut Self, P),
    ) {
        self.name(name);
        self.object(|out| {
            out.array("\"dataPoints\":", points, point);
            out.int32("\"aggregationTemporality\":", rest.first().map_or(0, |value| *value as i32));
            if rest.get(1) == Some(&1) {
                out.name("\"isMonotonic\":true,");
            }
        });
        self.comma();
    }

    fn number_point(&mut self, point: NumberPoint<'_>) {
        self.attributes("\"attributes\":", point.attributes());
        self.uint64("\"startTimeUnixNano\":", point.start_time_unix_nano());
        self.uint64("\"timeUnixNano\":", point.time_unix_nano());
        self.number(point.value());
        self.exemplars(point.exemplars());
        self.uint32("\"flags\":", point.flags());
    }

    fn histogram_point(&mut self, point: HistogramPoint<'_>) {
        self.attributes("\"attributes\":", point.attributes());
        self.uint64("\"startTimeUnixNano\":", point.start_time_unix_nano());
        self.uint64("\"timeUnixNano\":", point.time_unix_nano());
        self.uint64("\"count\":", point.count());
        self.double("\"sum\":", point.sum());
        self.numbers("\"bucketCounts\":", point.bucket_counts(), Writer::quoted_uint);
        self.numbers("\"explicitBounds\":", point.explicit_bounds(), |out, bound| put_double(out.out, bound));
        self.exemplars(point.exemplars());
        self.uint32("\"flags\":", point.flags());
        self.double("\"min\":", point.min());
        self.double("\"max\":", point.max());
    }

    fn exponential_point(&mut self, point: ExponentialPoint<'_>) {
        self.attributes("\"attributes\":", point.attributes());
        self.uint64("\"startTimeUnixNano\":", point.start_time_unix_nano());
        self.uint64("\"timeUnixNano\":", point.time_unix_nano());
        self.uint64("\"count\":", point.count());
        self.double("\"sum\":", point.sum());
        self.int32("\"scale\":", point.scale());
        self.uint64("\"zeroCount\":", point.zero_count());
        self.message("\"positive\":", point.positive(), Writer::buckets);
        self.message("\"negative\":", point.negative(), Writer::buckets);
        self.uint32("\"flags\":", point.flags());
        self.exemplars(point.exemplars());
        self.double("\"min\":", point.min());
        self.double("\"max\":", point.max());
        self.nonzero("\"zeroThreshold\":", point.zero_threshold());
    }

    fn buckets(&mut self, buckets: Buckets<'_>) {
        self.int32("\"offset\":", buckets.offset());
        self.numbers("\"bucketCounts\":", buckets.bucket_counts(), Writer::quoted_uint);
    }

    fn summary_point(&mut self, point: SummaryPoint<'_>) {
        self.attributes("\"attributes\":", point.attributes());
        self.uint64("\"startTimeUnixNano\":", point.start_time_unix_nano());
        self.uint64("\"timeUnixNano\":", point.time_unix_nano());
        self.uint64("\"count\":", point.count());
        self.nonzero("\"sum\":", point.sum());
        self.array("\"quantileValues\":", point.quantile_values(), |out, quantile: Quantile<'_>| {
            out.nonzero("\"quantile\":", quantile.quantile());
            out.nonzero("\"value\":", quantile.value());
        });
        self.uint32("\"flags\":", point.flags());
    }

    fn exemplars(&mut self, exemplars: Many<'_, Exemplar<'_>>) {
        self.array("\"exemplars\":", exemplars, |out, exemplar| {
            out.attributes("\"filteredAttributes\":", exemplar.filtered_attributes());
            out.uint64("\"timeUnixNano\":", exemplar.time_unix_nano());
            out.number(exemplar.value());
            out.id("\"traceId\":", exemplar.trace_id());
            out.id("\"spanId\":", exemplar.span_id());
        });
    }
}

/// The number of the temporality, which the view gives only if it is known.
fn temporality(data: &[u8]) -> u64 {
    Fields::new(data).filter(|field| field.number() == 2).map(|field| field.scalar).last().unwrap_or(0)
}
