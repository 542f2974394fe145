//! The names of fields in JSON, and a perfect hash to find a field by its name; both are made while
//! compiling.

use wide::u8x16;

/// The most fields that a message has.
pub(crate) const MAX_FIELDS: usize = 16;
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
    /// In quotes and with a colon, filled up with zeros, and which of its bytes count.
    written: [[u8; 16]; 2],
    counts: u32,
}

impl Name {
    const NONE: Name =
        Name { bytes: [0; 24], len: 0, word: 0, tail: 0, middle: 0, written: [[0; 16]; 2], counts: 0 };

    const fn put(&mut self, at: usize, byte: u8) {
        self.written[at / 16][at % 16] = byte;
        self.counts |= 1 << at;
    }
}

impl Names {
    /// Makes the table from the names of the fields in the schema, which are in snake_case.
    pub(crate) const fn of(fields: &[&str]) -> Names {
        let mut names = [Name::NONE; MAX_FIELDS];
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

    /// What follows the name of this field, its quotes and the colon, if `text` begins with them.
    // Without optimisation each vector has a place of its own on the stack, which recursion must not multiply.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn after<'a>(&self, index: usize, text: &'a [u8]) -> Option<&'a [u8]> {
        let name = self.names.get(index)?;
        let (first, second) = text.first_chunk::<32>()?.split_at(16);
        let same = |block: &[u8], written: [u8; 16]| {
            let block = block.first_chunk().map_or(u8x16::splat(0), |block| u8x16::new(*block));
            block.simd_eq(u8x16::new(written)).to_bitmask()
        };
        let same = same(first, name.written[0]) | same(second, name.written[1]) << 16;
        match name.counts != 0 && same & name.counts == name.counts {
            true => text.get(name.len + 3..),
            false => None,
        }
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
    let mut name = Name::NONE;
    name.put(0, b'"');
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
            name.put(name.len, byte);
        }
        at += 1;
    }
    name.put(name.len + 1, b'"');
    name.put(name.len + 2, b':');
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

    #[test]
    fn what_follows_a_name_is_found_only_after_all_of_it() {
        static NAMES: Names = Names::of(&["name", "start_time_unix_nano"]);
        let value = "0123456789 and thirty-two bytes more than that";
        for (index, name) in [(0, "name"), (1, "startTimeUnixNano")] {
            let text = format!("\"{name}\":{value}");
            assert_eq!(NAMES.after(index, text.as_bytes()), Some(value.as_bytes()));
            assert_eq!(NAMES.after(1 - index, text.as_bytes()), None);
            assert_eq!(NAMES.after(2, text.as_bytes()), None, "there is no such field");
            for at in 0..name.len() + 3 {
                let mut other = text.clone().into_bytes();
                other[at] ^= 1;
                assert_eq!(NAMES.after(index, &other), None, "byte {at} of {name}");
            }
            assert_eq!(NAMES.after(index, &text.as_bytes()[..31]), None, "too short to tell at once");
        }
    }
}
