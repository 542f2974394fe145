//! `${…}`: references to other texts, replaced by what they stand for.
//!
//! The first `}` and the last `${` before it are a reference, so inner ones come first. A value that is one reference
//! as a whole takes whatever the text is as YAML, and keeps the text beside it for fields of text; a reference inside
//! other text is replaced by the text. Results are looked at again. An odd number of `$` before `${` escapes it; in the
//! end `$$` becomes `$`. Keys are never touched.
//!
//! Bounded: rounds per value, texts retrieved, bytes of a value and of all texts together, and nesting.

#[cfg(test)]
mod tests;

use crate::merge::has_operator;
use crate::node::{Entry, Expanded, Map, Node, Value};
use crate::path::KeyPath;
use crate::problems::{Problems, Severity};
use crate::provider::Retrieved;
use crate::resolve::{Missing, Providers};
use crate::source::{Location, Source, name_of};
use crate::suggest::nearest;
use crate::yaml;
use std::sync::Arc;

/// Rounds of substitution in one value, as in otelcol.
const MAX_ROUNDS: usize = 1000;
/// Texts retrieved for one configuration.
const MAX_RETRIEVALS: usize = 10_000;
/// Bytes of all texts retrieved for one configuration, and of the longest value.
const MAX_TEXT_BYTES: usize = 32 << 20;
/// Values made by substitution for one configuration.
const MAX_NODES: usize = 1_000_000;
/// Deepest nesting of the result.
const MAX_DEPTH: usize = 2 * yaml::MAX_DEPTH;

/// Replaces all references under a node. What cannot be resolved is reported and becomes [`Value::Unresolved`].
pub(crate) fn expand(root: &Node, providers: &Providers, missing: Missing, problems: &mut Problems) -> Node {
    let mut expander = Expander {
        providers,
        missing,
        problems,
        path: KeyPath::root(),
        retrievals: 0,
        bytes: 0,
        nodes: 0,
        anchor: None,
    };
    expander.node(root)
}

/// Why a reference could not be resolved.
struct Failure {
    message: String,
    help: Option<String>,
    /// The value is only open, which has been said.
    open: bool,
}

impl Failure {
    fn new(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), help: None, open: false }
    }
}

enum Reference<'t> {
    None,
    /// One stands first that is escaped: nothing in this text is replaced.
    Escaped {
        after: &'t str,
    },
    /// From `${` to `}`.
    Found(&'t str),
}

/// What a text became.
enum Outcome {
    Text(String),
    Whole { value: Node, text: String },
}

struct Expander<'a> {
    providers: &'a Providers,
    missing: Missing,
    problems: &'a mut Problems,
    path: KeyPath,
    retrievals: usize,
    bytes: usize,
    nodes: usize,
    /// The reference in a file that the text at hand was inserted by, for messages.
    anchor: Option<Location>,
}

impl Expander<'_> {
    fn node(&mut self, node: &Node) -> Node {
        if self.path.len() > MAX_DEPTH {
            self.fail(node, Failure::new("too many recursive expansions"));
            return unresolved(node);
        }
        match node.value() {
            Value::String(text) => self.string(node, text),
            Value::List(items) => {
                let items =
                    items.iter().enumerate().map(|(index, item)| self.child(&index.to_string(), item));
                Node::new(Value::List(Arc::new(items.collect())), node.location().clone())
            }
            Value::Map(map) => {
                let entries = map
                    .entries()
                    .iter()
                    .map(|entry| Entry { value: self.child(&entry.key, &entry.value), ..entry.clone() });
                Node::new(Value::Map(Map::new(entries.collect())), node.location().clone())
            }
            _ => node.clone(),
        }
    }

    fn child(&mut self, key: &str, node: &Node) -> Node {
        let depth = self.path.len();
        self.path.push(key);
        let child = self.node(node);
        self.path.truncate(depth);
        child
    }

    fn string(&mut self, node: &Node, text: &str) -> Node {
        if !text.contains('$') {
            return node.clone();
        }
        let value = match self.text(node, text) {
            Ok(Outcome::Text(text)) => Value::String(unescaped(&text)),
            Ok(Outcome::Whole { value, text }) => return self.whole(node, value, text),
            Err(failure) => {
                self.fail(node, failure);
                return unresolved(node);
            }
        };
        Node::new(value, node.location().clone())
    }

    /// A value that one reference stands for: references inside it are replaced in turn, and those in its text.
    fn whole(&mut self, node: &Node, value: Node, text: String) -> Node {
        self.nodes = self.nodes.saturating_add(size(&value));
        if self.nodes > MAX_NODES {
            self.fail(node, Failure::new(format!("more than {MAX_NODES} values after substitution")));
            return unresolved(node);
        }
        let outer = self.anchor.clone();
        self.anchor.get_or_insert_with(|| node.location().clone());
        let structured = matches!(value.value(), Value::Map(_) | Value::List(_));
        let value = if structured { self.node(&value) } else { value };
        let text = if structured { self.quietly(node, &text) } else { text };
        self.anchor = outer;
        let expanded = Expanded { value: value.value().clone(), text: unescaped(&text) };
        Node::new(Value::Expanded(Arc::new(expanded)), node.location().clone())
    }

    /// The text of a structure: its references were reported when the structure was read.
    fn quietly(&mut self, node: &Node, text: &str) -> String {
        let mut silence = Problems::new();
        let mut inner = Expander {
            problems: &mut silence,
            anchor: self.anchor.clone(),
            path: self.path.clone(),
            ..*self
        };
        let outcome = inner.text(node, text);
        (self.retrievals, self.bytes) = (inner.retrievals, inner.bytes);
        match outcome {
            Ok(Outcome::Text(text) | Outcome::Whole { text, .. }) => text,
            Err(_) => text.to_owned(),
        }
    }

    /// Replaces references in a text until there are none, or until one stands for a structure or a number.
    fn text(&mut self, node: &Node, text: &str) -> Result<Outcome, Failure> {
        let mut text = text.to_owned();
        for _ in 0..MAX_ROUNDS {
            let reference = match find(&text) {
                Reference::Found(reference) => reference,
                Reference::Escaped { after } => {
                    if matches!(find(after), Reference::Found(_)) {
                        let message =
                            "nothing after the escaped `$${` is expanded in this text, as in otelcol";
                        self.warn(node, message.into());
                    }
                    return Ok(Outcome::Text(text));
                }
                Reference::None => return Ok(Outcome::Text(text)),
            };
            let (uri, retrieved) = self.retrieve(node, reference)?;
            if reference.len() < text.len() {
                text = text.replace(reference, &retrieved.text);
                if text.len() > MAX_TEXT_BYTES {
                    return Err(Failure::new("too long after substitution"));
                }
                continue;
            }
            match value_of(&uri, &retrieved) {
                // Text is taken as it came, quotes and all, and looked at again.
                None => text = retrieved.text,
                Some(value) if has_operator(&value) => {
                    return Err(Failure::new(
                        "a tag such as `!append` can only stand in a source, not in what a `${…}` inserts",
                    ));
                }
                Some(value) => return Ok(Outcome::Whole { value, text: retrieved.text }),
            }
        }
        Err(Failure::new("too many recursive expansions"))
    }

    fn retrieve(&mut self, node: &Node, reference: &str) -> Result<(String, Retrieved), Failure> {
        let inside = &reference[2..reference.len() - 1];
        let uri = if inside.contains(':') { inside.to_owned() } else { format!("env:{inside}") };
        let (scheme, rest) = split_scheme(&uri).ok_or_else(|| Failure {
            message: format!("invalid uri: {uri:?}"),
            help: help_for_default(&uri),
            open: false,
        })?;
        if rest.contains('$') {
            return Err(Failure::new(format!("the uri {uri:?} contains unsupported characters ('$')")));
        }
        let Some(provider) = self.providers.get(scheme) else {
            let known = || self.providers.schemes();
            let meant = nearest(scheme, known()).map(|scheme| format!("did you mean `{scheme}`?"));
            let all = || format!("known schemes are {}", known().collect::<Vec<_>>().join(", "));
            return Err(Failure {
                message: format!("scheme {scheme:?} is not supported for uri {uri:?}"),
                help: Some(help_for_default(&uri).or(meant).unwrap_or_else(all)),
                open: false,
            });
        };
        self.retrievals += 1;
        if self.retrievals > MAX_RETRIEVALS {
            return Err(Failure::new(format!("more than {MAX_RETRIEVALS} substitutions")));
        }
        let mut retrieved = provider.retrieve(&uri).map_err(|error| {
            let open = self.missing == Missing::Open && error.is_unavailable();
            let (message, help) = error.into_parts();
            Failure { message, help, open }
        })?;
        if let Some(message) = retrieved.missing.take() {
            let help = Some(format!("set it, or give it a default: `${{{uri}:-value}}`"));
            match self.missing {
                Missing::Empty => self.report(Severity::Warning, node, message, help),
                missing => return Err(Failure { message, help, open: missing == Missing::Open }),
            }
        }
        self.bytes = self.bytes.saturating_add(retrieved.text.len());
        if self.bytes > MAX_TEXT_BYTES {
            return Err(Failure::new("too many bytes of substituted text"));
        }
        if let Some(warning) = retrieved.warning.take() {
            self.warn(node, warning);
        }
        Ok((uri, retrieved))
    }

    fn location(&self, node: &Node) -> Location {
        self.anchor.clone().unwrap_or_else(|| node.location().clone())
    }

    fn warn(&mut self, node: &Node, message: String) {
        self.report(Severity::Warning, node, message, None);
    }

    fn fail(&mut self, node: &Node, failure: Failure) {
        let Failure { message, help, open } = failure;
        let severity = if open { Severity::Warning } else { Severity::Error };
        self.report(severity, node, message, help);
    }

    fn report(&mut self, severity: Severity, node: &Node, message: String, help: Option<String>) {
        let location = self.location(node);
        self.problems.push_at(severity, self.path.clone(), location, message, help);
    }
}

fn unresolved(node: &Node) -> Node {
    Node::new(Value::Unresolved, node.location().clone())
}

fn unescaped(text: &str) -> Arc<str> {
    text.replace("$$", "$").into()
}

/// The first reference of a text.
fn find(text: &str) -> Reference<'_> {
    let mut rest = text;
    while let Some(close) = rest.find('}') {
        let Some(open) = rest[..close].rfind("${") else {
            rest = &rest[close + 1..];
            continue;
        };
        let escapes = rest[..open].bytes().rev().take_while(|byte| *byte == b'$').count();
        if escapes % 2 == 1 {
            return Reference::Escaped { after: &rest[close + 1..] };
        }
        return Reference::Found(&rest[open..=close]);
    }
    Reference::None
}

/// What a text is as YAML; `None` if it is a string, or not YAML at all.
fn value_of(uri: &str, retrieved: &Retrieved) -> Option<Node> {
    if retrieved.verbatim {
        return None;
    }
    let node = yaml::parse(&retrieved.text, &Source::private(name_of(uri))).ok()?.node;
    match node.value() {
        Value::String(_) => None,
        _ => Some(node),
    }
}

/// Number of values in a tree.
fn size(node: &Node) -> usize {
    match node.value() {
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(map) => 1 + map.entries().iter().map(|entry| size(&entry.value)).sum::<usize>(),
        _ => 1,
    }
}

/// Scheme and rest of a URI: a letter, then at least one letter, digit, `+`, `.` or `-`.
pub(crate) fn split_scheme(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once(':')?;
    let valid = scheme.len() >= 2
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte));
    valid.then_some((scheme, rest))
}

/// `${NAME:-default}` is what other tools read.
fn help_for_default(uri: &str) -> Option<String> {
    uri.contains(":-").then(|| format!("write `${{env:{uri}}}`: a default needs the `env:`"))
}
