//! Keys into values: `["k"]`, `[2]`.

use phoenix_pdata::view::Text;
use phoenix_pdata::write::{put_bytes, put_message};

use crate::{EvalError, Value};

use super::datum::{entries, items};
use super::{Arena, Datum, Entries};

/// How many keys one path may have; also bounds how deep values are made.
pub(crate) const MAX_KEYS: usize = 32;

/// The most elements that setting an index may make a list of.
const MAX_PADDING: i64 = 10_000;

fn not_a_key(key: &Datum<'_>, of: &str) -> EvalError {
    let expected = if of == "map" { "string" } else { "int" };
    EvalError::new(format!("a {of} is indexed by {expected}, not by {}", key.type_name()))
}

fn out_of_bounds(index: i64) -> EvalError {
    EvalError::new(format!("index {index} out of bounds"))
}

fn element(list: &[u8], index: i64) -> Result<&[u8], EvalError> {
    usize::try_from(index).ok().and_then(|at| items(list).nth(at)).ok_or_else(|| out_of_bounds(index))
}

/// Reads on from a value that a record holds: a key that a map lacks gives `nil`.
pub(crate) fn index_stored<'a>(body: &'a [u8], keys: &[Datum<'a>]) -> Result<Datum<'a>, EvalError> {
    let mut body = body;
    for key in keys {
        body = match (Datum::read(body), key) {
            (Datum::Map(map), Datum::Text(name)) => match entries(map).find(|(found, _)| found == name) {
                Some((_, value)) => value,
                None => return Ok(Datum::Nil),
            },
            (Datum::List(list), Datum::Int(index)) => element(list, *index)?,
            (Datum::Map(_), key) => return Err(not_a_key(key, "map")),
            (Datum::List(_), key) => return Err(not_a_key(key, "list")),
            (other, _) => {
                return Err(EvalError::new(format!("a {} cannot be indexed", other.type_name())));
            }
        };
    }
    Ok(Datum::read(body))
}

/// Reads on from what a converter gave: a key that a map lacks is an error.
pub(crate) fn index_result<'a>(
    value: Datum<'a>,
    keys: &[Datum<'a>],
    arena: &'a Arena,
) -> Result<Datum<'a>, EvalError> {
    let mut value = value;
    for key in keys {
        value = match (value, key) {
            (Datum::Map(map), Datum::Text(name)) => entries(map)
                .find(|(found, _)| found == name)
                .map(|(_, value)| Datum::read(value))
                .ok_or_else(|| EvalError::new("key not found in map"))?,
            (Datum::List(list), Datum::Int(index)) => Datum::read(element(list, *index)?),
            (Datum::Decoded(value), key) => decoded_element(*value, key, arena)?,
            (Datum::Map(_), key) => return Err(not_a_key(key, "map")),
            (Datum::List(_), key) => return Err(not_a_key(key, "list")),
            (other, _) => {
                return Err(EvalError::new(format!("a {} cannot be indexed", other.type_name())));
            }
        };
    }
    Ok(value)
}

fn decoded_element<'a>(value: Value<'a>, key: &Datum<'a>, arena: &'a Arena) -> Result<Datum<'a>, EvalError> {
    let found = match (value, key) {
        (Value::Map(map), Datum::Text(name)) => map
            .get(&String::from_utf8_lossy(name))
            .cloned()
            .ok_or_else(|| EvalError::new("key not found in map"))?,
        (Value::List(values), Datum::Int(index)) => usize::try_from(*index)
            .ok()
            .and_then(|at| values.into_iter().nth(at))
            .ok_or_else(|| out_of_bounds(*index))?,
        (value, key) => return Err(not_a_key(key, value.type_name())),
    };
    Ok(Datum::from_value(found, arena))
}

/// Sets a value within another, and gives the body of the whole. What is on the way is made if it is not
/// there: `body` is `None` for a slot that does not exist.
pub(crate) fn set_stored<'a>(
    body: Option<&'a [u8]>,
    keys: &[Datum<'a>],
    value: &'a [u8],
    arena: &'a Arena,
) -> Result<&'a [u8], EvalError> {
    let Some((key, rest)) = keys.split_first() else { return Ok(value) };
    match (body.map_or(Datum::Nil, Datum::read), key) {
        (Datum::Map(map), Datum::Text(name)) => {
            let mut entries = Entries::of_map(map);
            let inner = set_stored(entries.get(name), rest, value, arena)?;
            entries.set(name, inner);
            map_value(&entries, arena)
        }
        (Datum::Nil, Datum::Text(name)) => {
            let mut entries = Entries::default();
            entries.push(name, set_stored(None, rest, value, arena)?);
            map_value(&entries, arena)
        }
        (Datum::List(list), Datum::Int(index)) => {
            let inner = set_stored(Some(element(list, *index)?), rest, value, arena)?;
            let at = *index as usize;
            list_value(
                items(list).enumerate().map(|(place, item)| if place == at { inner } else { item }),
                arena,
            )
        }
        (Datum::Nil, Datum::Int(index)) if (0..MAX_PADDING).contains(index) => {
            let inner = set_stored(None, rest, value, arena)?;
            let padding = std::iter::repeat_n(&[][..], *index as usize);
            list_value(padding.chain(std::iter::once(inner)), arena)
        }
        (Datum::Nil, Datum::Int(index)) => Err(out_of_bounds(*index)),
        (Datum::Map(_) | Datum::Nil, key) => Err(not_a_key(key, "map")),
        (Datum::List(_), key) => Err(not_a_key(key, "list")),
        (other, _) => Err(EvalError::new(format!("a {} cannot be indexed", other.type_name()))),
    }
}

/// The body of a value that is a map of these entries.
pub(crate) fn map_value<'a>(entries: &Entries<'_>, arena: &'a Arena) -> Result<&'a [u8], EvalError> {
    arena.write(|out| {
        put_message(out, 6, |out| entries.write(1, &[], out));
        Ok(())
    })
}

/// The body of a value that is a list of these items.
pub(crate) fn list_value<'a, 'i>(
    items: impl Iterator<Item = &'i [u8]>,
    arena: &'a Arena,
) -> Result<&'a [u8], EvalError> {
    arena.write(|out| {
        put_message(out, 5, |out| items.for_each(|item| put_bytes(out, 1, item)));
        Ok(())
    })
}

/// A list of values; of one that holds what no attribute can, the values themselves.
pub(crate) fn list_of<'a>(items: Vec<Datum<'a>>, arena: &'a Arena) -> Datum<'a> {
    let written = arena.write(|out| {
        let mut result = Ok(());
        put_message(out, 5, |out| {
            result = items.iter().try_for_each(|item| put_datum(out, 1, item));
        });
        result
    });
    match written {
        Ok(body) => Datum::read(body),
        Err(_) => Datum::Decoded(Box::new(Value::List(items.into_iter().map(Datum::into_value).collect()))),
    }
}

/// A map of values with unique keys; of one that holds what no attribute can, the values themselves.
pub(crate) fn map_of<'a>(entries: Vec<(&'a [u8], Datum<'a>)>, arena: &'a Arena) -> Datum<'a> {
    let written = arena.write(|out| {
        let mut result = Ok(());
        put_message(out, 6, |out| {
            for (key, value) in &entries {
                put_message(out, 1, |out| {
                    put_bytes(out, 1, key);
                    if result.is_ok() {
                        result = put_datum(out, 2, value);
                    }
                });
            }
        });
        result
    });
    match written {
        Ok(body) => Datum::read(body),
        Err(_) => {
            let name = |key| Text::new(key).to_string_lossy();
            let entries = entries.into_iter().map(|(key, value)| (name(key), value.into_value()));
            Datum::Decoded(Box::new(Value::Map(entries.collect())))
        }
    }
}

fn put_datum(out: &mut Vec<u8>, number: u32, datum: &Datum<'_>) -> Result<(), EvalError> {
    let mut result = Ok(());
    put_message(out, number, |out| result = datum.write(out));
    result
}
