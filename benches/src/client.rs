//! One connection of the load: OTLP over gRPC, or over HTTP/1.1 with protobuf.
//!
//! Both speak `hyper` directly, so that the load can choose the size of its frames and copies no body.

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use clap::ValueEnum;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, TE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::body::{self, Pieces};
use crate::compression::Compression;
use crate::signal::Signal;
use crate::tls::{Connector, Stream};

/// An answer longer than this is an error.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// How requests travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// HTTP/2, unary calls.
    Grpc,
    /// HTTP/1.1 with protobuf bodies.
    Http,
}

/// How a gRPC message is cut into DATA frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FrameSize {
    /// 16 KiB whatever the peer accepts, as Go's clients do.
    #[value(name = "16k")]
    SixteenKib,
    /// As large as the peer accepts.
    Peer,
}

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encoding {
    /// Binary protobuf.
    Proto,
    /// OTLP/JSON, over HTTP only.
    Json,
}

impl Encoding {
    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Encoding::Proto => "proto",
            Encoding::Json => "json",
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Encoding::Proto => "application/x-protobuf",
            Encoding::Json => "application/json",
        }
    }
}

/// What all requests of a load have in common.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `host:port`.
    pub(crate) address: String,
    pub(crate) protocol: Protocol,
    pub(crate) signal: Signal,
    pub(crate) frame_size: FrameSize,
    pub(crate) compression: Compression,
    pub(crate) encoding: Encoding,
    /// What comes before the path over HTTP.
    pub(crate) http_prefix: String,
    /// Mutual TLS, over gRPC.
    pub(crate) tls: Option<Connector>,
}

/// What the server made of a request that it answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Taken, with an empty answer.
    Accepted,
    /// Taken, but the answer says more: a partial success.
    Partial,
    /// Not taken.
    Refused(Refusal),
}

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The status: `gRPC 14`, `HTTP 503`.
    pub(crate) status: String,
    /// Whether OTLP lets the sender try again: UNAVAILABLE, RESOURCE_EXHAUSTED with `RetryInfo`, or one of
    /// 429, 502, 503 and 504.
    pub(crate) retryable: bool,
    pub(crate) message: String,
}

/// An open connection.
pub(crate) enum Client {
    Grpc(http2::SendRequest<Pieces>),
    Http(http1::SendRequest<Pieces>),
}

impl Client {
    /// Connects.
    pub(crate) async fn connect(target: &Target) -> Result<Client> {
        let stream = TcpStream::connect(&target.address)
            .await
            .with_context(|| format!("cannot connect to {}", target.address))?;
        stream.set_nodelay(true)?;
        let stream = match &target.tls {
            Some(tls) => tls.connect(stream).await.context("no TLS")?,
            None => Stream::Plain(stream),
        };
        let io = TokioIo::new(stream);
        // The connection's own end shows as an error of the requests on it.
        Ok(match target.protocol {
            Protocol::Grpc => {
                let (sender, connection) = http2::Builder::new(TokioExecutor::new()).handshake(io).await?;
                tokio::spawn(async move { connection.await.ok() });
                Client::Grpc(sender)
            }
            Protocol::Http => {
                let (sender, connection) = http1::handshake(io).await?;
                tokio::spawn(async move { connection.await.ok() });
                Client::Http(sender)
            }
        })
    }

    /// A second user of the same connection, if the protocol lets requests share it.
    pub(crate) fn shared(&self) -> Option<Client> {
        match self {
            Client::Grpc(sender) => Some(Client::Grpc(sender.clone())),
            Client::Http(_) => None,
        }
    }

    /// Sends a body, gRPC prefix included where the protocol has one, and waits for the answer.
    ///
    /// # Errors
    /// If the connection fails or the answer is not OTLP's; the connection may then be unusable.
    pub(crate) async fn send(&mut self, target: &Target, body: Bytes) -> Result<Answer> {
        match self {
            Client::Grpc(sender) => {
                sender.ready().await?;
                read_grpc(sender.send_request(grpc_request(target, body)?).await?).await
            }
            Client::Http(sender) => {
                sender.ready().await?;
                read_http(sender.send_request(http_request(target, body)?).await?).await
            }
        }
    }
}

fn grpc_request(target: &Target, body: Bytes) -> Result<Request<Pieces>> {
    const ONE_FRAME_BYTES: usize = 16 << 10;
    let pieces = match target.frame_size {
        FrameSize::SixteenKib => Pieces::cut(body, ONE_FRAME_BYTES),
        FrameSize::Peer => Pieces::whole(body),
    };
    let scheme = if target.tls.is_some() { "https" } else { "http" };
    let mut request = Request::post(format!("{scheme}://{}{}", target.address, target.signal.grpc_path()))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers");
    if let Some(encoding) = target.compression.header() {
        request = request.header("grpc-encoding", encoding);
    }
    Ok(request.body(pieces)?)
}

fn http_request(target: &Target, body: Bytes) -> Result<Request<Pieces>> {
    let path = format!("{}{}", target.http_prefix, target.signal.http_path());
    let mut request = Request::post(path)
        .header(HOST, &target.address)
        .header(CONTENT_TYPE, target.encoding.content_type());
    if let Some(encoding) = target.compression.header() {
        request = request.header(CONTENT_ENCODING, encoding);
    }
    Ok(request.body(Pieces::whole(body))?)
}

async fn read_grpc(response: Response<Incoming>) -> Result<Answer> {
    let (head, body) = response.into_parts();
    ensure!(head.status == StatusCode::OK, "HTTP status {}", head.status);
    let body = collected(body).await?;
    let trailers = body.trailers().cloned();
    let status = trailers
        .iter()
        .chain([&head.headers])
        .find_map(|headers| Some((headers.get("grpc-status")?, headers)))
        .map(|(status, headers)| (status.to_str().unwrap_or_default().to_owned(), headers));
    match status {
        Some((code, _)) if code == "0" => {
            let (_, message) =
                body::grpc_message(&body.to_bytes()).context("an answer without one message")?;
            Ok(if message.is_empty() { Answer::Accepted } else { Answer::Partial })
        }
        Some((code, headers)) => Ok(Answer::Refused(Refusal {
            retryable: code == "14" || (code == "8" && has_retry_info(headers)),
            status: format!("gRPC {code}"),
            message: message_of(headers),
        })),
        None => bail!("an answer without grpc-status"),
    }
}

/// Whether the details of a status hold a `RetryInfo`; its type's name is enough to tell.
fn has_retry_info(headers: &HeaderMap) -> bool {
    const NAME: &[u8] = b"google.rpc.RetryInfo";
    let details = headers.get("grpc-status-details-bin").map(HeaderValue::as_bytes).unwrap_or_default();
    let details = details.strip_suffix(b"==").or(details.strip_suffix(b"=")).unwrap_or(details);
    STANDARD_NO_PAD
        .decode(details)
        .is_ok_and(|details| details.windows(NAME.len()).any(|window| window == NAME))
}

fn message_of(headers: &HeaderMap) -> String {
    headers.get("grpc-message").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

async fn read_http(response: Response<Incoming>) -> Result<Answer> {
    let (head, body) = response.into_parts();
    let body = collected(body).await?.to_bytes();
    Ok(match head.status {
        StatusCode::OK if body.is_empty() || is_empty_json(&body) => Answer::Accepted,
        StatusCode::OK => Answer::Partial,
        status => Answer::Refused(Refusal {
            status: format!("HTTP {}", status.as_u16()),
            retryable: matches!(status.as_u16(), 429 | 502..=504),
            message: String::from_utf8_lossy(&body).into_owned(),
        }),
    })
}

/// Whether an answer in JSON says no more than that all is well: `{}` or `{"partialSuccess":{}}`.
fn is_empty_json(body: &[u8]) -> bool {
    let Ok(serde_json::Value::Object(answer)) = serde_json::from_slice(body) else { return false };
    answer.iter().all(|(key, value)| {
        key == "partialSuccess" && value.as_object().is_none_or(serde_json::Map::is_empty)
    })
}

async fn collected(body: Incoming) -> Result<http_body_util::Collected<Bytes>> {
    Limited::new(body, MAX_ANSWER_BYTES)
        .collect()
        .await
        .map_err(|error| anyhow!("cannot read the answer: {error}"))
}
