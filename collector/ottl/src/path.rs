//! The paths of each context, and what they lead to.

use crate::Context;
use crate::value::HandleKind;

/// What a path leads to, before its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The attributes of the level; for metrics, the metadata.
    Attributes,
    /// The body of a log record.
    Body,
    /// The body as text.
    BodyText,
    /// The scratch map of the record.
    Cache,
    /// `span.trace_state`.
    TraceState,
    Field(Field),
    Client(ClientField),
}

/// A field of a record. Numbers are those of its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Text(u8),
    /// An unsigned number of 32 bits.
    Count(u8),
    /// An enumeration.
    Enum(u8),
    /// `fixed32`; the range is checked for `span.flags`.
    Flags {
        number: u8,
        is_checked: bool,
    },
    Nanos(u8),
    Time(u8),
    TraceId(u8),
    TraceIdText(u8),
    SpanId(u8),
    SpanIdText(u8),
    KindText,
    KindDeprecated,
    StatusCode,
    StatusMessage,
    Part(HandleKind, u8),
    EventIndex,
    MetricType,
    Temporality,
    Monotonic,
    DataPoints,
    PointFlags,
    ValueDouble,
    ValueInt,
    Exemplars,
    PointCount,
    PointSum,
    BucketCounts,
    ExplicitBounds,
    Scale,
    ZeroCount,
    Buckets(u8),
    BucketsOffset(u8),
    BucketsCounts(u8),
    Quantiles,
    ExemplarDouble,
    ExemplarInt,
}

/// What is known of the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientField {
    Address,
    AuthAttributes,
    Metadata,
}

impl Target {
    /// Whether keys may follow.
    pub(crate) fn takes_keys(self) -> bool {
        match self {
            Target::Attributes | Target::Body | Target::Cache | Target::TraceState => true,
            Target::Client(field) => field != ClientField::Address,
            Target::BodyText | Target::Field(_) => false,
        }
    }

    /// Whether it cannot be set.
    pub(crate) fn is_read_only(self) -> bool {
        matches!(self, Target::Client(_))
    }
}

type Table = &'static [(&'static str, Target)];

const fn field(field: Field) -> Target {
    Target::Field(field)
}

const RESOURCE: Table = &[
    ("attributes", Target::Attributes),
    ("dropped_attributes_count", field(Field::Count(2))),
    ("schema_url", field(Field::Text(17))),
    ("cache", Target::Cache),
];

const SCOPE: Table = &[
    ("name", field(Field::Text(1))),
    ("version", field(Field::Text(2))),
    ("attributes", Target::Attributes),
    ("dropped_attributes_count", field(Field::Count(4))),
    ("schema_url", field(Field::Text(17))),
    ("cache", Target::Cache),
];

const SPAN: Table = &[
    ("trace_id", field(Field::TraceId(1))),
    ("trace_id.string", field(Field::TraceIdText(1))),
    ("span_id", field(Field::SpanId(2))),
    ("span_id.string", field(Field::SpanIdText(2))),
    ("trace_state", Target::TraceState),
    ("parent_span_id", field(Field::SpanId(4))),
    ("parent_span_id.string", field(Field::SpanIdText(4))),
    ("name", field(Field::Text(5))),
    ("kind", field(Field::Enum(6))),
    ("kind.string", field(Field::KindText)),
    ("kind.deprecated_string", field(Field::KindDeprecated)),
    ("start_time_unix_nano", field(Field::Nanos(7))),
    ("end_time_unix_nano", field(Field::Nanos(8))),
    ("start_time", field(Field::Time(7))),
    ("end_time", field(Field::Time(8))),
    ("attributes", Target::Attributes),
    ("dropped_attributes_count", field(Field::Count(10))),
    ("events", field(Field::Part(HandleKind::Events, 11))),
    ("dropped_events_count", field(Field::Count(12))),
    ("links", field(Field::Part(HandleKind::Links, 13))),
    ("dropped_links_count", field(Field::Count(14))),
    ("status", field(Field::Part(HandleKind::Status, 15))),
    ("status.code", field(Field::StatusCode)),
    ("status.message", field(Field::StatusMessage)),
    ("flags", field(Field::Flags { number: 16, is_checked: true })),
    ("cache", Target::Cache),
];

const SPAN_EVENT: Table = &[
    ("name", field(Field::Text(2))),
    ("time_unix_nano", field(Field::Nanos(1))),
    ("time", field(Field::Time(1))),
    ("attributes", Target::Attributes),
    ("dropped_attributes_count", field(Field::Count(4))),
    ("event_index", field(Field::EventIndex)),
    ("cache", Target::Cache),
];

const METRIC: Table = &[
    ("name", field(Field::Text(1))),
    ("description", field(Field::Text(2))),
    ("unit", field(Field::Text(3))),
    ("type", field(Field::MetricType)),
    ("aggregation_temporality", field(Field::Temporality)),
    ("is_monotonic", field(Field::Monotonic)),
    ("data_points", field(Field::DataPoints)),
    ("metadata", Target::Attributes),
    ("cache", Target::Cache),
];

const DATA_POINT: Table = &[
    ("attributes", Target::Attributes),
    ("start_time_unix_nano", field(Field::Nanos(2))),
    ("time_unix_nano", field(Field::Nanos(3))),
    ("start_time", field(Field::Time(2))),
    ("time", field(Field::Time(3))),
    ("value_double", field(Field::ValueDouble)),
    ("value_int", field(Field::ValueInt)),
    ("exemplars", field(Field::Exemplars)),
    ("flags", field(Field::PointFlags)),
    ("count", field(Field::PointCount)),
    ("sum", field(Field::PointSum)),
    ("bucket_counts", field(Field::BucketCounts)),
    ("explicit_bounds", field(Field::ExplicitBounds)),
    ("scale", field(Field::Scale)),
    ("zero_count", field(Field::ZeroCount)),
    ("positive", field(Field::Buckets(8))),
    ("positive.offset", field(Field::BucketsOffset(8))),
    ("positive.bucket_counts", field(Field::BucketsCounts(8))),
    ("negative", field(Field::Buckets(9))),
    ("negative.offset", field(Field::BucketsOffset(9))),
    ("negative.bucket_counts", field(Field::BucketsCounts(9))),
    ("quantile_values", field(Field::Quantiles)),
    ("cache", Target::Cache),
];

const EXEMPLAR: Table = &[
    ("time_unix_nano", field(Field::Nanos(2))),
    ("time", field(Field::Time(2))),
    ("double_value", field(Field::ExemplarDouble)),
    ("int_value", field(Field::ExemplarInt)),
    ("trace_id", field(Field::TraceId(5))),
    ("trace_id.string", field(Field::TraceIdText(5))),
    ("span_id", field(Field::SpanId(4))),
    ("span_id.string", field(Field::SpanIdText(4))),
    ("filtered_attributes", Target::Attributes),
    ("cache", Target::Cache),
];

const LOG: Table = &[
    ("time_unix_nano", field(Field::Nanos(1))),
    ("observed_time_unix_nano", field(Field::Nanos(11))),
    ("time", field(Field::Time(1))),
    ("observed_time", field(Field::Time(11))),
    ("severity_number", field(Field::Enum(2))),
    ("severity_text", field(Field::Text(3))),
    ("body", Target::Body),
    ("body.string", Target::BodyText),
    ("attributes", Target::Attributes),
    ("dropped_attributes_count", field(Field::Count(7))),
    ("flags", field(Field::Flags { number: 8, is_checked: false })),
    ("trace_id", field(Field::TraceId(9))),
    ("trace_id.string", field(Field::TraceIdText(9))),
    ("span_id", field(Field::SpanId(10))),
    ("span_id.string", field(Field::SpanIdText(10))),
    ("event_name", field(Field::Text(12))),
    ("cache", Target::Cache),
];

/// The paths of `otelcol`.
pub(crate) const CLIENT: Table = &[
    ("client.addr", Target::Client(ClientField::Address)),
    ("client.auth.attributes", Target::Client(ClientField::AuthAttributes)),
    ("client.metadata", Target::Client(ClientField::Metadata)),
    ("grpc.metadata", Target::Client(ClientField::Metadata)),
];

/// The paths of a context, without its prefix.
pub(crate) fn paths(context: Context) -> Table {
    match context {
        Context::Resource => RESOURCE,
        Context::Scope => SCOPE,
        Context::Span => SPAN,
        Context::SpanEvent => SPAN_EVENT,
        Context::Metric => METRIC,
        Context::DataPoint => DATA_POINT,
        Context::Exemplar => EXEMPLAR,
        Context::Log => LOG,
    }
}

/// The value of an enumeration's symbol, where statements of the context know it.
pub(crate) fn symbol(context: Context, name: &str) -> Option<i64> {
    symbols(context).find(|(symbol, _)| symbol == name).map(|(_, value)| value)
}

const KINDS: [&str; 6] = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
const CODES: [&str; 3] = ["UNSET", "OK", "ERROR"];
const SEVERITIES: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const TEMPORALITIES: [&str; 3] = ["UNSPECIFIED", "DELTA", "CUMULATIVE"];
const TYPES: [&str; 6] = ["NONE", "GAUGE", "SUM", "HISTOGRAM", "EXPONENTIAL_HISTOGRAM", "SUMMARY"];
const FLAGS: [&str; 2] = ["NONE", "NO_RECORDED_VALUE"];

/// The symbols that statements of a context know.
pub(crate) fn symbols(context: Context) -> Box<dyn Iterator<Item = (String, i64)>> {
    fn named(prefix: &'static str, names: &'static [&'static str]) -> impl Iterator<Item = (String, i64)> {
        names.iter().zip(0..).map(move |(name, value)| (format!("{prefix}{name}"), value))
    }
    let metric =
        || named("AGGREGATION_TEMPORALITY_", &TEMPORALITIES).chain(named("METRIC_DATA_TYPE_", &TYPES));
    match context {
        Context::Resource | Context::Scope | Context::Exemplar => Box::new(std::iter::empty()),
        Context::Span | Context::SpanEvent => {
            Box::new(named("SPAN_KIND_", &KINDS).chain(named("STATUS_CODE_", &CODES)))
        }
        Context::Metric => Box::new(metric()),
        Context::DataPoint => Box::new(metric().chain(named("FLAG_", &FLAGS))),
        Context::Log => {
            let levels = SEVERITIES.iter().flat_map(|level| {
                ["", "2", "3", "4"].into_iter().map(move |step| format!("SEVERITY_NUMBER_{level}{step}"))
            });
            let unspecified = std::iter::once("SEVERITY_NUMBER_UNSPECIFIED".to_owned());
            Box::new(unspecified.chain(levels).zip(0..))
        }
    }
}
