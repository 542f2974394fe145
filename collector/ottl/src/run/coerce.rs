//! What becomes of a value that meets the kind of a parameter.

use crate::EvalError;
use crate::function::Kind;
use crate::functions::number::{parse_bool, parse_float, truncate_float};
use crate::value::Value;

use super::{Arena, Datum, text_like};

/// The value as the kind wants it.
pub(crate) fn coerce<'a>(datum: Datum<'a>, kind: Kind, arena: &'a Arena) -> Result<Datum<'a>, EvalError> {
    match (kind, &datum) {
        (Kind::Any, _)
        | (Kind::String | Kind::LiteralString, Datum::Text(_))
        | (Kind::Int | Kind::LiteralInt, Datum::Int(_))
        | (Kind::Double | Kind::LiteralDouble, Datum::Double(_))
        | (Kind::Bool | Kind::LiteralBool, Datum::Bool(_))
        | (Kind::Time, Datum::Utc(_) | Datum::Zoned(_))
        | (Kind::Duration, Datum::Duration(_))
        | (Kind::Map, Datum::Map(_))
        | (Kind::List, Datum::List(_)) => Ok(datum),
        (Kind::Map, Datum::Decoded(value)) if matches!(**value, Value::Map(_)) => Ok(datum),
        (Kind::List, Datum::Decoded(value)) if matches!(**value, Value::List(_)) => Ok(datum),
        (Kind::StringLike | Kind::DoubleLike | Kind::IntLike | Kind::BoolLike, Datum::Nil) => Ok(Datum::Nil),
        (Kind::StringLike, _) => Ok(Datum::Text(text_like(&datum, arena)?)),
        (Kind::DoubleLike, _) => to_double(&datum, arena).map(Datum::Double),
        (Kind::IntLike, _) => Ok(to_int(&datum, arena)?.map_or(Datum::Nil, Datum::Int)),
        (Kind::BoolLike, _) => to_bool(&datum, arena).map(Datum::Bool),
        (Kind::BytesLike, _) => to_bytes(&datum, arena).map(Datum::Bytes),
        _ => Err(mismatch(kind, &datum)),
    }
}

fn mismatch(kind: Kind, datum: &Datum<'_>) -> EvalError {
    EvalError::new(format!("expected {} but got {}", kind.expected(), datum.type_name()))
}

fn text<'a>(bytes: &'a [u8], arena: &'a Arena) -> &'a str {
    std::str::from_utf8(bytes).unwrap_or_else(|_| arena.copy_str(&String::from_utf8_lossy(bytes)))
}

fn to_double<'a>(datum: &Datum<'a>, arena: &'a Arena) -> Result<f64, EvalError> {
    match datum {
        Datum::Double(value) => Ok(*value),
        Datum::Int(value) => Ok(*value as f64),
        Datum::Bool(value) => Ok(f64::from(u8::from(*value))),
        Datum::Text(bytes) => parse_float(text(bytes, arena)),
        _ => Err(mismatch(Kind::DoubleLike, datum)),
    }
}

fn to_int<'a>(datum: &Datum<'a>, arena: &'a Arena) -> Result<Option<i64>, EvalError> {
    match datum {
        Datum::Int(value) => Ok(Some(*value)),
        Datum::Double(value) => Ok(Some(truncate_float(*value))),
        Datum::Bool(value) => Ok(Some(i64::from(*value))),
        // Go's `ParseInt` in base 10; text that is none is no error here.
        Datum::Text(bytes) => Ok(crate::functions::number::parse_int(text(bytes, arena), 10).ok()),
        _ => Err(mismatch(Kind::IntLike, datum)),
    }
}

fn to_bool<'a>(datum: &Datum<'a>, arena: &'a Arena) -> Result<bool, EvalError> {
    match datum {
        Datum::Bool(value) => Ok(*value),
        Datum::Int(value) => Ok(*value != 0),
        Datum::Double(value) => Ok(*value != 0.0),
        Datum::Text(bytes) => parse_bool(text(bytes, arena)),
        _ => Err(mismatch(Kind::BoolLike, datum)),
    }
}

fn to_bytes<'a>(datum: &Datum<'a>, arena: &'a Arena) -> Result<&'a [u8], EvalError> {
    Ok(match datum {
        Datum::Nil => &[],
        Datum::Bytes(bytes) | Datum::Text(bytes) => bytes,
        Datum::Int(value) => arena.copy(&value.to_be_bytes()),
        Datum::Double(value) => arena.copy(&value.to_be_bytes()),
        Datum::Bool(value) => arena.copy(&[u8::from(*value)]),
        _ => return Err(mismatch(Kind::BytesLike, datum)),
    })
}
