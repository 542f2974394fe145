//! The converters that the evaluator knows itself: those that conditions are full of, and those that look
//! at values as the evaluator keeps them.

use crate::function::{Default, Function, Kind, Parameter};
use crate::matcher::{self, Matcher};
use crate::plan::ArgumentNode;
use crate::run::{Argument, Datum, State, coerce, equal, items};
use crate::value::HandleKind;
use crate::{Context, Contexts, EvalError, Value};

/// A function that the compiler knows by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Native {
    IsBool,
    IsDouble,
    IsInt,
    IsString,
    IsMap,
    IsList,
    Bool,
    Double,
    Int,
    String,
    IsMatch,
    HasPrefix,
    HasSuffix,
    Len,
    Coalesce,
    ContainsValue,
    Index,
    Concat,
    IsRootSpan,
    Editor(crate::editors::EditorName),
}

/// A converter, with what was made of its literal arguments.
pub(crate) enum Converter {
    Is(fn(&Datum<'_>) -> bool),
    /// The argument, coerced.
    Same,
    /// `None` if the pattern is known only for a record.
    IsMatch(Option<Matcher>),
    HasPrefix,
    HasSuffix,
    Len,
    Coalesce,
    ContainsValue,
    Index,
    Concat,
    IsRootSpan,
}

const fn new(name: &'static str, kind: Kind) -> Parameter {
    Parameter::new(name, kind)
}

/// The converters.
pub(crate) const CONVERTERS: &[Function] = &[
    Function::native("IsBool", &[new("target", Kind::Any)], Native::IsBool),
    Function::native("IsDouble", &[new("target", Kind::Any)], Native::IsDouble),
    Function::native("IsInt", &[new("target", Kind::Any)], Native::IsInt),
    Function::native("IsString", &[new("target", Kind::Any)], Native::IsString),
    Function::native("IsMap", &[new("target", Kind::Any)], Native::IsMap),
    Function::native("IsList", &[new("target", Kind::Any)], Native::IsList),
    Function::native("Bool", &[new("target", Kind::BoolLike)], Native::Bool),
    Function::native("Double", &[new("target", Kind::DoubleLike)], Native::Double),
    Function::native("Int", &[new("target", Kind::IntLike)], Native::Int),
    Function::native("String", &[new("target", Kind::StringLike)], Native::String),
    Function::native(
        "IsMatch",
        &[new("target", Kind::StringLike), new("pattern", Kind::String)],
        Native::IsMatch,
    ),
    Function::native(
        "HasPrefix",
        &[new("target", Kind::String), new("prefix", Kind::String)],
        Native::HasPrefix,
    ),
    Function::native(
        "HasSuffix",
        &[new("target", Kind::String), new("suffix", Kind::String)],
        Native::HasSuffix,
    ),
    Function::native("Len", &[new("target", Kind::Any)], Native::Len),
    Function::native("Coalesce", &[new("values", Kind::ListOf(&Kind::Any))], Native::Coalesce),
    Function::native(
        "ContainsValue",
        &[new("target", Kind::List), new("item", Kind::Any)],
        Native::ContainsValue,
    ),
    Function::native("Index", &[new("target", Kind::Any), new("value", Kind::Any)], Native::Index),
    Function::native(
        "Concat",
        &[new("vals", Kind::ListOf(&Kind::StringLike)), new("delimiter", Kind::String)],
        Native::Concat,
    ),
    Function::native("IsRootSpan", &[], Native::IsRootSpan).only_in(Contexts::of(&[Context::Span])),
];

/// A function that does nothing: what `route() where …` of the routing connector calls.
pub(crate) const ROUTE: &[Function] = &[Function::editor("route", &[], |_| Ok(()))];

/// The type that a literal argument must have: another is an error of the statement.
pub(crate) fn literal_kind(native: Native) -> Option<Kind> {
    match native {
        Native::IsBool => Some(Kind::Bool),
        Native::IsDouble => Some(Kind::Double),
        Native::IsInt => Some(Kind::Int),
        Native::IsString => Some(Kind::String),
        Native::IsMap => Some(Kind::Map),
        _ => None,
    }
}

/// Prepares a converter. `literal` gives the text of an argument that stands in the statement.
pub(crate) fn prepare(native: Native, arguments: &[ArgumentNode]) -> Result<Converter, String> {
    Ok(match native {
        Native::IsBool => Converter::Is(|datum| matches!(datum, Datum::Bool(_))),
        Native::IsDouble => Converter::Is(|datum| matches!(datum, Datum::Double(_))),
        Native::IsInt => Converter::Is(|datum| matches!(datum, Datum::Int(_))),
        Native::IsString => Converter::Is(|datum| matches!(datum, Datum::Text(_))),
        Native::IsMap => Converter::Is(is_map),
        Native::IsList => Converter::Is(is_list),
        Native::Bool | Native::Double | Native::Int | Native::String => Converter::Same,
        Native::IsMatch => {
            let pattern = arguments.get(1).and_then(ArgumentNode::literal_text);
            let matcher = pattern.map(|pattern| Matcher::new(&pattern)).transpose();
            Converter::IsMatch(matcher.map_err(|error| error.to_string())?)
        }
        Native::HasPrefix => Converter::HasPrefix,
        Native::HasSuffix => Converter::HasSuffix,
        Native::Len => Converter::Len,
        Native::Coalesce => {
            if matches!(arguments.first(), Some(ArgumentNode::List(values, _)) if values.is_empty()) {
                return Err("at least one value is needed".to_owned());
            }
            Converter::Coalesce
        }
        Native::ContainsValue => Converter::ContainsValue,
        Native::Index => Converter::Index,
        Native::Concat => Converter::Concat,
        Native::IsRootSpan => Converter::IsRootSpan,
        Native::Editor(_) => return Err("an editor is no converter".to_owned()),
    })
}

fn is_map(datum: &Datum<'_>) -> bool {
    match datum {
        Datum::Decoded(value) => matches!(**value, Value::Map(_)),
        _ => matches!(datum, Datum::Map(_)),
    }
}

fn is_list(datum: &Datum<'_>) -> bool {
    match datum {
        Datum::Handle(kind, _) => *kind != HandleKind::Status && *kind != HandleKind::Buckets,
        Datum::Decoded(value) => matches!(**value, Value::List(_)),
        _ => matches!(datum, Datum::List(_)),
    }
}

impl Converter {
    /// Whether it can fail, where its arguments cannot.
    pub(crate) fn is_infallible(&self) -> bool {
        matches!(self, Converter::Is(_) | Converter::Coalesce | Converter::IsRootSpan)
    }

    pub(crate) fn evaluate<'a>(
        &'a self,
        arguments: &'a [ArgumentNode],
        state: &mut State<'a>,
    ) -> Result<Datum<'a>, EvalError> {
        if let (Converter::Coalesce, [ArgumentNode::List(values, _), ..]) = (self, arguments) {
            // The first that is not nil; those behind it are not asked.
            for value in values {
                let datum = value.evaluate(state)?;
                if !datum.is_nil() {
                    return Ok(datum);
                }
            }
            return Ok(Datum::Nil);
        }
        if let (Converter::Concat, [ArgumentNode::List(..), ..]) = (self, arguments) {
            return concat(arguments, state);
        }
        if let (Converter::IsMatch(Some(matcher)), [ArgumentNode::Value(target, kind), ..]) =
            (self, arguments)
        {
            let is_match = match target.evaluate(state)? {
                Datum::Text(text) => matcher.is_match(text),
                other => match coerce(other, *kind, state.arena)? {
                    Datum::Text(text) => matcher.is_match(text),
                    _ => false,
                },
            };
            return Ok(Datum::Bool(is_match));
        }
        if let Converter::IsRootSpan = self {
            let parent = state.messages[2].bytes(4);
            return Ok(Datum::Bool(parent.iter().all(|byte| *byte == 0)));
        }
        let target = match arguments.first() {
            Some(argument) => argument.value(state)?,
            None => Datum::Nil,
        };
        match self {
            Converter::Is(test) => return Ok(Datum::Bool(test(&target))),
            Converter::Same => return Ok(target),
            Converter::Len => return len(&target).map(Datum::Int),
            _ => {}
        }
        let other = match arguments.get(1) {
            Some(argument) => argument.value(state)?,
            None => Datum::Nil,
        };
        Ok(match (self, target, other) {
            (Converter::IsMatch(_), target, Datum::Text(pattern)) => {
                let matcher = matcher::dynamic(state.text(pattern))?;
                Datum::Bool(matches!(target, Datum::Text(text) if matcher.is_match(text)))
            }
            (Converter::HasPrefix, Datum::Text(text), Datum::Text(part)) => {
                Datum::Bool(text.starts_with(part))
            }
            (Converter::HasSuffix, Datum::Text(text), Datum::Text(part)) => Datum::Bool(text.ends_with(part)),
            (Converter::ContainsValue, target, item) => {
                Datum::Bool(position(&target, &item, state).is_some())
            }
            (Converter::Index, Datum::Text(text), Datum::Text(part)) => {
                let found = memchr::memmem::find(text, part);
                Datum::Int(found.map_or(-1, |at| at as i64))
            }
            (Converter::Index, Datum::Text(_), other) => {
                return Err(EvalError::new(format!("cannot look for {} in a string", other.type_name())));
            }
            (Converter::Index, target @ (Datum::List(_) | Datum::Decoded(_)), item) => {
                Datum::Int(position(&target, &item, state).map_or(-1, |at| at as i64))
            }
            (_, target, _) => {
                return Err(EvalError::new(format!(
                    "expected a string or a list but got {}",
                    target.type_name()
                )));
            }
        })
    }
}

/// Where the first equal element of a list is.
fn position<'a>(list: &Datum<'a>, item: &Datum<'a>, state: &State<'a>) -> Option<usize> {
    match list {
        Datum::List(body) => items(body).position(|element| equal(&Datum::read(element), item)),
        Datum::Decoded(value) => match &**value {
            Value::List(values) => values
                .iter()
                .position(|element| equal(&Datum::from_value(element.clone(), state.arena), item)),
            _ => None,
        },
        _ => None,
    }
}

fn len(target: &Datum<'_>) -> Result<i64, EvalError> {
    let count = match target {
        Datum::Text(bytes) | Datum::Bytes(bytes) => bytes.len(),
        Datum::List(body) | Datum::Map(body) => items(body).count(),
        Datum::Handle(kind, fields) if is_list(target) => {
            crate::value::Handle::new(*kind, (*fields).into()).len().unwrap_or(0)
        }
        Datum::Decoded(value) => match &**value {
            Value::List(values) => values.len(),
            Value::Map(map) => map.len(),
            _ => 0,
        },
        other => return Err(EvalError::new(format!("a {} has no length", other.type_name()))),
    };
    Ok(count as i64)
}

fn concat<'a>(arguments: &'a [ArgumentNode], state: &mut State<'a>) -> Result<Datum<'a>, EvalError> {
    let Some(Argument::Many(values)) =
        arguments.first().map(|argument| argument.evaluate(state)).transpose()?
    else {
        return Ok(Datum::Nil);
    };
    let delimiter = match arguments.get(1).map(|argument| argument.value(state)).transpose()? {
        Some(Datum::Text(text)) => text,
        _ => &[],
    };
    let joined = state.arena.write(|out| {
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(delimiter);
            }
            match value {
                Datum::Text(text) => out.extend_from_slice(text),
                _ => out.extend_from_slice(b"<nil>"),
            }
        }
        Ok::<(), EvalError>(())
    })?;
    if joined.len() > crate::run::MAX_VALUE_BYTES {
        return Err("the result is larger than 16 MiB".into());
    }
    Ok(Datum::Text(joined))
}

/// Stands for an argument that was not given.
pub(crate) fn default_value(default: Default) -> Option<Datum<'static>> {
    match default {
        Default::Absent => None,
        Default::String(text) => Some(Datum::Text(text.as_bytes())),
        Default::Int(value) => Some(Datum::Int(value)),
        Default::Bool(value) => Some(Datum::Bool(value)),
    }
}
