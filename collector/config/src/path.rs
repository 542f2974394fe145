//! The way from the root of a configuration to one of its values.

use std::fmt;
use std::sync::Arc;

/// Keys from the root down, printed with `::` between them; an item of a list is named by its index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyPath(Vec<Arc<str>>);

impl KeyPath {
    /// The root.
    pub fn root() -> KeyPath {
        KeyPath::default()
    }

    /// Reads `a::b::c`. An empty text is the root.
    pub fn parse(text: &str) -> KeyPath {
        KeyPath(text.split("::").filter(|part| !part.is_empty()).map(Arc::from).collect())
    }

    /// This path with one more key.
    pub fn join(&self, key: impl Into<Arc<str>>) -> KeyPath {
        let mut path = self.clone();
        path.push(key);
        path
    }

    /// This path followed by another.
    pub fn concat(&self, rest: &KeyPath) -> KeyPath {
        KeyPath(self.0.iter().chain(&rest.0).cloned().collect())
    }

    /// Goes one key down.
    pub fn push(&mut self, key: impl Into<Arc<str>>) {
        self.0.push(key.into());
    }

    /// Goes back up until `len` keys are left.
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether this is the root.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The last key.
    pub fn last(&self) -> Option<&str> {
        self.0.last().map(AsRef::as_ref)
    }

    /// All but the last key.
    pub fn parent(&self) -> KeyPath {
        let mut path = self.clone();
        path.0.pop();
        path
    }

    /// The keys, from the root down.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// Whether `other` is this value or lies inside it.
    pub fn contains(&self, other: &KeyPath) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, key) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("::")?;
            }
            f.write_str(key)?;
        }
        Ok(())
    }
}
