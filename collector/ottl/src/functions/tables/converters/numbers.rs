//! Numbers.

use super::{TEXT, new};
use crate::EvalError;
use crate::function::{Function, Kind};
use crate::functions::number::parse_int;

pub(super) const TABLE: &[Function] = &[
    Function::converter("ParseInt", &[TEXT, new("base", Kind::Int)], |call| {
        Ok(parse_int(call.str(0), call.int(1))?.into())
    }),
    Function::converter("Log", &[new("target", Kind::DoubleLike)], |call| {
        let number = call.opt_double(0).ok_or("expected a number, got nil")?;
        if number <= 0.0 {
            return Err(EvalError::new(format!("a logarithm needs a number above zero, got {number}")));
        }
        Ok(number.ln().into())
    }),
];
