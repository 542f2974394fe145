//! Sets headers of what exporters send: to fixed values, to metadata of the request that the data came with, or to
//! what an authenticator found of its sender.

mod config;
mod extension;
mod headers;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExtensionFactory, Factory, SharedSettings, parse_settings,
    settings_of,
};
use phoenix_component::{Change, Extension, StartError, Touch};
use phoenix_config::{Described, Node, Problems, Shape};

pub use config::{ActionKind, HeaderSettings, HeadersSetterConfig};
pub use extension::HeadersSetter;

/// Makes `headers_setter` extensions.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadersSetterFactory;

const DESCRIPTOR: Descriptor =
    Descriptor { name: "headers_setter", aliases: &[], signals: &[], module: env!("CARGO_PKG_NAME") };

impl Factory for HeadersSetterFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<HeadersSetterConfig>(section, problems)
    }

    /// Whoever sends through it keeps the way to it, whatever the settings are.
    fn change(&self, _old: &dyn AnySettings, _new: Option<&dyn AnySettings>) -> Change {
        Change::stateless()
    }

    fn shape(&self) -> Shape {
        HeadersSetterConfig::shape()
    }

    fn touches(&self, settings: &dyn AnySettings) -> Vec<Touch> {
        settings_of::<HeadersSetterConfig>(settings).touches()
    }
}

impl ExtensionFactory for HeadersSetterFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
    ) -> Result<Arc<dyn Extension>, StartError> {
        Ok(Arc::new(HeadersSetter::new(settings_of(settings), &cx)?))
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
        let path = KeyPath::parse("extensions::headers_setter");
        let section = root.at(&path).expect("the section");
        let mut problems = Problems::in_section(path, section, &Location::nowhere());
        assert!(HeadersSetterFactory.parse(section, &mut problems).is_some(), "{problems}");
        assert!(problems.is_empty(), "{problems}");
    }
}
