//! Paths read and set.

mod get;
mod set;

use smallvec::SmallVec;

use crate::path::Target;
use crate::plan::Path;
use crate::{EvalError, trace_state};

use super::entries::Entries;
use super::index::{index_stored, list_value, map_value, set_stored};
use super::{Arena, Datum, State, client, plain_text};

pub(crate) use get::get_field;
use set::set_field;

pub(crate) type Keys<'a> = SmallVec<[Datum<'a>; 2]>;

/// The value at a path.
pub(crate) fn get<'a>(state: &mut State<'a>, path: &'a Path) -> Result<Datum<'a>, EvalError> {
    let keys = keys(state, path)?;
    let arena = state.arena;
    match path.target {
        Target::Attributes => match keys.split_first() {
            None => {
                let body = state.at(path.depth).attributes().encode(arena);
                Ok(Datum::Map(body))
            }
            Some((key, rest)) => match state.at(path.depth).attribute(map_key(key)?) {
                Some(value) => index_stored(value, rest),
                None => Ok(Datum::Nil),
            },
        },
        Target::Cache => match keys.split_first() {
            None => Ok(Datum::Map(state.cache.encode(arena))),
            Some((key, rest)) => match state.cache.get(map_key(key)?) {
                Some(value) => index_stored(value, rest),
                None => Ok(Datum::Nil),
            },
        },
        Target::Body => {
            let body = state.at(path.depth).bytes(5);
            check_body(body, &keys)?;
            index_stored(body, &keys)
        }
        Target::BodyText => {
            let body = state.at(path.depth).bytes(5);
            plain_text(&Datum::read(body), arena).map(Datum::Text)
        }
        Target::TraceState => {
            let text = state.at(path.depth).bytes(3);
            match keys.first() {
                None => Ok(Datum::Text(text)),
                Some(key) => Ok(trace_state::get(text, map_key(key)?).map_or(Datum::Nil, Datum::Text)),
            }
        }
        Target::Client(field) => client::get(state, field, &keys),
        Target::Field(field) => Ok(get_field(state, path.depth, field)),
    }
}

/// Evaluates the keys of a path.
fn keys<'a>(state: &mut State<'a>, path: &'a Path) -> Result<Keys<'a>, EvalError> {
    path.keys
        .iter()
        .map(|key| match key.evaluate(state)? {
            key @ (Datum::Text(_) | Datum::Int(_)) => Ok(key),
            other => {
                Err(EvalError::new(format!("a key must be a string or an int, not {}", other.type_name())))
            }
        })
        .collect()
}

fn map_key<'a>(key: &Datum<'a>) -> Result<&'a [u8], EvalError> {
    match key {
        Datum::Text(name) => Ok(name),
        other => Err(EvalError::new(format!("a map is indexed by string, not by {}", other.type_name()))),
    }
}

fn check_body(body: &[u8], keys: &[Datum<'_>]) -> Result<(), EvalError> {
    let value = Datum::read(body);
    match (keys.is_empty(), &value) {
        (true, _) | (_, Datum::Map(_) | Datum::List(_)) => Ok(()),
        _ => Err(EvalError::new(format!("log bodies of type {} cannot be indexed", value.type_name()))),
    }
}

fn mismatch(expected: &str, value: &Datum<'_>) -> EvalError {
    EvalError::new(format!("expects {expected} but got {}", value.type_name()))
}

/// Sets the value at a path.
pub(crate) fn set<'a>(state: &mut State<'a>, path: &'a Path, value: Datum<'a>) -> Result<(), EvalError> {
    let keys = keys(state, path)?;
    let arena = state.arena;
    match path.target {
        Target::Attributes => {
            let message = state.at(path.depth);
            match keys.split_first() {
                None => {
                    let entries = Entries::of_map(map_body(&value, arena)?);
                    message.take_attributes();
                    message.put_attributes(entries, true);
                    Ok(())
                }
                Some((key, rest)) => {
                    let key = map_key(key)?;
                    let value = encode(&value, rest.len(), arena)?;
                    let value = match rest {
                        [] => value,
                        rest => set_stored(message.attribute(key), rest, value, arena)?,
                    };
                    message.set_attribute(key, value);
                    Ok(())
                }
            }
        }
        Target::Cache => {
            match keys.split_first() {
                None => state.cache = Entries::of_map(map_body(&value, arena)?),
                Some((key, rest)) => {
                    let key = map_key(key)?;
                    let value = encode(&value, rest.len(), arena)?;
                    let value = set_stored(state.cache.get(key), rest, value, arena)?;
                    state.cache.set(key, value);
                }
            }
            Ok(())
        }
        Target::Body => {
            let message = state.at(path.depth);
            let body = message.bytes(5);
            check_body(body, &keys)?;
            let value = encode(&value, keys.len(), arena)?;
            let value = set_stored(Some(body), &keys, value, arena)?;
            message.set_bytes(5, value);
            Ok(())
        }
        Target::BodyText => {
            let Datum::Text(_) = value else { return Err(mismatch("string", &value)) };
            let value = value.encode(arena)?;
            state.at(path.depth).set_bytes(5, value);
            Ok(())
        }
        Target::TraceState => {
            let Datum::Text(text) = value else { return Err(mismatch("string", &value)) };
            let message = state.at(path.depth);
            match keys.first() {
                None => message.set_bytes(3, text),
                Some(key) => {
                    if let Some(changed) = trace_state::set(message.bytes(3), map_key(key)?, text) {
                        message.set_bytes(3, arena.copy(&changed));
                    }
                }
            }
            Ok(())
        }
        Target::Client(_) => Err("otelcol paths cannot be set".into()),
        Target::Field(field) => set_field(state.at(path.depth), field, value, arena),
    }
}

/// How many messages a value may nest, so that the request stays readable for everybody.
const MAX_VALUE_DEPTH: usize = 84;

/// The body of a value, if it is not nested too deep for a place below so many keys.
pub(crate) fn encode<'a>(value: &Datum<'a>, keys: usize, arena: &'a Arena) -> Result<&'a [u8], EvalError> {
    let body = value.encode(arena)?;
    if matches!(value, Datum::Map(_) | Datum::List(_) | Datum::Decoded(_))
        && !is_shallow(body, MAX_VALUE_DEPTH.saturating_sub(3 * keys))
    {
        return Err("the value is nested too deep".into());
    }
    Ok(body)
}

/// Whether the body of a value nests at most so many messages.
fn is_shallow(body: &[u8], levels: usize) -> bool {
    match Datum::read(body) {
        Datum::Map(map) => levels >= 3 && super::entries(map).all(|(_, value)| is_shallow(value, levels - 3)),
        Datum::List(list) => levels >= 2 && super::items(list).all(|item| is_shallow(item, levels - 2)),
        _ => true,
    }
}

fn map_body<'a>(value: &Datum<'a>, arena: &'a Arena) -> Result<&'a [u8], EvalError> {
    match Datum::read(encode(value, 0, arena)?) {
        Datum::Map(body) => Ok(body),
        other => Err(mismatch("map", &other)),
    }
}

/// Changes the map at a path; `change` tells whether it did.
pub(crate) fn with_map<'a>(
    state: &mut State<'a>,
    path: &'a Path,
    change: impl FnOnce(&mut Entries<'a>, &State<'a>) -> Result<bool, EvalError>,
) -> Result<(), EvalError> {
    if path.keys.is_empty() && path.target == Target::Attributes {
        let mut entries = state.at(path.depth).take_attributes();
        let changed = change(&mut entries, state);
        state.at(path.depth).put_attributes(entries, !matches!(changed, Ok(false)));
        return changed.map(|_| ());
    }
    if path.keys.is_empty() && path.target == Target::Cache {
        let mut entries = std::mem::take(&mut state.cache);
        let changed = change(&mut entries, state);
        state.cache = entries;
        return changed.map(|_| ());
    }
    let mut entries = match get(state, path)? {
        Datum::Map(body) => Entries::of_map(body),
        other => return Err(mismatch("map", &other)),
    };
    if change(&mut entries, state)? {
        let value = map_value(&entries, state.arena)?;
        set(state, path, Datum::read(value))?;
    }
    Ok(())
}

/// Changes the list at a path: its items are the bodies of values. `change` tells whether it did.
pub(crate) fn with_list<'a>(
    state: &mut State<'a>,
    path: &'a Path,
    change: impl FnOnce(&mut Vec<&'a [u8]>) -> Result<bool, EvalError>,
) -> Result<(), EvalError> {
    let mut list: Vec<&'a [u8]> = match get(state, path)? {
        Datum::List(body) => super::items(body).collect(),
        other => return Err(mismatch("list", &other)),
    };
    if change(&mut list)? {
        let value = list_value(list.into_iter(), state.arena)?;
        set(state, path, Datum::read(value))?;
    }
    Ok(())
}
