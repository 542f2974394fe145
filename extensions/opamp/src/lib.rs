//! An OpAMP client: tells a server how this collector is, and takes its configuration from there, by a hot swap.
//!
//! - Remote configurations are laid *under* the files that the collector was started with: what those say, a server
//!   cannot take away. One that fails, or makes the collector unhealthy, is taken back.
//! - Elsewhere: what a configuration means and how it is applied is the collector's ([`phoenix_component::Collector`]);
//!   messages and frames are [`phoenix_opamp`]'s.

mod agent;
mod config;
mod connection;
mod description;
mod extension;
mod link;
mod orphan;
mod remote;
mod report;
mod storage;
mod tap;
mod tasks;
mod vitals;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExtensionFactory, Factory, SharedSettings, parse_settings,
    settings_of,
};
use phoenix_component::{Change, Extension, StartError};
use phoenix_config::{Described, Node, Problems, Shape};

pub use config::OpampConfig;
pub use extension::Opamp;

/// Makes `opamp` extensions.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpampFactory;

const DESCRIPTOR: Descriptor =
    Descriptor { name: "opamp", aliases: &[], signals: &[], module: env!("CARGO_PKG_NAME") };

impl Factory for OpampFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<OpampConfig>(section, problems)
    }

    fn shape(&self) -> Shape {
        OpampConfig::shape()
    }

    fn change(&self, _: &dyn AnySettings, _: Option<&dyn AnySettings>) -> Change {
        Change::stateless()
    }
}

impl ExtensionFactory for OpampFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
    ) -> Result<Arc<dyn Extension>, StartError> {
        let config: &OpampConfig = settings_of(settings);
        Ok(Arc::new(Opamp::new(config.clone(), cx.id.clone())))
    }
}

#[cfg(test)]
mod tests {
    use phoenix_component::harness::assert_example_is_valid;

    use super::*;

    #[test]
    fn the_example_of_the_readme_is_valid() {
        let readme = include_str!("../README.md").replace("${env:PHOENIX_ENROLMENT_TOKEN}", "token");
        assert_example_is_valid(&OpampFactory, &readme, "extensions::opamp");
    }
}
