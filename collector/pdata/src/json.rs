//! OTLP/JSON, read and written without a tree in between.
//!
//! [`decode`] goes through the text once and writes protobuf as it goes, driven by the table of messages
//! that the rest of the crate has. What it gives is what [`crate::validate()`] gives: it decodes at every
//! level, and messages that are not `repeated` occur at most once. [`encode`] walks views and writes, byte
//! for byte, what otelcol writes.
//!
//! Read is what otelcol reads, and what protobuf's own mapping to JSON adds to it:
//! - names in lowerCamelCase or snake_case; unknown ones are skipped, but have to be JSON;
//! - identifiers as hexadecimal digits of either case, other bytes in base64, of either alphabet, with or
//!   without padding;
//! - integers as numbers or as text; `1e3` and `2.0` are integers, `2.5` is none;
//! - floating-point numbers as numbers or as text, among it `NaN`, `Infinity` and `-Infinity`;
//! - enumerations as numbers or by name;
//! - `null` for a field that is absent.
//!
//! Stricter than otelcol: a field, or two members of one oneof, given twice are refused, as is anything
//! that follows the request.
//!
//! Memory: the protobuf, which takes at most four times the bytes of the text (`0,` becomes eight bytes
//! in the counts of a histogram), and usually half. Time is linear. Nothing panics.

mod decode;
mod encode;
mod error;
mod number;
mod radix;
mod scan;
mod text;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;

use crate::{Counts, InvalidUtf8, Payload, Signal};

pub use error::{JsonError, JsonReason};

/// Reads a request in OTLP/JSON.
///
/// Text that is not UTF-8, and halves of surrogate pairs, are treated as `policy` says. Since text in
/// JSON has to be written anew anyway, `Pass` lets bytes pass as they are, but a lone surrogate, for which
/// there are no bytes, becomes U+FFFD, as in otelcol.
///
/// # Errors
/// If the text is not JSON, not a request of this signal, or holds text that the policy refuses.
pub fn decode(signal: Signal, json: &[u8], policy: InvalidUtf8) -> Result<(Payload, Counts), JsonError> {
    let (mut bytes, counts) = decode_into(signal, json, policy, Vec::new())?;
    if bytes.capacity() - bytes.len() > bytes.len() / 4 {
        bytes.shrink_to_fit();
    }
    Ok((Payload::from(Bytes::from(bytes)), counts))
}

/// Reads a request as [`decode`] does, into a buffer of the caller's, whose content is replaced: for
/// those who keep buffers, or account for them. The protobuf is what becomes a [`Payload`].
///
/// # Errors
/// As [`decode`].
pub fn decode_into(
    signal: Signal,
    json: &[u8],
    policy: InvalidUtf8,
    mut buffer: Vec<u8>,
) -> Result<(Vec<u8>, Counts), JsonError> {
    let text = match policy {
        InvalidUtf8::Pass => Cow::Borrowed(json),
        InvalidUtf8::Repair => repaired(json),
        InvalidUtf8::Reject => {
            if simdutf8::basic::from_utf8(json).is_err() {
                return Err(JsonError::not_utf8(json));
            }
            Cow::Borrowed(json)
        }
    };
    buffer.clear();
    decode::decode(signal, &text, policy == InvalidUtf8::Reject, buffer).map_err(|mut error| {
        if let Cow::Owned(_) = text {
            error.offset = before_repair(json, error.offset);
        }
        error
    })
}

/// Bytes that the protobuf of a request usually takes at most: what [`decode_into`] makes room for.
pub fn expected_len(json: &[u8]) -> usize {
    json.len() / 8 * 5 + 16
}

fn repaired(json: &[u8]) -> Cow<'_, [u8]> {
    if simdutf8::basic::from_utf8(json).is_ok() {
        return Cow::Borrowed(json);
    }
    Cow::Owned(String::from_utf8_lossy(json).into_owned().into_bytes())
}

/// The place in `json` of what has this offset once it is [`repaired`].
fn before_repair(json: &[u8], offset: usize) -> usize {
    let (mut from, mut to) = (0, 0);
    for chunk in json.utf8_chunks() {
        let valid = chunk.valid().len();
        if offset <= to + valid {
            return from + (offset - to);
        }
        from += valid;
        to += valid;
        if !chunk.invalid().is_empty() {
            let replacement = char::REPLACEMENT_CHARACTER.len_utf8();
            if offset < to + replacement {
                return from;
            }
            from += chunk.invalid().len();
            to += replacement;
        }
    }
    json.len()
}

/// Appends a request as OTLP/JSON: one object on one line, without a line break.
///
/// It is what otelcol's own encoder writes: fields in its order, those that hold nothing left out,
/// identifiers in lower-case hexadecimal digits, integers of 64 bits as text, enumerations as numbers. Text that is
/// not UTF-8 gets U+FFFD for what is invalid, since JSON could not hold it. Fields that nobody knows are
/// left out, for they have no name.
pub fn encode(signal: Signal, payload: &Payload, out: &mut Vec<u8>) {
    encode::encode(signal, payload, out);
}
