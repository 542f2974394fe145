//! The task of one connection.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::{Current, HttpService, serve as request};
use crate::listen::{Drain, Phase};
use crate::socket::{Peer, Socket};

const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Requests of one HTTP/2 connection at a time.
const MAX_STREAMS: u32 = 1000;
const WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
const MAX_HEADER_LIST_BYTES: u32 = 64 << 10;

/// What the connection is doing, for its timeouts.
pub(super) struct Activity {
    epoch: Instant,
    requests: AtomicUsize,
    /// Milliseconds since `epoch` at which the present state began.
    since: AtomicU64,
}

/// One request under way.
pub(super) struct Busy(Arc<Activity>);

impl Activity {
    fn new() -> Arc<Activity> {
        Arc::new(Activity { epoch: Instant::now(), requests: AtomicUsize::new(0), since: AtomicU64::new(0) })
    }

    fn mark(&self) {
        self.since.store(self.epoch.elapsed().as_millis() as u64, Relaxed);
    }

    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        if self.requests.fetch_add(1, Relaxed) == 0 {
            self.mark();
        }
        Busy(self.clone())
    }

    /// When the present state ends the connection, and whether gently.
    fn ends(&self, idle: Option<Duration>, write: Option<Duration>) -> Option<(Instant, bool)> {
        let since = self.epoch + Duration::from_millis(self.since.load(Relaxed));
        match self.requests.load(Relaxed) {
            0 => idle.map(|idle| (since + idle, true)),
            _ => write.map(|write| (since + write, false)),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.requests.fetch_sub(1, Relaxed) == 1 {
            self.0.mark();
        }
    }
}

/// Serves one connection until it ends.
pub(super) async fn serve<S: HttpService>(
    current: Arc<Current<S>>,
    socket: Socket,
    peer: Peer,
    drain: Drain,
) {
    let shared = current.load();
    let is_h2 = socket.alpn() == Some(b"h2");
    let socket = match (is_h2, socket) {
        (true, socket) => Begun { socket, read: Vec::new(), at: 0 },
        (false, socket) => {
            let limit = shared.options.read_header_timeout.or(shared.options.idle_timeout);
            let begun = async {
                match limit {
                    Some(limit) => tokio::time::timeout(limit, Begun::new(socket)).await.ok(),
                    None => Some(Begun::new(socket).await),
                }
            };
            // A connection that has sent nothing is idle.
            let begun = tokio::select! {
                begun = begun => begun,
                () = drain.reaches(Phase::Closing) => return,
            };
            match begun {
                Some(Ok(begun)) => begun,
                Some(Err(_)) => return,
                None => return shared.metrics.refused("timeout"),
            }
        }
    };
    let is_h2 = is_h2 || socket.read.starts_with(H2_PREFACE);
    let activity = Activity::new();
    let service = {
        let (drain, activity) = (drain.clone(), activity.clone());
        service_fn(move |incoming| {
            request::answer(current.load(), incoming, peer, drain.clone(), activity.clone())
        })
    };
    let options = &shared.options;
    if is_h2 {
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADER_LIST_BYTES);
        let connection = pin!(builder.serve_connection(TokioIo::new(socket), service));
        let leave =
            |connection: Pin<&mut _>| hyper::server::conn::http2::Connection::graceful_shutdown(connection);
        run(connection, leave, Phase::Draining, &drain, &activity, options).await;
    } else {
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(options.read_header_timeout)
            .keep_alive(options.keep_alives);
        let connection = pin!(builder.serve_connection(TokioIo::new(socket), service));
        let leave =
            |connection: Pin<&mut _>| hyper::server::conn::http1::Connection::graceful_shutdown(connection);
        // Answers say `Connection: close` while it drains; an idle connection may be about to carry a
        // request and is left alone until the end.
        run(connection, leave, Phase::Closing, &drain, &activity, options).await;
    }
}

/// Drives a connection, and ends it when it has to go at `phase` or by one of its timeouts.
async fn run<C>(
    mut connection: Pin<&mut C>,
    leave: impl Fn(Pin<&mut C>),
    phase: Phase,
    drain: &Drain,
    activity: &Activity,
    options: &super::Options,
) where
    C: Future,
{
    let mut leaving = false;
    let mut draining = pin!(drain.reaches(phase));
    let timed = options.idle_timeout.is_some() || options.write_timeout.is_some();
    let mut timer: Option<Pin<Box<tokio::time::Sleep>>> = None;
    poll_fn(|cx| {
        if !leaving && draining.as_mut().poll(cx).is_ready() {
            leaving = true;
            leave(connection.as_mut());
        }
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        loop {
            if !timed {
                break;
            }
            let now = Instant::now();
            let Some((end, gently)) = activity.ends(options.idle_timeout, options.write_timeout) else {
                break;
            };
            if end <= now && (!gently || leaving) {
                return Poll::Ready(());
            }
            if end <= now {
                leaving = true;
                leave(connection.as_mut());
                return connection.as_mut().poll(cx).map(drop);
            }
            // A timer that is set for too early only looks again.
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
            if timer.is_elapsed() || timer.deadline() > end {
                timer.as_mut().reset(end);
            }
            if timer.as_mut().poll(cx).is_pending() {
                break;
            }
        }
        Poll::Pending
    })
    .await;
}

/// A socket whose first bytes were read already, to tell the protocols apart.
struct Begun {
    socket: Socket,
    read: Vec<u8>,
    at: usize,
}

impl Begun {
    async fn new(mut socket: Socket) -> io::Result<Begun> {
        let mut read = Vec::with_capacity(H2_PREFACE.len());
        while read.len() < H2_PREFACE.len() && H2_PREFACE.starts_with(&read) {
            let room = H2_PREFACE.len() - read.len();
            if (&mut socket).take(room as u64).read_buf(&mut read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Begun { socket, read, at: 0 })
    }
}

impl AsyncRead for Begun {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = &mut *self;
        let again = &me.read[me.at..];
        if again.is_empty() {
            return Pin::new(&mut me.socket).poll_read(cx, buffer);
        }
        let count = again.len().min(buffer.remaining());
        buffer.put_slice(&again[..count]);
        me.at += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Begun {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
