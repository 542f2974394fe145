//! The tree that YAML becomes: plain values, each with the place where it was written.
//!
//! Nodes share their children, so a clone costs one reference count. Equality looks at values alone: a section that
//! moved within its file is the same section, which is what a swap of configurations asks.

use crate::merge::Operator;
use crate::path::KeyPath;
use crate::source::Location;
use std::collections::HashMap;
use std::sync::Arc;

/// A value and where it was written.
#[derive(Clone, Debug, Default)]
pub struct Node {
    value: Value,
    location: Location,
    operator: Option<Operator>,
}

/// What a node holds.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// `null`, `~`, or nothing at all.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above the range of [`Value::Int`].
    Uint(u64),
    /// A number with a fraction or an exponent.
    Float(f64),
    /// Text.
    String(Arc<str>),
    /// A sequence.
    List(Arc<Vec<Node>>),
    /// A mapping, in the order of the source.
    Map(Map),
    /// What a `${…}` that was the whole scalar stood for.
    Expanded(Arc<Expanded>),
    /// A `${…}` that could not be resolved; the reason has been reported.
    Unresolved,
}

/// The result of a substitution: a field that wants text reads `text`, any other reads `value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Expanded {
    /// The text, parsed as YAML.
    pub value: Value,
    /// The text as it was retrieved.
    pub text: Arc<str>,
}

/// A mapping from text to nodes that keeps the order of its source.
#[derive(Clone, Debug, Default)]
pub struct Map(Arc<Vec<Entry>>);

/// A key and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: Arc<str>,
    /// Where the key was written.
    pub key_location: Location,
    /// The value.
    pub value: Node,
}

impl Node {
    /// A value written at `location`.
    pub fn new(value: Value, location: Location) -> Node {
        Node { value, location, operator: None }
    }

    /// What it does to earlier sources, where it is tagged so.
    pub(crate) fn operator(&self) -> Option<Operator> {
        self.operator
    }

    pub(crate) fn with_operator(self, operator: Option<Operator>) -> Node {
        Node { operator, ..self }
    }

    pub(crate) fn without_operator(self) -> Node {
        self.with_operator(None)
    }

    /// What the node holds, with substitutions still told apart.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// What the node holds; a substitution counts as its parsed value.
    pub fn plain(&self) -> &Value {
        match &self.value {
            Value::Expanded(expanded) => &expanded.value,
            value => value,
        }
    }

    /// Where it was written.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The mapping, if this is one.
    pub fn as_map(&self) -> Option<&Map> {
        match self.plain() {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The items, if this is a list.
    pub fn as_list(&self) -> Option<&[Node]> {
        match self.plain() {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The text that a field for text would read, if this is text.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            Value::Expanded(expanded) => Some(&expanded.text),
            _ => None,
        }
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        matches!(self.plain(), Value::Null)
    }

    /// The child under a key, or at an index if this is a list.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match self.plain() {
            Value::Map(map) => map.get(key),
            Value::List(items) => items.get(key.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// The node at the end of a path.
    pub fn at(&self, path: &KeyPath) -> Option<&Node> {
        path.keys().try_fold(self, |node, key| node.get(key))
    }

    /// The value in words, for messages. Never shows a text, nor what a substitution gave: it may be a secret.
    pub fn describe(&self) -> String {
        let expanded = matches!(self.value, Value::Expanded(_));
        match self.plain() {
            Value::Null => "null".into(),
            Value::Bool(value) if !expanded => format!("the boolean {value}"),
            Value::Int(value) if !expanded => format!("the number {value}"),
            Value::Uint(value) if !expanded => format!("the number {value}"),
            Value::Float(value) if !expanded => format!("the number {value}"),
            Value::Bool(_) => "a boolean".into(),
            Value::Int(_) | Value::Uint(_) | Value::Float(_) => "a number".into(),
            Value::String(_) => "a string".into(),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a map".into(),
            Value::Expanded(_) | Value::Unresolved => "an unresolved value".into(),
        }
    }
}

/// Values alone: where they were written does not matter.
impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        self.value == other.value
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) | (Value::Unresolved, Value::Unresolved) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Uint(a), Value::Uint(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Value::String(a), Value::String(b)) => a == b,
            (Value::List(a), Value::List(b)) => Arc::ptr_eq(a, b) || a == b,
            (Value::Map(a), Value::Map(b)) => a == b,
            (Value::Expanded(a), Value::Expanded(b)) => a == b,
            _ => false,
        }
    }
}

impl Map {
    /// A mapping of these entries, whose keys differ.
    pub fn new(entries: Vec<Entry>) -> Map {
        Map(Arc::new(entries))
    }

    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of a key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| &*entry.key == key)
    }

    /// The entries in the order of the source.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries, for changing them.
    pub(crate) fn into_entries(self) -> Vec<Entry> {
        Arc::try_unwrap(self.0).unwrap_or_else(|shared| (*shared).clone())
    }
}

/// Order does not matter.
impl PartialEq for Map {
    fn eq(&self, other: &Map) -> bool {
        if Arc::ptr_eq(&self.0, &other.0) {
            return true;
        }
        if self.len() != other.len() {
            return false;
        }
        let theirs: HashMap<&str, &Node> = other.0.iter().map(|entry| (&*entry.key, &entry.value)).collect();
        self.0.iter().all(|entry| theirs.get(&*entry.key).is_some_and(|value| **value == entry.value))
    }
}
