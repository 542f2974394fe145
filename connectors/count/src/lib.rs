//! Counts spans, span events, metrics, data points and log records, and sends the counts on as metrics.
//!
//! Counts are made for each request and resource, as delta sums: nothing is held. What is counted is looked at in place.

mod config;
mod counter;
mod emit;

use std::sync::Arc;

use phoenix_component::factory::{Stability, Support};
use phoenix_component::{Change, Connector};
use phoenix_pdata::Signal;

pub use config::{AttributeSettings, CountConfig, CountSettings};

use counter::Counter;

phoenix_component::connector_factory! {
    /// Makes `count` connectors.
    CountFactory: "count", CountConfig;
    create: |config, cx, (from, _), outlets| {
        Ok(Connector::Flow(Arc::new(Counter::new(config, from, cx, outlets.all)?)))
    },
    signals: [to_metrics(Signal::Traces), to_metrics(Signal::Metrics), to_metrics(Signal::Logs)],
    change: |_, _| Change::stateless(),
}

const fn to_metrics(from: Signal) -> Support {
    Support { from, to: Signal::Metrics, stability: Stability::Beta }
}

#[cfg(test)]
mod tests;
