//! Patterns of names: exact, globs, regular expressions.

use phoenix_attributes::Pattern;

/// A pattern of a name.
#[derive(Clone, Debug)]
pub(crate) enum NamePattern {
    /// The name itself.
    Exact(Box<str>),
    /// Texts with anything between them.
    Glob(Box<[Box<str>]>),
    /// `/…/`
    Regex(Pattern),
}

impl NamePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with the regular expression.
    pub(crate) fn new(text: &str) -> Result<NamePattern, String> {
        if let Some(inner) = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
            let pattern = Pattern::new(inner).map_err(|error| error.to_string())?;
            return Ok(NamePattern::Regex(pattern));
        }
        Ok(match text.contains('*') {
            true => NamePattern::Glob(text.split('*').map(Box::from).collect()),
            false => NamePattern::Exact(text.into()),
        })
    }

    /// Reads patterns that were checked; those that are none match nothing.
    pub(crate) fn all(texts: &[String]) -> Box<[NamePattern]> {
        texts.iter().filter_map(|text| NamePattern::new(text).ok()).collect()
    }

    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        match self {
            NamePattern::Exact(exact) => exact.as_bytes() == name,
            NamePattern::Glob(parts) => glob(parts, name),
            NamePattern::Regex(pattern) => pattern.is_match(name),
        }
    }

    /// How exact it is: a name before a long glob before a short one before a regular expression.
    pub(crate) fn specificity(&self) -> u32 {
        match self {
            NamePattern::Exact(_) => u32::MAX,
            NamePattern::Glob(parts) => 1 + parts.iter().map(|part| part.len() as u32).sum::<u32>(),
            NamePattern::Regex(_) => 0,
        }
    }

    /// Whether whatever the other matches is certainly matched.
    pub(crate) fn covers(&self, other: &NamePattern) -> bool {
        match (self, other) {
            (_, NamePattern::Exact(name)) => self.matches(name.as_bytes()),
            (NamePattern::Glob(mine), NamePattern::Glob(theirs)) => {
                // A glob as a text is matched by a glob only if that covers it, since `*` is matched by `*` alone.
                glob(mine, theirs.join("*").as_bytes())
            }
            _ => false,
        }
    }

    /// Whether some name may be matched by both; regular expressions may match anything.
    pub(crate) fn may_meet(&self, other: &NamePattern) -> bool {
        match (self, other) {
            (NamePattern::Exact(name), other) | (other, NamePattern::Exact(name)) => {
                other.matches(name.as_bytes())
            }
            (NamePattern::Glob(mine), NamePattern::Glob(theirs)) => {
                let compatible = |a: &str, b: &str| a.starts_with(b) || b.starts_with(a);
                let ends = |a: &str, b: &str| a.ends_with(b) || b.ends_with(a);
                let part = |parts: &[Box<str>], last: bool| {
                    let part = if last { parts.last() } else { parts.first() };
                    part.map_or("", |part| part).to_owned()
                };
                compatible(&part(mine, false), &part(theirs, false))
                    && ends(&part(mine, true), &part(theirs, true))
            }
            _ => true,
        }
    }
}

/// Matches a glob, in time linear in the name for each part: every part is taken at its first place.
fn glob(parts: &[Box<str>], name: &[u8]) -> bool {
    let [first, middle @ .., last] = parts else { return false };
    let Some(mut rest) = name.strip_prefix(first.as_bytes()) else { return false };
    for part in middle {
        let part = part.as_bytes();
        if part.is_empty() {
            continue;
        }
        match rest.windows(part.len()).position(|window| window == part) {
            Some(place) => rest = &rest[place + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last.as_bytes())
}

/// Whether one of the patterns matches.
pub(crate) fn any(patterns: &[NamePattern], name: &[u8]) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> NamePattern {
        NamePattern::new(text).expect(text)
    }

    #[test]
    fn names_globs_and_regular_expressions() {
        // (pattern, names that match, names that do not)
        let cases: [(&str, &[&str], &[&str]); 6] = [
            ("a.b", &["a.b"], &["a.bc", "a", ""]),
            ("a.*", &["a.", "a.b.c"], &["a", "b.a."]),
            ("*", &["", "anything"], &[]),
            ("*_total", &["_total", "x_total"], &["x_total_y"]),
            ("a*b*c", &["abc", "aXbYc", "abbcc"], &["ab", "acb", "abcX"]),
            (r"/^http\.(server|client)/", &["http.server.duration"], &["http", "xhttp.server"]),
        ];
        for (text, yes, no) in cases {
            for name in yes {
                assert!(pattern(text).matches(name.as_bytes()), "{text} {name}");
            }
            for name in no {
                assert!(!pattern(text).matches(name.as_bytes()), "{text} {name}");
            }
        }
        assert!(!pattern("ab*ba").matches(b"aba"), "parts do not overlap");
        assert!(NamePattern::new("/(/").is_err());
    }

    #[test]
    fn what_covers_what_and_what_may_meet() {
        let (covers, meets) = (
            |a: &str, b: &str| pattern(a).covers(&pattern(b)),
            |a: &str, b: &str| pattern(a).may_meet(&pattern(b)),
        );
        assert!(covers("*", "a*b") && covers("a*", "a.b*") && covers("a*", "a") && covers("/a/", "xax"));
        assert!(!covers("a*", "*") && !covers("a", "a*") && !covers("a*", "/^a/"));
        assert!(meets("a*", "*b") && meets("a", "a*") && meets("/x/", "a*"));
        assert!(!meets("a*", "b*") && !meets("a", "b") && !meets("*_sum", "*_count"));
    }
}
