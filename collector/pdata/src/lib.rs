//! OTLP as bytes: validation, views, edits, split and merge.
//!
//! The data model of Phoenix *is* OTLP on the wire. A request is scanned once, on receipt, and from
//! then on travels as the bytes that came ([`Payload`]); whoever needs a field reads it through a view.
//!
//! This crate does no I/O and knows nothing else of Phoenix.

mod payload;
mod signal;

pub use payload::Payload;
pub use signal::Signal;
