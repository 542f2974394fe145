//! From URIs to one tree: retrieve, merge, substitute.

#[cfg(test)]
mod tests;

use crate::expand::{expand, split_scheme};
use crate::merge::Merger;
use crate::node::{Entry, Map, Node, Value};
use crate::path::KeyPath;
use crate::problems::{Problems, Severity};
use crate::provider::{EnvProvider, FileProvider, Provider, YamlProvider};
use crate::source::{Location, Source, name_of};
use crate::yaml;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The providers at hand, by scheme.
#[derive(Default)]
pub(crate) struct Providers(BTreeMap<String, Box<dyn Provider>>);

impl Providers {
    pub(crate) fn get(&self, scheme: &str) -> Option<&dyn Provider> {
        self.0.get(scheme).map(AsRef::as_ref)
    }

    pub(crate) fn schemes(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Makes one tree of all sources of a configuration.
#[derive(Default)]
pub struct Resolver {
    providers: Providers,
    append_service_lists: bool,
    missing: Missing,
}

/// What becomes of a reference to something that is not there: a variable that is not set and has no default, a file
/// that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// A variable is empty, with a warning, as in otelcol; anything else is an error.
    #[default]
    Empty,
    /// Both are errors.
    Error,
    /// Both are warnings, and the value is left open: nothing is said about what depends on it. For checking where the
    /// environment is not that of the run.
    Open,
}

/// A tree without references, and what there is to say about it.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// The tree; a map.
    pub root: Node,
    /// References that could not be resolved, and warnings. Goes on to collect what is wrong with the sections.
    pub problems: Problems,
}

impl Resolver {
    /// Without any provider.
    pub fn new() -> Resolver {
        Resolver::default()
    }

    /// With `file`, `yaml`, and `env` as given.
    pub fn with_environment(environment: EnvProvider) -> Resolver {
        Resolver::new().with(FileProvider).with(YamlProvider).with(environment)
    }

    /// With one more provider.
    #[must_use]
    pub fn with(mut self, provider: impl Provider + 'static) -> Resolver {
        self.providers.0.insert(provider.scheme().to_owned(), Box::new(provider));
        self
    }

    /// What becomes of references to what is not there.
    #[must_use]
    pub fn missing(mut self, missing: Missing) -> Resolver {
        self.missing = missing;
        self
    }

    /// Whether lists of components under `service` are added to those of earlier sources instead of replacing them: what
    /// otelcol's gate `confmap.enableMergeAppendOption` does.
    #[must_use]
    pub fn append_service_lists(mut self, append: bool) -> Resolver {
        self.append_service_lists = append;
        self
    }

    /// The schemes that can be read, in order.
    pub fn schemes(&self) -> impl Iterator<Item = &str> {
        self.providers.schemes()
    }

    /// Reads `uris` in order, then `sets` (`key=value`, keys with `.` between them), each merged over what came
    /// before: maps by key, anything else replaced, unless a tag such as `!append` says otherwise. References are
    /// replaced in the result.
    ///
    /// # Errors
    /// All problems, if a source cannot be retrieved or is not a map. References that cannot be resolved leave a tree
    /// that can still be checked: they are errors in [`Resolved::problems`].
    pub fn resolve<S: AsRef<str>>(&self, uris: &[S], sets: &[S]) -> Result<Resolved, Box<Problems>> {
        let mut problems = Problems::new();
        problems.readings_mut().is_unread = true;
        if uris.is_empty() && sets.is_empty() {
            problems.error_with_help(
                "",
                "at least one config flag must be provided",
                "add `--config=<file>`",
            );
            return Err(Box::new(problems));
        }
        let mut merged = Node::new(Value::Map(Map::default()), Location::nowhere());
        let mut sources: Vec<Node> =
            uris.iter().filter_map(|uri| self.source(uri.as_ref(), &mut problems)).collect();
        sources.extend(sets.iter().filter_map(|set| read_set(set.as_ref(), &mut problems)));
        for node in sources {
            let merger = Merger::new(&mut problems);
            let append_service_lists = self.append_service_lists;
            merged = Merger { append_service_lists, ..merger }.roots(merged, node);
        }
        if problems.has_errors() {
            return Err(Box::new(problems));
        }
        let root = expand(&merged, &self.providers, self.missing, &mut problems);
        Ok(Resolved { root, problems })
    }

    fn source(&self, uri: &str, problems: &mut Problems) -> Option<Node> {
        let whole = if is_file(uri) { format!("file:{uri}") } else { uri.to_owned() };
        let provider = split_scheme(&whole).map(|(scheme, _)| (scheme, self.providers.get(scheme)));
        let (scheme, provider) = match provider {
            Some((scheme, Some(provider))) => (scheme, provider),
            Some((_, None)) => {
                let known: Vec<&str> = self.schemes().collect();
                let help = format!("known schemes are {}", known.join(", "));
                problems.error_with_help("", format!("unsupported scheme on URI {uri:?}"), help);
                return None;
            }
            None => {
                problems.error("", format!("invalid uri: {uri:?}"));
                return None;
            }
        };
        let retrieved = match provider.retrieve(&whole) {
            Ok(retrieved) => retrieved,
            Err(error) => {
                let (message, help) = error.into_parts();
                let message = format!("cannot retrieve the configuration: {message}");
                problems.push_at(Severity::Error, KeyPath::root(), Location::nowhere(), message, help);
                return None;
            }
        };
        match retrieved.missing {
            Some(missing) if self.missing == Missing::Empty => problems.warn("", missing),
            Some(missing) => {
                problems.error("", missing);
                return None;
            }
            None => {}
        }
        if let Some(warning) = retrieved.warning {
            problems.warn("", warning);
        }
        let source = match scheme {
            "file" => Source::quotable(&whole["file:".len()..], &retrieved.text),
            "yaml" => Source::quotable("--config yaml:", &retrieved.text),
            "text" => Source::quotable(&whole["text:".len()..], &retrieved.text),
            "env" => Source::private(name_of(uri)),
            _ => Source::quotable(name_of(uri), &retrieved.text),
        };
        read_map(&retrieved.text, &source, problems)
    }
}

/// Without a scheme, or with a drive's letter.
fn is_file(uri: &str) -> bool {
    let drive = matches!(uri.as_bytes(), [b'A'..=b'z', b':', ..]);
    drive || !uri.contains(':')
}

fn read_set(set: &str, problems: &mut Problems) -> Option<Node> {
    let Some((key, value)) = set.split_once('=') else {
        problems.error_with_help(
            "",
            format!("missing equal sign in `--set {set}`"),
            "write `--set=key=value`",
        );
        return None;
    };
    let text = format!("{}: {}", key.replace('.', "::").trim(), value.trim());
    read_map(&text, &Source::without_positions(format!("--set {key}")), problems)
}

/// A source as a map; null is an empty one. Keys with `::` are unfolded.
fn read_map(text: &str, source: &Arc<Source>, problems: &mut Problems) -> Option<Node> {
    let parsed = match yaml::parse(text, source) {
        Ok(parsed) => parsed,
        Err(error) => {
            let help = unquoted_reference(&error.location);
            problems.push_at(Severity::Error, KeyPath::root(), error.location, error.message, help);
            return None;
        }
    };
    let location = parsed.node.location().clone();
    if parsed.more_documents {
        let message = "only the first YAML document is read, more follow".to_owned();
        problems.push_at(Severity::Warning, KeyPath::root(), location.clone(), message, None);
    }
    match parsed.node.value() {
        Value::Null => Some(Node::new(Value::Map(Map::default()), location)),
        Value::Map(map) => Some(unfold(map.clone(), location)),
        _ => {
            let found = parsed.node.describe();
            let message = format!("a configuration must be a map, found {found}");
            problems.push_at(Severity::Error, KeyPath::root(), location, message, None);
            None
        }
    }
}

/// A `${…}` in a flow collection needs quotes, which is easy to miss.
fn unquoted_reference(location: &Location) -> Option<String> {
    let line = location.source()?.line(location.line())?;
    let flow = line.find(['{', '[']).zip(line.find("${")).is_some_and(|(flow, reference)| flow < reference);
    flow.then(|| "inside `{}` and `[]` a `${…}` must be in quotes".to_owned())
}

/// Turns `a::b: 1` into `a: {b: 1}`, at the top.
fn unfold(map: Map, location: Location) -> Node {
    if !map.entries().iter().any(|entry| entry.key.contains("::")) {
        return Node::new(Value::Map(map), location);
    }
    let mut unfolded = Node::new(Value::Map(Map::default()), location);
    for entry in map.into_entries() {
        let Entry { key, key_location, value } = entry;
        let node = key.rsplit("::").fold(value, |value, part| {
            let entry = Entry { key: part.into(), key_location: key_location.clone(), value };
            Node::new(Value::Map(Map::new(vec![entry])), key_location.clone())
        });
        let mut silence = Problems::new();
        // What the tags say is meant for earlier sources.
        unfolded = Merger { keeps_operators: true, ..Merger::new(&mut silence) }.roots(unfolded, node);
    }
    unfolded
}
