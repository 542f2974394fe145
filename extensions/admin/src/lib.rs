//! The administration of one collector over a Unix socket or loopback: status, effective configuration,
//! plan, apply, log level, books. JSON over HTTP.
//!
//! Whoever may use it rules the collector: it can be made to send what it gets elsewhere, and to read what
//! its user can read. So a Unix socket answers its own user and root alone, any other listener than loopback
//! is refused, and loopback wants a token, since every user of the machine reaches it.

mod config;
mod extension;
mod guard;
mod service;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExtensionFactory, Factory, SharedSettings, parse_settings,
    settings_of,
};
use phoenix_component::{Change, Extension, StartError, Touch};
use phoenix_config::{Described, Node, Problems, Shape};

pub use config::AdminConfig;
pub use extension::Admin;

/// Makes `admin` extensions.
#[derive(Clone, Copy, Debug, Default)]
pub struct AdminFactory;

const DESCRIPTOR: Descriptor =
    Descriptor { name: "admin", aliases: &[], signals: &[], module: env!("CARGO_PKG_NAME") };

impl Factory for AdminFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<AdminConfig>(section, problems)
    }

    fn shape(&self) -> Shape {
        AdminConfig::shape()
    }

    fn touches(&self, settings: &dyn AnySettings) -> Vec<Touch> {
        settings_of::<AdminConfig>(settings).touches()
    }

    fn change(&self, old: &dyn AnySettings, new: Option<&dyn AnySettings>) -> Change {
        let endpoint = |settings: &dyn AnySettings| settings_of::<AdminConfig>(settings).endpoint.clone();
        match new.map(endpoint) {
            Some(next) if next == endpoint(old) => Change::stateless(),
            Some(next) => Change::stateless().closing(endpoint(old), format!("moves to {next}")),
            None => Change::stateless().closing(
                endpoint(old),
                "the extension is removed: `plan`, `apply` and `status` cannot reach this collector any more",
            ),
        }
    }
}

impl ExtensionFactory for AdminFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
    ) -> Result<Arc<dyn Extension>, StartError> {
        let config: &AdminConfig = settings_of(settings);
        Ok(Arc::new(Admin::new(config.clone(), &cx.id.to_string())))
    }
}
