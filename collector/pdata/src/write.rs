//! The protobuf wire format, written.

use crate::view::AnyValue;
use crate::wire::{Wire, key};

/// The bytes of a varint and how many of them there are.
#[inline]
pub(crate) fn varint(mut value: u64) -> ([u8; 10], usize) {
    let mut bytes = [0; 10];
    let mut len = 0;
    loop {
        bytes[len] = value as u8 & 0x7f;
        value >>= 7;
        len += 1;
        if value == 0 {
            return (bytes, len);
        }
        bytes[len - 1] |= 0x80;
    }
}

/// How many bytes a varint takes.
#[inline]
pub fn varint_len(value: u64) -> usize {
    ((64 - (value | 1).leading_zeros() as usize) * 9 + 64) / 64
}

/// Appends a varint.
#[inline(always)]
pub fn put_varint(out: &mut Vec<u8>, value: u64) {
    if value < 0x80 {
        out.push(value as u8);
    } else {
        put_long_varint(out, value);
    }
}

/// Apart, so that the step for the usual one byte is small enough to stand where it is used.
#[inline(never)]
fn put_long_varint(out: &mut Vec<u8>, value: u64) {
    let (bytes, len) = varint(value);
    out.extend_from_slice(&bytes[..len]);
}

/// Appends the key of a field.
#[inline]
pub fn put_key(out: &mut Vec<u8>, number: u32, wire: Wire) {
    put_varint(out, u64::from(key(number, wire)));
}

/// The most that [`put_start`] writes at once; what is beyond the bytes that were asked for is taken back.
pub(crate) const STEP: usize = 64;

/// Appends the first `len` bytes of `text`. Those of a usual key or value go in one step of a fixed size, where
/// there is as much of `text`: a call to copy as many as there are costs more than the bytes.
#[inline(always)]
pub(crate) fn put_start(out: &mut Vec<u8>, text: &[u8], len: usize) {
    let end = out.len() + len;
    match (text.first_chunk::<STEP>(), text.first_chunk::<{ STEP / 2 }>()) {
        (_, Some(chunk)) if len <= STEP / 2 => out.extend_from_slice(chunk),
        (Some(chunk), _) if len <= STEP => out.extend_from_slice(chunk),
        _ => return out.extend_from_slice(&text[..len]),
    }
    out.truncate(end);
}

/// Appends an integer, boolean or enumeration field. Negative numbers of 32 bits are sign-extended to 64
/// before the cast, as protobuf wants it.
pub fn put_uint(out: &mut Vec<u8>, number: u32, value: u64) {
    put_key(out, number, Wire::Varint);
    put_varint(out, value);
}

/// Appends a `sint32` field.
pub fn put_sint32(out: &mut Vec<u8>, number: u32, value: i32) {
    put_uint(out, number, u64::from((value << 1 ^ value >> 31) as u32));
}

/// Appends a field of four bytes.
pub fn put_fixed32(out: &mut Vec<u8>, number: u32, value: u32) {
    put_key(out, number, Wire::Fixed32);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a field of eight bytes.
pub fn put_fixed64(out: &mut Vec<u8>, number: u32, value: u64) {
    put_key(out, number, Wire::Fixed64);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a `double` field.
pub fn put_double(out: &mut Vec<u8>, number: u32, value: f64) {
    put_fixed64(out, number, value.to_bits());
}

/// Appends a field of text, bytes, or an encoded message.
pub fn put_bytes(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    put_key(out, number, Wire::Len);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Appends a message field that `body` writes, and puts its length before it.
pub fn put_message(out: &mut Vec<u8>, number: u32, body: impl FnOnce(&mut Vec<u8>)) {
    put_key(out, number, Wire::Len);
    let start = out.len();
    out.push(0);
    body(out);
    let (bytes, len) = varint((out.len() - start - 1) as u64);
    out[start] = bytes[0];
    if len > 1 {
        out.splice(start + 1..start + 1, bytes[1..len].iter().copied());
    }
}

/// Appends a value in a field, for example as the body of a log record.
pub fn put_value(out: &mut Vec<u8>, number: u32, value: &AnyValue<'_>) {
    put_message(out, number, |out| put_value_body(out, value));
}

/// Appends the body of a value.
pub fn put_value_body(out: &mut Vec<u8>, value: &AnyValue<'_>) {
    match value {
        AnyValue::Empty => {}
        AnyValue::String(text) => put_bytes(out, 1, text.as_bytes()),
        AnyValue::Bool(value) => put_uint(out, 2, u64::from(*value)),
        AnyValue::Int(value) => put_uint(out, 3, *value as u64),
        AnyValue::Double(value) => put_double(out, 4, *value),
        AnyValue::Array(values) => put_bytes(out, 5, values.bytes()),
        AnyValue::Map(entries) => put_bytes(out, 6, entries.bytes()),
        AnyValue::Bytes(value) => put_bytes(out, 7, value),
        AnyValue::StringIndex(value) => put_uint(out, 8, i64::from(*value) as u64),
    }
}

/// Appends an attribute in a field.
pub fn put_attribute(out: &mut Vec<u8>, number: u32, key: &str, value: &AnyValue<'_>) {
    put_message(out, number, |out| {
        put_bytes(out, 1, key.as_bytes());
        put_value(out, 2, value);
    });
}
