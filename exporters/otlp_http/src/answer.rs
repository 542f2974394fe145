//! What an HTTP answer means for the batch.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use phoenix_component::{Code, Refusal};
use phoenix_delivery::PartialSuccess;
use phoenix_transport::grpc::{parse_rpc_status, retry_delay};
use phoenix_transport::http::retry_after;

/// The content type of requests and of answers that are looked into.
pub(crate) const PROTOBUF: &str = "application/x-protobuf";

/// An answer, with as much of its body as was read.
pub(crate) struct Answer<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer<'_> {
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
            if !self.is_protobuf() {
                return Ok(None);
            }
            return PartialSuccess::parse(&self.body)
                .map_err(|_| Refusal::permanent("malformed_response", "error parsing protobuf response"));
        }
        let code = code_of(self.status);
        let text = self.text(url);
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
        let details = if self.is_protobuf() { self.body } else { Bytes::new() };
        Err(refusal.with_status(code, details))
    }

    fn is_protobuf(&self) -> bool {
        let value = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(PROTOBUF)
    }

    fn text(&self, url: &str) -> String {
        let status = self.status.as_u16();
        let head =
            format!("error exporting items, request to {url} responded with HTTP Status Code {status}");
        if !self.is_protobuf() {
            return head;
        }
        let details = match retry_delay(&self.body) {
            Some(delay) => format!("[RetryInfo: {delay:?}]"),
            None => "[]".to_owned(),
        };
        match parse_rpc_status(&self.body) {
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
        Answer { status, headers: &all, body: Bytes::copy_from_slice(body) }.outcome(
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
