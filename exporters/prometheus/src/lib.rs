//! The `prometheus` exporter: an endpoint that Prometheus scrapes.
//!
//! Names and series are `phoenix-prometheus`', the listener `phoenix-transport`'s. What is here is the store of the
//! latest values, and the text that a scrape gets.
//!
//! - Bounds: `max_series` series; beyond that new ones are refused and counted. Old ones expire.
//! - The store is locked for one data point by writers, and for one metric by a scrape: neither waits for long.

mod config;
mod exporter;
mod exposition;
mod factory;
mod metrics;
mod negotiation;
mod store;

pub use config::PrometheusConfig;
pub use factory::PrometheusFactory;
