//! Which file each resource of a request belongs to.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use phoenix_pdata::view::{AnyValue, ResourceSpans, View as _};
use phoenix_pdata::wire::Fields;
use phoenix_pdata::{Payload, Signal, count_items};

use crate::layout::clean;

/// The part of a request that goes to one file.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) path: PathBuf,
    pub(crate) payload: Payload,
    pub(crate) items: u64,
}

/// A path with a gap for the value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    before: String,
    after: String,
}

impl Pattern {
    /// `path` without a `*` is one file.
    pub(crate) fn new(path: &str) -> Pattern {
        let (before, after) = path.split_once('*').unwrap_or((path, ""));
        Pattern { before: before.to_owned(), after: after.to_owned() }
    }

    /// The folder that is above every file.
    pub(crate) fn folder(&self) -> PathBuf {
        self.split().0
    }

    /// That folder, and how names below it begin.
    fn split(&self) -> (PathBuf, &str) {
        match self.before.rsplit_once('/') {
            None => (PathBuf::new(), &self.before),
            Some(("", name)) => (PathBuf::from("/"), name),
            Some((folder, name)) => (clean(folder), name),
        }
    }

    /// The file for `segment`, which cannot lead out of the folder of the pattern: where it tries, its
    /// `..` mean nothing.
    pub(crate) fn path(&self, segment: &str) -> PathBuf {
        // As in otelcol: what begins like a relative path begins at the folder.
        let segment = match segment {
            segment if segment.starts_with("./") => &segment[1..],
            segment if segment.starts_with("../") => &segment[2..],
            segment => segment,
        };
        let path = clean(&format!("{}{segment}{}", self.before, self.after));
        let (folder, name) = self.split();
        let inside = path.strip_prefix(&folder).ok().and_then(|rest| rest.components().next());
        let begins_well = inside.is_some_and(|first| {
            matches!(first, std::path::Component::Normal(text) if text.as_encoded_bytes().starts_with(name.as_bytes()))
        });
        if begins_well && path != folder {
            return path;
        }
        let harmless = clean(&format!("/{segment}{}", self.after));
        let below = harmless.strip_prefix("/").unwrap_or(Path::new(""));
        clean(&self.before).join(below)
    }
}

/// Sorts the resources of a request by file, in order of appearance. Also gives the items of those without
/// the attribute, or with one that is no text.
pub(crate) fn group(
    signal: Signal,
    payload: &Payload,
    attribute: &str,
    pattern: &Pattern,
) -> (Vec<Group>, u64) {
    let mut groups: Vec<Group> = Vec::new();
    let mut places: HashMap<PathBuf, usize> = HashMap::new();
    let mut nameless = Payload::default();
    for piece in payload.pieces() {
        for field in Fields::new(piece).filter(|field| field.is_len(1)) {
            let entry = Payload::from(piece.slice_ref(field.raw));
            // The resource stands in the same field whatever the signal.
            let resource = ResourceSpans::new(field.body).resource();
            let value = resource.and_then(|resource| resource.attributes().get(attribute));
            let Some(AnyValue::String(segment)) = value else {
                nameless.append(entry);
                continue;
            };
            let path = pattern.path(&segment.to_string_lossy());
            match places.get(&path) {
                Some(place) => groups[*place].payload.append(entry),
                None => {
                    places.insert(path.clone(), groups.len());
                    groups.push(Group { path, payload: entry, items: 0 });
                }
            }
        }
    }
    for group in &mut groups {
        group.items = count_items(signal, &group.payload);
    }
    (groups, count_items(signal, &nameless))
}
