//! Limits what each client may send, by token buckets.
//!
//! Listeners name it among their `middlewares`, and all that name the same one share its buckets: a client has one
//! allowance, whatever it connects by. The number of clients that are told apart has a bound.

mod buckets;
mod config;
mod extension;
mod key;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExtensionFactory, Factory, SharedSettings, parse_settings,
    settings_of,
};
use phoenix_component::{Change, Extension, StartError};
use phoenix_config::{Described, Node, Problems, Shape};

pub use config::{KeySource, RateLimiterConfig};
pub use extension::RateLimiter;

/// Makes `rate_limiter` extensions.
#[derive(Clone, Copy, Debug, Default)]
pub struct RateLimiterFactory;

const DESCRIPTOR: Descriptor =
    Descriptor { name: "rate_limiter", aliases: &[], signals: &[], module: env!("CARGO_PKG_NAME") };

impl Factory for RateLimiterFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<RateLimiterConfig>(section, problems)
    }

    /// Listeners keep the way to it; its buckets begin full again.
    fn change(&self, _old: &dyn AnySettings, _new: Option<&dyn AnySettings>) -> Change {
        Change::stateless()
    }

    fn shape(&self) -> Shape {
        RateLimiterConfig::shape()
    }
}

impl ExtensionFactory for RateLimiterFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
    ) -> Result<Arc<dyn Extension>, StartError> {
        Ok(Arc::new(RateLimiter::new(settings_of(settings), &cx)))
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
        let path = KeyPath::parse("extensions::rate_limiter");
        let section = root.at(&path).expect("the section");
        let mut problems = Problems::in_section(path, section, &Location::nowhere());
        assert!(RateLimiterFactory.parse(section, &mut problems).is_some(), "{problems}");
        assert!(problems.is_empty(), "{problems}");
    }
}
