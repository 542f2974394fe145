//! Editors.

use crate::Context;
use crate::EvalError;
use crate::diagnostic::Problem;
use crate::editors::{Editor, EditorName, Flatten, How, Pattern, Replace, Whole};
use crate::eval::FunctionRef;
use crate::function::{Body, Function};
use crate::functions::glob::Glob;
use crate::functions::go_regex;
use crate::matcher::Matcher;
use crate::native::Native;
use crate::path::{Field, Target};
use crate::plan::{ArgumentNode, EditNode, Expr, Levels, NativeEdit, Path};
use crate::run::Datum;
use crate::syntax::ast::{self, ArgumentValue, ExprKind};

use super::arguments::{assign, with_literals};
use super::{Checked, Compiler, Facts};

/// An editor, and what it touches.
pub(super) struct Edited {
    pub(super) node: EditNode,
    pub(super) reads: Levels,
    pub(super) writes: Levels,
    /// The level whose attributes it changes.
    pub(super) lists: Levels,
}

/// The arguments behind the target, one after the other.
struct Arguments(std::vec::IntoIter<ArgumentNode>);

impl Arguments {
    fn next(&mut self) -> ArgumentNode {
        self.0.next().unwrap_or(ArgumentNode::Absent)
    }
}

impl Compiler<'_> {
    pub(super) fn edit(&mut self, call: &ast::Call) -> Checked<Edited> {
        let function = self.function(&call.name, &call.name_place)?;
        let given = assign(function, call)?;
        let (arguments, facts) = self.arguments(function, &given)?;
        let wrong = |message: String| Problem::new(&call.place, format!("{}: {message}", function.name));
        match function.body {
            Body::Native(Native::Editor(name)) => {
                let (target, of_target) = match given.first() {
                    Some(Some(ArgumentValue::Value(ast::Expr { kind: ExprKind::Path(path), place }))) => {
                        self.settable(path, place)?
                    }
                    _ => return Err(wrong("the target must be a path".to_owned())),
                };
                let functions = given.iter().zip(function.parameters);
                let reference = functions
                    .filter(|(_, parameter)| parameter.kind() == crate::Kind::Function)
                    .find_map(|(given, _)| *given)
                    .map(|value| self.function_ref(value))
                    .transpose()?;
                let mut edited = touching(&target, facts.and(of_target));
                let mut arguments = Arguments(arguments.into_iter());
                arguments.next();
                edited.node =
                    self.native_edit(function, name, target, arguments, reference).map_err(wrong)?;
                Ok(edited)
            }
            Body::Editor(_) if function.name == "route" => {
                let nothing = Levels::NONE;
                Ok(Edited { node: EditNode::Nothing, reads: nothing, writes: nothing, lists: nothing })
            }
            Body::Editor(body) => {
                Ok(self.custom(EditNode::Editor { name: function.name, body, arguments }, facts))
            }
            Body::PreparedEditor(prepare) => {
                let body = with_literals(&arguments, prepare).map_err(wrong)?;
                Ok(self.custom(EditNode::Prepared { name: function.name, body, arguments }, facts))
            }
            Body::Converter(_) | Body::Prepared(_) | Body::Native(_) => {
                Err(wrong("a converter cannot stand where an editor is expected".to_owned()))
            }
        }
    }

    /// An editor that replaces its record; those of metrics also make new ones.
    fn custom(&self, node: EditNode, facts: Facts) -> Edited {
        let own = Levels::of(self.depth());
        let writes = match self.context {
            Context::Metric | Context::DataPoint => Levels::ALL,
            _ => own,
        };
        Edited { node, reads: facts.reads | own, writes, lists: Levels::NONE }
    }

    fn native_edit(
        &mut self,
        function: &'static Function,
        name: EditorName,
        target: Path,
        mut arguments: Arguments,
        reference: Option<FunctionRef>,
    ) -> Result<EditNode, String> {
        let editor = match name {
            EditorName::Set => {
                return match arguments.next() {
                    ArgumentNode::Value(value, _) => Ok(self.set(target, value)),
                    _ => Err("a value is needed".to_owned()),
                };
            }
            EditorName::DeleteKey => {
                let key = arguments.next();
                let depth = target.depth;
                if let (Some(text), Target::Attributes, []) =
                    (key.literal_text(), target.target, &target.keys[..])
                    && let Some(index) = self.layout.keys[usize::from(depth)].add(text.as_bytes())
                {
                    return Ok(EditNode::DeleteKey { depth, index, key: text.into_bytes().into() });
                }
                Editor::DeleteKey(key)
            }
            EditorName::Append => match (arguments.next(), arguments.next()) {
                (ArgumentNode::Absent, ArgumentNode::Absent) => {
                    return Err("at least one of \"value\" and \"values\" is needed".to_owned());
                }
                (value, values) => Editor::Append { value, values },
            },
            EditorName::DeleteIndex => Editor::DeleteIndex { start: arguments.next(), end: arguments.next() },
            EditorName::DeleteMatchingKeys => matching_keys(arguments.next(), false)?,
            EditorName::KeepMatchingKeys => matching_keys(arguments.next(), true)?,
            EditorName::KeepKeys => Editor::KeepKeys(arguments.next()),
            EditorName::Limit => limit(arguments)?,
            EditorName::MergeMaps => merge_maps(arguments)?,
            EditorName::Flatten => flatten(arguments)?,
            EditorName::StringifyAll => Editor::StringifyAll,
            EditorName::TruncateAll => {
                let limit = arguments.next().literal_int().and_then(|limit| usize::try_from(limit).ok());
                let limit = limit.ok_or("the limit must not be negative")?;
                let is_utf8_safe = arguments.next().literal_bool().unwrap_or(true);
                Editor::TruncateAll { limit, is_utf8_safe }
            }
            EditorName::ReplaceMatch => replace(How::Match(whole(arguments.next())?), arguments, reference),
            EditorName::ReplaceAllMatches => {
                replace(How::AllMatches(whole(arguments.next())?), arguments, reference)
            }
            EditorName::ReplacePattern => {
                let pattern = arguments.next();
                replace(How::Pattern(regex(&pattern)?, pattern), arguments, reference)
            }
            EditorName::ReplaceAllPatterns => {
                let mode = arguments.next().literal_text().unwrap_or_default();
                let pattern = arguments.next();
                let regex = regex(&pattern)?;
                let how = match mode.as_str() {
                    "key" => How::AllKeys(regex, pattern),
                    "value" => How::AllValues(regex, pattern),
                    other => return Err(format!("unknown mode \"{other}\": expected key or value")),
                };
                replace(how, arguments, reference)
            }
        };
        Ok(EditNode::Native(Box::new(NativeEdit { name: function.name, target, editor })))
    }

    /// `set`, in its cheapest form. The keys that are set are looked for with those that are read.
    fn set(&mut self, target: Path, value: Expr) -> EditNode {
        let Expr::Literal(literal) = &value else { return EditNode::Set { target, value } };
        if literal.datum().is_nil() {
            return EditNode::Nothing;
        }
        let depth = target.depth;
        if target.target == Target::Attributes
            && let [key] = &target.keys[..]
            && let Some(Datum::Text(key)) = key.literal()
            && let Some(index) = self.layout.keys[usize::from(depth)].add(key)
        {
            return EditNode::SetAttribute { depth, index, key: key.into(), value: literal.clone() };
        }
        EditNode::Set { target, value }
    }
}

fn touching(target: &Path, facts: Facts) -> Edited {
    let level = match target.target {
        Target::Cache => Levels::cache(),
        _ => Levels::of(target.depth.into()),
    };
    let lists = if target.target == Target::Attributes { level } else { Levels::NONE };
    // What holds the records of a deeper level puts others in their place.
    let writes = match target.target {
        Target::Field(Field::Part(..) | Field::DataPoints | Field::Exemplars) => Levels::ALL,
        _ => level,
    };
    Edited { node: EditNode::Nothing, reads: facts.reads, writes, lists }
}

fn matching_keys(argument: ArgumentNode, keeps: bool) -> Result<Editor, String> {
    let pattern = match argument.literal_text() {
        Some(text) => Pattern::Literal(Matcher::new(&text).map_err(|error| error.to_string())?),
        None => Pattern::Dynamic(argument),
    };
    Ok(Editor::MatchingKeys { pattern, keeps })
}

fn limit(mut arguments: Arguments) -> Result<Editor, String> {
    let limit = arguments.next().literal_int().and_then(|limit| usize::try_from(limit).ok());
    let priority = match arguments.next() {
        ArgumentNode::List(values, _) => values.iter().filter_map(literal_bytes).collect(),
        _ => Vec::new(),
    };
    match limit {
        Some(limit) if limit >= priority.len() => Ok(Editor::Limit { limit, priority }),
        _ => Err("the limit must not be below the number of priority keys".to_owned()),
    }
}

fn literal_bytes(value: &Expr) -> Option<Box<[u8]>> {
    match value.literal()? {
        Datum::Text(text) => Some(text.into()),
        _ => None,
    }
}

fn merge_maps(mut arguments: Arguments) -> Result<Editor, String> {
    let source = arguments.next();
    let (inserts, updates) = match arguments.next().literal_text().unwrap_or_default().as_str() {
        "insert" => (true, false),
        "update" => (false, true),
        "upsert" => (true, true),
        other => return Err(format!("unknown strategy \"{other}\": expected insert, update or upsert")),
    };
    Ok(Editor::MergeMaps { source, inserts, updates })
}

fn flatten(mut arguments: Arguments) -> Result<Editor, String> {
    let prefix = arguments.next().literal_text().map(Into::into);
    let depth = arguments.next().literal_int().unwrap_or(i64::MAX);
    let resolves_conflicts = arguments.next().literal_bool().unwrap_or(false);
    match depth {
        1.. => Ok(Editor::Flatten(Flatten { prefix, depth, resolves_conflicts })),
        _ => Err(format!("the depth must be at least 1, not {depth}")),
    }
}

fn replace(how: How, mut arguments: Arguments, function: Option<FunctionRef>) -> Editor {
    let replacement = arguments.next();
    // The place of the function, which is no value.
    arguments.next();
    Editor::Replace(Replace { how, replacement, function, format: arguments.next() })
}

fn whole(argument: ArgumentNode) -> Result<Whole, String> {
    match argument.literal_text() {
        Some(text) => Glob::new(&text).map(Whole::Literal).map_err(|error| error.to_string()),
        None => Ok(Whole::Dynamic(argument)),
    }
}

fn regex(argument: &ArgumentNode) -> Result<Option<regex::Regex>, String> {
    let compile = |text: String| go_regex::compile(&text);
    argument.literal_text().map(compile).transpose().map_err(|error: EvalError| error.to_string())
}
