//! XML as a value.

use std::collections::HashMap;

use super::{Document, Kind, NodeId, ROOT, local_name};
use crate::functions::json::map_of;
use crate::{EvalError, Map, Value};

/// Reads one element into a map of `tag`, `content`, `attributes` and `children`, of which the last three
/// are there only if they have something.
///
/// # Errors
///
/// Malformed text, no element, and anything but comments beside it.
pub fn parse(text: &str) -> Result<Map<'static>, EvalError> {
    let document = Document::parse(text)?;
    let mut root = None;
    for &child in document.children(ROOT) {
        match document.kind(child) {
            Kind::Element { .. } if root.is_none() => root = Some(child),
            Kind::Element { .. } => return Err(EvalError::new("trailing bytes after parsing xml")),
            Kind::Text(_) | Kind::CData(_) => {
                return Err(EvalError::new("text beside the element of the XML"));
            }
            _ => {}
        }
    }
    let root = root.ok_or_else(|| EvalError::new("the XML has no element"))?;
    Ok(document.element(root))
}

/// Reads elements into a map of texts and maps by name. Attributes and comments go away, and so does text
/// beside elements; a name that comes more than once is a list; empty elements go away.
///
/// # Errors
///
/// Malformed text.
pub fn parse_simplified(text: &str) -> Result<Map<'static>, EvalError> {
    Ok(Document::parse(text)?.simplified(ROOT))
}

impl Document {
    fn element(&self, id: NodeId) -> Map<'static> {
        let mut map = Map::new();
        let Kind::Element { name, attributes } = self.kind(id) else { return map };
        map.push("tag", local_name(name).to_owned());
        let (mut content, mut children) = (String::new(), Vec::new());
        for &child in self.children(id) {
            match self.kind(child) {
                Kind::Text(text) | Kind::CData(text) => content.push_str(text.trim()),
                Kind::Element { .. } => children.push(Value::Map(self.element(child))),
                _ => {}
            }
        }
        if !content.is_empty() {
            map.push("content", content);
        }
        if !attributes.is_empty() {
            let entries = attributes
                .iter()
                .map(|(name, value)| (local_name(name).to_owned(), Value::from(value.clone())));
            map.push("attributes", map_of(entries.collect()));
        }
        if !children.is_empty() {
            map.push("children", children);
        }
        map
    }

    fn simplified(&self, parent: NodeId) -> Map<'static> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for &child in self.children(parent) {
            if let Kind::Element { name, .. } = self.kind(child) {
                *counts.entry(local_name(name)).or_default() += 1;
            }
        }
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut entries: Vec<(String, Value<'static>)> = Vec::new();
        for &child in self.children(parent) {
            let Kind::Element { name, .. } = self.kind(child) else { continue };
            if self.children(child).is_empty() {
                continue;
            }
            let name = local_name(name);
            let value = self.simplified_element(child);
            if counts.get(name).is_some_and(|&count| count > 1) {
                let place = *places.entry(name).or_insert_with(|| {
                    entries.push((name.to_owned(), Value::List(Vec::new())));
                    entries.len() - 1
                });
                if let (Value::List(list), Some(value)) = (&mut entries[place].1, value) {
                    list.push(value);
                }
            } else if let Some(value) = value {
                entries.push((name.to_owned(), value));
            }
        }
        map_of(entries)
    }

    /// The first text of an element without elements; a map of those of one that has some.
    fn simplified_element(&self, id: NodeId) -> Option<Value<'static>> {
        let is_element = |&child: &NodeId| matches!(self.kind(child), Kind::Element { .. });
        if self.children(id).iter().any(is_element) {
            let map = self.simplified(id);
            return (!map.is_empty()).then_some(Value::Map(map));
        }
        let text = self.children(id).iter().find_map(|&child| match self.kind(child) {
            Kind::Text(text) | Kind::CData(text) => Some(text.clone()),
            _ => None,
        })?;
        (!text.is_empty()).then(|| Value::from(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map<const N: usize>(entries: [(&'static str, Value<'static>); N]) -> Value<'static> {
        Value::Map(entries.into_iter().collect())
    }

    #[test]
    fn whole_elements() {
        let leaf = map([("tag", "b".into()), ("content", "t".into())]);
        let empty = map([("tag", "b".into())]);
        let expected = map([
            ("tag", "a".into()),
            ("attributes", map([("x", "1".into())])),
            ("children", Value::List(vec![leaf, empty])),
        ]);
        assert_eq!(Value::Map(parse("<a x=\"1\"><b>t</b><b/></a>").unwrap()), expected);
        let joined = map([
            ("tag", "a".into()),
            ("content", "xy<z".into()),
            ("children", Value::List(vec![map([("tag", "b".into())])])),
        ]);
        assert_eq!(Value::Map(parse("<!-- c --><n:a> x <b/>y<![CDATA[<z]]></n:a>").unwrap()), joined);
        for text in ["<a>", "", "<a/><b/>", "<a/>x", "x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn simplified() {
        let parse = |text| Value::Map(parse_simplified(text).unwrap());
        let list = Value::List(vec!["1".into(), "2".into()]);
        assert_eq!(
            parse("<r><i>1</i><i>2</i><s k=\"v\">t</s></r>"),
            map([("r", map([("i", list), ("s", "t".into())]))])
        );
        assert_eq!(
            parse("<r>gone<a/><b><c>1</c></b><d><e/></d></r>"),
            map([("r", map([("b", map([("c", "1".into())]))]))])
        );
        assert_eq!(parse("<a><![CDATA[x]]></a>"), map([("a", "x".into())]));
        assert!(parse_simplified("<a>").is_err());
    }
}
