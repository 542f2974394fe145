//! Refuses requests while the process uses too much memory, before they are read.
//!
//! It measures resident memory once per `check_interval`, and offers the verdict to the listeners that
//! name it among their `middlewares`; to these a request costs one atomic load. Its soft limit also bounds the
//! collector's budget of bytes, as that of the processor of the same name does.

mod extension;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExtensionFactory, Factory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::limiter::MemoryLimiterConfig;
use phoenix_component::{Change, Extension, StartError};
use phoenix_config::{Described, Node, Problems, Shape};

pub use extension::MemoryLimiter;

/// Makes `memory_limiter` extensions.
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

    /// Listeners keep the verdict, which the next extension of this name gives.
    fn change(&self, _old: &dyn AnySettings, _new: Option<&dyn AnySettings>) -> Change {
        Change::stateless()
    }

    fn shape(&self) -> Shape {
        MemoryLimiterConfig::shape()
    }
}

impl ExtensionFactory for MemoryLimiterFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
    ) -> Result<Arc<dyn Extension>, StartError> {
        Ok(Arc::new(MemoryLimiter::new(settings_of(settings), &cx)))
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
        let path = KeyPath::parse("extensions::memory_limiter");
        let section = root.at(&path).expect("the section");
        let mut problems = Problems::in_section(path, section, &Location::nowhere());
        assert!(MemoryLimiterFactory.parse(section, &mut problems).is_some(), "{problems}");
        assert!(problems.is_empty(), "{problems}");
    }
}
