//! Brings nothing in: for pipelines that only connectors or nobody feeds, and for checking configurations.

mod receiver;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, Factory, ReceiverFactory, SharedSettings, Stability, Support,
    parse_settings,
};
use phoenix_component::{Change, Outlets, Receiver, StartError};
use phoenix_config::{Described, Node, Problems, Settings, Shape};
use serde::Deserialize;

pub use receiver::Nop;

/// Settings of the `nop` receiver: there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct NopConfig {}

impl Settings for NopConfig {}

/// Makes `nop` receivers.
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

impl ReceiverFactory for NopFactory {
    fn create(
        &self,
        _settings: &dyn AnySettings,
        _cx: CreateContext<'_>,
        _outlets: Outlets,
    ) -> Result<Arc<dyn Receiver>, StartError> {
        Ok(Arc::new(Nop))
    }
}

#[cfg(test)]
mod tests {
    use phoenix_component::harness::assert_example_is_valid;

    use super::*;

    #[test]
    fn the_example_of_the_readme_is_valid() {
        assert_example_is_valid(&NopFactory, include_str!("../README.md"), "receivers::nop");
    }
}
