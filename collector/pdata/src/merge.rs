//! Joins what belongs together. Appending a payload to another copies nothing, and leaves each entry with
//! a resource and scopes of its own; where many small requests meet, it pays to join the equal ones.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;

use crate::assemble::{Assembly, Part};
use crate::shape::{self, Level, RESOURCE_ENTRY, SCOPE_ENTRY};
use crate::wire::{Field, Fields, Wire, key};
use crate::{Payload, Signal};

/// Joins the entries of equal resources, and within them those of equal scopes.
///
/// Two are equal if everything about them is, byte by byte, but for their scopes or records: the resource
/// or scope, its schema, and fields that are not known. Records of a scope stay in order, and entries
/// stand where the first of their kind stood. Entries that are joined with no other are shared, not
/// copied; if there is nothing to join the payload is returned as it is.
///
/// The three signals have the same shape down to the record, so this does not depend on `_signal`.
pub fn coalesce(_signal: Signal, payload: Payload) -> Payload {
    let entries = || payload.pieces().flat_map(|piece| Fields::new(piece).map(move |field| (piece, field)));
    let groups = group(entries(), RESOURCE_ENTRY, shape::is_entry);
    let joined: Vec<_> = groups.into_iter().map(|group| (join_scopes(&group), group)).collect();
    if joined.iter().all(|(parts, _)| parts.is_none()) {
        return payload;
    }
    let mut assembly = Assembly::default();
    for (parts, group) in joined {
        match parts {
            Some(parts) => assembly.copy(&Part::message(key(1, Wire::Len), parts)),
            None => group.iter().for_each(|(piece, field)| assembly.share(piece, field.raw)),
        }
    }
    assembly.finish()
}

/// Messages of one level whose frames are equal, in order, each with the piece that it is in.
type Group<'a> = Vec<(&'a Bytes, Field<'a>)>;

/// Groups messages by frame. A field that is not `wanted` makes a group of its own.
fn group<'a>(
    fields: impl Iterator<Item = (&'a Bytes, Field<'a>)>,
    level: Level,
    wanted: impl Fn(&Field<'_>) -> bool,
) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut index: HashMap<Cow<'a, [u8]>, usize> = HashMap::new();
    for (piece, field) in fields {
        if !wanted(&field) {
            groups.push(vec![(piece, field)]);
            continue;
        }
        let known = *index.entry(shape::frame(field.body, level)).or_insert(groups.len());
        match groups.get_mut(known) {
            Some(group) => group.push((piece, field)),
            None => groups.push(vec![(piece, field)]),
        }
    }
    groups
}

/// What the entries of one resource become; `None` if there is nothing to join.
fn join_scopes<'a>(entries: &Group<'a>) -> Option<Vec<Part<'a>>> {
    let (_, first) = entries.first().filter(|(_, field)| shape::is_entry(field))?;
    let scopes = entries.iter().flat_map(|(piece, entry)| {
        let scopes = Fields::new(entry.body).filter(|field| shape::is_child(RESOURCE_ENTRY, field));
        scopes.map(move |scope| (*piece, scope))
    });
    let groups = group(scopes, SCOPE_ENTRY, |_| true);
    if entries.len() == 1 && groups.iter().all(|group| group.len() == 1) {
        return None;
    }
    let mut parts = frame(first.body, RESOURCE_ENTRY);
    parts.extend(groups.iter().map(join_records));
    Some(parts)
}

/// What the entries of one scope become.
fn join_records<'a>(entries: &Group<'a>) -> Part<'a> {
    let [(_, first), others @ ..] = entries.as_slice() else { return Part::Raw(&[]) };
    if others.is_empty() {
        return Part::Raw(first.raw);
    }
    let mut parts = frame(first.body, SCOPE_ENTRY);
    for (_, entry) in entries {
        let records = shape::runs(entry.body, |field| shape::is_child(SCOPE_ENTRY, field));
        parts.extend(records.into_iter().map(Part::Raw));
    }
    Part::message(key(2, Wire::Len), parts)
}

fn frame(body: &[u8], level: Level) -> Vec<Part<'_>> {
    shape::runs(body, |field| !shape::is_child(level, field)).into_iter().map(Part::Raw).collect()
}
