use std::ops::Range;

use phoenix_pdata::Rewriter;
use phoenix_pdata::view::{AnyValue, KeyValue, View as _, key_of};
use phoenix_pdata::wire::{Field, Fields};
use phoenix_pdata::write::{put_bytes, put_value};

/// The attributes of one record while actions change them.
///
/// It is filled anew for each record and keeps its room, so that a record costs no allocation. Nothing is
/// decoded: an entry is a key, and where the attribute stands.
#[derive(Debug, Default)]
pub struct List<'a> {
    entries: Vec<Entry<'a>>,
    /// Bodies of attributes that were made for this record.
    fresh: Vec<u8>,
    change: Change,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Change {
    #[default]
    None,
    /// Those from this one on are new, those before are as they were.
    Appended(usize),
    Rewritten,
}

#[derive(Clone, Debug)]
struct Entry<'a> {
    key: &'a [u8],
    body: Body<'a>,
}

/// The body of an attribute, key and value.
#[derive(Clone, Debug)]
pub enum Body<'a> {
    /// As it came; the first is the whole field.
    Kept(&'a [u8], &'a [u8]),
    /// Encoded beforehand.
    Ready(&'a [u8]),
    /// In the list's own bytes.
    Fresh(Range<usize>),
}

impl<'a> List<'a> {
    /// The attributes of the message whose body this is; `number` is the field that holds them.
    #[inline]
    pub fn fill(&mut self, message: &'a [u8], number: u32) {
        self.entries.clear();
        self.fresh.clear();
        self.change = Change::None;
        for field in Fields::new(message).filter(|field| field.is_len(number)) {
            self.entries.push(Entry { key: key_of(field.body), body: Body::Kept(field.raw, field.body) });
        }
    }

    /// Whether nothing was changed since it was filled.
    pub fn is_unchanged(&self) -> bool {
        self.change == Change::None
    }

    /// The place of the first attribute with this key.
    #[inline]
    pub fn find(&self, key: &[u8]) -> Option<usize> {
        self.entries.iter().position(|entry| entry.key == key)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The key of one.
    pub fn key(&self, index: usize) -> &'a [u8] {
        self.entries[index].key
    }

    /// The value of one.
    pub fn value(&self, index: usize) -> AnyValue<'_> {
        KeyValue::new(self.body(index)).value()
    }

    fn body(&self, index: usize) -> &[u8] {
        match &self.entries[index].body {
            Body::Kept(_, body) | Body::Ready(body) => body,
            Body::Fresh(range) => &self.fresh[range.clone()],
        }
    }

    /// Puts another attribute of the same key in the place of one.
    pub fn set(&mut self, index: usize, body: Body<'a>) {
        self.entries[index].body = body;
        if !matches!(self.change, Change::Appended(from) if index >= from) {
            self.change = Change::Rewritten;
        }
    }

    /// Adds one to the end.
    pub fn push(&mut self, key: &'a [u8], body: Body<'a>) {
        if self.change == Change::None {
            self.change = Change::Appended(self.entries.len());
        }
        self.entries.push(Entry { key, body });
    }

    /// Sets the attribute of a key, in its place or at the end.
    pub fn put(&mut self, key: &'a [u8], body: Body<'a>) {
        match self.find(key) {
            Some(index) => self.set(index, body),
            None => self.push(key, body),
        }
    }

    /// Removes one; the last one takes its place, as Go's do.
    pub fn remove(&mut self, index: usize) {
        self.change = Change::Rewritten;
        self.entries.swap_remove(index);
    }

    /// Removes those whose keys are meant; the others stay in order.
    pub fn remove_all(&mut self, mut is_meant: impl FnMut(&[u8]) -> bool) {
        let before = self.entries.len();
        self.entries.retain(|entry| !is_meant(entry.key));
        if self.entries.len() < before {
            self.change = Change::Rewritten;
        }
    }

    /// The body of an attribute with this key and value, for [`List::set`] and [`List::push`].
    pub fn make(&mut self, key: &[u8], value: &AnyValue<'_>) -> Body<'a> {
        let start = self.fresh.len();
        put_bytes(&mut self.fresh, 1, key);
        put_value(&mut self.fresh, 2, value);
        Body::Fresh(start..self.fresh.len())
    }

    /// The body of an attribute with this key and the value of another.
    pub fn copy_of(&mut self, key: &[u8], index: usize) -> Body<'a> {
        let start = self.fresh.len();
        put_bytes(&mut self.fresh, 1, key);
        match self.entries[index].body.clone() {
            Body::Kept(_, body) | Body::Ready(body) => {
                if let Some(value) = KeyValue::new(body).value_raw() {
                    put_bytes(&mut self.fresh, 2, value);
                }
            }
            Body::Fresh(range) => {
                // A copy first: what is written to cannot be read from.
                let body = self.fresh[range].to_vec();
                if let Some(value) = KeyValue::new(&body).value_raw() {
                    put_bytes(&mut self.fresh, 2, value);
                }
            }
        }
        Body::Fresh(start..self.fresh.len())
    }

    /// Writes the changes to the message whose attributes these are, and which is open.
    pub fn write(&self, rewriter: &mut Rewriter<'a>, message: &'a [u8], number: u32) {
        match self.change {
            Change::None => {}
            Change::Appended(from) => rewriter.append(|out| self.put_from(from, out, number)),
            Change::Rewritten => {
                let mut attributes = Fields::new(message).filter(|field| field.is_len(number));
                match attributes.next() {
                    Some(first) => rewriter.replace_field(&first, |out| self.put_from(0, out, number)),
                    None => rewriter.append(|out| self.put_from(0, out, number)),
                }
                attributes.for_each(|field| rewriter.remove(&field));
            }
        }
    }

    /// Writes the attributes from one on as fields of that number.
    pub fn put_from(&self, from: usize, out: &mut Vec<u8>, number: u32) {
        for entry in &self.entries[from..] {
            match &entry.body {
                Body::Kept(raw, _) => out.extend_from_slice(raw),
                Body::Ready(body) => put_bytes(out, number, body),
                Body::Fresh(range) => put_bytes(out, number, &self.fresh[range.clone()]),
            }
        }
    }
}

/// Opens a message, changes its attributes, and closes it.
pub(crate) fn edit<'a>(
    list: &mut List<'a>,
    rewriter: &mut Rewriter<'a>,
    field: &Field<'a>,
    number: u32,
    change: impl FnOnce(&mut List<'a>),
) {
    list.fill(field.body, number);
    change(list);
    if !list.is_unchanged() {
        rewriter.enter(field);
        list.write(rewriter, field.body, number);
        rewriter.leave();
    }
}
