use std::borrow::Cow;

use super::Value;

/// Values by key, in the order in which they were put in.
///
/// Keys that stand twice (which nothing on the wire forbids) are kept; the first counts.
#[derive(Clone, Debug, Default)]
pub struct Map<'a> {
    entries: Vec<(Cow<'a, str>, Value<'a>)>,
}

impl<'a> Map<'a> {
    /// A map without entries.
    pub fn new() -> Map<'a> {
        Map::default()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first value with this key.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The first value with this key, to change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value<'a>> {
        self.entries.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Puts a value in the place of the one with this key, or at the end.
    pub fn insert(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Value<'a>>) {
        let (key, value) = (key.into(), value.into());
        match self.get_mut(&key) {
            Some(place) => *place = value,
            None => self.entries.push((key, value)),
        }
    }

    /// Adds an entry at the end, whose key must be new.
    pub fn push(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Value<'a>>) {
        self.entries.push((key.into(), value.into()));
    }

    /// Removes the first entry with this key. The last one takes its place, as in the original.
    pub fn remove(&mut self, key: &str) -> Option<Value<'a>> {
        let index = self.entries.iter().position(|(name, _)| name == key)?;
        Some(self.entries.swap_remove(index).1)
    }

    /// Keeps the entries for which `keep` says so, in their order.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &mut Value<'a>) -> bool) {
        self.entries.retain_mut(|(key, value)| keep(key, value));
    }

    /// The entries, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value<'a>)> {
        self.entries.iter().map(|(key, value)| (&**key, value))
    }

    /// The entries, in order, their values to change.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&str, &mut Value<'a>)> {
        self.entries.iter_mut().map(|(key, value)| (&**key, value))
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.iter().map(|(key, _)| &**key)
    }

    /// Copies what is borrowed.
    pub fn into_owned(self) -> Map<'static> {
        let owned = |(key, value): (Cow<'a, str>, Value<'a>)| (key.into_owned().into(), value.into_owned());
        Map { entries: self.entries.into_iter().map(owned).collect() }
    }
}

/// The order of entries does not count.
impl PartialEq for Map<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().all(|(key, value)| other.get(key).is_some_and(|theirs| theirs == value))
    }
}

impl<'a> IntoIterator for Map<'a> {
    type Item = (Cow<'a, str>, Value<'a>);
    type IntoIter = std::vec::IntoIter<(Cow<'a, str>, Value<'a>)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a, K: Into<Cow<'a, str>>, V: Into<Value<'a>>> FromIterator<(K, V)> for Map<'a> {
    /// Later entries replace earlier ones with the same key.
    fn from_iter<T: IntoIterator<Item = (K, V)>>(entries: T) -> Self {
        let mut map = Map::new();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(keys: &[&'static str]) -> Map<'static> {
        keys.iter().zip(0..).map(|(key, value): (_, i64)| (*key, value)).collect()
    }

    #[test]
    fn removing_moves_the_last_entry_into_the_hole() {
        let mut map = map(&["a", "b", "c", "d"]);
        assert_eq!(map.remove("b"), Some(Value::Int(1)));
        assert_eq!(map.keys().collect::<Vec<_>>(), ["a", "d", "c"]);
        assert_eq!(map.remove("b"), None);
    }

    #[test]
    fn equality_ignores_the_order_and_nothing_else() {
        let mut other = Map::new();
        other.insert("b", 1);
        other.insert("a", 0);
        assert_eq!(map(&["a", "b"]), other);
        other.insert("a", 0.0);
        assert_ne!(map(&["a", "b"]), other);
    }
}
