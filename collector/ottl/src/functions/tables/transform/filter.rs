//! Functions of the filter processor: what the points of a metric have among their attributes.

use phoenix_pdata::wire::Fields;

use crate::function::{Function, Kind, Parameter};
use crate::{Context, Contexts, EvalError, Value};

const METRIC: Contexts = Contexts::of(&[Context::Metric]);
const KEY: Parameter = Parameter::new("key", Kind::LiteralString);

pub(super) const TABLE: &[Function] = &[
    Function::converter("HasAttrKeyOnDatapoint", &[KEY], |call| {
        Ok(first_with(&call.record(), call.str(0))?.is_some().into())
    })
    .only_in(METRIC),
    Function::converter(
        "HasAttrOnDatapoint",
        &[KEY, Parameter::new("expected_val", Kind::LiteralString)],
        |call| {
            let found = first_with(&call.record(), call.str(0))?;
            Ok(Value::Bool(found.is_some_and(|text| text == call.str(1).as_bytes())))
        },
    )
    .only_in(METRIC),
];

/// The attribute of a key on the first data point that has it, as text; other values than text are empty.
fn first_with(metric: &[u8], key: &str) -> Result<Option<Vec<u8>>, EvalError> {
    let mut is_known = false;
    for data in Fields::new(metric) {
        // Where points of a type keep their attributes.
        let attributes = match data.number() {
            5 | 7 | 11 => 7,
            9 => 9,
            10 => 1,
            _ => continue,
        };
        is_known = true;
        for point in Fields::new(data.body).filter(|field| field.is_len(1)) {
            for attribute in Fields::new(point.body).filter(|field| field.is_len(attributes)) {
                let part = |number| {
                    Fields::new(attribute.body)
                        .filter(|field| field.is_len(number))
                        .last()
                        .map(|field| field.body)
                };
                if part(1).unwrap_or_default() == key.as_bytes() {
                    let value = Fields::new(part(2).unwrap_or_default()).last();
                    let text = value.filter(|value| value.is_len(1)).map_or(&[][..], |value| value.body);
                    return Ok(Some(text.to_vec()));
                }
            }
        }
    }
    if is_known { Ok(None) } else { Err(EvalError::new("unknown metric type")) }
}
