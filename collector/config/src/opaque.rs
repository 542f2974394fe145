//! Secrets: text that is used, never shown.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use std::fmt;

/// The name under which [`Opaque`] announces itself to a deserializer.
pub(crate) const NAME: &str = "$phoenix::Opaque";
/// The name under which [`OpaqueMap`] announces itself to a deserializer.
pub(crate) const MAP_NAME: &str = "$phoenix::OpaqueMap";
/// What stands for a secret wherever it would be shown.
pub const REDACTED: &str = "[REDACTED]";

/// A text that prints as `[REDACTED]`, whatever prints it.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Opaque(String);

impl Opaque {
    /// Hides a text.
    pub fn new(secret: impl Into<String>) -> Opaque {
        Opaque(secret.into())
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is no secret.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Opaque {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl<'de> Deserialize<'de> for Opaque {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Opaque, D::Error> {
        deserializer.deserialize_newtype_struct(NAME, OpaqueVisitor)
    }
}

struct OpaqueVisitor;

impl<'de> Visitor<'de> for OpaqueVisitor {
    type Value = Opaque;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Opaque, D::Error> {
        deserializer.deserialize_str(self)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Opaque, E> {
        Ok(Opaque(text.to_owned()))
    }
}

/// Names with secret values, such as request headers, in the order of the source.
///
/// Reads a map, or a list of `{name, value}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpaqueMap(Vec<(String, Opaque)>);

impl OpaqueMap {
    /// The pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Opaque)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The value of a name; case counts.
    pub fn get(&self, name: &str) -> Option<&Opaque> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, Opaque)> for OpaqueMap {
    fn from_iter<I: IntoIterator<Item = (String, Opaque)>>(pairs: I) -> OpaqueMap {
        OpaqueMap(pairs.into_iter().collect())
    }
}

impl Serialize for OpaqueMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for OpaqueMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OpaqueMap, D::Error> {
        deserializer.deserialize_newtype_struct(MAP_NAME, MapVisitor)
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    name: String,
    value: Opaque,
}

struct MapVisitor;

impl<'de> Visitor<'de> for MapVisitor {
    type Value = OpaqueMap;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map, or a list of {name, value}")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<OpaqueMap, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OpaqueMap, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(OpaqueMap(pairs))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OpaqueMap, A::Error> {
        let mut pairs: Vec<(String, Opaque)> = Vec::new();
        let mut repeated: Vec<String> = Vec::new();
        while let Some(Pair { name, value }) = list.next_element()? {
            if pairs.iter().any(|(known, _)| *known == name) && !repeated.contains(&name) {
                repeated.push(name.clone());
            }
            pairs.push((name, value));
        }
        if repeated.is_empty() {
            Ok(OpaqueMap(pairs))
        } else {
            Err(A::Error::custom(format!("duplicate keys in map-style list: {repeated:?}")))
        }
    }
}
