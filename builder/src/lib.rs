//! From a manifest in the shape of otelcol's builder (ocb) to a distribution with just the components that it names.
//!
//! ```text
//! manifest ─ read ─> Manifest ─ choose(catalog) ─> Selection ─ package ─> files ─ cargo ─> binary
//! ```
//!
//! The catalog is `builder/phoenix.yaml`: what Phoenix has, which Go modules that replaces, and so also the
//! default distribution. Whatever is wrong with a manifest is reported at once, with file, line and column.

mod catalog;
mod choose;
mod compile;
mod manifest;
mod package;
mod registry;
mod source;

pub use catalog::Catalog;
pub use choose::{Chosen, From, Selection, choose};
pub use compile::{CompileError, Compiler};
pub use manifest::{Component, Dist, Manifest, PhoenixSource, ProviderEntry, read, read_checked, read_text};
pub use package::{Package, package};
pub use registry::{OutOfDate, check_registry, write_registry};
pub use source::{Phoenix, is_checkout};
