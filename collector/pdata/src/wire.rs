//! The protobuf wire format, read: keys, varints, fields.
//!
//! [`Fields`] walks one level of a message and never panics: on bytes that are not a message it ends.
//! Only [`crate::validate()`] tells the end of a message from the end of what could be read.

/// How the value of a field is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Wire {
    /// A base-128 integer of at most ten bytes.
    Varint = 0,
    /// Eight bytes, little endian.
    Fixed64 = 1,
    /// A length, then so many bytes: text, bytes, a message or packed numbers.
    Len = 2,
    /// The start of a group, which ends at [`Wire::EndGroup`] with the same number. OTLP has none.
    StartGroup = 3,
    /// The end of a group.
    EndGroup = 4,
    /// Four bytes, little endian.
    Fixed32 = 5,
}

/// The key that stands before a field: its number and its wire type.
pub const fn key(number: u32, wire: Wire) -> u32 {
    number << 3 | wire as u32
}

/// `match` on a key, by field number and wire type; the arms become one jump.
macro_rules! match_key {
    ($key:expr, { $($number:literal $wire:ident => $then:expr,)* _ => $otherwise:expr $(,)? }) => {
        match $key {
            $(k if k == $crate::wire::key($number, $crate::wire::Wire::$wire) => $then,)*
            _ => $otherwise,
        }
    };
}
pub(crate) use match_key;

/// Messages and groups within each other, the request itself not counted. The limit of protobuf in
/// C++, Java and prost; the deepest that OTLP needs without nested attribute values is 9.
pub const MAX_DEPTH: u32 = 100;

/// Reads a key; refuses numbers beyond 29 bits. Does not judge number or wire type.
#[inline(always)]
pub(crate) fn read_key(bytes: &[u8]) -> Option<(u32, &[u8])> {
    match bytes {
        [one, rest @ ..] if *one < 0x80 => Some((u32::from(*one), rest)),
        [low, high, rest @ ..] if *high < 0x80 => Some((u32::from(low & 0x7f) | u32::from(*high) << 7, rest)),
        _ => {
            let (key, rest) = read_long_varint(bytes)?;
            Some((u32::try_from(key).ok()?, rest))
        }
    }
}

/// Reads a varint of at most ten bytes and 64 bits.
#[inline(always)]
pub(crate) fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    match bytes {
        [one, rest @ ..] if *one < 0x80 => Some((u64::from(*one), rest)),
        [low, high, rest @ ..] if *high < 0x80 => Some((u64::from(low & 0x7f) | u64::from(*high) << 7, rest)),
        _ => read_long_varint(bytes),
    }
}

#[inline(never)]
fn read_long_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        if index == 9 && *byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

/// Splits a length-delimited value from what follows it.
#[inline(always)]
pub(crate) fn read_len(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = read_varint(bytes)?;
    rest.split_at_checked(usize::try_from(len).ok()?)
}

/// Reads four bytes, little endian.
#[inline(always)]
pub(crate) fn read_fixed32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (value, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*value), rest))
}

/// Reads eight bytes, little endian.
#[inline(always)]
pub(crate) fn read_fixed64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (value, rest) = bytes.split_first_chunk()?;
    Some((u64::from_le_bytes(*value), rest))
}

/// Skips the value of a field whose key has been read, in a message at `depth`.
///
/// `None` if it is cut short, has no valid number or wire type, or nests too deep.
pub(crate) fn skip_value(key: u32, rest: &[u8], depth: u32) -> Option<&[u8]> {
    if key >> 3 == 0 || depth >= MAX_DEPTH {
        return None;
    }
    match key & 7 {
        0 => read_varint(rest).map(|(_, rest)| rest),
        1 => rest.get(8..),
        2 => read_len(rest).map(|(_, rest)| rest),
        3 => {
            let mut rest = rest;
            loop {
                let (inner, after) = read_key(rest)?;
                if inner & 7 == Wire::EndGroup as u32 {
                    return (inner >> 3 == key >> 3).then_some(after);
                }
                rest = skip_value(inner, after, depth + 1)?;
            }
        }
        5 => rest.get(4..),
        _ => None,
    }
}

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    /// Number and wire type, see [`key`].
    pub key: u32,
    /// The value of a varint, fixed32 or fixed64 field; zero for the others.
    pub scalar: u64,
    /// The value of a length-delimited field or the inside of a group; empty for the others.
    pub body: &'a [u8],
    /// The whole field, key included.
    pub raw: &'a [u8],
}

impl<'a> Field<'a> {
    /// The number of the field.
    pub fn number(&self) -> u32 {
        self.key >> 3
    }

    /// Whether the field is length-delimited and has this number.
    #[inline(always)]
    pub fn is_len(&self, number: u32) -> bool {
        self.key == key(number, Wire::Len)
    }

    /// Reads the first field of `bytes`.
    #[inline(always)]
    pub fn read(bytes: &'a [u8]) -> Option<(Field<'a>, &'a [u8])> {
        // Most fields of a record are attributes: a short key, and a short length.
        if let [key @ ..0x80, len @ ..0x80, rest @ ..] = bytes
            && key & 7 == Wire::Len as u8
        {
            let (body, rest) = rest.split_at_checked(usize::from(*len))?;
            let raw = &bytes[..2 + body.len()];
            return Some((Field { key: u32::from(*key), scalar: 0, body, raw }, rest));
        }
        let (key, value) = read_key(bytes)?;
        let mut scalar = 0;
        let mut body = &[][..];
        let rest;
        match key & 7 {
            0 => (scalar, rest) = read_varint(value)?,
            1 => (scalar, rest) = read_fixed64(value)?,
            2 => (body, rest) = read_len(value)?,
            5 => {
                let number;
                (number, rest) = read_fixed32(value)?;
                scalar = u64::from(number);
            }
            _ => {
                rest = skip_value(key, value, 0)?;
                body = &value[..value.len() - rest.len()];
            }
        }
        let raw = &bytes[..bytes.len() - rest.len()];
        Some((Field { key, scalar, body, raw }, rest))
    }
}

/// The fields of a message, in the order of the wire.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Walks the body of a message.
    pub fn new(body: &'a [u8]) -> Fields<'a> {
        Fields { rest: body }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Field<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        match Field::read(self.rest) {
            Some((field, rest)) => {
                self.rest = rest;
                Some(field)
            }
            None => {
                self.rest = &[];
                None
            }
        }
    }
}
