//! Changes requests in place, so to speak: what is touched is written anew, the ranges between are copied
//! as they are, and the lengths of all messages around a change are put right.
//!
//! An [`Editor`] collects changes to one message, usually a piece of a payload. Places are named by the
//! bytes that views give: [`raw`](crate::view::Span::raw) names a record, the bytes of a text name that
//! text. Where they are is found by address, so the bytes must be those that are edited, not a copy.
//!
//! All changes refer to the message as it was. An editor does not see its own changes, and two changes of
//! the same thing do not add up: the later one counts; within something that is removed or replaced as a
//! whole, none does. Who needs to build on a change finishes, and edits the result.

mod attributes;
mod plan;
#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::Bytes;

use crate::shape;
use crate::wire::{Field, Fields};
use crate::{Payload, Signal};

pub use attributes::{Attributed, Upsert};

/// Edits each piece of a payload; a piece in which nothing changes stays shared.
///
/// A request that ends up empty disappears.
pub fn edit(payload: Payload, mut change: impl FnMut(&mut Editor<'_>)) -> Payload {
    let mut edited = Payload::default();
    for piece in payload {
        let mut editor = Editor::new(&piece);
        change(&mut editor);
        let changed = editor.finish();
        edited.append(Payload::from(changed.map_or(piece, Bytes::from)));
    }
    edited
}

/// Removes what holds no items, as is left when records are removed: metrics without data points, scopes
/// without records, resources without scopes. A piece that has none of these stays shared.
pub fn prune(signal: Signal, payload: Payload) -> Payload {
    edit(payload, |editor| {
        for entry in Fields::new(editor.message()).filter(shape::is_entry) {
            prune_within(editor, entry.body, shape::RESOURCE_ENTRY, shape::item_level(signal));
        }
    })
}

/// Prunes a message at `level`. What is removed within something that is itself removed does no harm.
fn prune_within(editor: &mut Editor<'_>, body: &[u8], level: shape::Level, items: shape::Level) {
    if level == items {
        return;
    }
    if shape::count(body, level, items) == 0 {
        editor.remove(body);
        return;
    }
    for child in Fields::new(body).filter(|field| shape::is_child(level, field)) {
        prune_within(editor, child.body, level + 1, items);
    }
}

/// Changes to a message and to the messages in it.
#[derive(Debug)]
pub struct Editor<'a> {
    message: &'a [u8],
    changes: Vec<Change>,
    /// What the changes insert.
    fresh: Vec<u8>,
}

/// A change, before the lengths around it are known.
#[derive(Clone, Debug)]
struct Change {
    /// Where, in the message that is edited.
    at: Range<usize>,
    kind: Kind,
    /// What comes there, in the fresh bytes.
    fresh: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Adds fields to the end of the message whose body is `at`.
    Append,
    /// Puts other fields, or none, in the place of the field that is `at`, key included.
    Field,
    /// Puts another value in the place of the one that is `at`, and keeps the key.
    Value,
    /// Removes the field whose value is `at`.
    Remove,
}

impl<'a> Editor<'a> {
    /// Starts with no changes to the body of a message.
    pub fn new(message: &'a [u8]) -> Editor<'a> {
        Editor { message, changes: Vec::new(), fresh: Vec::new() }
    }

    /// The message as it is without the changes.
    pub fn message(&self) -> &'a [u8] {
        self.message
    }

    /// Whether nothing was changed yet.
    pub fn is_unchanged(&self) -> bool {
        self.changes.is_empty()
    }

    /// Removes the field whose value these bytes are: a record by its [`raw`](crate::view::Span::raw),
    /// an event, a text.
    ///
    /// This and the others tell whether the bytes are part of the message; if not, nothing changes.
    pub fn remove(&mut self, value: &[u8]) -> bool {
        self.change(value, Kind::Remove, |_| {})
    }

    /// Puts another value in the place of a length-delimited one: another text, another body of a message.
    pub fn replace(&mut self, value: &[u8], by: &[u8]) -> bool {
        self.change(value, Kind::Value, |fresh| fresh.extend_from_slice(by))
    }

    /// Adds fields to the end of the message whose body these bytes are. Several calls add up.
    pub fn append(&mut self, message: &[u8], fields: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.change(message, Kind::Append, fields)
    }

    /// Puts fields in the place of a field, see [`Field::raw`].
    pub fn replace_field(&mut self, field: &Field<'_>, by: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.change(field.raw, Kind::Field, by)
    }

    /// Sets a field that is not `repeated`: `encoded` writes it, key included. Other occurrences go.
    /// Members of a oneof exclude each other: [`Editor::clear_field`] the others.
    pub fn set_field(&mut self, message: &[u8], number: u32, encoded: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut occurrences = Fields::new(message).filter(|field| field.number() == number);
        let Some(first) = occurrences.next() else { return self.append(message, encoded) };
        occurrences.for_each(|other| {
            self.replace_field(&other, |_| {});
        });
        self.replace_field(&first, encoded)
    }

    /// Removes every field with this number from the message. Tells whether there was one.
    pub fn clear_field(&mut self, message: &[u8], number: u32) -> bool {
        let mut any = false;
        for field in Fields::new(message).filter(|field| field.number() == number) {
            any |= self.replace_field(&field, |_| {});
        }
        any
    }

    fn change(&mut self, place: &[u8], kind: Kind, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let start = place.as_ptr().addr().wrapping_sub(self.message.as_ptr().addr());
        let end = start.wrapping_add(place.len());
        if start > end || end > self.message.len() {
            return false;
        }
        let fresh = self.fresh.len();
        write(&mut self.fresh);
        self.changes.push(Change { at: start..end, kind, fresh: fresh..self.fresh.len() });
        true
    }

    /// The message with the changes, or `None` if there are none. Copies each range once.
    pub fn finish(self) -> Option<Vec<u8>> {
        if self.changes.is_empty() {
            return None;
        }
        Some(plan::carry_out(self.message, self.changes, &self.fresh))
    }
}
