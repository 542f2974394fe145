//! `+ - * /` over numbers, times and durations.

use crate::syntax::ast::Operator;
use crate::{EvalError, Time, Zone};

use super::Datum;

/// The result of an operation.
pub(crate) fn calculate<'a>(
    left: Datum<'a>,
    operator: Operator,
    right: Datum<'a>,
) -> Result<Datum<'a>, EvalError> {
    match (&left, &right) {
        (Datum::Int(left), Datum::Int(right)) => ints(*left, operator, *right).map(Datum::Int),
        (Datum::Double(left), Datum::Double(right)) => doubles(*left, operator, *right),
        (Datum::Int(left), Datum::Double(right)) => doubles(*left as f64, operator, *right),
        (Datum::Double(left), Datum::Int(right)) => doubles(*left, operator, *right as f64),
        (Datum::Duration(left), Datum::Duration(right)) => match operator {
            Operator::Add => Ok(Datum::Duration(left.wrapping_add(*right))),
            Operator::Sub => Ok(Datum::Duration(left.wrapping_sub(*right))),
            _ => Err(impossible(operator, "duration", "duration")),
        },
        _ => times(left, operator, right),
    }
}

fn impossible(operator: Operator, left: &str, right: &str) -> EvalError {
    let sign = match operator {
        Operator::Add => '+',
        Operator::Sub => '-',
        Operator::Mul => '*',
        Operator::Div => '/',
    };
    EvalError::new(format!("cannot calculate {left} {sign} {right}"))
}

fn ints(left: i64, operator: Operator, right: i64) -> Result<i64, EvalError> {
    Ok(match operator {
        Operator::Add => left.wrapping_add(right),
        Operator::Sub => left.wrapping_sub(right),
        Operator::Mul => left.wrapping_mul(right),
        Operator::Div if right == 0 => return Err("division by zero".into()),
        Operator::Div => left.wrapping_div(right),
    })
}

fn doubles<'a>(left: f64, operator: Operator, right: f64) -> Result<Datum<'a>, EvalError> {
    Ok(Datum::Double(match operator {
        Operator::Add => left + right,
        Operator::Sub => left - right,
        Operator::Mul => left * right,
        Operator::Div if right == 0.0 => return Err("division by zero".into()),
        Operator::Div => left / right,
    }))
}

fn times<'a>(left: Datum<'a>, operator: Operator, right: Datum<'a>) -> Result<Datum<'a>, EvalError> {
    match (left.unix_nanos(), operator, right.unix_nanos()) {
        (Some(left), Operator::Sub, Some(right)) => {
            // As Go: what is too long for a duration is the longest one.
            let nanos = (left - right).clamp(i64::MIN.into(), i64::MAX.into());
            return Ok(Datum::Duration(nanos as i64));
        }
        (Some(nanos), Operator::Add | Operator::Sub, None) => {
            if let Datum::Duration(duration) = right {
                let duration = i128::from(duration);
                let sum = if operator == Operator::Add { nanos + duration } else { nanos - duration };
                return Ok(at(sum, &left));
            }
        }
        (None, Operator::Add, Some(nanos)) => {
            if let Datum::Duration(duration) = left {
                return Ok(at(nanos + i128::from(duration), &right));
            }
        }
        _ => {}
    }
    Err(impossible(operator, left.type_name(), right.type_name()))
}

/// An instant in the zone of another.
fn at<'a>(unix_nanos: i128, zone_of: &Datum<'a>) -> Datum<'a> {
    let zone = match zone_of {
        Datum::Zoned(time) => time.zone.clone(),
        _ => Zone::Utc,
    };
    match (i64::try_from(unix_nanos), &zone) {
        (Ok(nanos), Zone::Utc) => Datum::Utc(nanos),
        _ => Datum::Zoned(Box::new(Time { unix_nanos, zone })),
    }
}

/// The number with the other sign.
pub(crate) fn negate<'a>(value: Datum<'a>) -> Result<Datum<'a>, EvalError> {
    match value {
        Datum::Int(value) => Ok(Datum::Int(value.wrapping_neg())),
        Datum::Double(value) => Ok(Datum::Double(-value)),
        other => Err(EvalError::new(format!("a {} has no sign", other.type_name()))),
    }
}
