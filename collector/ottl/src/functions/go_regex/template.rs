//! Replacing what an expression finds.

use regex::{Captures, Regex};

use super::{MAX_SAME_NAME, nth_name};
use crate::EvalError;

/// A result may always have this size, whatever the size of the text.
const ALWAYS_ALLOWED_BYTES: usize = 1 << 20;
/// How many times larger than its text a result may be.
const MAX_GROWTH: usize = 8;

/// What replaces a match: text with `$1`, `${1}`, `$name` and `${name}`, and `$$` for a dollar sign.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Number(usize),
    Name(String),
}

impl Template {
    /// Reads a template. A dollar sign that begins nothing is plain.
    pub fn new(template: &str) -> Self {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = template;
        while let Some(dollar) = rest.find('$') {
            text.push_str(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                text.push('$');
                rest = after;
            } else if let Some((name, after)) = reference(rest) {
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                }
                let number =
                    name.bytes().all(|byte| byte.is_ascii_digit()).then(|| name.parse().ok()).flatten();
                parts.push(number.map_or_else(|| Part::Name(name.to_owned()), Part::Number));
                rest = after;
            } else {
                text.push('$');
            }
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Self { parts }
    }

    /// Writes the template for a match; groups that there are not, or that took no part, are empty.
    pub fn expand(&self, captures: &Captures<'_>, out: &mut String) {
        for part in &self.parts {
            let group = match part {
                Part::Text(text) => {
                    out.push_str(text);
                    None
                }
                Part::Number(number) => captures.get(*number),
                Part::Name(name) => captures.name(name).or_else(|| {
                    // The first group of this name that took part.
                    (2..=MAX_SAME_NAME).find_map(|nth| captures.name(&nth_name(name, nth)))
                }),
            };
            out.push_str(group.map_or("", |group| group.as_str()));
        }
    }
}

/// The name that a template refers to behind a dollar sign, and what follows.
fn reference(rest: &str) -> Option<(&str, &str)> {
    let (braced, rest) = rest.strip_prefix('{').map_or((false, rest), |rest| (true, rest));
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    let end = rest.find(|character| !is_name(character)).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    if name.is_empty() {
        return None;
    }
    if braced { Some((name, after.strip_prefix('}')?)) } else { Some((name, after)) }
}

/// Replaces every match by what `replacement` writes for it; `None` if nothing matches.
///
/// # Errors
///
/// Those of `replacement`, and a result that would be larger than a megabyte and eight times the text.
pub fn replace_all(
    regex: &Regex,
    text: &str,
    mut replacement: impl FnMut(&Captures<'_>, &mut String) -> Result<(), EvalError>,
) -> Result<Option<String>, EvalError> {
    let most = ALWAYS_ALLOWED_BYTES.max(text.len().saturating_mul(MAX_GROWTH));
    let mut out = String::new();
    let mut copied = None;
    for captures in regex.captures_iter(text) {
        let matched = captures.get_match();
        out.push_str(&text[copied.unwrap_or(0)..matched.start()]);
        replacement(&captures, &mut out)?;
        if out.len() > most {
            return Err(EvalError::new(format!("the result of replacing would be larger than {most} bytes")));
        }
        copied = Some(matched.end());
    }
    Ok(copied.map(|copied| {
        out.push_str(&text[copied..]);
        out
    }))
}
