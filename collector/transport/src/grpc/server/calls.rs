//! The requests of one connection that are being answered.

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::stream::{FuturesUnordered, StreamExt as _};

/// Boxes of one kind that a thread keeps for the next requests.
const SPARE_BOXES: usize = 64;

thread_local! {
    /// For each type of future, a list of boxes with one that has ended in it.
    static SPARE: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

/// The boxes of this thread for futures of type `F`.
fn spare<F: 'static, T>(work: impl FnOnce(&mut Vec<Pin<Box<F>>>) -> T) -> T {
    SPARE.with_borrow_mut(|lists| {
        let place = lists.iter().position(|list| list.is::<Vec<Pin<Box<F>>>>()).unwrap_or_else(|| {
            lists.push(Box::new(Vec::<Pin<Box<F>>>::new()));
            lists.len() - 1
        });
        work(lists[place].downcast_mut().expect("it is of this type, or was just made"))
    })
}

/// Futures in boxes that are used again: they are of a few KiB, and a small request is answered in about the time
/// that an allocator takes to find room for that and to clear up behind it.
pub(super) struct Calls<F>(FuturesUnordered<Running<F>>);

/// One that gives its box back when it ends.
struct Running<F>(Option<Pin<Box<F>>>);

impl<F: Future<Output = ()> + 'static> Future for Running<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(call) = &mut self.0 {
            ready!(call.as_mut().poll(cx));
        }
        self.0.take().into_iter().for_each(give_back);
        Poll::Ready(())
    }
}

/// Keeps the box of a call that has ended, and by that holds nothing any more.
fn give_back<F: 'static>(ended: Pin<Box<F>>) {
    spare(|boxes| {
        if boxes.len() < SPARE_BOXES {
            boxes.push(ended);
        }
    });
}

impl<F> Default for Calls<F> {
    fn default() -> Calls<F> {
        Calls(FuturesUnordered::new())
    }
}

impl<F: Future<Output = ()> + 'static> Calls<F> {
    /// Begins with `call`; ready where it has ended by that. A request that is there as a whole often has.
    pub(super) fn start(&mut self, call: F, cx: &mut Context<'_>) -> Poll<()> {
        let mut call = match spare(Vec::<Pin<Box<F>>>::pop) {
            Some(mut place) => {
                place.set(call);
                place
            }
            None => Box::pin(call),
        };
        let polled = call.as_mut().poll(cx);
        match polled {
            Poll::Ready(()) => give_back(call),
            // Polled again by the next `poll_next`, with a waker of its own.
            Poll::Pending => self.0.push(Running(Some(call))),
        }
        polled
    }

    /// Ready for each call that has ended since.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.0.poll_next_unpin(cx) {
            Poll::Ready(Some(())) => Poll::Ready(()),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::task::Waker;

    use tokio::sync::oneshot;

    use super::*;

    async fn call(answer: Arc<()>, wait: Option<oneshot::Receiver<()>>) {
        if let Some(wait) = wait {
            let _ = wait.await;
        }
        drop(answer);
    }

    #[tokio::test]
    async fn calls_end_at_once_or_later_and_their_boxes_are_used_again() {
        let (mut calls, alive) = (Calls::default(), Arc::new(()));
        let mut unheard = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            assert!(calls.start(call(alive.clone(), None), &mut unheard).is_ready());
            assert_eq!((Arc::strong_count(&alive), calls.is_empty()), (1, true));
        }
        let (done, wait) = oneshot::channel();
        assert!(calls.start(call(alive.clone(), Some(wait)), &mut unheard).is_pending());
        let (other, wait) = oneshot::channel::<()>();
        assert!(calls.start(call(alive.clone(), Some(wait)), &mut unheard).is_pending());
        assert!(calls.poll_next(&mut unheard).is_pending());
        done.send(()).unwrap();
        poll_fn(|cx| calls.poll_next(cx)).await;
        assert_eq!((Arc::strong_count(&alive), calls.is_empty()), (2, false));
        assert!(calls.start(call(alive.clone(), None), &mut unheard).is_ready());
        // What is under way when a connection ends is dropped with it.
        drop((calls, other));
        assert_eq!(Arc::strong_count(&alive), 1);
        let boxes = SPARE.with_borrow(|lists| lists.len());
        assert_eq!(boxes, 1, "one list for one type");
    }
}
