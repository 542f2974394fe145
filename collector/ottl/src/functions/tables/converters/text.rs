//! Text in pieces, in other letters, and put together.

use super::{TEXT, new};
use crate::function::{Call, Default, Function, Kind};
use crate::functions::case::{Case, camel, lower, snake, upper};
use crate::functions::go_format::{Argument, sprintf};
use crate::functions::strings::{split, substring, trim};
use crate::functions::time::format::rfc3339_nano;
use crate::{EvalError, Value};

pub(super) const TABLE: &[Function] = &[
    Function::converter("Split", &[TEXT, new("delimiter", Kind::String)], |call| {
        Ok(Value::List(split(call.str(0), call.str(1)).into_iter().map(Value::from).collect()))
    }),
    Function::converter(
        "Substring",
        &[
            TEXT,
            new("start", Kind::Int),
            new("length", Kind::Int),
            new("utf8_safe", Kind::Bool).or(Default::Bool(false)),
        ],
        |call| Ok(substring(call.str(0), call.int(1), call.int(2), call.bool(3))?.into()),
    ),
    Function::converter(
        "Trim",
        &[TEXT, new("replacement", Kind::LiteralString).or(Default::String(" "))],
        |call| Ok(trim(call.str(0), call.str(1)).into()),
    ),
    Function::converter("TrimPrefix", &[TEXT, new("prefix", Kind::String)], |call| {
        let (text, prefix) = (call.str(0), call.str(1));
        Ok(text.strip_prefix(prefix).unwrap_or(text).into())
    }),
    Function::converter("TrimSuffix", &[TEXT, new("suffix", Kind::String)], |call| {
        let (text, suffix) = (call.str(0), call.str(1));
        Ok(text.strip_suffix(suffix).unwrap_or(text).into())
    }),
    Function::converter("ToLowerCase", &[TEXT], |call| Ok(lower(call.str(0)).into())),
    Function::converter("ToUpperCase", &[TEXT], |call| Ok(upper(call.str(0)).into())),
    Function::converter("ToSnakeCase", &[TEXT], |call| Ok(snake(call.str(0)).into())),
    Function::converter("ToCamelCase", &[TEXT], |call| Ok(camel(call.str(0)).into())),
    Function::prepared("ConvertCase", &[TEXT, new("to_case", Kind::LiteralString)], |literals| {
        let case: Case =
            literals.str(1).unwrap_or_default().parse().map_err(|error: EvalError| error.to_string())?;
        Ok(Box::new(move |call| Ok(case.convert(call.str(0)).into())))
    }),
    Function::converter(
        "Format",
        &[new("format", Kind::LiteralString), new("vals", Kind::ListOf(&Kind::Any))],
        format,
    ),
];

fn format<'a>(call: &Call<'_, 'a>) -> Result<Value<'a>, EvalError> {
    let values = call.list(1);
    let mut arguments = Vec::with_capacity(values.len());
    for value in &values {
        arguments.push(match value {
            Value::Nil => Argument::Nil,
            Value::Bool(value) => Argument::Bool(*value),
            Value::Int(number) => Argument::Int(*number),
            Value::Double(number) => Argument::Double(*number),
            Value::String(text) => Argument::Text(text),
            Value::Bytes(bytes) => Argument::Bytes(bytes),
            Value::Map(_) => Argument::Other("pcommon.Map", super::plain(value)?),
            Value::List(_) => Argument::Other("pcommon.Slice", super::plain(value)?),
            Value::Time(time) => Argument::Other("time.Time", rfc3339_nano(time)),
            other => Argument::Other(other.type_name(), super::plain(other)?),
        });
    }
    Ok(sprintf(call.str(0), &arguments)?.into())
}
