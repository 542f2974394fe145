//! Lengths of time as Go writes them: `1h30m`, `-1.5ms`.

use crate::EvalError;

/// Reads a length in nanoseconds.
///
/// # Errors
///
/// Numbers without a unit (but `0`), units that Go does not have (days), and lengths beyond 64 bits.
pub fn parse(text: &str) -> Result<i64, EvalError> {
    let invalid = || EvalError::new(format!("invalid duration {text:?}"));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    // One more than the largest length, since the smallest one is that.
    const MOST: u64 = 1 << 63;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = split_digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split_digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let end = after
            .find(|character: char| character == '.' || character.is_ascii_digit())
            .unwrap_or(after.len());
        let unit = unit_nanos(&after[..end]).ok_or_else(invalid)?;
        rest = &after[end..];
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        let nanos =
            whole.checked_mul(unit).and_then(|nanos| nanos.checked_add(fraction_nanos(fraction, unit)));
        total = nanos
            .and_then(|nanos| total.checked_add(nanos))
            .filter(|&total| total <= MOST)
            .ok_or_else(invalid)?;
    }
    if negative {
        return Ok((total as i64).wrapping_neg());
    }
    i64::try_from(total).map_err(|_| invalid())
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

fn unit_nanos(unit: &str) -> Option<u64> {
    match unit {
        "ns" => Some(1),
        // Micro sign, and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(1_000_000_000),
        "m" => Some(60_000_000_000),
        "h" => Some(3_600_000_000_000),
        _ => None,
    }
}

/// A part of a unit in nanoseconds, cut off; digits that 63 bits cannot hold do not count, as in Go.
fn fraction_nanos(digits: &str, unit: u64) -> u64 {
    let (mut number, mut scale) = (0u64, 1.0);
    for digit in digits.bytes() {
        match number.checked_mul(10).and_then(|number| number.checked_add(u64::from(digit - b'0'))) {
            Some(longer) if longer <= i64::MAX as u64 => number = longer,
            _ => break,
        }
        scale *= 10.0;
    }
    (number as f64 * (unit as f64 / scale)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads() {
        let cases = [
            ("1h30m", 5_400_000_000_000),
            ("-1.5ms", -1_500_000),
            ("0", 0),
            ("+0", 0),
            ("1.9999ms", 1_999_900),
            ("1us", 1_000),
            ("1µs", 1_000),
            ("1μs", 1_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("1h2m3.004s", 3_723_004_000_000),
            ("-9223372036854775808ns", i64::MIN),
            ("9223372036854775807ns", i64::MAX),
            ("0.3333333333333333333h", 1_200_000_000_000),
        ];
        for (text, nanos) in cases {
            assert_eq!(parse(text).unwrap(), nanos, "{text}");
        }
    }

    #[test]
    fn refuses() {
        for text in [
            "",
            "1d",
            "10",
            "-",
            ".",
            ".s",
            "1",
            "h",
            "1 s",
            "9223372036854775808ns",
            "3000000h",
            "1h-2m",
            "--1s",
            "1é",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
