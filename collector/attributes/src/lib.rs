//! Actions on attributes, and which records they are for: what the processors `attributes`, `resource` and
//! `filter` share.
//!
//! - [`Actions`] insert, update, upsert, delete, hash, extract and convert attributes of one record after another,
//!   on the bytes: a record that no action changes is not copied, attributes that none touches are copied as they are.
//! - [`Selection`] says which records are meant, by `include` and `exclude`.
//!
//! Settings have otelcol's keys; so have the results, down to the order of the attributes.

mod actions;
mod list;
mod literal;
mod matching;
mod pattern;
mod value;

pub use actions::{ActionKind, ActionSettings, Actions, Target, validate_actions};
pub use list::{Body, List};
pub use literal::Literal;
pub use matching::{
    AttributeSettings, LibrarySettings, MatchSettings, MatchType, Matcher, Regexp, Selection,
    SeveritySettings, Verdict,
};
pub use pattern::{Pattern, PatternError, PatternSet};
pub use value::as_text;
