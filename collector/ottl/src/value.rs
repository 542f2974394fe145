//! The values of the language, decoded.
//!
//! Functions take and give these. Borrowed parts come from the record that is being evaluated, or from a
//! literal of the statement.

mod map;
mod time;

use std::borrow::Cow;

pub use map::Map;
pub use time::{Time, Zone};

/// A value of the language.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value<'a> {
    /// `nil`, a key that is not there, or a value without content.
    #[default]
    Nil,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Text. What was not UTF-8 on the wire is U+FFFD here.
    String(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// Values by key.
    Map(Map<'a>),
    /// Values in order.
    List(Vec<Value<'a>>),
    /// An instant, and the zone that its calendar fields are told in.
    Time(Time),
    /// A length of time in nanoseconds.
    Duration(i64),
    /// The identifier of a trace; all zeros is a value, not [`Value::Nil`].
    TraceId([u8; 16]),
    /// The identifier of a span; all zeros is a value, not [`Value::Nil`].
    SpanId([u8; 8]),
    /// The identifier of a profile.
    ProfileId([u8; 16]),
    /// A part of a record that the language can hold, copy, and sometimes count, but not look into.
    Handle(Handle<'a>),
}

/// A part of a record that is no value of an attribute: `span.events`, `datapoint.positive`.
#[derive(Clone, Debug, PartialEq)]
pub struct Handle<'a> {
    kind: HandleKind,
    /// The fields of a `repeated` part, one behind the other, or the body of a message.
    bytes: Cow<'a, [u8]>,
}

/// What a [`Handle`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandleKind {
    /// `span.events`.
    Events,
    /// `span.links`.
    Links,
    /// `span.status`.
    Status,
    /// `metric.data_points`.
    DataPoints,
    /// `datapoint.exemplars`.
    Exemplars,
    /// `datapoint.positive` and `datapoint.negative`.
    Buckets,
    /// `datapoint.quantile_values`.
    Quantiles,
}

impl<'a> Handle<'a> {
    /// Takes the bytes of a part.
    pub(crate) fn new(kind: HandleKind, bytes: Cow<'a, [u8]>) -> Handle<'a> {
        Handle { kind, bytes }
    }

    /// What it holds.
    pub fn kind(&self) -> HandleKind {
        self.kind
    }

    /// The bytes of the part.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many items there are, for parts that are lists.
    pub fn len(&self) -> Option<usize> {
        use HandleKind::{Buckets, Status};
        match self.kind {
            Status | Buckets => None,
            _ => Some(phoenix_pdata::wire::Fields::new(&self.bytes).count()),
        }
    }

    /// Whether it is a list without items.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

impl<'a> Value<'a> {
    /// The name of its type, as messages give it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Double(_) => "double",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Map(_) => "map",
            Value::List(_) => "list",
            Value::Time(_) => "time",
            Value::Duration(_) => "duration",
            Value::TraceId(_) => "trace ID",
            Value::SpanId(_) => "span ID",
            Value::ProfileId(_) => "profile ID",
            Value::Handle(_) => "part of a record",
        }
    }

    /// Whether it is [`Value::Nil`].
    pub fn is_nil(&self) -> bool {
        matches!(self, Value::Nil)
    }

    /// Copies what is borrowed.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Nil => Value::Nil,
            Value::Bool(value) => Value::Bool(value),
            Value::Int(value) => Value::Int(value),
            Value::Double(value) => Value::Double(value),
            Value::String(text) => Value::String(text.into_owned().into()),
            Value::Bytes(bytes) => Value::Bytes(bytes.into_owned().into()),
            Value::Map(map) => Value::Map(map.into_owned()),
            Value::List(values) => Value::List(values.into_iter().map(Value::into_owned).collect()),
            Value::Time(time) => Value::Time(time),
            Value::Duration(nanos) => Value::Duration(nanos),
            Value::TraceId(id) => Value::TraceId(id),
            Value::SpanId(id) => Value::SpanId(id),
            Value::ProfileId(id) => Value::ProfileId(id),
            Value::Handle(handle) => {
                Value::Handle(Handle { kind: handle.kind, bytes: handle.bytes.into_owned().into() })
            }
        }
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<f64> for Value<'_> {
    fn from(value: f64) -> Self {
        Value::Double(value)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::String(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::String(Cow::Owned(text))
    }
}

impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Value::String(text)
    }
}

impl<'a> From<Vec<Value<'a>>> for Value<'a> {
    fn from(values: Vec<Value<'a>>) -> Self {
        Value::List(values)
    }
}

impl<'a> From<Map<'a>> for Value<'a> {
    fn from(map: Map<'a>) -> Self {
        Value::Map(map)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Nil, Into::into)
    }
}
