//! A message that is being evaluated: its fields as they came, and over them what statements have set.

mod write;

use phoenix_pdata::wire::Fields;

use super::Arena;
use super::datum::key_and_value;
use super::entries::Entries;
use super::keys::KeyTable;
use super::shape::Shape;

/// Fields beyond these numbers are copied and never read. The last two are no fields of a message, see
/// [`SCHEMA_URL`], [`TEMPORALITY`] and [`MONOTONIC`].
const SLOTS: usize = 20;
const MAX_FIELD: u32 = 16;

/// The schema of a resource or scope, which lies beside it.
pub(crate) const SCHEMA_URL: u32 = 17;
/// The temporality of a metric, which lies in its data.
pub(crate) const TEMPORALITY: u32 = 18;
/// Whether a metric is monotonic, which lies in its data.
pub(crate) const MONOTONIC: u32 = 19;

/// A message, scanned when something in it is first asked for.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    raw: &'a [u8],
    shape: Shape,
    is_scanned: bool,
    slots: [(u64, &'a [u8]); SLOTS],
    /// The fields that are there, by number.
    present: u32,
    /// The fields that were set, by number.
    touched: u32,
    /// The attributes that the program reads, and what was found.
    keys: &'a KeyTable,
    found: Vec<Option<&'a [u8]>>,
    attributes: Entries<'a>,
    /// Whether `attributes` holds them all.
    has_list: bool,
    /// Whether to fill it in the first walk already.
    wants_list: bool,
    attributes_touched: bool,
    /// Where the attributes are, if they stand side by side.
    attributes_at: Option<(usize, usize)>,
    /// Whether it was replaced as a whole.
    replaced: bool,
    /// The body of what it lies in, for resources and scopes.
    schema_url: &'a [u8],
}

impl<'a> Message<'a> {
    pub(crate) fn new(keys: &'a KeyTable, wants_list: bool) -> Message<'a> {
        Message {
            raw: &[],
            shape: Shape::Resource,
            is_scanned: true,
            slots: [(0, &[]); SLOTS],
            present: 0,
            touched: 0,
            keys,
            found: vec![None; keys.len()],
            attributes: Entries::default(),
            has_list: false,
            wants_list,
            attributes_touched: false,
            attributes_at: None,
            replaced: false,
            schema_url: &[],
        }
    }

    /// Turns to another message. Nothing is read yet.
    #[inline]
    pub(crate) fn load(&mut self, shape: Shape, raw: &'a [u8]) {
        self.raw = raw;
        self.shape = shape;
        self.is_scanned = false;
        self.touched = 0;
        self.attributes_touched = false;
        self.replaced = false;
    }

    /// The same for a resource or scope, which has its schema beside it.
    pub(crate) fn load_entry(&mut self, shape: Shape, entry: &'a [u8]) {
        let (mut raw, mut schema_url) = (&[][..], &[][..]);
        for field in Fields::new(entry) {
            match field.number() {
                1 => raw = field.body,
                3 => schema_url = field.body,
                _ => {}
            }
        }
        self.load(shape, raw);
        self.schema_url = schema_url;
    }

    /// Puts another message in its place.
    pub(crate) fn replace(&mut self, raw: &'a [u8]) {
        self.load(self.shape, raw);
        self.replaced = true;
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    pub(crate) fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Whether anything was set.
    pub(crate) fn is_touched(&self) -> bool {
        self.is_message_touched() || self.touched & (1 << SCHEMA_URL) != 0
    }

    /// Whether anything in the message itself was set.
    pub(crate) fn is_message_touched(&self) -> bool {
        self.touched & !(1 << SCHEMA_URL) != 0 || self.attributes_touched || self.replaced
    }

    /// The schema beside it, where that was set.
    pub(crate) fn set_schema_url(&self) -> Option<&'a [u8]> {
        (self.touched & (1 << SCHEMA_URL) != 0).then_some(self.slots[SCHEMA_URL as usize].1)
    }

    #[inline(always)]
    fn scan(&mut self) {
        if !self.is_scanned {
            self.scan_now();
        }
    }

    #[inline(never)]
    fn scan_now(&mut self) {
        self.is_scanned = true;
        self.found.fill(None);
        self.has_list = self.wants_list;
        self.attributes.clear();
        let attributes = self.shape.attributes();
        let (keys, found, slots) = (self.keys, &mut self.found[..], &mut self.slots);
        let (wants_keys, wants_list) = (!keys.is_empty(), self.wants_list);
        let mut present = 0;
        let (mut at, mut first, mut last, mut runs) = (0, 0, 0, 0);
        for field in Fields::new(self.raw) {
            let number = field.number();
            let start = at;
            at += field.raw.len();
            if number == attributes {
                if last != start || runs == 0 {
                    first = start;
                    runs += 1;
                }
                last = at;
                if wants_keys {
                    let (key, value) = key_and_value(field.body);
                    if let Some(index) = keys.find(key)
                        && let Some(place) = found.get_mut(usize::from(index))
                        && place.is_none()
                    {
                        *place = Some(value);
                    }
                }
                if wants_list {
                    self.attributes.push_original(&field);
                }
            } else if number <= MAX_FIELD {
                slots[number as usize] = (field.scalar, field.body);
                present |= 1 << number;
            }
        }
        self.present = present;
        self.attributes_at = (runs == 1).then_some((first, last));
        if matches!(self.shape, Shape::Resource | Shape::Scope) {
            self.slots[SCHEMA_URL as usize].1 = self.schema_url;
            self.present |= 1 << SCHEMA_URL;
        }
        if self.shape == Shape::Metric {
            self.read_kind();
        }
    }

    /// Reads what the data of a metric says besides its points. Once for a metric: there may be many.
    fn read_kind(&mut self) {
        let Some((7 | 9 | 10, data)) = self.data_scanned() else { return };
        self.slots[TEMPORALITY as usize].0 = 0;
        self.slots[MONOTONIC as usize].0 = 0;
        self.present |= 1 << TEMPORALITY | 1 << MONOTONIC;
        for field in Fields::new(data) {
            match field.number() {
                2 => self.slots[TEMPORALITY as usize].0 = field.scalar,
                3 => self.slots[MONOTONIC as usize].0 = field.scalar,
                _ => {}
            }
        }
    }

    fn data_scanned(&self) -> Option<(u32, &'a [u8])> {
        [5, 7, 9, 10, 11]
            .into_iter()
            .find(|number| self.present & (1 << number) != 0)
            .map(|number| (number, self.slots[number as usize].1))
    }

    /// The data of a metric: the number of its field, and its body.
    pub(crate) fn data(&mut self) -> Option<(u32, &'a [u8])> {
        self.scan();
        self.data_scanned()
    }

    /// The value of a field that is no message and not length-delimited, zero if it is not there.
    #[inline]
    pub(crate) fn scalar(&mut self, number: u32) -> u64 {
        self.optional_scalar(number).unwrap_or(0)
    }

    #[inline]
    pub(crate) fn optional_scalar(&mut self, number: u32) -> Option<u64> {
        self.scan();
        (self.present & (1 << number) != 0).then_some(self.slots[number as usize].0)
    }

    /// The body of a length-delimited field, empty if it is not there.
    #[inline]
    pub(crate) fn bytes(&mut self, number: u32) -> &'a [u8] {
        self.optional_bytes(number).unwrap_or(&[])
    }

    #[inline]
    pub(crate) fn optional_bytes(&mut self, number: u32) -> Option<&'a [u8]> {
        self.scan();
        (self.present & (1 << number) != 0).then_some(self.slots[number as usize].1)
    }

    /// The fields of a repeated field, keys included, one behind the other.
    pub(crate) fn repeated(&mut self, number: u32, arena: &'a Arena) -> &'a [u8] {
        if self.touched & (1 << number) != 0 {
            return self.slots[number as usize].1;
        }
        let fields = || Fields::new(self.raw).filter(|field| field.number() == number);
        let mut every = fields();
        match (every.next(), every.next()) {
            (None, _) => &[],
            (Some(only), None) => only.raw,
            _ => {
                let written = arena.write(|out| {
                    fields().for_each(|field| out.extend_from_slice(field.raw));
                    Ok::<(), std::convert::Infallible>(())
                });
                let Ok(bytes) = written;
                bytes
            }
        }
    }

    pub(crate) fn set_scalar(&mut self, number: u32, value: u64) {
        self.scan();
        self.slots[number as usize].0 = value;
        self.present |= 1 << number;
        self.touched |= 1 << number;
    }

    pub(crate) fn set_bytes(&mut self, number: u32, value: &'a [u8]) {
        self.scan();
        self.slots[number as usize].1 = value;
        self.present |= 1 << number;
        self.touched |= 1 << number;
    }

    /// Takes a field away.
    pub(crate) fn clear(&mut self, number: u32) {
        self.scan();
        self.slots[number as usize] = (0, &[]);
        self.present &= !(1 << number);
        self.touched |= 1 << number;
    }

    /// The value of an attribute by the number of its key.
    #[inline(always)]
    pub(crate) fn found(&mut self, index: u16) -> Option<&'a [u8]> {
        self.scan();
        self.found[usize::from(index)]
    }

    /// The value of an attribute.
    pub(crate) fn attribute(&mut self, key: &[u8]) -> Option<&'a [u8]> {
        self.scan();
        if self.has_list {
            return self.attributes.get(key);
        }
        let number = self.shape.attributes();
        Fields::new(self.raw)
            .filter(|field| field.is_len(number))
            .map(|field| key_and_value(field.body))
            .find(|(found, _)| *found == key)
            .map(|(_, value)| value)
    }

    /// All attributes.
    pub(crate) fn attributes(&mut self) -> &Entries<'a> {
        self.list();
        &self.attributes
    }

    fn list(&mut self) -> &mut Entries<'a> {
        self.scan();
        if !self.has_list {
            self.has_list = true;
            let number = self.shape.attributes();
            for field in Fields::new(self.raw).filter(|field| field.is_len(number)) {
                self.attributes.push_original(&field);
            }
        }
        &mut self.attributes
    }

    /// Sets an attribute whose key has a number.
    #[inline]
    pub(crate) fn set_found(&mut self, index: u16, key: &'a [u8], value: &'a [u8]) {
        match self.found(index) {
            None => self.list().push(key, value),
            Some(_) => self.list().set(key, value),
        }
        self.found[usize::from(index)] = Some(value);
        self.attributes_touched = true;
    }

    /// Removes an attribute whose key has a number.
    #[inline]
    pub(crate) fn remove_found(&mut self, index: u16, key: &[u8]) {
        // Most records lack most keys: their attributes are not listed for nothing.
        if self.found(index).is_some() {
            self.list().remove(key);
            // What stands twice shows its second value now.
            self.found[usize::from(index)] = self.attributes.get(key);
            self.attributes_touched = true;
        }
    }

    /// Sets an attribute.
    pub(crate) fn set_attribute(&mut self, key: &'a [u8], value: &'a [u8]) {
        self.list().set(key, value);
        if let Some(index) = self.keys.find(key) {
            self.found[usize::from(index)] = Some(value);
        }
        self.attributes_touched = true;
    }

    /// Hands the attributes out to be changed as a whole, until they are [put back](Self::put_attributes).
    pub(crate) fn take_attributes(&mut self) -> Entries<'a> {
        std::mem::take(self.list())
    }

    /// Takes the attributes back.
    pub(crate) fn put_attributes(&mut self, attributes: Entries<'a>, are_changed: bool) {
        self.attributes = attributes;
        if !are_changed {
            return;
        }
        self.attributes_touched = true;
        self.found.fill(None);
        for entry in self.attributes.iter() {
            if let Some(index) = self.keys.find(entry.key) {
                let place = &mut self.found[usize::from(index)];
                *place = place.or(Some(entry.value));
            }
        }
    }
}

/// The body of a message with some fields replaced, in the arena. `fresh` writes them.
pub(crate) fn with_fields<'a>(
    body: &[u8],
    arena: &'a Arena,
    replaced: &[u32],
    fresh: impl FnOnce(&mut Vec<u8>),
) -> &'a [u8] {
    let written = arena.write(|out| {
        for field in Fields::new(body).filter(|field| !replaced.contains(&field.number())) {
            out.extend_from_slice(field.raw);
        }
        fresh(out);
        Ok::<(), std::convert::Infallible>(())
    });
    let Ok(bytes) = written;
    bytes
}
