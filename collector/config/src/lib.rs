//! Configuration of Phoenix: YAML in, a checked description of pipelines out, with otelcol's semantics.
//!
//! Text becomes a tree of [`Node`]s that know where they were written; sections of it are read into typed settings
//! with [`decode`], and whatever is wrong is collected in [`Problems`], each with file, line, column and key.
//!
//! - Input: texts from providers (`file:`, `env:`, `yaml:`; others are handed in). No other I/O.
//! - Bounds: size, nesting and number of nodes of a text, rounds of substitution, problems per section.
//! - Elsewhere: this crate knows no component; a catalog of types is handed in, and components decode themselves.

// The derive macro names this crate by its own name, in its own tests too.
#[cfg(test)]
extern crate self as phoenix_config;

mod block;
mod config;
mod decode;
mod duration;
mod expand;
mod foreign;
mod id;
mod kind;
mod level;
mod merge;
mod node;
mod opaque;
mod path;
mod print;
mod problems;
mod provider;
mod resolve;
mod schema;
mod source;
mod suggest;
mod url_password;
mod word;
mod yaml;

pub use block::{Block, PresentBlock};
pub use config::{Component, Config, Pipeline, Service};
pub use decode::{Settings, decode, decode_checked, decode_text, parse_yaml};
pub use duration::{DurationError, GoDuration};
pub use foreign::{Foreign, read_with_foreign};
pub use id::{ComponentId, IdError, PipelineId};
pub use kind::{Catalog, Kind, Known};
pub use level::Level;
pub use node::{Entry, Expanded, Map, Node, Value};
pub use opaque::{Opaque, OpaqueMap, REDACTED};
pub use path::KeyPath;
pub use phoenix_config_derive::Described;
pub use print::{Secrets, to_json, to_yaml};
pub use problems::{Diagnostic, Problems, Readings, Severity};
pub use provider::{EnvProvider, FileProvider, Provider, ProviderError, Retrieved, YamlProvider};
pub use resolve::{Missing, Resolved, Resolver};
pub use schema::{
    Capability, ComponentShape, Described, Document, IgnoredType, Key, Page, Reference, Section, Shape,
    Status, Word, Written, reference_page, written_section,
};
pub use source::{Location, Source};
pub use suggest::nearest;
pub use word::read_word;
