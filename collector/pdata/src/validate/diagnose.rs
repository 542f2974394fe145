//! Says what is wrong with a request that the scan refused: the same rules, driven by the schema.

use super::{MAX_DEPTH, Malformed, Reason};
use crate::schema::{Field, Kind, Message};
use crate::wire::{Wire, read_key, read_len, read_varint, skip_value};
use crate::{Signal, utf8};

/// Names the first thing that is wrong. The scan must have refused the request.
#[cold]
pub(super) fn diagnose(signal: Signal, request: &[u8], text: bool) -> Malformed {
    let message = Message::request(signal);
    let walk = Walk { base: request.as_ptr().addr(), text };
    walk.message(message, request, 0).err().unwrap_or_else(|| {
        debug_assert!(false, "the scan refused a request that has nothing wrong");
        Malformed { message: message.name, field: None, offset: 0, reason: Reason::Truncated }
    })
}

/// Walks a request that may be valid.
#[cfg(test)]
pub(crate) fn check(signal: Signal, request: &[u8], text: bool) -> Result<(), Malformed> {
    Walk { base: request.as_ptr().addr(), text }.message(Message::request(signal), request, 0)
}

struct Walk {
    base: usize,
    text: bool,
}

impl Walk {
    fn message(&self, message: &'static Message, body: &[u8], depth: u32) -> Result<(), Malformed> {
        let mut bytes = body;
        while !bytes.is_empty() {
            let at = self.offset(bytes);
            let error = |field: Option<&Field>, reason| Malformed {
                message: message.name,
                field: field.map(|field| field.name),
                offset: at,
                reason,
            };
            let (key, rest) = read_key(bytes).ok_or_else(|| error(None, cut_or_long(bytes, 5)))?;
            if key >> 3 == 0 {
                return Err(error(None, Reason::FieldZero));
            }
            let Some(field) = message.field(key >> 3) else {
                bytes =
                    skip_value(key, rest, depth).ok_or_else(|| error(None, unskipped(key, rest, depth)))?;
                continue;
            };
            bytes = self.field(field, key, rest, depth).map_err(|failure| match failure {
                Failure::Here(reason) => error(Some(field), reason),
                Failure::Text(offset) => Malformed { offset, ..error(Some(field), Reason::Utf8) },
                Failure::Inside(inner) => inner,
            })?;
        }
        Ok(())
    }

    fn field<'a>(&self, field: &Field, key: u32, rest: &'a [u8], depth: u32) -> Result<&'a [u8], Failure> {
        let found = (key & 7) as u8;
        let expected = field.kind.wire();
        let packed = found == Wire::Len as u8 && matches!(field.kind, Kind::Varints | Kind::Fixed64s(_));
        if found != expected as u8 && !packed {
            return Err(Failure::Here(match found {
                6.. => Reason::UnknownWireType(found),
                _ => Reason::WireType { expected: expected as u8, found },
            }));
        }
        if found != Wire::Len as u8 {
            return value_end(key, rest).ok_or(Failure::Here(unskipped(key, rest, 0)));
        }
        let (body, rest) = read_len(rest).ok_or(Failure::Here(cut_or_long(rest, 10)))?;
        match field.kind {
            Kind::TraceId if !matches!(body.len(), 0 | 16) => {
                return Err(Failure::Here(Reason::TraceId(body.len())));
            }
            Kind::SpanId if !matches!(body.len(), 0 | 8) => {
                return Err(Failure::Here(Reason::SpanId(body.len())));
            }
            Kind::Fixed64s(_) if !body.len().is_multiple_of(8) => return Err(Failure::Here(Reason::Packed)),
            Kind::Varints => {
                let mut numbers = body;
                while !numbers.is_empty() {
                    (_, numbers) = read_varint(numbers).ok_or(Failure::Here(cut_or_long(numbers, 10)))?;
                }
            }
            Kind::Text | Kind::Texts if self.text && !utf8::is_valid(body) => {
                let valid = std::str::from_utf8(body).map_or_else(|error| error.valid_up_to(), str::len);
                return Err(Failure::Text(self.offset(body) + valid));
            }
            Kind::One(message) | Kind::Many(message) => {
                if depth >= MAX_DEPTH {
                    return Err(Failure::Here(Reason::TooDeep));
                }
                self.message(message, body, depth + 1).map_err(Failure::Inside)?;
            }
            _ => {}
        }
        Ok(rest)
    }

    fn offset(&self, part: &[u8]) -> usize {
        part.as_ptr().addr() - self.base
    }
}

enum Failure {
    Here(Reason),
    Text(usize),
    Inside(Malformed),
}

/// The end of a scalar of a known field, which has no bound on depth.
fn value_end(key: u32, rest: &[u8]) -> Option<&[u8]> {
    skip_value(key, rest, 0)
}

/// Why a value could not be skipped.
fn unskipped(key: u32, rest: &[u8], depth: u32) -> Reason {
    if depth >= MAX_DEPTH {
        return Reason::TooDeep;
    }
    match key & 7 {
        0 | 2 => cut_or_long(rest, 10),
        3 => group(key, rest, depth),
        4 => Reason::Group,
        6.. => Reason::UnknownWireType((key & 7) as u8),
        _ => Reason::Truncated,
    }
}

/// Why a group could not be skipped.
fn group(key: u32, mut rest: &[u8], depth: u32) -> Reason {
    loop {
        let Some((inner, after)) = read_key(rest) else { return cut_or_long(rest, 5) };
        if inner >> 3 == 0 {
            return Reason::FieldZero;
        }
        if inner & 7 == Wire::EndGroup as u32 && inner >> 3 != key >> 3 {
            return Reason::Group;
        }
        match skip_value(inner, after, depth + 1) {
            Some(next) => rest = next,
            None => return unskipped(inner, after, depth + 1),
        }
    }
}

/// Whether an integer of at most `max` bytes is cut off or too long; if neither, what it measures is.
fn cut_or_long(bytes: &[u8], max: usize) -> Reason {
    match bytes.iter().take(max).position(|byte| *byte < 0x80) {
        Some(_) if read_varint(bytes).is_none() => Reason::Overlong,
        Some(_) if max == 5 => Reason::Overlong,
        None if bytes.len() >= max => Reason::Overlong,
        _ => Reason::Truncated,
    }
}
