//! The null relay: an ordinary tonic server and client that pass a request's bytes on without a look inside.
//!
//! It is what a collector would cost that did nothing, on the stack that everybody uses. Ratios are to its
//! CPU time, in the same round and on the same load.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use clap::Args;
use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::{BoxFuture, Service};
use tonic::server::{NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

use crate::codec::Untouched;
use crate::compression::Compression;
use crate::signal::Signal;

const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// Where the relay listens and sends.
#[derive(Args, Clone, Debug)]
pub(crate) struct RelayOptions {
    /// Address for gRPC.
    #[arg(long, default_value = "127.0.0.1:4317")]
    pub(crate) listen: SocketAddr,
    /// Where requests go, `host:port`.
    #[arg(long, default_value = "127.0.0.1:5317")]
    pub(crate) endpoint: String,
    /// Decompress and compress again, as tonic does.
    #[arg(long, default_value = "none")]
    pub(crate) compression: Compression,
}

/// Relays until the process is asked to stop.
///
/// # Errors
/// If the address cannot be listened on or the connection cannot be opened.
pub(crate) async fn run(options: RelayOptions) -> Result<()> {
    let incoming = TcpIncoming::bind(options.listen)
        .with_context(|| format!("cannot listen on {}", options.listen))?
        .with_nodelay(Some(true));
    tokio::select! {
        served = serve(incoming, &options.endpoint, options.compression) => served,
        asked = crate::asked_to_stop() => asked,
    }
}

/// Relays what comes in to `endpoint`, until dropped.
pub(crate) async fn serve(incoming: TcpIncoming, endpoint: &str, compression: Compression) -> Result<()> {
    let channel = Endpoint::from_shared(format!("http://{endpoint}"))?
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .tcp_nodelay(true)
        .connect()
        .await
        .with_context(|| format!("cannot connect to {endpoint}"))?;
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .add_service(Forward::<Traces>::new(channel.clone(), compression))
        .add_service(Forward::<Logs>::new(channel.clone(), compression))
        .add_service(Forward::<Metrics>::new(channel, compression))
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}

/// One of OTLP's three services.
trait OtlpService: Send + Sync + 'static {
    const NAME: &'static str;
    const SIGNAL: Signal;
}

struct Traces;
struct Logs;
struct Metrics;

impl OtlpService for Traces {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
    const SIGNAL: Signal = Signal::Traces;
}

impl OtlpService for Logs {
    const NAME: &'static str = "opentelemetry.proto.collector.logs.v1.LogsService";
    const SIGNAL: Signal = Signal::Logs;
}

impl OtlpService for Metrics {
    const NAME: &'static str = "opentelemetry.proto.collector.metrics.v1.MetricsService";
    const SIGNAL: Signal = Signal::Metrics;
}

struct Forward<S> {
    channel: Channel,
    compression: Option<CompressionEncoding>,
    service: PhantomData<S>,
}

impl<S> Forward<S> {
    fn new(channel: Channel, compression: Compression) -> Forward<S> {
        let compression = match compression {
            Compression::None => None,
            Compression::Gzip => Some(CompressionEncoding::Gzip),
            Compression::Zstd => Some(CompressionEncoding::Zstd),
        };
        Forward { channel, compression, service: PhantomData }
    }
}

impl<S> Clone for Forward<S> {
    fn clone(&self) -> Forward<S> {
        Forward { channel: self.channel.clone(), compression: self.compression, service: PhantomData }
    }
}

impl<S: OtlpService> NamedService for Forward<S> {
    const NAME: &'static str = S::NAME;
}

impl<S: OtlpService> UnaryService<Bytes> for Forward<S> {
    type Response = Bytes;
    type Future = BoxFuture<Response<Bytes>, Status>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let mut client =
            tonic::client::Grpc::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        if let Some(encoding) = self.compression {
            client = client.send_compressed(encoding);
        }
        Box::pin(async move {
            client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let path = PathAndQuery::from_static(S::SIGNAL.grpc_path());
            client.unary(Request::new(request.into_inner()), path, Untouched).await
        })
    }
}

impl<S: OtlpService> Service<http::Request<Body>> for Forward<S> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<http::Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let forward = self.clone();
        Box::pin(async move {
            let mut server = tonic::server::Grpc::new(Untouched).max_decoding_message_size(MAX_MESSAGE_BYTES);
            if let Some(encoding) = forward.compression {
                server = server.accept_compressed(encoding);
            }
            Ok(server.unary(forward, request).await)
        })
    }
}
