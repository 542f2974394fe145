//! The `otlp_http` exporter (also `otlphttp`): OTLP over HTTP, as protobuf.
//!
//! Queue, retries and books are `phoenix-delivery`'s, connections `phoenix-transport`'s; what is here are
//! the settings and the meaning of answers.

mod answer;
mod config;
mod exporter;
mod factory;
mod format;

pub use config::OtlpHttpConfig;
pub use factory::OtlpHttpFactory;
