//! The algorithms behind converters and editors, on natural Rust types.
//!
//! A file for each family. Time and randomness are handed in, and whatever text can ask for is bounded.

pub mod case;
pub mod cidr;
pub mod clf;
pub mod community_id;
pub mod csv;
pub mod encode;
pub mod glob;
pub mod go_format;
pub mod go_regex;
pub mod grok;
pub mod hash;
pub mod json;
pub mod key_value;
pub mod leef;
pub mod luhn;
pub mod metric;
pub mod number;
pub mod severity;
pub mod span_name;
pub mod strings;
pub(crate) mod tables;
pub mod time;
pub mod url;
pub mod user_agent;
pub mod uuid;
pub mod xml;

#[cfg(test)]
mod properties;
