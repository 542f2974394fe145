//! Changes attributes of resources.
//!
//! A request of one resource costs one copy and a look at a few attributes, whatever the number of its records.

mod config;
mod processor;

use std::sync::Arc;

use phoenix_attributes::Actions;
use phoenix_component::factory::{Stability, Support};
use phoenix_component::{Change, Processor, StartError};

pub use config::ResourceConfig;

use processor::ResourceProcessor;

phoenix_component::processor_factory! {
    /// Makes `resource` processors.
    ResourceFactory: "resource", ResourceConfig;
    create: |config, _, _| {
        let actions = Actions::new(&config.attributes).map_err(StartError::because)?;
        Ok(Processor::Transform(Arc::new(ResourceProcessor { actions })))
    },
    signals: Support::all(Stability::Beta),
    change: |_, _| Change::stateless(),
}
