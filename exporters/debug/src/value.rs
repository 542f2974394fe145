//! Values of attributes and bodies as text.

use std::fmt::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use phoenix_pdata::view::{AnyValue, Attributes, KeyValue, Text};

use crate::go;

/// A value as text; maps and arrays as JSON, bytes in base64.
pub(crate) struct AsText<'a>(pub(crate) AnyValue<'a>);

/// A value with the name of its type around it, for example `Str(x)`.
pub(crate) struct Typed<'a>(pub(crate) AnyValue<'a>);

impl fmt::Display for AsText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            AnyValue::Empty | AnyValue::StringIndex(_) => Ok(()),
            AnyValue::String(text) => write!(f, "{text}"),
            AnyValue::Bool(value) => write!(f, "{value}"),
            AnyValue::Int(value) => write!(f, "{value}"),
            AnyValue::Double(value) if value.is_finite() => write!(f, "{}", go::Json(value)),
            AnyValue::Double(value) => write!(f, "json: unsupported value: {}", go::General(value)),
            AnyValue::Bytes(bytes) => f.write_str(&STANDARD.encode(bytes)),
            AnyValue::Array(_) | AnyValue::Map(_) => {
                let mut json = String::new();
                // JSON has no words for some numbers; Go then prints nothing at all.
                if write_json(&mut json, self.0).is_ok() { f.write_str(&json) } else { Ok(()) }
            }
        }
    }
}

impl fmt::Display for Typed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            AnyValue::Empty | AnyValue::StringIndex(_) => "Empty",
            AnyValue::String(_) => "Str",
            AnyValue::Bool(_) => "Bool",
            AnyValue::Int(_) => "Int",
            AnyValue::Double(_) => "Double",
            AnyValue::Array(_) => "Slice",
            AnyValue::Map(_) => "Map",
            AnyValue::Bytes(_) => "Bytes",
        };
        write!(f, "{name}({})", AsText(self.0))
    }
}

/// Attributes as `key=value`, with `separator` between them.
pub(crate) fn write_pairs(out: &mut dyn Write, attributes: Attributes<'_>, separator: &str) -> fmt::Result {
    for (index, attribute) in attributes.iter().enumerate() {
        let separator = if index == 0 { "" } else { separator };
        write!(out, "{separator}{}={}", attribute.key(), AsText(attribute.value()))?;
    }
    Ok(())
}

/// A value as Go's `encoding/json` writes it. An error means that it has no JSON. The nesting of a validated
/// request is bounded, and so is the recursion.
fn write_json(out: &mut String, value: AnyValue<'_>) -> fmt::Result {
    match value {
        AnyValue::Empty | AnyValue::StringIndex(_) => out.write_str("null"),
        AnyValue::String(text) => write_json_text(out, text),
        AnyValue::Bool(value) => write!(out, "{value}"),
        AnyValue::Int(value) => write!(out, "{value}"),
        AnyValue::Double(value) if value.is_finite() => write!(out, "{}", go::Json(value)),
        AnyValue::Double(_) => Err(fmt::Error),
        AnyValue::Bytes([]) => out.write_str("null"),
        AnyValue::Bytes(bytes) => write!(out, "\"{}\"", STANDARD.encode(bytes)),
        AnyValue::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json(out, value)?;
            }
            out.push(']');
            Ok(())
        }
        AnyValue::Map(entries) => write_json_map(out, entries),
    }
}

/// Sorted by key; of equal keys the last counts, as in the map that Go makes of it.
fn write_json_map(out: &mut String, entries: Attributes<'_>) -> fmt::Result {
    let mut entries: Vec<KeyValue<'_>> = entries.iter().collect();
    entries.sort_by_key(|entry| entry.key());
    out.push('{');
    let mut is_first = true;
    for (index, entry) in entries.iter().enumerate() {
        if entries.get(index + 1).is_some_and(|next| next.key() == entry.key()) {
            continue;
        }
        if !std::mem::take(&mut is_first) {
            out.push(',');
        }
        write_json_text(out, entry.key())?;
        out.push(':');
        write_json(out, entry.value())?;
    }
    out.push('}');
    Ok(())
}

fn write_json_text(out: &mut String, text: Text<'_>) -> fmt::Result {
    out.push('"');
    for chunk in text.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..'\u{20}' => {
                    write!(out, "\\u{:04x}", u32::from(c))?;
                }
                c => out.push(c),
            }
        }
        if !chunk.invalid().is_empty() {
            // Go replaces each byte; chunks group those of one broken character.
            (0..chunk.invalid().len()).for_each(|_| out.push_str("\\ufffd"));
        }
    }
    out.push('"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use phoenix_pdata::view::View as _;
    use phoenix_pdata::write;

    use super::*;

    fn text(build: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut body = Vec::new();
        build(&mut body);
        AsText(AnyValue::new(&body)).to_string()
    }

    fn entry(map: &mut Vec<u8>, key: &[u8], value: AnyValue<'_>) {
        write::put_message(map, 1, |entry| {
            write::put_bytes(entry, 1, key);
            write::put_value(entry, 2, &value);
        });
    }

    #[test]
    fn maps_are_json_as_go_writes_it() {
        let escaped = text(|value| {
            write::put_message(value, 6, |map| {
                let wild = "<a>&\u{2028}\u{7f}\u{1}\u{8}\u{c}\n\r\t\"\\é😀".as_bytes();
                entry(map, b"b", AnyValue::String(Text::new(&[wild, b"\xff"].concat())));
                entry(map, b"a", AnyValue::Int(1));
                entry(map, b"a", AnyValue::Empty);
                entry(map, b"c", AnyValue::Bytes(b"hi"));
                entry(map, b"d", AnyValue::Bytes(b""));
                entry(map, b"e", AnyValue::Double(1e21));
            });
        });
        assert_eq!(
            escaped,
            "{\"a\":null,\"b\":\"\\u003ca\\u003e\\u0026\\u2028\u{7f}\\u0001\\b\\f\\n\\r\\t\\\"\\\\é😀\\ufffd\",\
             \"c\":\"aGk=\",\"d\":null,\"e\":1e+21}"
        );
        let unsupported =
            text(|value| write::put_message(value, 6, |map| entry(map, b"a", AnyValue::Double(f64::NAN))));
        assert_eq!(unsupported, "");
    }

    #[test]
    fn numbers_outside_of_maps_are_named_when_json_has_none() {
        assert_eq!(AsText(AnyValue::Double(f64::INFINITY)).to_string(), "json: unsupported value: +Inf");
        assert_eq!(Typed(AnyValue::Double(1e-7)).to_string(), "Double(1e-7)");
        assert_eq!(Typed(AnyValue::Empty).to_string(), "Empty()");
    }
}
