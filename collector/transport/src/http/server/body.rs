//! Receiving the body of a request.

use std::future::poll_fn;
use std::pin::Pin;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body::Body as _;
use hyper::body::Incoming;
use phoenix_component::Budget;
use tokio::time::{Duration, Instant, timeout_at};

use super::{BodyError, Options};
use crate::compression::Encoding;
use crate::intake::Intake;

/// Receives all of `body`, with its encoding, whose headers are removed.
pub(super) async fn receive(
    headers: &mut HeaderMap,
    body: &mut Incoming,
    options: &Options,
    budget: &Budget,
) -> Result<(Encoding, Bytes), BodyError> {
    let encoding = encoding(headers, options)?;
    let announced = body.size_hint().exact().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced.is_some_and(|length| length > options.max_body_bytes) {
        return Err(BodyError::TooLarge);
    }
    let end = options.read_timeout.map(|timeout| Instant::now() + timeout);
    let mut intake = Intake::new(budget, announced);
    while let Some(piece) = next(body, options.body_idle_timeout, end).await? {
        if intake.len() + piece.len() > options.max_body_bytes {
            return Err(BodyError::TooLarge);
        }
        let over_budget = BodyError::OverBudget { delay: options.over_budget_delay };
        intake.push_bytes(piece).map_err(|_| over_budget)?;
    }
    let wire = intake.finish();
    if encoding != Encoding::Identity {
        headers.remove(CONTENT_ENCODING);
        headers.remove(CONTENT_LENGTH);
    }
    Ok((encoding, wire))
}

fn encoding(headers: &HeaderMap, options: &Options) -> Result<Encoding, BodyError> {
    let Some(allowed) = &options.encodings else { return Ok(Encoding::Identity) };
    let name = headers.get(CONTENT_ENCODING).map_or(&[][..], |name| name.as_bytes());
    let name = String::from_utf8_lossy(&name[..name.len().min(64)]);
    Encoding::parse(&name)
        .filter(|encoding| allowed.contains(encoding))
        .ok_or_else(|| BodyError::UnsupportedEncoding(name.into_owned()))
}

/// The next piece of data; a timer is only made where it has to be waited for.
async fn next(body: &mut Incoming, idle: Duration, end: Option<Instant>) -> Result<Option<Bytes>, BodyError> {
    let mut piece = poll_fn(|cx| {
        loop {
            match std::task::ready!(Pin::new(&mut *body).poll_frame(cx)) {
                None => return std::task::Poll::Ready(Ok(None)),
                Some(Err(_)) => return std::task::Poll::Ready(Err(BodyError::Interrupted)),
                Some(Ok(frame)) => {
                    // Trailers are passed over.
                    if let Ok(data) = frame.into_data() {
                        return std::task::Poll::Ready(Ok(Some(data)));
                    }
                }
            }
        }
    });
    if let std::task::Poll::Ready(piece) = futures_util::poll!(&mut piece) {
        return piece;
    }
    let stalled = Instant::now() + idle;
    let until = end.map_or(stalled, |end| end.min(stalled));
    timeout_at(until, piece).await.unwrap_or(Err(BodyError::Timeout))
}
