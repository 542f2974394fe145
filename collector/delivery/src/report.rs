//! What an exporter says to people: logs with otelcol's texts, and its health.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use phoenix_component::{ComponentKey, Refusal, Status, StatusReporter};
use phoenix_pdata::Signal;
use tokio::time::Instant;

use crate::retry::{described, in_words};
use crate::sampling::Sampling;

pub(crate) struct Report {
    status: StatusReporter,
    signal: Signal,
    /// What the settings lack that would have helped, as otelcol words it.
    hint: &'static str,
    failing: AtomicBool,
    retries: Sampling,
    ends: Sampling,
}

const HINT_QUEUE: &str = " Try enabling sending_queue to survive temporary failures.";
const HINT_RETRY: &str = " Try enabling retry_on_failure config option to retry on retryable errors.";

impl Report {
    pub(crate) fn new(status: StatusReporter, signal: Signal, has_queue: bool, retries: bool) -> Report {
        let hint = match (has_queue, retries) {
            (_, false) => HINT_RETRY,
            (false, true) => HINT_QUEUE,
            (true, true) => "",
        };
        Report {
            status,
            signal,
            hint,
            failing: AtomicBool::new(false),
            retries: Sampling::default(),
            ends: Sampling::default(),
        }
    }

    /// Whose it is.
    pub(crate) fn key(&self) -> &ComponentKey {
        self.status.key()
    }

    /// Data was delivered.
    pub(crate) fn succeeded(&self) {
        if self.failing.load(Ordering::Relaxed) && self.failing.swap(false, Ordering::Relaxed) {
            self.status.report(Status::Ok);
        }
    }

    /// The exporter does not work now.
    pub(crate) fn failing(&self, refusal: &Refusal) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            self.status.report(Status::Recoverable(refusal.message().to_owned()));
        }
    }

    pub(crate) fn retrying(&self, refusal: &Refusal, interval: Duration) {
        if self.retries.passes(Instant::now()) {
            tracing::info!(
                otelcol.component.id = %self.status.key().id,
                otelcol.component.kind = "exporter",
                otelcol.signal = self.signal.name(),
                error = %described(refusal),
                interval = %in_words(interval),
                "Exporting failed. Will retry the request after interval."
            );
        }
    }

    /// Data that the exporter owned is gone.
    pub(crate) fn dropped(&self, refusal: &Refusal, items: u64) {
        if self.ends.passes(Instant::now()) {
            tracing::error!(
                otelcol.component.id = %self.status.key().id,
                otelcol.component.kind = "exporter",
                otelcol.signal = self.signal.name(),
                error = %refusal,
                dropped_items = items,
                "Exporting failed. Dropping data.{}", self.hint
            );
        }
    }

    /// The sender hears that its data was not taken.
    pub(crate) fn rejected(&self, refusal: &Refusal, items: u64) {
        if self.ends.passes(Instant::now()) {
            tracing::error!(
                otelcol.component.id = %self.status.key().id,
                otelcol.component.kind = "exporter",
                otelcol.signal = self.signal.name(),
                error = %refusal,
                rejected_items = items,
                "Exporting failed. Rejecting data.{}", self.hint
            );
        }
    }
}
