//! Levels of severity by texts and ranges of numbers.

use crate::{EvalError, Map, Value};

/// Which level a text or a number has.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    levels: Vec<(String, Vec<Criterion>)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Criterion {
    Equals(Vec<String>),
    /// Both ends count.
    Range {
        least: i64,
        most: i64,
    },
}

impl Mapping {
    /// Reads a map of levels, each with a list of `{"equals": […]}`, `{"range": {"min": …, "max": …}}` or
    /// `{"range": "2xx"}`.
    ///
    /// # Errors
    ///
    /// Any other form; the message names the level.
    pub fn new(map: &Map<'_>) -> Result<Self, EvalError> {
        let mut levels = Vec::with_capacity(map.len());
        for (level, criteria) in map.iter() {
            let Value::List(criteria) = criteria else {
                return Err(EvalError::new(format!("the criteria of the level {level:?} are not a list")));
            };
            let criteria = criteria.iter().map(Criterion::of).collect::<Result<Vec<_>, _>>();
            let criteria = criteria.map_err(|problem| {
                EvalError::new(format!("invalid criterion of the level {level:?}: {problem}"))
            })?;
            levels.push((level.to_owned(), criteria.into_iter().flatten().collect()));
        }
        Ok(Self { levels })
    }

    /// The first level that fits: texts by equality, whole numbers by range.
    ///
    /// # Errors
    ///
    /// No level, and values that are neither text nor whole number.
    pub fn level(&self, value: &Value<'_>) -> Result<&str, EvalError> {
        let fits = |criterion: &Criterion| match (value, criterion) {
            (Value::String(text), Criterion::Equals(texts)) => texts.iter().any(|equal| equal == text),
            (Value::Int(number), Criterion::Range { least, most }) => (least..=most).contains(&number),
            _ => false,
        };
        if !matches!(value, Value::String(_) | Value::Int(_)) {
            return Err(EvalError::new(format!(
                "log level must be either string or int, but got {}",
                value.type_name()
            )));
        }
        let level = self.levels.iter().find(|(_, criteria)| criteria.iter().any(fits));
        level.map(|(level, _)| level.as_str()).ok_or_else(|| EvalError::new("no matching log level found"))
    }
}

impl Criterion {
    fn of(value: &Value<'_>) -> Result<Vec<Self>, String> {
        let Value::Map(map) = value else { return Err(format!("expected a map, got {}", value.type_name())) };
        map.iter()
            .map(|(key, value)| match (key, value) {
                ("equals", Value::List(texts)) => {
                    let text = |value: &Value<'_>| match value {
                        Value::String(text) => Ok(text.to_string()),
                        other => Err(format!("equals must hold strings, got {}", other.type_name())),
                    };
                    Ok(Self::Equals(texts.iter().map(text).collect::<Result<_, _>>()?))
                }
                ("equals", other) => Err(format!("equals must be a list, got {}", other.type_name())),
                ("range", Value::String(text)) => {
                    let class = match &**text {
                        "1xx" => 100,
                        "2xx" => 200,
                        "3xx" => 300,
                        "4xx" => 400,
                        "5xx" => 500,
                        other => return Err(format!("invalid range {other:?}, expected \"2xx\" to \"5xx\"")),
                    };
                    Ok(Self::Range { least: class, most: class + 99 })
                }
                ("range", Value::Map(range)) => {
                    let end = |name: &str| match range.get(name) {
                        Some(Value::Int(number)) => Ok(*number),
                        Some(other) => {
                            Err(format!("{name} of the range must be an int, got {}", other.type_name()))
                        }
                        None => Err(format!("the range has no {name}")),
                    };
                    Ok(Self::Range { least: end("min")?, most: end("max")? })
                }
                ("range", other) => {
                    Err(format!("range must be a map or a string, got {}", other.type_name()))
                }
                (other, _) => Err(format!("unknown criterion {other:?}, expected equals or range")),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::json;

    /// As the literal of a statement: JSON with whole numbers.
    fn mapping(text: &str) -> Result<Mapping, EvalError> {
        fn whole(value: Value<'static>) -> Value<'static> {
            match value {
                Value::Double(number) => Value::Int(number as i64),
                Value::List(values) => Value::List(values.into_iter().map(whole).collect()),
                Value::Map(map) => {
                    Value::Map(map.into_iter().map(|(key, value)| (key, whole(value))).collect())
                }
                other => other,
            }
        }
        match whole(json::parse(text)?) {
            Value::Map(map) => Mapping::new(&map),
            _ => panic!("a map"),
        }
    }

    #[test]
    fn finds_levels() {
        let mapping = mapping(
            r#"{"warn": [{"equals": ["warning", "w"]}], "error": [{"range": "5xx"}, {"equals": ["e"]}], "low": [{"range": {"min": -1, "max": 42}}]}"#,
        )
        .unwrap();
        let cases = [
            (Value::from("w"), "warn"),
            (Value::from("e"), "error"),
            (Value::Int(503), "error"),
            (Value::Int(599), "error"),
            (Value::Int(42), "low"),
            (Value::Int(-1), "low"),
        ];
        for (value, level) in cases {
            assert_eq!(mapping.level(&value).unwrap(), level);
        }
        for value in [Value::from("W"), Value::Int(43), Value::Int(600), Value::Double(503.0), Value::Nil] {
            assert!(mapping.level(&value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn refuses() {
        for text in [
            r#"{"a": 1}"#,
            r#"{"a": [1]}"#,
            r#"{"a": [{"equals": "x"}]}"#,
            r#"{"a": [{"equals": [1]}]}"#,
            r#"{"a": [{"range": "9xx"}]}"#,
            r#"{"a": [{"range": {"min": 1}}]}"#,
            r#"{"a": [{"range": {"min": "1", "max": 2}}]}"#,
            r#"{"a": [{"like": []}]}"#,
            r#"{"a": [{"range": 5}]}"#,
        ] {
            assert!(mapping(text).unwrap_err().message().contains("\"a\""), "{text}");
        }
    }
}
