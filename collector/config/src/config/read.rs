//! The top of a configuration: its sections and their ids.

use super::{Component, Config, Service, pipelines};
use crate::id::ComponentId;
use crate::kind::{Catalog, Kind, Known};
use crate::node::{Entry, Node, Value};
use crate::path::KeyPath;
use crate::problems::{Problems, Severity, UNKNOWN_KEY, UNKNOWN_TYPE};
use crate::source::Location;
use crate::suggest::nearest;
use std::collections::HashSet;

const SERVICE: &str = "service";
const SERVICE_KEYS: [&str; 3] = ["extensions", "pipelines", "telemetry"];
const TELEMETRY_KEYS: [&str; 4] = ["logs", "metrics", "traces", "resource"];

/// The ids that each section has, those with mistakes included: what refers to them has no mistake of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Defined {
    ids: [HashSet<ComponentId>; Kind::ALL.len()],
    /// Sections that cannot be read: nothing can be said about what is missing there.
    unclear: [bool; Kind::ALL.len()],
    /// Extensions of types that are left out.
    ignored: HashSet<ComponentId>,
}

impl Defined {
    pub(super) fn has(&self, kind: Kind, id: &ComponentId) -> bool {
        self.unclear[kind.index()] || self.contains(kind, id)
    }

    pub(super) fn contains(&self, kind: Kind, id: &ComponentId) -> bool {
        self.ids[kind.index()].contains(id)
    }

    pub(super) fn ids(&self, kind: Kind) -> impl Iterator<Item = &ComponentId> {
        self.ids[kind.index()].iter()
    }
}

/// `needs_pipelines` says whether a configuration without any is wrong.
pub(super) fn read(
    root: &Node,
    catalog: &dyn Catalog,
    problems: &mut Problems,
    needs_pipelines: bool,
) -> Config {
    problems.readings_mut().is_unread = false;
    let mut reader = Reader { root, catalog, problems, is_open: false, needs_pipelines };
    let known: Vec<&str> = Kind::ALL.map(Kind::section).into_iter().chain([SERVICE]).collect();
    reader.keys(&KeyPath::root(), root, &known);
    let mut config = Config::default();
    let mut defined = Defined::default();
    let mut entries = 0;
    for kind in Kind::ALL {
        entries += reader.section(kind, &mut config, &mut defined);
    }
    reader.what_is_missing(entries, &defined);
    reader.clashes(&config, &defined);
    config.service = reader.service(&defined);
    config.defined = defined;
    config
}

pub(super) struct Reader<'a> {
    root: &'a Node,
    catalog: &'a dyn Catalog,
    problems: &'a mut Problems,
    /// Something under `service` could not be resolved.
    is_open: bool,
    pub(super) needs_pipelines: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn error(
        &mut self,
        path: &KeyPath,
        location: &Location,
        message: String,
        help: Option<String>,
    ) {
        self.report(Severity::Error, path, location, message, help);
    }

    pub(super) fn warn(
        &mut self,
        path: &KeyPath,
        location: &Location,
        message: String,
        help: Option<String>,
    ) {
        self.report(Severity::Warning, path, location, message, help);
    }

    fn report(
        &mut self,
        severity: Severity,
        path: &KeyPath,
        location: &Location,
        message: String,
        help: Option<String>,
    ) {
        self.problems.push_at(severity, path.clone(), location.clone(), message, help);
    }

    /// Takes note of what will not be read.
    fn unread(&mut self, path: &KeyPath) {
        self.problems.readings_mut().unread.push(path.clone());
    }

    /// Refuses keys that are not known.
    pub(super) fn keys(&mut self, path: &KeyPath, node: &Node, known: &[&str]) {
        for entry in node.as_map().map(|map| map.entries()).unwrap_or_default() {
            if known.contains(&&*entry.key) {
                continue;
            }
            let help = match nearest(&entry.key, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known keys are {}", known.join(", ")),
            };
            let path = path.join(entry.key.clone());
            self.error(&path, &entry.key_location, UNKNOWN_KEY.into(), Some(help));
            self.unread(&path);
        }
    }

    /// The entries of a map; none of null. Anything else is an error, and `None`.
    pub(super) fn entries<'n>(&mut self, path: &KeyPath, node: &'n Node) -> Option<&'n [Entry]> {
        match node.plain() {
            Value::Map(map) => Some(map.entries()),
            Value::Null => Some(&[]),
            Value::Unresolved => {
                self.is_open |= path.keys().next() == Some(SERVICE);
                None
            }
            _ => {
                self.error(path, node.location(), format!("expected a map, found {}", node.describe()), None);
                self.unread(path);
                None
            }
        }
    }

    /// Reads the ids of a section; their number, with those that are wrong.
    fn section(&mut self, kind: Kind, config: &mut Config, defined: &mut Defined) -> usize {
        let path = KeyPath::root().join(kind.section());
        let Some(node) = self.root.get(kind.section()) else { return 0 };
        let Some(entries) = self.entries(&path, node) else {
            defined.unclear[kind.index()] = true;
            return 1;
        };
        for entry in entries {
            let path = path.join(entry.key.clone());
            let id = match ComponentId::parse(&entry.key) {
                Ok(id) => id,
                Err(error) => {
                    self.error(&path, &entry.key_location, error.to_string(), None);
                    self.unread(&path);
                    // It may be meant by what refers to it.
                    continue;
                }
            };
            if !defined.ids[kind.index()].insert(id.clone()) {
                let message = format!("duplicate name {:?} after unmarshaling {id}", entry.key);
                self.error(&path, &entry.key_location, message, None);
                self.unread(&path);
                continue;
            }
            if let Known::Ignored(why) = self.catalog.known(kind, id.type_name()) {
                self.warn(&path, &entry.key_location, format!("ignored: {why}"), Some("remove it".into()));
                self.unread(&path);
                defined.ignored.insert(id);
                continue;
            }
            let Some(type_name) = self.type_name(kind, &id, &path, &entry.key_location) else {
                self.unread(&path);
                continue;
            };
            config.components[kind.index()].push(Component {
                kind,
                id,
                type_name,
                node: entry.value.clone(),
                path,
                location: entry.key_location.clone(),
            });
        }
        entries.len()
    }

    /// The type's own name, if the distribution has it.
    fn type_name(&mut self, kind: Kind, id: &ComponentId, path: &KeyPath, at: &Location) -> Option<String> {
        let written = id.type_name();
        match self.catalog.known(kind, written) {
            Known::Canonical => Some(written.to_owned()),
            Known::Alias(canonical) => {
                let message = format!("{written:?} alias is deprecated; use {canonical:?} instead");
                self.warn(path, at, message, None);
                Some(canonical.to_owned())
            }
            gone => {
                let message = format!("{UNKNOWN_TYPE}: {written:?} for id: \"{id}\"");
                let help = match gone {
                    Known::Removed(hint) => hint.to_owned(),
                    _ => self.help_for_type(kind, written),
                };
                self.error(path, at, message, Some(help));
                None
            }
        }
    }

    fn help_for_type(&self, kind: Kind, written: &str) -> String {
        let types = self.catalog.types(kind);
        let elsewhere = || {
            let has = |other: &Kind| !matches!(self.catalog.known(*other, written), Known::Unknown);
            Kind::ALL.into_iter().filter(|other| *other != kind).find(has)
        };
        if let Some(meant) = nearest(written, types.iter().copied()) {
            return format!("did you mean `{meant}`?");
        }
        match elsewhere() {
            Some(other) => format!("`{written}` is a type of {other}s: write it under `{}`", other.section()),
            None => format!("known {kind}s are {}", types.join(", ")),
        }
    }

    fn what_is_missing(&mut self, entries: usize, defined: &Defined) {
        let top = self.root.location().clone();
        if entries == 0 {
            self.error(&KeyPath::root(), &top, "empty configuration file".into(), None);
            return;
        }
        if !self.needs_pipelines {
            return;
        }
        for kind in [Kind::Receiver, Kind::Exporter] {
            let node = self.root.get(kind.section());
            let empty = node.is_none_or(|node| node.as_map().is_none_or(|map| map.is_empty()));
            if empty && !defined.unclear[kind.index()] {
                let message = format!("no {kind} configuration specified in config");
                let help = format!("add a section `{}`", kind.section());
                self.error(&KeyPath::root(), &top, message, Some(help));
            }
        }
    }

    /// A connector must not share its id with what a pipeline could mean instead.
    fn clashes(&mut self, config: &Config, defined: &Defined) {
        for connector in config.components(Kind::Connector) {
            for kind in [Kind::Receiver, Kind::Exporter] {
                let id = &connector.id;
                if defined.contains(kind, id) {
                    let message = format!("ambiguous ID: Found both \"{id}\" {kind} and \"{id}\" connector");
                    let help = format!(
                        "change one of the components' IDs, for example \"{id}\" connector to \"{id}/connector\""
                    );
                    self.error(&connector.path, &connector.location, message, Some(help));
                }
            }
        }
    }

    fn service(&mut self, defined: &Defined) -> Service {
        let path = KeyPath::root().join(SERVICE);
        let nothing = Node::default();
        let node = self.root.get(SERVICE).unwrap_or(&nothing);
        let readable = self.entries(&path, node).is_some();
        self.keys(&path, node, &SERVICE_KEYS);
        let extensions = self.extensions(&path, node, defined);
        let pipelines = if readable { pipelines::read(self, &path, node, defined) } else { Vec::new() };
        let telemetry = node.get("telemetry").cloned().unwrap_or_default();
        self.telemetry(&path.join("telemetry"), &telemetry);
        Service { extensions, pipelines, telemetry, is_open: self.is_open }
    }

    fn extensions(&mut self, path: &KeyPath, service: &Node, defined: &Defined) -> Vec<ComponentId> {
        let path = path.join("extensions");
        let Some(node) = service.get("extensions") else { return Vec::new() };
        let ids = self.ids(&path, node);
        for (id, location) in &ids {
            if !defined.has(Kind::Extension, id) {
                let message = format!("references extension \"{id}\" which is not configured");
                let help = help_for_reference(id, &[Kind::Extension], defined);
                self.error(&path, location, message, help);
            }
        }
        ids.into_iter().map(|(id, _)| id).filter(|id| !defined.ignored.contains(id)).collect()
    }

    /// The ids that a list names, each with its place; null is an empty list.
    pub(super) fn ids(&mut self, path: &KeyPath, node: &Node) -> Vec<(ComponentId, Location)> {
        let items = match node.plain() {
            Value::List(items) => items.as_slice(),
            Value::Null => return Vec::new(),
            Value::Unresolved => {
                self.is_open = true;
                return Vec::new();
            }
            _ => {
                let help = node.as_text().map(|text| format!("write `[{text}]`"));
                let message = format!("expected a list, found {}", node.describe());
                self.error(path, node.location(), message, help);
                return Vec::new();
            }
        };
        let mut ids = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = path.join(index.to_string());
            let location = if item.location().is_known() { item.location() } else { node.location() };
            match item.as_text().map(ComponentId::parse) {
                Some(Ok(id)) => ids.push((id, location.clone())),
                Some(Err(error)) => self.error(&path, location, error.to_string(), None),
                None if matches!(item.plain(), Value::Unresolved) => self.is_open = true,
                None => {
                    let message = format!("expected the id of a component, found {}", item.describe());
                    self.error(&path, location, message, None);
                }
            }
        }
        ids
    }

    fn telemetry(&mut self, path: &KeyPath, node: &Node) {
        if self.entries(path, node).is_none() {
            return;
        }
        self.keys(path, node, &TELEMETRY_KEYS);
    }
}

/// What may have been meant by an id that is not configured.
pub(super) fn help_for_reference(id: &ComponentId, kinds: &[Kind], defined: &Defined) -> Option<String> {
    let elsewhere = Kind::ALL.into_iter().find(|kind| !kinds.contains(kind) && defined.contains(*kind, id));
    if let Some(kind) = elsewhere {
        return Some(format!("\"{id}\" is configured as a {kind}"));
    }
    let mut known: Vec<String> =
        kinds.iter().flat_map(|kind| defined.ids(*kind)).map(ComponentId::to_string).collect();
    known.sort();
    let written = id.to_string();
    if let Some(meant) = nearest(&written, known.iter().map(String::as_str)) {
        return Some(format!("did you mean `{meant}`?"));
    }
    let same_type: Vec<&str> = known
        .iter()
        .map(String::as_str)
        .filter(|known| known.split('/').next() == Some(id.type_name()))
        .collect();
    if !same_type.is_empty() {
        return Some(format!("of that type there is {}", same_type.join(", ")));
    }
    let section = kinds.first()?.section();
    Some(if known.is_empty() {
        format!("add it under `{section}`")
    } else {
        format!("add it under `{section}`, which has {}", known.join(", "))
    })
}
