//! Words of settings that are read in a way of their own, in any case for example.

use serde::de::{Deserializer, EnumAccess, Error, VariantAccess as _, Visitor};
use std::fmt;

/// Reads a word, one of `names`; nothing, and a variable that is empty, keep the default, as for every other word.
///
/// # Errors
/// Where `read` does not know it.
pub fn read_word<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    names: &'static [&'static str],
    read: fn(&str) -> Option<T>,
) -> Result<T, D::Error> {
    deserializer.deserialize_enum("word", names, Word { names, read })
}

struct Word<T> {
    names: &'static [&'static str],
    read: fn(&str) -> Option<T>,
}

impl<'de, T> Visitor<'de> for Word<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one of {}", self.names.join(", "))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, word: A) -> Result<T, A::Error> {
        let (word, nothing) = word.variant::<String>()?;
        nothing.unit_variant()?;
        (self.read)(&word).ok_or_else(|| A::Error::unknown_variant(&word, self.names))
    }
}
