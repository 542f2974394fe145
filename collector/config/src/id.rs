//! The names of components and pipelines: `type/name` and `signal/name`.

mod characters;

#[cfg(test)]
mod tests;

use phoenix_pdata::Signal;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest name, in bytes.
const MAX_NAME_BYTES: usize = 1024;
/// Longest type, in bytes.
const MAX_TYPE_BYTES: usize = 63;

/// Which component: its type, and a name that tells it from others of that type. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentId {
    type_name: Arc<str>,
    name: Arc<str>,
}

/// Which pipeline: its signal, and a name that tells it from others of that signal. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PipelineId {
    signal: Signal,
    name: Arc<str>,
}

/// Why a text is not an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing, or only white space.
    #[error("id must not be empty")]
    Empty,
    /// `/name`.
    #[error("in {0:?} id: the part before / should not be empty")]
    EmptyType(String),
    /// `type/`.
    #[error("in {0:?} id: the part after / should not be empty")]
    EmptyName(String),
    /// A type that is not a letter followed by at most 62 letters, digits and underscores.
    #[error("in {id:?} id: invalid character(s) in type {type_name:?}")]
    Type {
        /// The whole text.
        id: String,
        /// Its first part.
        type_name: String,
    },
    /// A name with white space, control characters or symbols, or one of more than 1024 bytes.
    #[error("in {id:?} id: invalid character(s) in name {name:?}")]
    Name {
        /// The whole text.
        id: String,
        /// Its second part.
        name: String,
    },
    /// A pipeline for something that is not a signal.
    #[error("in {id:?} id: unknown pipeline signal: {signal:?}")]
    Signal {
        /// The whole text.
        id: String,
        /// Its first part.
        signal: String,
    },
    /// A pipeline for profiles, which are not supported.
    #[error(
        "pipeline {0:?}: profiling signal support is at alpha level, gated under the \"service.profilesSupport\" feature gate"
    )]
    Profiles(String),
}

impl ComponentId {
    /// Reads `type` or `type/name`. White space around either part is dropped.
    ///
    /// # Errors
    /// What [`IdError`] lists.
    pub fn parse(text: &str) -> Result<ComponentId, IdError> {
        let (type_name, name) = split(text)?;
        if !is_type(type_name) {
            return Err(IdError::Type { id: text.to_owned(), type_name: type_name.to_owned() });
        }
        Ok(ComponentId { type_name: type_name.into(), name: check_name(text, name)?.into() })
    }

    /// The type as it was written, which may be an alias.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// The name; empty if there is none.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl PipelineId {
    /// Reads `signal` or `signal/name`. White space around either part is dropped.
    ///
    /// # Errors
    /// What [`IdError`] lists.
    pub fn parse(text: &str) -> Result<PipelineId, IdError> {
        let (signal_name, name) = split(text)?;
        let name = check_name(text, name)?;
        match Signal::from_name(signal_name) {
            Some(signal) => Ok(PipelineId { signal, name: name.into() }),
            None if signal_name == "profiles" => Err(IdError::Profiles(text.to_owned())),
            None => Err(IdError::Signal { id: text.to_owned(), signal: signal_name.to_owned() }),
        }
    }

    /// What the pipeline carries.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// The name; empty if there is none.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Both parts, trimmed; the second is empty if there is no `/`.
fn split(text: &str) -> Result<(&str, &str), IdError> {
    let (first, second) = match text.split_once('/') {
        Some((first, second)) => (first.trim(), Some(second.trim())),
        None => (text.trim(), None),
    };
    match (first, second) {
        ("", None) => Err(IdError::Empty),
        ("", Some(_)) => Err(IdError::EmptyType(text.to_owned())),
        (_, Some("")) => Err(IdError::EmptyName(text.to_owned())),
        (first, second) => Ok((first, second.unwrap_or_default())),
    }
}

fn is_type(text: &str) -> bool {
    text.len() <= MAX_TYPE_BYTES
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn check_name<'a>(id: &str, name: &'a str) -> Result<&'a str, IdError> {
    if name.len() <= MAX_NAME_BYTES && name.chars().all(is_name_character) {
        Ok(name)
    } else {
        Err(IdError::Name { id: id.to_owned(), name: name.to_owned() })
    }
}

/// Neither a separator nor a control character nor a symbol.
fn is_name_character(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_graphic() && !"$+<=>^`|~".contains(c);
    }
    let code = u32::from(c);
    characters::REFUSED
        .binary_search_by(|(first, last)| match (code < *first, code > *last) {
            (true, _) => std::cmp::Ordering::Greater,
            (_, true) => std::cmp::Ordering::Less,
            _ => std::cmp::Ordering::Equal,
        })
        .is_err()
}

fn write_id(f: &mut fmt::Formatter<'_>, first: &str, name: &str) -> fmt::Result {
    f.write_str(first)?;
    if name.is_empty() { Ok(()) } else { write!(f, "/{name}") }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_id(f, &self.type_name, &self.name)
    }
}

impl fmt::Display for PipelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_id(f, self.signal.name(), &self.name)
    }
}

impl FromStr for ComponentId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<ComponentId, IdError> {
        ComponentId::parse(text)
    }
}

impl FromStr for PipelineId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<PipelineId, IdError> {
        PipelineId::parse(text)
    }
}

impl Serialize for ComponentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ComponentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ComponentId, D::Error> {
        deserializer.deserialize_str(IdVisitor)
    }
}

struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = ComponentId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a component's id: `type` or `type/name`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ComponentId, E> {
        ComponentId::parse(text).map_err(E::custom)
    }
}
