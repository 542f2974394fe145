//! Functions of log records.

use crate::function::{Default, Function, Kind, Parameter};
use crate::functions::clf::{self, Format};
use crate::functions::leef;
use crate::{Context, Contexts, EvalError};

const LOG: Contexts = Contexts::of(&[Context::Log]);
const TEXT: Parameter = Parameter::new("target", Kind::String);

pub(super) const TABLE: &[Function] = &[
    Function::prepared(
        "ParseCLF",
        &[TEXT, Parameter::new("format", Kind::LiteralString).or(Default::String("clf"))],
        |literals| {
            let format = literals.str(1).unwrap_or("clf").parse::<Format>();
            let format = format.map_err(|error: EvalError| error.to_string())?;
            Ok(Box::new(move |call| Ok(clf::parse(call.str(0), format)?.into())))
        },
    )
    .only_in(LOG),
    Function::converter("ParseLEEF", &[TEXT], |call| Ok(leef::parse(call.str(0))?.into())).only_in(LOG),
];
