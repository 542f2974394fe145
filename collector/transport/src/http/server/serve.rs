//! One request, from its head to its answer.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{
    CONNECTION, CONTENT_TYPE, HeaderValue, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode, Version, request};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use phoenix_component::Code;

use super::connection::{Activity, Busy};
use super::{BodyError, HttpService, Refused, Request, Shared, body};
use crate::compression::Encoding;
use crate::encoded::EncodedBody;
use crate::gate::{NotPassed, RATE_TEXT};
use crate::instrumentation::HttpKey;
use crate::listen::{Drain, LiveGuard, Phase};
use crate::socket::Peer;

/// The body of an answer; the request counts as under way until it is dropped.
pub(super) struct Answer {
    data: Option<Bytes>,
    _busy: Busy,
    _live: LiveGuard,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.data.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}

/// Answers one request; whatever goes wrong is an answer too.
pub(super) async fn answer<S: HttpService>(
    shared: Arc<Shared<S>>,
    request: http::Request<Incoming>,
    peer: Peer,
    drain: Drain,
    activity: Arc<Activity>,
) -> Result<Response<Answer>, Infallible> {
    let (live, busy) = (drain.request(), activity.busy());
    let version = request.version();
    let measured = shared.metrics.http.as_ref().and_then(|http| {
        let begun = http.begin()?;
        let key = HttpKey::of_request(request.method(), request.uri(), request.headers(), version);
        let bytes = request.body().size_hint().exact().unwrap_or(0);
        Some((http, begun, key, bytes))
    });
    let options = &shared.options;
    let preflight = options.cors.as_ref().and_then(|cors| cors.preflight(&request));
    let mut response = match (preflight, &options.cors) {
        (Some(answer), _) => answer,
        (None, None) => inner(&shared, request, peer, &drain).await,
        (None, Some(cors)) => {
            let (method, origin) = (request.method().clone(), request.headers().get(ORIGIN).cloned());
            let mut response = inner(&shared, request, peer, &drain).await;
            cors.decorate(&method, origin.as_ref(), response.headers_mut());
            response
        }
    };
    if let Some((http, begun, key, bytes)) = measured {
        http.record(key.answered(response.status()), begun.elapsed(), bytes, response.body().len() as u64);
    }
    for (name, value) in &options.response_headers {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    if version < Version::HTTP_2 && drain.phase() >= Phase::Draining {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|data| Answer { data: (!data.is_empty()).then_some(data), _busy: busy, _live: live }))
}

async fn inner<S: HttpService>(
    shared: &Arc<Shared<S>>,
    request: http::Request<Incoming>,
    peer: Peer,
    drain: &Drain,
) -> Response<Bytes> {
    let (mut head, mut incoming) = request.into_parts();
    let passed = match shared.options.gate.ask(&head, &peer).await {
        Ok(passed) => passed,
        Err(refused) => return not_passed(shared, &head, refused),
    };
    let route = match shared.service.route(&head) {
        Ok(route) => route,
        Err(answer) => {
            shared.metrics.refused("method");
            return answer;
        }
    };
    let wire = body::receive(&mut head.headers, &mut incoming, &shared.options, &shared.budget).await;
    if let Err(error) = &wire {
        shared.metrics.refused(match error {
            BodyError::TooLarge | BodyError::SnappyTooLarge => "too_large",
            BodyError::UnsupportedEncoding(_) | BodyError::Corrupt(_) => "encoding",
            BodyError::OverBudget { .. } => "budget",
            BodyError::Timeout => "timeout",
            BodyError::Interrupted => "framing",
        });
    }
    passed.received(wire.as_ref().map_or(0, |(_, wire)| wire.len()));
    drop(incoming);
    let _at_work = drain.at_work();
    let work = {
        let shared = shared.clone();
        async move {
            let call = async {
                let (body, encoded) = match wire {
                    Ok((encoding, wire)) => decoded(&shared, route, encoding, wire).await,
                    Err(error) => (Err(error), None),
                };
                let (identity, charged) = (passed.identity, passed.charged);
                shared.service.call(route, Request { head, peer, identity, charged, body, encoded }).await
            };
            AssertUnwindSafe(call).catch_unwind().await.ok()
        }
    };
    let answer = match shared.cores.idle_instead_of_this() {
        None => work.await,
        Some(core) => {
            let mut task = AbortOnDrop(core.spawn(work));
            (&mut task.0).await.ok().flatten()
        }
    };
    answer.unwrap_or_else(|| {
        shared.metrics.refused("panic");
        let mut response = Response::new(Bytes::from_static(b"the handler of this request panicked"));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// Answers a request that the gate did not let pass.
fn not_passed<S: HttpService>(
    shared: &Shared<S>,
    head: &request::Parts,
    refused: NotPassed,
) -> Response<Bytes> {
    shared.metrics.refused(refused.reason());
    let (refused, challenge) = match refused {
        NotPassed::MemoryIsShort => return too_many_requests(shared.options.over_budget_delay),
        NotPassed::TooMany(delay) => {
            let (status, code) = (StatusCode::TOO_MANY_REQUESTS, Code::RESOURCE_EXHAUSTED);
            (Refused { status, code, message: RATE_TEXT.into(), delay: Some(delay) }, None)
        }
        NotPassed::Denied(denied) => {
            let (status, code) = match denied.delay {
                Some(_) => (StatusCode::SERVICE_UNAVAILABLE, Code::UNAVAILABLE),
                None => (StatusCode::UNAUTHORIZED, Code::UNAUTHENTICATED),
            };
            (Refused { status, code, message: denied.message, delay: denied.delay }, denied.challenge)
        }
    };
    let mut response = shared.service.refuse(head, &refused);
    let headers = response.headers_mut();
    if let Some(delay) = refused.delay {
        headers.insert(RETRY_AFTER, whole_seconds(delay));
    }
    if let Some(challenge) = challenge {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

/// Rounded up: a sender that comes back too early is refused again.
fn whole_seconds(delay: Duration) -> HeaderValue {
    HeaderValue::from(delay.as_secs() + u64::from(delay.subsec_nanos() > 0))
}

/// As otelcol's limiter answers, and when to come back.
fn too_many_requests(delay: Duration) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(b"Too Many Requests\n"));
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(RETRY_AFTER, whole_seconds(delay));
    response
}

/// The plain body, or the body as it came for a service that wants that.
async fn decoded<S: HttpService>(
    shared: &Shared<S>,
    route: S::Route,
    encoding: Encoding,
    bytes: Bytes,
) -> (Result<Bytes, BodyError>, Option<EncodedBody>) {
    if encoding == Encoding::Identity {
        return (Ok(bytes), None);
    }
    let body = EncodedBody {
        encoding,
        bytes,
        limit: shared.options.max_body_bytes,
        budget: shared.budget.clone(),
        over_budget_delay: shared.options.over_budget_delay,
        metrics: shared.metrics.clone(),
    };
    match shared.service.takes_encoded(route, encoding) {
        true => (Ok(Bytes::new()), Some(body)),
        false => (body.decode().await.map(|(plain, _)| plain).map_err(BodyError::from), None),
    }
}

/// Work on another core ends where its request does.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
