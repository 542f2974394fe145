//! Lists and maps.

use std::cmp::Ordering;

use super::{new, plain};
use crate::function::{Default, Function, Kind, Literals, Prepared};
use crate::functions::key_value::Delimiters;
use crate::{EvalError, Map, Value};

const MAP: crate::Parameter = new("target", Kind::Map);

pub(super) const TABLE: &[Function] = &[
    Function::converter("Keys", &[MAP], |call| {
        Ok(Value::List(call.map(0).into_iter().map(|(key, _)| Value::String(key)).collect()))
    }),
    Function::converter("Values", &[MAP], |call| {
        Ok(Value::List(call.map(0).into_iter().map(|(_, value)| value).collect()))
    }),
    Function::prepared(
        "Sort",
        &[new("target", Kind::Any), new("order", Kind::LiteralString).or(Default::String("asc"))],
        sort,
    ),
    Function::converter(
        "SliceToMap",
        &[
            new("target", Kind::List),
            new("key_path", Kind::ListOf(&Kind::LiteralString)).optional(),
            new("value_path", Kind::ListOf(&Kind::LiteralString)).optional(),
        ],
        |call| Ok(slice_to_map(call.list(0), &call.strs(1), &call.strs(2))?.into()),
    ),
    Function::prepared(
        "ToKeyValueString",
        &[
            MAP,
            new("delimiter", Kind::LiteralString).or(Default::String("=")),
            new("pair_delimiter", Kind::LiteralString).or(Default::String(" ")),
            new("sort_output", Kind::LiteralBool).or(Default::Bool(false)),
        ],
        to_key_value,
    ),
];

fn sort(literals: &Literals<'_>) -> Result<Prepared, String> {
    let descending = match literals.str(1) {
        Some("asc") | None => false,
        Some("desc") => true,
        Some(other) => return Err(format!("invalid order {other:?}, expected asc or desc")),
    };
    Ok(Box::new(move |call| match call.value(0) {
        Value::List(values) => Ok(Value::List(sorted(values, descending)?)),
        other => Err(EvalError::new(format!("expected a list to sort, got {}", other.type_name()))),
    }))
}

/// Sorts numbers as such, and text, booleans and `nil` (with any numbers between them) by their form as
/// text. A list with anything else stays as it is.
fn sorted<'a>(values: Vec<Value<'a>>, descending: bool) -> Result<Vec<Value<'a>>, EvalError> {
    let all = |is: fn(&Value<'_>) -> bool| values.iter().all(is);
    if all(|value| matches!(value, Value::Int(_))) {
        return Ok(by(
            values,
            descending,
            |value| if let Value::Int(number) = value { *number } else { 0 },
            Ord::cmp,
        ));
    }
    if all(|value| matches!(value, Value::Int(_) | Value::Double(_))) {
        let number = |value: &Value<'_>| match value {
            Value::Int(number) => *number as f64,
            Value::Double(number) => *number,
            _ => 0.0,
        };
        return Ok(by(values, descending, number, f64::total_cmp));
    }
    if all(|value| {
        matches!(value, Value::Int(_) | Value::Double(_) | Value::String(_) | Value::Bool(_) | Value::Nil)
    }) {
        let mut texts = Vec::with_capacity(values.len());
        for value in values {
            texts.push((plain(&value)?, value));
        }
        let sorted = by(texts, descending, |(text, _)| text.clone(), Ord::cmp);
        return Ok(sorted.into_iter().map(|(_, value)| value).collect());
    }
    Ok(values)
}

fn by<T, K>(
    mut values: Vec<T>,
    descending: bool,
    key: impl Fn(&T) -> K,
    compare: fn(&K, &K) -> Ordering,
) -> Vec<T> {
    values.sort_by(|left, right| {
        let order = compare(&key(left), &key(right));
        if descending { order.reverse() } else { order }
    });
    values
}

/// Makes the elements of a list the values of a map, by index or by what stands at a path within them.
fn slice_to_map<'a>(
    values: Vec<Value<'a>>,
    key_path: &[&str],
    value_path: &[&str],
) -> Result<Map<'a>, EvalError> {
    let mut entries = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let key = match key_path {
            [] => index.to_string(),
            path => match walk(&value, path)? {
                Value::String(key) => key.to_string(),
                other => {
                    return Err(EvalError::new(format!(
                        "expected a string at the key path, got {}",
                        other.type_name()
                    )));
                }
            },
        };
        let value = if value_path.is_empty() { value } else { walk(&value, value_path)?.clone() };
        entries.push((key, value));
    }
    Ok(crate::functions::json::map_of(entries))
}

fn walk<'v, 'a>(value: &'v Value<'a>, path: &[&str]) -> Result<&'v Value<'a>, EvalError> {
    path.iter().try_fold(value, |value, key| match value {
        Value::Map(map) => map
            .get(key)
            .ok_or_else(|| EvalError::new(format!("provided object does not contain the path {path:?}"))),
        other => Err(EvalError::new(format!("expected a map at {key:?}, got {}", other.type_name()))),
    })
}

fn to_key_value(literals: &Literals<'_>) -> Result<Prepared, String> {
    let delimiters =
        Delimiters::new(literals.str(1).unwrap_or_default(), literals.str(2).unwrap_or_default())
            .map_err(|error| error.to_string())?;
    let is_sorted = literals.bool(3).unwrap_or(false);
    Ok(Box::new(move |call| {
        let mut pairs = Vec::new();
        for (key, value) in call.map(0) {
            pairs.push((key, plain(&value)?));
        }
        if is_sorted {
            pairs.sort_by(|left, right| left.0.cmp(&right.0));
        }
        Ok(delimiters.write(pairs.iter().map(|(key, value)| (&**key, value.as_str()))).into())
    }))
}
