//! `append` and `delete_index`.

use crate::EvalError;
use crate::plan::{ArgumentNode, Path};
use crate::run::{self, Argument, Datum, State};

/// The most elements that statements make a list of.
const MAX_ELEMENTS: usize = 1 << 20;

pub(super) fn append<'a>(
    target: &'a Path,
    value: &'a ArgumentNode,
    values: &'a ArgumentNode,
    state: &mut State<'a>,
) -> Result<(), EvalError> {
    let mut list: Vec<&'a [u8]> = match target.get(state)? {
        Datum::Nil => Vec::new(),
        Datum::List(body) => run::items(body).collect(),
        scalar @ (Datum::Text(_) | Datum::Bool(_) | Datum::Int(_) | Datum::Double(_) | Datum::Bytes(_)) => {
            vec![scalar.encode(state.arena)?]
        }
        other => return Err(EvalError::new(format!("cannot append to a {}", other.type_name()))),
    };
    for argument in [value, values] {
        match argument.evaluate(state)? {
            Argument::Absent => {}
            Argument::One(datum) => list.push(element(datum, state)?),
            Argument::Many(data) => {
                for datum in data {
                    list.push(element(datum, state)?);
                }
            }
        }
    }
    if list.len() > MAX_ELEMENTS {
        return Err("the list would have more than a million elements".into());
    }
    let body = run::list_value(list.into_iter(), state.arena)?;
    run::set(state, target, Datum::read(body))
}

fn element<'a>(datum: Datum<'a>, state: &State<'a>) -> Result<&'a [u8], EvalError> {
    match datum {
        Datum::Map(_) | Datum::List(_) | Datum::Decoded(_) => {
            Err(EvalError::new(format!("a {} cannot be appended", datum.type_name())))
        }
        scalar => scalar.encode(state.arena),
    }
}

pub(super) fn delete_index<'a>(
    target: &'a Path,
    start: &'a ArgumentNode,
    end: &'a ArgumentNode,
    state: &mut State<'a>,
) -> Result<(), EvalError> {
    let Datum::Int(start) = start.value(state)? else {
        return Err("the start must be an int".into());
    };
    let end = match end.evaluate(state)? {
        Argument::One(Datum::Int(end)) => end,
        _ => start.saturating_add(1),
    };
    run::with_list(state, target, |list| {
        let len = list.len() as i64;
        if start < 0 || start >= len {
            return Err(EvalError::new(format!("start index {start} is not within the list of {len}")));
        }
        if end < start || end > len {
            return Err(EvalError::new(format!("end index {end} is not between {start} and {len}")));
        }
        list.drain(start as usize..end as usize);
        Ok(end > start)
    })
}
