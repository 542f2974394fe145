//! Refuses data while the process uses too much memory, so that it is never killed for it.
//!
//! Resident memory is read once per `check_interval`; from the soft limit (the limit less the spike) on
//! every request is refused, retryably, until a later check finds less. A request costs one atomic load.
//! The soft limit also bounds the engine's budget of bytes, which refuses before memory is allocated, so
//! that in practice the budget acts first and this processor is the backstop.

mod metrics;
mod processor;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, Factory, ProcessorFactory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::limiter::{Limiter, Limits, MemoryLimiterConfig};
use phoenix_component::{Processor, StartError};
use phoenix_config::{Described, Kind, Node, PipelineId, Problems, Shape};

pub use processor::MemoryLimiter;

use metrics::LimiterMetrics;

/// Makes `memory_limiter` processors.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryLimiterFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "memory_limiter",
    aliases: &[],
    signals: &Support::all(Stability::Beta),
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for MemoryLimiterFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<MemoryLimiterConfig>(section, problems)
    }

    fn change(&self, _old: &dyn AnySettings, _new: Option<&dyn AnySettings>) -> phoenix_component::Change {
        phoenix_component::Change::stateless()
    }

    fn shape(&self) -> Shape {
        MemoryLimiterConfig::shape()
    }
}

impl ProcessorFactory for MemoryLimiterFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        pipeline: &PipelineId,
    ) -> Result<Processor, StartError> {
        let config: &MemoryLimiterConfig = settings_of(settings);
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
}

#[cfg(test)]
mod tests {
    use phoenix_config::{KeyPath, Location, Resolver, YamlProvider};

    use super::*;

    #[test]
    fn the_example_of_the_readme_is_valid() {
        let readme = include_str!("../README.md");
        let yaml =
            readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
        let resolver = Resolver::new().with(YamlProvider);
        let root = resolver.resolve(&[format!("yaml:{yaml}")], &[]).expect("YAML").root;
        let path = KeyPath::parse("processors::memory_limiter");
        let section = root.at(&path).expect("the section");
        let mut problems = Problems::in_section(path, section, &Location::nowhere());
        assert!(MemoryLimiterFactory.parse(section, &mut problems).is_some(), "{problems}");
        assert!(problems.is_empty(), "{problems}");
    }
}
