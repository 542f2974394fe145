//! The settings of otelcol's exporter helper, under their keys and with their defaults.

mod queue;
mod retry;
#[cfg(test)]
mod tests;

use std::time::Duration;

use phoenix_config::{GoDuration, Problems};

pub use queue::{BatchPartition, QueueBatchSettings, QueueSettings, SizeLimits, Sizer};
pub(crate) use queue::{BatchRules, Extent};
pub use retry::{RetryCode, RetrySettings};

/// Reports a `timeout` that otelcol refuses.
pub fn validate_timeout(timeout: GoDuration, problems: &mut Problems) {
    problems.require(!timeout.is_negative(), "timeout", "'timeout' must be non-negative");
}

/// What a [`crate::Delivery`] works by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeliverySettings {
    /// Longest time of one attempt; none for any.
    pub timeout: Option<Duration>,
    /// Repetition of attempts.
    pub retry: RetrySettings,
    /// The queue; without one a sender waits for the delivery.
    pub queue: Option<QueueSettings>,
}
