//! The `prometheus_remote_write` exporter (also `prometheusremotewrite`): metrics to everything that takes Prometheus
//! remote write, in version 1 or 2.
//!
//! Queue, retries and books are `phoenix-delivery`'s, connections `phoenix-transport`'s, names and series
//! `phoenix-prometheus`'. What is here are the settings, the requests and the meaning of answers.

mod alike;
mod answer;
mod config;
mod elements;
mod exporter;
mod factory;
mod metrics;
mod requests;

pub use config::RemoteWriteConfig;
pub use factory::RemoteWriteFactory;
