//! XML as a tree, as text again, and as a value.
//!
//! No entities but the five of XML are known, so that a document cannot grow while it is read, and
//! elements nest at most [`MAX_DEPTH`] deep. Documents may have several elements at the top, and text that
//! is only white space is dropped, as the original does for everything but `ParseXML`.

mod edit;
mod parse;
mod value;
mod write;
mod xpath;

pub use edit::{convert_attributes, convert_text, get, insert, remove};
pub use value::{parse, parse_simplified};
pub use xpath::XPath;

/// How deep elements may nest.
pub const MAX_DEPTH: usize = 500;

/// A node's place in its [`Document`]. Places grow in the order of the document as it was read.
type NodeId = usize;

/// The document itself, as a node.
const ROOT: NodeId = 0;

/// A tree of nodes.
#[derive(Clone, Debug)]
struct Document {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
struct Node {
    kind: Kind,
    parent: NodeId,
    children: Vec<NodeId>,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Document,
    Element {
        name: String,
        attributes: Vec<(String, String)>,
    },
    Text(String),
    CData(String),
    Comment(String),
    /// What stands between `<?` and `?>`.
    Instruction(String),
    /// What stands between `<!` and `>`.
    Declaration(String),
}

impl Document {
    fn new() -> Self {
        Self { nodes: vec![Node { kind: Kind::Document, parent: ROOT, children: Vec::new() }] }
    }

    /// Adds a node at the end of a parent.
    fn add(&mut self, parent: NodeId, kind: Kind) -> NodeId {
        let id = self.nodes.len();
        self.nodes.push(Node { kind, parent, children: Vec::new() });
        self.nodes[parent].children.push(id);
        id
    }

    fn kind(&self, id: NodeId) -> &Kind {
        &self.nodes[id].kind
    }

    fn children(&self, id: NodeId) -> &[NodeId] {
        &self.nodes[id].children
    }

    /// All text within a node, in order.
    fn text(&self, id: NodeId) -> String {
        let mut out = String::new();
        self.push_text(id, &mut out);
        out
    }

    fn push_text(&self, id: NodeId, out: &mut String) {
        match self.kind(id) {
            Kind::Text(text) | Kind::CData(text) => out.push_str(text),
            Kind::Document | Kind::Element { .. } => {
                self.children(id).iter().for_each(|&child| self.push_text(child, out));
            }
            Kind::Comment(_) | Kind::Instruction(_) | Kind::Declaration(_) => {}
        }
    }
}

/// The part of a name behind its prefix.
fn local_name(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}
