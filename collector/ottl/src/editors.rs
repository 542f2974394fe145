//! The editors that all contexts have.

mod flatten;
mod lists;
mod maps;
mod replace;

use crate::EvalError;
use crate::function::{Default, Function, Kind, Parameter};
use crate::native::Native;
use crate::plan::{ArgumentNode, Path};
use crate::run::State;

pub(crate) use flatten::Flatten;
pub(crate) use replace::{How, Pattern, Replace, Whole};

use EditorName::{
    Append, DeleteIndex, DeleteKey, DeleteMatchingKeys, Flatten as FlattenName, KeepKeys, KeepMatchingKeys,
    Limit, MergeMaps, ReplaceAllMatches, ReplaceAllPatterns, ReplaceMatch, ReplacePattern, Set, StringifyAll,
    TruncateAll,
};

/// The name of an editor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EditorName {
    Set,
    Append,
    DeleteIndex,
    DeleteKey,
    DeleteMatchingKeys,
    KeepMatchingKeys,
    KeepKeys,
    Limit,
    MergeMaps,
    Flatten,
    ReplaceMatch,
    ReplaceAllMatches,
    ReplacePattern,
    ReplaceAllPatterns,
    StringifyAll,
    TruncateAll,
}

/// An editor that is no `set`, with what was made of its literal arguments.
pub(crate) enum Editor {
    Append {
        value: ArgumentNode,
        values: ArgumentNode,
    },
    DeleteIndex {
        start: ArgumentNode,
        end: ArgumentNode,
    },
    DeleteKey(ArgumentNode),
    /// Whether matching keys are kept, or go.
    MatchingKeys {
        pattern: Pattern,
        keeps: bool,
    },
    KeepKeys(ArgumentNode),
    Limit {
        limit: usize,
        priority: Vec<Box<[u8]>>,
    },
    MergeMaps {
        source: ArgumentNode,
        inserts: bool,
        updates: bool,
    },
    Flatten(Flatten),
    Replace(Replace),
    StringifyAll,
    TruncateAll {
        limit: usize,
        is_utf8_safe: bool,
    },
}

const fn editor(name: &'static str, parameters: &'static [Parameter], editor: EditorName) -> Function {
    Function::native(name, parameters, Native::Editor(editor))
}

const fn new(name: &'static str, kind: Kind) -> Parameter {
    Parameter::new(name, kind)
}

const MAP: Parameter = new("target", Kind::MapPath);
const PATTERN: Parameter = new("pattern", Kind::String);
const REGEX: Parameter = new("regex", Kind::String);
const REPLACEMENT: Parameter = new("replacement", Kind::String);
const FUNCTION: Parameter = new("function", Kind::Function).optional();
const FORMAT: Parameter = new("replacement_format", Kind::String).optional();

/// The editors that remove keys.
pub(crate) const DELETE: &[Function] = &[
    editor("delete_key", &[MAP, new("key", Kind::String)], DeleteKey),
    editor("delete_matching_keys", &[MAP, PATTERN], DeleteMatchingKeys),
];

/// The editors.
pub(crate) const EDITORS: &[Function] = &[
    editor("set", &[new("target", Kind::Path), new("value", Kind::Any)], Set),
    editor(
        "append",
        &[
            new("target", Kind::Path),
            new("value", Kind::Any).optional(),
            new("values", Kind::ListOf(&Kind::Any)).optional(),
        ],
        Append,
    ),
    editor(
        "delete_index",
        &[
            new("target", Kind::ListPath),
            new("start_index", Kind::Int),
            new("end_index", Kind::Int).optional(),
        ],
        DeleteIndex,
    ),
    DELETE[0],
    DELETE[1],
    editor("keep_matching_keys", &[MAP, PATTERN], KeepMatchingKeys),
    editor("keep_keys", &[MAP, new("keys", Kind::ListOf(&Kind::String))], KeepKeys),
    editor(
        "limit",
        &[MAP, new("limit", Kind::LiteralInt), new("priority_keys", Kind::ListOf(&Kind::LiteralString))],
        Limit,
    ),
    editor("merge_maps", &[MAP, new("source", Kind::Map), new("strategy", Kind::LiteralString)], MergeMaps),
    editor(
        "flatten",
        &[
            MAP,
            new("prefix", Kind::LiteralString).optional(),
            new("depth", Kind::LiteralInt).optional(),
            new("resolve_conflicts", Kind::LiteralBool).or(Default::Bool(false)),
        ],
        FlattenName,
    ),
    editor(
        "replace_match",
        &[new("target", Kind::Path), PATTERN, REPLACEMENT, FUNCTION, FORMAT],
        ReplaceMatch,
    ),
    editor("replace_all_matches", &[MAP, PATTERN, REPLACEMENT, FUNCTION, FORMAT], ReplaceAllMatches),
    editor(
        "replace_pattern",
        &[new("target", Kind::Path), REGEX, REPLACEMENT, FUNCTION, FORMAT],
        ReplacePattern,
    ),
    editor(
        "replace_all_patterns",
        &[MAP, new("mode", Kind::LiteralString), REGEX, REPLACEMENT, FUNCTION, FORMAT],
        ReplaceAllPatterns,
    ),
    editor("stringify_all", &[MAP], StringifyAll),
    editor(
        "truncate_all",
        &[MAP, new("limit", Kind::LiteralInt), new("utf8_safe", Kind::LiteralBool).or(Default::Bool(true))],
        TruncateAll,
    ),
];

impl Editor {
    pub(crate) fn run<'a>(&'a self, target: &'a Path, state: &mut State<'a>) -> Result<(), EvalError> {
        match self {
            Editor::Append { value, values } => lists::append(target, value, values, state),
            Editor::DeleteIndex { start, end } => lists::delete_index(target, start, end, state),
            Editor::DeleteKey(key) => maps::delete_key(target, key, state),
            Editor::MatchingKeys { pattern, keeps } => maps::matching_keys(target, pattern, *keeps, state),
            Editor::KeepKeys(keys) => maps::keep_keys(target, keys, state),
            Editor::Limit { limit, priority } => maps::limit(target, *limit, priority, state),
            Editor::MergeMaps { source, inserts, updates } => {
                maps::merge(target, source, *inserts, *updates, state)
            }
            Editor::Flatten(flatten) => flatten.run(target, state),
            Editor::Replace(replace) => replace.run(target, state),
            Editor::StringifyAll => maps::stringify(target, state),
            Editor::TruncateAll { limit, is_utf8_safe } => {
                maps::truncate(target, *limit, *is_utf8_safe, state)
            }
        }
    }
}
