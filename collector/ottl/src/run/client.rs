//! `otelcol.*`: what is known of the sender.

use crate::path::ClientField;
use crate::{EvalError, Map, Value};

use super::{Datum, State, index_result};

pub(super) fn get<'a>(
    state: &State<'a>,
    field: ClientField,
    keys: &[Datum<'a>],
) -> Result<Datum<'a>, EvalError> {
    let client = state.env.client;
    if field == ClientField::Address {
        return Ok(Datum::from_value(client.address().into(), state.arena));
    }
    let one = |key: &str| match field {
        ClientField::Metadata => client.metadata(key).map(list),
        _ => client.auth_attribute(key).map(Value::from),
    };
    let Some((key, rest)) = keys.split_first() else {
        let names = match field {
            ClientField::Metadata => client.metadata_keys(),
            _ => client.auth_attributes(),
        };
        let all: Map<'_> = names.iter().filter_map(|name| Some((name.clone(), one(name)?))).collect();
        return Ok(Datum::from_value(all.into(), state.arena));
    };
    let Datum::Text(name) = key else {
        return Err(EvalError::new(format!(
            "the sender's data is indexed by string, not by {}",
            key.type_name()
        )));
    };
    match one(&state.text(name).to_ascii_lowercase()).or_else(|| one(state.text(name))) {
        None => Ok(Datum::Nil),
        Some(found) => index_result(Datum::from_value(found, state.arena), rest, state.arena),
    }
}

fn list(values: Vec<String>) -> Value<'static> {
    Value::List(values.into_iter().map(Value::from).collect())
}
