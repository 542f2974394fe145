//! The error that the deserializer works with: what went wrong, while the context knows where.

use serde::de::{Expected, Unexpected};
use std::fmt;

/// What went wrong at a node.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// Nothing: the node is `null`, and its surroundings keep their default.
    KeepDefault,
    /// Nothing new: the node could not be resolved, which has been reported.
    Unresolved,
    /// A key that the settings do not have.
    UnknownField { field: String, expected: &'static [&'static str] },
    /// A key that must be there is not.
    Missing(&'static str),
    /// A word that is not among those known.
    UnknownVariant { variant: String, expected: &'static [&'static str] },
    /// A value of the wrong type; the words say what was expected, what was found, and what would help.
    Mismatch { expected: String, found: String, help: Option<String> },
    /// What a type says about itself.
    Other(String),
}

#[derive(Debug)]
pub(super) struct Error(Box<Fault>);

impl Error {
    pub(super) fn into_fault(self) -> Fault {
        *self.0
    }

    /// For a secret: a help text would show it, and so would the words for what was found.
    pub(super) fn without_help(mut self) -> Error {
        if let Fault::Mismatch { found, help, .. } = &mut *self.0 {
            *help = Some("put it in quotes".into()).filter(|_| help.is_some());
            if found.starts_with("the ") {
                *found = "another type".into();
            }
        }
        self
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        Error(Box::new(fault))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Error {
        Fault::Other(message.to_string()).into()
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Error {
        Fault::Mismatch { expected: expected.to_string(), found: in_words(found), help: None }.into()
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Error {
        Fault::Mismatch { expected: expected.to_string(), found: in_words(found), help: None }.into()
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Error {
        Fault::UnknownVariant { variant: variant.to_owned(), expected }.into()
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Error {
        Fault::UnknownField { field: field.to_owned(), expected }.into()
    }

    fn missing_field(field: &'static str) -> Error {
        Fault::Missing(field).into()
    }
}

/// Never shows a text, which may be a secret.
fn in_words(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => format!("the boolean {value}"),
        Unexpected::Unsigned(value) => format!("the number {value}"),
        Unexpected::Signed(value) => format!("the number {value}"),
        Unexpected::Float(value) => format!("the number {value}"),
        Unexpected::Str(_) | Unexpected::Char(_) => "a string".into(),
        Unexpected::Unit | Unexpected::Option => "null".into(),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map => "a map".into(),
        other => other.to_string(),
    }
}
