//! What exporters share: a bounded queue that batches, retries, a circuit, a time limit for each attempt,
//! and the books.
//!
//! An exporter says how one attempt is made ([`Push`]); [`Delivery`] makes an `Exporter` of it, with
//! otelcol's settings, texts and metrics: queue (and batch) → retry → circuit → timeout → push.
//!
//! - Books: `taken = sent + failed(reason) + held` whenever nothing is moving; `held` is what waits and
//!   what is under way. A batch is pushed again only after an attempt that failed, and never by two tasks
//!   at once.
//! - No task waits for work: a send runs on the core that brought its batch, and goes on with what waits.
//! - Bounds: the queue by `queue_size`, sends by `num_consumers`. Memory was charged by whoever made the
//!   batch, so nothing waits for the budget here.
//! - Elsewhere: protocols, connections and the classification of answers belong to the exporters.

#[cfg(test)]
mod accounting;
mod batching;
mod change;
mod circuit;
mod delivery;
mod durable;
mod ending;
mod flight;
mod metrics;
mod partial_success;
mod push;
mod queue;
mod report;
mod retry;
mod sampling;
mod sending;
mod settings;
#[cfg(test)]
mod turns;

pub use change::change;
pub use delivery::{Delivery, DeliveryContext};
pub use partial_success::{MalformedResponse, PartialSuccess, PartialSuccessLog};
pub use push::{Delivered, Left, Push};
pub use settings::{
    BatchPartition, DeliverySettings, QueueBatchSettings, QueueSettings, RetryCode, RetrySettings,
    SizeLimits, Sizer, validate_timeout,
};
