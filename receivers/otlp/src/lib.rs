//! The `otlp` receiver: OTLP over gRPC and over HTTP with protobuf.
//!
//! A request is collected into one buffer, validated in one scan and sent into the pipelines within its
//! connection's task; the answer is that of the pipelines. Nothing is decoded.
//!
//! - Input: OTLP requests; output: batches of validated bytes, each with its number of items.
//! - Cost: one copy of the body into a buffer of exactly its size, one scan, a few allocations a request.
//! - Elsewhere: connections, limits, TLS and compression are `phoenix-transport`'s, validation is
//!   `phoenix-pdata`'s.

mod client;
mod config;
mod grpc;
mod http;
mod intake;
mod metrics;
mod receiver;
