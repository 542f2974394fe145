//! Regular expressions, and what can be found out without one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use memchr::memmem::Finder;
use regex::Regex;

use crate::EvalError;
use crate::functions::go_regex;

/// A pattern that is searched for, unanchored.
#[derive(Debug)]
pub(crate) enum Matcher {
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Suffix(Box<[u8]>),
    Contains(Box<Finder<'static>>),
    Regex(Regex),
}

impl Matcher {
    /// Compiles a pattern of Go's syntax.
    pub(crate) fn new(pattern: &str) -> Result<Matcher, EvalError> {
        if let Some((literal, starts, ends)) = literal(pattern) {
            let bytes: Box<[u8]> = literal.as_bytes().into();
            return Ok(match (starts, ends) {
                (true, true) => Matcher::Exact(bytes),
                (true, false) => Matcher::Prefix(bytes),
                (false, true) => Matcher::Suffix(bytes),
                (false, false) => Matcher::Contains(Box::new(Finder::new(&bytes).into_owned())),
            });
        }
        go_regex::compile(pattern).map(Matcher::Regex)
    }

    /// Whether the pattern is found in a text.
    #[inline]
    pub(crate) fn is_match(&self, text: &[u8]) -> bool {
        match self {
            Matcher::Exact(literal) => text == &**literal,
            Matcher::Prefix(literal) => text.starts_with(literal),
            Matcher::Suffix(literal) => text.ends_with(literal),
            Matcher::Contains(finder) => finder.find(text).is_some(),
            Matcher::Regex(regex) => match std::str::from_utf8(text) {
                Ok(text) => regex.is_match(text),
                Err(_) => regex.is_match(&String::from_utf8_lossy(text)),
            },
        }
    }
}

/// The literal that a pattern comes down to, and whether it is bound to start and end.
fn literal(pattern: &str) -> Option<(&str, bool, bool)> {
    let (starts, rest) = match pattern.strip_prefix('^') {
        Some(rest) => (true, rest),
        // What may stand before changes nothing where the start is free; so at the end.
        None => (false, pattern.strip_prefix(".*").unwrap_or(pattern)),
    };
    let (ends, rest) = match rest.strip_suffix('$') {
        Some(rest) => (true, rest),
        None => (false, rest.strip_suffix(".*").unwrap_or(rest)),
    };
    let is_plain = |letter: char| {
        !matches!(letter, '.' | '+' | '*' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$' | '\\')
    };
    // U+FFFD is also what a regular expression would find in place of what is not UTF-8.
    rest.chars().all(|letter| is_plain(letter) && letter != '\u{fffd}').then_some((rest, starts, ends))
}

/// How many patterns a thread keeps that were put together from records.
const CACHED: usize = 128;

thread_local! {
    static PATTERNS: Cache<Matcher> = RefCell::default();
    static REGEXES: Cache<Regex> = RefCell::default();
}

type Cache<T> = RefCell<HashMap<Box<str>, Result<Arc<T>, EvalError>>>;

fn cached<T>(
    cache: &Cache<T>,
    pattern: &str,
    compile: impl FnOnce(&str) -> Result<T, EvalError>,
) -> Result<Arc<T>, EvalError> {
    let mut patterns = cache.borrow_mut();
    if patterns.len() >= CACHED && !patterns.contains_key(pattern) {
        patterns.clear();
    }
    let found = patterns.entry(pattern.into()).or_insert_with(|| compile(pattern).map(Arc::new));
    found.clone()
}

/// A pattern that is known only for a record: compiled, or compiled before. Shared, since a copy of a regular
/// expression has to warm up again.
pub(crate) fn dynamic(pattern: &str) -> Result<Arc<Matcher>, EvalError> {
    PATTERNS.with(|cache| cached(cache, pattern, Matcher::new))
}

/// The same as a regular expression.
pub(crate) fn dynamic_regex(pattern: &str) -> Result<Arc<Regex>, EvalError> {
    REGEXES.with(|cache| cached(cache, pattern, go_regex::compile))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_need_no_regular_expression_and_match_as_one_would() {
        let patterns =
            ["abc", "^abc", "abc$", "^abc$", "", "^", "$", "^$", ".*abc", "abc.*", ".*abc.*", "a b-c"];
        let texts = ["", "abc", "xabc", "abcx", "x\nabc\nx", "ab", "a b-c"];
        for pattern in patterns {
            let matcher = Matcher::new(pattern).unwrap();
            assert!(!matches!(matcher, Matcher::Regex(_)), "{pattern}");
            let regex = go_regex::compile(pattern).unwrap();
            for text in texts {
                assert_eq!(matcher.is_match(text.as_bytes()), regex.is_match(text), "{pattern} in {text:?}");
            }
        }
    }

    #[test]
    fn what_is_more_than_a_literal_is_a_regular_expression() {
        for pattern in ["a.c", "(?i)abc", "^a|b$", "a\\.c", "^.*abc", "abc.*$", "a{2}", "x*", "\\Qa\\E"] {
            assert!(matches!(Matcher::new(pattern), Ok(Matcher::Regex(_))), "{pattern}");
        }
    }
}
