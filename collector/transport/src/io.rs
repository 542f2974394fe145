//! A socket that holds small writes back until its connection has nothing more to do.
//!
//! An HTTP/2 connection writes and flushes every frame by itself, so one message costs several system
//! calls. Here a flush by the protocol does nothing; the task that drives the connection calls
//! [`Flusher::poll_flush`] at the end of each of its polls, and what was held goes out in one call.
//!
//! Invariants:
//! - Only the task that drives the connection may poll the socket or its [`Flusher`]. A socket keeps a
//!   single waker for writing: another task that waited on it would take the connection's wake-up.
//! - An idle connection holds no buffer: buffers are lent by the thread and given back once written, or handed out.
//! - At most [`HELD_BYTES`] are copied and held; what is larger goes to the kernel from where it lies.
//!
//! Reading is coalesced likewise: the protocol asks for a few KiB at a time, in which one small request fits. What
//! else has come is read with it, and handed out by the next reads.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread::LocalKey;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

#[cfg(test)]
mod tests;

/// Bytes that may be held back; a message of 100 spans with its frames fits.
const HELD_BYTES: usize = 256 * 1024;
/// What is read at a time where the protocol asks for little: the requests of 10 spans that a connection usually
/// has in flight.
pub(crate) const AHEAD_BYTES: usize = 64 * 1024;
/// From here on it asks for much: it has seen the head of a large message, and made room for the rest.
const LARGE_BYTES: usize = 16 * 1024;
/// After such a read so many go straight into the protocol's own buffer: to copy large messages through a buffer
/// in between would cost more than system calls.
const DIRECT_READS: u8 = 32;
/// Buffers of either kind that a thread keeps for the next connection that needs one.
const SPARE_BUFFERS: usize = 2;
/// Slices given to one vectored write.
const MAX_SLICES: usize = 32;

pub(crate) type Spare = RefCell<Vec<Vec<u8>>>;

thread_local! {
    static SPARE_HELD: Spare = const { RefCell::new(Vec::new()) };
    pub(crate) static SPARE_AHEAD: Spare = const { RefCell::new(Vec::new()) };
}

pub(crate) fn lend_buffer(spare: &'static LocalKey<Spare>, bytes: usize) -> Vec<u8> {
    spare.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(bytes))
}

pub(crate) fn give_back(spare: &'static LocalKey<Spare>, mut buffer: Vec<u8>) {
    buffer.clear();
    spare.with_borrow_mut(|spare| {
        if spare.len() < SPARE_BUFFERS {
            spare.push(buffer);
        }
    });
}

struct State<S> {
    socket: S,
    held: Vec<u8>,
    /// How much of `held` the kernel has taken.
    sent: usize,
    /// What was read and the protocol has not asked for yet.
    ahead: Vec<u8>,
    /// How much of `ahead` was handed out.
    handed: usize,
    /// How many reads go straight into the protocol's buffer.
    direct: u8,
    /// Reads that brought data.
    reads: u64,
}

/// The socket as the protocol sees it.
pub(crate) struct Coalesced<S>(Arc<Mutex<State<S>>>);

/// The other end of [`Coalesced`], for the task that drives the connection.
pub(crate) struct Flusher<S>(Arc<Mutex<State<S>>>);

impl<S: AsyncRead + AsyncWrite + Unpin> Coalesced<S> {
    /// Wraps `socket`.
    pub(crate) fn new(socket: S) -> (Coalesced<S>, Flusher<S>) {
        let (held, ahead) = (Vec::new(), Vec::new());
        let state = State { socket, held, sent: 0, ahead, handed: 0, direct: 0, reads: 0 };
        let state = Arc::new(Mutex::new(state));
        (Coalesced(state.clone()), Flusher(state))
    }
}

fn lock<S>(state: &Mutex<State<S>>) -> MutexGuard<'_, State<S>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Flusher<S> {
    /// Writes out what is held.
    ///
    /// # Errors
    /// Those of the socket.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.0).poll_write_out(cx)
    }

    /// How many reads brought data: a peer that is alive moves this.
    pub(crate) fn reads(&self) -> u64 {
        lock(&self.0).reads
    }

    /// Polls `work` and writes out, after each poll, what it left.
    pub(crate) async fn drive<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let outcome = work.as_mut().poll(cx);
            // A broken socket shows in the work itself.
            let _ = self.poll_flush(cx);
            outcome
        })
        .await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> State<S> {
    fn release_when_written(&mut self) {
        if self.sent == self.held.len() && self.held.capacity() > 0 {
            self.sent = 0;
            give_back(&SPARE_HELD, std::mem::take(&mut self.held));
        }
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.held.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while self.sent < self.held.len() {
            match ready!(Pin::new(&mut self.socket).poll_write(cx, &self.held[self.sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.sent += written,
            }
        }
        self.release_when_written();
        // TLS keeps records of its own until it is flushed.
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    /// Reads what the protocol asks for, and what else there is where that is little.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let is_large = buffer.remaining() >= LARGE_BYTES;
        self.direct = if is_large { DIRECT_READS } else { self.direct.saturating_sub(1) };
        if self.ahead.is_empty() {
            if is_large || self.direct > 0 {
                return Pin::new(&mut self.socket).poll_read(cx, buffer);
            }
            let mut ahead = lend_buffer(&SPARE_AHEAD, AHEAD_BYTES);
            let read = pin!(self.socket.read_buf(&mut ahead)).poll(cx);
            if !matches!(read, Poll::Ready(Ok(1..))) {
                give_back(&SPARE_AHEAD, ahead);
                return read.map_ok(drop);
            }
            (self.ahead, self.handed) = (ahead, 0);
        }
        let left = &self.ahead[self.handed..];
        let here = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..here]);
        self.handed += here;
        if self.handed == self.ahead.len() {
            give_back(&SPARE_AHEAD, std::mem::take(&mut self.ahead));
        }
        Poll::Ready(Ok(()))
    }

    /// Takes some of `slices`: holds them back where they fit, else writes them after what is held.
    fn poll_take(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        if self.held.len() + offered <= HELD_BYTES {
            if self.held.capacity() == 0 {
                self.held = lend_buffer(&SPARE_HELD, HELD_BYTES);
            }
            slices.iter().for_each(|slice| self.held.extend_from_slice(slice));
            return Poll::Ready(Ok(offered));
        }
        loop {
            let held = self.held.len() - self.sent;
            if held == 0 {
                return Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
            }
            let mut all = [IoSlice::new(&[]); MAX_SLICES];
            all[0] = IoSlice::new(&self.held[self.sent..]);
            let count = 1 + slices.len().min(MAX_SLICES - 1);
            all[1..count].copy_from_slice(&slices[..count - 1]);
            let written = ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, &all[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written.min(held);
            self.release_when_written();
            if written > held {
                return Poll::Ready(Ok(written - held));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Coalesced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let state = &mut *lock(&self.0);
        let before = buffer.filled().len();
        ready!(state.poll_read(cx, buffer))?;
        state.reads += u64::from(buffer.filled().len() > before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Coalesced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_take(cx, &[IoSlice::new(data)])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_take(cx, slices)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let state = &mut *lock(&self.0);
        ready!(state.poll_write_out(cx))?;
        Pin::new(&mut state.socket).poll_shutdown(cx)
    }
}
