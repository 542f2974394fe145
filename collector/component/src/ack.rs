//! Acknowledgement of data that changes hands inside a collector.
//!
//! Along a chain of calls the result is simply returned. Where data is *held*, in a stage, the sender
//! may still want to know how it ended: then each fragment carries an [`Ack`]. A handle is owned, splits
//! when data is split over shards, and joins when fragments become one batch.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::Refusal;

/// The right, and the duty, to say how some data ended. Dropping it unresolved reports a retryable
/// failure, so that a lost handle is never taken for success.
#[derive(Default)]
pub struct Ack {
    shares: Vec<Share>,
}

/// Waits for the outcome of all handles that descend from one [`Ack`].
pub struct AckWait(Arc<State>);

struct Share(Arc<State>);

struct State {
    pending: AtomicUsize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    refusal: Option<Refusal>,
    waker: Option<Waker>,
}

impl Ack {
    /// A handle for data that nobody waits for.
    pub fn none() -> Ack {
        Ack::default()
    }

    /// A handle and the future that waits for it.
    pub fn pair() -> (Ack, AckWait) {
        let state = Arc::new(State { pending: AtomicUsize::new(1), inner: Mutex::default() });
        (Ack { shares: vec![Share(state.clone())] }, AckWait(state))
    }

    /// Whether somebody waits.
    pub fn is_awaited(&self) -> bool {
        !self.shares.is_empty()
    }

    /// How many requests wait on this handle.
    pub fn waiting(&self) -> usize {
        self.shares.len()
    }

    /// A second handle to the same outcome, for a part of the same data.
    pub fn split(&self) -> Ack {
        Ack { shares: self.shares.iter().map(Share::split).collect() }
    }

    /// Takes over another handle: both end together, for data that became one batch.
    pub fn join(&mut self, mut other: Ack) {
        if self.shares.is_empty() {
            std::mem::swap(&mut self.shares, &mut other.shares);
        } else {
            self.shares.append(&mut other.shares);
        }
    }

    /// Says how the data ended.
    pub fn resolve(mut self, outcome: Result<(), Refusal>) {
        for share in self.shares.drain(..) {
            share.end(outcome.as_ref().err());
        }
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ack({} waiting)", self.waiting())
    }
}

impl Share {
    fn split(&self) -> Share {
        self.0.pending.fetch_add(1, Ordering::Relaxed);
        Share(self.0.clone())
    }

    fn end(self, refusal: Option<&Refusal>) {
        self.0.end(refusal);
        std::mem::forget(self);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.end(Some(&Refusal::retryable("abandoned", "the data was abandoned before it was delivered")));
    }
}

impl State {
    fn end(&self, refusal: Option<&Refusal>) {
        if let Some(refusal) = refusal {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            // A permanent refusal of one part outweighs: sending all again could not succeed.
            if inner.refusal.as_ref().is_none_or(|kept| kept.is_retryable() && !refusal.is_retryable()) {
                inner.refusal = Some(refusal.clone());
            }
        }
        if self.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            let waker = self.inner.lock().unwrap_or_else(PoisonError::into_inner).waker.take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl Future for AckWait {
    type Output = Result<(), Refusal>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut inner = self.0.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if self.0.pending.load(Ordering::Acquire) == 0 {
            return Poll::Ready(inner.refusal.take().map_or(Ok(()), Err));
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(wait: &mut AckWait) -> Option<Result<(), Refusal>> {
        match Pin::new(wait).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_split_handle_ends_with_its_last_part() {
        let (ack, mut wait) = Ack::pair();
        let part = ack.split();
        ack.resolve(Ok(()));
        assert_eq!(poll(&mut wait), None);
        part.resolve(Ok(()));
        assert_eq!(poll(&mut wait), Some(Ok(())));
    }

    #[test]
    fn joined_handles_end_together_and_a_permanent_part_outweighs() {
        let ((mut first, mut first_wait), (second, mut second_wait)) = (Ack::pair(), Ack::pair());
        let late = first.split();
        first.join(second);
        assert_eq!(first.waiting(), 2);
        first.resolve(Err(Refusal::retryable("busy", "later")));
        assert!(poll(&mut second_wait).expect("ended").expect_err("refused").is_retryable());
        late.resolve(Err(Refusal::permanent("bad", "never")));
        assert_eq!(poll(&mut first_wait), Some(Err(Refusal::permanent("bad", "never"))));
    }

    #[test]
    fn a_dropped_handle_is_a_retryable_failure() {
        let (ack, mut wait) = Ack::pair();
        drop(ack);
        assert!(poll(&mut wait).expect("ended").expect_err("not a success").is_retryable());
        assert!(!Ack::none().is_awaited());
    }
}
