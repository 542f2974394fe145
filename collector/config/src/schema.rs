//! What may be written: the shape of settings, described by the types that decode them.
//!
//! [`Described`] is derived beside `Deserialize`, from the same attributes; JSON Schema ([`Document`]) and the
//! reference documentation ([`reference_page`]) are two views of the same [`Shape`].

mod described;
mod json;
mod reference;
mod references;
mod shape;

#[cfg(test)]
mod tests;

pub use described::{Described, Written, written_section};
pub use json::{ComponentShape, Document, IgnoredType};
pub use reference::{Page, reference_page};
pub use references::{Capability, Reference};
pub use shape::{Key, Section, Shape, Status, Word};
