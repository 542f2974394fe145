//! `replace_match`, `replace_pattern`, and the same for all values or keys of a map.

use std::sync::Arc;

use regex::Regex;

use crate::EvalError;
use crate::eval::FunctionRef;
use crate::functions::glob::Glob;
use crate::functions::go_regex::{self, Template};
use crate::matcher::{self, Matcher};
use crate::plan::{ArgumentNode, Path};
use crate::run::{self, Argument, Datum, Entries, EntryIndex, State};

/// A regular expression of the statement, or one that is known only for a record.
pub(crate) enum Pattern {
    Literal(Matcher),
    Dynamic(ArgumentNode),
}

impl Pattern {
    /// Hands the compiled pattern over.
    pub(crate) fn with_matcher<'a, T>(
        &'a self,
        state: &mut State<'a>,
        with: impl FnOnce(&mut State<'a>, &Matcher) -> Result<T, EvalError>,
    ) -> Result<T, EvalError> {
        match self {
            Pattern::Literal(matcher) => with(state, matcher),
            Pattern::Dynamic(pattern) => match pattern.value(state)? {
                Datum::Text(pattern) => {
                    let matcher = matcher::dynamic(state.text(pattern))?;
                    with(state, &matcher)
                }
                other => Err(EvalError::new(format!("expected a pattern but got {}", other.type_name()))),
            },
        }
    }
}

/// A pattern for whole texts.
pub(crate) enum Whole {
    Literal(Glob),
    Dynamic(ArgumentNode),
}

/// What is replaced, and where.
pub(crate) enum How {
    /// The whole text, where it matches.
    Match(Whole),
    AllMatches(Whole),
    /// Each match in the text. `None` if the pattern is known only for a record.
    Pattern(Option<Regex>, ArgumentNode),
    AllValues(Option<Regex>, ArgumentNode),
    AllKeys(Option<Regex>, ArgumentNode),
}

pub(crate) struct Replace {
    pub(crate) how: How,
    pub(crate) replacement: ArgumentNode,
    pub(crate) function: Option<FunctionRef>,
    pub(crate) format: ArgumentNode,
}

/// What stands for a match: evaluated once for a record.
struct Replacement<'r> {
    text: &'r str,
    function: Option<&'r FunctionRef>,
    /// What stands before and behind what the function gives.
    format: Option<(String, String)>,
}

impl Replace {
    pub(super) fn run<'a>(&'a self, target: &'a Path, state: &mut State<'a>) -> Result<(), EvalError> {
        match &self.how {
            How::Match(glob) => {
                let Datum::Text(text) = target.get(state)? else { return Ok(()) };
                let glob = glob.get(state)?;
                let replacement = self.replacement(state)?;
                if glob.matches(text, state) {
                    let by = replacement.whole(state)?;
                    let by = Datum::Text(state.arena.copy(by.as_bytes()));
                    run::set(state, target, by)?;
                }
                Ok(())
            }
            How::AllMatches(glob) => {
                let glob = glob.get(state)?;
                let replacement = self.replacement(state)?;
                run::with_map(state, target, |entries, state| {
                    let mut is_changed = false;
                    for entry in entries.iter_mut() {
                        let Datum::Text(text) = Datum::read(entry.value) else { continue };
                        if glob.matches(text, state) {
                            let by = state.arena.copy(replacement.whole(state)?.as_bytes());
                            entry.put(Datum::Text(by).encode(state.arena)?);
                            is_changed = true;
                        }
                    }
                    Ok(is_changed)
                })
            }
            How::Pattern(regex, pattern) => {
                let Datum::Text(text) = target.get(state)? else { return Ok(()) };
                let regex = dynamic(regex, pattern, state)?;
                let replacement = self.replacement(state)?;
                if let Some(replaced) = replacement.within(&regex, state.text(text), state)? {
                    let replaced = Datum::Text(state.arena.copy(replaced.as_bytes()));
                    run::set(state, target, replaced)?;
                }
                Ok(())
            }
            How::AllValues(regex, pattern) => {
                let regex = dynamic(regex, pattern, state)?;
                let replacement = self.replacement(state)?;
                run::with_map(state, target, |entries, state| {
                    let mut is_changed = false;
                    for entry in entries.iter_mut() {
                        let Datum::Text(text) = Datum::read(entry.value) else { continue };
                        // An error leaves the entry as it is.
                        if let Ok(Some(replaced)) = replacement.within(&regex, state.text(text), state) {
                            let replaced = state.arena.copy(replaced.as_bytes());
                            entry.put(Datum::Text(replaced).encode(state.arena)?);
                            is_changed = true;
                        }
                    }
                    Ok(is_changed)
                })
            }
            How::AllKeys(regex, pattern) => {
                let regex = dynamic(regex, pattern, state)?;
                let replacement = self.replacement(state)?;
                run::with_map(state, target, |entries, state| {
                    let keeps_all = entries.iter().all(|entry| !regex.is_match(state.text(entry.key)));
                    if keeps_all {
                        return Ok(false);
                    }
                    let mut renamed = Entries::default();
                    let mut index = EntryIndex::new(&renamed);
                    for entry in entries.iter() {
                        // An error drops the entry.
                        let Ok(replaced) = replacement.within(&regex, state.text(entry.key), state) else {
                            continue;
                        };
                        let key = replaced.map_or(entry.key, |key| state.arena.copy(key.as_bytes()));
                        let found = index.get(key);
                        index.put(&mut renamed, found, key, entry.value);
                    }
                    *entries = renamed;
                    Ok(true)
                })
            }
        }
    }

    fn replacement<'a>(&'a self, state: &mut State<'a>) -> Result<Replacement<'a>, EvalError> {
        let text = match self.replacement.value(state)? {
            Datum::Text(text) => state.text(text),
            other => {
                return Err(EvalError::new(format!("expected a replacement but got {}", other.type_name())));
            }
        };
        let format = match (&self.function, self.format.evaluate(state)?) {
            (Some(_), Argument::One(Datum::Text(format))) => Some(split_format(state.text(format))?),
            _ => None,
        };
        Ok(Replacement { text, function: self.function.as_ref(), format })
    }
}

/// What stands before and behind the only `%s`.
fn split_format(format: &str) -> Result<(String, String), EvalError> {
    let only =
        || format.split_once("%s").filter(|(before, behind)| !before.contains('%') && !behind.contains('%'));
    let (before, behind) = only().ok_or_else(|| {
        EvalError::new(format!("replacement format {format:?} must contain one %s and no other verb"))
    })?;
    Ok((before.to_owned(), behind.to_owned()))
}

impl Replacement<'_> {
    /// The text for a match.
    fn finish(&self, text: String, state: &State<'_>) -> Result<String, EvalError> {
        let Some(function) = self.function else { return Ok(text) };
        let made = function.apply(&text, state)?;
        Ok(match &self.format {
            Some((before, behind)) => [before, made.as_str(), behind].concat(),
            None => made,
        })
    }

    fn whole(&self, state: &State<'_>) -> Result<String, EvalError> {
        self.finish(self.text.to_owned(), state)
    }

    /// The text with each match replaced; `None` if there is none.
    fn within(&self, regex: &Regex, text: &str, state: &State<'_>) -> Result<Option<String>, EvalError> {
        let template = Template::new(self.text);
        go_regex::replace_all(regex, text, |captures, out| {
            if self.function.is_none() {
                template.expand(captures, out);
                return Ok(());
            }
            let mut expanded = String::new();
            template.expand(captures, &mut expanded);
            out.push_str(&self.finish(expanded, state)?);
            Ok(())
        })
    }
}

/// A regular expression of the statement, or one that was compiled for the record.
enum Found<'r> {
    Literal(&'r Regex),
    Dynamic(Arc<Regex>),
}

impl std::ops::Deref for Found<'_> {
    type Target = Regex;

    fn deref(&self) -> &Regex {
        match self {
            Found::Literal(regex) => regex,
            Found::Dynamic(regex) => regex,
        }
    }
}

fn dynamic<'a>(
    regex: &'a Option<Regex>,
    pattern: &'a ArgumentNode,
    state: &mut State<'a>,
) -> Result<Found<'a>, EvalError> {
    if let Some(regex) = regex {
        return Ok(Found::Literal(regex));
    }
    match pattern.value(state)? {
        Datum::Text(pattern) => matcher::dynamic_regex(state.text(pattern)).map(Found::Dynamic),
        other => Err(EvalError::new(format!("expected a pattern but got {}", other.type_name()))),
    }
}

/// A pattern of the statement, or one that was compiled for the record.
enum Compiled<'g> {
    Literal(&'g Glob),
    Dynamic(Glob),
}

impl Whole {
    fn get<'a>(&'a self, state: &mut State<'a>) -> Result<Compiled<'a>, EvalError> {
        match self {
            Whole::Literal(glob) => Ok(Compiled::Literal(glob)),
            Whole::Dynamic(pattern) => match pattern.value(state)? {
                Datum::Text(pattern) => Glob::new(state.text(pattern)).map(Compiled::Dynamic),
                other => Err(EvalError::new(format!("expected a pattern but got {}", other.type_name()))),
            },
        }
    }
}

impl Compiled<'_> {
    fn matches<'a>(&self, text: &'a [u8], state: &State<'a>) -> bool {
        match self {
            Compiled::Literal(glob) => glob.is_match(state.text(text)),
            Compiled::Dynamic(glob) => glob.is_match(state.text(text)),
        }
    }
}
