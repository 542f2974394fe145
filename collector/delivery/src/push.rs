use std::future::Future;

use phoenix_component::{Batch, Host, Refusal, StartError};
use phoenix_pdata::Codings;

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
    fn push(&self, batch: Batch) -> impl Future<Output = Result<(), Refusal>> + Send;

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
