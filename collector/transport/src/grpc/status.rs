//! gRPC statuses, and the small part of `google.rpc` that travels in them.

pub(crate) mod json;

use std::fmt::{self, Write as _};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use phoenix_component::{Code, Refusal};

pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(crate) const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
pub(crate) const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// Longest text and longest details that are sent or kept, so that a header never grows without bound.
const MAX_MESSAGE_BYTES: usize = 4096;
const MAX_DETAILS_BYTES: usize = 6 * 1024;

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The code; [`Code::OK`] is success.
    pub code: Code,
    /// The text for people.
    pub message: String,
    /// A serialized `google.rpc.Status`, or nothing.
    pub details: Bytes,
}

impl Status {
    /// A status without details.
    pub fn new(code: Code, message: impl Into<String>) -> Status {
        Status { code, message: message.into(), details: Bytes::new() }
    }

    /// Tells the client to wait `delay` before it tries again.
    pub fn with_retry_delay(mut self, delay: Duration) -> Status {
        self.details = rpc_status(self.code, &self.message, Some(delay));
        self
    }

    /// The delay of a `RetryInfo` among the details.
    pub fn retry_delay(&self) -> Option<Duration> {
        retry_delay(&self.details)
    }

    /// Reads the status out of trailers, or out of the headers of an answer that has nothing else. None
    /// where there is no `grpc-status`.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Status> {
        let code = headers.get(GRPC_STATUS)?.to_str().ok().and_then(|code| code.parse().ok());
        let message = headers.get(GRPC_MESSAGE).map(|text| unescape(text.as_bytes())).unwrap_or_default();
        let details = headers.get(GRPC_DETAILS).and_then(|text| {
            let text = text.as_bytes().trim_ascii_end();
            let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
            STANDARD_NO_PAD.decode(&text[..end]).ok()
        });
        Some(Status {
            code: Code(code.unwrap_or(Code::UNKNOWN.0)),
            message,
            details: details.unwrap_or_default().into(),
        })
    }

    /// Writes the status as headers.
    pub(crate) fn write_to(&self, headers: &mut HeaderMap) {
        headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(self.code.0)));
        if !self.message.is_empty()
            && let Ok(text) = HeaderValue::from_str(&escape(&self.message))
        {
            headers.insert(GRPC_MESSAGE, text);
        }
        if !self.details.is_empty()
            && self.details.len() <= MAX_DETAILS_BYTES
            && let Ok(text) = HeaderValue::from_str(&STANDARD.encode(&self.details))
        {
            headers.insert(GRPC_DETAILS, text);
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rpc error: code = {} desc = {}", self.code, self.message)
    }
}

impl std::error::Error for Status {}

/// A backend's own status goes through as it is; otherwise a permanent refusal is Internal and any other
/// Unavailable, with the delay as `RetryInfo`.
impl From<&Refusal> for Status {
    fn from(refusal: &Refusal) -> Status {
        let status = Status::new(refusal.code(), refusal.message());
        match (refusal.status(), refusal.delay()) {
            (Some(upstream), None) => Status { details: upstream.details.clone(), ..status },
            (Some(upstream), Some(_)) if !upstream.details.is_empty() => {
                Status { details: upstream.details.clone(), ..status }
            }
            (_, Some(delay)) => status.with_retry_delay(delay),
            (None, None) => status,
        }
    }
}

/// Percent-encodes what a gRPC message may not hold: all but printable ASCII, and `%`.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes().take(MAX_MESSAGE_BYTES) {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// Undoes [`escape`]; what is no valid escape stays as it is.
fn unescape(text: &[u8]) -> String {
    let text = &text[..text.len().min(3 * MAX_MESSAGE_BYTES)];
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let digits = (text[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        let byte = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(byte.unwrap_or(text[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// A serialized `google.rpc.Status`, with a `RetryInfo` where there is a delay.
pub fn rpc_status(code: Code, message: &str, delay: Option<Duration>) -> Bytes {
    let mut out = Vec::new();
    if code.0 != 0 {
        varint_field(&mut out, 1, u64::from(code.0));
    }
    if !message.is_empty() {
        bytes_field(&mut out, 2, message.as_bytes());
    }
    if let Some(delay) = delay {
        let (mut duration, mut info, mut any) = (Vec::new(), Vec::new(), Vec::new());
        if delay.as_secs() > 0 {
            varint_field(&mut duration, 1, delay.as_secs());
        }
        if delay.subsec_nanos() > 0 {
            varint_field(&mut duration, 2, u64::from(delay.subsec_nanos()));
        }
        bytes_field(&mut info, 1, &duration);
        bytes_field(&mut any, 1, RETRY_INFO.as_bytes());
        bytes_field(&mut any, 2, &info);
        bytes_field(&mut out, 3, &any);
    }
    out.into()
}

/// The delay of the first `RetryInfo` in a serialized `google.rpc.Status`.
pub fn retry_delay(details: &[u8]) -> Option<Duration> {
    let info = fields(details).filter(|(number, ..)| *number == 3).find_map(|(_, _, any)| {
        let of_type = fields(any).any(|(number, _, name)| number == 1 && name == RETRY_INFO.as_bytes());
        of_type.then(|| fields(any).find(|(number, ..)| *number == 2).map_or(&[][..], |(_, _, value)| value))
    })?;
    let (_, _, duration) = fields(info).find(|(number, ..)| *number == 1)?;
    let number = |wanted| fields(duration).find(|(n, ..)| *n == wanted).map_or(0, |(_, value, _)| value);
    let nanos = u32::try_from(number(2)).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    // Negative durations are no delay.
    i64::try_from(number(1)).ok().map(|seconds| Duration::new(seconds.unsigned_abs(), nanos))
}

/// The message of a serialized `google.rpc.Status` and its code.
pub fn parse_rpc_status(status: &[u8]) -> (Code, String) {
    let code = fields(status).filter(|(number, ..)| *number == 1).last().map_or(0, |(_, value, _)| value);
    let message =
        fields(status).filter(|(number, ..)| *number == 2).last().map_or(&[][..], |(_, _, text)| text);
    (Code(u8::try_from(code).unwrap_or(Code::UNKNOWN.0)), String::from_utf8_lossy(message).into_owned())
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_field(out: &mut Vec<u8>, number: u64, value: u64) {
    varint(out, number << 3);
    varint(out, value);
}

fn bytes_field(out: &mut Vec<u8>, number: u64, value: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// The fields of a message as (number, value of a varint, content); ends where the bytes make no sense.
fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, u64, &[u8])> {
    std::iter::from_fn(move || {
        let key = take_varint(&mut message)?;
        let (value, length) = match key & 7 {
            0 => (take_varint(&mut message)?, 0),
            1 => (0, 8),
            2 => (0, usize::try_from(take_varint(&mut message)?).ok()?),
            5 => (0, 4),
            _ => return None,
        };
        let content;
        (content, message) = message.split_at_checked(length)?;
        Some((key >> 3, value, content))
    })
}

fn take_varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_header() {
        for text in ["plain", "100 % naïve\r\n\u{1}", "", "%zz%4"] {
            let mut headers = HeaderMap::new();
            Status::new(Code::INTERNAL, text)
                .with_retry_delay(Duration::from_millis(1500))
                .write_to(&mut headers);
            let back = Status::from_headers(&headers).unwrap();
            assert_eq!((back.code, back.message.as_str()), (Code::INTERNAL, text));
            assert_eq!(back.retry_delay(), Some(Duration::from_millis(1500)));
        }
        assert_eq!(unescape(b"%zz%4"), "%zz%4");
    }

    #[test]
    fn details_are_google_rpc_status() {
        let status = rpc_status(Code::UNAVAILABLE, "m", Some(Duration::new(3, 5)));
        let expected = b"\x08\x0e\x12\x01m\x1a\x32\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12\x06\x0a\x04\x08\x03\x10\x05";
        assert!(status.windows(40).any(|w| w == RETRY_INFO.as_bytes()));
        assert_eq!(status[..], expected[..]);
        assert_eq!(parse_rpc_status(&status), (Code::UNAVAILABLE, "m".to_owned()));
        for end in 0..status.len() {
            let _ = (retry_delay(&status[..end]), parse_rpc_status(&status[..end]));
        }
    }

    #[test]
    fn refusals_become_statuses() {
        let upstream = Refusal::retryable("x", "full")
            .with_status(Code::RESOURCE_EXHAUSTED, Bytes::from_static(b"\x08\x08"));
        let status = Status::from(&upstream);
        assert_eq!((status.code, &status.details[..]), (Code::RESOURCE_EXHAUSTED, &b"\x08\x08"[..]));
        assert_eq!(Status::from(&Refusal::permanent("x", "no")).code, Code::INTERNAL);
        let later = Status::from(&Refusal::retryable("x", "later").after(Duration::from_secs(2)));
        assert_eq!((later.code, later.retry_delay()), (Code::UNAVAILABLE, Some(Duration::from_secs(2))));
    }
}
