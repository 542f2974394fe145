//! YAML text to [`Node`]s, as go-yaml v3 reads it into an untyped value.
//!
//! - Scalars follow [`scalar::resolve`]; quoted ones and those with a tag of their own are text.
//! - `<<` merges: keys that are written win over merged ones, earlier maps over later ones.
//! - A key that stands twice in a map is an error, which names both places.
//! - Only the first document counts.
//! - Tags of [`Operator`] are kept; other tags of one's own mean nothing on a list or a map.
//!
//! Bounded: [`MAX_BYTES`], [`MAX_DEPTH`], and [`MAX_NODES`] after aliases are followed.

pub(crate) mod scalar;

#[cfg(test)]
mod tests;

use crate::merge::Operator;
use crate::node::{Entry, Map, Node, Value};
use crate::source::{Location, Source};
use crate::suggest::nearest;
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use std::collections::HashMap;
use std::sync::Arc;

/// Longest text, in bytes.
pub(crate) const MAX_BYTES: usize = 16 << 20;
/// Deepest nesting.
pub(crate) const MAX_DEPTH: usize = 100;
/// Most nodes of a text, each alias counted as all that it stands for.
const MAX_NODES: usize = 1_000_000;

/// A text that was read.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) node: Node,
    /// A second document follows, which is not read.
    pub(crate) more_documents: bool,
}

/// Why a text is not usable YAML.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct YamlError {
    pub(crate) location: Location,
    pub(crate) message: String,
}

/// Reads the first document of a text; nothing at all is null.
pub(crate) fn parse(text: &str, source: &Arc<Source>) -> Result<Parsed, YamlError> {
    let at = |line, column| Location::new(source, line, column, 1);
    if text.len() > MAX_BYTES {
        let message = format!("longer than {} MiB", MAX_BYTES >> 20);
        return Err(YamlError { location: at(1, 1), message });
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder::new(source);
    let mut more_documents = false;
    while let Some(event) = parser.next_event() {
        let (event, span) = match event {
            Ok(event) => event,
            // What follows the first document does not count, right or wrong.
            Err(_) if builder.root.is_some() => break,
            Err(error) => {
                let location = at(small(error.marker().line()), small(error.marker().col() + 1));
                return Err(YamlError { location, message: format!("not valid YAML: {}", error.info()) });
            }
        };
        match event {
            Event::DocumentStart(_) if builder.root.is_some() => {
                more_documents = true;
                break;
            }
            Event::StreamEnd => break,
            event => builder.take(event, span)?,
        }
    }
    let node = builder.root.unwrap_or_else(|| Node::new(Value::Null, at(1, 1)));
    Ok(Parsed { node, more_documents })
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

struct Builder<'s> {
    source: &'s Arc<Source>,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchor>,
    nodes: usize,
    root: Option<Node>,
}

struct Anchor {
    node: Node,
    nodes: usize,
}

/// A collection whose end has not been seen.
struct Open {
    kind: Kind,
    anchor: usize,
    operator: Option<Operator>,
    location: Location,
    nodes_before: usize,
}

enum Kind {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, places: HashMap<Arc<str>, Location>, merged: Vec<Node>, key: Option<Key> },
}

struct Key {
    text: Arc<str>,
    location: Location,
    merges: bool,
}

impl<'s> Builder<'s> {
    fn new(source: &'s Arc<Source>) -> Builder<'s> {
        Builder { source, open: Vec::new(), anchors: HashMap::new(), nodes: 0, root: None }
    }

    fn location(&self, span: Span) -> Location {
        let start = span.start;
        let same_line = span.end.line() == start.line();
        let width = if same_line { span.end.col().saturating_sub(start.col()) } else { 1 };
        Location::new(self.source, small(start.line()), small(start.col() + 1), small(width))
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let location = self.location(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, anchor, tag.as_deref(), location)
            }
            Event::Alias(id) => self.alias(id, location),
            Event::SequenceStart(anchor, tag) => {
                self.start(Kind::List(Vec::new()), anchor, tag.as_deref(), location)
            }
            Event::MappingStart(anchor, tag) => {
                let (entries, places, merged) = (Vec::new(), HashMap::new(), Vec::new());
                let kind = Kind::Map { entries, places, merged, key: None };
                self.start(kind, anchor, tag.as_deref(), location)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        location: Location,
    ) -> Result<(), YamlError> {
        self.count(1, &location)?;
        let plain = style == ScalarStyle::Plain;
        if self.awaits_key() {
            let merges = plain && tag.is_none() && text == "<<";
            let text = if plain && tag.is_none() { key_text(text) } else { text.into() };
            return self.key(Key { text, location, merges });
        }
        let operator = operator(tag, &location)?;
        let value = match tag {
            Some(_) if operator.is_some() && plain => scalar::resolve(text),
            Some(tag) => tagged(tag, text, &location)?,
            None if plain => scalar::resolve(text),
            None => Value::String(text.into()),
        };
        let node = Node::new(value, location).with_operator(operator);
        if anchor > 0 {
            self.anchors.insert(anchor, Anchor { node: node.clone(), nodes: 1 });
        }
        self.put(node)
    }

    fn alias(&mut self, id: usize, location: Location) -> Result<(), YamlError> {
        let Some(anchor) = self.anchors.get(&id) else {
            return Err(YamlError { location, message: "an anchor cannot contain itself".into() });
        };
        let (node, nodes) = (anchor.node.clone(), anchor.nodes);
        self.count(nodes, &location)?;
        if !self.awaits_key() {
            return self.put(node);
        }
        match node.value() {
            Value::String(text) => self.key(Key { text: text.clone(), location, merges: false }),
            _ => Err(YamlError { location, message: "a key must be text".into() }),
        }
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { kind: Kind::Map { key: None, .. }, .. }))
    }

    fn key(&mut self, new: Key) -> Result<(), YamlError> {
        let Some(Open { kind: Kind::Map { places, key, .. }, .. }) = self.open.last_mut() else {
            return Ok(());
        };
        if let Some(first) = places.get(&new.text) {
            let message =
                format!("key `{}` is written twice in this map, first at line {}", new.text, first.line());
            return Err(YamlError { location: new.location, message });
        }
        places.insert(new.text.clone(), new.location.clone());
        *key = Some(new);
        Ok(())
    }

    fn start(
        &mut self,
        kind: Kind,
        anchor: usize,
        tag: Option<&Tag>,
        location: Location,
    ) -> Result<(), YamlError> {
        let operator = operator(tag, &location)?;
        if self.awaits_key() {
            return Err(YamlError { location, message: "a key must be text, not a list or a map".into() });
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(YamlError { location, message: format!("nested deeper than {MAX_DEPTH} levels") });
        }
        let nodes_before = self.nodes;
        self.count(1, &location)?;
        self.open.push(Open { kind, anchor, operator, location, nodes_before });
        Ok(())
    }

    fn end(&mut self) -> Result<(), YamlError> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let value = match open.kind {
            Kind::List(items) => Value::List(Arc::new(items)),
            Kind::Map { mut entries, mut places, merged, .. } => {
                for map in merged {
                    for entry in map.as_map().map(Map::entries).unwrap_or_default() {
                        if !places.contains_key(&entry.key) {
                            places.insert(entry.key.clone(), entry.key_location.clone());
                            entries.push(entry.clone());
                        }
                    }
                }
                Value::Map(Map::new(entries))
            }
        };
        let node = Node::new(value, open.location).with_operator(open.operator);
        if open.anchor > 0 {
            let nodes = self.nodes - open.nodes_before;
            self.anchors.insert(open.anchor, Anchor { node: node.clone(), nodes });
        }
        self.put(node)
    }

    /// Puts a complete node where the innermost open collection wants it.
    fn put(&mut self, node: Node) -> Result<(), YamlError> {
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(Kind::List(items)) => items.push(node),
            Some(Kind::Map { entries, merged, key, .. }) => match key.take() {
                Some(Key { merges: true, location, .. }) => merged.extend(maps_of(node, location)?),
                Some(Key { text, location, .. }) => {
                    entries.push(Entry { key: text, key_location: location, value: node });
                }
                None => {}
            },
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize, location: &Location) -> Result<(), YamlError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        let message = format!("more than {MAX_NODES} values once aliases are followed");
        Err(YamlError { location: location.clone(), message })
    }
}

/// Keys are text: numbers and booleans as Go prints them.
fn key_text(text: &str) -> Arc<str> {
    match scalar::resolve(text) {
        Value::Null => "<nil>".into(),
        Value::Bool(value) => value.to_string().into(),
        Value::Int(value) => value.to_string().into(),
        Value::Uint(value) => value.to_string().into(),
        Value::Float(value) => value.to_string().into(),
        _ => text.into(),
    }
}

/// What `<<` may merge: a map, or a list of maps.
fn maps_of(node: Node, location: Location) -> Result<Vec<Node>, YamlError> {
    let maps = match node.as_list() {
        Some(items) => items.to_vec(),
        None => vec![node],
    };
    if maps.iter().all(|map| map.as_map().is_some()) {
        Ok(maps)
    } else {
        Err(YamlError { location, message: "`<<` wants a map or a list of maps".into() })
    }
}

/// What a tag of one's own (`!name`) does to earlier sources.
fn operator(tag: Option<&Tag>, location: &Location) -> Result<Option<Operator>, YamlError> {
    let Some(tag) = tag.filter(|tag| tag.handle == "!") else { return Ok(None) };
    let operator = Operator::from_name(&tag.suffix);
    match nearest(&tag.suffix, Operator::NAMES) {
        Some(meant) if operator.is_none() => {
            let message = format!("unknown tag `!{}`: did you mean `!{meant}`?", tag.suffix);
            Err(YamlError { location: location.clone(), message })
        }
        _ => Ok(operator),
    }
}

fn tagged(tag: &Tag, text: &str, location: &Location) -> Result<Value, YamlError> {
    let standard = tag.is_yaml_core_schema();
    let value = match (tag.suffix.as_str(), scalar::resolve(text)) {
        _ if !standard => return Ok(Value::String(text.into())),
        ("null", Value::Null) => Value::Null,
        ("bool", value @ Value::Bool(_)) => value,
        ("int", value @ (Value::Int(_) | Value::Uint(_))) => value,
        ("float", value @ Value::Float(_)) => value,
        ("float", Value::Int(value)) => Value::Float(value as f64),
        ("null" | "bool" | "int" | "float", _) => {
            let message = format!("this is not what the tag `!!{}` says", tag.suffix);
            return Err(YamlError { location: location.clone(), message });
        }
        _ => Value::String(text.into()),
    };
    Ok(value)
}
