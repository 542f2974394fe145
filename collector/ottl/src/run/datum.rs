//! Values as the evaluator passes them around: what is composed stays encoded until somebody looks inside.

use std::borrow::Cow;

use phoenix_pdata::view::Text;
use phoenix_pdata::wire::{Field, Fields};
use phoenix_pdata::write::{put_bytes, put_double, put_message, put_uint};

use crate::value::{Handle, HandleKind};
use crate::{EvalError, Map, Time, Value};

use super::Arena;

/// A value that borrows from the request, the program or the arena of the pass.
#[derive(Clone, Debug, Default)]
pub(crate) enum Datum<'a> {
    #[default]
    Nil,
    Bool(bool),
    Int(i64),
    Double(f64),
    /// Text, which need not be UTF-8.
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    /// The body of a `KeyValueList`.
    Map(&'a [u8]),
    /// The body of an `ArrayValue`.
    List(&'a [u8]),
    /// An instant in UTC: nanoseconds since 1970.
    Utc(i64),
    Zoned(Box<Time>),
    Duration(i64),
    TraceId([u8; 16]),
    SpanId([u8; 8]),
    ProfileId([u8; 16]),
    Handle(HandleKind, &'a [u8]),
    /// A map or list that holds what no attribute can.
    Decoded(Box<Value<'a>>),
}

impl<'a> Datum<'a> {
    /// Reads the body of an `AnyValue`.
    #[inline]
    pub(crate) fn read(body: &'a [u8]) -> Datum<'a> {
        match body {
            [0x0a, len @ ..0x80, text @ ..] if text.len() == usize::from(*len) => Datum::Text(text),
            [0x10 | 0x18 | 0x21, ..] => match Field::read(body) {
                Some((field, [])) => match field.key {
                    0x10 => Datum::Bool(field.scalar != 0),
                    0x18 => Datum::Int(field.scalar as i64),
                    _ => Datum::Double(f64::from_bits(field.scalar)),
                },
                _ => Datum::read_any(body),
            },
            _ => Datum::read_any(body),
        }
    }

    fn read_any(body: &'a [u8]) -> Datum<'a> {
        Fields::new(body).fold(Datum::Nil, |value, field| match field.number() {
            1 => Datum::Text(field.body),
            2 => Datum::Bool(field.scalar != 0),
            3 => Datum::Int(field.scalar as i64),
            4 => Datum::Double(f64::from_bits(field.scalar)),
            5 => Datum::List(field.body),
            6 => Datum::Map(field.body),
            7 => Datum::Bytes(field.body),
            _ => value,
        })
    }

    /// Appends the body of an `AnyValue`. Times, durations, identifiers and parts of records have none.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Result<(), EvalError> {
        match self {
            Datum::Nil => {}
            Datum::Bool(value) => put_uint(out, 2, u64::from(*value)),
            Datum::Int(value) => put_uint(out, 3, *value as u64),
            Datum::Double(value) => put_double(out, 4, *value),
            Datum::Text(text) => put_bytes(out, 1, text),
            Datum::Bytes(bytes) => put_bytes(out, 7, bytes),
            Datum::Map(body) => put_bytes(out, 6, body),
            Datum::List(body) => put_bytes(out, 5, body),
            Datum::Decoded(value) => write_value(value, out)?,
            Datum::Utc(_)
            | Datum::Zoned(_)
            | Datum::Duration(_)
            | Datum::TraceId(_)
            | Datum::SpanId(_)
            | Datum::ProfileId(_)
            | Datum::Handle(..) => return Err(cannot_store(self.type_name())),
        }
        Ok(())
    }

    /// The body of an `AnyValue`, in the arena.
    pub(crate) fn encode(&self, arena: &'a Arena) -> Result<&'a [u8], EvalError> {
        arena.write(|out| self.write(out))
    }

    /// Decodes the value.
    pub(crate) fn into_value(self) -> Value<'a> {
        match self {
            Datum::Nil => Value::Nil,
            Datum::Bool(value) => Value::Bool(value),
            Datum::Int(value) => Value::Int(value),
            Datum::Double(value) => Value::Double(value),
            Datum::Text(text) => Value::String(Text::new(text).to_string_lossy()),
            Datum::Bytes(bytes) => Value::Bytes(Cow::Borrowed(bytes)),
            Datum::Map(body) => Value::Map(
                entries(body)
                    .map(|(key, value)| (Text::new(key).to_string_lossy(), Datum::read(value).into_value()))
                    .fold(Map::new(), |mut map, (key, value)| {
                        map.push(key, value);
                        map
                    }),
            ),
            Datum::List(body) => {
                Value::List(items(body).map(|item| Datum::read(item).into_value()).collect())
            }
            Datum::Utc(nanos) => Value::Time(Time::utc(nanos)),
            Datum::Zoned(time) => Value::Time(*time),
            Datum::Duration(nanos) => Value::Duration(nanos),
            Datum::TraceId(id) => Value::TraceId(id),
            Datum::SpanId(id) => Value::SpanId(id),
            Datum::ProfileId(id) => Value::ProfileId(id),
            Datum::Handle(kind, bytes) => Value::Handle(Handle::new(kind, Cow::Borrowed(bytes))),
            Datum::Decoded(value) => *value,
        }
    }

    /// Takes what a function gave.
    pub(crate) fn from_value(value: Value<'a>, arena: &'a Arena) -> Datum<'a> {
        match value {
            Value::Nil => Datum::Nil,
            Value::Bool(value) => Datum::Bool(value),
            Value::Int(value) => Datum::Int(value),
            Value::Double(value) => Datum::Double(value),
            Value::String(Cow::Borrowed(text)) => Datum::Text(text.as_bytes()),
            Value::String(Cow::Owned(text)) => Datum::Text(arena.copy(text.as_bytes())),
            Value::Bytes(Cow::Borrowed(bytes)) => Datum::Bytes(bytes),
            Value::Bytes(Cow::Owned(bytes)) => Datum::Bytes(arena.copy(&bytes)),
            Value::Map(_) | Value::List(_) => match arena.write(|out| write_value(&value, out)) {
                Ok(body) => Datum::read_any(body),
                Err(_) => Datum::Decoded(Box::new(value)),
            },
            Value::Time(time) => Datum::Zoned(Box::new(time)),
            Value::Duration(nanos) => Datum::Duration(nanos),
            Value::TraceId(id) => Datum::TraceId(id),
            Value::SpanId(id) => Datum::SpanId(id),
            Value::ProfileId(id) => Datum::ProfileId(id),
            Value::Handle(handle) => Datum::Handle(handle.kind(), arena.copy(handle.bytes())),
        }
    }

    /// Its type, as messages name it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Datum::Nil => "nil",
            Datum::Bool(_) => "bool",
            Datum::Int(_) => "int64",
            Datum::Double(_) => "float64",
            Datum::Text(_) => "string",
            Datum::Bytes(_) => "bytes",
            Datum::Map(_) => "map",
            Datum::List(_) => "list",
            Datum::Utc(_) | Datum::Zoned(_) => "time",
            Datum::Duration(_) => "duration",
            Datum::TraceId(_) => "trace ID",
            Datum::SpanId(_) => "span ID",
            Datum::ProfileId(_) => "profile ID",
            Datum::Handle(..) => "part of a record",
            Datum::Decoded(value) => value.type_name(),
        }
    }

    pub(crate) fn is_nil(&self) -> bool {
        matches!(self, Datum::Nil)
    }

    /// An instant, for times of either form.
    pub(crate) fn unix_nanos(&self) -> Option<i128> {
        match self {
            Datum::Utc(nanos) => Some((*nanos).into()),
            Datum::Zoned(time) => Some(time.unix_nanos),
            _ => None,
        }
    }
}

fn cannot_store(type_name: &str) -> EvalError {
    EvalError::new(format!("a {type_name} cannot be the value of an attribute or of a body"))
}

/// Appends the body of an `AnyValue`.
pub(crate) fn write_value(value: &Value<'_>, out: &mut Vec<u8>) -> Result<(), EvalError> {
    let mut result = Ok(());
    match value {
        Value::Nil => {}
        Value::Bool(value) => put_uint(out, 2, u64::from(*value)),
        Value::Int(value) => put_uint(out, 3, *value as u64),
        Value::Double(value) => put_double(out, 4, *value),
        Value::String(text) => put_bytes(out, 1, text.as_bytes()),
        Value::Bytes(bytes) => put_bytes(out, 7, bytes),
        Value::Map(map) => put_message(out, 6, |out| {
            for (key, value) in map.iter() {
                put_message(out, 1, |out| {
                    put_bytes(out, 1, key.as_bytes());
                    put_message(out, 2, |out| {
                        if result.is_ok() {
                            result = write_value(value, out);
                        }
                    });
                });
            }
        }),
        Value::List(values) => put_message(out, 5, |out| {
            for value in values {
                put_message(out, 1, |out| {
                    if result.is_ok() {
                        result = write_value(value, out);
                    }
                });
            }
        }),
        Value::Time(_)
        | Value::Duration(_)
        | Value::TraceId(_)
        | Value::SpanId(_)
        | Value::ProfileId(_)
        | Value::Handle(_) => return Err(cannot_store(value.type_name())),
    }
    result
}

/// The key and the value of an attribute. No value is an empty one.
#[inline(always)]
pub(crate) fn key_and_value(attribute: &[u8]) -> (&[u8], &[u8]) {
    short_key_and_value(attribute).unwrap_or_else(|| long_key_and_value(attribute))
}

/// The same, of an attribute that is written as nearly all are: a short key, then a short value.
#[inline(always)]
fn short_key_and_value(attribute: &[u8]) -> Option<(&[u8], &[u8])> {
    let [0x0a, key_len @ ..0x80, rest @ ..] = attribute else { return None };
    let (key, rest) = rest.split_at_checked(usize::from(*key_len))?;
    let [0x12, value_len @ ..0x80, value @ ..] = rest else { return None };
    (value.len() == usize::from(*value_len)).then_some((key, value))
}

#[inline(never)]
fn long_key_and_value(attribute: &[u8]) -> (&[u8], &[u8]) {
    Fields::new(attribute).fold((&[], &[]), |(key, value), field| match field.number() {
        1 => (field.body, value),
        2 => (key, field.body),
        _ => (key, value),
    })
}

/// The keys and values of the body of a `KeyValueList`.
pub(crate) fn entries(map: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
    Fields::new(map).filter(|field| field.is_len(1)).map(|field| key_and_value(field.body))
}

/// The items of the body of an `ArrayValue`.
pub(crate) fn items(list: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    Fields::new(list).filter(|field| field.is_len(1)).map(|field| field.body)
}
