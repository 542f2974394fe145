//! One connection and one exchange over it.

use std::convert::Infallible;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::header::CONNECTION;
use http::{Request, response};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{Destination, MAX_RESPONSE_BYTES, Response};
use crate::endpoint::CONNECT_TIMEOUT;
use crate::payload::Payload;
use crate::socket::Socket;
use crate::tls::TlsConnector;

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
    Http1(Http1),
    Http2(http2::SendRequest<Pieces>),
}

/// A connection of HTTP/1.1 has one exchange at a time and needs no task of its own: whoever has it
/// drives it. Handing each request to another task and its answer back costs two wake-ups.
pub(super) struct Http1 {
    send: http1::SendRequest<Pieces>,
    /// None once it has ended.
    connection: Option<http1::Connection<TokioIo<Socket>, Pieces>>,
}

impl Http1 {
    /// Polls the connection; whether it is still open. Without a waker for what it waits for, this only
    /// looks whether the server has closed it.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(connection) = &mut self.connection
            && Pin::new(connection).poll(cx).is_ready()
        {
            // What waits for an answer hears of it by this.
            self.connection = None;
        }
        self.connection.is_some()
    }

    async fn exchange(&mut self, request: Request<Pieces>) -> hyper::Result<(response::Parts, Bytes, bool)> {
        let Http1 { send, connection } = self;
        let mut work = pin!(async move {
            // The last exchange may have to be finished first.
            send.ready().await?;
            let (head, body) = send.send_request(request).await?.into_parts();
            let (body, complete) = collect(body).await?;
            Ok((head, body, complete))
        });
        poll_fn(|cx| {
            // Nothing but the connection moves the exchange, so the exchange needs no waker.
            let mut unheard = Context::from_waker(Waker::noop());
            if let Poll::Ready(outcome) = work.as_mut().poll(&mut unheard) {
                return Poll::Ready(outcome);
            }
            loop {
                let ended =
                    connection.as_mut().is_none_or(|connection| Pin::new(connection).poll(cx).is_ready());
                if ended {
                    *connection = None;
                }
                if let Poll::Ready(outcome) = work.as_mut().poll(&mut unheard) {
                    return Poll::Ready(outcome);
                }
                if !ended {
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}

impl Connection {
    pub(super) async fn open(
        destination: &Destination,
        tls: Option<&TlsConnector>,
    ) -> io::Result<Connection> {
        let open = async {
            let mut failure = io::Error::from(io::ErrorKind::NotFound);
            for address in destination.target.resolve().await? {
                match address.dial(CONNECT_TIMEOUT).await {
                    Ok(plain) => return Connection::shake_hands(plain, destination, tls).await,
                    Err(error) => failure = error,
                }
            }
            Err(failure)
        };
        tokio::time::timeout(CONNECT_TIMEOUT, open)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn shake_hands(
        plain: crate::socket::Plain,
        destination: &Destination,
        tls: Option<&TlsConnector>,
    ) -> io::Result<Connection> {
        let socket = match (destination.secure, tls) {
            (false, _) => Socket::Plain(plain),
            (true, Some(tls)) => tls.connect(plain, destination.target.host()).await?,
            (true, None) => return Err(io::Error::other("the client has no TLS settings")),
        };
        if socket.alpn() == Some(b"h2") {
            let builder = http2::Builder::new(TokioExecutor::new());
            let (send, connection) =
                builder.handshake(TokioIo::new(socket)).await.map_err(io::Error::other)?;
            tokio::spawn(connection);
            return Ok(Connection::Http2(send));
        }
        let (send, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(io::Error::other)?;
        Ok(Connection::Http1(Http1 { send, connection: Some(connection) }))
    }

    pub(super) fn is_h2(&self) -> bool {
        matches!(self, Connection::Http2(_))
    }

    /// Whether it can take a request, as far as is known.
    pub(super) fn is_open(&mut self) -> bool {
        match self {
            Connection::Http1(http1) => {
                http1.poll(&mut Context::from_waker(Waker::noop())) && !http1.send.is_closed()
            }
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

    /// Sends a request and reads the answer; whether the connection can take another.
    pub(super) async fn exchange(
        &mut self,
        request: Request<()>,
        body: Payload,
    ) -> hyper::Result<(Response, bool)> {
        let left = body.len();
        let (first, rest) = body.into_parts();
        let request = request.map(|()| Pieces { first, rest: rest.into_iter(), left });
        let (head, body, complete) = match self {
            Connection::Http1(http1) => http1.exchange(request).await?,
            Connection::Http2(send) => {
                send.ready().await?;
                let (head, body) = send.send_request(request).await?.into_parts();
                let (body, complete) = collect(body).await?;
                (head, body, complete)
            }
        };
        let closes =
            head.headers.get(CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        Ok((Response { status: head.status, headers: head.headers, body }, complete && !closes))
    }
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

/// Whether a connection from the pool was closed before any byte of an answer.
pub(super) fn is_stale(error: &hyper::Error) -> bool {
    error.is_closed() || error.is_canceled() || error.is_incomplete_message() || is_reset(error)
}

fn is_reset(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return matches!(io.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe);
        }
        source = cause.source();
    }
    false
}
