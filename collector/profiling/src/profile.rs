//! pprof's `profile.proto`, written field by field, and compressed as `go tool pprof` expects it.

use std::collections::HashMap;
use std::io::Write as _;

/// A place in the program, or whatever stands for one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// The function's name.
    pub function: String,
    /// The file that it is in.
    pub file: String,
    /// The line there.
    pub line: u32,
}

/// One stack, its leaf first, with a value for each type of sample.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Each frame with what was inlined into it, the innermost first.
    pub stack: Vec<Vec<Place>>,
    /// One for each type of [`Head`].
    pub values: Vec<i64>,
    /// A label for people, for example the thread.
    pub label: Option<(&'static str, String)>,
}

/// What a profile measures, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Type and unit of each value.
    pub types: Vec<(&'static str, &'static str)>,
    /// Type and unit of the period, and its length.
    pub period: Option<(&'static str, &'static str, i64)>,
    /// Unix time of the start, in nanoseconds.
    pub time_nanos: i64,
    /// How long it took, in nanoseconds.
    pub duration_nanos: i64,
    /// A word for people.
    pub comment: String,
}

/// Strings and messages that are referred to by number.
#[derive(Default)]
struct Tables {
    strings: HashMap<String, u64>,
    string_bytes: Vec<u8>,
    functions: HashMap<(u64, u64), u64>,
    locations: HashMap<Vec<Place>, u64>,
    bytes: Vec<u8>,
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A number in field `field`; zero is the default and left out.
fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    if value != 0 {
        varint(out, field << 3);
        varint(out, value);
    }
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn packed(out: &mut Vec<u8>, field: u64, values: impl Iterator<Item = u64>) {
    let mut list = Vec::new();
    values.for_each(|value| varint(&mut list, value));
    bytes(out, field, &list);
}

impl Tables {
    fn string(&mut self, text: &str) -> u64 {
        if let Some(index) = self.strings.get(text) {
            return *index;
        }
        let index = self.strings.len() as u64;
        self.strings.insert(text.to_owned(), index);
        bytes(&mut self.string_bytes, 6, text.as_bytes());
        index
    }

    fn pair(&mut self, kind: &str, unit: &str) -> Vec<u8> {
        let mut pair = Vec::new();
        number(&mut pair, 1, self.string(kind));
        number(&mut pair, 2, self.string(unit));
        pair
    }

    fn function(&mut self, place: &Place) -> u64 {
        let key = (self.string(&place.function), self.string(&place.file));
        if let Some(id) = self.functions.get(&key) {
            return *id;
        }
        let id = self.functions.len() as u64 + 1;
        self.functions.insert(key, id);
        let mut function = Vec::new();
        number(&mut function, 1, id);
        number(&mut function, 2, key.0);
        number(&mut function, 3, key.0);
        number(&mut function, 4, key.1);
        bytes(&mut self.bytes, 5, &function);
        id
    }

    fn location(&mut self, frame: &[Place]) -> u64 {
        if let Some(id) = self.locations.get(frame) {
            return *id;
        }
        let id = self.locations.len() as u64 + 1;
        self.locations.insert(frame.to_vec(), id);
        let mut location = Vec::new();
        number(&mut location, 1, id);
        for place in frame {
            let mut line = Vec::new();
            number(&mut line, 1, self.function(place));
            number(&mut line, 2, u64::from(place.line));
            bytes(&mut location, 4, &line);
        }
        bytes(&mut self.bytes, 4, &location);
        id
    }
}

/// The profile as `profile.proto`, compressed with gzip.
pub fn encode(head: &Head, samples: &[Sample]) -> Vec<u8> {
    let mut tables = Tables::default();
    // The first string is the empty one.
    tables.string("");
    let mut out = Vec::new();
    for (kind, unit) in &head.types {
        let pair = tables.pair(kind, unit);
        bytes(&mut out, 1, &pair);
    }
    for sample in samples {
        let ids: Vec<u64> = sample.stack.iter().map(|frame| tables.location(frame)).collect();
        let mut message = Vec::new();
        packed(&mut message, 1, ids.into_iter());
        packed(&mut message, 2, sample.values.iter().map(|value| *value as u64));
        if let Some((key, value)) = &sample.label {
            let label = tables.pair(key, value);
            bytes(&mut message, 3, &label);
        }
        bytes(&mut out, 2, &message);
    }
    number(&mut out, 9, head.time_nanos as u64);
    number(&mut out, 10, head.duration_nanos as u64);
    if let Some((kind, unit, length)) = head.period {
        let pair = tables.pair(kind, unit);
        bytes(&mut out, 11, &pair);
        number(&mut out, 12, length as u64);
    }
    if !head.comment.is_empty() {
        let comment = tables.string(&head.comment);
        packed(&mut out, 13, std::iter::once(comment));
    }
    out.extend_from_slice(&tables.bytes);
    out.extend_from_slice(&tables.string_bytes);
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing into memory does not fail.
    let _ = zipped.write_all(&out);
    zipped.finish().unwrap_or_default()
}
