use phoenix_config::{Described, Shape};
use phoenix_pdata::view::AnyValue;
use phoenix_pdata::write::{put_bytes, put_message, put_value_body};
use serde::Deserialize;

/// A value of an attribute as it is written in a configuration: text, a number, a boolean, a list or a map.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Literal(serde_json::Value);

impl Described for Literal {
    fn shape() -> Shape {
        Shape::Any
    }

    fn written(&self) -> Option<serde_json::Value> {
        self.is_given().then(|| self.0.clone())
    }
}

impl Literal {
    /// Whether there is one; `null` is none.
    pub fn is_given(&self) -> bool {
        !self.0.is_null()
    }

    /// The text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        self.0.as_str()
    }

    /// The value as the body of a protobuf `AnyValue`.
    pub fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, &self.0);
        out
    }
}

fn put(out: &mut Vec<u8>, value: &serde_json::Value) {
    match value {
        serde_json::Value::Null => {}
        serde_json::Value::Bool(value) => put_value_body(out, &(*value).into()),
        serde_json::Value::String(text) => put_value_body(out, &text.as_str().into()),
        serde_json::Value::Number(number) => {
            let whole = number.as_i64().or(number.as_u64().map(|value| value as i64));
            let value = match whole {
                Some(value) => AnyValue::Int(value),
                None => AnyValue::Double(number.as_f64().unwrap_or_default()),
            };
            put_value_body(out, &value);
        }
        serde_json::Value::Array(values) => put_message(out, 5, |out| {
            values.iter().for_each(|value| put_message(out, 1, |out| put(out, value)));
        }),
        serde_json::Value::Object(entries) => put_message(out, 6, |out| {
            for (key, value) in entries {
                put_message(out, 1, |out| {
                    put_bytes(out, 1, key.as_bytes());
                    put_message(out, 2, |out| put(out, value));
                });
            }
        }),
    }
}

impl From<serde_json::Value> for Literal {
    fn from(value: serde_json::Value) -> Literal {
        Literal(value)
    }
}
