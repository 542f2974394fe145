//! Answers whether the collector's pipelines run, for probes and load balancers; in its second version also
//! how every pipeline and component is, over HTTP and gRPC.
//!
//! It runs on the control runtime's own thread, so that it answers however busy the data path is.

mod answer;
mod config;
mod extension;
mod rfc3339;
mod status;
mod v2;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExtensionFactory, Factory, SharedSettings, parse_settings,
    settings_of,
};
use phoenix_component::{Change, Extension, StartError, Touch};
use phoenix_config::{Described, Kind, Node, Problems, Shape};

pub use config::{
    CheckCollectorPipeline, ComponentHealth, ConfigPath, HealthCheckConfig, ResponseBody, StatusGrpc,
    StatusHttp, StatusPath,
};
pub use extension::{HealthCheck, Readiness};

/// Makes `health_check` extensions.
#[derive(Clone, Copy, Debug, Default)]
pub struct HealthCheckFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "health_check",
    aliases: &["healthcheckv2"],
    signals: &[],
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for HealthCheckFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<HealthCheckConfig>(section, problems)
    }

    fn change(&self, old: &dyn AnySettings, new: Option<&dyn AnySettings>) -> Change {
        let listeners = |settings: &dyn AnySettings| settings_of::<HealthCheckConfig>(settings).listeners();
        let next = new.map(listeners);
        let mut change = Change::stateless();
        for old in listeners(old) {
            let why = match &next {
                None => "the extension is removed".to_owned(),
                Some(next) if next.contains(&old) => continue,
                Some(next) => match next.iter().find(|(protocol, ..)| *protocol == old.0) {
                    Some((_, endpoint, ..)) if *endpoint != old.1 => format!("moves to {endpoint}"),
                    Some(_) => "TLS is set in another way".to_owned(),
                    None => "the protocol is turned off".to_owned(),
                },
            };
            change = change.closing(format!("{} {}", old.0, old.1), why);
        }
        change
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
        Ok(Arc::new(HealthCheck::new(config.clone(), &cx.id.to_string(), readiness)))
    }
}
