use std::future::Future;

use phoenix_component::{Batch, Host, Refusal, StartError};
use phoenix_pdata::{Codings, Payload};

/// How one attempt to deliver a batch is made: what an exporter adds to [`crate::Delivery`].
pub trait Push: Send + Sync + 'static {
    /// Acquires what sending needs; called once, before any batch comes.
    fn start(&self, host: &Host) -> impl Future<Output = Result<(), StartError>> + Send {
        let _ = host;
        async { Ok(()) }
    }

    /// Makes one attempt. It is dropped when it takes too long; `batch.deadline` says when that will be.
    ///
    /// # Errors
    /// Why the batch was not taken, and whether another attempt may help. A delay is the least time that
    /// the backend asked for; a status is what it answered with, and none means that it did not answer.
    fn push(&self, batch: Batch) -> impl Future<Output = Result<Delivered, Refusal>> + Send;

    /// The codings in which batches are sent on as they came, without a look inside.
    fn forwards(&self) -> Codings {
        Codings::NONE
    }

    /// What an attempt that took too long is answered with.
    fn timed_out(&self) -> Refusal {
        Refusal::retryable("timeout", "the attempt took longer than its timeout")
    }

    /// Lets go of connections; called once, after the last attempt.
    fn stop(&self) {}
}

/// A batch was delivered, as a whole or but for some of it.
#[derive(Clone, Debug, Default)]
pub struct Delivered {
    /// Spans, data points or log records that the backend rejected for good (partial success).
    pub rejected: u64,
    /// What of the batch is still to be delivered.
    pub left: Option<Box<Left>>,
}

/// The part of a batch that was not taken while the rest was, by an exporter with several backends. Only this part
/// is tried again, or fails.
#[derive(Clone, Debug)]
pub struct Left {
    /// The part.
    pub payload: Payload,
    /// Its items.
    pub items: u64,
    /// Why it was not taken.
    pub refusal: Refusal,
}

impl Delivered {
    /// Everything was taken.
    pub const fn whole() -> Delivered {
        Delivered { rejected: 0, left: None }
    }

    /// Everything was taken but for `rejected` items, which are never sent again.
    pub const fn except(rejected: u64) -> Delivered {
        Delivered { rejected, left: None }
    }
    /// Everything was taken but for `left`.
    pub fn but(left: Left) -> Delivered {
        Delivered { rejected: 0, left: Some(Box::new(left)) }
    }
}
