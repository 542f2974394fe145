//! How hard a backend may be pushed that throttles or does not answer.
//!
//! otelcol lets each consumer of a queue find that out for itself. Here a delay that the backend asked for
//! holds all sends of the queue, up to the longest interval between retries; and after a few failures in
//! a row one attempt at a time goes out, until one succeeds.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use phoenix_component::Refusal;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// Failures in a row after which attempts go out one by one.
const PROBE_AFTER: u32 = 3;

pub(crate) struct Pressure {
    failures: AtomicU32,
    /// Nanoseconds since `epoch` until which nothing is sent.
    hold_until: AtomicU64,
    longest_hold: Duration,
    epoch: Instant,
    probe: Semaphore,
}

impl Pressure {
    pub(crate) fn new(longest_hold: Duration) -> Pressure {
        Pressure {
            failures: AtomicU32::new(0),
            hold_until: AtomicU64::new(0),
            longest_hold,
            epoch: Instant::now(),
            probe: Semaphore::new(1),
        }
    }

    /// Whether an attempt may go out at once.
    pub(crate) fn is_none(&self) -> bool {
        self.hold_until.load(Relaxed) == 0 && !self.is_high()
    }

    /// Whether nothing has been taken for some attempts.
    pub(crate) fn is_high(&self) -> bool {
        self.failures.load(Relaxed) >= PROBE_AFTER
    }

    /// Waits until an attempt may go out; the permit is kept until it has ended.
    pub(crate) async fn pass(&self) -> Option<SemaphorePermit<'_>> {
        loop {
            let until = self.hold_until.load(Relaxed);
            if until == 0 {
                break;
            }
            tokio::time::sleep_until(self.epoch + Duration::from_nanos(until)).await;
            // Another wait may have been asked for since.
            let _ = self.hold_until.compare_exchange(until, 0, Relaxed, Relaxed);
        }
        if !self.is_high() {
            return None;
        }
        let permit = self.probe.acquire().await.ok()?;
        self.is_high().then_some(permit)
    }

    pub(crate) fn succeeded(&self) {
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }

    pub(crate) fn failed(&self, refusal: &Refusal, now: Instant) {
        if !refusal.is_retryable() {
            // The backend answers.
            return self.succeeded();
        }
        let _ = self.failures.fetch_update(Relaxed, Relaxed, |count| Some(count.saturating_add(1)));
        if let Some(delay) = refusal.delay() {
            let until = (now - self.epoch) + delay.min(self.longest_hold);
            self.hold_until.fetch_max(until.as_nanos() as u64, Relaxed);
        }
    }
}
