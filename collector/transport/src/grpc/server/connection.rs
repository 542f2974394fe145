//! The task of one connection.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::body::Body;
use super::call;
use super::calls::Calls;
use super::lifecycle::{Lifetime, PingPolicy, Verdict};
use super::{Current, Shared, UnaryService};
use crate::grpc::keepalive::Keepalive;
use crate::grpc::{CONNECTION_WINDOW_BYTES, MAX_FRAME_BYTES, STREAM_WINDOW_BYTES};
use crate::http2::{Connection, Ending, Limits, Reason};
use crate::listen::{Drain, Phase};
use crate::socket::{Peer, Socket};

/// Time for a client to send the preface of HTTP/2.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// Streams that may be reset for errors of the client, over the life of a connection.
const MAX_VIOLATIONS: usize = 1024;

/// Serves one connection until it ends.
pub(super) async fn serve<S: UnaryService>(
    current: Arc<Current<S>>,
    socket: Socket,
    peer: Peer,
    drain: Drain,
) {
    let shared = current.load();
    let limits = Limits {
        stream_window_bytes: STREAM_WINDOW_BYTES,
        connection_window_bytes: CONNECTION_WINDOW_BYTES,
        max_frame_bytes: MAX_FRAME_BYTES,
        max_concurrent_streams: shared.options.max_concurrent_streams,
        max_header_list_bytes: shared.options.max_header_list_bytes,
        max_violations: MAX_VIOLATIONS,
    };
    let new_body = || {
        let shared = current.load();
        Body::new(&shared.options, &shared.budget)
    };
    let mut driver = Driver::new(&shared, Connection::new(socket, &limits, new_body));
    let mut handshake = pin!(tokio::time::sleep(HANDSHAKE_TIMEOUT));
    let mut draining = pin!(drain.reaches(Phase::Draining));
    let mut is_draining = false;
    let mut calls = Calls::default();
    poll_fn(|cx| {
        loop {
            let mut progress = false;
            loop {
                match driver.connection.poll_accept(cx) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(incoming)) => {
                        let call = call::answer(current.load(), incoming, peer, drain.request());
                        if calls.start(call, cx).is_ready() {
                            driver.pings.answered();
                        }
                        progress = true;
                    }
                    Poll::Ready(Err(ending)) => {
                        if !driver.connection.is_open() {
                            shared.metrics.refused("handshake");
                        }
                        if ending != Ending::Done {
                            tracing::debug!(%peer, %ending, "connection ended");
                        }
                        return Poll::Ready(());
                    }
                }
            }
            while calls.poll_next(cx).is_ready() {
                driver.pings.answered();
                progress = true;
            }
            if !is_draining && draining.as_mut().poll(cx).is_ready() {
                is_draining = true;
                driver.connection.leave();
            }
            if !progress {
                break;
            }
        }
        if !driver.connection.is_open() && handshake.as_mut().poll(cx).is_ready() {
            shared.metrics.refused("handshake");
            return Poll::Ready(());
        }
        let verdict = driver.poll(cx, !calls.is_empty());
        let flushed = driver.connection.poll_flush(cx);
        if verdict.is_ready() || matches!(flushed, Poll::Ready(Err(_))) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// What ends a connection from this side.
struct Driver<'a, S, M> {
    shared: &'a Shared<S>,
    connection: Connection<Socket, Body, M>,
    keepalive: Keepalive,
    lifetime: Lifetime,
    timer: Option<Pin<Box<Sleep>>>,
    pings: PingPolicy,
    is_cut: bool,
}

impl<'a, S: UnaryService, M: Fn() -> Body> Driver<'a, S, M> {
    fn new(shared: &'a Shared<S>, connection: Connection<Socket, Body, M>) -> Driver<'a, S, M> {
        let options = &shared.options;
        let keepalive = Keepalive::new(options.keepalive_time, options.keepalive_timeout);
        let now = Instant::now();
        let lifetime = Lifetime::new(options, now, crate::spread());
        let timer = lifetime.next(now).map(|at| Box::pin(tokio::time::sleep_until(at)));
        let pings = PingPolicy::new(options);
        Driver { shared, connection, keepalive, lifetime, timer, pings, is_cut: false }
    }

    /// Ready when the connection must end now.
    fn poll(&mut self, cx: &mut Context<'_>, streams: bool) -> Poll<()> {
        if self.pings.is_abused(self.connection.pings(), streams, Instant::now) && !self.is_cut {
            self.is_cut = true;
            self.shared.metrics.refused("pings");
            self.connection.end(Reason::ENHANCE_YOUR_CALM);
            cx.waker().wake_by_ref();
        }
        let reads = self.connection.reads();
        if self.keepalive.poll(cx, reads, true, || self.connection.ping()).is_err() {
            self.shared.metrics.refused("timeout");
            return Poll::Ready(());
        }
        self.lifetime.streams(streams, Instant::now);
        while self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready()) {
            let now = Instant::now();
            match self.lifetime.verdict(now) {
                Verdict::Stay => {}
                Verdict::Leave => self.connection.leave(),
                Verdict::Cut => return Poll::Ready(()),
            }
            match (self.lifetime.next(now), &mut self.timer) {
                (Some(at), Some(timer)) => timer.as_mut().reset(at),
                _ => self.timer = None,
            }
        }
        Poll::Pending
    }
}
