//! What actions do to values, as Go does it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use phoenix_ottl::functions::number;
use phoenix_pdata::view::{AnyValue, Text};
use sha2::{Digest as _, Sha256};

use crate::actions::Target;

/// A digest in hexadecimal digits, or nothing.
#[derive(Clone, Copy)]
pub(crate) struct Digits {
    digits: [u8; 64],
    len: usize,
}

impl Digits {
    pub(crate) fn text(&self) -> Text<'_> {
        Text::new(&self.digits[..self.len])
    }
}

/// The SHA-256 of a value: of text its bytes, of a boolean one byte, of numbers eight, little endian; values
/// of other types have none.
pub(crate) fn sha256(value: &AnyValue<'_>) -> Digits {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let number: [u8; 8];
    let bytes: &[u8] = match value {
        AnyValue::String(text) => text.as_bytes(),
        AnyValue::Bool(false) => &[0],
        AnyValue::Bool(true) => &[1],
        AnyValue::Int(value) => {
            number = value.to_le_bytes();
            &number
        }
        AnyValue::Double(value) => {
            number = value.to_bits().to_le_bytes();
            &number
        }
        _ => return Digits { digits: [0; 64], len: 0 },
    };
    let mut digits = [0; 64];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(Sha256::digest(bytes)) {
        pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    Digits { digits, len: 64 }
}

/// What became of a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Converted {
    /// It has the type already.
    Same,
    Int(i64),
    Double(f64),
    Text(Vec<u8>),
    /// It stays as it is.
    Impossible,
}

pub(crate) fn convert(value: &AnyValue<'_>, to: Target) -> Converted {
    match (to, value) {
        (Target::String, AnyValue::String(_))
        | (Target::Int, AnyValue::Int(_))
        | (Target::Double, AnyValue::Double(_)) => Converted::Same,
        (Target::String, value) => Converted::Text(as_text(value).into_owned()),
        (Target::Int, AnyValue::Double(value)) => Converted::Int(number::truncate_float(*value)),
        (Target::Int, AnyValue::Bool(value)) => Converted::Int(i64::from(*value)),
        (Target::Int, AnyValue::String(text)) => text
            .to_str()
            .and_then(|text| number::parse_int(text, 10).ok())
            .map_or(Converted::Impossible, Converted::Int),
        (Target::Double, AnyValue::Int(value)) => Converted::Double(*value as f64),
        (Target::Double, AnyValue::Bool(value)) => Converted::Double(f64::from(u8::from(*value))),
        (Target::Double, AnyValue::String(text)) => text
            .to_str()
            .and_then(|text| number::parse_float(text).ok())
            .map_or(Converted::Impossible, Converted::Double),
        _ => Converted::Impossible,
    }
}

/// A value as text, as Go's `AsString` has it: text as it is, numbers in digits, bytes in base64, lists and maps as
/// JSON, nothing for no value.
pub fn as_text<'a>(value: &AnyValue<'a>) -> Cow<'a, [u8]> {
    match value {
        AnyValue::String(text) => Cow::Borrowed(text.as_bytes()),
        AnyValue::Empty | AnyValue::StringIndex(_) => Cow::Borrowed(&[]),
        AnyValue::Bool(value) => Cow::Borrowed(if *value { b"true" } else { b"false" }),
        AnyValue::Int(value) => Cow::Owned(value.to_string().into_bytes()),
        AnyValue::Bytes(bytes) => Cow::Owned(base64(bytes).into_bytes()),
        AnyValue::Double(_) | AnyValue::Array(_) | AnyValue::Map(_) => {
            let mut out = Vec::new();
            put_json(&mut out, value);
            Cow::Owned(out)
        }
    }
}

fn put_json(out: &mut Vec<u8>, value: &AnyValue<'_>) {
    match value {
        AnyValue::Array(values) => {
            out.push(b'[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                put_json(out, &value);
            }
            out.push(b']');
        }
        AnyValue::Map(entries) => {
            // Of several with one key the last counts, as in Go's map.
            let entries: BTreeMap<&[u8], AnyValue<'_>> =
                entries.iter().map(|entry| (entry.key().as_bytes(), entry.value())).collect();
            out.push(b'{');
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                put_json_text(out, Text::new(key));
                out.push(b':');
                put_json(out, value);
            }
            out.push(b'}');
        }
        AnyValue::String(text) => put_json_text(out, *text),
        // Go writes no bytes as it writes no value.
        AnyValue::Bytes([]) => out.extend_from_slice(b"null"),
        AnyValue::Bytes(bytes) => {
            out.push(b'"');
            out.extend_from_slice(base64(bytes).as_bytes());
            out.push(b'"');
        }
        AnyValue::Empty | AnyValue::StringIndex(_) => out.extend_from_slice(b"null"),
        AnyValue::Double(value) => out.extend_from_slice(double(*value).as_bytes()),
        AnyValue::Bool(_) | AnyValue::Int(_) => out.extend_from_slice(&as_text(value)),
    }
}

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn put_json_text(out: &mut Vec<u8>, text: Text<'_>) {
    let quoted = serde_json::Value::String(text.to_string_lossy().into_owned()).to_string();
    out.extend_from_slice(quoted.as_bytes());
}

/// A floating-point number with the fewest digits that give it back, with an exponent where it is very small or large.
fn double(value: f64) -> String {
    let magnitude = value.abs();
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity".into() } else { "-Infinity".into() }
    } else if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        value.to_string()
    } else {
        let text = format!("{value:e}");
        if magnitude >= 1.0 { text.replace('e', "e+") } else { text }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use phoenix_pdata::view::View as _;
    use serde_json::json;

    use super::*;
    use crate::Literal;

    #[test]
    fn values_are_text_as_go_writes_them() {
        let cases = [
            (json!("a\"b"), "a\"b"),
            (json!(true), "true"),
            (json!(-7), "-7"),
            (json!(0.5), "0.5"),
            (json!(3.0), "3"),
            (json!(1e21), "1e+21"),
            (json!(1.5e-7), "1.5e-7"),
            (json!(null), ""),
            (json!({"b": [1, 2.0, null, "<x>\n"], "a": {}}), r#"{"a":{},"b":[1,2,null,"<x>\n"]}"#),
        ];
        for (value, text) in cases {
            let encoded = Bytes::from(Literal::from(value).encoded());
            assert_eq!(as_text(&AnyValue::new(&encoded)), text.as_bytes(), "{text}");
        }
        assert_eq!(as_text(&AnyValue::Bytes(&[1, 2, 3])), b"AQID".as_slice());
        assert_eq!(as_text(&AnyValue::Double(f64::NAN)), b"NaN".as_slice());
    }

    #[test]
    fn hashes_are_otelcol_s() {
        let digits = |value: AnyValue<'_>| sha256(&value).text().to_string();
        assert_eq!(digits("text".into()), "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1");
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digits("".into()), nothing);
        assert_eq!(digits(true.into()), "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a");
        assert_eq!(digits(AnyValue::Int(0)), digits(AnyValue::Double(0.0)));
        assert_eq!(digits(AnyValue::Empty), "");
        assert_eq!(digits(AnyValue::Bytes(b"x")), "");
    }

    #[test]
    fn what_cannot_be_converted_stays() {
        use Converted::{Double, Impossible, Int, Same};
        let cases = [
            (AnyValue::from("12"), Target::Int, Int(12)),
            ("+12".into(), Target::Int, Int(12)),
            ("1.5".into(), Target::Int, Impossible),
            ("".into(), Target::Double, Impossible),
            ("1.5".into(), Target::Double, Double(1.5)),
            ((-1.9).into(), Target::Int, Int(-1)),
            (f64::NAN.into(), Target::Int, Int(i64::MIN)),
            (1e300.into(), Target::Int, Int(i64::MIN)),
            (true.into(), Target::Double, Double(1.0)),
            (7i64.into(), Target::Int, Same),
            (AnyValue::Bytes(b"1"), Target::Int, Impossible),
        ];
        for (value, to, expected) in cases {
            assert_eq!(convert(&value, to), expected, "{value:?} to {to:?}");
        }
    }
}
