//! The messages of OTLP as data, for what is rare enough to be driven by a table: naming what is wrong
//! with a request, and rewriting one that is not in the form that everything else relies on.
//!
//! The scan of [`crate::validate()`] says the same in code, for speed; tests hold the two together.

use crate::{Signal, wire::Wire};

/// A message type.
#[derive(Debug)]
pub(crate) struct Message {
    /// As people call it in a report, for example `span event`.
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
}

/// A field of a message type.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Whether it is a member of the oneof of its message; no message of OTLP has two.
    pub(crate) oneof: bool,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Any integer, enumeration or boolean.
    Varint,
    Fixed32,
    Fixed64,
    /// Repeated, one by one or packed.
    Varints,
    /// Repeated, one by one or packed.
    Fixed64s,
    /// One or repeated: nothing here depends on it.
    Text,
    Bytes,
    /// 16 bytes or none.
    TraceId,
    /// 8 bytes or none.
    SpanId,
    /// At most one.
    One(&'static Message),
    Many(&'static Message),
}

impl Kind {
    /// The wire type of a single value.
    pub(crate) fn wire(self) -> Wire {
        match self {
            Kind::Varint | Kind::Varints => Wire::Varint,
            Kind::Fixed32 => Wire::Fixed32,
            Kind::Fixed64 | Kind::Fixed64s => Wire::Fixed64,
            _ => Wire::Len,
        }
    }
}

impl Message {
    pub(crate) fn field(&self, number: u32) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.number == number)
    }

    /// The export request of a signal.
    pub(crate) fn request(signal: Signal) -> &'static Message {
        match signal {
            Signal::Traces => &TRACES,
            Signal::Metrics => &METRICS,
            Signal::Logs => &LOGS,
        }
    }
}

use Kind::{Bytes, Fixed32, Fixed64, Fixed64s, Many, One, SpanId, Text, TraceId, Varint, Varints};

macro_rules! message {
    ($id:ident $name:literal { $($number:literal $field:literal $kind:expr $(, $oneof:ident)?;)* }) => {
        static $id: Message = Message {
            name: $name,
            fields: &[$(Field { number: $number, name: $field, kind: $kind, oneof: message!($($oneof)?) },)*],
        };
    };
    () => { false };
    (oneof) => { true };
}

message! { TRACES "request" { 1 "resource_spans" Many(&RESOURCE_SPANS); } }
message! { METRICS "request" { 1 "resource_metrics" Many(&RESOURCE_METRICS); } }
message! { LOGS "request" { 1 "resource_logs" Many(&RESOURCE_LOGS); } }
message! { RESOURCE_SPANS "resource spans" {
    1 "resource" One(&RESOURCE); 2 "scope_spans" Many(&SCOPE_SPANS); 3 "schema_url" Text;
} }
message! { RESOURCE_METRICS "resource metrics" {
    1 "resource" One(&RESOURCE); 2 "scope_metrics" Many(&SCOPE_METRICS); 3 "schema_url" Text;
} }
message! { RESOURCE_LOGS "resource logs" {
    1 "resource" One(&RESOURCE); 2 "scope_logs" Many(&SCOPE_LOGS); 3 "schema_url" Text;
} }
message! { SCOPE_SPANS "scope spans" {
    1 "scope" One(&SCOPE); 2 "spans" Many(&SPAN); 3 "schema_url" Text;
} }
message! { SCOPE_METRICS "scope metrics" {
    1 "scope" One(&SCOPE); 2 "metrics" Many(&METRIC); 3 "schema_url" Text;
} }
message! { SCOPE_LOGS "scope logs" {
    1 "scope" One(&SCOPE); 2 "log_records" Many(&LOG_RECORD); 3 "schema_url" Text;
} }
message! { RESOURCE "resource" {
    1 "attributes" Many(&KEY_VALUE); 2 "dropped_attributes_count" Varint; 3 "entity_refs" Many(&ENTITY_REF);
} }
message! { ENTITY_REF "entity reference" {
    1 "schema_url" Text; 2 "type" Text; 3 "id_keys" Text; 4 "description_keys" Text;
} }
message! { SCOPE "scope" {
    1 "name" Text; 2 "version" Text; 3 "attributes" Many(&KEY_VALUE); 4 "dropped_attributes_count" Varint;
} }
message! { KEY_VALUE "attribute" { 1 "key" Text; 2 "value" One(&ANY_VALUE); 3 "key_strindex" Varint; } }
message! { ANY_VALUE "value" {
    1 "string_value" Text, oneof;
    2 "bool_value" Varint, oneof;
    3 "int_value" Varint, oneof;
    4 "double_value" Fixed64, oneof;
    5 "array_value" One(&ARRAY), oneof;
    6 "kvlist_value" One(&KEY_VALUES), oneof;
    7 "bytes_value" Bytes, oneof;
    8 "string_value_strindex" Varint, oneof;
} }
message! { ARRAY "array value" { 1 "values" Many(&ANY_VALUE); } }
message! { KEY_VALUES "map value" { 1 "values" Many(&KEY_VALUE); } }
message! { SPAN "span" {
    1 "trace_id" TraceId; 2 "span_id" SpanId; 3 "trace_state" Text; 4 "parent_span_id" SpanId; 5 "name" Text;
    6 "kind" Varint; 7 "start_time_unix_nano" Fixed64; 8 "end_time_unix_nano" Fixed64;
    9 "attributes" Many(&KEY_VALUE); 10 "dropped_attributes_count" Varint;
    11 "events" Many(&EVENT); 12 "dropped_events_count" Varint;
    13 "links" Many(&LINK); 14 "dropped_links_count" Varint;
    15 "status" One(&STATUS); 16 "flags" Fixed32;
} }
message! { EVENT "span event" {
    1 "time_unix_nano" Fixed64; 2 "name" Text; 3 "attributes" Many(&KEY_VALUE);
    4 "dropped_attributes_count" Varint;
} }
message! { LINK "span link" {
    1 "trace_id" TraceId; 2 "span_id" SpanId; 3 "trace_state" Text; 4 "attributes" Many(&KEY_VALUE);
    5 "dropped_attributes_count" Varint; 6 "flags" Fixed32;
} }
message! { STATUS "span status" { 2 "message" Text; 3 "code" Varint; } }
message! { LOG_RECORD "log record" {
    1 "time_unix_nano" Fixed64; 2 "severity_number" Varint; 3 "severity_text" Text; 5 "body" One(&ANY_VALUE);
    6 "attributes" Many(&KEY_VALUE); 7 "dropped_attributes_count" Varint; 8 "flags" Fixed32;
    9 "trace_id" TraceId; 10 "span_id" SpanId; 11 "observed_time_unix_nano" Fixed64; 12 "event_name" Text;
} }
message! { METRIC "metric" {
    1 "name" Text; 2 "description" Text; 3 "unit" Text;
    5 "gauge" One(&GAUGE), oneof; 7 "sum" One(&SUM), oneof; 9 "histogram" One(&HISTOGRAM), oneof;
    10 "exponential_histogram" One(&EXPONENTIAL_HISTOGRAM), oneof; 11 "summary" One(&SUMMARY), oneof;
    12 "metadata" Many(&KEY_VALUE);
} }
message! { GAUGE "gauge" { 1 "data_points" Many(&NUMBER_POINT); } }
message! { SUM "sum" {
    1 "data_points" Many(&NUMBER_POINT); 2 "aggregation_temporality" Varint; 3 "is_monotonic" Varint;
} }
message! { HISTOGRAM "histogram" {
    1 "data_points" Many(&HISTOGRAM_POINT); 2 "aggregation_temporality" Varint;
} }
message! { EXPONENTIAL_HISTOGRAM "exponential histogram" {
    1 "data_points" Many(&EXPONENTIAL_POINT); 2 "aggregation_temporality" Varint;
} }
message! { SUMMARY "summary" { 1 "data_points" Many(&SUMMARY_POINT); } }
message! { NUMBER_POINT "number data point" {
    2 "start_time_unix_nano" Fixed64; 3 "time_unix_nano" Fixed64; 4 "as_double" Fixed64, oneof;
    5 "exemplars" Many(&EXEMPLAR); 6 "as_int" Fixed64, oneof; 7 "attributes" Many(&KEY_VALUE);
    8 "flags" Varint;
} }
message! { HISTOGRAM_POINT "histogram data point" {
    2 "start_time_unix_nano" Fixed64; 3 "time_unix_nano" Fixed64; 4 "count" Fixed64; 5 "sum" Fixed64;
    6 "bucket_counts" Fixed64s; 7 "explicit_bounds" Fixed64s; 8 "exemplars" Many(&EXEMPLAR);
    9 "attributes" Many(&KEY_VALUE); 10 "flags" Varint; 11 "min" Fixed64; 12 "max" Fixed64;
} }
message! { EXPONENTIAL_POINT "exponential histogram data point" {
    1 "attributes" Many(&KEY_VALUE); 2 "start_time_unix_nano" Fixed64; 3 "time_unix_nano" Fixed64;
    4 "count" Fixed64; 5 "sum" Fixed64; 6 "scale" Varint; 7 "zero_count" Fixed64;
    8 "positive" One(&BUCKETS); 9 "negative" One(&BUCKETS); 10 "flags" Varint;
    11 "exemplars" Many(&EXEMPLAR); 12 "min" Fixed64; 13 "max" Fixed64; 14 "zero_threshold" Fixed64;
} }
message! { BUCKETS "exponential buckets" { 1 "offset" Varint; 2 "bucket_counts" Varints; } }
message! { SUMMARY_POINT "summary data point" {
    2 "start_time_unix_nano" Fixed64; 3 "time_unix_nano" Fixed64; 4 "count" Fixed64; 5 "sum" Fixed64;
    6 "quantile_values" Many(&QUANTILE); 7 "attributes" Many(&KEY_VALUE); 8 "flags" Varint;
} }
message! { QUANTILE "summary quantile" { 1 "quantile" Fixed64; 2 "value" Fixed64; } }
message! { EXEMPLAR "exemplar" {
    2 "time_unix_nano" Fixed64; 3 "as_double" Fixed64, oneof; 4 "span_id" SpanId; 5 "trace_id" TraceId;
    6 "as_int" Fixed64, oneof; 7 "filtered_attributes" Many(&KEY_VALUE);
} }
