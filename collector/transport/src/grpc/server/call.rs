//! One request, from its headers to its trailers.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode, request};
use phoenix_component::Code;
use phoenix_component::auth::Denied;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::body::{self, Body, Received, Refused};
use super::{Call, Shared, UnaryService};
use crate::compression::{DecodeError, Encoding};
use crate::encoded::{EncodedBody, Undecodable};
use crate::gate::{NotPassed, Passed, RATE_TEXT};
use crate::grpc::{Status, parse_timeout};
use crate::http2::{Block, Exchange, Incoming};
use crate::listen::LiveGuard;
use crate::socket::Peer;

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const CONTENT_TYPE_GRPC: &[u8] = b"application/grpc";
const ACCEPTED: &[u8] = b"identity,gzip,snappy,zstd";
/// The handler should answer at the deadline itself; this much later it is ended.
const DEADLINE_GRACE: Duration = Duration::from_secs(1);

/// Answers one request, which counts as under way until then.
pub(super) async fn answer<S: UnaryService>(
    shared: Arc<Shared<S>>,
    incoming: Incoming<Body>,
    peer: Peer,
    _live: LiveGuard,
) {
    let Incoming { head, mut exchange } = incoming;
    let outcome = match method_of(&shared, &head) {
        Ok(method) => serve(&shared, method, head, &mut exchange, peer).await,
        Err(refused) => Err(refused),
    };
    match outcome {
        Ok(message) => succeed(exchange, &message),
        // Nobody listens.
        Err(Refusal::Gone) => {}
        Err(Refusal::Http(status)) => {
            shared.metrics.refused("not_grpc");
            exchange.answer(&Block::response(status.as_u16()));
        }
        Err(Refusal::Transport(status, reason)) => {
            shared.metrics.refused(reason);
            fail(exchange, &status);
        }
        Err(Refusal::Handler(status)) => fail(exchange, &status),
    }
}

enum Refusal {
    /// The client went away.
    Gone,
    Http(StatusCode),
    Transport(Status, &'static str),
    Handler(Status),
}

impl From<Option<Refused>> for Refusal {
    fn from(refused: Option<Refused>) -> Refusal {
        refused.map_or(Refusal::Gone, |(status, reason)| Refusal::Transport(status, reason))
    }
}

fn method_of<S: UnaryService>(shared: &Shared<S>, head: &request::Parts) -> Result<S::Method, Refusal> {
    let content_type = head.headers.get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    let is_grpc = content_type
        .strip_prefix(b"application/grpc")
        .is_some_and(|rest| rest.is_empty() || matches!(rest[0], b'+' | b';'));
    if !is_grpc {
        return Err(Refusal::Http(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    if head.method != Method::POST {
        return Err(Refusal::Http(StatusCode::METHOD_NOT_ALLOWED));
    }
    let path = head.uri.path();
    shared.service.resolve(path).ok_or_else(|| {
        let text = format!("unknown method {}", path.chars().take(200).collect::<String>());
        Refusal::Transport(Status::new(Code::UNIMPLEMENTED, text), "method")
    })
}

fn encoding_of(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let Some(name) = headers.get(GRPC_ENCODING) else { return Ok(Encoding::Identity) };
    match name.as_bytes() {
        b"identity" => Ok(Encoding::Identity),
        b"gzip" => Ok(Encoding::Gzip),
        // Framed in gRPC, and recognised when it is not.
        b"snappy" => Ok(Encoding::Snappy),
        b"zstd" => Ok(Encoding::Zstd),
        name => {
            let name = String::from_utf8_lossy(&name[..name.len().min(64)]).into_owned();
            let text = format!("grpc: Decompressor is not installed for grpc-encoding {name:?}");
            Err(Refusal::Transport(Status::new(Code::UNIMPLEMENTED, text), "encoding"))
        }
    }
}

async fn serve<S: UnaryService>(
    shared: &Arc<Shared<S>>,
    method: S::Method,
    head: Arc<request::Parts>,
    exchange: &mut Exchange<Body>,
    peer: Peer,
) -> Result<Bytes, Refusal> {
    let options = &shared.options;
    let passed = match shared.service.brings_data(method) {
        true => options.gate.ask(&head, &peer).await.map_err(|refused| not_passed(refused, options))?,
        false => Passed::default(),
    };
    let encoding = encoding_of(&head.headers)?;
    let deadline = head
        .headers
        .get(GRPC_TIMEOUT)
        .and_then(|text| text.to_str().ok().and_then(parse_timeout))
        .and_then(|timeout| Instant::now().checked_add(timeout));
    let received = body::receive(exchange, options.body_idle_timeout).await?;
    passed.received(received.message.len());
    if received.compressed && encoding == Encoding::Identity {
        let text = "grpc: compressed flag set with identity or empty encoding";
        return Err(Refusal::Transport(Status::new(Code::INTERNAL, text), "framing"));
    }
    let call = Call {
        message: Bytes::new(),
        encoded: None,
        head,
        peer,
        identity: passed.identity,
        charged: passed.charged,
        deadline,
    };
    let handled = match shared.cores.idle_instead_of_this() {
        None => {
            let work = pin!(handle(shared.clone(), method, call, received, encoding));
            while_wanted(work, exchange, deadline).await
        }
        Some(core) => {
            let task = core.spawn(handle(shared.clone(), method, call, received, encoding));
            while_wanted(pin!(Elsewhere(task)), exchange, deadline).await
        }
    };
    handled.unwrap_or(Err(Refusal::Gone))
}

fn not_passed(refused: NotPassed, options: &super::Options) -> Refusal {
    let reason = refused.reason();
    let status = match refused {
        NotPassed::MemoryIsShort => {
            Status::new(Code::RESOURCE_EXHAUSTED, "data refused due to high memory usage")
                .with_retry_delay(options.over_budget_delay)
        }
        NotPassed::TooMany(delay) => Status::new(Code::RESOURCE_EXHAUSTED, RATE_TEXT).with_retry_delay(delay),
        NotPassed::Denied(Denied { message, delay: Some(delay), .. }) => {
            Status::new(Code::UNAVAILABLE, message).with_retry_delay(delay)
        }
        NotPassed::Denied(denied) => Status::new(Code::UNAUTHENTICATED, denied.message),
    };
    Refusal::Transport(status, reason)
}

/// Decompresses and calls the handler; a panic becomes Internal.
async fn handle<S: UnaryService>(
    shared: Arc<Shared<S>>,
    method: S::Method,
    mut call: Call,
    received: Received,
    encoding: Encoding,
) -> Result<Bytes, Refusal> {
    let work = async {
        if received.compressed {
            let body = encoded_body(&shared, encoding, received.message);
            if shared.service.takes_encoded(method, encoding) {
                call.encoded = Some(body);
            } else {
                call.message = body.decode().await.map_err(|error| Refusal::Handler(error.into()))?.0;
            }
        } else {
            call.message = received.message;
        }
        shared.service.call(method, call).await.map_err(Refusal::Handler)
    };
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| Err(panicked()))
}

fn panicked() -> Refusal {
    Refusal::Transport(Status::new(Code::INTERNAL, "the handler of this request panicked"), "panic")
}

fn encoded_body<S>(shared: &Shared<S>, encoding: Encoding, bytes: Bytes) -> EncodedBody {
    EncodedBody {
        encoding,
        bytes,
        limit: shared.options.max_message_bytes,
        budget: shared.budget.clone(),
        over_budget_delay: shared.options.over_budget_delay,
        metrics: shared.metrics.clone(),
    }
}

impl From<Undecodable> for Status {
    fn from(undecodable: Undecodable) -> Status {
        match undecodable.error {
            DecodeError::TooLarge { limit } => {
                let text = format!("grpc: received message after decompression larger than max {limit}");
                Status::new(Code::RESOURCE_EXHAUSTED, text)
            }
            DecodeError::Budget => body::over_budget(undecodable.over_budget_delay).0,
            error @ DecodeError::Corrupt { .. } => {
                let text = format!("grpc: failed to decompress the received message: {error}");
                Status::new(Code::INTERNAL, text)
            }
        }
    }
}

/// Runs `work` until the client resets the stream (then None), or some time after its deadline. It is pinned by
/// the caller: a future that is handed over by value is kept twice, and the task of each request holds both.
async fn while_wanted(
    mut work: Pin<&mut impl Future<Output = Result<Bytes, Refusal>>>,
    exchange: &mut Exchange<Body>,
    deadline: Option<Instant>,
) -> Option<Result<Bytes, Refusal>> {
    let mut timer = None;
    poll_fn(|cx| {
        if let Poll::Ready(outcome) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(outcome));
        }
        if exchange.poll_reset(cx).is_ready() {
            return Poll::Ready(None);
        }
        if let Some(deadline) = deadline {
            let timer =
                timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline + DEADLINE_GRACE)));
            if timer.as_mut().poll(cx).is_ready() {
                let status = Status::new(Code::DEADLINE_EXCEEDED, "the deadline of the request has passed");
                return Poll::Ready(Some(Err(Refusal::Transport(status, "timeout"))));
            }
        }
        Poll::Pending
    })
    .await
}

/// A handler that runs on another core; it ends where its request does.
struct Elsewhere(JoinHandle<Result<Bytes, Refusal>>);

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Future for Elsewhere {
    type Output = Result<Bytes, Refusal>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|joined| joined.unwrap_or_else(|_| Err(panicked())))
    }
}

fn head() -> Block {
    Block::response(200).with("content-type", CONTENT_TYPE_GRPC)
}

fn succeed(exchange: Exchange<Body>, message: &[u8]) {
    static HEAD: LazyLock<Block> = LazyLock::new(head);
    static TRAILERS: LazyLock<Block> = LazyLock::new(|| Block::trailers().with("grpc-status", b"0"));
    let Ok(length) = u32::try_from(message.len()) else {
        return fail(exchange, &Status::new(Code::INTERNAL, "the answer is too large"));
    };
    let prefix = length.to_be_bytes();
    exchange.answer_with(&HEAD, &[&[0], &prefix[..], message], &TRAILERS);
}

/// Answers with a status and nothing else.
fn fail(exchange: Exchange<Body>, status: &Status) {
    let mut headers = HeaderMap::new();
    status.write_to(&mut headers);
    let head = headers.iter().fold(head(), |head, (name, value)| head.with(name.as_str(), value.as_bytes()));
    exchange.answer(&match status.code {
        Code::UNIMPLEMENTED => head.with("grpc-accept-encoding", ACCEPTED),
        _ => head,
    });
}
