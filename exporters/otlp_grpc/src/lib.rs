//! The `otlp_grpc` exporter (also `otlp`): OTLP over gRPC.
//!
//! A batch goes out in the pieces in which it came, over connections that belong to the core it is sent
//! from. Queue, retries and books are `phoenix-delivery`'s, connections `phoenix-transport`'s; what is here
//! are the settings and the meaning of answers.

mod config;
mod exporter;
mod factory;

pub use config::OtlpGrpcConfig;
pub use factory::OtlpGrpcFactory;
