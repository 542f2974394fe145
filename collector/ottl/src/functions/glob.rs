//! Patterns for whole texts, in the dialect of the Go library that otelcol uses.
//!
//! `*` and `**` stand for any run of characters (also `/`), `?` for one, `[abc]`, `[a-z]` and `[!…]` for
//! one of a list or range, `{a,b}` for one of several patterns, and `\` makes the next character plain.
//! A pattern becomes a regular expression, so that matching is linear in the text.

use regex::Regex;

use crate::EvalError;

/// Alternatives within alternatives; more is no pattern that anybody writes.
const MAX_DEPTH: usize = 32;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Glob {
    regex: Regex,
}

impl Glob {
    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// A bracket or brace that is not closed, a range that runs backwards or goes on after its end, and
    /// a backslash at the end.
    pub fn new(pattern: &str) -> Result<Self, EvalError> {
        let regex = translate(pattern)
            .map_err(|problem| EvalError::new(format!("invalid pattern {pattern:?}: {problem}")))?;
        let regex = Regex::new(&regex)
            .map_err(|_| EvalError::new(format!("the pattern {pattern:?} is too large")))?;
        Ok(Self { regex })
    }

    /// Whether a text matches from its beginning to its end.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

fn translate(pattern: &str) -> Result<String, &'static str> {
    let mut out = String::from(r"(?s)\A(?:");
    let mut depth = 0;
    let mut rest = pattern.chars();
    while let Some(character) = rest.next() {
        match character {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '\\' => literal(&mut out, rest.next().ok_or("nothing follows the backslash")?),
            '[' => class(&mut out, &mut rest)?,
            '{' if depth == MAX_DEPTH => return Err("too many nested braces"),
            '{' => {
                depth += 1;
                out.push_str("(?:");
            }
            ',' if depth > 0 => out.push('|'),
            '}' if depth > 0 => {
                depth -= 1;
                out.push(')');
            }
            plain => literal(&mut out, plain),
        }
    }
    if depth > 0 {
        return Err("a brace is not closed");
    }
    out.push_str(r")\z");
    Ok(out)
}

/// Reads what stands between brackets: one range, or a list in which a hyphen is plain.
fn class(out: &mut String, rest: &mut std::str::Chars<'_>) -> Result<(), &'static str> {
    const OPEN: &str = "a bracket is not closed";
    out.push('[');
    let mut ahead = rest.clone();
    if ahead.next() == Some('!') {
        out.push('^');
        *rest = ahead;
    }
    let mut ahead = rest.clone();
    if let (Some(low), Some('-'), Some(high)) = (ahead.next(), ahead.next(), ahead.next())
        && high != ']'
        && low != '\\'
    {
        if low > high {
            return Err("a range runs backwards");
        }
        if ahead.next() != Some(']') {
            return Err("a range in brackets stands alone");
        }
        literal(out, low);
        out.push('-');
        literal(out, high);
        *rest = ahead;
    } else {
        let mut empty = true;
        loop {
            match rest.next().ok_or(OPEN)? {
                ']' => break,
                '\\' => literal(out, rest.next().ok_or(OPEN)?),
                plain => literal(out, plain),
            }
            empty = false;
        }
        if empty {
            return Err("nothing stands between the brackets");
        }
    }
    out.push(']');
    Ok(())
}

/// Writes one character that means itself, inside and outside of a class.
fn literal(out: &mut String, character: char) {
    if character.is_ascii_punctuation() {
        out.push_str(&format!("\\x{:02x}", character as u32));
    } else {
        out.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_whole_texts() {
        let cases = [
            ("/api/*/orders/*", "/api/v1/orders/42", true),
            ("nomatch*", "x", false),
            ("G?T", "GET", true),
            ("G?T", "GT", false),
            ("[A-Z][A-Z][A-Z]", "GET", true),
            ("[!A-Z]et", "get", true),
            ("{a,b{c,d}}x", "bdx", true),
            ("{a,b}", "c", false),
            (r"\*", "*", true),
            (r"\*", "x", false),
            ("a.b", "axb", false),
            ("**", "a/b\nc", true),
            ("[a-]", "-", true),
            ("[ab-d]", "c", false),
            ("[ab-d]", "-", true),
            ("a,b", "a,b", true),
            ("?", "é", true),
            ("", "", true),
            ("", "a", false),
            ("a]}", "a]}", true),
            ("{,x}y", "y", true),
            (r"[\]]", "]", true),
            ("[^a]", "^", true),
        ];
        for (pattern, text, matches) in cases {
            assert_eq!(Glob::new(pattern).unwrap().is_match(text), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn refuses() {
        for pattern in ["[", "[a", "{a", "[]", "[z-a]", "[a-zA-Z]", "\\", &"{".repeat(100)] {
            assert!(Glob::new(pattern).is_err(), "{pattern}");
        }
    }
}
