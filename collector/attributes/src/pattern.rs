use std::fmt;

use regex::bytes::{Captures, Regex, RegexSet};

/// A regular expression in Go's syntax, on bytes: what is matched need not be UTF-8. It may match anywhere.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

/// A pattern that is none: what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError(String);

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PatternError {}

impl From<regex::Error> for PatternError {
    /// Its last line: those before draw the place in several lines.
    fn from(error: regex::Error) -> PatternError {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or(&text);
        PatternError(last.strip_prefix("error: ").unwrap_or(last).to_owned())
    }
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Pattern, PatternError> {
        Ok(Pattern(Regex::new(text)?))
    }

    /// Whether it matches somewhere.
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.0.is_match(bytes)
    }

    /// The groups of the first match.
    pub(crate) fn captures<'t>(&self, bytes: &'t [u8]) -> Option<Captures<'t>> {
        self.0.captures(bytes)
    }

    /// The names of its groups, without the whole; none where a group has no name.
    pub(crate) fn group_names(&self) -> impl Iterator<Item = Option<&str>> {
        self.0.capture_names().skip(1)
    }
}

/// Patterns of which any may match.
#[derive(Clone, Debug)]
pub struct PatternSet(RegexSet);

impl PatternSet {
    /// Compiles patterns.
    ///
    /// # Errors
    /// What is wrong with the first that is none.
    pub fn new<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<PatternSet, PatternError> {
        Ok(PatternSet(RegexSet::new(texts)?))
    }

    /// Whether one matches somewhere.
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.0.is_match(bytes)
    }
}
