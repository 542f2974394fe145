//! OpenID Connect: listeners let in who shows a JWT that one of the configured providers has signed.
//!
//! The claims, the signature and the keys are plain functions of bytes and a time ([`jwt`], [`jwks`]); a task for
//! each provider fetches keys, and nothing else touches the network.

mod config;
mod extension;
pub mod jwks;
pub mod jwt;
mod keys;
mod provider;
mod server;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExtensionFactory, Factory, SharedSettings, parse_settings,
    settings_of,
};
use phoenix_component::{Change, Extension, StartError, Touch};
use phoenix_config::{Described, Node, Problems, Shape};

pub use config::{OidcConfig, ProviderSettings};
pub use extension::Oidc;

/// Makes `oidc` extensions.
#[derive(Clone, Copy, Debug, Default)]
pub struct OidcFactory;

const DESCRIPTOR: Descriptor =
    Descriptor { name: "oidc", aliases: &[], signals: &[], module: env!("CARGO_PKG_NAME") };

impl Factory for OidcFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<OidcConfig>(section, problems)
    }

    /// Whoever asks it keeps the way to it, whatever the settings are.
    fn change(&self, _old: &dyn AnySettings, _new: Option<&dyn AnySettings>) -> Change {
        Change::stateless()
    }

    fn shape(&self) -> Shape {
        OidcConfig::shape()
    }

    fn touches(&self, settings: &dyn AnySettings) -> Vec<Touch> {
        settings_of::<OidcConfig>(settings).touches()
    }
}

impl ExtensionFactory for OidcFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
    ) -> Result<Arc<dyn Extension>, StartError> {
        Ok(Arc::new(Oidc::new(settings_of(settings), &cx)?))
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
        let path = KeyPath::parse("extensions::oidc");
        let section = root.at(&path).expect("the section");
        let mut problems = Problems::in_section(path, section, &Location::nowhere());
        assert!(OidcFactory.parse(section, &mut problems).is_some(), "{problems}");
        assert!(problems.is_empty(), "{problems}");
    }
}
