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

use phoenix_component::factory::{Stability, Support};
use phoenix_component::{Change, Connector};

pub use config::{Route, RouteAction, RoutingConfig};

use router::Router;

phoenix_component::connector_factory! {
    /// Makes `routing` connectors.
    RoutingFactory: "routing", RoutingConfig;
    create: |config, cx, (from, _), outlets| {
        Ok(Connector::Flow(Arc::new(Router::new(config, from, cx, &outlets)?)))
    },
    signals: Support::all(Stability::Beta),
    change: |_, _| Change::stateless(),
    pipelines: RoutingConfig::pipelines,
}

#[cfg(test)]
mod tests;
