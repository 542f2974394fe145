//! Numbers: read as JSON has them, handed on as the wire does.

use super::Decoder;
use crate::json::JsonReason;
use crate::json::number::{self, Integer};
use crate::json::scan::plain;
use crate::schema::{Enumeration, Number};

impl<'a> Decoder<'a> {
    /// Reads a number of eight bytes, as it is on the wire.
    #[inline(always)]
    pub(super) fn fixed64(&mut self, kind: Number, rest: &'a [u8]) -> Option<(u64, &'a [u8])> {
        match kind {
            Number::Double => self.double(rest),
            Number::Int64 => {
                let (value, rest) = self.signed(64, "int64", rest)?;
                Some((value as u64, rest))
            }
            _ => self.unsigned(u64::MAX, "uint64", rest),
        }
    }

    /// Reads a number that is a varint on the wire.
    #[inline(always)]
    pub(super) fn varint(&mut self, kind: Number, rest: &'a [u8]) -> Option<(u64, &'a [u8])> {
        match kind {
            Number::Bool => match rest {
                [b't', ..] => Some((1, self.literal(rest, b"true")?)),
                [b'f', ..] => Some((0, self.literal(rest, b"false")?)),
                _ => self.unexpected(rest, "a boolean"),
            },
            Number::Uint32 => self.unsigned(u32::MAX.into(), "uint32", rest),
            Number::Uint64 => self.unsigned(u64::MAX, "uint64", rest),
            Number::Int64 | Number::Double => {
                let (value, rest) = self.signed(64, "int64", rest)?;
                Some((value as u64, rest))
            }
            Number::Int32 => {
                let (value, rest) = self.signed(32, "int32", rest)?;
                Some((value as u64, rest))
            }
            Number::Sint32 => {
                let (value, rest) = self.signed(32, "int32", rest)?;
                let value = value as i32;
                Some((u64::from((value << 1 ^ value >> 31) as u32), rest))
            }
            Number::Enum(names) => self.enumeration(names, rest),
        }
    }

    pub(super) fn enumeration(
        &mut self,
        names: &'static Enumeration,
        rest: &'a [u8],
    ) -> Option<(u64, &'a [u8])> {
        if rest.first() != Some(&b'"') {
            let (value, rest) = self.signed(32, "an enumeration", rest)?;
            return Some((value as u64, rest));
        }
        let (name, after) = self.token(rest)?;
        let found = name
            .strip_prefix(names.prefix.as_bytes())
            .and_then(|name| names.names.iter().position(|known| known.as_bytes() == name));
        match found {
            Some(value) => Some((value as u64, after)),
            None => self.fail(rest, JsonReason::EnumName(names.prefix)),
        }
    }

    #[inline(always)]
    pub(super) fn signed(
        &mut self,
        bits: u32,
        name: &'static str,
        rest: &'a [u8],
    ) -> Option<(i64, &'a [u8])> {
        let (value, after) = self.integer(rest)?;
        match value.signed(bits, name) {
            Ok(value) => Some((value, after)),
            Err(reason) => self.fail(rest, reason),
        }
    }

    #[inline(always)]
    pub(super) fn unsigned(
        &mut self,
        most: u64,
        name: &'static str,
        rest: &'a [u8],
    ) -> Option<(u64, &'a [u8])> {
        let (value, after) = self.integer(rest)?;
        match value.unsigned(most, name) {
            Ok(value) => Some((value, after)),
            Err(reason) => self.fail(rest, reason),
        }
    }

    #[inline(always)]
    pub(super) fn integer(&mut self, rest: &'a [u8]) -> Option<(Integer, &'a [u8])> {
        let (read, after) = match rest {
            [b'"', text @ ..] => {
                if let Some((magnitude, len)) = number::few_digits(text) {
                    return Some((Integer { negative: false, magnitude }, &text[len + 1..]));
                }
                let len = plain(text);
                match (number::digits(&text[..len]), text.get(len)) {
                    (Some(magnitude), Some(b'"')) => {
                        (Ok(Integer { negative: false, magnitude }), &text[len + 1..])
                    }
                    _ => {
                        let (token, after) = self.token(rest)?;
                        (number::integer(&token, true), after)
                    }
                }
            }
            [b'-' | b'0'..=b'9', ..] => {
                let (token, after) = rest.split_at(number::token(rest));
                (number::integer(token, false), after)
            }
            _ => return self.unexpected(rest, "an integer, as a number or a string"),
        };
        match read {
            Ok(value) => Some((value, after)),
            Err(reason) => self.fail(rest, reason),
        }
    }

    #[inline(always)]
    pub(super) fn double(&mut self, rest: &'a [u8]) -> Option<(u64, &'a [u8])> {
        match number::short_decimal(rest) {
            Some((value, len)) => Some((value.to_bits(), &rest[len..])),
            None => self.any_double(rest),
        }
    }

    #[inline(never)]
    pub(super) fn any_double(&mut self, rest: &'a [u8]) -> Option<(u64, &'a [u8])> {
        let (read, after) = match rest {
            [b'"', ..] => {
                let (token, after) = self.token(rest)?;
                (number::double(&token, true), after)
            }
            [b'-' | b'0'..=b'9', ..] => {
                let (token, after) = rest.split_at(number::token(rest));
                (number::double(token, false), after)
            }
            _ => return self.unexpected(rest, "a number"),
        };
        match read {
            Ok(value) => Some((value.to_bits(), after)),
            Err(reason) => self.fail(rest, reason),
        }
    }

    /// Skips a number, which may be beyond all ranges.
    pub(super) fn double_unlimited(&mut self, rest: &'a [u8]) -> Option<&'a [u8]> {
        let (token, after) = rest.split_at(number::token(rest));
        match number::double(token, false) {
            Ok(_) | Err(JsonReason::Range(_)) => Some(after),
            Err(reason) => self.fail(rest, reason),
        }
    }
}
