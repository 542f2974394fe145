//! From a section's node to its typed settings: strict, and with every mistake reported.
//!
//! Serde stops at the first error. [`decode`] notes it with the exact node that it is about (the deserializer keeps
//! the path), leaves that node out, and runs again, until the rest decodes: so ten mistakes take eleven runs and give
//! ten problems. Each run leaves out at least one node more, which bounds their number.

mod context;
mod error;
mod fault;
mod node;

#[cfg(test)]
mod tests;

use crate::node::{Node, Value};
use crate::path::KeyPath;
use crate::problems::{Problems, Severity, locate_in};
use crate::source::Source;
use crate::yaml;
use context::{Context, Note};
use error::Fault;
use node::{NodeDeserializer, Place};
use serde::de::DeserializeOwned;
use std::collections::{BTreeSet, HashSet};

/// Most mistakes that are reported of one section.
const MAX_FAULTS: usize = 100;

/// Settings that can tell what their types cannot.
pub trait Settings: DeserializeOwned {
    /// Reports what the types cannot say. Touches no file, socket or clock.
    fn validate(&self, problems: &mut Problems) {
        let _ = problems;
    }
}

/// Reads a section into `T`. `problems` is the section's ([`Problems::in_section`]); `None` means that an error was
/// added to it.
///
/// Rules, as otelcol's: keys must match exactly, and unknown ones are errors; a number given for a text is an error,
/// and the reverse; a list replaces a default; a string given for a list is split at `,`; `null` keeps the default of a
/// list, a map, a section or a word, and is the zero of a scalar; what a `${…}` stood for is text for a field of text
/// and its parsed value for any other.
pub fn decode<T: DeserializeOwned>(node: &Node, problems: &mut Problems) -> Option<T> {
    let (value, clean) = decode_what_can_be(node, problems);
    value.filter(|_| clean)
}

/// Reads a section like [`decode`] and validates it, even when some of its keys could not be read: then with their
/// defaults, and without a word on keys that have an error already.
pub fn decode_checked<T: Settings>(node: &Node, problems: &mut Problems) -> Option<T> {
    let errors = problems.errors().count();
    let (value, clean) = decode_what_can_be::<T>(node, problems);
    let value = value?;
    problems.only_new_keys(!clean);
    value.validate(problems);
    problems.only_new_keys(false);
    (clean && problems.errors().count() == errors).then_some(value)
}

/// Reads a text as YAML, with references left as they are written; for tools that look at a file by itself. Lines may be
/// quoted in reports under `name`.
///
/// # Errors
/// Where it is not YAML.
pub fn parse_yaml(name: &str, text: &str) -> Result<Node, Box<Problems>> {
    yaml::parse(text, &Source::quotable(name, text)).map(|parsed| parsed.node).map_err(|error| {
        let mut problems = Problems::new();
        problems.push_at(Severity::Error, KeyPath::root(), error.location, error.message, None);
        Box::new(problems)
    })
}

/// Reads settings from a text of their own, without substitution; for tests and examples.
///
/// # Errors
/// The report of all that is wrong, warnings included.
pub fn decode_text<T: Settings>(text: &str) -> Result<T, Box<Problems>> {
    let node = parse_yaml("settings", text)?;
    let mut problems = Problems::in_section(KeyPath::root(), &node, node.location());
    decode_checked(&node, &mut problems).ok_or_else(|| Box::new(problems))
}

fn decode_what_can_be<T: DeserializeOwned>(node: &Node, problems: &mut Problems) -> (Option<T>, bool) {
    let mut left_out = HashSet::new();
    let mut faults: Vec<(KeyPath, Fault)> = Vec::new();
    let mut clean = true;
    // Secrets that could not be read are left out of later runs, and stay secret.
    let mut hidden = BTreeSet::new();
    loop {
        let context = Context::new(&left_out);
        let result = T::deserialize(NodeDeserializer::new(node, &context, Place::Root));
        let mut finished = context.finish();
        hidden.extend(std::mem::take(&mut finished.hidden));
        match result {
            Ok(value) => {
                report(node, faults, &finished, &hidden, problems);
                return (Some(value), clean);
            }
            Err(error) => {
                let fault = error.into_fault();
                let path = culprit(finished.path.clone(), &fault, node);
                clean &= matches!(fault, Fault::KeepDefault);
                if matches!(fault, Fault::Unresolved) {
                    problems.reported_elsewhere(problems.path().concat(&path));
                }
                let follows =
                    matches!(&fault, Fault::Missing(field) if left_out.contains(&path.join(*field)));
                if !matches!(fault, Fault::KeepDefault | Fault::Unresolved) && !follows {
                    faults.push((path.clone(), fault));
                }
                if faults.len() >= MAX_FAULTS {
                    let message = format!("more than {MAX_FAULTS} mistakes: the rest is not shown");
                    faults.push((KeyPath::root(), Fault::Other(message)));
                }
                if path.is_empty() || faults.len() > MAX_FAULTS || !left_out.insert(path) {
                    report(node, faults, &finished, &hidden, problems);
                    return (None, false);
                }
            }
        }
    }
}

/// The node to leave out: where the deserializer stood, or the unknown key below it.
fn culprit(path: KeyPath, fault: &Fault, node: &Node) -> KeyPath {
    match fault {
        Fault::UnknownField { field, .. } if path.last() != Some(field) => {
            let below = path.join(field.as_str());
            if node.at(&below).is_some() { below } else { path }
        }
        _ => path,
    }
}

fn report(
    node: &Node,
    faults: Vec<(KeyPath, Fault)>,
    finished: &context::Finished,
    hidden: &BTreeSet<KeyPath>,
    problems: &mut Problems,
) {
    let base = problems.path().clone();
    let (around, _) = problems.location_of_section(node);
    for (path, note) in &finished.notes {
        let absolute = base.concat(path);
        match note {
            Note::Text => problems.readings_mut().texts.push(absolute),
            Note::Warning(message) => {
                let (location, _) = locate_in(node.plain(), path, &around);
                problems.push_at(Severity::Warning, absolute, location, message.clone(), None);
            }
        }
    }
    for path in hidden {
        let (location, _) = locate_in(node.plain(), path, &around);
        problems.readings_mut().secrets.push(base.concat(path));
        problems.readings_mut().places.push(location);
    }
    for (path, fault) in faults {
        let (message, help) = fault::explain(&path, &fault, finished);
        let (mut location, _) = locate_in(node.plain(), &path, &around);
        if matches!(fault, Fault::UnknownField { .. }) {
            location = key_location(node, &path).unwrap_or(location);
        }
        let absolute = base.concat(&path);
        if is_unread(node, &path, &fault) {
            problems.readings_mut().unread.push(absolute.clone());
        }
        problems.push_at(Severity::Error, absolute, location, message, help);
    }
}

/// Whether a fault kept something from being read that may hold a secret: of a plain value it is known what it was to be.
fn is_unread(node: &Node, path: &KeyPath, fault: &Fault) -> bool {
    let is_plain =
        || node.at(path).is_none_or(|node| !matches!(node.plain(), Value::Map(_) | Value::List(_)));
    match fault {
        Fault::UnknownField { .. } => true,
        Fault::Missing(_) | Fault::KeepDefault | Fault::Unresolved => false,
        // A section that is no section at all, or a list of them.
        _ if path.is_empty() => true,
        Fault::Mismatch { expected, .. }
            if expected.starts_with("a map") || expected.starts_with("a list") =>
        {
            true
        }
        Fault::Mismatch { .. } | Fault::UnknownVariant { .. } | Fault::Other(_) => !is_plain(),
    }
}

fn key_location(node: &Node, path: &KeyPath) -> Option<crate::source::Location> {
    let parent = node.at(&path.parent())?.as_map()?;
    let location = &parent.entry(path.last()?)?.key_location;
    location.is_known().then(|| location.clone())
}
