//! What an answer means.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use phoenix_component::{Code, Refusal};
use phoenix_transport::http::retry_after;

/// Bytes of an error's text that are kept.
const MAX_TEXT_BYTES: usize = 256;

/// Whether a request was taken: 429 and every 5xx are tried again, not before `Retry-After`; any other is final.
///
/// # Errors
/// Why it was not.
pub(crate) fn judge(
    status: StatusCode,
    headers: &HeaderMap,
    body: &Bytes,
    now: SystemTime,
) -> Result<(), Refusal> {
    if status.is_success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_TEXT_BYTES)]);
    let message = format!("remote write returned HTTP status {status}: {}", text.trim());
    let code = match status.as_u16() {
        400 => Code::INVALID_ARGUMENT,
        401 => Code::UNAUTHENTICATED,
        403 => Code::PERMISSION_DENIED,
        404 => Code::UNIMPLEMENTED,
        429 => Code::RESOURCE_EXHAUSTED,
        500..=599 => Code::UNAVAILABLE,
        _ => Code::UNKNOWN,
    };
    let mut refusal = match status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        true => Refusal::retryable(code.name(), message),
        false => Refusal::permanent(code.name(), message),
    };
    let delay = headers.get(RETRY_AFTER).and_then(|value| retry_after(value, now));
    if let Some(delay) = delay.filter(|delay| refusal.is_retryable() && !delay.is_zero()) {
        refusal = refusal.after(delay);
    }
    Err(refusal.with_status(code, Bytes::new()))
}

/// What a receiver of version 2 says it has written: samples, histograms, exemplars. None where it does not say, as
/// receivers of version 1, which understood nothing of the request.
pub(crate) fn written(headers: &HeaderMap) -> Option<[u64; 3]> {
    let count = |what: &str| {
        let value = headers.get(format!("x-prometheus-remote-write-{what}-written"))?;
        value.to_str().ok()?.trim().parse::<u64>().ok()
    };
    let all = ["samples", "histograms", "exemplars"].map(count);
    all.iter().any(Option::is_some).then(|| all.map(Option::unwrap_or_default))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_is_tried_again_or_not() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "7".parse().unwrap());
        for (status, retryable) in [
            (301, false),
            (400, false),
            (401, false),
            (404, false),
            (413, false),
            (415, false),
            (429, true),
            (500, true),
            (503, true),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let body = Bytes::from_static(b"out of order\n");
            let refusal = judge(status, &headers, &body, SystemTime::UNIX_EPOCH).unwrap_err();
            assert_eq!(refusal.is_retryable(), retryable, "{status}");
            assert_eq!(refusal.delay().map(|delay| delay.as_secs()), retryable.then_some(7));
            assert!(refusal.message().ends_with("out of order"), "{refusal}");
        }
        assert!(judge(StatusCode::NO_CONTENT, &headers, &Bytes::new(), SystemTime::UNIX_EPOCH).is_ok());
        assert_eq!(written(&headers), None);
        headers.insert("X-Prometheus-Remote-Write-Samples-Written", "3".parse().unwrap());
        assert_eq!(written(&headers), Some([3, 0, 0]));
    }
}
