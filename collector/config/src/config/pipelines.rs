//! `service::pipelines`.

use super::Pipeline;
use super::read::{Defined, Reader, help_for_reference};
use crate::id::{ComponentId, PipelineId};
use crate::kind::Kind;
use crate::node::{Entry, Node, Value};
use crate::path::KeyPath;
use crate::suggest::nearest;
use phoenix_pdata::Signal;
use std::collections::HashSet;

const KEYS: [&str; 3] = ["receivers", "processors", "exporters"];

/// Reads the pipelines of `service`, which stands at `path`.
pub(super) fn read(
    reader: &mut Reader<'_>,
    path: &KeyPath,
    service: &Node,
    defined: &Defined,
) -> Vec<Pipeline> {
    let path = path.join("pipelines");
    let nothing = Node::default();
    let node = service.get("pipelines").unwrap_or(&nothing);
    let Some(entries) = reader.entries(&path, node) else { return Vec::new() };
    if entries.is_empty() && reader.needs_pipelines {
        let message = "service must have at least one pipeline".to_owned();
        reader.error(&path, service.location(), message, None);
    }
    let mut seen = HashSet::new();
    let mut pipelines = Vec::new();
    for entry in entries {
        let path = path.join(entry.key.clone());
        let id = PipelineId::parse(&entry.key).map_err(|error| {
            reader.error(&path, &entry.key_location, error.to_string(), help_for_id(&entry.key));
        });
        let pipeline = read_one(reader, &path, entry, defined);
        match (id, pipeline) {
            (Ok(id), _) if !seen.insert(id.clone()) => {
                let message = format!("duplicate name {:?} after unmarshaling {id}", entry.key);
                reader.error(&path, &entry.key_location, message, None);
            }
            (Ok(id), Some([receivers, processors, exporters])) => {
                pipelines.push(Pipeline { id, receivers, processors, exporters });
            }
            _ => {}
        }
    }
    pipelines
}

fn help_for_id(key: &str) -> Option<String> {
    let signal = key.split('/').next()?.trim();
    let names = Signal::ALL.map(Signal::name);
    if names.contains(&signal) || signal == "profiles" {
        return None;
    }
    // People say spans and points.
    let items = Signal::ALL.into_iter().find(|known| signal.starts_with(known.items_name()));
    let meant = items.map(Signal::name).or_else(|| nearest(signal, names));
    Some(match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("a pipeline's id begins with {}", names.join(", ")),
    })
}

/// Receivers, processors and exporters; `None` if there is nothing to read them from.
fn read_one(
    reader: &mut Reader<'_>,
    path: &KeyPath,
    entry: &Entry,
    defined: &Defined,
) -> Option<[Vec<ComponentId>; 3]> {
    reader.entries(path, &entry.value)?;
    reader.keys(path, &entry.value, &KEYS);
    let receivers = references(reader, path, entry, &[Kind::Receiver, Kind::Connector], defined);
    let processors = references(reader, path, entry, &[Kind::Processor], defined);
    let exporters = references(reader, path, entry, &[Kind::Exporter, Kind::Connector], defined);
    Some([receivers, processors, exporters])
}

/// The list of a pipeline for the first of `kinds`, each of which may be named there.
fn references(
    reader: &mut Reader<'_>,
    path: &KeyPath,
    entry: &Entry,
    kinds: &[Kind],
    defined: &Defined,
) -> Vec<ComponentId> {
    let kind = kinds[0];
    let list = entry.value.get(kind.section());
    let path_of_list = path.join(kind.section());
    let ids = list.map(|list| reader.ids(&path_of_list, list)).unwrap_or_default();
    let empty = list.is_none_or(|list| match list.plain() {
        Value::List(items) => items.is_empty(),
        value => matches!(value, Value::Null),
    });
    if empty && kind != Kind::Processor {
        let at = entry.value.as_map().and_then(|map| map.entry(kind.section()));
        let at = at.map_or(&entry.key_location, |entry| &entry.key_location);
        reader.error(path, at, format!("must have at least one {kind}"), None);
    }
    let mut seen = HashSet::new();
    for (id, location) in &ids {
        if !kinds.iter().any(|kind| defined.has(*kind, id)) {
            let message = format!("references {kind} \"{id}\" which is not configured");
            let help = help_for_reference(id, kinds, defined);
            reader.error(path, location, message, help);
        }
        if seen.insert(id) {
            continue;
        }
        if kind == Kind::Processor {
            reader.error(path, location, format!("references processor \"{id}\" multiple times"), None);
        } else {
            let message = format!("{kind} \"{id}\" is named twice, which changes nothing");
            reader.warn(path, location, message, None);
        }
    }
    ids.into_iter().map(|(id, _)| id).collect()
}
