//! The backends that there are now, and which of them work.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use phoenix_component::Refusal;
use phoenix_delivery::Push;
use phoenix_telemetry::Gauge;
use tokio::time::Instant;

use crate::config::Ring;
use crate::metrics::BackendMeter;
use crate::placement::Placement;

/// Time for which a backend that failed is avoided, at first; it doubles with each failure that follows.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);

/// A list of backends, sorted by name, and where keys belong on it. Never changed: another list is another fleet.
pub(crate) struct Fleet<P> {
    pub(crate) backends: Vec<Arc<Backend<P>>>,
    placement: Placement,
}

/// One backend. It outlives its fleet for as long as something is on its way there.
pub(crate) struct Backend<P> {
    /// As the resolver says it; also its identity on the ring.
    pub(crate) name: String,
    pub(crate) push: P,
    pub(crate) meter: BackendMeter,
    is_failing: AtomicBool,
    health: Mutex<Health>,
    /// Counts those that fail.
    failing: Gauge,
}

#[derive(Default)]
struct Health {
    failures: u32,
    /// When it may be tried again; none while it works.
    rests_until: Option<Instant>,
    is_probed: bool,
}

impl<P> Fleet<P> {
    /// Backends in the order of their names.
    pub(crate) fn new(ring: Ring, backends: Vec<Arc<Backend<P>>>) -> Fleet<P> {
        let names: Vec<String> = backends.iter().map(|backend| backend.name.clone()).collect();
        Fleet { backends, placement: Placement::new(ring, &names) }
    }

    /// The backend that a key goes to, among those that are usable.
    pub(crate) fn place(&self, key: &[u8], usable: &[bool]) -> usize {
        self.placement.of(key, usable)
    }

    /// Whether some backend is not at rest.
    pub(crate) fn works(&self) -> bool {
        self.backends.iter().any(|backend| !backend.is_failing.load(Relaxed))
    }
}

impl<P> Backend<P> {
    pub(crate) fn new(name: String, push: P, meter: BackendMeter, failing: Gauge) -> Backend<P> {
        Backend { name, push, meter, is_failing: AtomicBool::new(false), health: Mutex::default(), failing }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether data may go there; where it failed and its time of rest is over, only for the caller, who tries it for
    /// everybody and has to say how that went, or that it did not ([`spare`](Backend::spare)).
    pub(crate) fn may_be_used(&self, now: Instant) -> Use {
        if !self.is_failing.load(Relaxed) {
            return Use::Yes;
        }
        let mut health = self.health();
        match health.rests_until {
            None => Use::Yes,
            Some(until) if now < until || health.is_probed => Use::No,
            Some(_) => {
                health.is_probed = true;
                Use::ToProbe
            }
        }
    }

    /// It was not tried after all.
    pub(crate) fn spare(&self) {
        self.health().is_probed = false;
    }

    /// It answered, if only to say no.
    pub(crate) fn answered(&self) {
        if self.is_failing.load(Relaxed) && self.is_failing.swap(false, Relaxed) {
            *self.health() = Health::default();
            self.failing.add(-1);
            tracing::info!(endpoint = self.name, "a backend works again");
        }
    }

    /// It did not answer. `spread` is uniform in `0.0..1.0`.
    pub(crate) fn failed(&self, refusal: &Refusal, now: Instant, spread: f64) {
        let mut health = self.health();
        if health.rests_until.is_some_and(|until| now < until) {
            // One of those that were on their way when it failed.
            return;
        }
        let rest = FIRST_REST.saturating_mul(1 << health.failures.min(5)).min(LONGEST_REST);
        health.failures = health.failures.saturating_add(1);
        health.rests_until = Some(now + rest.mul_f64(0.8 + 0.4 * spread));
        health.is_probed = false;
        if !self.is_failing.swap(true, Relaxed) {
            self.failing.add(1);
            tracing::warn!(
                endpoint = self.name,
                error = %refusal,
                "a backend does not answer; its share goes to others until it does"
            );
        }
    }
}

impl<P> Drop for Backend<P> {
    fn drop(&mut self) {
        if self.is_failing.load(Relaxed) {
            self.failing.add(-1);
        }
    }
}

impl<P: Push> Backend<P> {
    /// Lets go of its connections when nothing is on its way any more.
    pub(crate) fn stop(&self) {
        self.push.stop();
    }
}

/// Whether a backend may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Yes,
    /// By whoever is told so.
    ToProbe,
    No,
}

#[cfg(test)]
mod tests {
    use phoenix_telemetry::Metrics;

    use super::*;

    #[test]
    fn a_backend_that_fails_rests_longer_each_time_and_is_tried_by_one() {
        let failing = Gauge::detached();
        let meter = BackendMeter::new(&Metrics::default(), "a:1");
        let backend = Backend::new("a:1".to_owned(), (), meter, failing.clone());
        let refusal = Refusal::retryable("unavailable", "down");
        let start = Instant::now();
        let seconds = |count| start + Duration::from_secs(count);
        assert_eq!(backend.may_be_used(start), Use::Yes);
        backend.failed(&refusal, start, 0.5);
        backend.failed(&refusal, start, 0.5);
        assert_eq!((backend.may_be_used(start), failing.value()), (Use::No, 1));
        assert_eq!(backend.may_be_used(seconds(1)), Use::ToProbe);
        assert_eq!(backend.may_be_used(seconds(1)), Use::No, "one is enough");
        backend.spare();
        assert_eq!(backend.may_be_used(seconds(1)), Use::ToProbe);
        backend.failed(&refusal, seconds(1), 0.5);
        assert_eq!(backend.may_be_used(seconds(2)), Use::No);
        assert_eq!(backend.may_be_used(seconds(3)), Use::ToProbe);
        backend.answered();
        assert_eq!((backend.may_be_used(seconds(3)), failing.value()), (Use::Yes, 0));
        for _ in 0..40 {
            backend.failed(&refusal, seconds(4) + LONGEST_REST * 9, 1.0);
        }
        drop(backend);
        assert_eq!(failing.value(), 0);
    }
}
