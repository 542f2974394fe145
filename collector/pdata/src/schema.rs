//! The messages of OTLP as data, for what is driven by a table: naming what is wrong with a request,
//! rewriting one that is not in the form that everything else relies on, and reading JSON.
//!
//! The scan of [`crate::validate()`] says the same in code, for speed; tests hold the two together.

mod names;

use crate::{Signal, wire::Wire};
pub(crate) use names::MAX_FIELDS;
use names::Names;

/// A message type.
#[derive(Debug)]
pub(crate) struct Message {
    /// As people call it in a report, for example `span event`.
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
    /// The fields by their names in JSON.
    pub(crate) names: Names,
    /// What counts of these messages are kept.
    pub(crate) role: Role,
}

/// What a message is to those who count, or look for what is frequent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    ResourceEntry,
    ScopeEntry,
    Metric,
    /// A span, a log record or a data point.
    Item,
    /// A key and a value.
    Attribute,
    Value,
    Part,
}

/// A field of a message type.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) presence: Presence,
}

/// Whether a field that is absent differs from one that holds zero or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It does not, as far as it is a scalar.
    Implicit,
    /// It does.
    Optional,
    /// It does, and at most one member of the oneof is set; no message of OTLP has two oneofs.
    Oneof,
}

impl Field {
    pub(crate) fn is_oneof(&self) -> bool {
        self.presence == Presence::Oneof
    }
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Varint(Number),
    /// Unsigned.
    Fixed32,
    Fixed64(Number),
    /// Unsigned integers; repeated, one by one or packed.
    Varints,
    /// Repeated, one by one or packed.
    Fixed64s(Number),
    Text,
    Texts,
    Bytes,
    /// 16 bytes or none.
    TraceId,
    /// 8 bytes or none.
    SpanId,
    /// At most one.
    One(&'static Message),
    Many(&'static Message),
}

/// What a number on the wire stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Bool,
    Int32,
    Uint32,
    /// As a varint, in zigzag.
    Sint32,
    Int64,
    Uint64,
    Double,
    /// A number of 32 bits that has one of these names, or none.
    Enum(&'static Enumeration),
}

/// The names of an enumeration.
#[derive(Debug)]
pub(crate) struct Enumeration {
    /// What all names start with.
    pub(crate) prefix: &'static str,
    /// The rest of the names, by number.
    pub(crate) names: &'static [&'static str],
}

impl Kind {
    /// The wire type of a single value.
    pub(crate) fn wire(self) -> Wire {
        match self {
            Kind::Varint(_) | Kind::Varints => Wire::Varint,
            Kind::Fixed32 => Wire::Fixed32,
            Kind::Fixed64(_) | Kind::Fixed64s(_) => Wire::Fixed64,
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

use Kind::{Bytes, Fixed32, Fixed64, Fixed64s, Many, One, SpanId, Text, Texts, TraceId, Varint, Varints};
use Number::{Bool, Double, Enum, Int32, Int64, Sint32, Uint32, Uint64};
use Role::{Attribute, Item, Metric, Part, ResourceEntry, ScopeEntry, Value};

macro_rules! message {
    ($id:ident $name:literal $role:ident { $($number:literal $field:literal $kind:expr $(, $presence:ident)?;)* }) => {
        static $id: Message = Message {
            name: $name,
            fields: &[$(
                Field { number: $number, name: $field, kind: $kind, presence: message!($($presence)?) },
            )*],
            names: Names::of(&[$($field),*]),
            role: $role,
        };
    };
    () => { Presence::Implicit };
    (optional) => { Presence::Optional };
    (oneof) => { Presence::Oneof };
}

macro_rules! enumeration {
    ($id:ident $prefix:literal [$($name:literal)*]) => {
        static $id: Enumeration = Enumeration { prefix: $prefix, names: &[$($name),*] };
    };
}

enumeration! { SPAN_KIND "SPAN_KIND_" ["UNSPECIFIED" "INTERNAL" "SERVER" "CLIENT" "PRODUCER" "CONSUMER"] }
enumeration! { STATUS_CODE "STATUS_CODE_" ["UNSET" "OK" "ERROR"] }
enumeration! { TEMPORALITY "AGGREGATION_TEMPORALITY_" ["UNSPECIFIED" "DELTA" "CUMULATIVE"] }
enumeration! { SEVERITY "SEVERITY_NUMBER_" [
    "UNSPECIFIED" "TRACE" "TRACE2" "TRACE3" "TRACE4" "DEBUG" "DEBUG2" "DEBUG3" "DEBUG4"
    "INFO" "INFO2" "INFO3" "INFO4" "WARN" "WARN2" "WARN3" "WARN4"
    "ERROR" "ERROR2" "ERROR3" "ERROR4" "FATAL" "FATAL2" "FATAL3" "FATAL4"
] }

message! { TRACES "request" Part { 1 "resource_spans" Many(&RESOURCE_SPANS); } }
message! { METRICS "request" Part { 1 "resource_metrics" Many(&RESOURCE_METRICS); } }
message! { LOGS "request" Part { 1 "resource_logs" Many(&RESOURCE_LOGS); } }
message! { RESOURCE_SPANS "resource spans" ResourceEntry {
    1 "resource" One(&RESOURCE); 2 "scope_spans" Many(&SCOPE_SPANS); 3 "schema_url" Text;
} }
message! { RESOURCE_METRICS "resource metrics" ResourceEntry {
    1 "resource" One(&RESOURCE); 2 "scope_metrics" Many(&SCOPE_METRICS); 3 "schema_url" Text;
} }
message! { RESOURCE_LOGS "resource logs" ResourceEntry {
    1 "resource" One(&RESOURCE); 2 "scope_logs" Many(&SCOPE_LOGS); 3 "schema_url" Text;
} }
message! { SCOPE_SPANS "scope spans" ScopeEntry {
    1 "scope" One(&SCOPE); 2 "spans" Many(&SPAN); 3 "schema_url" Text;
} }
message! { SCOPE_METRICS "scope metrics" ScopeEntry {
    1 "scope" One(&SCOPE); 2 "metrics" Many(&METRIC); 3 "schema_url" Text;
} }
message! { SCOPE_LOGS "scope logs" ScopeEntry {
    1 "scope" One(&SCOPE); 2 "log_records" Many(&LOG_RECORD); 3 "schema_url" Text;
} }
message! { RESOURCE "resource" Part {
    1 "attributes" Many(&KEY_VALUE); 2 "dropped_attributes_count" Varint(Uint32); 3 "entity_refs" Many(&ENTITY_REF);
} }
message! { ENTITY_REF "entity reference" Part {
    1 "schema_url" Text; 2 "type" Text; 3 "id_keys" Texts; 4 "description_keys" Texts;
} }
message! { SCOPE "scope" Part {
    1 "name" Text; 2 "version" Text; 3 "attributes" Many(&KEY_VALUE); 4 "dropped_attributes_count" Varint(Uint32);
} }
message! { KEY_VALUE "attribute" Attribute { 1 "key" Text; 2 "value" One(&ANY_VALUE); 3 "key_strindex" Varint(Int32); } }
message! { ANY_VALUE "value" Value {
    1 "string_value" Text, oneof;
    2 "bool_value" Varint(Bool), oneof;
    3 "int_value" Varint(Int64), oneof;
    4 "double_value" Fixed64(Double), oneof;
    5 "array_value" One(&ARRAY), oneof;
    6 "kvlist_value" One(&KEY_VALUES), oneof;
    7 "bytes_value" Bytes, oneof;
    8 "string_value_strindex" Varint(Int32), oneof;
} }
message! { ARRAY "array value" Part { 1 "values" Many(&ANY_VALUE); } }
message! { KEY_VALUES "map value" Part { 1 "values" Many(&KEY_VALUE); } }
message! { SPAN "span" Item {
    1 "trace_id" TraceId; 2 "span_id" SpanId; 3 "trace_state" Text; 4 "parent_span_id" SpanId; 5 "name" Text;
    6 "kind" Varint(Enum(&SPAN_KIND)); 7 "start_time_unix_nano" Fixed64(Uint64); 8 "end_time_unix_nano" Fixed64(Uint64);
    9 "attributes" Many(&KEY_VALUE); 10 "dropped_attributes_count" Varint(Uint32);
    11 "events" Many(&EVENT); 12 "dropped_events_count" Varint(Uint32);
    13 "links" Many(&LINK); 14 "dropped_links_count" Varint(Uint32);
    15 "status" One(&STATUS); 16 "flags" Fixed32;
} }
message! { EVENT "span event" Part {
    1 "time_unix_nano" Fixed64(Uint64); 2 "name" Text; 3 "attributes" Many(&KEY_VALUE);
    4 "dropped_attributes_count" Varint(Uint32);
} }
message! { LINK "span link" Part {
    1 "trace_id" TraceId; 2 "span_id" SpanId; 3 "trace_state" Text; 4 "attributes" Many(&KEY_VALUE);
    5 "dropped_attributes_count" Varint(Uint32); 6 "flags" Fixed32;
} }
message! { STATUS "span status" Part { 2 "message" Text; 3 "code" Varint(Enum(&STATUS_CODE)); } }
message! { LOG_RECORD "log record" Item {
    1 "time_unix_nano" Fixed64(Uint64); 2 "severity_number" Varint(Enum(&SEVERITY)); 3 "severity_text" Text; 5 "body" One(&ANY_VALUE);
    6 "attributes" Many(&KEY_VALUE); 7 "dropped_attributes_count" Varint(Uint32); 8 "flags" Fixed32;
    9 "trace_id" TraceId; 10 "span_id" SpanId; 11 "observed_time_unix_nano" Fixed64(Uint64); 12 "event_name" Text;
} }
message! { METRIC "metric" Metric {
    1 "name" Text; 2 "description" Text; 3 "unit" Text;
    5 "gauge" One(&GAUGE), oneof; 7 "sum" One(&SUM), oneof; 9 "histogram" One(&HISTOGRAM), oneof;
    10 "exponential_histogram" One(&EXPONENTIAL_HISTOGRAM), oneof; 11 "summary" One(&SUMMARY), oneof;
    12 "metadata" Many(&KEY_VALUE);
} }
message! { GAUGE "gauge" Part { 1 "data_points" Many(&NUMBER_POINT); } }
message! { SUM "sum" Part {
    1 "data_points" Many(&NUMBER_POINT); 2 "aggregation_temporality" Varint(Enum(&TEMPORALITY)); 3 "is_monotonic" Varint(Bool);
} }
message! { HISTOGRAM "histogram" Part {
    1 "data_points" Many(&HISTOGRAM_POINT); 2 "aggregation_temporality" Varint(Enum(&TEMPORALITY));
} }
message! { EXPONENTIAL_HISTOGRAM "exponential histogram" Part {
    1 "data_points" Many(&EXPONENTIAL_POINT); 2 "aggregation_temporality" Varint(Enum(&TEMPORALITY));
} }
message! { SUMMARY "summary" Part { 1 "data_points" Many(&SUMMARY_POINT); } }
message! { NUMBER_POINT "number data point" Item {
    2 "start_time_unix_nano" Fixed64(Uint64); 3 "time_unix_nano" Fixed64(Uint64); 4 "as_double" Fixed64(Double), oneof;
    5 "exemplars" Many(&EXEMPLAR); 6 "as_int" Fixed64(Int64), oneof; 7 "attributes" Many(&KEY_VALUE);
    8 "flags" Varint(Uint32);
} }
message! { HISTOGRAM_POINT "histogram data point" Item {
    2 "start_time_unix_nano" Fixed64(Uint64); 3 "time_unix_nano" Fixed64(Uint64); 4 "count" Fixed64(Uint64); 5 "sum" Fixed64(Double), optional;
    6 "bucket_counts" Fixed64s(Uint64); 7 "explicit_bounds" Fixed64s(Double); 8 "exemplars" Many(&EXEMPLAR);
    9 "attributes" Many(&KEY_VALUE); 10 "flags" Varint(Uint32); 11 "min" Fixed64(Double), optional; 12 "max" Fixed64(Double), optional;
} }
message! { EXPONENTIAL_POINT "exponential histogram data point" Item {
    1 "attributes" Many(&KEY_VALUE); 2 "start_time_unix_nano" Fixed64(Uint64); 3 "time_unix_nano" Fixed64(Uint64);
    4 "count" Fixed64(Uint64); 5 "sum" Fixed64(Double), optional; 6 "scale" Varint(Sint32); 7 "zero_count" Fixed64(Uint64);
    8 "positive" One(&BUCKETS); 9 "negative" One(&BUCKETS); 10 "flags" Varint(Uint32);
    11 "exemplars" Many(&EXEMPLAR); 12 "min" Fixed64(Double), optional; 13 "max" Fixed64(Double), optional; 14 "zero_threshold" Fixed64(Double);
} }
message! { BUCKETS "exponential buckets" Part { 1 "offset" Varint(Sint32); 2 "bucket_counts" Varints; } }
message! { SUMMARY_POINT "summary data point" Item {
    2 "start_time_unix_nano" Fixed64(Uint64); 3 "time_unix_nano" Fixed64(Uint64); 4 "count" Fixed64(Uint64); 5 "sum" Fixed64(Double);
    6 "quantile_values" Many(&QUANTILE); 7 "attributes" Many(&KEY_VALUE); 8 "flags" Varint(Uint32);
} }
message! { QUANTILE "summary quantile" Part { 1 "quantile" Fixed64(Double); 2 "value" Fixed64(Double); } }
message! { EXEMPLAR "exemplar" Part {
    2 "time_unix_nano" Fixed64(Uint64); 3 "as_double" Fixed64(Double), oneof; 4 "span_id" SpanId; 5 "trace_id" TraceId;
    6 "as_int" Fixed64(Int64), oneof; 7 "filtered_attributes" Many(&KEY_VALUE);
} }
