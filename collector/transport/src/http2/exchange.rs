//! One request and its answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use super::Sink;
use super::hpack::Block;
use super::streams::Streams;

/// The body is not going to be complete: the stream was reset, or its sink refuses to take more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Broken<B> {
    Reset,
    /// The sink, which knows why.
    Refused(B),
}

/// The stream of one request. Dropping it unanswered tells the client that the request has failed.
///
/// Only the task of its connection may poll it: it writes by itself what is put into the connection here.
pub(crate) struct Exchange<B: Sink> {
    pub(super) streams: Arc<Mutex<Streams<B>>>,
    pub(super) id: u32,
}

pub(super) fn lock<B>(streams: &Mutex<Streams<B>>) -> MutexGuard<'_, Streams<B>> {
    streams.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B: Sink> Exchange<B> {
    /// The sink, once the body is complete.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<B, Broken<B>>> {
        let mut streams = lock(&self.streams);
        let Some(stream) = streams.get(self.id).filter(|stream| !stream.reset) else {
            return Poll::Ready(Err(Broken::Reset));
        };
        if !stream.ended && !stream.refused {
            stream.wait(cx);
            return Poll::Pending;
        }
        let is_refused = stream.refused;
        Poll::Ready(match stream.sink.take() {
            None => Err(Broken::Reset),
            Some(sink) if is_refused => Err(Broken::Refused(sink)),
            Some(sink) => Ok(sink),
        })
    }

    /// Bytes of the body that have come.
    pub(crate) fn received(&self) -> u64 {
        lock(&self.streams).get(self.id).map_or(0, |stream| stream.received)
    }

    /// Ready when the client does not wait for an answer any more.
    pub(crate) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match lock(&self.streams).get(self.id) {
            Some(stream) if !stream.reset => {
                stream.wait(cx);
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// Answers with a head alone.
    pub(crate) fn answer(self, head: &Block) {
        lock(&self.streams).answer(self.id, head.as_bytes(), None);
    }

    /// Answers with a body, in pieces, and trailers.
    pub(crate) fn answer_with(self, head: &Block, body: &[&[u8]], trailers: &Block) {
        lock(&self.streams).answer(self.id, head.as_bytes(), Some((body, trailers.as_bytes())));
    }
}

impl<B: Sink> Drop for Exchange<B> {
    fn drop(&mut self) {
        lock(&self.streams).let_go(self.id);
    }
}
