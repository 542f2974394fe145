//! The receiver on loopback: what each request is answered over gRPC and HTTP, and what the pipelines get.

// Helpers of tests are tests.
#![allow(clippy::unwrap_used)]

mod encoded;
mod grpc;
mod http;
mod json;
mod rig;
mod swap;
mod tls;
mod unix;
