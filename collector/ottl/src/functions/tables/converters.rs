//! The converters of all contexts: which parameters they take, what is checked when a statement is
//! compiled, and which algorithm they call.

mod encoding;
mod identifiers;
mod lists;
mod numbers;
mod parsers;
mod text;
mod time;
mod xml;

use std::sync::{Arc, Mutex};

use crate::function::{Family, Kind, Literals, Parameter};
use crate::run::{Arena, Datum, plain_text};
use crate::{EvalError, Value};

/// The tables, one for each family.
pub(super) const TABLES: Family = &[
    encoding::TABLE,
    identifiers::TABLE,
    lists::TABLE,
    numbers::TABLE,
    parsers::TABLE,
    text::TABLE,
    time::TABLE,
    xml::TABLE,
];

/// A parameter that must be given.
const fn new(name: &'static str, kind: Kind) -> Parameter {
    Parameter::new(name, kind)
}

/// The first parameter of functions of text.
const TEXT: Parameter = new("target", Kind::String);

/// The form of `stringify_all` and `body.string`.
fn plain(value: &Value<'_>) -> Result<String, EvalError> {
    let arena = Arena::default();
    let datum = Datum::from_value(value.clone().into_owned(), &arena);
    Ok(String::from_utf8_lossy(plain_text(&datum, &arena)?).into_owned())
}

/// What is made of arguments: once if they stand in the statement; else for each record, of which the last
/// is kept.
struct Made<K, T> {
    fixed: Option<Arc<T>>,
    last: Mutex<Option<(K, Arc<T>)>>,
    make: fn(&K) -> Result<T, EvalError>,
}

impl<K: PartialEq, T> Made<K, T> {
    /// `key` says what it is made of, if all of that stands in the statement.
    fn new(key: Option<K>, make: fn(&K) -> Result<T, EvalError>) -> Result<Self, String> {
        let fixed = key.map(|key| make(&key).map(Arc::new)).transpose().map_err(|error| error.to_string())?;
        Ok(Self { fixed, last: Mutex::new(None), make })
    }

    fn get(&self, key: impl FnOnce() -> K) -> Result<Arc<T>, EvalError> {
        if let Some(fixed) = &self.fixed {
            return Ok(fixed.clone());
        }
        let key = key();
        // A thread that panicked while it held the lock left a whole value.
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((known, made)) = &*last
            && *known == key
        {
            return Ok(made.clone());
        }
        let made = Arc::new((self.make)(&key)?);
        *last = Some((key, made.clone()));
        Ok(made)
    }
}

/// Text that stands in the statement, owned.
fn literal(literals: &Literals<'_>, index: usize) -> Option<String> {
    literals.str(index).map(str::to_owned)
}
