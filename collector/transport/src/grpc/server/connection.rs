//! The task of one connection.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use tokio::time::{Instant, Sleep};

use super::call;
use super::calls::Calls;
use super::lifecycle::{Lifetime, PingPolicy, Verdict};
use super::{Current, Shared, UnaryService};
use crate::grpc::keepalive::Keepalive;
use crate::grpc::{CONNECTION_WINDOW_BYTES, MAX_FRAME_BYTES, SEND_BUFFER_BYTES, STREAM_WINDOW_BYTES};
use crate::io::{Coalesced, Flusher};
use crate::listen::{Drain, Phase};
use crate::socket::{Peer, Socket};

/// Time for a client to send the preface of HTTP/2.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// Streams that were reset by the client and not looked at yet.
const MAX_PENDING_RESETS: usize = 100;
/// Streams that were reset for errors of the client, over the life of a connection.
const MAX_ERROR_RESETS: usize = 1024;

type Connection = h2::server::Connection<Coalesced<Socket>, Bytes>;

/// Serves one connection until it ends.
pub(super) async fn serve<S: UnaryService>(
    current: Arc<Current<S>>,
    socket: Socket,
    peer: Peer,
    drain: Drain,
) {
    let shared = current.load();
    let (io, flusher) = Coalesced::new(socket, true);
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_concurrent_streams(shared.options.max_concurrent_streams)
        .max_header_list_size(shared.options.max_header_list_bytes)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(Some(MAX_ERROR_RESETS));
    let handshake = flusher.drive(builder.handshake(io));
    let connection = match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "no HTTP/2 connection");
            return shared.metrics.refused("handshake");
        }
        Err(_) => return shared.metrics.refused("handshake"),
    };
    let mut driver = Driver::new(&shared, connection, &flusher);
    let mut draining = pin!(drain.reaches(Phase::Draining));
    let mut is_draining = false;
    let mut calls = Calls::default();
    poll_fn(|cx| {
        loop {
            let mut progress = false;
            loop {
                match driver.connection.poll_accept(cx) {
                    Poll::Pending => break,
                    Poll::Ready(Some(Ok((request, respond)))) => {
                        let call = call::answer(current.load(), request, respond, peer, drain.request());
                        if calls.start(call, cx).is_ready() {
                            driver.pings.answered();
                        }
                        progress = true;
                    }
                    Poll::Ready(Some(Err(error))) => {
                        tracing::debug!(%peer, %error, "connection ended");
                        return Poll::Ready(());
                    }
                    Poll::Ready(None) => return Poll::Ready(()),
                }
            }
            while calls.poll_next(cx).is_ready() {
                driver.pings.answered();
                progress = true;
            }
            if !progress {
                break;
            }
        }
        if !is_draining && draining.as_mut().poll(cx).is_ready() {
            is_draining = true;
            driver.leave();
            // The GOAWAY is written by the next poll.
            cx.waker().wake_by_ref();
        }
        let verdict = driver.poll(cx, !calls.is_empty());
        let flushed = flusher.poll_flush(cx);
        if verdict.is_ready() || matches!(flushed, Poll::Ready(Err(_))) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// What ends a connection from this side.
struct Driver<'a, S> {
    shared: &'a Shared<S>,
    connection: Connection,
    flusher: &'a Flusher<Socket>,
    keepalive: Option<Keepalive>,
    lifetime: Lifetime,
    timer: Option<Pin<Box<Sleep>>>,
    pings: PingPolicy,
    leaving: bool,
}

impl<'a, S: UnaryService> Driver<'a, S> {
    fn new(shared: &'a Shared<S>, mut connection: Connection, flusher: &'a Flusher<Socket>) -> Driver<'a, S> {
        let options = &shared.options;
        let keepalive = connection
            .ping_pong()
            .map(|pings| Keepalive::new(pings, options.keepalive_time, options.keepalive_timeout));
        let now = Instant::now();
        let lifetime = Lifetime::new(options, now, crate::spread());
        let timer = lifetime.next(now).map(|at| Box::pin(tokio::time::sleep_until(at)));
        let pings = PingPolicy::new(options);
        Driver { shared, connection, flusher, keepalive, lifetime, timer, pings, leaving: false }
    }

    /// Tells the client to open no more streams.
    fn leave(&mut self) {
        if !self.leaving {
            self.leaving = true;
            self.connection.graceful_shutdown();
        }
    }

    /// Ready when the connection must end now.
    fn poll(&mut self, cx: &mut Context<'_>, streams: bool) -> Poll<()> {
        if self.pings.is_abused(self.flusher.pings(), streams, Instant::now) && !self.leaving {
            self.leaving = true;
            self.shared.metrics.refused("pings");
            self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            cx.waker().wake_by_ref();
        }
        if let Some(keepalive) = &mut self.keepalive
            && keepalive.poll(cx, self.flusher.reads(), true).is_err()
        {
            self.shared.metrics.refused("timeout");
            return Poll::Ready(());
        }
        self.lifetime.streams(streams, Instant::now);
        while self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready()) {
            let now = Instant::now();
            match self.lifetime.verdict(now) {
                Verdict::Stay => {}
                Verdict::Leave => {
                    self.leave();
                    cx.waker().wake_by_ref();
                }
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
