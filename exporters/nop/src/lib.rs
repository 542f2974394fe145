//! Takes everything and sends nothing: for measuring pipelines, and for parking one.

mod exporter;

use std::sync::Arc;

use phoenix_component::Change;
use phoenix_component::factory::{Stability, Support};
use phoenix_config::{Described, Settings};
use serde::Deserialize;

pub use exporter::Nop;

/// Settings of the `nop` exporter: there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct NopConfig {}

impl Settings for NopConfig {}

phoenix_component::exporter_factory! {
    /// Makes `nop` exporters.
    NopFactory: "nop", NopConfig;
    create: |_, cx, signal| Ok(Arc::new(Nop::new(&cx.host.metrics, &cx.id.to_string(), signal))),
    signals: Support::all(Stability::Beta),
    change: |_, _| Change::stateless(),
}

#[cfg(test)]
mod tests {
    use phoenix_component::harness::assert_example_is_valid;

    use super::*;

    #[test]
    fn the_example_of_the_readme_is_valid() {
        assert_example_is_valid(&NopFactory, include_str!("../README.md"), "exporters::nop");
    }
}
