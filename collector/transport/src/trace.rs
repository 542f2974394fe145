//! Own traces over the wire.

use http::{HeaderMap, HeaderName, HeaderValue};
use phoenix_telemetry::traces::{Kind, Span, SpanContext, Tracer};

/// A span for one attempt to send, and the headers that carry it on; none where own traces are off.
#[inline]
pub fn attempt(
    tracer: &Tracer,
    parent: Option<SpanContext>,
    name: impl FnOnce() -> String,
    headers: &HeaderMap,
) -> Option<(Box<Span>, HeaderMap)> {
    let span = tracer.span(Kind::Client, parent, name)?;
    let mut headers = headers.clone();
    for (name, value) in tracer.headers(span.context()) {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    Some((Box::new(span), headers))
}

/// The attempt failed.
pub fn failed(attempt: &mut Option<(Box<Span>, HeaderMap)>, reason: &dyn std::fmt::Display) {
    if let Some((span, _)) = attempt {
        span.fail(reason.to_string());
    }
}
