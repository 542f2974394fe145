//! OAuth 2.0 client credentials (RFC 6749, section 4.4): exporters send a token that this fetches, keeps and renews.

mod config;
mod extension;
mod token;
mod token_source;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExtensionFactory, Factory, SharedSettings, parse_settings,
    settings_of,
};
use phoenix_component::{Change, Extension, StartError, Touch};
use phoenix_config::{Described, Node, Problems, Shape};

pub use config::OAuth2ClientConfig;
pub use extension::OAuth2Client;

/// Makes `oauth2client` extensions.
#[derive(Clone, Copy, Debug, Default)]
pub struct OAuth2ClientFactory;

const DESCRIPTOR: Descriptor =
    Descriptor { name: "oauth2client", aliases: &[], signals: &[], module: env!("CARGO_PKG_NAME") };

impl Factory for OAuth2ClientFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<OAuth2ClientConfig>(section, problems)
    }

    /// Whoever sends through it keeps the way to it, whatever the settings are.
    fn change(&self, _old: &dyn AnySettings, _new: Option<&dyn AnySettings>) -> Change {
        Change::stateless()
    }

    fn shape(&self) -> Shape {
        OAuth2ClientConfig::shape()
    }

    fn touches(&self, settings: &dyn AnySettings) -> Vec<Touch> {
        settings_of::<OAuth2ClientConfig>(settings).touches()
    }
}

impl ExtensionFactory for OAuth2ClientFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
    ) -> Result<Arc<dyn Extension>, StartError> {
        Ok(Arc::new(OAuth2Client::new(settings_of(settings), &cx)?))
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
        let path = KeyPath::parse("extensions::oauth2client");
        let section = root.at(&path).expect("the section");
        let mut problems = Problems::in_section(path, section, &Location::nowhere());
        assert!(OAuth2ClientFactory.parse(section, &mut problems).is_some(), "{problems}");
        assert!(problems.is_empty(), "{problems}");
    }
}
