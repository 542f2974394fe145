//! When to ping, which tells a dead peer from a quiet one.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Pings after `time` without a read, and gives the peer up after `timeout` without one.
pub(super) struct Keepalive {
    time: Duration,
    timeout: Duration,
    timer: Pin<Box<Sleep>>,
    reads_seen: u64,
    waiting: bool,
}

/// The peer does not answer.
#[derive(Debug)]
pub(super) struct PeerIsDead;

impl Keepalive {
    pub(super) fn new(time: Duration, timeout: Duration) -> Keepalive {
        let timer = Box::pin(tokio::time::sleep(time));
        Keepalive { time, timeout, timer, reads_seen: 0, waiting: false }
    }

    /// `reads` counts what came from the peer; `wanted` says whether a quiet connection may be pinged, which
    /// `ping` does.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        reads: u64,
        wanted: bool,
        mut ping: impl FnMut(),
    ) -> Result<(), PeerIsDead> {
        while self.timer.as_mut().poll(cx) == Poll::Ready(()) {
            let alive = reads != self.reads_seen;
            self.reads_seen = reads;
            let next = if self.waiting && !alive {
                return Err(PeerIsDead);
            } else if alive || !wanted {
                self.waiting = false;
                self.time
            } else {
                ping();
                self.waiting = true;
                self.timeout
            };
            self.timer.as_mut().reset(Instant::now() + next);
        }
        Ok(())
    }
}
