//! Fields set, to values of exactly their type.

use phoenix_pdata::write::{put_bytes, put_message, put_sint32, put_uint, put_varint};

use crate::EvalError;
use crate::functions::encode::from_hex;
use crate::path::Field;
use crate::run::message::{MONOTONIC, Message, TEMPORALITY, with_fields};
use crate::run::{Arena, Datum, Shape};
use crate::value::HandleKind;

use super::get::{DEPRECATED_KINDS, KINDS};
use super::mismatch;

/// Sets a field.
pub(super) fn set_field<'a>(
    message: &mut Message<'a>,
    field: Field,
    value: Datum<'a>,
    arena: &'a Arena,
) -> Result<(), EvalError> {
    use Shape::{ExponentialPoint, HistogramPoint, NumberPoint, SummaryPoint};
    let shape = message.shape();
    let int = || match &value {
        Datum::Int(value) => Ok(*value),
        other => Err(mismatch("int64", other)),
    };
    let double = || match &value {
        Datum::Double(value) => Ok(*value),
        other => Err(mismatch("float64", other)),
    };
    let text = || match &value {
        Datum::Text(text) => Ok(*text),
        other => Err(mismatch("string", other)),
    };
    let part = |kind: HandleKind| match &value {
        Datum::Handle(found, bytes) if *found == kind => Ok(*bytes),
        other => Err(mismatch("a part of the same kind", other)),
    };
    let only = |is_it: bool| match is_it {
        true => Ok(()),
        false => Err(EvalError::new("this kind of data point has no such field")),
    };
    match field {
        Field::Text(number) => message.set_bytes(number.into(), text()?),
        Field::Count(number) => message.set_scalar(number.into(), u64::from(int()? as u32)),
        Field::Enum(number) => message.set_scalar(number.into(), i64::from(int()? as i32) as u64),
        Field::Flags { number, is_checked } => {
            let flags = int()?;
            if is_checked && u32::try_from(flags).is_err() {
                return Err(EvalError::new(format!("flags must be between 0 and 4294967295, not {flags}")));
            }
            message.set_scalar(number.into(), u64::from(flags as u32));
        }
        Field::Nanos(number) => message.set_scalar(number.into(), int()? as u64),
        Field::Time(number) => {
            let nanos = value.unix_nanos().ok_or_else(|| mismatch("time", &value))?;
            message.set_scalar(number.into(), nanos as u64);
        }
        Field::TraceId(number) => match &value {
            Datum::TraceId(id) => set_id(message, number, id, arena),
            other => return Err(mismatch("a trace ID", other)),
        },
        Field::SpanId(number) => match &value {
            Datum::SpanId(id) => set_id(message, number, id, arena),
            other => return Err(mismatch("a span ID", other)),
        },
        Field::TraceIdText(number) => {
            let id: [u8; 16] = from_hex(text()?).ok_or("trace IDs take 32 hexadecimal digits")?;
            set_id(message, number, &id, arena);
        }
        Field::SpanIdText(number) => {
            let id: [u8; 8] = from_hex(text()?).ok_or("span IDs take 16 hexadecimal digits")?;
            set_id(message, number, &id, arena);
        }
        Field::KindText => message.set_scalar(6, kind(text()?, KINDS)?),
        Field::KindDeprecated => message.set_scalar(6, kind(text()?, DEPRECATED_KINDS)?),
        Field::StatusCode => {
            let code = i64::from(int()? as i32) as u64;
            let status = with_fields(message.bytes(15), arena, &[3], |out| {
                if code != 0 {
                    put_uint(out, 3, code);
                }
            });
            message.set_bytes(15, status);
        }
        Field::StatusMessage => {
            let text = text()?;
            let status = with_fields(message.bytes(15), arena, &[2], |out| {
                if !text.is_empty() {
                    put_bytes(out, 2, text);
                }
            });
            message.set_bytes(15, status);
        }
        Field::Part(kind, number) => message.set_bytes(number.into(), part(kind)?),
        Field::EventIndex => return Err("the index of an event cannot be set".into()),
        Field::MetricType => drop(int()?),
        Field::Temporality => {
            let temporality = int()?;
            if message.optional_scalar(TEMPORALITY).is_some() {
                message.set_scalar(TEMPORALITY, i64::from(temporality as i32) as u64);
            }
        }
        Field::Monotonic => {
            let Datum::Bool(is_monotonic) = value else { return Err(mismatch("bool", &value)) };
            if let Some((7, _)) = message.data() {
                message.set_scalar(MONOTONIC, u64::from(is_monotonic));
            }
        }
        Field::DataPoints => {
            let points = part(HandleKind::DataPoints)?;
            let Some((number, body)) = message.data() else {
                return Err("the metric has no data".into());
            };
            let data = with_fields(body, arena, &[1], |out| out.extend_from_slice(points));
            message.set_bytes(number, data);
        }
        Field::PointFlags => message.set_scalar(shape.point_flags(), u64::from(int()? as u32)),
        Field::ValueDouble => {
            let value = double()?;
            only(shape == NumberPoint)?;
            message.clear(6);
            message.set_scalar(4, value.to_bits());
        }
        Field::ValueInt => {
            let value = int()?;
            only(shape == NumberPoint)?;
            message.clear(4);
            message.set_scalar(6, value as u64);
        }
        Field::Exemplars => {
            let exemplars = part(HandleKind::Exemplars)?;
            let number = shape.exemplars().ok_or("this kind of data point has no such field")?;
            message.set_bytes(number, exemplars);
        }
        Field::PointCount => {
            let count = int()?;
            only(shape != NumberPoint)?;
            message.set_scalar(4, count as u64);
        }
        Field::PointSum => {
            let sum = double()?;
            only(shape != NumberPoint)?;
            message.set_scalar(5, sum.to_bits());
        }
        Field::BucketCounts => {
            let counts = ints(&value)?;
            only(shape == HistogramPoint)?;
            let field = packed_field(arena, 6, counts.iter().map(|count| *count as u64));
            message.set_bytes(6, field);
        }
        Field::ExplicitBounds => {
            let bounds = doubles(&value)?;
            only(shape == HistogramPoint)?;
            let field = packed_field(arena, 7, bounds.iter().map(|bound| bound.to_bits()));
            message.set_bytes(7, field);
        }
        Field::Scale => {
            let scale = int()? as i32;
            only(shape == ExponentialPoint)?;
            message.set_scalar(6, u64::from((scale << 1 ^ scale >> 31) as u32));
        }
        Field::ZeroCount => {
            let count = int()?;
            only(shape == ExponentialPoint)?;
            message.set_scalar(7, count as u64);
        }
        Field::Buckets(number) => {
            let buckets = part(HandleKind::Buckets)?;
            only(shape == ExponentialPoint)?;
            message.set_bytes(number.into(), buckets);
        }
        Field::BucketsOffset(number) => {
            let offset = int()? as i32;
            only(shape == ExponentialPoint)?;
            let number = number.into();
            let buckets = with_fields(message.bytes(number), arena, &[1], |out| {
                if offset != 0 {
                    put_sint32(out, 1, offset);
                }
            });
            message.set_bytes(number, buckets);
        }
        Field::BucketsCounts(number) => {
            let counts = ints(&value)?;
            only(shape == ExponentialPoint)?;
            let number = number.into();
            let buckets = with_fields(message.bytes(number), arena, &[2], |out| {
                put_message(out, 2, |out| {
                    counts.iter().for_each(|count| put_varint(out, *count as u64));
                });
            });
            message.set_bytes(number, buckets);
        }
        Field::Quantiles => {
            let quantiles = part(HandleKind::Quantiles)?;
            only(shape == SummaryPoint)?;
            message.set_bytes(6, quantiles);
        }
        Field::ExemplarDouble => {
            let value = double()?;
            message.clear(6);
            message.set_scalar(3, value.to_bits());
        }
        Field::ExemplarInt => {
            let value = int()?;
            message.clear(3);
            message.set_scalar(6, value as u64);
        }
    }
    Ok(())
}

fn set_id<'a>(message: &mut Message<'a>, number: u8, id: &[u8], arena: &'a Arena) {
    // An identifier of zeros is none, and is not written.
    match id.iter().all(|byte| *byte == 0) {
        true => message.clear(number.into()),
        false => message.set_bytes(number.into(), arena.copy(id)),
    }
}

fn kind(name: &[u8], names: &[&str; 6]) -> Result<u64, EvalError> {
    names
        .iter()
        .zip(0..)
        .find(|(known, _)| known.as_bytes() == name)
        .map(|(_, kind)| kind)
        .ok_or_else(|| EvalError::new(format!("unknown span kind {:?}", String::from_utf8_lossy(name))))
}

fn list_of<T>(
    value: &Datum<'_>,
    element: &str,
    read: impl Fn(Datum<'_>) -> Option<T>,
) -> Result<Vec<T>, EvalError> {
    let Datum::List(body) = value else { return Err(mismatch("a list", value)) };
    crate::run::items(body)
        .map(|item| {
            let type_name = Datum::read(item).type_name();
            read(Datum::read(item)).ok_or_else(|| {
                EvalError::new(format!("expects a list of {element}, found a {type_name} in it"))
            })
        })
        .collect()
}

fn ints(value: &Datum<'_>) -> Result<Vec<i64>, EvalError> {
    list_of(value, "int64", |item| match item {
        Datum::Int(value) => Some(value),
        _ => None,
    })
}

fn doubles(value: &Datum<'_>) -> Result<Vec<f64>, EvalError> {
    list_of(value, "float64", |item| match item {
        Datum::Double(value) => Some(value),
        _ => None,
    })
}

/// A packed field of numbers of eight bytes, key included; nothing if there are none.
fn packed_field(arena: &Arena, number: u32, bits: impl ExactSizeIterator<Item = u64>) -> &[u8] {
    let written = arena.write(|out| {
        if bits.len() > 0 {
            put_message(out, number, |out| bits.for_each(|bits| out.extend_from_slice(&bits.to_le_bytes())));
        }
        Ok::<(), std::convert::Infallible>(())
    });
    let Ok(field) = written;
    field
}
