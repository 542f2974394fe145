//! A key of several attributes, `name=value|name=value|` in the order of the settings, each from the outermost place
//! that has it.

use std::ops::Range;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use phoenix_pdata::view::{AnyValue, Attributes};

/// The values found so far, from the outside in. Its buffers serve a whole request.
pub(crate) struct Composite<'a> {
    names: &'a [String],
    /// The level at which each value was found, and where it is in `text`.
    values: Vec<Option<(usize, Range<usize>)>>,
    text: Vec<u8>,
    /// How much of `text` the levels before this one need.
    ends: [usize; 3],
}

impl<'a> Composite<'a> {
    pub(crate) fn new(names: &'a [String]) -> Composite<'a> {
        Composite { names, values: vec![None; names.len()], text: Vec::new(), ends: [0; 3] }
    }

    /// Looks for what is missing among the attributes at `level` (0 the resource, 1 the scope, 2 the record or data
    /// point), and before that where `pseudo` writes the value of a name. What was found at this level or further in
    /// is forgotten.
    pub(crate) fn look(
        &mut self,
        level: usize,
        attributes: Attributes<'_>,
        pseudo: impl Fn(&str, &mut Vec<u8>) -> bool,
    ) {
        self.text.truncate(if level == 0 { 0 } else { self.ends[level - 1] });
        for (name, value) in self.names.iter().zip(&mut self.values) {
            if value.as_ref().is_some_and(|(found, _)| *found < level) {
                continue;
            }
            let start = self.text.len();
            let mut found = pseudo(name, &mut self.text);
            if !found && let Some(attribute) = attributes.get(name) {
                write_value(attribute, &mut self.text);
                found = true;
            }
            *value = found.then_some((level, start..self.text.len()));
        }
        self.ends[level..].fill(self.text.len());
    }

    /// Whether every attribute was found.
    pub(crate) fn is_complete(&self) -> bool {
        self.values.iter().all(Option::is_some)
    }

    /// The key, in `buffer`.
    pub(crate) fn key<'b>(&self, buffer: &'b mut Vec<u8>) -> &'b [u8] {
        buffer.clear();
        for (name, value) in self.names.iter().zip(&self.values) {
            buffer.extend_from_slice(name.as_bytes());
            buffer.push(b'=');
            if let Some((_, range)) = value {
                buffer.extend_from_slice(&self.text[range.clone()]);
            }
            buffer.push(b'|');
        }
        buffer
    }
}

/// A value as text, as otelcol writes it into keys. Validated requests bound how deep values nest.
pub(crate) fn write_value(value: AnyValue<'_>, out: &mut Vec<u8>) {
    match value {
        AnyValue::Empty | AnyValue::StringIndex(_) => {}
        AnyValue::String(text) => out.extend_from_slice(text.as_bytes()),
        AnyValue::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        AnyValue::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
        AnyValue::Double(number) => out.extend_from_slice(float(number).as_bytes()),
        AnyValue::Bytes(bytes) => out.extend_from_slice(BASE64_STANDARD.encode(bytes).as_bytes()),
        AnyValue::Array(values) => {
            out.push(b'[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(value, out);
            }
            out.push(b']');
        }
        AnyValue::Map(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.key().as_bytes().cmp(b.key().as_bytes()));
            out.push(b'{');
            for (index, entry) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(entry.key().as_bytes());
                out.push(b':');
                write_value(entry.value(), out);
            }
            out.push(b'}');
        }
    }
}

/// A number as Go's `strconv` writes it with `'g'` and the fewest digits.
fn float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        // Zero has no exponent either.
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_go_does() {
        for (number, text) in [
            (0.5, "0.5"),
            (3.0, "3"),
            (-0.0, "-0"),
            (100_000.0, "100000"),
            (1e6, "1e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (2.5e-7, "2.5e-07"),
            (0.0001, "0.0001"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(float(number), text);
        }
    }
}
