//! HTTP/1.1 from the client's side: one request, one answer, on the task of whoever asks.
//!
//! A general client has a task for each connection, channels to it, and a map of headers for each request. A
//! sender of telemetry posts one body after the other with the same few headers: here the head is written
//! once, goes out with the pieces of the body in one system call, and the answer is parsed where it was read.
//! Answers are read as RFC 9112 has it (sections 4, 6 and 7).

use std::future::{Future as _, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, ReadBuf};

use super::chunked::Chunked;
use super::{MAX_RESPONSE_BYTES, Response};
use crate::payload::Payload;
use crate::socket::Socket;

/// Longest head of an answer.
const MAX_HEAD_BYTES: usize = 64 << 10;
const MAX_HEADERS: usize = 100;
/// What is read at a time.
const READ_BYTES: usize = 4 << 10;
/// Pieces of a body that one system call takes.
const MAX_SLICES: usize = 64;

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub enum Http1Error {
    /// The connection broke.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server closed the connection before it answered.
    #[error("the connection was closed before an answer came")]
    Closed,
    /// The server closed the connection within its answer.
    #[error("the connection was closed within the answer")]
    Incomplete,
    /// What came is no answer of HTTP/1.1.
    #[error("the answer is not HTTP/1.1: {0}")]
    Malformed(&'static str),
}

impl Http1Error {
    /// Whether this is what a connection looks like that the server closed while nothing was under way.
    pub(super) fn is_stale(&self) -> bool {
        match self {
            Http1Error::Closed => true,
            Http1Error::Io(error) => {
                matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
            }
            Http1Error::Incomplete | Http1Error::Malformed(_) => false,
        }
    }
}

/// A connection. After an exchange that failed, or was not awaited to its end, it is of no more use.
pub(super) struct Http1 {
    socket: Socket,
    read: BytesMut,
}

/// How long the body of an answer is.
#[derive(Debug)]
enum Length {
    Exact(u64),
    Chunked(Chunked),
    UntilClosed,
}

/// The head of an answer.
#[derive(Debug)]
struct Head {
    status: StatusCode,
    headers: HeaderMap,
    length: Length,
    /// Whether the server will take another request on this connection.
    stays_open: bool,
}

impl Http1 {
    pub(super) fn new(socket: Socket) -> Http1 {
        Http1 { socket, read: BytesMut::new() }
    }

    /// Whether the server has neither closed it nor sent what nobody asked for, as far as is known.
    pub(super) fn is_open(&mut self) -> bool {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let mut unheard = Context::from_waker(Waker::noop());
        self.read.is_empty() && Pin::new(&mut self.socket).poll_read(&mut unheard, &mut buffer).is_pending()
    }

    /// Sends `head`, which ends with an empty line, and `body`; reads the answer. The flag says whether the
    /// connection can take another request.
    pub(super) async fn exchange(
        &mut self,
        head: Bytes,
        body: Payload,
    ) -> Result<(Response, bool), Http1Error> {
        let (first, rest) = body.into_parts();
        let mut request = Request { pieces: [head, first].into_iter().chain(rest).collect(), at: 0 };
        let Head { status, headers, mut length, stays_open } = self.head(&mut request).await?;
        let (body, complete) = self.body(&mut length).await?;
        // A server that answers before it has all of a request may read no more of it.
        let reusable = stays_open && complete && request.is_sent() && self.read.is_empty();
        Ok((Response { status, headers, body }, reusable))
    }

    /// Sends the request and reads until the head of the answer is there. A server may answer, for example that
    /// a request is too large, and close the connection before it has read all of it: then the answer counts,
    /// not that sending failed.
    async fn head(&mut self, request: &mut Request) -> Result<Head, Http1Error> {
        let mut send_error = None;
        poll_fn(|cx| {
            if send_error.is_none()
                && let Poll::Ready(Err(error)) = request.poll_send(&mut self.socket, cx)
            {
                send_error = Some(error);
            }
            loop {
                if let Some(head) = take_head(&mut self.read)? {
                    return Poll::Ready(Ok(head));
                }
                let failure = match std::task::ready!(self.poll_read(cx)) {
                    Ok(0) if self.read.is_empty() => Http1Error::Closed,
                    Ok(0) => Http1Error::Incomplete,
                    Ok(_) => continue,
                    Err(error) => Http1Error::Io(error),
                };
                return Poll::Ready(Err(send_error.take().map_or(failure, Http1Error::Io)));
            }
        })
        .await
    }

    /// Up to [`MAX_RESPONSE_BYTES`] of the body, and whether that is all of it.
    async fn body(&mut self, length: &mut Length) -> Result<(Bytes, bool), Http1Error> {
        // Answers are short, so that a copy is cheaper than to share the buffer that they were read into.
        let mut body = Vec::new();
        loop {
            let ended = match length {
                Length::Exact(left) => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(self.read.len());
                    *left -= here as u64;
                    body.extend_from_slice(&self.read[..here]);
                    self.read.advance(here);
                    *left == 0
                }
                Length::Chunked(chunked) => chunked
                    .read(&mut self.read, |data| body.extend_from_slice(data))
                    .map_err(Http1Error::Malformed)?,
                Length::UntilClosed => {
                    body.extend_from_slice(&self.read);
                    self.read.clear();
                    false
                }
            };
            if body.len() > MAX_RESPONSE_BYTES {
                body.truncate(MAX_RESPONSE_BYTES);
                return Ok((body.into(), false));
            }
            if ended {
                return Ok((body.into(), true));
            }
            if poll_fn(|cx| self.poll_read(cx)).await? == 0 {
                return match length {
                    Length::UntilClosed => Ok((body.into(), false)),
                    Length::Exact(_) | Length::Chunked(_) => Err(Http1Error::Incomplete),
                };
            }
        }
    }

    /// Reads what is there; 0 is the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.read.reserve(READ_BYTES);
        pin!(self.socket.read_buf(&mut self.read)).poll(cx)
    }
}

/// A request on its way out.
struct Request {
    /// Head and body.
    pieces: Vec<Bytes>,
    /// Those before it were sent.
    at: usize,
}

impl Request {
    fn is_sent(&self) -> bool {
        self.at == self.pieces.len()
    }

    /// Sends what is left; what was sent is let go of.
    fn poll_send(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_sent() {
            return Poll::Ready(Ok(()));
        }
        while !self.is_sent() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let left = &self.pieces[self.at..];
            slices.iter_mut().zip(left).for_each(|(slice, piece)| *slice = IoSlice::new(piece));
            let slices = &slices[..left.len().min(MAX_SLICES)];
            let mut sent = std::task::ready!(Pin::new(&mut *socket).poll_write_vectored(cx, slices))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            while let Some(piece) = self.pieces.get_mut(self.at) {
                if sent < piece.len() {
                    piece.advance(sent);
                    break;
                }
                sent -= piece.len();
                *piece = Bytes::new();
                self.at += 1;
            }
        }
        Pin::new(socket).poll_flush(cx)
    }
}

/// Takes the head of an answer out of `read`, if it is there as a whole. Interim answers (1xx) are passed over.
fn take_head(read: &mut BytesMut) -> Result<Option<Head>, Http1Error> {
    loop {
        if read.is_empty() {
            return Ok(None);
        }
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut fields);
        let end = match parsed.parse(read) {
            Ok(httparse::Status::Complete(end)) => end,
            Ok(httparse::Status::Partial) if read.len() < MAX_HEAD_BYTES => return Ok(None),
            Ok(httparse::Status::Partial) => return Err(Http1Error::Malformed("its head is too long")),
            Err(httparse::Error::TooManyHeaders) => return Err(Http1Error::Malformed("too many headers")),
            Err(_) => return Err(Http1Error::Malformed("its head cannot be read")),
        };
        let is_1_1 = parsed.version == Some(1);
        let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or(Http1Error::Malformed("its status is out of range"))?;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Http1Error::Malformed("it switches to another protocol"));
        }
        if status.is_informational() {
            read.advance(end);
            continue;
        }
        let mut headers = HeaderMap::with_capacity(parsed.headers.len());
        for field in parsed.headers.iter() {
            let name = HeaderName::from_bytes(field.name.as_bytes());
            let name = name.map_err(|_| Http1Error::Malformed("it has a header without a proper name"))?;
            let value = HeaderValue::from_bytes(field.value);
            let value = value.map_err(|_| Http1Error::Malformed("it has a header without a proper value"))?;
            headers.append(name, value);
        }
        read.advance(end);
        let (length, is_sound) = length_of(status, &headers)?;
        let asked = |token| has_token(&headers, CONNECTION, token);
        let stays_open = is_sound && !asked("close") && (is_1_1 || asked("keep-alive"));
        return Ok(Some(Head { status, headers, length, stays_open }));
    }
}

/// How the body ends (RFC 9112, 6.3), and whether that was said without a contradiction.
fn length_of(status: StatusCode, headers: &HeaderMap) -> Result<(Length, bool), Http1Error> {
    if status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
        return Ok((Length::Exact(0), true));
    }
    let has_length = headers.contains_key(CONTENT_LENGTH);
    if headers.contains_key(TRANSFER_ENCODING) {
        let codings = headers.get_all(TRANSFER_ENCODING);
        let last = codings.iter().next_back().and_then(|value| value.to_str().ok());
        let last = last.and_then(|codings| codings.rsplit(',').next()).map(str::trim);
        return Ok(match last.is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            true => (Length::Chunked(Chunked::default()), !has_length),
            false => (Length::UntilClosed, false),
        });
    }
    let mut length = None;
    for value in
        headers.get_all(CONTENT_LENGTH).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','))
    {
        let digits = value.trim_ascii();
        let read = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let read = read.and_then(|text| text.parse::<u64>().ok());
        match (read, length) {
            (Some(read), None) => length = Some(read),
            (Some(read), Some(before)) if read == before => {}
            _ => return Err(Http1Error::Malformed("its content-length is no number, or several")),
        }
    }
    Ok(match length {
        Some(length) => (Length::Exact(length), true),
        None => (Length::UntilClosed, false),
    })
}

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests;
