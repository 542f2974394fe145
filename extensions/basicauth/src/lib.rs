//! Basic authentication: listeners look users up in an htpasswd, clients show one user's password.
//!
//! Passwords are hashed off the I/O runtimes, and a password that was right is known by a keyed digest, so that
//! bcrypt is paid once and not with every request.

mod config;
mod credentials;
mod extension;
pub mod htpasswd;
mod server;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExtensionFactory, Factory, SharedSettings, parse_settings,
    settings_of,
};
use phoenix_component::{Change, Extension, StartError, Touch};
use phoenix_config::{Described, Node, Problems, Shape};

pub use config::{BasicAuthConfig, ClientAuthSettings, HtpasswdSettings};
pub use extension::BasicAuth;

/// Makes `basicauth` extensions.
#[derive(Clone, Copy, Debug, Default)]
pub struct BasicAuthFactory;

const DESCRIPTOR: Descriptor =
    Descriptor { name: "basicauth", aliases: &[], signals: &[], module: env!("CARGO_PKG_NAME") };

impl Factory for BasicAuthFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<BasicAuthConfig>(section, problems)
    }

    /// Whoever asks it keeps the way to it, whatever the settings are.
    fn change(&self, _old: &dyn AnySettings, _new: Option<&dyn AnySettings>) -> Change {
        Change::stateless()
    }

    fn shape(&self) -> Shape {
        BasicAuthConfig::shape()
    }

    fn touches(&self, settings: &dyn AnySettings) -> Vec<Touch> {
        settings_of::<BasicAuthConfig>(settings).touches()
    }
}

impl ExtensionFactory for BasicAuthFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
    ) -> Result<Arc<dyn Extension>, StartError> {
        Ok(Arc::new(BasicAuth::new(settings_of(settings), &cx)?))
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
        let path = KeyPath::parse("extensions::basicauth");
        let section = root.at(&path).expect("the section");
        let mut problems = Problems::in_section(path, section, &Location::nowhere());
        assert!(BasicAuthFactory.parse(section, &mut problems).is_some(), "{problems}");
        assert!(problems.is_empty(), "{problems}");
    }
}
