//! Text with a structure, read into maps.

use super::{Made, TEXT, literal, new};
use crate::function::{Call, Default, Function, Kind, Literals, Prepared};
use crate::functions::csv::{self, Mode};
use crate::functions::grok::Grok;
use crate::functions::json::map_of;
use crate::functions::key_value::Delimiters;
use crate::functions::severity::Mapping;
use crate::functions::{go_regex, json, url, user_agent};
use crate::{EvalError, Map, Value};

pub(super) const TABLE: &[Function] = &[
    Function::converter("ParseJSON", &[TEXT], |call| json::parse(call.str(0))),
    Function::prepared(
        "ParseCSV",
        &[
            TEXT,
            new("header", Kind::String),
            new("delimiter", Kind::LiteralString).or(Default::String(",")),
            new("header_delimiter", Kind::LiteralString).optional(),
            new("mode", Kind::LiteralString).or(Default::String("strict")),
        ],
        parse_csv,
    ),
    Function::prepared(
        "ParseKeyValue",
        &[
            TEXT,
            new("delimiter", Kind::LiteralString).or(Default::String("=")),
            new("pair_delimiter", Kind::LiteralString).or(Default::String(" ")),
        ],
        |literals| {
            let delimiters =
                Delimiters::new(literals.str(1).unwrap_or_default(), literals.str(2).unwrap_or_default())
                    .map_err(|error| error.to_string())?;
            Ok(Box::new(move |call| Ok(texts(delimiters.parse(call.str(0))?).into())))
        },
    ),
    Function::prepared("ExtractPatterns", &[TEXT, new("pattern", Kind::String)], |literals| {
        let regex = Made::new(literal(literals, 1), |pattern: &String| go_regex::compile(pattern))?;
        Ok(Box::new(move |call| {
            let regex = regex.get(|| call.str(1).to_owned())?;
            Ok(go_regex::named_groups(&regex, call.str(0))?.into())
        }))
    }),
    Function::prepared(
        "ExtractGrokPatterns",
        &[
            TEXT,
            new("pattern", Kind::String),
            new("named_captures_only", Kind::LiteralBool).or(Default::Bool(false)),
            new("pattern_definitions", Kind::ListOf(&Kind::LiteralString)).optional(),
        ],
        extract_grok,
    ),
    Function::prepared(
        "ParseSeverity",
        &[new("target", Kind::Any), new("mapping", Kind::Map)],
        parse_severity,
    ),
    Function::converter("URL", &[new("uri", Kind::String)], |call| Ok(url::parts(call.str(0))?.into())),
    Function::converter("UserAgent", &[new("user_agent", Kind::String)], |call| {
        Ok(user_agent::parse(call.str(0)).into())
    }),
];

fn texts(pairs: Vec<(String, String)>) -> Map<'static> {
    map_of(pairs.into_iter().map(|(key, value)| (key, Value::from(value))).collect())
}

fn parse_csv(literals: &Literals<'_>) -> Result<Prepared, String> {
    let message = |error: EvalError| error.to_string();
    let delimiter = csv::delimiter(literals.str(2).unwrap_or(",")).map_err(message)?;
    let header_delimiter = match literals.str(3) {
        Some(text) => csv::delimiter(text).map_err(message)?,
        None => delimiter,
    };
    let mode: Mode = literals.str(4).unwrap_or("strict").parse().map_err(message)?;
    Ok(Box::new(move |call| {
        Ok(texts(csv::parse(call.str(0), delimiter, call.str(1), header_delimiter, mode)?).into())
    }))
}

fn extract_grok(literals: &Literals<'_>) -> Result<Prepared, String> {
    let named_only = literals.bool(2).unwrap_or(false);
    let definitions: Vec<String> =
        literals.strs(3).unwrap_or_default().into_iter().map(str::to_owned).collect();
    let key = move |pattern: String| (pattern, named_only, definitions.clone());
    let grok = Made::new(literal(literals, 1).map(&key), |(pattern, named_only, definitions)| {
        let definitions: Vec<&str> = definitions.iter().map(String::as_str).collect();
        Grok::new(pattern, *named_only, &definitions)
    })?;
    Ok(Box::new(move |call: &Call<'_, '_>| {
        Ok(grok.get(|| key(call.str(1).to_owned()))?.captures(call.str(0))?.into())
    }))
}

fn parse_severity(literals: &Literals<'_>) -> Result<Prepared, String> {
    // A malformed mapping is an error of the evaluation, as in the original.
    let mapping = match literals.value(1) {
        Some(Value::Map(map)) => Some(Mapping::new(&map)),
        _ => None,
    };
    Ok(Box::new(move |call| {
        let made;
        let mapping = match &mapping {
            Some(mapping) => mapping.as_ref().map_err(Clone::clone)?,
            None => {
                made = Mapping::new(&call.map(1))?;
                &made
            }
        };
        Ok(mapping.level(&call.value(0))?.to_owned().into())
    }))
}
