//! What values look like as text. There are two forms, which differ in bytes and in JSON's escapes.

use std::borrow::Cow;
use std::fmt::Write;

use phoenix_pdata::view::Text;

use crate::functions::encode::{Base64, hex};
use crate::functions::number::go_exponent;
use crate::functions::time::format::rfc3339_nano;
use crate::{EvalError, Time, Value};

use super::datum::{entries, items};
use super::{Arena, Datum};

/// The form of `body.string`, `stringify_all` and `ToKeyValueString`: bytes in base64, `nil` is empty.
pub(crate) fn plain_text<'a>(datum: &Datum<'a>, arena: &'a Arena) -> Result<&'a [u8], EvalError> {
    Ok(match datum {
        Datum::Text(text) => text,
        Datum::Nil => b"",
        Datum::Bytes(bytes) => arena.copy_str(&Base64::standard().encode(bytes)).as_bytes(),
        other => {
            let mut out = String::new();
            Json { escapes_html: false, infinities: true }.write(other, &mut out)?;
            arena.copy_str(&out).as_bytes()
        }
    })
}

/// The form of `StringLike` parameters: bytes in hexadecimal, maps and lists as JSON that is safe in HTML.
pub(crate) fn text_like<'a>(datum: &Datum<'a>, arena: &'a Arena) -> Result<&'a [u8], EvalError> {
    let text = match datum {
        Datum::Text(text) => return Ok(text),
        Datum::Bool(value) => return Ok(if *value { b"true" } else { b"false" }),
        Datum::Bytes(bytes) => hex(bytes),
        Datum::Utc(nanos) => format!("\"{}\"", rfc3339_nano(&Time::utc(*nanos))),
        Datum::Zoned(time) => format!("\"{}\"", rfc3339_nano(time)),
        Datum::Duration(nanos) => nanos.to_string(),
        // Arrays of bytes are arrays of numbers in the original's JSON.
        Datum::TraceId(id) | Datum::ProfileId(id) => numbers(id),
        Datum::SpanId(id) => numbers(id),
        Datum::Int(_) | Datum::Double(_) | Datum::Map(_) | Datum::List(_) | Datum::Decoded(_) => {
            let mut out = String::new();
            Json { escapes_html: true, infinities: false }.write(datum, &mut out)?;
            out
        }
        Datum::Nil | Datum::Handle(..) => {
            return Err(EvalError::new(format!("a {} has no form as text", datum.type_name())));
        }
    };
    Ok(arena.copy_str(&text).as_bytes())
}

fn numbers(bytes: &[u8]) -> String {
    format!("{bytes:?}").replace(' ', "")
}

struct Json {
    escapes_html: bool,
    /// Whether numbers that JSON lacks are words, or an error.
    infinities: bool,
}

impl Json {
    fn write(&self, datum: &Datum<'_>, out: &mut String) -> Result<(), EvalError> {
        match datum {
            Datum::Nil => out.push_str("null"),
            Datum::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Datum::Int(value) => put(out, format_args!("{value}")),
            Datum::Double(value) => self.double(*value, out)?,
            Datum::Text(text) => self.quote(&Text::new(text).to_string_lossy(), out),
            Datum::Bytes(bytes) => self.quote(&Base64::standard().encode(bytes), out),
            Datum::List(body) => self.list(items(body).map(Datum::read), out)?,
            Datum::Map(body) => {
                let entries =
                    entries(body).map(|(key, value)| (Text::new(key).to_string_lossy(), Datum::read(value)));
                self.map(entries.collect(), out)?;
            }
            Datum::Decoded(value) => self.value(value, out)?,
            Datum::Utc(nanos) => self.quote(&rfc3339_nano(&Time::utc(*nanos)), out),
            Datum::Zoned(time) => self.quote(&rfc3339_nano(time), out),
            Datum::Duration(nanos) => put(out, format_args!("{nanos}")),
            Datum::TraceId(id) | Datum::ProfileId(id) => out.push_str(&numbers(id)),
            Datum::SpanId(id) => out.push_str(&numbers(id)),
            Datum::Handle(..) => return Err(EvalError::new("a part of a record has no form as text")),
        }
        Ok(())
    }

    /// Only for what no attribute can hold, which is rare: so by way of the other form.
    fn value(&self, value: &Value<'_>, out: &mut String) -> Result<(), EvalError> {
        let arena = Arena::default();
        match value {
            Value::List(values) => {
                let data: Vec<_> = values
                    .iter()
                    .map(|value| Datum::from_value(value.clone().into_owned(), &arena))
                    .collect();
                self.list(data.into_iter(), out)
            }
            Value::Map(map) => {
                let entries = map.iter().map(|(key, value)| {
                    (Cow::Borrowed(key), Datum::from_value(value.clone().into_owned(), &arena))
                });
                self.map(entries.collect(), out)
            }
            other => self.write(&Datum::from_value(other.clone().into_owned(), &arena), out),
        }
    }

    fn list<'a>(&self, values: impl Iterator<Item = Datum<'a>>, out: &mut String) -> Result<(), EvalError> {
        out.push('[');
        for (index, value) in values.enumerate() {
            if index > 0 {
                out.push(',');
            }
            self.write(&value, out)?;
        }
        out.push(']');
        Ok(())
    }

    fn map(&self, mut entries: Vec<(Cow<'_, str>, Datum<'_>)>, out: &mut String) -> Result<(), EvalError> {
        entries.sort_by(|left, right| left.0.as_bytes().cmp(right.0.as_bytes()));
        // Of several with one key the last counts, as when the original makes a map of its own of them.
        entries.reverse();
        entries.dedup_by(|later, earlier| later.0 == earlier.0);
        entries.reverse();
        out.push('{');
        for (index, (key, value)) in entries.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            self.quote(key, out);
            out.push(':');
            self.write(value, out)?;
        }
        out.push('}');
        Ok(())
    }

    fn double(&self, value: f64, out: &mut String) -> Result<(), EvalError> {
        if value.is_finite() {
            let size = value.abs();
            if size != 0.0 && !(1e-6..1e21).contains(&size) {
                // Go's JSON has a sign, and drops the zero of `e-07`.
                let text = go_exponent(&format!("{value:e}"));
                out.push_str(&text.replace("e-0", "e-"));
            } else {
                put(out, format_args!("{value}"));
            }
            return Ok(());
        }
        if !self.infinities {
            return Err(EvalError::new(format!("the number {value} has no form as JSON")));
        }
        out.push_str(match (value.is_nan(), value > 0.0) {
            (true, _) => "NaN",
            (false, true) => "Infinity",
            (false, false) => "-Infinity",
        });
        Ok(())
    }

    fn quote(&self, text: &str, out: &mut String) {
        out.push('"');
        for letter in text.chars() {
            match letter {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '<' | '>' | '&' if self.escapes_html => {
                    put(out, format_args!("\\u{:04x}", u32::from(letter)))
                }
                '\u{2028}' | '\u{2029}' => put(out, format_args!("\\u{:04x}", u32::from(letter))),
                letter if letter < ' ' => put(out, format_args!("\\u{:04x}", u32::from(letter))),
                letter => out.push(letter),
            }
        }
        out.push('"');
    }
}

fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = out.write_fmt(arguments);
}
