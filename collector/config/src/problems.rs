//! What is wrong with a configuration: every problem of every section in one report, each with its place.

mod masked;
mod render;

#[cfg(test)]
mod tests;

use crate::node::{Node, Value};
use crate::path::KeyPath;
use crate::schema::Shape;
use crate::source::Location;

/// What is said of a key that the settings do not have.
pub(crate) const UNKNOWN_KEY: &str = "unknown key";
/// How it begins to be said that there is no such component.
pub(crate) const UNKNOWN_TYPE: &str = "unknown type";
/// How a help text begins that can only list keys.
pub(crate) const KNOWN_KEYS: &str = "known keys are ";
/// Most sections that a help text names.
const MAX_PLACES: usize = 3;

/// Whether a problem stops the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// The configuration works, perhaps not as meant.
    Warning,
}

/// One problem.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Whether it stops the start.
    pub severity: Severity,
    /// Where it was written; unknown for what is missing altogether.
    pub location: Location,
    /// The key, from the root.
    pub path: KeyPath,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// The key as the section that reported it knows it.
    relative: String,
}

/// What reading a configuration taught about its values: needed to print it.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// Values that were read as secrets.
    pub(crate) secrets: Vec<KeyPath>,
    /// Where those were written: such lines are not quoted.
    pub(crate) places: Vec<Location>,
    /// What nobody could read: any value there may be a secret.
    pub(crate) unread: Vec<KeyPath>,
    /// Substitutions that were read as text.
    pub(crate) texts: Vec<KeyPath>,
    /// Nobody has read the sections so far, so that any value may be a secret.
    pub(crate) is_unread: bool,
}

/// Collects problems, of one section or of a whole configuration.
///
/// A `key` is relative to the section and may go deeper with `::`; an empty one is the section itself. The problem is
/// placed at the key's value where the key was written, else at the section.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    list: Vec<Diagnostic>,
    readings: Readings,
    path: KeyPath,
    section: usize,
    node: Option<Node>,
    location: Location,
    /// Problems at or around a key that has one already are left out, and so are those around these.
    only_new_keys: bool,
    reported_elsewhere: Vec<KeyPath>,
}

impl Problems {
    /// No problems, and no section: places are unknown until sections are absorbed.
    pub fn new() -> Problems {
        Problems::default()
    }

    /// No problems yet in the section that `node` is, which stands at `path` and is named at `location`.
    pub fn in_section(path: KeyPath, node: &Node, location: &Location) -> Problems {
        let location = if location.is_known() { location } else { node.location() };
        Problems {
            section: path.len(),
            path,
            node: Some(node.clone()),
            location: location.clone(),
            ..Problems::default()
        }
    }

    /// The problems that `check` reports; for tests of a section's `validate`.
    pub fn of(check: impl FnOnce(&mut Problems)) -> Problems {
        let mut problems = Problems::new();
        check(&mut problems);
        problems
    }

    /// Reports `message` at `key` unless `holds`.
    pub fn require(&mut self, holds: bool, key: &str, message: impl Into<String>) {
        if !holds {
            self.error(key, message);
        }
    }

    /// Reports an error at `key`.
    pub fn error(&mut self, key: &str, message: impl Into<String>) {
        self.report(Severity::Error, key, message.into(), None);
    }

    /// Reports an error at `key`, and what would be right.
    pub fn error_with_help(&mut self, key: &str, message: impl Into<String>, help: impl Into<String>) {
        self.report(Severity::Error, key, message.into(), Some(help.into()));
    }

    /// Reports a warning at `key`.
    pub fn warn(&mut self, key: &str, message: impl Into<String>) {
        self.report(Severity::Warning, key, message.into(), None);
    }

    /// Reports a warning at `key`, and what would be right.
    pub fn warn_with_help(&mut self, key: &str, message: impl Into<String>, help: impl Into<String>) {
        self.report(Severity::Warning, key, message.into(), Some(help.into()));
    }

    /// Runs a check whose keys are relative to `key`.
    pub fn within(&mut self, key: &str, check: impl FnOnce(&mut Problems)) {
        let inner = KeyPath::parse(key);
        let (location, _) = self.locate(&inner);
        let node = self.node.as_ref().and_then(|node| node.at(&inner)).cloned();
        let outer = (self.path.clone(), self.node.clone(), self.location.clone());
        self.path = self.path.concat(&inner);
        self.node = node;
        self.location = location;
        check(self);
        (self.path, self.node, self.location) = outer;
    }

    /// Runs a check of another text, `node`, which the value at `key` names: problems are placed in it.
    pub fn within_text(&mut self, key: &str, node: &Node, check: impl FnOnce(&mut Problems)) {
        let outer = (self.path.clone(), self.node.clone(), self.location.clone());
        self.path = self.path.concat(&KeyPath::parse(key));
        self.node = Some(node.clone());
        self.location = node.location().clone();
        check(self);
        (self.path, self.node, self.location) = outer;
    }

    /// Where the value at `key` is written, or what is nearest around it; for messages about two places.
    pub fn place_of(&self, key: &str) -> Location {
        self.locate(&KeyPath::parse(key)).0
    }

    /// Takes over what another collector found.
    pub fn absorb(&mut self, other: Problems) {
        self.list.extend(other.list);
        self.readings.secrets.extend(other.readings.secrets);
        self.readings.places.extend(other.readings.places);
        self.readings.unread.extend(other.readings.unread);
        self.readings.texts.extend(other.readings.texts);
    }

    /// Says of unknown keys which sections of `shape`, the section's, have them; for those of which nothing better is
    /// known than a list of keys.
    pub fn explain_unknown_keys(&mut self, shape: &Shape) {
        let section = self.section;
        for problem in self.list.iter_mut().filter(|problem| problem.message == UNKNOWN_KEY) {
            let is_list = |help: &String| help.starts_with(KNOWN_KEYS);
            let Some(field) = problem.path.last().filter(|_| problem.help.as_ref().is_none_or(is_list))
            else {
                continue;
            };
            let here: Vec<&str> = problem.path.keys().skip(section).collect();
            let mut places = Vec::new();
            shape.places_of(field, &mut Vec::new(), &mut places);
            // Those below this level first, then those near the top.
            let around = &here[..here.len().saturating_sub(1)];
            places.sort_by_key(|place| (!place.starts_with(around), place.len()));
            let names: Vec<String> = places
                .iter()
                .take(MAX_PLACES)
                .map(|place| match place.as_slice() {
                    [] => "the top of this component".to_owned(),
                    place => format!("`{}`", place.join("::")),
                })
                .collect();
            if !names.is_empty() {
                problem.help =
                    Some(format!("`{field}` is a key of {}, not of this level", names.join(" and ")));
            }
        }
    }

    /// Whether anything stops the start.
    pub fn has_errors(&self) -> bool {
        self.errors().next().is_some()
    }

    /// Whether there is neither an error nor a warning.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What stops the start, in the order of discovery.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter().filter(|problem| problem.severity == Severity::Error)
    }

    /// What does not stop the start.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter().filter(|problem| problem.severity == Severity::Warning)
    }

    /// All problems by place, without repetitions.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut list: Vec<&Diagnostic> = self.list.iter().collect();
        list.sort_by_key(|problem| problem.order());
        list.dedup_by(|a, b| a.order() == b.order() && a.message == b.message && a.path == b.path);
        list
    }

    /// The keys of the errors, relative to the section, in the order of discovery.
    pub fn keys(&self) -> Vec<&str> {
        self.errors().map(|problem| problem.relative.as_str()).collect()
    }

    /// What reading the configuration taught about its values.
    pub fn readings(&self) -> &Readings {
        &self.readings
    }

    pub(crate) fn readings_mut(&mut self) -> &mut Readings {
        &mut self.readings
    }

    /// The path of the section that problems are reported in.
    pub(crate) fn path(&self) -> &KeyPath {
        &self.path
    }

    /// Where the section is named.
    pub(crate) fn location_of_section(&self, node: &Node) -> (Location, bool) {
        if self.location.is_known() {
            (self.location.clone(), true)
        } else {
            (node.location().clone(), node.location().is_known())
        }
    }

    /// Leaves out, from now on, errors at or around a key that already has one.
    pub(crate) fn only_new_keys(&mut self, only_new_keys: bool) {
        self.only_new_keys = only_new_keys;
    }

    /// Counts a key that could not be resolved among those that have an error.
    pub(crate) fn reported_elsewhere(&mut self, path: KeyPath) {
        self.reported_elsewhere.push(path);
    }

    /// Adds a problem whose place is known.
    pub(crate) fn push_at(
        &mut self,
        severity: Severity,
        path: KeyPath,
        location: Location,
        message: String,
        help: Option<String>,
    ) {
        let mut relative = KeyPath::root();
        for key in path.keys().skip(self.section) {
            relative.push(key);
        }
        self.list.push(Diagnostic {
            severity,
            location,
            path,
            message,
            help,
            relative: relative.to_string(),
        });
    }

    fn report(&mut self, severity: Severity, key: &str, message: String, help: Option<String>) {
        let inner = KeyPath::parse(key);
        let path = self.path.concat(&inner);
        if self.only_new_keys && (self.has_error_around(&path) || self.follows_from_open(&path, &message)) {
            return;
        }
        let (location, is_there) = self.locate(&inner);
        if self.only_new_keys && !is_there && self.is_open_beside(&path) {
            return;
        }
        self.push_at(severity, path, location, message, help);
    }

    /// Whether a value that could not be resolved may be why this was said: a relation names both keys.
    fn follows_from_open(&self, path: &KeyPath, message: &str) -> bool {
        let words = || message.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        self.reported_elsewhere.iter().any(|open| {
            let names_it = open.last().is_some_and(|key| words().any(|word| word == key));
            names_it || (path.len() == self.section && open.len() == self.section + 1)
        })
    }

    /// Whether a value beside this one could not be resolved: it may be what is missing here.
    fn is_open_beside(&self, path: &KeyPath) -> bool {
        self.reported_elsewhere.iter().any(|open| open.parent() == path.parent())
    }

    fn has_error_around(&self, path: &KeyPath) -> bool {
        if path.len() <= self.section {
            return false;
        }
        let here = self.errors().map(|problem| &problem.path);
        here.chain(&self.reported_elsewhere)
            .any(|other| other.len() > self.section && (other.contains(path) || path.contains(other)))
    }

    /// The place of a value: itself if it is a scalar, else its key; the nearest thing around it if it is not there.
    fn locate(&self, inner: &KeyPath) -> (Location, bool) {
        let start = self.node.as_ref().map_or(&Value::Null, Node::plain);
        locate_in(start, inner, &self.location)
    }
}

/// The place of the value at `inner` under `value`, and whether it is there; `around` is the place of `value`'s key.
pub(crate) fn locate_in(value: &Value, inner: &KeyPath, around: &Location) -> (Location, bool) {
    let mut value = value;
    let mut location = around.clone();
    for key in inner.keys() {
        let (child, place) = match value {
            Value::Map(map) => match map.entry(key) {
                Some(entry) => (&entry.value, &entry.key_location),
                None => return (location, false),
            },
            Value::List(items) => match key.parse::<usize>().ok().and_then(|index| items.get(index)) {
                Some(item) => (item, item.location()),
                None => return (location, false),
            },
            _ => return (location, false),
        };
        value = child.plain();
        let scalar = !matches!(value, Value::Map(_) | Value::List(_) | Value::Null);
        let place = if scalar || !place.is_known() { child.location() } else { place };
        if place.is_known() {
            location = place.clone();
        }
    }
    (location, true)
}

impl Diagnostic {
    fn order(&self) -> (bool, &str, u32, u32) {
        let name = self.location.source().map_or("", |source| source.name());
        (!self.location.is_known(), name, self.location.line(), self.location.column())
    }
}

impl std::error::Error for Problems {}
