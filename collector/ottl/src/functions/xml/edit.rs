//! Queries and changes by XPath.

use std::collections::HashSet;

use super::write::push_escaped;
use super::xpath::{Match, XPath};
use super::{Document, Kind, NodeId, ROOT};
use crate::EvalError;

/// The nodes that match, as XML; attributes and CDATA sections as text.
///
/// # Errors
///
/// Malformed XML, and a path that looks at too many nodes.
pub fn get(text: &str, path: &XPath) -> Result<String, EvalError> {
    let document = Document::parse(text)?;
    let mut out = String::new();
    for found in path.select(&document)? {
        match found {
            Match::Attribute(id, index) => push_escaped(&mut out, document.attribute(id, index).1.trim()),
            Match::Node(id) => match document.kind(id) {
                Kind::CData(data) => push_escaped(&mut out, data.trim()),
                Kind::Element { .. } | Kind::Text(_) => document.write_node(id, false, &mut out),
                _ => {}
            },
        }
    }
    Ok(out)
}

/// Appends a document to each element that matches.
///
/// # Errors
///
/// Malformed XML, and a path that selects something else than elements.
pub fn insert(text: &str, path: &XPath, inserted: &str) -> Result<String, EvalError> {
    let mut document = Document::parse(text)?;
    let inserted = Document::parse(inserted)?;
    let matches = path.select(&document)?;
    // The result is bounded as that of other functions is, not by the product of two documents.
    const MOST: usize = 1 << 20;
    if matches.len().saturating_mul(inserted.nodes.len()) > MOST {
        return Err(EvalError::new(format!("inserting would add more than {MOST} nodes")));
    }
    for found in matches {
        match found {
            Match::Node(id) if matches!(document.kind(id), Kind::Element { .. } | Kind::Document) => {
                document.append(id, &inserted, ROOT);
            }
            _ => return Err(EvalError::new("the XPath selects something that is not an element")),
        }
    }
    Ok(document.write())
}

/// Takes out the nodes that match.
///
/// # Errors
///
/// Malformed XML, and a path that looks at too many nodes.
pub fn remove(text: &str, path: &XPath) -> Result<String, EvalError> {
    let mut document = Document::parse(text)?;
    let matches = path.select(&document)?;
    document.remove_attributes(&matches);
    let removed: HashSet<NodeId> = matches
        .iter()
        .filter_map(|found| match found {
            Match::Node(id) => Some(*id),
            Match::Attribute(..) => None,
        })
        .collect();
    let parents: HashSet<NodeId> = removed.iter().map(|&id| document.nodes[id].parent).collect();
    for parent in parents {
        document.nodes[parent].children.retain(|child| !removed.contains(child));
    }
    Ok(document.write())
}

/// Makes each attribute that matches a child of its element.
///
/// # Errors
///
/// Malformed XML, and a path that looks at too many nodes.
pub fn convert_attributes(text: &str, path: &XPath) -> Result<String, EvalError> {
    let mut document = Document::parse(text)?;
    let matches = path.select(&document)?;
    for found in &matches {
        if let &Match::Attribute(id, index) = found {
            let (name, value) = document.attribute(id, index);
            let (name, value) = (name.to_owned(), value.to_owned());
            let element = document.add(id, Kind::Element { name, attributes: Vec::new() });
            document.add(element, Kind::Text(value));
        }
    }
    document.remove_attributes(&matches);
    Ok(document.write())
}

/// Wraps each text that has other text or elements beside it, in what matches and below, into an element.
///
/// # Errors
///
/// Malformed XML, and a path that looks at too many nodes.
pub fn convert_text(text: &str, path: &XPath, element: &str) -> Result<String, EvalError> {
    let mut document = Document::parse(text)?;
    for found in path.select(&document)? {
        if let Match::Node(id) = found {
            document.wrap_texts(id, element);
        }
    }
    Ok(document.write())
}

impl Document {
    fn attribute(&self, id: NodeId, index: usize) -> (&str, &str) {
        match self.kind(id) {
            Kind::Element { attributes, .. } => {
                attributes.get(index).map_or(("", ""), |(name, value)| (name, value))
            }
            _ => ("", ""),
        }
    }

    /// Takes out attributes, from the last on so that the indices of the others stay right.
    fn remove_attributes(&mut self, matches: &[Match]) {
        for found in matches.iter().rev() {
            if let &Match::Attribute(id, index) = found
                && let Kind::Element { attributes, .. } = &mut self.nodes[id].kind
            {
                attributes.remove(index);
            }
        }
    }

    /// Copies what is in a node of another document.
    fn append(&mut self, parent: NodeId, other: &Document, from: NodeId) {
        for &child in other.children(from) {
            let copy = self.add(parent, other.kind(child).clone());
            self.append(copy, other, child);
        }
    }

    fn wrap_texts(&mut self, parent: NodeId, element: &str) {
        if !matches!(self.kind(parent), Kind::Element { .. } | Kind::Document) {
            return;
        }
        let children = self.children(parent).to_vec();
        let is_text = |document: &Self, child: NodeId| matches!(document.kind(child), Kind::Text(_));
        let is_element =
            |document: &Self, child: NodeId| matches!(document.kind(child), Kind::Element { .. });
        let texts = children.iter().filter(|&&child| is_text(self, child)).count();
        let elements = children.iter().filter(|&&child| is_element(self, child)).count();
        for &child in &children {
            if is_element(self, child) {
                self.wrap_texts(child, element);
            } else if is_text(self, child) && texts + elements > 1 {
                let wrapper = Kind::Element { name: element.to_owned(), attributes: Vec::new() };
                let text = std::mem::replace(&mut self.nodes[child].kind, wrapper);
                self.add(child, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> XPath {
        XPath::new(text).unwrap()
    }

    #[test]
    fn gets() {
        let cases = [
            ("<a><b>1</b><b>2</b></a>", "/a/b", "<b>1</b><b>2</b>"),
            ("<a><b x=\"7\">1</b></a>", "/a/b/@x", "7"),
            ("<a>t<![CDATA[<c>]]></a>", "/a/text()", "t&lt;c&gt;"),
            ("<a/>", "/b", ""),
            ("", "/a", ""),
            ("<a/>", "/", ""),
        ];
        for (text, xpath, expected) in cases {
            assert_eq!(get(text, &path(xpath)).unwrap(), expected, "{xpath}");
        }
        assert!(get("<a>", &path("/a")).is_err());
    }

    #[test]
    fn inserts() {
        assert_eq!(insert("<a></a>", &path("/a"), "<n>5</n>").unwrap(), "<a><n>5</n></a>");
        assert_eq!(
            insert("<a><b/><b>x</b></a>", &path("//b"), "<n/><m/>").unwrap(),
            "<a><b><n></n><m></m></b><b>x<n></n><m></m></b></a>"
        );
        assert_eq!(insert("<a/>", &path("/"), "<b/>").unwrap(), "<a></a><b></b>");
        assert!(insert("<a x=\"1\"/>", &path("/a/@x"), "<b/>").is_err());
        assert!(insert("<a/>", &path("/a"), "<b>").is_err());
        let many = "<a/>".repeat(2000);
        assert!(insert(&many, &path("/a"), &many).unwrap_err().message().contains("nodes"));
    }

    #[test]
    fn removes() {
        let text = "<a x=\"1\" y=\"2\" z=\"3\">t<b>1</b><!-- c --><![CDATA[d]]><c>2</c></a>";
        let cases = [
            ("/a/b", "<a x=\"1\" y=\"2\" z=\"3\">t<!-- c --><![CDATA[d]]><c>2</c></a>"),
            ("//@*", "<a>t<b>1</b><!-- c --><![CDATA[d]]><c>2</c></a>"),
            ("/a/@x | /a/@z", "<a y=\"2\">t<b>1</b><!-- c --><![CDATA[d]]><c>2</c></a>"),
            ("//comment()", "<a x=\"1\" y=\"2\" z=\"3\">t<b>1</b><![CDATA[d]]><c>2</c></a>"),
            ("/a/text()", "<a x=\"1\" y=\"2\" z=\"3\"><b>1</b><!-- c --><c>2</c></a>"),
            ("/a", ""),
            ("/", text),
        ];
        for (xpath, expected) in cases {
            assert_eq!(remove(text, &path(xpath)).unwrap(), expected, "{xpath}");
        }
    }

    #[test]
    fn converts() {
        assert_eq!(convert_attributes("<a k=\"v\"></a>", &path("//@*")).unwrap(), "<a><k>v</k></a>");
        assert_eq!(
            convert_attributes("<a k=\"1\" l=\"2\"><b m=\"3\"/></a>", &path("/a/@k")).unwrap(),
            "<a l=\"2\"><b m=\"3\"></b><k>1</k></a>"
        );
        assert_eq!(
            convert_text("<a>t1<b/></a>", &path("/"), "value").unwrap(),
            "<a><value>t1</value><b></b></a>"
        );
        assert_eq!(
            convert_text("<a><b>x</b><c>y<d/>z</c></a>", &path("/a/c"), "v").unwrap(),
            "<a><b>x</b><c><v>y</v><d></d><v>z</v></c></a>"
        );
    }
}
