//! A socket that reads more than it is asked for.
//!
//! TLS reads 4 KiB at a time, a quarter of a record: large requests would cost a system call for each. Here the
//! kernel is asked for 64 KiB, and the rest is kept for the next reads. The buffer is lent by the thread and given
//! back when it is empty, so an idle connection holds none.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use crate::io::{AHEAD_BYTES, SPARE_AHEAD, give_back, lend_buffer};

#[derive(Debug)]
pub(crate) struct Ahead<S> {
    socket: S,
    buffer: Vec<u8>,
    /// How much of `buffer` was handed out.
    handed: usize,
}

impl<S> Ahead<S> {
    pub(crate) fn new(socket: S) -> Ahead<S> {
        Ahead { socket, buffer: Vec::new(), handed: 0 }
    }

    /// Whether something is kept for the next read, or the socket has something.
    pub(crate) fn has_unread(&self, of_socket: impl FnOnce(&S) -> bool) -> bool {
        !self.buffer.is_empty() || of_socket(&self.socket)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Ahead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        use std::future::Future as _;
        let me = &mut *self;
        if me.buffer.is_empty() {
            if buffer.remaining() >= AHEAD_BYTES {
                return Pin::new(&mut me.socket).poll_read(cx, buffer);
            }
            let mut ahead = lend_buffer(&SPARE_AHEAD, AHEAD_BYTES);
            let read = pin!(me.socket.read_buf(&mut ahead)).poll(cx);
            if !matches!(read, Poll::Ready(Ok(1..))) {
                give_back(&SPARE_AHEAD, ahead);
                return read.map_ok(drop);
            }
            (me.buffer, me.handed) = (ahead, 0);
        }
        let left = &me.buffer[me.handed..];
        let here = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..here]);
        me.handed += here;
        if me.handed == me.buffer.len() {
            give_back(&SPARE_AHEAD, std::mem::take(&mut me.buffer));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Ahead<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn small_reads_get_everything_in_order() {
        let (mut near, far) = tokio::io::duplex(1 << 20);
        let mut ahead = Ahead::new(far);
        let sent: Vec<u8> = (0..300_000u32).map(|number| (number % 251) as u8).collect();
        use tokio::io::AsyncWriteExt as _;
        near.write_all(&sent).await.expect("written");
        drop(near);
        let (mut got, mut size) = (Vec::new(), 1);
        loop {
            let mut part = vec![0; size];
            let read = ahead.read(&mut part).await.expect("read");
            if read == 0 {
                break;
            }
            got.extend_from_slice(&part[..read]);
            size = size * 2 % 100_003 + 1;
        }
        assert!(got == sent);
        assert_eq!(ahead.buffer.capacity(), 0, "an idle one holds nothing");
    }
}
