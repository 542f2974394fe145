//! Changes attributes of resources.
//!
//! A request of one resource costs one copy and a look at a few attributes, whatever the number of its records.

mod config;
mod processor;

use std::sync::Arc;

use phoenix_attributes::Actions;
use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, Factory, ProcessorFactory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{Change, Processor, StartError};
use phoenix_config::{Described, Node, PipelineId, Problems, Shape};

pub use config::ResourceConfig;

use processor::ResourceProcessor;

/// Makes `resource` processors.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "resource",
    aliases: &[],
    signals: &Support::all(Stability::Beta),
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for ResourceFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<ResourceConfig>(section, problems)
    }

    fn change(&self, _old: &dyn AnySettings, _new: Option<&dyn AnySettings>) -> Change {
        Change::stateless()
    }

    fn shape(&self) -> Shape {
        ResourceConfig::shape()
    }
}

impl ProcessorFactory for ResourceFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        _cx: CreateContext<'_>,
        _pipeline: &PipelineId,
    ) -> Result<Processor, StartError> {
        let config: &ResourceConfig = settings_of(settings);
        let actions = Actions::new(&config.attributes).map_err(StartError::because)?;
        Ok(Processor::Transform(Arc::new(ResourceProcessor { actions })))
    }
}
