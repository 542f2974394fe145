//! The task of one connection.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
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
/// Time for a connection to end that was told to leave because it idled.
const LEAVE_GRACE: Duration = Duration::from_secs(1);

/// What the connection is doing, for its timeouts.
pub(super) struct Activity {
    epoch: Instant,
    requests: AtomicUsize,
    /// Whether something has come of the head of a request that is not under way yet.
    has_begun: AtomicBool,
    /// Whether the connection is to end once it has nothing to do.
    is_leaving: AtomicBool,
    /// Milliseconds since `epoch` at which the present state began.
    since: AtomicU64,
}

/// One request under way.
pub(super) struct Busy(Arc<Activity>);

impl Activity {
    fn new() -> Arc<Activity> {
        Arc::new(Activity {
            epoch: Instant::now(),
            requests: AtomicUsize::new(0),
            has_begun: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
            since: AtomicU64::new(0),
        })
    }

    fn mark(&self) {
        self.since.store(self.epoch.elapsed().as_millis() as u64, Relaxed);
    }

    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.has_begun.store(false, Relaxed);
        if self.requests.fetch_add(1, Relaxed) == 0 {
            self.mark();
        }
        Busy(self.clone())
    }

    /// Notes that something has come.
    fn has_read(&self) {
        if self.requests.load(Relaxed) == 0 {
            self.has_begun.store(true, Relaxed);
        }
    }

    /// Whether the connection is to end now, where nothing has come that was not read.
    fn may_leave(&self) -> bool {
        self.is_leaving.load(Relaxed) && self.requests.load(Relaxed) == 0 && !self.has_begun.load(Relaxed)
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
    let activity = Activity::new();
    let mut begun = Begun::new(socket, activity.clone());
    let limit = shared.options.read_header_timeout.or(shared.options.idle_timeout);
    let has_begun = async {
        // A connection that has sent nothing when the server closes is idle.
        let first = tokio::select! {
            biased;
            first = begun.read_first() => Some(first),
            () = drain.reaches(Phase::Closing) => None,
        };
        match first {
            Some(first) => first,
            None if begun.has_nothing() => Err(io::ErrorKind::NotConnected.into()),
            None => begun.read_first().await,
        }
    };
    let has_begun = match limit {
        Some(limit) => tokio::time::timeout(limit, has_begun).await.ok(),
        None => Some(has_begun.await),
    };
    match has_begun {
        Some(Ok(())) => {}
        Some(Err(_)) => return,
        None => return shared.metrics.refused("timeout"),
    }
    let is_h2 = begun.socket.alpn() == Some(b"h2") || begun.read.starts_with(H2_PREFACE);
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
        let connection = pin!(builder.serve_connection(TokioIo::new(begun), service));
        let leave =
            |connection: Pin<&mut _>| hyper::server::conn::http2::Connection::graceful_shutdown(connection);
        run(connection, leave, Phase::Draining, &drain, &activity, options).await;
    } else {
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(options.read_header_timeout)
            .keep_alive(options.keep_alives);
        let connection = pin!(builder.serve_connection(TokioIo::new(begun), service));
        // Answers say `Connection: close` while it drains; an idle connection may be about to carry a
        // request and is left alone until the end. Then reading ends it: hyper itself would drop what was sent
        // before and not read yet.
        let leave = |_: Pin<&mut _>| activity.is_leaving.store(true, Relaxed);
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
        // First, so that a connection that was just made gets to read what it came with.
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !leaving && draining.as_mut().poll(cx).is_ready() {
            leaving = true;
            leave(connection.as_mut());
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
        }
        loop {
            if !timed {
                break;
            }
            let now = Instant::now();
            let Some((end, gently)) = activity.ends(options.idle_timeout, options.write_timeout) else {
                break;
            };
            let end = if gently && leaving { end + LEAVE_GRACE } else { end };
            if end <= now && (!gently || leaving) {
                return Poll::Ready(());
            }
            if end <= now {
                leaving = true;
                leave(connection.as_mut());
                if connection.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                continue;
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

/// A socket whose first bytes were read already, to tell the protocols apart, and that ends where its connection
/// is to leave and has nothing to do.
struct Begun {
    socket: Socket,
    read: Vec<u8>,
    at: usize,
    activity: Arc<Activity>,
}

impl Begun {
    fn new(socket: Socket, activity: Arc<Activity>) -> Begun {
        Begun { socket, read: Vec::with_capacity(H2_PREFACE.len()), at: 0, activity }
    }

    /// Reads until the protocol is known. Called again it goes on.
    async fn read_first(&mut self) -> io::Result<()> {
        while self.read.len() < H2_PREFACE.len() && H2_PREFACE.starts_with(&self.read) {
            let room = H2_PREFACE.len() - self.read.len();
            if (&mut self.socket).take(room as u64).read_buf(&mut self.read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Whether nothing has come so far.
    fn has_nothing(&self) -> bool {
        self.read.is_empty() && !self.socket.has_unread()
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
        if !again.is_empty() {
            let count = again.len().min(buffer.remaining());
            buffer.put_slice(&again[..count]);
            me.at += count;
            me.activity.has_read();
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut me.socket).poll_read(cx, buffer);
        if read.is_ready() && buffer.filled().len() > before {
            me.activity.has_read();
        }
        // What has come and is not told of yet will be; nothing is read as the end.
        if read.is_pending() && me.activity.may_leave() && !me.socket.has_unread() {
            return Poll::Ready(Ok(()));
        }
        read
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
