//! Numbers and booleans in text, as Go's `strconv` reads them, and doubles as it writes them.

use crate::EvalError;

/// Reads a double as Go's `ParseFloat` does: decimal or hexadecimal digits, underscores between
/// digits, `inf`, `infinity` and `nan` in any case; no spaces.
///
/// # Errors
///
/// Other text, and numbers beyond the range of a double.
pub fn parse_float(text: &str) -> Result<f64, EvalError> {
    let invalid = || EvalError::new(format!("cannot parse {text:?} as a floating-point number"));
    let (negative, digits) = sign(text);
    let lower = digits.to_ascii_lowercase();
    let magnitude = match lower.as_str() {
        "inf" | "infinity" => return Ok(if negative { f64::NEG_INFINITY } else { f64::INFINITY }),
        "nan" if digits.len() == text.len() => return Ok(f64::NAN),
        _ => {
            if lower.contains('_') && !underscores_separate_digits(&lower) {
                return Err(invalid());
            }
            let plain = lower.replace('_', "");
            match plain.strip_prefix("0x") {
                Some(hexadecimal) => hex_float(hexadecimal).ok_or_else(invalid)?,
                None if is_decimal(&plain) => plain.parse().map_err(|_| invalid())?,
                None => return Err(invalid()),
            }
        }
    };
    if f64::is_infinite(magnitude) {
        return Err(EvalError::new(format!("{text:?} is beyond the range of a floating-point number")));
    }
    Ok(if negative { -magnitude } else { magnitude })
}

/// Reads an integer as Go's `ParseInt` does; base 0 finds the base by the prefix `0x`, `0o`, `0b` or
/// `0`, and allows underscores between digits.
///
/// # Errors
///
/// Empty text, digits that the base does not have, other bases than 0 and 2 to 36, and numbers that
/// need more than 64 bits.
pub fn parse_int(text: &str, base: i64) -> Result<i64, EvalError> {
    let invalid = || EvalError::new(format!("cannot parse {text:?} as an integer of base {base}"));
    let (negative, digits) = sign(text);
    let (radix, digits) = match base {
        0 => {
            let lower = digits.to_ascii_lowercase();
            if lower.contains('_') && !underscores_separate_digits(&lower) {
                return Err(invalid());
            }
            let plain = lower.replace('_', "");
            let (radix, skip) = match plain.as_bytes() {
                [b'0', b'x', ..] => (16, 2),
                [b'0', b'o', ..] => (8, 2),
                [b'0', b'b', ..] => (2, 2),
                [b'0', _, ..] => (8, 1),
                _ => (10, 0),
            };
            (radix, plain[skip..].to_owned())
        }
        2..=36 => (base as u32, digits.to_owned()),
        _ => return Err(EvalError::new(format!("invalid base {base}: must be 0 or 2 to 36"))),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(invalid());
    }
    let out_of_range = || EvalError::new(format!("{text:?} needs more than 64 bits"));
    let magnitude = i128::from(u64::from_str_radix(&digits, radix).map_err(|_| out_of_range())?);
    i64::try_from(if negative { -magnitude } else { magnitude }).map_err(|_| out_of_range())
}

/// Reads a boolean as Go's `ParseBool` does.
///
/// # Errors
///
/// Any text but `1 t T TRUE true True 0 f F FALSE false False`.
pub fn parse_bool(text: &str) -> Result<bool, EvalError> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(EvalError::new(format!("cannot parse {text:?} as a boolean"))),
    }
}

/// Converts as Go does on amd64: what an `i64` cannot hold becomes its smallest value.
pub fn truncate_float(number: f64) -> i64 {
    // 2^63 itself is the first double that does not fit.
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number) {
        number as i64
    } else {
        i64::MIN
    }
}

/// Writes the shortest text that reads as the same double, as Go's `%v` and `%g` do: with an exponent
/// below 1e-4 and from `10^exponent_from` on.
pub fn general_float(number: f64, exponent_from: i32) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let scientific = format!("{number:e}");
    let (_, exponent) = scientific.split_once('e').expect("Rust writes an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    if number != 0.0 && (exponent < -4 || exponent >= exponent_from) {
        go_exponent(&scientific)
    } else {
        format!("{number}")
    }
}

/// Gives an exponent as Rust writes it (`e-7`) a sign and at least two digits (`e-07`), as Go does.
pub fn go_exponent(scientific: &str) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

fn sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

/// Go's rule for underscores: each stands between two digits, or between the base's prefix and a digit.
fn underscores_separate_digits(lower: &str) -> bool {
    let bytes = lower.as_bytes();
    let hexadecimal = lower.starts_with("0x");
    let prefixed = matches!(bytes, [b'0', b'x' | b'o' | b'b', ..]);
    let mut before = if prefixed { b'0' } else { b'^' };
    for &byte in if prefixed { &bytes[2..] } else { bytes } {
        if byte.is_ascii_digit() || (hexadecimal && byte.is_ascii_hexdigit()) {
            before = b'0';
        } else if byte == b'_' {
            if before != b'0' {
                return false;
            }
            before = b'_';
        } else {
            if before == b'_' {
                return false;
            }
            before = b'!';
        }
    }
    before != b'_'
}

/// Whether Go would read this as a decimal number; Rust also takes words such as `infinity`.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) =
        text.split_once('e').map_or((text, None), |(mantissa, exponent)| (mantissa, Some(exponent)));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_is_number = |exponent: &str| {
        let (_, number) = sign(exponent);
        !number.is_empty() && digits(number)
    };
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(exponent_is_number)
}

/// Reads `1.8p-3` (without the prefix) and rounds to the nearest double, to even in the middle.
fn hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (exponent_negative, exponent_digits) = sign(exponent);
    if exponent_digits.is_empty() || !exponent_digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // An exponent of more than nine digits is out of range whatever the mantissa.
    let magnitude: i64 = exponent_digits.parse::<i64>().unwrap_or(i64::MAX).min(999_999_999);
    let mut exponent = if exponent_negative { -magnitude } else { magnitude };
    let (mut bits, mut sticky) = (0u64, false);
    let digits = whole.bytes().map(|digit| (digit, 0)).chain(fraction.bytes().map(|digit| (digit, 4)));
    for (digit, behind_point) in digits {
        let digit = u64::from((digit as char).to_digit(16)?);
        exponent -= behind_point;
        if bits >> 60 == 0 {
            bits = bits << 4 | digit;
        } else {
            sticky |= digit != 0;
            exponent += 4;
        }
    }
    Some(assemble(bits, exponent, sticky))
}

/// The double nearest to `bits * 2^exponent`, with `sticky` for more bits below that are not all zero.
fn assemble(bits: u64, exponent: i64, sticky: bool) -> f64 {
    if bits == 0 {
        return 0.0;
    }
    let shift = bits.leading_zeros();
    let (bits, exponent) = (bits << shift, exponent - i64::from(shift));
    let scale = exponent + 63; // the value is 1.xxx * 2^scale
    if scale > 1023 {
        return f64::INFINITY;
    }
    // Subnormal numbers have fewer bits.
    let precision = if scale >= -1022 { 53 } else { 53 - (-1022 - scale) };
    if precision < 0 {
        return 0.0;
    }
    let dropped = (64 - precision) as u32;
    let wide = u128::from(bits);
    let (kept, rest) = (wide >> dropped, wide & ((1 << dropped) - 1));
    let half = 1u128 << (dropped - 1);
    let up = rest > half || (rest == half && (sticky || kept & 1 == 1));
    let rounded = (kept + u128::from(up)) as u64; // at most 54 bits: exact as a double
    scale_exactly(rounded as f64, exponent + i64::from(dropped))
}

/// `number * 2^exponent`, in steps whose factors are doubles.
fn scale_exactly(mut number: f64, mut exponent: i64) -> f64 {
    while exponent != 0 {
        let step = exponent.clamp(-1000, 1000);
        number *= 2f64.powi(step as i32);
        exponent -= step;
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_go_reads_them() {
        let cases = [
            ("3.5e2", 350.0),
            ("-.5", -0.5),
            ("1.", 1.0),
            ("+7", 7.0),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("0x1p-2", 0.25),
            ("0x1.8p1", 3.0),
            ("-0X.8p0", -0.5),
            ("1_000.5", 1000.5),
            ("0x_1p0", 1.0),
            ("0x1p-1074", 5e-324),
            ("0x1p-1075", 0.0),
            ("0x1.8p-1075", 5e-324),
            ("0x1.fffffffffffff8p1", 4.0),
            ("0x1.ffffffffffffffffffp0", 2.0),
            ("0x1.0000000000000800001p0", 1.000_000_000_000_000_2),
            ("0x1p1023", 2f64.powi(1023)),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_float(text).unwrap(), expected, "{text}");
        }
        assert!(parse_float("NaN").unwrap().is_nan());
        for text in [
            "", " 1", "1 ", "+nan", "infin", "1e", "e5", ".", "0x1", "0x", "1__0", "_1", "1_", "1e400",
            "0x1p1024", "abc", "1f",
        ] {
            assert!(parse_float(text).is_err(), "{text}");
        }
    }

    #[test]
    fn integers_as_go_reads_them() {
        let cases = [
            ("ff", 16, 255),
            ("-0x1f", 0, -31),
            ("1010", 2, 10),
            ("012", 0, 10),
            ("0b1_1", 0, 3),
            ("0o17", 0, 15),
            ("0", 0, 0),
            ("z", 36, 35),
            ("+5", 10, 5),
            ("-9223372036854775808", 10, i64::MIN),
        ];
        for (text, base, expected) in cases {
            assert_eq!(parse_int(text, base).unwrap(), expected, "{text}");
        }
        let bad = [
            ("9", 8),
            ("", 10),
            ("1", 1),
            ("1", -3),
            ("1", 37),
            ("9223372036854775808", 10),
            ("1_0", 10),
            ("0x", 0),
            ("08", 0),
            ("+-1", 10),
            ("é", 10),
        ];
        for (text, base) in bad {
            assert!(parse_int(text, base).is_err(), "{text} {base}");
        }
    }

    #[test]
    fn doubles_beyond_an_integer_become_the_smallest() {
        assert_eq!(truncate_float(-3.9), -3);
        for number in [f64::NAN, f64::INFINITY, 9.3e18, -9.3e18, 9_223_372_036_854_775_808.0] {
            assert_eq!(truncate_float(number), i64::MIN);
        }
    }

    #[test]
    fn general_form() {
        let cases = [
            (1.0, "1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-0.0, "-0"),
            (99.9, "99.9"),
            (1.5e300, "1.5e+300"),
        ];
        for (number, expected) in cases {
            assert_eq!(general_float(number, 21), expected);
        }
    }
}
