//! Paths read and set.

use phoenix_pdata::wire::{Field as WireField, Fields};
use phoenix_pdata::write::{put_bytes, put_message, put_sint32, put_uint};
use smallvec::SmallVec;

use crate::functions::encode::{from_hex, hex};
use crate::path::{Field, Target};
use crate::plan::Path;
use crate::value::HandleKind;
use crate::{EvalError, trace_state};

use super::entries::Entries;
use super::index::{index_stored, list_value, map_value, set_stored};
use super::message::{MONOTONIC, Message, TEMPORALITY, with_fields};
use super::shape::Shape;
use super::{Arena, Datum, State, client, plain_text};

pub(crate) type Keys<'a> = SmallVec<[Datum<'a>; 2]>;

/// The value at a path.
pub(crate) fn get<'a>(state: &mut State<'a>, path: &'a Path) -> Result<Datum<'a>, EvalError> {
    let keys = keys(state, path)?;
    let arena = state.arena;
    match path.target {
        Target::Attributes => match keys.split_first() {
            None => {
                let body = state.at(path.depth).attributes().encode(arena);
                Ok(Datum::Map(body))
            }
            Some((key, rest)) => match state.at(path.depth).attribute(map_key(key)?) {
                Some(value) => index_stored(value, rest),
                None => Ok(Datum::Nil),
            },
        },
        Target::Cache => match keys.split_first() {
            None => Ok(Datum::Map(state.cache.encode(arena))),
            Some((key, rest)) => match state.cache.get(map_key(key)?) {
                Some(value) => index_stored(value, rest),
                None => Ok(Datum::Nil),
            },
        },
        Target::Body => {
            let body = state.at(path.depth).bytes(5);
            check_body(body, &keys)?;
            index_stored(body, &keys)
        }
        Target::BodyText => {
            let body = state.at(path.depth).bytes(5);
            plain_text(&Datum::read(body), arena).map(Datum::Text)
        }
        Target::TraceState => {
            let text = state.at(path.depth).bytes(3);
            match keys.first() {
                None => Ok(Datum::Text(text)),
                Some(key) => Ok(trace_state::get(text, map_key(key)?).map_or(Datum::Nil, Datum::Text)),
            }
        }
        Target::Client(field) => client::get(state, field, &keys),
        Target::Field(field) => Ok(get_field(state, path.depth, field)),
    }
}

/// Evaluates the keys of a path.
fn keys<'a>(state: &mut State<'a>, path: &'a Path) -> Result<Keys<'a>, EvalError> {
    path.keys
        .iter()
        .map(|key| match key.evaluate(state)? {
            key @ (Datum::Text(_) | Datum::Int(_)) => Ok(key),
            other => {
                Err(EvalError::new(format!("a key must be a string or an int, not {}", other.type_name())))
            }
        })
        .collect()
}

fn map_key<'a>(key: &Datum<'a>) -> Result<&'a [u8], EvalError> {
    match key {
        Datum::Text(name) => Ok(name),
        other => Err(EvalError::new(format!("a map is indexed by string, not by {}", other.type_name()))),
    }
}

fn check_body(body: &[u8], keys: &[Datum<'_>]) -> Result<(), EvalError> {
    let value = Datum::read(body);
    match (keys.is_empty(), &value) {
        (true, _) | (_, Datum::Map(_) | Datum::List(_)) => Ok(()),
        _ => Err(EvalError::new(format!("log bodies of type {} cannot be indexed", value.type_name()))),
    }
}

/// The value of a field.
pub(crate) fn get_field<'a>(state: &mut State<'a>, depth: u8, field: Field) -> Datum<'a> {
    use Shape::{ExponentialPoint, HistogramPoint, NumberPoint, SummaryPoint};
    let (arena, event_index) = (state.arena, state.event_index);
    let message = state.at(depth);
    let shape = message.shape();
    match field {
        Field::Text(number) => Datum::Text(message.bytes(number.into())),
        Field::Count(number) => Datum::Int(i64::from(message.scalar(number.into()) as u32)),
        Field::Enum(number) => Datum::Int(i64::from(message.scalar(number.into()) as i32)),
        Field::Flags { number, .. } => Datum::Int(i64::from(message.scalar(number.into()) as u32)),
        Field::Nanos(number) => Datum::Int(message.scalar(number.into()) as i64),
        Field::Time(number) => Datum::Utc(message.scalar(number.into()) as i64),
        Field::TraceId(number) => Datum::TraceId(id(message.bytes(number.into()))),
        Field::SpanId(number) => Datum::SpanId(id(message.bytes(number.into()))),
        Field::TraceIdText(number) => id_text(id::<16>(message.bytes(number.into())), arena),
        Field::SpanIdText(number) => id_text(id::<8>(message.bytes(number.into())), arena),
        Field::KindText => Datum::Text(kind_name(message.scalar(6), KINDS)),
        Field::KindDeprecated => Datum::Text(kind_name(message.scalar(6), DEPRECATED_KINDS)),
        Field::StatusCode => {
            Datum::Int(i64::from(last(message.bytes(15), 3).map_or(0, |field| field.scalar) as i32))
        }
        Field::StatusMessage => Datum::Text(last(message.bytes(15), 2).map_or(&[], |field| field.body)),
        Field::Part(HandleKind::Status, number) => {
            Datum::Handle(HandleKind::Status, message.bytes(number.into()))
        }
        Field::Part(kind, number) => Datum::Handle(kind, message.repeated(number.into(), arena)),
        Field::EventIndex => Datum::Int(event_index),
        Field::MetricType => Datum::Int(match message.data() {
            Some((5, _)) => 1,
            Some((7, _)) => 2,
            Some((9, _)) => 3,
            Some((10, _)) => 4,
            Some((11, _)) => 5,
            _ => 0,
        }),
        Field::Temporality => message
            .optional_scalar(TEMPORALITY)
            .map_or(Datum::Nil, |value| Datum::Int(i64::from(value as i32))),
        Field::Monotonic => match message.data() {
            Some((7, _)) => Datum::Bool(message.scalar(MONOTONIC) != 0),
            _ => Datum::Nil,
        },
        Field::DataPoints => {
            let points = message.data().map_or(&[][..], |(_, body)| body);
            let kept = with_fields(points, arena, &[2, 3], |_| {});
            Datum::Handle(HandleKind::DataPoints, kept)
        }
        Field::PointFlags => Datum::Int(i64::from(message.scalar(shape.point_flags()) as u32)),
        Field::ValueDouble if shape == NumberPoint => Datum::Double(f64::from_bits(message.scalar(4))),
        Field::ValueInt if shape == NumberPoint => Datum::Int(message.scalar(6) as i64),
        Field::Exemplars => match shape.exemplars() {
            Some(number) => Datum::Handle(HandleKind::Exemplars, message.repeated(number, arena)),
            None => Datum::Nil,
        },
        Field::PointCount if shape != NumberPoint => Datum::Int(message.scalar(4) as i64),
        Field::PointSum if shape != NumberPoint => Datum::Double(f64::from_bits(message.scalar(5))),
        Field::BucketCounts if shape == HistogramPoint => {
            numbers(message.repeated(6, arena), arena, |bits| Datum::Int(bits as i64))
        }
        Field::ExplicitBounds if shape == HistogramPoint => {
            numbers(message.repeated(7, arena), arena, |bits| Datum::Double(f64::from_bits(bits)))
        }
        Field::Scale if shape == ExponentialPoint => Datum::Int(zigzag(message.scalar(6))),
        Field::ZeroCount if shape == ExponentialPoint => Datum::Int(message.scalar(7) as i64),
        Field::Buckets(number) if shape == ExponentialPoint => {
            Datum::Handle(HandleKind::Buckets, message.bytes(number.into()))
        }
        Field::BucketsOffset(number) if shape == ExponentialPoint => {
            Datum::Int(zigzag(last(message.bytes(number.into()), 1).map_or(0, |field| field.scalar)))
        }
        Field::BucketsCounts(number) if shape == ExponentialPoint => {
            let body = message.bytes(number.into());
            let counts = with_fields(body, arena, &[1], |_| {});
            numbers(counts, arena, |bits| Datum::Int(bits as i64))
        }
        Field::Quantiles if shape == SummaryPoint => {
            Datum::Handle(HandleKind::Quantiles, message.repeated(6, arena))
        }
        Field::ExemplarDouble => Datum::Double(f64::from_bits(message.scalar(3))),
        Field::ExemplarInt => Datum::Int(message.scalar(6) as i64),
        _ => Datum::Nil,
    }
}

/// The last field with a number.
fn last(body: &[u8], number: u32) -> Option<WireField<'_>> {
    Fields::new(body).filter(|field| field.number() == number).last()
}

fn zigzag(value: u64) -> i64 {
    let value = value as u32;
    i64::from((value >> 1) as i32 ^ -((value & 1) as i32))
}

fn id<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap_or([0; N])
}

fn id_text<'a, const N: usize>(id: [u8; N], arena: &'a Arena) -> Datum<'a> {
    Datum::Text(arena.copy(hex(&id).as_bytes()))
}

const KINDS: &[&str; 6] = &["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];
const DEPRECATED_KINDS: &[&str; 6] = &[
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];

fn kind_name(kind: u64, names: &'static [&'static str; 6]) -> &'static [u8] {
    usize::try_from(kind).ok().and_then(|kind| names.get(kind)).map_or(b"", |name| name.as_bytes())
}

/// The numbers of a repeated field, packed or not, as a list.
fn numbers<'a>(fields: &[u8], arena: &'a Arena, read: impl Fn(u64) -> Datum<'static>) -> Datum<'a> {
    let written = arena.write(|out| {
        let mut put = |bits| put_message(out, 1, |out| drop(read(bits).write(out)));
        for field in Fields::new(fields) {
            match field.key & 7 {
                2 => packed(field.body, field.number(), &mut put),
                _ => put(field.scalar),
            }
        }
        Ok::<(), std::convert::Infallible>(())
    });
    let Ok(body) = written;
    Datum::List(body)
}

/// Histograms pack numbers of eight bytes, exponential ones (field 2) varints.
fn packed(body: &[u8], number: u32, put: &mut impl FnMut(u64)) {
    if number != 2 {
        body.chunks_exact(8)
            .filter_map(|chunk| chunk.try_into().ok())
            .for_each(|chunk| put(u64::from_le_bytes(chunk)));
        return;
    }
    let mut value = 0u64;
    let mut shift = 0;
    for byte in body {
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        shift += 7;
        if byte & 0x80 == 0 {
            put(value);
            (value, shift) = (0, 0);
        }
    }
}

fn mismatch(expected: &str, value: &Datum<'_>) -> EvalError {
    EvalError::new(format!("expects {expected} but got {}", value.type_name()))
}

/// Sets the value at a path.
pub(crate) fn set<'a>(state: &mut State<'a>, path: &'a Path, value: Datum<'a>) -> Result<(), EvalError> {
    let keys = keys(state, path)?;
    let arena = state.arena;
    match path.target {
        Target::Attributes => {
            let message = state.at(path.depth);
            match keys.split_first() {
                None => {
                    let entries = Entries::of_map(map_body(&value, arena)?);
                    message.take_attributes();
                    message.put_attributes(entries, true);
                    Ok(())
                }
                Some((key, rest)) => {
                    let key = map_key(key)?;
                    let value = encode(&value, rest.len(), arena)?;
                    let value = match rest {
                        [] => value,
                        rest => set_stored(message.attribute(key), rest, value, arena)?,
                    };
                    message.set_attribute(key, value);
                    Ok(())
                }
            }
        }
        Target::Cache => {
            match keys.split_first() {
                None => state.cache = Entries::of_map(map_body(&value, arena)?),
                Some((key, rest)) => {
                    let key = map_key(key)?;
                    let value = encode(&value, rest.len(), arena)?;
                    let value = set_stored(state.cache.get(key), rest, value, arena)?;
                    state.cache.set(key, value);
                }
            }
            Ok(())
        }
        Target::Body => {
            let message = state.at(path.depth);
            let body = message.bytes(5);
            check_body(body, &keys)?;
            let value = encode(&value, keys.len(), arena)?;
            let value = set_stored(Some(body), &keys, value, arena)?;
            message.set_bytes(5, value);
            Ok(())
        }
        Target::BodyText => {
            let Datum::Text(_) = value else { return Err(mismatch("string", &value)) };
            let value = value.encode(arena)?;
            state.at(path.depth).set_bytes(5, value);
            Ok(())
        }
        Target::TraceState => {
            let Datum::Text(text) = value else { return Err(mismatch("string", &value)) };
            let message = state.at(path.depth);
            match keys.first() {
                None => message.set_bytes(3, text),
                Some(key) => {
                    if let Some(changed) = trace_state::set(message.bytes(3), map_key(key)?, text) {
                        message.set_bytes(3, arena.copy(&changed));
                    }
                }
            }
            Ok(())
        }
        Target::Client(_) => Err("otelcol paths cannot be set".into()),
        Target::Field(field) => set_field(state.at(path.depth), field, value, arena),
    }
}

/// How many messages a value may nest, so that the request stays readable for everybody.
const MAX_VALUE_DEPTH: usize = 84;

/// The body of a value, if it is not nested too deep for a place below so many keys.
pub(crate) fn encode<'a>(value: &Datum<'a>, keys: usize, arena: &'a Arena) -> Result<&'a [u8], EvalError> {
    let body = value.encode(arena)?;
    if matches!(value, Datum::Map(_) | Datum::List(_) | Datum::Decoded(_))
        && !is_shallow(body, MAX_VALUE_DEPTH.saturating_sub(3 * keys))
    {
        return Err("the value is nested too deep".into());
    }
    Ok(body)
}

/// Whether the body of a value nests at most so many messages.
fn is_shallow(body: &[u8], levels: usize) -> bool {
    match Datum::read(body) {
        Datum::Map(map) => levels >= 3 && super::entries(map).all(|(_, value)| is_shallow(value, levels - 3)),
        Datum::List(list) => levels >= 2 && super::items(list).all(|item| is_shallow(item, levels - 2)),
        _ => true,
    }
}

fn map_body<'a>(value: &Datum<'a>, arena: &'a Arena) -> Result<&'a [u8], EvalError> {
    match Datum::read(encode(value, 0, arena)?) {
        Datum::Map(body) => Ok(body),
        other => Err(mismatch("map", &other)),
    }
}

fn set_field<'a>(
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
                    counts.iter().for_each(|count| phoenix_pdata::write::put_varint(out, *count as u64));
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
    super::items(body)
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

/// Changes the map at a path; `change` tells whether it did.
pub(crate) fn with_map<'a>(
    state: &mut State<'a>,
    path: &'a Path,
    change: impl FnOnce(&mut Entries<'a>, &State<'a>) -> Result<bool, EvalError>,
) -> Result<(), EvalError> {
    if path.keys.is_empty() && path.target == Target::Attributes {
        let mut entries = state.at(path.depth).take_attributes();
        let changed = change(&mut entries, state);
        state.at(path.depth).put_attributes(entries, !matches!(changed, Ok(false)));
        return changed.map(|_| ());
    }
    if path.keys.is_empty() && path.target == Target::Cache {
        let mut entries = std::mem::take(&mut state.cache);
        let changed = change(&mut entries, state);
        state.cache = entries;
        return changed.map(|_| ());
    }
    let mut entries = match get(state, path)? {
        Datum::Map(body) => Entries::of_map(body),
        other => return Err(mismatch("map", &other)),
    };
    if change(&mut entries, state)? {
        let value = map_value(&entries, state.arena)?;
        set(state, path, Datum::read(value))?;
    }
    Ok(())
}

/// Changes the list at a path: its items are the bodies of values. `change` tells whether it did.
pub(crate) fn with_list<'a>(
    state: &mut State<'a>,
    path: &'a Path,
    change: impl FnOnce(&mut Vec<&'a [u8]>) -> Result<bool, EvalError>,
) -> Result<(), EvalError> {
    let mut list: Vec<&'a [u8]> = match get(state, path)? {
        Datum::List(body) => super::items(body).collect(),
        other => return Err(mismatch("list", &other)),
    };
    if change(&mut list)? {
        let value = list_value(list.into_iter(), state.arena)?;
        set(state, path, Datum::read(value))?;
    }
    Ok(())
}
