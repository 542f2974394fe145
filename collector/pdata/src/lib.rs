//! OTLP as bytes: validation, views, edits, split and merge.
//!
//! The data model of Phoenix *is* OTLP on the wire. A request is scanned once, on receipt, and from
//! then on travels as the bytes that came ([`Payload`]); whoever needs a field reads it through a view.
//!
//! This crate does no I/O and knows nothing else of Phoenix.

mod payload;
mod schema;
mod signal;
mod utf8;
mod validate;
pub mod view;
pub mod wire;
pub mod write;

pub use payload::Payload;
pub use signal::Signal;
pub use validate::{Counts, InvalidUtf8, MAX_DEPTH, Malformed, Reason, validate};
