//! Attributes that are being changed: a list of references.

use std::collections::HashMap;

use phoenix_pdata::wire::{Field, Fields, Wire};
use phoenix_pdata::write::{put_bytes, put_key, put_varint, varint_len};

use super::Arena;
use super::datum::key_and_value;

/// An attribute, or an entry of a map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) key: &'a [u8],
    /// The body of an `AnyValue`.
    pub(crate) value: &'a [u8],
    /// The whole field as it came, if it did and is as it was: what it holds besides survives.
    pub(crate) original: Option<&'a [u8]>,
}

/// The entries of a map in order. Of several with one key the first counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries<'a> {
    list: Vec<Entry<'a>>,
}

impl<'a> Entries<'a> {
    /// The entries of the body of a `KeyValueList`.
    pub(crate) fn of_map(map: &'a [u8]) -> Entries<'a> {
        let mut entries = Entries::default();
        Fields::new(map).filter(|field| field.is_len(1)).for_each(|field| entries.push_original(&field));
        entries
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }

    #[inline(always)]
    pub(crate) fn push_original(&mut self, field: &Field<'a>) {
        let (key, value) = key_and_value(field.body);
        self.list.push(Entry { key, value, original: Some(field.raw) });
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry<'a>> {
        self.list.iter()
    }

    /// The value of the first entry with this key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&'a [u8]> {
        self.list.iter().find(|entry| entry.key == key).map(|entry| entry.value)
    }

    /// Puts a value in the place of the first with this key, or at the end.
    pub(crate) fn set(&mut self, key: &'a [u8], value: &'a [u8]) {
        match self.list.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => entry.put(value),
            None => self.push(key, value),
        }
    }

    /// Adds an entry at the end.
    pub(crate) fn push(&mut self, key: &'a [u8], value: &'a [u8]) {
        self.list.push(Entry { key, value, original: None });
    }

    /// Removes the first entry with this key. The last one takes its place, as in the original.
    pub(crate) fn remove(&mut self, key: &[u8]) -> bool {
        match self.list.iter().position(|entry| entry.key == key) {
            Some(index) => {
                self.list.swap_remove(index);
                true
            }
            None => false,
        }
    }

    /// Keeps some, in their order.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&Entry<'a>) -> bool) -> bool {
        let before = self.list.len();
        self.list.retain(keep);
        self.list.len() < before
    }

    /// Changes values.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry<'a>> {
        self.list.iter_mut()
    }

    /// Appends the entries as fields with this number. Those that stand side by side in `source`, where they came
    /// from, are copied in one go.
    pub(crate) fn write(&self, number: u32, source: &[u8], out: &mut Vec<u8>) {
        let base = source.as_ptr().addr();
        let (mut start, mut end) = (0, 0);
        for entry in &self.list {
            if let Some(field) = entry.original {
                let at = field.as_ptr().addr().wrapping_sub(base);
                if at == end && at < source.len() && end > start {
                    end += field.len();
                    continue;
                }
                out.extend_from_slice(&source[start..end]);
                (start, end) = (0, 0);
                if at < source.len() && key_number(field) == number {
                    (start, end) = (at, at + field.len());
                } else {
                    put_bytes(out, number, Field::read(field).map_or(&[][..], |(field, _)| field.body));
                }
                continue;
            }
            out.extend_from_slice(&source[start..end]);
            (start, end) = (0, 0);
            entry.write(number, out);
        }
        out.extend_from_slice(&source[start..end]);
    }

    /// The body of a `KeyValueList` with these entries.
    pub(crate) fn encode(&self, arena: &'a Arena) -> &'a [u8] {
        let written = arena.write(|out| {
            self.write(1, &[], out);
            Ok::<(), std::convert::Infallible>(())
        });
        let Ok(body) = written;
        body
    }
}

/// The number of a field, of those that attributes have.
fn key_number(field: &[u8]) -> u32 {
    field.first().map_or(0, |key| u32::from(*key >> 3))
}

impl<'a> Entry<'a> {
    /// Puts another value in the place of its own.
    pub(crate) fn put(&mut self, value: &'a [u8]) {
        self.value = value;
        self.original = None;
    }

    fn write(&self, number: u32, out: &mut Vec<u8>) {
        let len = |bytes: &[u8]| 1 + varint_len(bytes.len() as u64) + bytes.len();
        put_key(out, number, Wire::Len);
        put_varint(out, (len(self.key) + len(self.value)) as u64);
        put_bytes(out, 1, self.key);
        put_bytes(out, 2, self.value);
    }
}

/// Where the keys of entries are, for who adds many of them.
pub(crate) struct EntryIndex<'a> {
    places: HashMap<&'a [u8], usize>,
}

impl<'a> EntryIndex<'a> {
    pub(crate) fn new(entries: &Entries<'a>) -> EntryIndex<'a> {
        let mut places = HashMap::with_capacity(entries.len());
        for (place, entry) in entries.list.iter().enumerate() {
            places.entry(entry.key).or_insert(place);
        }
        EntryIndex { places }
    }

    /// The place of the first entry with this key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<usize> {
        self.places.get(key).copied()
    }

    /// Puts a value into a place, or adds an entry.
    pub(crate) fn put(
        &mut self,
        entries: &mut Entries<'a>,
        place: Option<usize>,
        key: &'a [u8],
        value: &'a [u8],
    ) {
        match place {
            Some(place) => entries.list[place].put(value),
            None => {
                self.places.insert(key, entries.len());
                entries.push(key, value);
            }
        }
    }
}
