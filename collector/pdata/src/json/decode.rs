//! Reads JSON and writes protobuf on the way, message by message, as the schema says.
//!
//! `None` stands for "refused" throughout: what is wrong is noted where it is found, the path to it on the
//! way back.

mod length;
mod numbers;

use std::borrow::Cow;

use super::error::Found;
use super::number;
use super::radix::{from_base64, from_hex};
use super::scan::{plain, space};
use super::text::unescape;
use super::{JsonError, JsonReason};
use crate::schema::{Field, Kind, MAX_FIELDS, Message, Presence, Role};
use crate::wire::{MAX_DEPTH, Wire, key as tag};
use crate::write::{STEP, put_key, put_start, put_varint, varint_len};
use crate::{Counts, Signal};

/// Reads a request into `out`, which is empty. `strict` is whether half of a surrogate pair is refused.
pub(super) fn decode(
    signal: Signal,
    json: &[u8],
    strict: bool,
    out: Vec<u8>,
) -> Result<(Vec<u8>, Counts), JsonError> {
    let mut decoder = Decoder {
        json,
        strict,
        out,
        counts: Counts::default(),
        widths: [1; WIDTHS],
        order: [[NO_FIELD; MAX_FIELDS]; WIDTHS],
        failure: None,
        path: Vec::new(),
    };
    decoder.out.reserve(super::expected_len(json));
    decoder.expect_large(json.len() / 2);
    if decoder.request(signal).is_none() {
        return Err(decoder.error());
    }
    Ok((decoder.out, decoder.counts))
}

/// How deep messages are whose lengths are remembered: down to data points.
const WIDTHS: usize = 6;

struct Decoder<'a> {
    json: &'a [u8],
    strict: bool,
    out: Vec<u8>,
    counts: Counts,
    /// How many bytes the length of the last message took, by depth. The next is likely to take as many, so
    /// that it need not be moved once it is complete.
    widths: [u8; WIDTHS],
    /// Which fields the last message at a depth had, in their order: a sender writes the next one alike, so that its
    /// names need only be compared.
    order: [[u8; MAX_FIELDS]; WIDTHS],
    failure: Option<(usize, JsonReason)>,
    /// From the field that is wrong up to the request.
    path: Vec<Segment>,
}

/// No field has this index.
const NO_FIELD: u8 = u8::MAX;

enum Segment {
    Field(&'static str),
    Element(usize),
}

impl<'a> Decoder<'a> {
    /// Notes what is wrong with what follows.
    #[cold]
    #[inline(never)]
    fn fail<T>(&mut self, rest: &[u8], reason: JsonReason) -> Option<T> {
        self.failure = Some((self.json.len() - rest.len(), reason));
        None
    }

    #[cold]
    #[inline(never)]
    fn unexpected<T>(&mut self, rest: &[u8], expected: &'static str) -> Option<T> {
        let reason = rest
            .first()
            .map_or(JsonReason::Truncated, |byte| JsonReason::Expected { expected, found: Found::at(*byte) });
        self.fail(rest, reason)
    }

    #[cold]
    fn error(&mut self) -> JsonError {
        let mut path = String::new();
        for segment in self.path.iter().rev() {
            match segment {
                Segment::Field(name) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(name);
                }
                Segment::Element(index) => path.push_str(&format!("[{index}]")),
            }
        }
        let (offset, reason) = self.failure.unwrap_or((0, JsonReason::Truncated));
        JsonError { offset, path, reason }
    }

    fn request(&mut self, signal: Signal) -> Option<()> {
        let rest = space(self.json);
        let rest = self.object(Message::request(signal), rest, 0)?;
        let rest = space(rest);
        if !rest.is_empty() {
            return self.fail(rest, JsonReason::Trailing);
        }
        self.counts.bytes = self.out.len() as u64;
        Some(())
    }

    /// Reads an object as the body of a message, itself at `depth`.
    fn object(&mut self, message: &'static Message, rest: &'a [u8], depth: u32) -> Option<&'a [u8]> {
        let [b'{', rest @ ..] = rest else { return self.unexpected(rest, "an object") };
        let mut rest = space(rest);
        if let [b'}', rest @ ..] = rest {
            return Some(rest);
        }
        // Bits of the fields that were there, by index; the highest is for the oneof.
        let mut seen = 0u32;
        let mut ordinal = 0;
        loop {
            let (field, value) = match self.foreseen(message, rest, depth, ordinal) {
                Some((index, value)) => (Some(index), value),
                None => {
                    let (field, value) = self.name(message, rest)?;
                    self.foresee(field, depth, ordinal);
                    (field, value)
                }
            };
            ordinal += 1;
            rest = match field {
                Some(index) => match self.known(message, index, &mut seen, rest, value, depth) {
                    Some(rest) => rest,
                    None => {
                        self.path.push(Segment::Field(message.names.name(index)));
                        return None;
                    }
                },
                None => self.skip(value, depth)?,
            };
            rest = space(rest);
            match rest {
                [b',', after @ ..] => rest = space(after),
                [b'}', after @ ..] => return Some(after),
                _ => return self.unexpected(rest, "a comma or the end of the object"),
            }
        }
    }

    /// The field that the last message at this depth had in this place, and where its value starts, if its name
    /// comes next.
    #[inline(always)]
    fn foreseen(
        &self,
        message: &'static Message,
        rest: &'a [u8],
        depth: u32,
        ordinal: usize,
    ) -> Option<(usize, &'a [u8])> {
        let index = usize::from(*self.order.get(depth as usize)?.get(ordinal)?);
        let value = message.names.after(index, rest)?;
        Some((index, space(value)))
    }

    /// Notes for the next message at this depth which field comes in this place.
    #[inline(always)]
    fn foresee(&mut self, field: Option<usize>, depth: u32, ordinal: usize) {
        let place = self.order.get_mut(depth as usize).and_then(|order| order.get_mut(ordinal));
        if let (Some(place), Some(index)) = (place, field) {
            *place = index as u8;
        }
    }

    /// Reads a name and the colon after it, and gives the field, if there is one, and where its value starts.
    #[inline(always)]
    fn name(&mut self, message: &'static Message, rest: &'a [u8]) -> Option<(Option<usize>, &'a [u8])> {
        let [b'"', text @ ..] = rest else { return self.unexpected(rest, "the name of a field") };
        let len = plain(text);
        let (field, after) = match &text[len..] {
            [b'"', after @ ..] => match message.names.find(text, len) {
                Some(index) => (Some(index), after),
                None => (by_other_name(message, &text[..len]), after),
            },
            _ => {
                let (name, after) = self.token(rest)?;
                (by_other_name(message, &name), after)
            }
        };
        match after {
            [b':', after @ ..] => Some((field, space(after))),
            _ => match space(after) {
                [b':', after @ ..] => Some((field, space(after))),
                after => self.unexpected(after, "a colon"),
            },
        }
    }

    #[inline(always)]
    fn known(
        &mut self,
        message: &'static Message,
        index: usize,
        seen: &mut u32,
        name: &'a [u8],
        value: &'a [u8],
        depth: u32,
    ) -> Option<&'a [u8]> {
        const ONEOF: u32 = 1 << 31;
        let field = &message.fields[index];
        if *seen & 1 << index != 0 {
            return self.fail(name, JsonReason::Duplicate);
        }
        *seen |= 1 << index;
        if let [b'n', ..] = value {
            return self.literal(value, b"null");
        }
        if field.is_oneof() {
            if *seen & ONEOF != 0 {
                return self.fail(name, JsonReason::Oneof);
            }
            *seen |= ONEOF;
        }
        self.field(field, value, depth)
    }

    fn field(&mut self, field: &'static Field, rest: &'a [u8], depth: u32) -> Option<&'a [u8]> {
        let number = field.number;
        let explicit = field.presence != Presence::Implicit;
        match field.kind {
            Kind::Text => self.text(number, explicit, rest),
            Kind::Many(inner) => self.many(inner, number, rest, depth),
            Kind::One(inner) => self.one(inner, number, rest, depth),
            Kind::Fixed64(kind) => {
                let (bits, rest) = self.fixed64(kind, rest)?;
                // The bits of a zero that is negative are not zero.
                if explicit || bits != 0 {
                    put_key(&mut self.out, number, Wire::Fixed64);
                    self.out.extend_from_slice(&bits.to_le_bytes());
                }
                Some(rest)
            }
            Kind::Varint(kind) => {
                let (value, rest) = self.varint(kind, rest)?;
                if explicit || value != 0 {
                    put_key(&mut self.out, number, Wire::Varint);
                    put_varint(&mut self.out, value);
                }
                Some(rest)
            }
            Kind::Fixed32 => {
                let (value, rest) = self.unsigned(u32::MAX.into(), "uint32", rest)?;
                if explicit || value != 0 {
                    put_key(&mut self.out, number, Wire::Fixed32);
                    self.out.extend_from_slice(&(value as u32).to_le_bytes());
                }
                Some(rest)
            }
            Kind::TraceId => self.id::<16>(number, rest),
            Kind::SpanId => self.id::<8>(number, rest),
            Kind::Bytes => self.bytes(number, explicit, rest),
            Kind::Texts => self.array(rest, |decoder, rest| match rest {
                [b'n', ..] => {
                    put_key(&mut decoder.out, number, Wire::Len);
                    decoder.out.push(0);
                    decoder.literal(rest, b"null")
                }
                _ => decoder.text(number, true, rest),
            }),
            Kind::Varints => self.packed(number, rest, |decoder, rest| {
                let (value, rest) = decoder.unsigned(u64::MAX, "uint64", rest)?;
                put_varint(&mut decoder.out, value);
                Some(rest)
            }),
            Kind::Fixed64s(kind) => self.packed(number, rest, |decoder, rest| {
                let (bits, rest) = decoder.fixed64(kind, rest)?;
                decoder.out.extend_from_slice(&bits.to_le_bytes());
                Some(rest)
            }),
        }
    }

    /// Reads a message of which there is one.
    fn one(&mut self, inner: &'static Message, number: u32, rest: &'a [u8], depth: u32) -> Option<&'a [u8]> {
        if depth >= MAX_DEPTH {
            return self.fail(rest, JsonReason::TooDeep);
        }
        put_key(&mut self.out, number, Wire::Len);
        let start = self.open(depth);
        let rest = self.object(inner, rest, depth + 1)?;
        self.close(start, depth);
        Some(rest)
    }

    /// Reads an array of messages.
    fn many(&mut self, inner: &'static Message, number: u32, rest: &'a [u8], depth: u32) -> Option<&'a [u8]> {
        match inner.role {
            Role::Attribute => self.array(rest, |decoder, rest| {
                if let Some(rest) = decoder.usual_attribute(number, rest) {
                    return Some(rest);
                }
                decoder.one(inner, number, rest, depth)
            }),
            // A value that is `null` is one that holds nothing.
            Role::Value => self.array(rest, |decoder, rest| match rest {
                [b'n', ..] => {
                    put_key(&mut decoder.out, number, Wire::Len);
                    decoder.out.push(0);
                    decoder.literal(rest, b"null")
                }
                _ => decoder.one(inner, number, rest, depth),
            }),
            role => self.array(rest, |decoder, rest| {
                match role {
                    Role::ResourceEntry => decoder.counts.resources += 1,
                    Role::ScopeEntry => decoder.counts.scopes += 1,
                    Role::Metric => decoder.counts.metrics += 1,
                    Role::Item => decoder.counts.items += 1,
                    _ => {}
                }
                decoder.one(inner, number, rest, depth)
            }),
        }
    }

    #[inline(always)]
    fn array(
        &mut self,
        rest: &'a [u8],
        mut element: impl FnMut(&mut Self, &'a [u8]) -> Option<&'a [u8]>,
    ) -> Option<&'a [u8]> {
        let [b'[', rest @ ..] = rest else { return self.unexpected(rest, "an array") };
        let mut rest = space(rest);
        if let [b']', rest @ ..] = rest {
            return Some(rest);
        }
        let mut index = 0;
        loop {
            rest = match element(self, rest) {
                Some(rest) => space(rest),
                None => {
                    self.path.push(Segment::Element(index));
                    return None;
                }
            };
            match rest {
                [b',', after @ ..] => rest = space(after),
                [b']', after @ ..] => return Some(after),
                _ => return self.unexpected(rest, "a comma or the end of the array"),
            }
            index += 1;
        }
    }

    fn packed(
        &mut self,
        number: u32,
        rest: &'a [u8],
        element: impl FnMut(&mut Self, &'a [u8]) -> Option<&'a [u8]>,
    ) -> Option<&'a [u8]> {
        let before = self.out.len();
        put_key(&mut self.out, number, Wire::Len);
        let start = self.out.len();
        self.out.push(0);
        let rest = self.array(rest, element)?;
        if self.out.len() == start + 1 {
            self.out.truncate(before);
        } else {
            self.put_len(start, 1);
        }
        Some(rest)
    }

    /// Reads an attribute that is written as nearly all are: key before value, nothing else, no white space, no
    /// escapes, and a value that is text or an integer. `None` if it is not; then nothing has been written.
    #[inline(always)]
    fn usual_attribute(&mut self, number: u32, rest: &'a [u8]) -> Option<&'a [u8]> {
        let rest = rest.strip_prefix(b"{\"key\":\"")?;
        let from_key = rest;
        let (key, rest) = rest.split_at(plain(rest));
        let rest = rest.strip_prefix(b"\",\"value\":{\"")?;
        if let Some(from_text) = rest.strip_prefix(b"stringValue\":\"") {
            let (text, rest) = from_text.split_at(plain(from_text));
            let rest = rest.strip_prefix(b"\"}}")?;
            // 8: four tags and four lengths.
            if !key.is_empty() && number < 16 && key.len() + text.len() + 8 < 0x80 {
                let value_len = 2 + text.len();
                let len = 4 + key.len() + value_len;
                self.out.reserve(2 + len + STEP);
                let head = [tag(number, Wire::Len) as u8, len as u8, 0x0a, key.len() as u8];
                self.out.extend_from_slice(&head);
                put_start(&mut self.out, from_key, key.len());
                self.out.extend_from_slice(&[0x12, value_len as u8, 0x0a, text.len() as u8]);
                put_start(&mut self.out, from_text, text.len());
                return Some(rest);
            }
            let value_len = 1 + varint_len(text.len() as u64) + text.len();
            self.put_attribute(number, key, value_len);
            self.out.push(0x0a);
            put_varint(&mut self.out, text.len() as u64);
            self.out.extend_from_slice(text);
            return Some(rest);
        }
        let rest = rest.strip_prefix(b"intValue\":")?;
        let (digits, rest) = match rest {
            [b'"', rest @ ..] => {
                let (digits, rest) = rest.split_at(plain(rest));
                (digits, rest.strip_prefix(b"\"}}")?)
            }
            _ => {
                let (digits, rest) = rest.split_at(number::token(rest));
                if digits.len() > 1 && digits[0] == b'0' {
                    return None;
                }
                (digits, rest.strip_prefix(b"}}")?)
            }
        };
        let value = number::digits(digits).filter(|value| *value <= i64::MAX as u64)?;
        self.put_attribute(number, key, 1 + varint_len(value));
        self.out.push(0x18);
        put_varint(&mut self.out, value);
        Some(rest)
    }

    /// Writes an attribute up to its value, whose length is known.
    #[inline(always)]
    fn put_attribute(&mut self, number: u32, key: &[u8], value_len: usize) {
        let key_len = if key.is_empty() { 0 } else { 1 + varint_len(key.len() as u64) + key.len() };
        let len = key_len + 1 + varint_len(value_len as u64) + value_len;
        put_key(&mut self.out, number, Wire::Len);
        put_varint(&mut self.out, len as u64);
        if !key.is_empty() {
            self.out.push(0x0a);
            put_varint(&mut self.out, key.len() as u64);
            self.out.extend_from_slice(key);
        }
        self.out.push(0x12);
        put_varint(&mut self.out, value_len as u64);
    }

    #[inline(always)]
    fn text(&mut self, number: u32, explicit: bool, rest: &'a [u8]) -> Option<&'a [u8]> {
        let [b'"', text @ ..] = rest else { return self.unexpected(rest, "a string") };
        let len = plain(text);
        if let Some(b'"') = text.get(len) {
            if len > 0 || explicit {
                put_key(&mut self.out, number, Wire::Len);
                put_varint(&mut self.out, len as u64);
                put_start(&mut self.out, text, len);
            }
            return Some(&text[len + 1..]);
        }
        self.escaped_text(number, text)
    }

    #[inline(never)]
    fn escaped_text(&mut self, number: u32, text: &'a [u8]) -> Option<&'a [u8]> {
        put_key(&mut self.out, number, Wire::Len);
        let start = self.out.len();
        self.out.push(0);
        let len = match unescape(&mut self.out, text, self.strict) {
            Ok(len) => len,
            Err((at, reason)) => return self.fail(&text[at..], reason),
        };
        self.put_len(start, 1);
        Some(&text[len + 1..])
    }

    /// Reads text that does not become text.
    #[inline(always)]
    fn token(&mut self, rest: &'a [u8]) -> Option<(Cow<'a, [u8]>, &'a [u8])> {
        let [b'"', text @ ..] = rest else { return self.unexpected(rest, "a string") };
        let len = plain(text);
        if let Some(b'"') = text.get(len) {
            return Some((Cow::Borrowed(&text[..len]), &text[len + 1..]));
        }
        self.escaped_token(text)
    }

    #[inline(never)]
    fn escaped_token(&mut self, text: &'a [u8]) -> Option<(Cow<'a, [u8]>, &'a [u8])> {
        let mut token = Vec::new();
        match unescape(&mut token, text, self.strict) {
            Ok(len) => Some((Cow::Owned(token), &text[len + 1..])),
            Err((at, reason)) => self.fail(&text[at..], reason),
        }
    }

    fn id<const N: usize>(&mut self, number: u32, rest: &'a [u8]) -> Option<&'a [u8]> {
        let (digits, after) = self.token(rest)?;
        if digits.is_empty() {
            return Some(after);
        }
        let Some(id) = from_hex::<N>(&digits) else {
            let mut decoded = Vec::new();
            let reason = match digits.len() == 2 * N {
                true => JsonReason::Hex,
                false => JsonReason::IdLength {
                    expected: 2 * N,
                    found: digits.len(),
                    base64: digits.len() < 4 * N
                        && from_base64(&mut decoded, &digits).is_some()
                        && decoded.len() == N,
                },
            };
            return self.fail(rest, reason);
        };
        put_key(&mut self.out, number, Wire::Len);
        self.out.push(N as u8);
        self.out.extend_from_slice(&id);
        Some(after)
    }

    fn bytes(&mut self, number: u32, explicit: bool, rest: &'a [u8]) -> Option<&'a [u8]> {
        let (text, after) = self.token(rest)?;
        if text.is_empty() && !explicit {
            return Some(after);
        }
        put_key(&mut self.out, number, Wire::Len);
        let start = self.out.len();
        self.out.push(0);
        if from_base64(&mut self.out, &text).is_none() {
            return self.fail(rest, JsonReason::Base64);
        }
        self.put_len(start, 1);
        Some(after)
    }

    #[inline(always)]
    fn literal(&mut self, rest: &'a [u8], word: &'static [u8]) -> Option<&'a [u8]> {
        match rest.strip_prefix(word) {
            Some(after) => Some(after),
            None if word.starts_with(rest) => self.fail(&rest[rest.len()..], JsonReason::Truncated),
            None => self.unexpected(rest, "`true`, `false` or `null`"),
        }
    }

    /// Skips a value of a field that nobody knows, which has to be JSON all the same.
    #[cold]
    fn skip(&mut self, rest: &'a [u8], depth: u32) -> Option<&'a [u8]> {
        if depth >= MAX_DEPTH {
            return self.fail(rest, JsonReason::TooDeep);
        }
        match rest {
            [b'"', ..] => Some(self.token(rest)?.1),
            [b'-' | b'0'..=b'9', ..] => Some(self.double_unlimited(rest)?),
            [b't', ..] => self.literal(rest, b"true"),
            [b'f', ..] => self.literal(rest, b"false"),
            [b'n', ..] => self.literal(rest, b"null"),
            [b'[', ..] => self.array(rest, |decoder, rest| decoder.skip(rest, depth + 1)),
            [b'{', rest @ ..] => {
                let mut rest = space(rest);
                if let [b'}', rest @ ..] = rest {
                    return Some(rest);
                }
                loop {
                    if rest.first() != Some(&b'"') {
                        return self.unexpected(rest, "the name of a field");
                    }
                    let after = space(self.token(rest)?.1);
                    let [b':', value @ ..] = after else { return self.unexpected(after, "a colon") };
                    rest = space(self.skip(space(value), depth + 1)?);
                    match rest {
                        [b',', after @ ..] => rest = space(after),
                        [b'}', after @ ..] => return Some(after),
                        _ => return self.unexpected(rest, "a comma or the end of the object"),
                    }
                }
            }
            _ => self.unexpected(rest, "a value"),
        }
    }
}

/// The field that has this name in snake_case, or has it by way of escapes.
#[cold]
fn by_other_name(message: &Message, name: &[u8]) -> Option<usize> {
    let camel = || message.names.find(name, name.len());
    message.fields.iter().position(|field| field.name.as_bytes() == name).or_else(camel)
}
