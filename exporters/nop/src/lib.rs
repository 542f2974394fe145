//! Takes everything and sends nothing: for measuring pipelines, and for parking one.

mod exporter;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExporterFactory, Factory, SharedSettings, Stability, Support,
    parse_settings,
};
use phoenix_component::{Change, Exporter, StartError};
use phoenix_config::{Described, Node, Problems, Settings, Shape};
use phoenix_pdata::Signal;
use serde::Deserialize;

pub use exporter::Nop;

/// Settings of the `nop` exporter: there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct NopConfig {}

impl Settings for NopConfig {}

/// Makes `nop` exporters.
#[derive(Clone, Copy, Debug, Default)]
pub struct NopFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "nop",
    aliases: &[],
    signals: &Support::all(Stability::Beta),
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for NopFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<NopConfig>(section, problems)
    }

    fn change(&self, _old: &dyn AnySettings, _new: Option<&dyn AnySettings>) -> Change {
        Change::stateless()
    }

    fn shape(&self) -> Shape {
        NopConfig::shape()
    }
}

impl ExporterFactory for NopFactory {
    fn create(
        &self,
        _settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        signal: Signal,
    ) -> Result<Arc<dyn Exporter>, StartError> {
        Ok(Arc::new(Nop::new(&cx.host.metrics, &cx.id.to_string(), signal)))
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
        let path = KeyPath::parse("exporters::nop");
        let section = root.at(&path).expect("the section");
        let mut problems = Problems::in_section(path, section, &Location::nowhere());
        assert!(NopFactory.parse(section, &mut problems).is_some(), "{problems}");
        assert!(problems.is_empty(), "{problems}");
    }
}
