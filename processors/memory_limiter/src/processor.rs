use std::sync::Arc;
use std::time::Duration;

use phoenix_component::limiter::{Change, Limiter, Limits};
use phoenix_component::{Batch, Dropped, MemoryReader, Now, Refusal, Transform};

use crate::metrics::LimiterMetrics;

/// The limiter of one pipeline.
pub struct MemoryLimiter {
    pub(crate) id: String,
    pub(crate) limits: Limits,
    pub(crate) check_interval: Duration,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) memory: Arc<dyn MemoryReader>,
    pub(crate) metrics: LimiterMetrics,
}

impl Transform for MemoryLimiter {
    fn apply(&self, batch: Batch, _dropped: &mut Dropped) -> Result<Option<Batch>, Refusal> {
        if self.limiter.refuses() {
            self.metrics.refused.add(batch.items);
            return Err(Refusal::retryable("memory_limit", "data refused due to high memory usage"));
        }
        self.metrics.accepted.add(batch.items);
        Ok(Some(batch))
    }

    fn looks_inside(&self) -> bool {
        false
    }

    fn check_interval(&self) -> Option<Duration> {
        Some(self.check_interval)
    }

    fn check(&self, now: Now) {
        if !self.limiter.is_due(now.monotonic, self.check_interval) {
            return;
        }
        let (resident, change) = self.limiter.measure(&*self.memory, self.limits);
        let (processor, resident_mib, soft_limit_mib) =
            (self.id.as_str(), resident >> 20, self.limits.soft >> 20);
        match change {
            Some(Change::Refuses) => tracing::warn!(
                processor,
                resident_mib,
                soft_limit_mib,
                "memory usage is above the soft limit, refusing data"
            ),
            Some(Change::Resumes) => tracing::info!(
                processor,
                resident_mib,
                soft_limit_mib,
                "memory usage is back within limits, taking data again"
            ),
            None => {}
        }
    }

    fn memory_limit(&self) -> Option<usize> {
        Some(usize::try_from(self.limits.soft).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use phoenix_component::FakeMemory;
    use phoenix_pdata::{Payload, Signal};
    use phoenix_telemetry::Metrics;

    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn at(millis: u64) -> Now {
        Now { monotonic: Duration::from_millis(millis), unix_nanos: 0 }
    }

    #[test]
    fn refuses_from_the_soft_limit_on_in_every_pipeline() {
        let (metrics, memory) = (Metrics::default(), Arc::new(FakeMemory::default()));
        let limiter = Arc::new(Limiter::default());
        let pipeline = |signal| MemoryLimiter {
            id: "memory_limiter/x".into(),
            limits: Limits { hard: 100 * MIB, soft: 80 * MIB },
            check_interval: Duration::from_secs(1),
            limiter: limiter.clone(),
            memory: memory.clone(),
            metrics: LimiterMetrics::new(&metrics, "memory_limiter/x", signal),
        };
        let (traces, logs) = (pipeline(Signal::Traces), pipeline(Signal::Logs));
        let take = |limiter: &MemoryLimiter, signal, items| {
            limiter.apply(Batch::new(signal, Payload::default(), items), &mut Dropped::default())
        };

        memory.resident.store(80 * MIB - 1, Relaxed);
        traces.check(at(0));
        assert!(take(&traces, Signal::Traces, 5).expect("below the limit").is_some());

        memory.resident.store(80 * MIB, Relaxed);
        assert!(take(&traces, Signal::Traces, 1).is_ok(), "requests do not measure");
        traces.check(at(1000));
        let refusal = take(&logs, Signal::Logs, 7).expect_err("the other pipeline refuses too");
        assert!(refusal.is_retryable());
        assert_eq!(
            (refusal.reason(), refusal.message()),
            ("memory_limit", "data refused due to high memory usage")
        );

        memory.resident.store(10 * MIB, Relaxed);
        logs.check(at(1001));
        assert!(take(&logs, Signal::Logs, 1).is_err(), "checked a moment ago");
        logs.check(at(2000));
        assert!(take(&logs, Signal::Logs, 2).is_ok());

        let attributes = [("processor", "memory_limiter/x")];
        let sum = |name| metrics.sum(name, &attributes);
        assert_eq!(sum("otelcol_processor_memory_limiter_accepted_spans"), 6);
        assert_eq!(sum("otelcol_processor_memory_limiter_refused_log_records"), 8);
        assert_eq!(sum("otelcol_processor_memory_limiter_accepted_log_records"), 2);
        assert_eq!(traces.memory_limit(), Some(80 * MIB as usize));
        assert_eq!(traces.check_interval(), Some(Duration::from_secs(1)));
    }
}
