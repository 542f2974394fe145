//! What is asked of the value of an attribute.

use std::fmt;

use phoenix_pdata::view::AnyValue;
use regex::bytes::{RegexSet, RegexSetBuilder};

/// A test of a value.
#[derive(Clone, Debug)]
pub(crate) enum AttributeTest {
    /// A whole number within bounds. What is no whole number counts as 0.
    Whole { least: Option<i64>, most: Option<i64> },
    /// A boolean. What is none counts as false.
    Boolean(bool),
    /// A text. What is none counts as empty.
    Text(TextTest),
}

impl AttributeTest {
    pub(crate) fn holds(&mut self, value: &AnyValue<'_>, of_resource: bool) -> bool {
        match self {
            AttributeTest::Whole { least, most } => {
                let number = if let AnyValue::Int(number) = value { *number } else { 0 };
                least.is_none_or(|least| least <= number) && most.is_none_or(|most| number <= most)
            }
            AttributeTest::Boolean(wanted) => matches!(value, AnyValue::Bool(true)) == *wanted,
            AttributeTest::Text(test) => {
                let text: &[u8] = if let AnyValue::String(text) = value { text.as_bytes() } else { &[] };
                (of_resource || !text.is_empty()) && test.holds(text)
            }
        }
    }
}

/// A test of a text.
#[derive(Clone)]
pub(crate) enum TextTest {
    /// One of these; sorted.
    AnyOf(Vec<Box<[u8]>>),
    /// Part of it matches one of the patterns.
    Patterns { patterns: RegexSet, remembered: Remembered },
}

/// Bytes that one pattern may take when it is compiled.
const MOST_PATTERN_BYTES: usize = 1 << 20;
/// Values that are remembered by default, as in otelcol.
const DEFAULT_REMEMBERED: usize = 128;
const MOST_REMEMBERED: usize = 1 << 16;

impl TextTest {
    /// Equality with one of `values`; those that are empty do not count.
    pub(crate) fn any_of(values: &[String]) -> TextTest {
        let mut values: Vec<Box<[u8]>> =
            values.iter().filter(|value| !value.is_empty()).map(|value| value.as_bytes().into()).collect();
        values.sort();
        values.dedup();
        TextTest::AnyOf(values)
    }

    /// A match of one of some regular expressions, not anchored. `remembered` values are looked up; 0 for 128.
    pub(crate) fn patterns(patterns: &[String], remembered: usize) -> Result<TextTest, String> {
        let patterns = RegexSetBuilder::new(patterns).size_limit(MOST_PATTERN_BYTES).build();
        let remembered = if remembered == 0 { DEFAULT_REMEMBERED } else { remembered.min(MOST_REMEMBERED) };
        match patterns {
            Ok(patterns) => Ok(TextTest::Patterns { patterns, remembered: Remembered::new(remembered) }),
            Err(error) => Err(format!("invalid regular expression: {error}")),
        }
    }

    fn holds(&mut self, text: &[u8]) -> bool {
        match self {
            TextTest::AnyOf(values) => values.binary_search_by(|value| (**value).cmp(text)).is_ok(),
            TextTest::Patterns { patterns, remembered } => {
                remembered.or_find_out(text, |text| patterns.is_match(text))
            }
        }
    }
}

/// By this conditions are recognised as equal, so it says nothing of what is remembered.
impl fmt::Debug for TextTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TextTest::AnyOf(values) => f.debug_tuple("AnyOf").field(values).finish(),
            TextTest::Patterns { patterns, .. } => {
                f.debug_tuple("Patterns").field(&patterns.patterns()).finish()
            }
        }
    }
}

/// Values with whether they match: each has one place, and the last one there is remembered.
#[derive(Clone)]
pub(crate) struct Remembered {
    places: Vec<Option<(Box<[u8]>, bool)>>,
}

/// Longer values are not remembered.
const LONGEST_REMEMBERED: usize = 256;

impl Remembered {
    fn new(places: usize) -> Remembered {
        Remembered { places: vec![None; places.next_power_of_two()] }
    }

    fn or_find_out(&mut self, text: &[u8], find_out: impl FnOnce(&[u8]) -> bool) -> bool {
        if text.len() > LONGEST_REMEMBERED {
            return find_out(text);
        }
        let hash = xxhash_rust::xxh3::xxh3_64(text) as usize;
        let index = hash & (self.places.len() - 1);
        let place = &mut self.places[index];
        if let Some((known, matches)) = place
            && **known == *text
        {
            return *matches;
        }
        let matches = find_out(text);
        *place = Some((text.into(), matches));
        matches
    }
}
