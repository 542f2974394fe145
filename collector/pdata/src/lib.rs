//! OTLP as bytes: validation, views, edits, split and merge.
//!
//! The data model of Phoenix *is* OTLP on the wire. A request is scanned once, on receipt, by
//! [`validate()`], and from then on travels as the bytes that came ([`Payload`]); whoever needs a field
//! reads it through a [`view`], whoever changes one goes through an [`Editor`].
//!
//! - Each piece of a payload is a valid request of its own, so payloads are joined by joining lists.
//! - In a validated request, a message that is not `repeated` occurs at most once. `validate` sees to
//!   that; everything else relies on it.
//! - The order of fields is never assumed, and unknown fields survive.
//! - Nothing panics on bytes that are not a request, and all work is linear in their number.
//!
//! This crate does no I/O and knows nothing else of Phoenix.

mod assemble;
mod deal;
mod edit;
mod encoded;
pub mod json;
mod merge;
mod payload;
#[cfg(test)]
mod properties;
mod rewrite;
mod schema;
mod shape;
mod signal;
mod split;
mod utf8;
mod validate;
pub mod view;
pub mod walk;
pub mod wire;
pub mod write;

pub use deal::{Deal, deal};
pub use edit::{Attributed, Editor, Upsert, edit, prune};
pub use encoded::{Coding, Codings, Decode};
pub use merge::coalesce;
pub use payload::Payload;
pub use rewrite::{Rewriter, rewrite};
pub use shape::count_items;
pub use signal::Signal;
pub use split::{Chunk, split_bytes, split_items, take_items};
pub use validate::{Counts, InvalidUtf8, MAX_DEPTH, Malformed, Reason, check, validate};
