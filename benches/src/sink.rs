//! The sink: takes OTLP over gRPC and HTTP/1.1, counts, and misbehaves as asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use clap::Args;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::body::{self, Pieces};
use crate::compression::Compression;
use crate::ledger::Ledger;
use crate::signal::Signal;
use crate::tls::{Acceptor, Stream};

/// Larger messages are refused, before and after decompression.
const MAX_MESSAGE_BYTES: usize = 256 << 20;
/// Where Prometheus takes remote write.
const REMOTE_WRITE: &str = "/api/v1/write";
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// Where the sink listens and how it answers.
#[derive(Args, Clone, Debug)]
pub(crate) struct SinkOptions {
    /// Address for gRPC.
    #[arg(long, default_value = "127.0.0.1:5317")]
    pub(crate) grpc: SocketAddr,
    /// Address for OTLP/HTTP.
    #[arg(long, default_value = "127.0.0.1:5318")]
    pub(crate) http: SocketAddr,
    /// Milliseconds before each answer.
    #[arg(long, default_value_t = 0)]
    pub(crate) delay_ms: u64,
    /// Work on so many requests at a time, delay included, and let the others wait.
    #[arg(long)]
    pub(crate) at_once: Option<usize>,
    /// Of a thousand requests so many are answered with UNAVAILABLE or 503.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=1000))]
    pub(crate) fail_permille: u64,
    /// Of a thousand requests so many are put off, with `RetryInfo` or `Retry-After`.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=1000))]
    pub(crate) throttle_permille: u64,
    /// The delay that a request that is put off is told, in milliseconds.
    #[arg(long, default_value_t = 100)]
    pub(crate) retry_delay_ms: u64,
    /// Largest DATA frame to accept; the default is HTTP/2's, which Go's servers and tonic keep.
    #[arg(long, default_value_t = 16 << 10, value_parser = clap::value_parser!(u32).range(16384..=16777215))]
    pub(crate) max_frame_bytes: u32,
    /// Mutual TLS for gRPC with the certificates in this folder; `compare` makes one.
    #[arg(long)]
    pub(crate) tls_folder: Option<PathBuf>,
    /// Keep the number of each record, to tell what is missing and what came twice (`load --unique-ids`).
    #[arg(long)]
    pub(crate) ids: bool,
    /// Spans say when they were sent (`load --stamp`) and were to wait for so many milliseconds: tell by how much longer they
    /// took, how many have failed, and how many there were by their thresholds.
    #[arg(long)]
    pub(crate) wait_ms: Option<u64>,
}

/// Runs until the process is asked to stop, then prints the counts.
///
/// # Errors
/// If an address cannot be listened on.
pub(crate) async fn run(options: SinkOptions) -> Result<()> {
    let sink = Sink::bind(options).await?;
    let ledger = sink.ledger();
    tokio::select! {
        () = sink.serve() => {}
        asked = crate::asked_to_stop() => asked?,
    }
    println!("{}", serde_json::to_string(&ledger.report())?);
    Ok(())
}

/// A sink that listens.
pub(crate) struct Sink {
    grpc: TcpListener,
    http: TcpListener,
    state: Arc<State>,
}

struct State {
    options: SinkOptions,
    ledger: Arc<Ledger>,
    arrivals: AtomicU64,
    turns: Option<Semaphore>,
    tls: Option<Acceptor>,
}

impl Sink {
    /// Listens on both addresses.
    pub(crate) async fn bind(options: SinkOptions) -> Result<Sink> {
        ensure!(options.at_once != Some(0), "a sink that works on nothing at a time takes nothing");
        let grpc = listen(options.grpc).await?;
        let http = listen(options.http).await?;
        let ledger = Arc::new(Ledger::new(options.ids, options.wait_ms));
        let turns = options.at_once.map(Semaphore::new);
        let tls = options.tls_folder.as_deref().map(Acceptor::new).transpose()?;
        Ok(Sink {
            grpc,
            http,
            state: Arc::new(State { options, ledger, arrivals: AtomicU64::new(0), turns, tls }),
        })
    }

    /// The addresses for gRPC and for HTTP.
    #[cfg(test)]
    pub(crate) fn addresses(&self) -> Result<(SocketAddr, SocketAddr)> {
        Ok((self.grpc.local_addr()?, self.http.local_addr()?))
    }

    /// The counts, which go on as long as the sink serves.
    pub(crate) fn ledger(&self) -> Arc<Ledger> {
        self.state.ledger.clone()
    }

    /// Serves until dropped.
    pub(crate) async fn serve(self) {
        let Sink { grpc, http, state } = self;
        tokio::join!(serve_grpc(grpc, state.clone()), serve_http(http, state));
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

async fn serve_grpc(listener: TcpListener, state: Arc<State>) {
    loop {
        let Some(stream) = accept(&listener).await else { continue };
        let state = state.clone();
        tokio::spawn(async move {
            let stream = match &state.tls {
                None => Stream::Plain(stream),
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => stream,
                    Err(error) => return eprintln!("no TLS: {error:#}"),
                },
            };
            let io = TokioIo::new(stream);
            let service = service_fn(|request| answer_grpc(state.clone(), request));
            let served = http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .max_frame_size(state.options.max_frame_bytes)
                .serve_connection(io, service)
                .await;
            if let Err(error) = served {
                eprintln!("gRPC connection ended: {error}");
            }
        });
    }
}

async fn serve_http(listener: TcpListener, state: Arc<State>) {
    loop {
        let Some(stream) = accept(&listener).await else { continue };
        let (state, io) = (state.clone(), TokioIo::new(stream));
        tokio::spawn(async move {
            let service = service_fn(|request| answer_http(state.clone(), request));
            if let Err(error) = http1::Builder::new().serve_connection(io, service).await {
                eprintln!("HTTP connection ended: {error}");
            }
        });
    }
}

async fn accept(listener: &TcpListener) -> Option<TcpStream> {
    match listener.accept().await {
        Ok((stream, _)) => {
            stream.set_nodelay(true).ok();
            Some(stream)
        }
        Err(error) => {
            eprintln!("cannot accept: {error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Accept,
    Refuse,
    Throttle,
}

impl State {
    /// Chooses by the order of arrival, evenly spread, so that equal loads meet equal refusals.
    fn verdict(&self) -> Verdict {
        let arrival = self.arrivals.fetch_add(1, Relaxed);
        verdict_of(arrival, self.options.fail_permille, self.options.throttle_permille)
    }

    async fn take(&self, signal: Signal, message: &[u8]) -> Result<Verdict> {
        let _turn = match &self.turns {
            Some(turns) => Some(turns.acquire().await?),
            None => None,
        };
        if self.options.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.options.delay_ms)).await;
        }
        let verdict = self.verdict();
        match verdict {
            Verdict::Accept => self.ledger.record(signal, message)?,
            Verdict::Refuse => self.ledger.refuse(),
            Verdict::Throttle => self.ledger.throttle(),
        }
        Ok(verdict)
    }
}

fn verdict_of(arrival: u64, fail_permille: u64, throttle_permille: u64) -> Verdict {
    let due = |permille: u64| (arrival + 1) * permille / 1000 > arrival * permille / 1000;
    if due(fail_permille) {
        Verdict::Refuse
    } else if due(throttle_permille) {
        Verdict::Throttle
    } else {
        Verdict::Accept
    }
}

async fn answer_grpc(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Pieces>, Infallible> {
    let verdict = async {
        let signal = Signal::of_path(request.uri().path()).context("unknown method")?;
        let compression = compression_of(request.headers().get("grpc-encoding"))?;
        let body = whole(request.into_body()).await?;
        let (compressed, message) = body::grpc_message(&body).context("not one gRPC message")?;
        let message = plain(if compressed { compression } else { Compression::None }, message)?;
        state.take(signal, &message).await
    }
    .await;
    let mut trailers = HeaderMap::new();
    let body = match verdict {
        Ok(Verdict::Accept) => {
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            Pieces::whole(Bytes::from_static(&[0; body::GRPC_PREFIX_BYTES])).with_trailers(trailers)
        }
        Ok(Verdict::Refuse) => {
            trailers.insert("grpc-status", HeaderValue::from_static("14"));
            trailers.insert("grpc-message", HeaderValue::from_static("told to refuse"));
            Pieces::default().with_trailers(trailers)
        }
        Ok(Verdict::Throttle) => {
            trailers.insert("grpc-status", HeaderValue::from_static("8"));
            trailers.insert("grpc-message", HeaderValue::from_static("told to throttle"));
            let details = STANDARD_NO_PAD.encode(retry_info_status(state.options.retry_delay_ms));
            if let Ok(details) = HeaderValue::try_from(details) {
                trailers.insert("grpc-status-details-bin", details);
            }
            Pieces::default().with_trailers(trailers)
        }
        Err(error) => {
            trailers.insert("grpc-status", HeaderValue::from_static("3"));
            if let Ok(message) = HeaderValue::try_from(format!("{error:#}")) {
                trailers.insert("grpc-message", message);
            }
            Pieces::default().with_trailers(trailers)
        }
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(response)
}

async fn answer_http(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Pieces>, Infallible> {
    if request.uri().path() == REMOTE_WRITE {
        // Samples of Prometheus are not the items that were sent: they are taken and not counted.
        let mut response = Response::new(Pieces::default());
        let taken = whole(request.into_body()).await.is_ok();
        *response.status_mut() = if taken { StatusCode::NO_CONTENT } else { StatusCode::BAD_REQUEST };
        return Ok(response);
    }
    let verdict = async {
        let signal = Signal::of_path(request.uri().path()).context("unknown path")?;
        let compression = compression_of(request.headers().get(CONTENT_ENCODING))?;
        let message = plain(compression, whole(request.into_body()).await?)?;
        state.take(signal, &message).await
    }
    .await;
    let mut response = Response::new(Pieces::default());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    match verdict {
        Ok(Verdict::Accept) => {}
        Ok(Verdict::Refuse) => *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE,
        Ok(Verdict::Throttle) => {
            *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            let seconds = state.options.retry_delay_ms.div_ceil(1000);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        Err(error) => {
            *response.status_mut() = StatusCode::BAD_REQUEST;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            *response.body_mut() = Pieces::whole(format!("{error:#}").into());
        }
    }
    Ok(response)
}

fn compression_of(header: Option<&HeaderValue>) -> Result<Compression> {
    Compression::of_header(header.map_or(Ok(""), HeaderValue::to_str)?)
}

async fn whole(body: Incoming) -> Result<Bytes> {
    let body = Limited::new(body, MAX_MESSAGE_BYTES).collect().await;
    Ok(body.map_err(|error| anyhow!("cannot read the body: {error}"))?.to_bytes())
}

fn plain(compression: Compression, body: Bytes) -> Result<Bytes> {
    match compression {
        Compression::None => Ok(body),
        compression => Ok(compression.decompress(&body, MAX_MESSAGE_BYTES)?.into()),
    }
}

/// A `google.rpc.Status` of RESOURCE_EXHAUSTED with a `google.rpc.RetryInfo` inside.
fn retry_info_status(delay_ms: u64) -> Vec<u8> {
    use prost::encoding::{bytes, int32, int64, string};
    let mut delay = Vec::new();
    int64::encode(1, &i64::try_from(delay_ms / 1000).unwrap_or(i64::MAX), &mut delay);
    int32::encode(2, &i32::try_from(delay_ms % 1000 * 1_000_000).unwrap_or_default(), &mut delay);
    let mut retry_info = Vec::new();
    bytes::encode(1, &delay, &mut retry_info);
    let mut any = Vec::new();
    string::encode(1, &"type.googleapis.com/google.rpc.RetryInfo".to_owned(), &mut any);
    bytes::encode(2, &retry_info, &mut any);
    let mut status = Vec::new();
    int32::encode(1, &8, &mut status);
    string::encode(2, &"told to throttle".to_owned(), &mut status);
    bytes::encode(3, &any, &mut status);
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_refusals_evenly_over_arrivals() {
        let count = |fail, throttle, verdict| {
            (0..10_000).filter(|arrival| verdict_of(*arrival, fail, throttle) == verdict).count()
        };
        assert_eq!(count(0, 0, Verdict::Accept), 10_000);
        assert_eq!(count(1000, 0, Verdict::Refuse), 10_000);
        assert_eq!(count(10, 0, Verdict::Refuse), 100);
        assert_eq!(count(0, 250, Verdict::Throttle), 2_500);
    }

    #[test]
    fn tells_the_delay_as_google_rpc_has_it() {
        let status = retry_info_status(1_250);
        let tail = [0x0a, 0x07, 0x08, 0x01, 0x10, 0x80, 0xe5, 0x9a, 0x77];
        assert!(status.starts_with(&[0x08, 0x08, 0x12]));
        assert!(status.ends_with(&tail), "{status:02x?}");
    }
}
