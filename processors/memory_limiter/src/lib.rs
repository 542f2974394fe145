//! Refuses data while the process uses too much memory, so that it is never killed for it.
//!
//! Resident memory is read once per `check_interval`; from the soft limit (the limit less the spike) on
//! every request is refused, retryably, until a later check finds less. A request costs one atomic load.
//! The soft limit also bounds the engine's budget of bytes, which refuses before memory is allocated, so
//! that in practice the budget acts first and this processor is the backstop.

mod metrics;
mod processor;

use std::sync::Arc;

use phoenix_component::factory::{CreateContext, Stability, Support};
use phoenix_component::limiter::{Limiter, Limits, MemoryLimiterConfig};
use phoenix_component::{Change, Processor, StartError};
use phoenix_config::{Kind, PipelineId};

pub use processor::MemoryLimiter;

use metrics::LimiterMetrics;

phoenix_component::processor_factory! {
    /// Makes `memory_limiter` processors.
    MemoryLimiterFactory: "memory_limiter", MemoryLimiterConfig;
    create: create,
    signals: Support::all(Stability::Beta),
    change: |_, _| Change::stateless(),
}

fn create(
    config: &MemoryLimiterConfig,
    cx: &CreateContext<'_>,
    pipeline: &PipelineId,
) -> Result<Processor, StartError> {
    let limits = Limits::new(config, cx.host.memory.total());
    let id = cx.id.to_string();
    let metrics = LimiterMetrics::new(&cx.host.metrics, &id, pipeline.signal());
    tracing::info!(
        processor = id,
        limit_mib = limits.hard >> 20,
        soft_limit_mib = limits.soft >> 20,
        check_interval = %config.check_interval,
        "memory limiter configured"
    );
    Ok(Processor::Transform(Arc::new(MemoryLimiter {
        id,
        limits,
        check_interval: config.check_interval.as_duration(),
        limiter: cx.shared.get_or_make(Kind::Processor, cx.id, Limiter::default),
        memory: cx.host.memory.clone(),
        metrics,
    })))
}

#[cfg(test)]
mod tests {
    use phoenix_component::harness::assert_example_is_valid;

    use super::*;

    #[test]
    fn the_example_of_the_readme_is_valid() {
        assert_example_is_valid(
            &MemoryLimiterFactory,
            include_str!("../README.md"),
            "processors::memory_limiter",
        );
    }
}
