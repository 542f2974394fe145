//! Events in the Log Event Extended Format of security appliances.

use super::json::map_of;
use crate::{EvalError, Map, Value};

/// Reads an event, which begins at the first `LEEF:`. Attributes are separated by tabs, or in version 2.0
/// by what its fifth field says: a text, or a byte as `0x5e`. Attributes without a name or `=` are passed
/// over.
///
/// # Errors
///
/// An empty text, other versions than 1.0 and 2.0, missing fields and malformed delimiters.
pub fn parse(text: &str) -> Result<Map<'static>, EvalError> {
    let invalid = |problem: &str| EvalError::new(format!("invalid LEEF message: {problem}"));
    if text.is_empty() {
        return Err(EvalError::new("cannot parse an empty LEEF message"));
    }
    let (_, message) = text.split_once("LEEF:").ok_or_else(|| invalid("'LEEF:' not found"))?;
    let (version, fields) = message.split_once('|').ok_or_else(|| invalid("the header has no |"))?;
    let has_delimiter = match version {
        "1.0" => false,
        "2.0" => true,
        other => return Err(invalid(&format!("unsupported version {other:?}"))),
    };
    let mut fields = fields.splitn(5 + usize::from(has_delimiter), '|');
    let mut field = |name: &str| fields.next().ok_or_else(|| invalid(&format!("the header has no {name}")));
    let mut map = Map::new();
    map.push("leef.version", version.to_owned());
    map.push("leef.vendor", field("vendor")?.to_owned());
    map.push("leef.product.name", field("product name")?.to_owned());
    map.push("leef.product.version", field("product version")?.to_owned());
    map.push("leef.event.id", field("event ID")?.to_owned());
    let delimiter = if has_delimiter { delimiter(field("delimiter")?)? } else { "\t".into() };
    let attributes = fields.next().unwrap_or_default().split(delimiter.as_str()).filter_map(|attribute| {
        let (key, value) = attribute.trim().split_once('=').filter(|(key, _)| !key.is_empty())?;
        Some((key.to_owned(), Value::from(value.to_owned())))
    });
    map.push("leef.attributes", map_of(attributes.collect()));
    Ok(map)
}

fn delimiter(text: &str) -> Result<String, EvalError> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if digits.len() == 2 => match u8::from_str_radix(digits, 16) {
            Ok(code) if !digits.starts_with('+') => Ok(char::from(code).into()),
            _ => Err(EvalError::new(format!("invalid LEEF delimiter {text:?}"))),
        },
        Some(_) => {
            Err(EvalError::new(format!("invalid LEEF delimiter {text:?}, expected two hexadecimal digits")))
        }
        None if text.is_empty() => Ok("\t".into()),
        None => Ok(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(text: &str) -> Vec<(String, String)> {
        let map = parse(text).unwrap();
        let Some(Value::Map(attributes)) = map.get("leef.attributes") else { panic!("attributes") };
        attributes
            .iter()
            .map(|(key, value)| match value {
                Value::String(value) => (key.to_owned(), value.to_string()),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn reads() {
        let map = parse("LEEF:2.0|V|P|1|id7|^|src=1.2.3.4^sev=5").unwrap();
        let header: Vec<_> =
            ["leef.version", "leef.vendor", "leef.product.name", "leef.product.version", "leef.event.id"]
                .map(|key| map.get(key).unwrap().clone())
                .into();
        assert_eq!(header, ["2.0", "V", "P", "1", "id7"].map(Value::from));
        let pairs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(
            attributes("LEEF:2.0|V|P|1|id7|^|src=1.2.3.4^sev=5"),
            pairs(&[("src", "1.2.3.4"), ("sev", "5")])
        );
        assert_eq!(
            attributes("<13>Jan 1 h LEEF:1.0|V|P|1|id|a=b=c\tx\t=y\t z=1 "),
            pairs(&[("a", "b=c"), ("z", "1")])
        );
        assert_eq!(attributes("LEEF:2.0|V|P|1|id|0x7C|a=1|b=2"), pairs(&[("a", "1"), ("b", "2")]));
        assert_eq!(attributes("LEEF:2.0|V|P|1|id||a=1\tb=2"), pairs(&[("a", "1"), ("b", "2")]));
        assert_eq!(attributes("LEEF:1.0|V|P|1|id"), pairs(&[]));
    }

    #[test]
    fn refuses() {
        for text in [
            "",
            "CEF:0|x",
            "LEEF:1.0",
            "LEEF:3.0|V|P|1|id|",
            "LEEF:1.0|V|P|1",
            "LEEF:2.0|V|P|1|id",
            "LEEF:2.0|V|P|1|id|0x|",
            "LEEF:2.0|V|P|1|id|0xzz|a=1",
            "LEEF:2.0|V|P|1|id|0x123|",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
