//! What a plain scalar means: YAML 1.2's core schema with what go-yaml v3 keeps of 1.1.

use crate::node::Value;

/// The value of a scalar without quotes.
///
/// Numbers may have underscores; `0x`, `0o`, `0b` and a leading `0` (octal) give the base. `true`, `True`, `TRUE` and
/// the same of `false` are booleans, `yes` and `on` are text. Dates are text too (go-yaml makes times of them, which no
/// setting takes).
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Value::String(text.into());
    }
    let digits = text.replace('_', "");
    whole(&digits).or_else(|| fraction(&digits)).unwrap_or_else(|| Value::String(text.into()))
}

fn whole(text: &str) -> Option<Value> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.bytes().next()?.is_ascii_alphanumeric() {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(digits, base).ok()?);
    let value = if negative { -magnitude } else { magnitude };
    match (i64::try_from(value), u64::try_from(value)) {
        (Ok(value), _) => Some(Value::Int(value)),
        // A sign is not allowed on what only fits without one.
        (_, Ok(value)) if !text.starts_with('+') => Some(Value::Uint(value)),
        _ => None,
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn fraction(text: &str) -> Option<Value> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let before = digits(rest);
    rest = &rest[before..];
    if let Some(after) = rest.strip_prefix('.') {
        let count = digits(after);
        if before + count == 0 {
            return None;
        }
        rest = &after[count..];
    } else if before == 0 {
        return None;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        let count = digits(exponent);
        if count == 0 {
            return None;
        }
        rest = &exponent[count..];
    }
    if !rest.is_empty() {
        return None;
    }
    text.parse::<f64>().ok().filter(|value| value.is_finite()).map(Value::Float)
}
