//! One connection and one exchange over it.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::Request;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::head::RequestHead;
use super::http1::{Http1, Http1Error};
use super::{Destination, MAX_RESPONSE_BYTES, Options, Response};
use crate::endpoint::CONNECT_TIMEOUT;
use crate::payload::Payload;
use crate::proxy::Proxy;
use crate::socket::Socket;

/// A request's body: the pieces of a payload, one frame each.
pub(super) struct Pieces {
    first: Bytes,
    rest: std::vec::IntoIter<Bytes>,
    left: usize,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match std::mem::take(&mut self.first) {
            first if first.is_empty() => self.rest.next(),
            first => Some(first),
        };
        self.left -= next.as_ref().map_or(0, Bytes::len);
        Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

pub(super) enum Connection {
    /// One exchange at a time.
    Http1(Http1),
    /// Many at once, on a task of the connection's own.
    Http2(http2::SendRequest<Pieces>),
}

/// Connects, through the proxy where there is one, and shakes hands where it is to be secure.
pub(super) async fn dial(destination: &Destination, options: &Options) -> io::Result<Socket> {
    let dial = async {
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        let proxy = destination.proxy.as_ref();
        for address in proxy.map_or(&destination.target, Proxy::target).resolve().await? {
            match address.dial(CONNECT_TIMEOUT).await {
                Ok(mut plain) => {
                    if let Some(proxy) = proxy.filter(|_| destination.secure) {
                        proxy.tunnel(&mut plain, &destination.target.authority()).await?;
                    }
                    return match (destination.secure, &options.tls) {
                        (false, _) => Ok(Socket::Plain(plain)),
                        (true, Some(tls)) => tls.connect(plain, destination.target.host()).await,
                        (true, None) => Err(io::Error::other("the client has no TLS settings")),
                    };
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    };
    tokio::time::timeout(CONNECT_TIMEOUT, dial).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

impl Connection {
    pub(super) async fn open(destination: &Destination, options: &Options) -> io::Result<Connection> {
        let socket = dial(destination, options).await?;
        if socket.alpn() == Some(b"h2") {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            if let Some((silence, timeout)) = options.http2_pings {
                builder.timer(TokioTimer::new()).keep_alive_while_idle(true);
                builder.keep_alive_interval(silence).keep_alive_timeout(timeout);
            }
            let (send, connection) =
                builder.handshake(TokioIo::new(socket)).await.map_err(io::Error::other)?;
            tokio::spawn(connection);
            return Ok(Connection::Http2(send));
        }
        Ok(Connection::Http1(Http1::new(socket)))
    }

    pub(super) fn is_h2(&self) -> bool {
        matches!(self, Connection::Http2(_))
    }

    /// Whether it can take a request, as far as is known.
    pub(super) fn is_open(&mut self) -> bool {
        match self {
            Connection::Http1(http1) => http1.is_open(),
            Connection::Http2(send) => !send.is_closed(),
        }
    }

    /// Another handle of a connection that carries many requests at once.
    pub(super) fn share(&self) -> Option<Connection> {
        match self {
            Connection::Http2(send) if !send.is_closed() => Some(Connection::Http2(send.clone())),
            _ => None,
        }
    }

    /// Posts `body` with the headers of `head` and reads the answer; whether the connection can take another.
    pub(super) async fn exchange(
        &mut self,
        head: &RequestHead<'_>,
        body: Payload,
    ) -> Result<(Response, bool), ExchangeError> {
        match self {
            Connection::Http1(http1) => Ok(http1.exchange(head.http1(body.len()), body).await?),
            Connection::Http2(send) => Ok(exchange_http2(send, head.http2(), body).await?),
        }
    }
}

async fn exchange_http2(
    send: &mut http2::SendRequest<Pieces>,
    request: Request<()>,
    body: Payload,
) -> hyper::Result<(Response, bool)> {
    let left = body.len();
    let (first, rest) = body.into_parts();
    let request = request.map(|()| Pieces { first, rest: rest.into_iter(), left });
    send.ready().await?;
    let (head, body) = send.send_request(request).await?.into_parts();
    let (body, complete) = collect(body).await?;
    Ok((Response { status: head.status, headers: head.headers, body }, complete))
}

/// Up to [`MAX_RESPONSE_BYTES`] of the body, and whether that is all of it.
async fn collect(mut body: Incoming) -> hyper::Result<(Bytes, bool)> {
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let room = MAX_RESPONSE_BYTES - joined.len();
        joined.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return Ok((joined.freeze(), false));
        }
    }
    Ok((joined.freeze(), true))
}

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// Over HTTP/1.1.
    #[error(transparent)]
    Http1(#[from] Http1Error),
    /// Over HTTP/2.
    #[error(transparent)]
    Http2(#[from] hyper::Error),
}

impl ExchangeError {
    /// Whether a connection from the pool was closed before any byte of an answer.
    pub(super) fn is_stale(&self) -> bool {
        match self {
            ExchangeError::Http1(error) => error.is_stale(),
            ExchangeError::Http2(error) => error.is_closed() || error.is_canceled(),
        }
    }
}
