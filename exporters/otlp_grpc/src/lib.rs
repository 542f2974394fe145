//! The `otlp_grpc` exporter (also `otlp`): OTLP over gRPC.
//!
//! A batch goes out in the pieces in which it came, over connections that belong to the core it is sent
//! from. Settings and attempts are `phoenix-otlp`'s, queue, retries and books `phoenix-delivery`'s.

mod exporter;
mod factory;

pub use factory::OtlpGrpcFactory;
pub use phoenix_otlp::OtlpGrpcConfig;
