//! Pages about the running collector, for people: service, pipelines, extensions, feature gates, traces.
//!
//! They are made from what the collector knows at the moment that they are asked for. Only spans of its own work
//! are recorded for them, some of the latest, while the extension runs.
//! Every text that is not this crate's own is escaped.

mod config;
mod extension;
mod html;
mod pages;
mod traces;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExtensionFactory, Factory, SharedSettings, parse_settings,
    settings_of,
};
use phoenix_component::{Change, Extension, StartError, Touch};
use phoenix_config::{Described, Node, Problems, Shape};

pub use config::{Expvar, ZpagesConfig};
pub use extension::Zpages;

/// Makes `zpages` extensions.
#[derive(Clone, Copy, Debug, Default)]
pub struct ZpagesFactory;

const DESCRIPTOR: Descriptor =
    Descriptor { name: "zpages", aliases: &[], signals: &[], module: env!("CARGO_PKG_NAME") };

impl Factory for ZpagesFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<ZpagesConfig>(section, problems)
    }

    fn shape(&self) -> Shape {
        ZpagesConfig::shape()
    }

    fn touches(&self, settings: &dyn AnySettings) -> Vec<Touch> {
        settings_of::<ZpagesConfig>(settings).touches()
    }

    fn change(&self, old: &dyn AnySettings, new: Option<&dyn AnySettings>) -> Change {
        let old: &ZpagesConfig = settings_of(old);
        let change = Change::stateless();
        match new.map(settings_of::<ZpagesConfig>) {
            Some(new) if new.listens_as(old) => change,
            Some(new) => {
                change.closing(format!("http {}", old.endpoint), format!("moves to {}", new.endpoint))
            }
            None => change.closing(format!("http {}", old.endpoint), "the extension is removed"),
        }
    }
}

impl ExtensionFactory for ZpagesFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
    ) -> Result<Arc<dyn Extension>, StartError> {
        let config: &ZpagesConfig = settings_of(settings);
        Ok(Arc::new(Zpages::new(config.clone(), &cx.id.to_string())))
    }
}
