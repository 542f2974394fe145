//! Sends what meets a condition to pipelines of its own: whole resources, or single spans, metrics, data points and log
//! records.
//!
//! Routes are asked in order. A request is cut in two for each route that takes some of it, over the bytes; what is all
//! taken, or not at all, is shared. Parts are sent at the same time, and where some pipelines take theirs only the others are asked again.

mod config;
mod deliver;
mod request;
mod router;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, ConnectorFactory, CreateContext, Descriptor, Factory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{Change, Connector, ConnectorOutlets, StartError};
use phoenix_config::{Described, Node, Problems, Shape};
use phoenix_pdata::Signal;

pub use config::{Route, RouteAction, RoutingConfig};

use router::Router;

/// Makes `routing` connectors.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoutingFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "routing",
    aliases: &[],
    signals: &Support::all(Stability::Beta),
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for RoutingFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<RoutingConfig>(section, problems)
    }

    fn change(&self, _old: &dyn AnySettings, _new: Option<&dyn AnySettings>) -> Change {
        Change::stateless()
    }

    fn shape(&self) -> Shape {
        RoutingConfig::shape()
    }
}

impl ConnectorFactory for RoutingFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        from: Signal,
        _to: Signal,
        outlets: ConnectorOutlets,
    ) -> Result<Connector, StartError> {
        Ok(Connector::Flow(Arc::new(Router::new(settings_of(settings), from, &cx, &outlets)?)))
    }
}

#[cfg(test)]
mod tests;
