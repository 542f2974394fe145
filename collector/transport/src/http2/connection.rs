//! A connection: a socket, the parser of what it brings, and the frames that go out.

use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::BufMut as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use super::exchange::lock;
use super::frame::{self, Reason, setting};
use super::parser::Parser;
use super::streams::{DEFAULT_WINDOW, SPARE_OUT, Streams};
use super::{Incoming, Limits, Sink};
use crate::io::{AHEAD_BYTES, SPARE_AHEAD, give_back, lend_buffer};

/// What a client sends first.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// From here on the rest of a payload is read straight into its body.
const DIRECT_BYTES: usize = 8 * 1024;
/// What is read at a time where a large frame is expected: its head, and not much of what follows.
const PEEK_BYTES: usize = 1024;
/// After a large frame so many reads expect another.
const LARGE_READS: u8 = 32;
/// While more than this waits to be written nothing is read: a peer that asks and does not listen has to wait.
const MAX_UNWRITTEN_BYTES: usize = 256 * 1024;

/// A larger buffer of frames is not kept for the next round.
const KEPT_OUT_BYTES: usize = 64 * 1024;

/// The server's half of an HTTP/2 connection. Only the task that drives it may poll it, and its exchanges.
pub(crate) struct Connection<S, B: Sink, M> {
    socket: S,
    streams: Arc<Mutex<Streams<B>>>,
    parser: Parser<B>,
    make: M,
    /// What was read and not parsed yet begins at `parsed`.
    input: Vec<u8>,
    parsed: usize,
    preface_left: usize,
    /// How many reads expect a large frame.
    expect_large: u8,
    /// Reads that brought data.
    reads: u64,
    /// How much of what waits in `streams` is written.
    written: usize,
    ending: Option<Ending>,
}

/// Why a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ending {
    /// All is said.
    #[error("done")]
    Done,
    /// The client broke the rules.
    #[error("{0}")]
    Violation(Reason),
    /// What came first is not HTTP/2.
    #[error("this is not HTTP/2")]
    NotHttp2,
    /// The socket ended or failed.
    #[error("socket: {0}")]
    Socket(io::ErrorKind),
}

impl<S, B, M> Connection<S, B, M>
where
    S: AsyncRead + AsyncWrite + Unpin,
    B: Sink,
    M: Fn() -> B,
{
    /// A connection whose client is about to send the preface. `make` gives the sink of each request's body.
    pub(crate) fn new(socket: S, limits: &Limits, make: M) -> Connection<S, B, M> {
        let mut streams = Streams::new(limits.stream_window_bytes, limits.connection_window_bytes);
        let settings = [
            (setting::MAX_CONCURRENT_STREAMS, limits.max_concurrent_streams),
            (setting::INITIAL_WINDOW_SIZE, limits.stream_window_bytes),
            (setting::MAX_FRAME_SIZE, limits.max_frame_bytes),
            (setting::MAX_HEADER_LIST_SIZE, limits.max_header_list_bytes),
        ];
        frame::settings(&mut streams.out, &settings);
        if let Some(more) =
            limits.connection_window_bytes.checked_sub(DEFAULT_WINDOW).filter(|more| *more > 0)
        {
            frame::window_update(&mut streams.out, 0, more);
        }
        Connection {
            socket,
            streams: Arc::new(Mutex::new(streams)),
            parser: Parser::new(limits),
            make,
            input: Vec::new(),
            parsed: 0,
            preface_left: PREFACE.len(),
            expect_large: 0,
            reads: 0,
            written: 0,
            ending: None,
        }
    }

    #[cfg(test)]
    pub(super) fn into_socket(self) -> S {
        self.socket
    }

    /// The preface of the client has come.
    pub(crate) fn is_open(&self) -> bool {
        self.preface_left == 0
    }

    /// How many reads brought data: a peer that is alive moves this.
    pub(crate) fn reads(&self) -> u64 {
        self.reads
    }

    /// PING frames, other than answers, that the client sent.
    pub(crate) fn pings(&self) -> u64 {
        self.parser.pings
    }

    /// Asks the client for a sign of life.
    pub(crate) fn ping(&mut self) {
        frame::write(&mut lock(&self.streams).out, frame::kind::PING, 0, 0, b"phoenix?");
    }

    /// Tells the client to open no more streams, and ends when those that are open have ended.
    pub(crate) fn leave(&mut self) {
        self.parser.leave(&mut lock(&self.streams));
    }

    /// Ends at once, and says why.
    pub(crate) fn end(&mut self, reason: Reason) {
        self.parser.go_away(&mut lock(&self.streams), reason);
        self.ending.get_or_insert(Ending::Violation(reason));
    }

    /// The next request; or why there is none any more.
    pub(crate) fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming<B>, Ending>> {
        loop {
            if let Some(ending) = self.ending {
                let _ = ready!(self.poll_end(cx));
                return Poll::Ready(Err(ending));
            }
            if let Some(incoming) = self.parser.accepted.pop_front() {
                return Poll::Ready(Ok(incoming));
            }
            if let Err(ending) = ready!(self.poll_step(cx)) {
                self.ending.get_or_insert(ending);
            }
        }
    }

    /// Parses what is there, else reads more.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        let unwritten = {
            let streams = lock(&self.streams);
            if self.parser.has_left() && streams.len() == 0 {
                return Poll::Ready(Err(Ending::Done));
            }
            streams.out.len()
        };
        if unwritten > MAX_UNWRITTEN_BYTES {
            ready!(self.poll_flush(cx)).map_err(socket_failed)?;
        }
        if ready!(self.poll_read(cx))? {
            self.parse()?;
        }
        Poll::Ready(Ok(()))
    }

    fn parse(&mut self) -> Result<(), Ending> {
        if self.preface_left > 0 {
            let expected = &PREFACE[PREFACE.len() - self.preface_left..];
            let come = &self.input[self.parsed..];
            let here = come.len().min(expected.len());
            if come[..here] != expected[..here] {
                return Err(Ending::NotHttp2);
            }
            self.preface_left -= here;
            self.parsed += here;
            if self.preface_left > 0 {
                return Ok(());
            }
        }
        let taken = {
            let streams = &mut *lock(&self.streams);
            let input = &self.input[self.parsed..];
            self.parser.take(input, &self.streams, streams, &self.make)
        };
        if std::mem::take(&mut self.parser.saw_large) {
            self.expect_large = LARGE_READS;
        }
        match taken {
            Ok(taken) => {
                self.parsed += taken;
                if self.parsed == self.input.len() {
                    self.parsed = 0;
                    give_back(&SPARE_AHEAD, std::mem::take(&mut self.input));
                }
                Ok(())
            }
            Err(reason) => {
                self.end(reason);
                Ok(())
            }
        }
    }

    /// Reads once. True where there is something to parse; else it has reached a body already.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Ending>> {
        if self.input.is_empty()
            && let Some(data) = self.parser.data().filter(|data| data.left >= DIRECT_BYTES)
        {
            let streams = &mut *lock(&self.streams);
            if let Some(stream) = streams.get(data.stream)
                && !stream.refused
                && let Some(room) = stream.sink.as_mut().and_then(|sink| sink.room(data.left))
            {
                let most = data.left.min(room.capacity() - room.len());
                let mut room = room.limit(most);
                let read = ready!(pin!(self.socket.read_buf(&mut room)).poll(cx)).map_err(socket_failed)?;
                if read == 0 {
                    return Poll::Ready(Err(Ending::Socket(io::ErrorKind::UnexpectedEof)));
                }
                self.reads += 1;
                return Poll::Ready(match self.parser.data_read(streams, read) {
                    Ok(()) => Ok(false),
                    Err(reason) => {
                        self.parser.go_away(streams, reason);
                        Err(Ending::Violation(reason))
                    }
                });
            }
        }
        if self.input.capacity() == 0 {
            self.input = lend_buffer(&SPARE_AHEAD, AHEAD_BYTES);
        } else if self.parsed > 0 {
            self.input.drain(..self.parsed);
            self.parsed = 0;
        }
        let is_boundary = self.input.is_empty();
        let most = match self.expect_large {
            0 => AHEAD_BYTES,
            _ if is_boundary => PEEK_BYTES,
            _ => AHEAD_BYTES,
        };
        // The beginning of a frame is far shorter than the buffer; see `Parser::take`.
        let most = most.min(self.input.capacity() - self.input.len());
        let mut room = (&mut self.input).limit(most);
        let read = pin!(self.socket.read_buf(&mut room)).poll(cx);
        if self.input.is_empty() {
            give_back(&SPARE_AHEAD, std::mem::take(&mut self.input));
        }
        match ready!(read).map_err(socket_failed)? {
            0 => Poll::Ready(Err(Ending::Socket(io::ErrorKind::UnexpectedEof))),
            _ => {
                self.reads += 1;
                self.expect_large = self.expect_large.saturating_sub(1);
                Poll::Ready(Ok(true))
            }
        }
    }

    /// Writes out what waits.
    ///
    /// # Errors
    /// Those of the socket.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let streams = &mut *lock(&self.streams);
        if streams.out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while self.written < streams.out.len() {
            match ready!(Pin::new(&mut self.socket).poll_write(cx, &streams.out[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        self.written = 0;
        let written = std::mem::take(&mut streams.out);
        if written.capacity() <= KEPT_OUT_BYTES {
            give_back(&SPARE_OUT, written);
        }
        // TLS keeps records of its own until it is flushed.
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !matches!(self.ending, Some(Ending::Socket(_))) {
            ready!(self.poll_flush(cx))?;
        }
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

fn socket_failed(error: io::Error) -> Ending {
    Ending::Socket(error.kind())
}
