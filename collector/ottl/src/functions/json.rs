//! JSON as a value.
//!
//! Every number becomes a double, as in the original. Of a name that comes twice the last value counts;
//! half a surrogate pair is U+FFFD.

use std::collections::HashMap;

use crate::{EvalError, Map, Value};

/// Objects and arrays within each other; OTLP could not carry many more.
pub const MAX_DEPTH: usize = 64;

/// Reads an object or an array, and nothing behind it.
///
/// # Errors
///
/// Malformed text, another kind of value, numbers beyond a double, and more than [`MAX_DEPTH`] levels.
pub fn parse(text: &str) -> Result<Value<'static>, EvalError> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.skip_spaces();
    if reader.at < text.len() {
        return Err(reader.error("expected nothing more"));
    }
    match value {
        Value::Map(_) | Value::List(_) => Ok(value),
        _ => Err(EvalError::new("the JSON is neither an object nor an array")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn error(&self, expected: &str) -> EvalError {
        EvalError::new(format!("invalid JSON at byte {}: {expected}", self.at))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes this byte, with spaces before it.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_spaces();
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn value(&mut self, depth: usize) -> Result<Value<'static>, EvalError> {
        self.skip_spaces();
        match self.peek() {
            Some(b'{' | b'[') if depth == MAX_DEPTH => {
                Err(EvalError::new(format!("the JSON has more than {MAX_DEPTH} levels")))
            }
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Value::from(self.string()?)),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Nil),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.error("expected a value")),
        }
    }

    fn word(&mut self, word: &str, value: Value<'static>) -> Result<Value<'static>, EvalError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.error("expected a value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn object(&mut self, depth: usize) -> Result<Value<'static>, EvalError> {
        self.at += 1;
        let mut entries: Vec<(String, Value<'static>)> = Vec::new();
        if !self.take(b'}') {
            loop {
                self.skip_spaces();
                if self.peek() != Some(b'"') {
                    return Err(self.error("expected a name"));
                }
                let name = self.string()?;
                if !self.take(b':') {
                    return Err(self.error("expected a colon"));
                }
                entries.push((name, self.value(depth + 1)?));
                if self.take(b'}') {
                    break;
                }
                if !self.take(b',') {
                    return Err(self.error("expected a comma or the end of the object"));
                }
            }
        }
        Ok(Value::Map(map_of(entries)))
    }

    fn array(&mut self, depth: usize) -> Result<Value<'static>, EvalError> {
        self.at += 1;
        let mut values = Vec::new();
        if !self.take(b']') {
            loop {
                values.push(self.value(depth + 1)?);
                if self.take(b']') {
                    break;
                }
                if !self.take(b',') {
                    return Err(self.error("expected a comma or the end of the array"));
                }
            }
        }
        Ok(Value::List(values))
    }

    fn number(&mut self) -> Result<Value<'static>, EvalError> {
        let rest = &self.text[self.at..];
        let length = rest
            .bytes()
            .take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .count();
        let token = &rest[..length];
        if !is_number(token) {
            return Err(self.error("malformed number"));
        }
        let number: f64 = token.parse().map_err(|_| self.error("malformed number"))?;
        if number.is_infinite() {
            return Err(self.error("the number is beyond the range of a double"));
        }
        self.at += length;
        Ok(Value::Double(number))
    }

    fn string(&mut self) -> Result<String, EvalError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain =
                rest.bytes().take_while(|&byte| byte != b'"' && byte != b'\\' && byte >= 0x20).count();
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => self.escape(&mut out)?,
                _ => return Err(self.error("a text is not closed, or has a control character")),
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Result<(), EvalError> {
        self.at += 1;
        let character = match self.peek() {
            Some(character @ (b'"' | b'\\' | b'/')) => char::from(character),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                let character = self.unicode()?;
                out.push(character);
                return Ok(());
            }
            _ => return Err(self.error("unknown escape")),
        };
        self.at += 1;
        out.push(character);
        Ok(())
    }

    /// Reads what follows `\u`, with the other half of a surrogate pair.
    fn unicode(&mut self) -> Result<char, EvalError> {
        let first = self.four_digits().ok_or_else(|| self.error("expected four hexadecimal digits"))?;
        if let 0xd800..=0xdbff = first
            && self.text[self.at..].starts_with("\\u")
        {
            let before = self.at;
            self.at += 2;
            if let Some(second @ 0xdc00..=0xdfff) = self.four_digits() {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = before;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn four_digits(&mut self) -> Option<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4)?;
        let mut code = 0;
        for &digit in digits {
            code = code << 4 | char::from(digit).to_digit(16)?;
        }
        self.at += 4;
        Some(code)
    }
}

/// The grammar of JSON's numbers; Rust also reads `.5`, `1.` and `01`.
fn is_number(token: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = token.strip_prefix('-').unwrap_or(token);
    let (mantissa, exponent) = unsigned
        .split_once(['e', 'E'])
        .map_or((unsigned, None), |(mantissa, exponent)| (mantissa, Some(exponent)));
    let (whole, fraction) =
        mantissa.split_once('.').map_or((mantissa, None), |(whole, fraction)| (whole, Some(fraction)));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)))
}

/// A map in which the last value of a key stands in the place of the first, in linear time.
pub(crate) fn map_of<'a>(entries: Vec<(String, Value<'a>)>) -> Map<'a> {
    /// Up to here looking at all keys is as quick as a table.
    const FEW: usize = 16;
    if entries.len() <= FEW {
        return entries.into_iter().collect();
    }
    let mut places: HashMap<String, usize> = HashMap::with_capacity(entries.len());
    let mut kept: Vec<(String, Value<'a>)> = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        if let Some(&place) = places.get(&key) {
            kept[place].1 = value;
        } else {
            places.insert(key.clone(), kept.len());
            kept.push((key, value));
        }
    }
    let mut map = Map::new();
    for (key, value) in kept {
        map.push(key, value);
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads() {
        let value = parse(r#" {"i": 1, "f": -1.5e1, "b": true, "n": null, "a": [1, "x"], "i": 2} "#).unwrap();
        let expected: Map<'_> = [
            ("i", Value::Double(2.0)),
            ("f", Value::Double(-15.0)),
            ("b", Value::Bool(true)),
            ("n", Value::Nil),
            ("a", Value::List(vec![Value::Double(1.0), Value::from("x")])),
        ]
        .into_iter()
        .collect();
        assert_eq!(value, Value::Map(expected));
        assert_eq!(parse("[]").unwrap(), Value::List(Vec::new()));
        let text = parse(r#"["\"\\\/\b\f\n\r\té\u00e9\ud83d\ude00\ud800x\ud800\u0041"]"#).unwrap();
        assert_eq!(text, Value::List(vec![Value::from("\"\\/\u{8}\u{c}\n\r\téé😀\u{fffd}x\u{fffd}A")]));
    }

    #[test]
    fn refuses() {
        for text in [
            "",
            "5",
            "null",
            "\"x\"",
            "{bad",
            "{\"a\":1,}",
            "[1,]",
            "[1 2]",
            "{\"a\" 1}",
            "{1:2}",
            "[01]",
            "[1.]",
            "[.5]",
            "[+1]",
            "[1e]",
            "[1e999]",
            "[tru]",
            "[\"\n\"]",
            "[\"\\x\"]",
            "[\"\\u12\"]",
            "[\"",
            "[1] x",
            "[\"\\u00é\"]",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert!(parse(&nested(MAX_DEPTH + 1)).unwrap_err().message().contains("levels"));
        assert!(parse(&"[".repeat(1_000_000)).is_err());
    }

    #[test]
    fn many_names_take_linear_time() {
        let names = (0..200_000).map(|name| format!("\"{name}\":1")).collect::<Vec<_>>().join(",");
        let Value::Map(map) = parse(&format!("{{{names},\"0\":2}}")).unwrap() else { panic!("an object") };
        assert_eq!((map.len(), map.get("0")), (200_000, Some(&Value::Double(2.0))));
    }
}
