//! Sections with settings of somebody else's: those of an extension, in the section of the component that asks it.

use crate::opaque::REDACTED;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;
use std::marker::PhantomData;

/// The name under which such a section announces itself to a deserializer.
pub(crate) const NAME: &str = "$phoenix::Foreign";
/// The name under which the settings in it do.
pub(crate) const SETTINGS_NAME: &str = "$phoenix::ForeignSettings";
/// The key whose word says whose settings there are.
pub(crate) const KIND: &str = "type";

/// Settings below the key that the word at `type` names. Nobody here knows what in them is secret, so all of it is.
#[derive(Clone, PartialEq)]
pub struct Foreign {
    /// The word.
    pub kind: String,
    /// What stands below the key of that name.
    pub settings: Value,
}

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Foreign").field("kind", &self.kind).field("settings", &REDACTED).finish()
    }
}

/// Reads a section whose `type` may be a word that it does not know by itself: then a key of that name has settings for
/// whoever knows it, and the rest of the section is read without these two. A word that is neither known nor
/// there as a key is read as any other, so that it is reported as unknown.
///
/// # Errors
/// What the section's own type reports.
pub fn read_with_foreign<'de, D, S>(
    deserializer: D,
    is_known: fn(&str) -> bool,
    section: S,
) -> Result<(S::Value, Option<Foreign>), D::Error>
where
    D: Deserializer<'de>,
    S: DeserializeSeed<'de>,
{
    deserializer.deserialize_newtype_struct(NAME, Section { is_known, section, of: PhantomData })
}

struct ForeignSettings(Value);

impl<'de> Deserialize<'de> for ForeignSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ForeignSettings, D::Error> {
        deserializer.deserialize_newtype_struct(SETTINGS_NAME, ForeignSettings(Value::Null))
    }
}

impl<'de> Visitor<'de> for ForeignSettings {
    type Value = ForeignSettings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("settings")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<ForeignSettings, D::Error> {
        Value::deserialize(deserializer).map(ForeignSettings)
    }
}

struct Section<'de, S> {
    is_known: fn(&str) -> bool,
    section: S,
    of: PhantomData<&'de ()>,
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Section<'de, S> {
    type Value = (S::Value, Option<Foreign>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of settings")
    }

    /// This crate's own deserializer offers four views of the section: the word, what stands below the key of that
    /// name, everything, and everything but these two.
    fn visit_seq<A: SeqAccess<'de>>(self, mut views: A) -> Result<Self::Value, A::Error> {
        let missing = || A::Error::custom("the section cannot be read");
        let kind = views.next_element::<Option<String>>()?.flatten();
        match kind.filter(|kind| !(self.is_known)(kind)) {
            None => {
                views.next_element::<IgnoredAny>()?;
                let section = views.next_element_seed(self.section)?.ok_or_else(missing)?;
                Ok((section, None))
            }
            Some(kind) => {
                let ForeignSettings(settings) = views.next_element()?.ok_or_else(missing)?;
                views.next_element::<IgnoredAny>()?;
                let section = views.next_element_seed(self.section)?.ok_or_else(missing)?;
                Ok((section, Some(Foreign { kind, settings })))
            }
        }
    }

    /// Other deserializers know nothing of it: the section alone.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        Ok((self.section.deserialize(deserializer)?, None))
    }
}

#[cfg(test)]
mod tests;
