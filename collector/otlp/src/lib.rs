//! Sending OTLP over gRPC to one place: settings, one attempt, and the meaning of answers.
//!
//! What exporters that do so share. Queue and retries are `phoenix-delivery`'s, connections
//! `phoenix-transport`'s.

mod config;
mod push;

pub use config::OtlpGrpcConfig;
pub use push::GrpcPush;
