//! The task of one connection: dials, shakes hands, then drives it until it ends.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use h2::Ping;
use h2::client::{Connection, SendRequest};
use tokio::time::Instant;

use super::channel::Channel;
use super::{Config, Keepalive as Pings};
use crate::endpoint::{Address, CONNECT_TIMEOUT};
use crate::grpc::keepalive::Keepalive;
use crate::grpc::{CONNECTION_WINDOW_BYTES, MAX_FRAME_BYTES, SEND_BUFFER_BYTES, STREAM_WINDOW_BYTES};
use crate::io::{Coalesced, Flusher};
use crate::payload::Framed;
use crate::socket::Socket;

/// Least time between pings of a client, as in gRPC.
const MIN_PING_INTERVAL: Duration = Duration::from_secs(10);
/// Streams that a server may have at once before it has said how many.
const FIRST_STREAMS: usize = 100;

struct Link {
    send: SendRequest<Framed>,
    connection: Connection<Coalesced<Socket>, Framed>,
    flusher: Flusher<Socket>,
}

/// Connects to the first of `addresses` that answers, and serves it to `channel`.
pub(super) async fn run(config: Arc<Config>, channel: Weak<Channel>, id: u64, addresses: Vec<Address>) {
    let started = Instant::now();
    let mut failure = "no address".to_owned();
    for address in &addresses {
        let attempt = tokio::time::timeout(CONNECT_TIMEOUT, connect(&config, address)).await;
        match attempt.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(link) => return serve(&config, &channel, id, link).await,
            Err(error) => {
                failure = format!("cannot connect to {} ({address}): {error}", config.options.target);
                tracing::debug!(%error, target = %config.options.target, %address, "cannot connect");
            }
        }
    }
    if let Some(channel) = channel.upgrade() {
        channel.failed(id, started, &failure);
    }
}

async fn connect(config: &Config, address: &Address) -> io::Result<Link> {
    let mut plain = address.dial(CONNECT_TIMEOUT).await?;
    if let Some(proxy) = &config.options.proxy {
        proxy.tunnel(&mut plain, &config.options.target.authority()).await?;
    }
    let socket = match &config.options.tls {
        None => Socket::Plain(plain),
        Some(tls) => {
            let socket = tls.connect(plain, config.authority.host()).await?;
            if socket.alpn() != Some(b"h2") {
                return Err(io::Error::other("the server does not offer HTTP/2"));
            }
            socket
        }
    };
    let (io, flusher) = Coalesced::new(socket);
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .initial_max_send_streams(FIRST_STREAMS)
        .enable_push(false);
    let (send, connection) = flusher.drive(builder.handshake(io)).await.map_err(io::Error::other)?;
    Ok(Link { send, connection, flusher })
}

async fn serve(config: &Config, channel: &Weak<Channel>, id: u64, link: Link) {
    let Link { send, mut connection, flusher } = link;
    let Some(alive) = channel.upgrade() else { return };
    let active = Arc::new(AtomicUsize::new(0));
    alive.connected(id, send, active.clone());
    let since = alive.ready_since(id);
    drop(alive);
    let mut pings = config.options.keepalive.and_then(|Pings { time, timeout, permit_without_stream }| {
        let pings = connection.ping_pong()?;
        Some((Keepalive::new(time.max(MIN_PING_INTERVAL), timeout), pings, permit_without_stream))
    });
    let end = poll_fn(|cx| {
        if let Poll::Ready(end) = Pin::new(&mut connection).poll(cx) {
            let _ = flusher.poll_flush(cx);
            return Poll::Ready(end.map_err(|error| error.to_string()));
        }
        if let Some((keepalive, pings, always)) = &mut pings {
            let wanted = *always || active.load(Relaxed) > 0;
            // Takes the answer, so that the next ping may leave; `reads` has seen it already.
            let _ = pings.poll_pong(cx);
            // A ping that is still under way serves as well.
            let ping = || drop(pings.send_ping(Ping::opaque()));
            if keepalive.poll(cx, flusher.reads(), wanted, ping).is_err() {
                return Poll::Ready(Err("the server does not answer pings".to_owned()));
            }
        }
        match flusher.poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.to_string())),
            _ => Poll::Pending,
        }
    })
    .await;
    if let (Some(channel), Some(since)) = (channel.upgrade(), since) {
        let error = match &end {
            // It spoke HTTP/2 and said good-bye.
            Ok(()) if flusher.reads() > 0 => None,
            Ok(()) => Some("the server closed the connection"),
            Err(error) => Some(error.as_str()),
        };
        channel.lost(id, since, error);
    }
}
