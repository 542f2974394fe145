//! Regular expressions as Go writes them, run by an engine whose time is linear in the text.
//!
//! The syntax of Go (RE2) and that of the `regex` crate differ in small things, so that a pattern is
//! rewritten first: `\d`, `\s`, `\w` and `\b` mean ASCII, a brace that is no repeat and brackets, `&&`,
//! `--` and `~~` within a class are plain, `\Q…\E` quotes, `\123` is octal. What Go refuses and the crate
//! would take is refused here.

mod template;
mod translate;

use regex::{Regex, RegexBuilder};

use crate::{EvalError, Map};

pub use template::{Template, replace_all};
use translate::Translator;

/// Memory for one compiled expression; more is refused.
const MAX_COMPILED_BYTES: usize = 10 << 20;

/// How many groups may have one name, which Go allows and the crate does not.
const MAX_SAME_NAME: usize = 16;

/// What the second and further groups of a name are called; Go's names have no points.
fn nth_name(name: &str, nth: usize) -> String {
    format!("{name}.{nth}")
}

/// The name of a group as it was written.
pub fn written_name(group: &str) -> &str {
    group.split_once('.').map_or(group, |(name, _)| name)
}

/// Compiles an expression in Go's syntax.
///
/// # Errors
///
/// What Go refuses (look-around, back-references, unbalanced parentheses), and expressions that would
/// take more than ten megabytes.
pub fn compile(pattern: &str) -> Result<Regex, EvalError> {
    let translated = Translator::new(pattern)
        .run()
        .map_err(|problem| EvalError::new(format!("invalid regular expression {pattern:?}: {problem}")))?;
    RegexBuilder::new(&translated).size_limit(MAX_COMPILED_BYTES).build().map_err(|error| {
        let message = error.to_string();
        let problem = message.lines().last().unwrap_or_default().trim_start_matches("error: ");
        EvalError::new(format!("invalid regular expression {pattern:?}: {problem}"))
    })
}

/// Rewrites an expression from Go's syntax into that of the `regex` crate. Of several groups with one name, which Go
/// allows, the second is called `name.2` and so on: see [`written_name`].
///
/// # Errors
///
/// Says what Go refuses and the crate would take. What both refuse is left to the crate.
pub fn translate(pattern: &str) -> Result<String, EvalError> {
    Translator::new(pattern).run().map_err(EvalError::new)
}

/// What the named groups of the first match hold; a group that took no part is empty. Without a match there
/// is nothing.
///
/// # Errors
///
/// An expression without named groups.
pub fn named_groups(regex: &Regex, text: &str) -> Result<Map<'static>, EvalError> {
    if regex.capture_names().flatten().next().is_none() {
        return Err(EvalError::new("at least one named capture group must be supplied in the given regex"));
    }
    let Some(captures) = regex.captures(text) else { return Ok(Map::new()) };
    let groups = regex.capture_names().flatten().map(|name| {
        let group = captures.name(name).map_or("", |group| group.as_str());
        // Of several groups with one name the last counts, as in the original.
        (written_name(name).to_owned(), group.to_owned())
    });
    Ok(groups.collect())
}

#[cfg(test)]
mod tests;
