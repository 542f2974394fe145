//! Answers over HTTP whether the collector's pipelines run, for probes and load balancers.
//!
//! It runs on the control runtime's own thread, so that it answers however busy the data path is.

mod answer;
mod config;
mod extension;
mod rfc3339;
mod server;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExtensionFactory, Factory, SharedSettings, parse_settings,
    settings_of,
};
use phoenix_component::{Extension, StartError, Touch};
use phoenix_config::{Described, Kind, Node, Problems, Shape};

pub use config::{AnyKeys, CheckCollectorPipeline, HealthCheckConfig, ResponseBody};
pub use extension::{HealthCheck, Readiness};

/// Makes `health_check` extensions.
#[derive(Clone, Copy, Debug, Default)]
pub struct HealthCheckFactory;

const DESCRIPTOR: Descriptor =
    Descriptor { name: "health_check", aliases: &[], signals: &[], module: env!("CARGO_PKG_NAME") };

impl Factory for HealthCheckFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<HealthCheckConfig>(section, problems)
    }

    fn shape(&self) -> Shape {
        HealthCheckConfig::shape()
    }

    fn touches(&self, settings: &dyn AnySettings) -> Vec<Touch> {
        settings_of::<HealthCheckConfig>(settings).touches()
    }
}

impl ExtensionFactory for HealthCheckFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
    ) -> Result<Arc<dyn Extension>, StartError> {
        let config: &HealthCheckConfig = settings_of(settings);
        let readiness = cx.shared.get_or_make(Kind::Extension, cx.id, Readiness::default);
        Ok(Arc::new(HealthCheck::new(config.clone(), readiness)))
    }
}
