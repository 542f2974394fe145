use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use phoenix_component::factory::CreateContext;
use phoenix_component::limiter::{Change, Limiter, Limits, MemoryLimiterConfig};
use phoenix_component::{BoxFuture, Extension, Host, MemoryReader, Offer, StartError};
use phoenix_config::{ComponentId, Kind};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Measures memory, and says whether data is refused.
pub struct MemoryLimiter {
    watch: Arc<Watch>,
    offer: Mutex<Option<(Offer, DropGuard)>>,
}

struct Watch {
    id: ComponentId,
    limits: Limits,
    check_interval: Duration,
    /// The same for all extensions of this identifier: listeners keep it while settings change.
    shared: Arc<Judged>,
    /// By which the latest extension is known; 0 until its pipelines run.
    ticket: AtomicU64,
    memory: Arc<dyn MemoryReader>,
}

/// A limiter, and who may judge.
#[derive(Default)]
struct Judged {
    limiter: Arc<Limiter>,
    tickets: AtomicU64,
}

impl MemoryLimiter {
    /// An extension that does not measure yet.
    pub fn new(config: &MemoryLimiterConfig, cx: &CreateContext<'_>) -> MemoryLimiter {
        let limits = Limits::new(config, cx.host.memory.total());
        tracing::info!(
            extension = %cx.id,
            limit_mib = limits.hard >> 20,
            soft_limit_mib = limits.soft >> 20,
            check_interval = %config.check_interval,
            "memory limiter configured"
        );
        let watch = Watch {
            id: cx.id.clone(),
            limits,
            check_interval: config.check_interval.as_duration(),
            shared: cx.shared.get_or_make(Kind::Extension, cx.id, Judged::default),
            ticket: AtomicU64::new(0),
            memory: cx.host.memory.clone(),
        };
        MemoryLimiter { watch: Arc::new(watch), offer: Mutex::default() }
    }
}

impl Watch {
    fn is_latest(&self) -> bool {
        let ticket = self.ticket.load(Relaxed);
        ticket != 0 && ticket == self.shared.tickets.load(Relaxed)
    }

    /// Measures, unless another extension of this identifier has taken over.
    fn check(&self) {
        if !self.is_latest() {
            return;
        }
        let (resident, change) = self.shared.limiter.measure(&*self.memory, self.limits);
        let (resident_mib, soft_limit_mib) = (resident >> 20, self.limits.soft >> 20);
        match change {
            Some(Change::Refuses) => tracing::warn!(
                extension = %self.id,
                resident_mib,
                soft_limit_mib,
                "memory usage is above the soft limit, refusing data"
            ),
            Some(Change::Resumes) => tracing::info!(
                extension = %self.id,
                resident_mib,
                soft_limit_mib,
                "memory usage is back within limits, taking data again"
            ),
            None => {}
        }
    }
}

impl Extension for MemoryLimiter {
    fn start<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async move {
            let stop = CancellationToken::new();
            let offer = host.capabilities.offer(&self.watch.id, self.watch.shared.limiter.clone());
            let watch = self.watch.clone();
            host.control.spawn(stop.clone().run_until_cancelled_owned(async move {
                let mut ticks = tokio::time::interval(watch.check_interval);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    ticks.tick().await;
                    watch.check();
                }
            }));
            let mut kept = self.offer.lock().unwrap_or_else(PoisonError::into_inner);
            *kept = Some((offer, stop.drop_guard()));
            Ok(())
        })
    }

    fn memory_limit(&self) -> Option<usize> {
        Some(usize::try_from(self.watch.limits.soft).unwrap_or(usize::MAX))
    }

    /// From here on this one judges: before, the configuration might have come to nothing.
    fn pipelines_ready(&self, ready: bool) {
        if ready && !self.watch.is_latest() {
            let ticket = self.watch.shared.tickets.fetch_add(1, Relaxed) + 1;
            self.watch.ticket.store(ticket, Relaxed);
            self.watch.check();
        }
    }

    fn stop(&self, _deadline: Instant) -> BoxFuture<'_, ()> {
        self.offer.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A listener that still asks must not be held to what was measured last.
        if self.watch.is_latest() {
            self.watch.shared.limiter.release();
        }
        Box::pin(async {})
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::SeqCst;

    use phoenix_component::factory::Shared;
    use phoenix_component::{FakeMemory, StatusReporter};

    use super::*;

    const MIB: u64 = 1 << 20;

    #[tokio::test(start_paused = true)]
    async fn the_latest_extension_of_an_identifier_judges_for_all_listeners() {
        let memory = Arc::new(FakeMemory::default());
        let host = Host { memory: memory.clone(), ..Host::for_tests() };
        let (id, shared) = (ComponentId::parse("memory_limiter").expect("an identifier"), Shared::default());
        let make = |limit_mib| {
            let status = StatusReporter::detached(Kind::Extension, id.clone());
            let cx = CreateContext { id: &id, host: &host, status, shared: &shared };
            let check_interval = phoenix_config::GoDuration::from_secs(1);
            let config = MemoryLimiterConfig { limit_mib, check_interval, ..MemoryLimiterConfig::default() };
            MemoryLimiter::new(&config, &cx)
        };
        assert!(host.capabilities.find::<Limiter>(&id).is_none());
        let old = make(100);
        assert_eq!(old.memory_limit(), Some(80 * MIB as usize));
        old.start(&host).await.expect("started");
        let limiter = host.capabilities.find::<Limiter>(&id).expect("offered");
        memory.resident.store(90 * MIB, SeqCst);
        assert!(!limiter.refuses());
        old.pipelines_ready(true);
        assert!(limiter.refuses(), "checked at once");
        memory.resident.store(70 * MIB, SeqCst);
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert!(!limiter.refuses(), "checked again");

        // Made, and given up since something else did not start.
        let given_up = make(10);
        given_up.start(&host).await.expect("started");
        tokio::time::sleep(Duration::from_secs(2)).await;
        given_up.stop(Instant::now()).await;
        assert!(!limiter.refuses() && host.capabilities.find::<Limiter>(&id).is_some());

        let new = make(50);
        new.start(&host).await.expect("started");
        new.pipelines_ready(true);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(limiter.refuses(), "the old one, which drains, does not judge any more");
        old.stop(Instant::now()).await;
        assert!(limiter.refuses());
        new.stop(Instant::now()).await;
        assert!(!limiter.refuses() && host.capabilities.find::<Limiter>(&id).is_none());
    }
}
