//! What an HTTP answer means for the batch.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use phoenix_component::{Code, Refusal};
use phoenix_delivery::PartialSuccess;
use phoenix_transport::grpc::{parse_rpc_status, retry_delay};
use phoenix_transport::http::{Format, retry_after};

use crate::format::partial_success;

/// An answer, with as much of its body as was read.
pub(crate) struct Answer<'a> {
    status: StatusCode,
    headers: &'a HeaderMap,
    body: Bytes,
    /// None where the body is not looked into.
    format: Option<Format>,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(status: StatusCode, headers: &'a HeaderMap, body: Bytes) -> Answer<'a> {
        Answer { status, headers, body, format: Format::of(headers) }
    }

    /// What was taken in part, if that is what it says; `url` is what was asked, `now` the time. After
    /// `extra_codes` another attempt is made too.
    ///
    /// # Errors
    /// Why nothing was taken.
    pub(crate) fn outcome(
        self,
        url: &str,
        now: SystemTime,
        extra_codes: &[StatusCode],
    ) -> Result<Option<PartialSuccess>, Refusal> {
        if self.status.is_success() {
            let Some(format) = self.format else { return Ok(None) };
            let text = match format {
                Format::Protobuf => "error parsing protobuf response",
                Format::Json => "error parsing JSON response",
            };
            return partial_success(format, &self.body)
                .map_err(|_| Refusal::permanent("malformed_response", text));
        }
        let code = code_of(self.status);
        let details =
            self.format.map(|format| format.status_to_protobuf(self.body.clone())).unwrap_or_default();
        let text = self.text(url, &details);
        let is_extra = extra_codes.contains(&self.status);
        let retryable = is_extra || matches!(self.status.as_u16(), 429 | 502 | 503 | 504);
        let refusal = match retryable {
            true => Refusal::retryable(code.name(), text),
            false => Refusal::permanent(code.name(), text),
        };
        let refusal = match self.retry_after(now, is_extra) {
            Some(delay) => refusal.after(delay),
            None => refusal,
        };
        Err(refusal.with_status(code, details))
    }

    /// What to say; `status` is a serialized `google.rpc.Status`, or nothing.
    fn text(&self, url: &str, status: &[u8]) -> String {
        let code = self.status.as_u16();
        let head = format!("error exporting items, request to {url} responded with HTTP Status Code {code}");
        let details = match retry_delay(status) {
            Some(delay) => format!("[RetryInfo: {delay:?}]"),
            None => "[]".to_owned(),
        };
        match parse_rpc_status(status) {
            (_, message) if message.is_empty() => head,
            (_, message) => format!("{head}, Message={message}, Details={details}"),
        }
    }

    /// The time that the backend asks for, where it may.
    fn retry_after(&self, now: SystemTime, is_extra: bool) -> Option<Duration> {
        if !(is_extra || matches!(self.status.as_u16(), 429 | 503)) {
            return None;
        }
        let delay = retry_after(self.headers.get(RETRY_AFTER)?, now)?;
        (!delay.is_zero()).then_some(delay)
    }
}

/// The gRPC code that stands for an HTTP status, so that a sender hears the same from either protocol.
fn code_of(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::INVALID_ARGUMENT,
        401 => Code::UNAUTHENTICATED,
        403 => Code::PERMISSION_DENIED,
        404 => Code::UNIMPLEMENTED,
        429 => Code::RESOURCE_EXHAUSTED,
        502..=504 => Code::UNAVAILABLE,
        _ => Code::UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://h/v1/logs";

    fn outcome(
        status: u16,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Option<PartialSuccess>, Refusal> {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        let now = httpdate::parse_http_date("Tue, 24 Nov 2026 00:00:00 GMT").unwrap();
        Answer::new(status, &all, Bytes::copy_from_slice(body)).outcome(
            URL,
            now,
            &[StatusCode::from_u16(530).unwrap()],
        )
    }

    #[test]
    fn each_status_is_retried_or_not_and_keeps_its_meaning() {
        for (status, retryable, code) in [
            (301, false, Code::UNKNOWN),
            (400, false, Code::INVALID_ARGUMENT),
            (401, false, Code::UNAUTHENTICATED),
            (403, false, Code::PERMISSION_DENIED),
            (404, false, Code::UNIMPLEMENTED),
            (408, false, Code::UNKNOWN),
            (413, false, Code::UNKNOWN),
            (429, true, Code::RESOURCE_EXHAUSTED),
            (500, false, Code::UNKNOWN),
            (502, true, Code::UNAVAILABLE),
            (503, true, Code::UNAVAILABLE),
            (504, true, Code::UNAVAILABLE),
            (530, true, Code::UNKNOWN),
        ] {
            let refusal = outcome(status, &[], b"").unwrap_err();
            assert_eq!((refusal.is_retryable(), refusal.code()), (retryable, code), "{status}");
            let text =
                format!("error exporting items, request to {URL} responded with HTTP Status Code {status}");
            assert_eq!(refusal.message(), text);
        }
    }

    #[test]
    fn the_backend_says_when_to_come_back() {
        let delay = |status, value| outcome(status, &[("retry-after", value)], b"").unwrap_err().delay();
        assert_eq!(delay(429, "7"), Some(Duration::from_secs(7)));
        assert_eq!(delay(503, " Tue, 24 Nov 2026 00:01:30 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(delay(503, "Mon, 23 Nov 2026 00:01:30 GMT"), None);
        for nothing in ["0", "soon", "-1", ""] {
            assert_eq!(delay(503, nothing), None, "{nothing}");
        }
        assert_eq!(delay(502, "7"), None);
        assert_eq!(delay(530, "7"), Some(Duration::from_secs(7)));
    }

    #[test]
    fn bodies_are_looked_into_where_they_are_json() {
        let json = [("content-type", "Application/JSON; charset=utf-8")];
        let status = br#"{"code":3,"message":"bad","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"7s"}]}"#;
        let refusal = outcome(400, &json, status).unwrap_err();
        assert!(refusal.message().ends_with("Code 400, Message=bad, Details=[RetryInfo: 7s]"), "{refusal}");
        let details = phoenix_transport::grpc::rpc_status(Code(3), "bad", Some(Duration::from_secs(7)));
        assert_eq!(refusal.status().unwrap().details, details);
        assert!(outcome(400, &json, b"<html>").unwrap_err().message().ends_with("Code 400"));
        let partial = PartialSuccess { rejected: 3, message: "no".into() };
        let response = br#"{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"no"}}"#;
        assert_eq!(outcome(200, &json, response), Ok(Some(partial)));
        assert_eq!(outcome(200, &json, br#"{"partialSuccess":{}}"#), Ok(None));
        assert!(!outcome(200, &json, b"<html>").unwrap_err().is_retryable());
    }

    #[test]
    fn bodies_are_looked_into_where_they_are_protobuf() {
        let protobuf = [("content-type", "application/x-protobuf; v=1")];
        let status = b"\x08\x03\x12\x03bad";
        let refusal = outcome(400, &protobuf, status).unwrap_err();
        assert!(refusal.message().ends_with("Code 400, Message=bad, Details=[]"), "{refusal}");
        assert_eq!(&refusal.status().unwrap().details[..], status);
        assert!(
            outcome(400, &[("content-type", "text/plain")], status).unwrap_err().message().ends_with("400")
        );
        let partial = PartialSuccess { rejected: 3, message: "no".into() };
        assert_eq!(outcome(200, &protobuf, b"\x0a\x06\x08\x03\x12\x02no"), Ok(Some(partial)));
        assert_eq!(outcome(202, &protobuf, b"\x0a\x00"), Ok(None));
        assert_eq!(outcome(200, &[("content-type", "text/html")], b"<html>"), Ok(None));
        assert!(!outcome(200, &protobuf, b"<html>").unwrap_err().is_retryable());
    }
}
