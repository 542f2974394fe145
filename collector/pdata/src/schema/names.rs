//! The names of fields in JSON, and a perfect hash to find a field by its name; both are made while
//! compiling.

/// The most fields that a message has.
const MAX_FIELDS: usize = 16;
const SLOTS: usize = 64;

/// The fields of a message by their names in JSON.
#[derive(Debug)]
pub(crate) struct Names {
    names: [Name; MAX_FIELDS],
    /// The index of the field whose name falls into each slot, and `MAX_FIELDS` for none.
    slots: [u8; SLOTS],
    /// Makes the names fall into slots of their own.
    multiplier: u64,
}

/// A name in lowerCamelCase.
#[derive(Clone, Copy, Debug)]
struct Name {
    bytes: [u8; 24],
    len: usize,
    /// The first eight bytes, or fewer and zeros.
    word: u64,
    /// The last eight bytes of a longer name, and the second eight: together with the first they are all.
    tail: u64,
    middle: u64,
}

impl Names {
    /// Makes the table from the names of the fields in the schema, which are in snake_case.
    pub(crate) const fn of(fields: &[&str]) -> Names {
        let mut names = [Name { bytes: [0; 24], len: 0, word: 0, tail: 0, middle: 0 }; MAX_FIELDS];
        let mut index = 0;
        while index < fields.len() {
            names[index] = camel(fields[index].as_bytes());
            index += 1;
        }
        let mut multiplier = 0x9e37_79b9_7f4a_7c15u64;
        loop {
            if let Some(slots) = place(&names, fields.len(), multiplier) {
                return Names { names, slots, multiplier };
            }
            multiplier = multiplier.wrapping_mul(0x5851_f42d_4c95_7f2d) | 1;
        }
    }

    /// The field whose name is the first `len` bytes of `text`.
    #[inline(always)]
    pub(crate) fn find(&self, text: &[u8], len: usize) -> Option<usize> {
        let word = first_word(text, len);
        let index = usize::from(self.slots[slot(word, len, self.multiplier)]);
        let name = self.names.get(index)?;
        let same = name.word == word
            && name.len == len
            && (len <= 8
                || name.tail == word_at(text, len - 8)? && (len <= 16 || name.middle == word_at(text, 8)?));
        same.then_some(index)
    }

    /// The name of a field.
    pub(crate) fn name(&self, index: usize) -> &str {
        let name = &self.names[index];
        std::str::from_utf8(&name.bytes[..name.len]).unwrap_or_default()
    }
}

/// The first eight bytes of a name of `len` bytes, or zeros for what it lacks.
#[inline(always)]
fn first_word(text: &[u8], len: usize) -> u64 {
    match text.first_chunk::<8>() {
        Some(chunk) if len >= 8 => u64::from_le_bytes(*chunk),
        Some(chunk) => u64::from_le_bytes(*chunk) & ((1 << (len * 8)) - 1),
        None => text.iter().take(len).rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

#[inline(always)]
fn word_at(text: &[u8], at: usize) -> Option<u64> {
    text.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

#[inline(always)]
const fn slot(word: u64, len: usize, multiplier: u64) -> usize {
    ((word ^ (len as u64) << 59).wrapping_mul(multiplier) >> 58) as usize
}

const fn place(names: &[Name; MAX_FIELDS], count: usize, multiplier: u64) -> Option<[u8; SLOTS]> {
    let mut slots = [MAX_FIELDS as u8; SLOTS];
    let mut index = 0;
    while index < count {
        let slot = slot(names[index].word, names[index].len, multiplier);
        if slots[slot] != MAX_FIELDS as u8 {
            return None;
        }
        slots[slot] = index as u8;
        index += 1;
    }
    Some(slots)
}

const fn camel(snake: &[u8]) -> Name {
    let mut name = Name { bytes: [0; 24], len: 0, word: 0, tail: 0, middle: 0 };
    let mut at = 0;
    while at < snake.len() {
        let upper = at > 0 && snake[at - 1] == b'_';
        if snake[at] != b'_' {
            let byte = if upper { snake[at].to_ascii_uppercase() } else { snake[at] };
            name.bytes[name.len] = byte;
            if name.len < 8 {
                name.word |= (byte as u64) << (8 * name.len);
            } else if name.len < 16 {
                name.middle |= (byte as u64) << (8 * (name.len - 8));
            }
            name.tail = name.tail >> 8 | (byte as u64) << 56;
            name.len += 1;
        }
        at += 1;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn names_are_found_wherever_they_end_and_nothing_else_is() {
        static NAMES: Names = Names::of(&["name", "start_time_unix_nano", "flags", "string_value", "kind"]);
        let cases = [
            ("name", Some(0)),
            ("startTimeUnixNano", Some(1)),
            ("flags", Some(2)),
            ("stringValue", Some(3)),
            ("kind", Some(4)),
            ("string_value", None),
            ("stringValues", None),
            ("startTimeUnixNanp", None),
            ("startTime", None),
            ("startTimEUnixNano", None),
            ("startTimeUniYNano", None),
            ("stringValuf", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(NAMES.find(name.as_bytes(), name.len()), expected, "{name}");
            let followed = format!("{name}\": 1234567890");
            assert_eq!(NAMES.find(followed.as_bytes(), name.len()), expected, "{name}");
        }
        assert_eq!(NAMES.name(1), "startTimeUnixNano");
    }
}
