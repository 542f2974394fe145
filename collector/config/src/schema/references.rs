//! Which extensions a section names: the keys of its shape say so, each once, where it is declared.

use std::fmt;

use super::shape::{Key, Shape, Status};
use crate::id::ComponentId;
use crate::node::{Node, Value};
use crate::path::KeyPath;

/// What an extension does for the components that name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Judges who sends requests.
    ServerAuth,
    /// Adds credentials to requests.
    ClientAuth,
    /// Keeps data on disk.
    Storage,
    /// Looks at the requests of a listener before they are read.
    Middleware,
    /// Makes policies of `tail_sampling`.
    SamplingPolicies,
}

impl Capability {
    /// What it is called where it is not found, in otelcol's words.
    pub fn sought(self) -> &'static str {
        match self {
            Capability::ServerAuth | Capability::ClientAuth => "authenticator",
            Capability::Storage => "storage client",
            Capability::Middleware => "middleware",
            Capability::SamplingPolicies => "sampling policy type",
        }
    }
}

/// What an extension with it is.
impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Capability::ServerAuth => "server authenticator",
            Capability::ClientAuth => "client authenticator",
            Capability::Storage => "storage extension",
            Capability::Middleware => "limiter of requests",
            Capability::SamplingPolicies => "source of sampling policies",
        })
    }
}

/// An extension that a section names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The key, from the section.
    pub key: KeyPath,
    /// The extension.
    pub id: ComponentId,
    /// What it is needed for.
    pub capability: Capability,
}

impl Shape {
    /// The extensions that `node`, a section of this shape, names; without those in blocks that are off, and without
    /// what cannot be read, which is reported where it is decoded.
    pub fn references(&self, node: &Node) -> Vec<Reference> {
        let mut found = Vec::new();
        self.collect(node, &KeyPath::root(), &mut found);
        found
    }

    fn collect(&self, node: &Node, path: &KeyPath, found: &mut Vec<Reference>) {
        match self {
            Shape::Optional(of) => of.collect(node, path, found),
            Shape::Block { of, .. } if !is_off(node) => of.collect(node, path, found),
            Shape::Section(section) if !is_off(node) => {
                section.keys.iter().for_each(|key| key.collect(node, path, found));
            }
            Shape::Tagged { tag, variants, .. } => {
                let word = node.get(tag).and_then(Node::as_text);
                let is_meant = |name: &&str| Some(*name) == word;
                let chosen = variants.iter().filter(|(word, _)| word.names().any(|name| is_meant(&name)));
                chosen.for_each(|(_, shape)| shape.collect(node, path, found));
            }
            Shape::OneOf(choices) => choices.iter().for_each(|choice| choice.collect(node, path, found)),
            Shape::List(of) => {
                for (index, item) in node.as_list().unwrap_or_default().iter().enumerate() {
                    of.collect(item, &path.join(index.to_string()), found);
                }
            }
            Shape::Map(of) => {
                for entry in node.as_map().map(|map| map.entries()).unwrap_or_default() {
                    of.collect(&entry.value, &path.join(entry.key.clone()), found);
                }
            }
            _ => {}
        }
    }

    /// Whether a text here is a word that the shape knows by itself.
    fn has_word(&self, text: &str) -> bool {
        match self {
            Shape::Optional(of) => of.has_word(text),
            Shape::Words { words, .. } => words.iter().any(|word| word.names().any(|name| name == text)),
            _ => false,
        }
    }
}

impl Key {
    fn collect(&self, section: &Node, path: &KeyPath, found: &mut Vec<Reference>) {
        if matches!(self.status, Status::Unsupported(_)) {
            return;
        }
        for name in std::iter::once(self.name).chain(self.aliases.iter().copied()) {
            let Some(node) = section.get(name) else { continue };
            let key = path.join(name);
            let Some(capability) = self.names else {
                self.shape.collect(node, &key, found);
                continue;
            };
            let text = node.as_text().filter(|text| !text.is_empty() && !self.shape.has_word(text));
            if let Some(id) = text.and_then(|text| ComponentId::parse(text).ok()) {
                let reference = Reference { key, id, capability };
                if !found.contains(&reference) {
                    found.push(reference);
                }
            }
        }
    }
}

/// Whether the section says that it is off.
fn is_off(node: &Node) -> bool {
    node.get("enabled").is_some_and(|enabled| matches!(enabled.plain(), Value::Bool(false)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Section, Word};
    use crate::{EnvProvider, Resolver, YamlProvider};

    fn node(text: &str) -> Node {
        let resolver = Resolver::with_environment(EnvProvider::new(|_| None)).with(YamlProvider);
        resolver.resolve(&[format!("yaml:{text}")], &[]).expect("YAML").root
    }

    fn section(keys: Vec<Key>) -> Shape {
        Shape::Section(Section::new("Section", &[], true, keys))
    }

    fn storage() -> Key {
        Key::new("storage", Shape::Optional(Box::new(Shape::Id)), &[]).naming(Capability::Storage)
    }

    #[test]
    fn keys_that_name_extensions_are_found_wherever_they_are() {
        let block = |of| Shape::Block { of: Box::new(of), present: false };
        let kinds = Shape::Words { words: vec![Word::new("known", &[], &["alias"])], any_case: false };
        let policy = section(vec![Key::new("type", kinds, &[]).naming(Capability::SamplingPolicies)]);
        let chosen = Shape::tagged(
            "Chosen",
            &[],
            "mode",
            vec![
                (Word::new("kept", &[], &[]), section(vec![storage()])),
                (Word::new("lost", &[], &[]), section(Vec::new())),
            ],
        );
        let shape = section(vec![
            storage().alias("store"),
            Key::new("queue", block(section(vec![storage()])), &[]),
            Key::new("plain", section(vec![Key::new("enabled", Shape::Bool, &[]), storage()]), &[]),
            Key::new("policies", Shape::List(Box::new(policy)), &[]),
            Key::new("by_name", Shape::Map(Box::new(section(vec![storage()]))), &[]),
            Key::new("chosen", chosen, &[]),
            Key::new("never", section(vec![storage()]), &[]).unsupported("not here"),
        ]);
        // (what is written, keys and extensions)
        let cases: &[(&str, &[&str])] = &[
            ("{}", &[]),
            ("{storage: file_storage}", &["storage=file_storage"]),
            ("{store: file_storage/a}", &["store=file_storage/a"]),
            ("{storage: ''}", &[]),
            ("{storage: null, queue: null}", &[]),
            ("{storage: [a]}", &[]),
            ("{queue: {storage: a}}", &["queue::storage=a"]),
            ("{queue: {enabled: true, storage: a}}", &["queue::storage=a"]),
            ("{queue: {enabled: false, storage: a}}", &[]),
            ("{plain: {enabled: false, storage: a}}", &[]),
            ("{policies: [{type: known}, {type: alias}, {type: mine/x}]}", &["policies::2::type=mine/x"]),
            (
                "{by_name: {x: {storage: a}, y: {storage: b}}}",
                &["by_name::x::storage=a", "by_name::y::storage=b"],
            ),
            ("{chosen: {mode: kept, storage: a}}", &["chosen::storage=a"]),
            ("{chosen: {mode: lost, storage: a}}", &[]),
            ("{never: {storage: a}}", &[]),
        ];
        for (written, expected) in cases {
            let found = shape.references(&node(written));
            let found: Vec<String> =
                found.iter().map(|reference| format!("{}={}", reference.key, reference.id)).collect();
            assert_eq!(found, *expected, "{written}");
        }
    }
}
