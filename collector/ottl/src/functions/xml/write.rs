//! Writing XML as the original does: no self-closing tags, and text without white space at its ends
//! unless `xml:space="preserve"` says otherwise.

use super::{Document, Kind, NodeId, ROOT};

impl Document {
    /// Writes the document.
    pub(super) fn write(&self) -> String {
        let mut out = String::new();
        for &child in self.children(ROOT) {
            self.write_node(child, false, &mut out);
        }
        out
    }

    /// Writes one node and what is in it.
    pub(super) fn write_node(&self, id: NodeId, preserve: bool, out: &mut String) {
        match self.kind(id) {
            Kind::Document => {}
            Kind::Text(text) => push_escaped(out, if preserve { text } else { text.trim() }),
            Kind::CData(data) => push_all(out, &["<![CDATA[", data, "]]>"]),
            Kind::Comment(comment) => push_all(out, &["<!--", comment, "-->"]),
            Kind::Instruction(instruction) => push_all(out, &["<?", instruction, "?>"]),
            Kind::Declaration(declaration) => push_all(out, &["<!", declaration, ">"]),
            Kind::Element { name, attributes } => {
                let mut preserve = preserve;
                push_all(out, &["<", name]);
                for (attribute, value) in attributes {
                    if attribute == "xml:space" {
                        preserve = value == "preserve";
                    }
                    push_all(out, &[" ", attribute, "=\""]);
                    push_escaped(out, value);
                    out.push('"');
                }
                out.push('>');
                for &child in self.children(id) {
                    self.write_node(child, preserve, out);
                }
                push_all(out, &["</", name, ">"]);
            }
        }
    }
}

fn push_all(out: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| out.push_str(part));
}

/// Writes text, with the characters that HTML gives a meaning as entities.
pub(super) fn push_escaped(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_and_escapes() {
        let cases = [
            ("<a> x </a>", "<a>x</a>"),
            (
                "<a xml:space=\"preserve\"> x <b xml:space=\"default\"> y </b></a>",
                "<a xml:space=\"preserve\"> x <b xml:space=\"default\">y</b></a>",
            ),
            ("<a>\"'&gt;</a>", "<a>&#34;&#39;&gt;</a>"),
        ];
        for (text, expected) in cases {
            assert_eq!(Document::parse(text).unwrap().write(), expected);
        }
    }
}
