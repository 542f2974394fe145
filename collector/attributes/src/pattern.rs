use std::borrow::Cow;
use std::fmt;

use phoenix_ottl::EvalError;
use phoenix_ottl::functions::go_regex::{translate, written_name};
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

impl From<EvalError> for PatternError {
    fn from(error: EvalError) -> PatternError {
        PatternError(error.message().to_owned())
    }
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Pattern, PatternError> {
        Ok(Pattern(Regex::new(&translate(text)?)?))
    }

    /// Whether it matches somewhere.
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.0.is_match(bytes)
    }

    /// The text with every match replaced; `$1` or `${name}` in `by` stands for a group.
    pub fn replace_all<'t>(&self, bytes: &'t [u8], by: &str) -> Cow<'t, [u8]> {
        self.0.replace_all(bytes, by.as_bytes())
    }

    /// The groups of the first match.
    pub(crate) fn captures<'t>(&self, bytes: &'t [u8]) -> Option<Captures<'t>> {
        self.0.captures(bytes)
    }

    /// The names of its groups, without the whole; none where a group has no name.
    pub(crate) fn group_names(&self) -> impl Iterator<Item = Option<&str>> {
        self.0.capture_names().skip(1).map(|name| name.map(written_name))
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
        let translated = texts.into_iter().map(translate).collect::<Result<Vec<_>, _>>()?;
        Ok(PatternSet(RegexSet::new(translated)?))
    }

    /// Whether one matches somewhere.
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.0.is_match(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_to_go() {
        let digits = Pattern::new(r"^\d+$").expect("a pattern");
        assert!(digits.is_match(b"12"));
        assert!(!digits.is_match("١٢".as_bytes()), "ASCII only");
        assert!(Pattern::new("a{,5}").expect("braces are plain there").is_match(b"a{,5}"));
        for text in ["(", "(?=a)", r"(a)\1", "a**"] {
            let error = Pattern::new(text).expect_err(text).to_string();
            assert!(!error.is_empty() && !error.contains('\n'), "{text}: {error}");
        }
        assert!(PatternSet::new(["a", "^b"]).expect("patterns").is_match(b"\xffxa"));
    }
}
