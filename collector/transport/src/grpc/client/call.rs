//! One call: a connection, the request, the answer.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Request, StatusCode, Version};
use phoenix_component::{ClientInfo, Code};
use tokio::time::Instant;

use super::channel::{Channel, Pick, Picked};
use super::{Config, Method};
use crate::grpc::{Status, format_timeout};
use crate::payload::{Framed, PREFIX_BYTES, Payload};

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// Connections that a call may find closed before it fails.
const MAX_PICKS: u32 = 5;

/// How an attempt ended without an answer.
enum Attempt {
    Failed(Status),
    /// The connection took nothing.
    NotSent(Status),
    /// The server says that it did not look at the request.
    NotProcessed(Status),
}

pub(super) async fn call(
    channel: &Arc<Channel>,
    config: &Config,
    method: &Method,
    message: Payload,
    timeout: Option<Duration>,
    metadata: &HeaderMap,
    client: Option<&ClientInfo>,
) -> Result<Bytes, Status> {
    let deadline = timeout.map(|timeout| (Instant::now(), timeout));
    let compressed = config.options.compressor.encoding() != crate::compression::Encoding::Identity;
    let authorized = authorize(config, metadata, client).await?;
    let message = compress(config, message).await?;
    let mut sent_once = false;
    let mut picks = 0;
    loop {
        let picked = connection(channel, config).await?;
        let (id, since) = (picked.id, picked.since);
        let framed = Framed::new(compressed, message.clone())
            .ok_or_else(|| Status::new(Code::RESOURCE_EXHAUSTED, "the message is too large for gRPC"))?;
        let headers = match &authorized {
            Some(headers) => headers.clone(),
            None => headers(config, metadata),
        };
        let request = head(method, deadline, headers);
        match attempt(config, picked, request, framed).await {
            Ok(answer) => return Ok(answer),
            Err(Attempt::Failed(status)) => return Err(status),
            Err(Attempt::NotSent(status)) => {
                channel.lost(id, since, None);
                picks += 1;
                if picks == MAX_PICKS {
                    return Err(status);
                }
            }
            Err(Attempt::NotProcessed(status)) => {
                if std::mem::replace(&mut sent_once, true) {
                    return Err(status);
                }
            }
        }
    }
}

async fn compress(config: &Config, message: Payload) -> Result<Payload, Status> {
    let options = &config.options;
    crate::compression::encode(options.compressor, message, &options.budget)
        .await
        .map_err(|error| Status::new(Code::INTERNAL, format!("cannot compress the message: {error}")))
}

/// Waits for a connection: until the first attempt failed, or for ever where the client waits for ready.
async fn connection(channel: &Arc<Channel>, config: &Config) -> Result<Picked, Status> {
    loop {
        if let Pick::Ready(picked) = channel.pick() {
            return Ok(picked);
        }
        // Listens before it looks again, so that no change falls in between.
        let mut changed = pin!(channel.changed());
        changed.as_mut().enable();
        match channel.pick() {
            Pick::Ready(picked) => return Ok(picked),
            Pick::Wait => changed.await,
            Pick::Failed(_, retry_at) if config.options.wait_for_ready => {
                // Whether it changed or not, the loop looks again.
                let _ = tokio::time::timeout_at(retry_at, changed).await;
            }
            Pick::Failed(error, _) => return Err(Status::new(Code::UNAVAILABLE, &*error)),
        }
    }
}

/// The headers with credentials, where there is somebody who adds them.
async fn authorize(
    config: &Config,
    metadata: &HeaderMap,
    client: Option<&ClientInfo>,
) -> Result<Option<HeaderMap>, Status> {
    let absent = || Status::new(Code::UNAVAILABLE, "the authenticator is not running");
    let slot = match config.auth.get() {
        Some(slot) => slot,
        None if config.options.needs_auth => return Err(absent()),
        None => return Ok(None),
    };
    let auth = slot.get().ok_or_else(absent)?;
    let mut headers = headers(config, metadata);
    auth.authorize(&mut headers, client).await.map_err(|refusal| Status::from(&refusal))?;
    Ok(Some(headers))
}

fn headers(config: &Config, metadata: &HeaderMap) -> HeaderMap {
    let mut headers = config.headers.clone();
    for name in metadata.keys().filter(|name| !config.headers.contains_key(*name)) {
        metadata.get_all(name).iter().for_each(|value| {
            headers.append(name.clone(), value.clone());
        });
    }
    headers
}

fn head(method: &Method, deadline: Option<(Instant, Duration)>, mut headers: HeaderMap) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = method.0.clone();
    *request.version_mut() = Version::HTTP_2;
    if let Some((start, timeout)) = deadline {
        let left = timeout.saturating_sub(start.elapsed());
        if let Ok(value) = HeaderValue::try_from(format_timeout(left)) {
            headers.insert(GRPC_TIMEOUT, value);
        }
    }
    *request.headers_mut() = headers;
    request
}

struct Active(Arc<AtomicUsize>);

impl Active {
    fn new(count: Arc<AtomicUsize>) -> Active {
        count.fetch_add(1, Relaxed);
        Active(count)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

async fn attempt(
    config: &Config,
    picked: Picked,
    request: Request<()>,
    framed: Framed,
) -> Result<Bytes, Attempt> {
    let not_sent = |error: h2::Error| Attempt::NotSent(status_of(config, &error));
    let _active = Active::new(picked.active);
    let mut send = picked.send.ready().await.map_err(not_sent)?;
    let (response, mut stream) = send.send_request(request, false).map_err(not_sent)?;
    // A handle that waits for its turn would keep others from opening streams.
    drop(send);
    stream.send_data(framed, true).map_err(|error| interrupted(config, error))?;
    answer(config, response).await
}

async fn answer(config: &Config, response: ResponseFuture) -> Result<Bytes, Attempt> {
    let (head, mut body) = response.await.map_err(|error| interrupted(config, error))?.into_parts();
    if head.status != StatusCode::OK {
        let status = Status::from_headers(&head.headers).unwrap_or_else(|| http_status(config, head.status));
        return Err(Attempt::Failed(status));
    }
    if body.is_end_stream() {
        return Err(Attempt::Failed(match Status::from_headers(&head.headers) {
            Some(status) if status.code != Code::OK => status,
            _ => Status::new(Code::INTERNAL, format!("{} sent no answer", config.options.target)),
        }));
    }
    let data = collect(config, &mut body).await?;
    let trailers = body.trailers().await.map_err(|error| interrupted(config, error))?;
    let status =
        trailers.as_ref().and_then(Status::from_headers).or_else(|| Status::from_headers(&head.headers));
    match status {
        None => Err(failed(config, "ended the answer without a status")),
        Some(status) if status.code != Code::OK => Err(Attempt::Failed(status)),
        Some(_) => message(config, data),
    }
}

fn failed(config: &Config, what: &str) -> Attempt {
    Attempt::Failed(Status::new(Code::INTERNAL, format!("{} {what}", config.options.target)))
}

/// The bytes of the answer, prefix included.
async fn collect(config: &Config, body: &mut RecvStream) -> Result<Bytes, Attempt> {
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(piece) = poll_fn(|cx| body.poll_data(cx)).await {
        let piece = piece.map_err(|error| interrupted(config, error))?;
        // Fails only for a stream that is closed, which the next poll reports.
        let _ = body.flow_control().release_capacity(piece.len());
        if first.is_empty() && joined.is_empty() {
            first = piece;
            continue;
        }
        joined.extend_from_slice(&std::mem::take(&mut first));
        joined.extend_from_slice(&piece);
        if joined.len() > config.options.max_response_bytes + PREFIX_BYTES {
            break;
        }
    }
    let data = if joined.is_empty() { first } else { joined.freeze() };
    if data.len() > config.options.max_response_bytes + PREFIX_BYTES {
        let limit = config.options.max_response_bytes;
        let text = format!("the answer of {} is larger than {limit} bytes", config.options.target);
        return Err(Attempt::Failed(Status::new(Code::RESOURCE_EXHAUSTED, text)));
    }
    Ok(data)
}

fn message(config: &Config, mut data: Bytes) -> Result<Bytes, Attempt> {
    let Some((prefix, message)) = data.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(failed(config, "sent an answer without a message"));
    };
    let [flag, length @ ..] = *prefix;
    if flag != 0 {
        return Err(failed(config, "compressed its answer without being asked"));
    }
    if u32::from_be_bytes(length) as usize != message.len() {
        return Err(failed(config, "sent an answer with bad framing"));
    }
    data.advance(PREFIX_BYTES);
    Ok(data)
}

/// A stream that ended early: whether the server can have looked at the request.
fn interrupted(config: &Config, error: h2::Error) -> Attempt {
    let status = status_of(config, &error);
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    // Only streams above the last one that the server names end with its GOAWAY.
    let went_away = error.is_go_away() && error.is_remote();
    if refused || went_away { Attempt::NotProcessed(status) } else { Attempt::Failed(status) }
}

/// The code for an HTTP/2 error (gRPC's "HTTP2 Transport Mapping").
fn status_of(config: &Config, error: &h2::Error) -> Status {
    let code = match error.reason() {
        None | Some(Reason::REFUSED_STREAM) => Code::UNAVAILABLE,
        Some(_) if error.is_go_away() => Code::UNAVAILABLE,
        Some(Reason::CANCEL) => Code::CANCELLED,
        Some(Reason::ENHANCE_YOUR_CALM) => Code::RESOURCE_EXHAUSTED,
        Some(Reason::INADEQUATE_SECURITY) => Code::PERMISSION_DENIED,
        Some(_) => Code::INTERNAL,
    };
    Status::new(code, format!("connection to {}: {error}", config.options.target))
}

/// The code for an answer that is HTTP and no gRPC.
fn http_status(config: &Config, status: StatusCode) -> Status {
    let code = match status.as_u16() {
        400 => Code::INTERNAL,
        401 => Code::UNAUTHENTICATED,
        403 => Code::PERMISSION_DENIED,
        404 => Code::UNIMPLEMENTED,
        429 | 502 | 503 | 504 => Code::UNAVAILABLE,
        _ => Code::UNKNOWN,
    };
    Status::new(code, format!("unexpected HTTP status {status} from {}", config.options.target))
}
