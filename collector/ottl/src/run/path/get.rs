//! The values of fields.

use phoenix_pdata::wire::{Field as WireField, Fields};
use phoenix_pdata::write::put_message;

use crate::functions::encode::hex;
use crate::path::Field;
use crate::run::message::{MONOTONIC, TEMPORALITY, with_fields};
use crate::run::{Arena, Datum, Shape, State};
use crate::value::HandleKind;

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

pub(super) const KINDS: &[&str; 6] = &["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];
pub(super) const DEPRECATED_KINDS: &[&str; 6] = &[
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
