//! The fields of points.

use phoenix_pdata::view::Number;
use phoenix_pdata::wire::Wire;
use phoenix_pdata::write::{
    put_bytes, put_double, put_fixed64, put_key, put_message, put_sint32, put_varint, varint_len,
};
use phoenix_series::{Explicit, Exponential};

/// Writes the value of a number.
pub(crate) fn put_number(out: &mut Vec<u8>, number: Number) {
    match number {
        Number::Double(value) => put_double(out, 4, value),
        Number::Int(value) => put_fixed64(out, 6, value as u64),
    }
}

/// Writes messages as fields of one number.
pub(crate) fn put_all(out: &mut Vec<u8>, field: u32, bodies: &[Box<[u8]>]) {
    for body in bodies {
        put_bytes(out, field, body);
    }
}

/// Writes the fields of a histogram, but for times and attributes.
pub(crate) fn put_explicit(out: &mut Vec<u8>, value: &Explicit) {
    put_fixed64(out, 4, value.count);
    if let Some(sum) = value.sum {
        put_double(out, 5, sum);
    }
    if !value.counts.is_empty() {
        put_key(out, 6, Wire::Len);
        put_varint(out, 8 * value.counts.len() as u64);
        value.counts.iter().for_each(|count| out.extend_from_slice(&count.to_le_bytes()));
    }
    if !value.bounds.is_empty() {
        put_key(out, 7, Wire::Len);
        put_varint(out, 8 * value.bounds.len() as u64);
        value.bounds.iter().for_each(|bound| out.extend_from_slice(&bound.to_le_bytes()));
    }
    for (field, value) in [(11, value.min), (12, value.max)] {
        if let Some(value) = value {
            put_double(out, field, value);
        }
    }
}

/// Writes the fields of an exponential histogram, but for times and attributes.
pub(crate) fn put_exponential(out: &mut Vec<u8>, value: &Exponential) {
    put_fixed64(out, 4, value.count);
    if let Some(sum) = value.sum {
        put_double(out, 5, sum);
    }
    put_sint32(out, 6, value.scale);
    if value.zero_count > 0 {
        put_fixed64(out, 7, value.zero_count);
    }
    for (field, buckets) in [(8, &value.positive), (9, &value.negative)] {
        if buckets.counts.is_empty() {
            continue;
        }
        put_message(out, field, |out| {
            put_sint32(out, 1, buckets.offset as i32);
            put_key(out, 2, Wire::Len);
            put_varint(out, buckets.counts.iter().map(|count| varint_len(*count) as u64).sum());
            buckets.counts.iter().for_each(|count| put_varint(out, *count));
        });
    }
    for (field, value) in [(12, value.min), (13, value.max)] {
        if let Some(value) = value {
            put_double(out, field, value);
        }
    }
    if value.zero_threshold != 0.0 {
        put_double(out, 14, value.zero_threshold);
    }
}
