//! Numbers, read from JSON and from text, and written as Go writes them.

use std::fmt::Write as _;

use super::JsonReason;

/// An integer of up to 64 bits and a sign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Integer {
    pub(super) negative: bool,
    pub(super) magnitude: u64,
}

impl Integer {
    /// The integer, if it is between these bounds.
    #[inline(always)]
    pub(super) fn signed(self, bits: u32, name: &'static str) -> Result<i64, JsonReason> {
        let most = 1u64 << (bits - 1);
        match (self.negative, self.magnitude) {
            (false, magnitude) if magnitude < most => Ok(magnitude as i64),
            (true, magnitude) if magnitude <= most => Ok(magnitude.wrapping_neg() as i64),
            _ => Err(JsonReason::Range(name)),
        }
    }

    /// The integer, if it is not negative and at most `most`.
    #[inline(always)]
    pub(super) fn unsigned(self, most: u64, name: &'static str) -> Result<u64, JsonReason> {
        if self.magnitude > most || self.negative && self.magnitude != 0 {
            return Err(JsonReason::Range(name));
        }
        Ok(self.magnitude)
    }
}

/// How many bytes of the text belong to a number, if one starts there.
#[inline(always)]
pub(super) fn token(text: &[u8]) -> usize {
    text.iter()
        .position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
        .unwrap_or(text.len())
}

/// Reads an integer that is nothing but digits: at most nineteen, so that it fits.
#[inline(always)]
pub(super) fn digits(text: &[u8]) -> Option<u64> {
    if text.len() > 19 || text.is_empty() {
        return None;
    }
    let (words, rest) = text.as_chunks::<8>();
    let mut value = 0u64;
    for word in words {
        value = value * 100_000_000 + eight(u64::from_le_bytes(*word))?;
    }
    for byte in rest {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value)
}

/// Reads an integer that is nothing but one to seven digits and a quote after them, and says how many.
#[inline(always)]
pub(super) fn few_digits(text: &[u8]) -> Option<(u64, usize)> {
    let word = u64::from_le_bytes(*text.first_chunk()?);
    let quotes = word ^ 0x2222_2222_2222_2222;
    let found = quotes.wrapping_sub(0x0101_0101_0101_0101) & !quotes & 0x8080_8080_8080_8080;
    let bits = found.trailing_zeros() & !7;
    if bits == 0 || bits == 64 {
        return None;
    }
    // Filled up with zeros in front.
    let value = eight(word << (64 - bits) | 0x3030_3030_3030_3030 >> bits)?;
    Some((value, (bits / 8) as usize))
}

/// Reads eight digits at once: pairs, then pairs of pairs, then all.
#[inline(always)]
fn eight(word: u64) -> Option<u64> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const HIGH_HALVES: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    let above = word.wrapping_add(0x0606_0606_0606_0606);
    // From `:` on, six more is beyond 0x3f.
    if word & HIGH_HALVES != ZEROS || above & HIGH_HALVES != ZEROS {
        return None;
    }
    let word = word - ZEROS;
    let word = word.wrapping_mul(10).wrapping_add(word >> 8);
    let low = (word & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let high = (word >> 16 & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    Some(low.wrapping_add(high) >> 32)
}

/// Reads an integer as JSON writes it, or, if `text`, as it may stand in text: then a plus sign and zeros
/// at the start are allowed.
pub(super) fn integer(token: &[u8], text: bool) -> Result<Integer, JsonReason> {
    let (negative, rest) = match token {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] if text => (false, rest),
        rest => (false, rest),
    };
    if let Some(magnitude) = digits(rest)
        && (text || rest[0] != b'0' || rest.len() == 1)
    {
        return Ok(Integer { negative, magnitude });
    }
    let parts = Parts::of(rest, text)?;
    parts.integer().map(|magnitude| Integer { negative, magnitude })
}

/// Reads a floating-point number, as [`integer`] does; in text also `NaN` and the infinities.
pub(super) fn double(token: &[u8], text: bool) -> Result<f64, JsonReason> {
    if let Some((value, len)) = short_decimal(token)
        && len == token.len()
    {
        return Ok(value);
    }
    let unsigned = token.strip_prefix(b"-").or(token.strip_prefix(b"+").filter(|_| text)).unwrap_or(token);
    let not_a_number = if text { JsonReason::NumberText } else { JsonReason::Number };
    if text && unsigned.first().is_some_and(u8::is_ascii_alphabetic) {
        let parsed = std::str::from_utf8(token).ok().and_then(|token| token.parse().ok());
        return parsed.ok_or(not_a_number);
    }
    Parts::of(unsigned, text)?;
    let parsed =
        std::str::from_utf8(token).ok().and_then(|token| token.parse::<f64>().ok()).ok_or(not_a_number)?;
    if parsed.is_infinite() { Err(JsonReason::Range("double")) } else { Ok(parsed) }
}

/// Reads a number of at most fifteen digits and no exponent, as nearly all are, and says how many bytes it
/// takes; what follows is none that could belong to a number. The digits and the power of ten are
/// exact as floating-point numbers, so their quotient is the nearest there is (Clinger, PLDI 1990).
#[inline(always)]
pub(super) fn short_decimal(text: &[u8]) -> Option<(f64, usize)> {
    const POWERS: [f64; 16] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let sign = usize::from(text.first() == Some(&b'-'));
    let number = &text[sign..];
    if matches!(number, [b'0', b'0'..=b'9', ..]) {
        return None;
    }
    let mut value = 0u64;
    let (mut digits, mut point) = (0, None);
    // The sixteenth digit would be too many; there is at most one point.
    for byte in number.iter().take(17) {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            value = value * 10 + u64::from(digit);
            digits += 1;
        } else if *byte == b'.' && point.is_none() {
            point = Some(digits);
        } else if matches!(byte, b'.' | b'e' | b'E' | b'-' | b'+') {
            return None;
        } else {
            break;
        }
    }
    let fraction = digits - point.unwrap_or(digits);
    if digits == 0 || digits > 15 || point == Some(0) || point == Some(digits) {
        return None;
    }
    let value = value as f64 / POWERS[fraction];
    let len = sign + digits + usize::from(point.is_some());
    Some((if sign == 1 { -value } else { value }, len))
}

/// The parts of a number without its sign.
struct Parts<'a> {
    whole: &'a [u8],
    fraction: &'a [u8],
    /// The exponent; a value that it cannot hold is near its bounds.
    exponent: i64,
}

impl<'a> Parts<'a> {
    fn of(number: &'a [u8], text: bool) -> Result<Parts<'a>, JsonReason> {
        let wrong = if text { JsonReason::NumberText } else { JsonReason::Number };
        let split =
            |text: &'a [u8]| text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count());
        let (whole, mut rest) = split(number);
        let mut fraction = &[][..];
        let mut dot = false;
        if let [b'.', after @ ..] = rest {
            dot = true;
            (fraction, rest) = split(after);
        }
        let mut exponent = 0i64;
        if let [b'e' | b'E', after @ ..] = rest {
            let (negative, after) = match after {
                [b'-', after @ ..] => (true, after),
                [b'+', after @ ..] => (false, after),
                after => (false, after),
            };
            let (digits, after) = split(after);
            if digits.is_empty() {
                return Err(wrong);
            }
            exponent = digits
                .iter()
                .fold(0i64, |value, digit| value.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
            exponent = if negative { -exponent } else { exponent };
            rest = after;
        }
        let json =
            !whole.is_empty() && (whole[0] != b'0' || whole.len() == 1) && !(dot && fraction.is_empty());
        let lenient = text && !(whole.is_empty() && fraction.is_empty());
        if !rest.is_empty() || !(json || lenient) {
            return Err(wrong);
        }
        Ok(Parts { whole, fraction, exponent })
    }

    /// The number, if it is an integer of 64 bits.
    fn integer(&self) -> Result<u64, JsonReason> {
        let digits = || self.whole.iter().chain(self.fraction).map(|digit| digit - b'0');
        let Some(last) = digits().rposition_nonzero() else { return Ok(0) };
        // The value is the digits up to the last that is not zero, times a power of ten.
        let power = (self.whole.len() as i64 - 1 - last as i64).saturating_add(self.exponent);
        if power < 0 {
            return Err(JsonReason::NotInteger);
        }
        let too_large = JsonReason::Range("an integer of 64 bits");
        let mut value = 0u64;
        for digit in digits().take(last + 1) {
            value = value
                .checked_mul(10)
                .and_then(|value| value.checked_add(u64::from(digit)))
                .ok_or(too_large)?;
        }
        let factor = u32::try_from(power).ok().and_then(|power| 10u64.checked_pow(power)).ok_or(too_large)?;
        value.checked_mul(factor).ok_or(too_large)
    }
}

trait LastNonzero {
    fn rposition_nonzero(self) -> Option<usize>;
}

impl<I: Iterator<Item = u8>> LastNonzero for I {
    fn rposition_nonzero(self) -> Option<usize> {
        self.enumerate().filter(|(_, digit)| *digit != 0).map(|(index, _)| index).last()
    }
}

/// Appends an unsigned integer.
#[inline]
pub(super) fn put_uint(out: &mut Vec<u8>, mut value: u64) {
    const PAIRS: &[u8; 200] = &{
        let mut pairs = [0; 200];
        let mut value = 0;
        while value < 100 {
            pairs[2 * value] = b'0' + (value / 10) as u8;
            pairs[2 * value + 1] = b'0' + (value % 10) as u8;
            value += 1;
        }
        pairs
    };
    let mut text = [0; 20];
    let mut at = 20;
    while value >= 10 {
        let pair = (value % 100) as usize;
        value /= 100;
        at -= 2;
        text[at..at + 2].copy_from_slice(&PAIRS[2 * pair..2 * pair + 2]);
    }
    if value > 0 || at == 20 {
        at -= 1;
        text[at] = b'0' + value as u8;
    }
    out.extend_from_slice(&text[at..]);
}

/// Appends an integer.
#[inline]
pub(super) fn put_int(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    put_uint(out, value.unsigned_abs());
}

/// Appends a floating-point number as Go writes it: the shortest digits that give it back, with an exponent
/// of two digits or more below 1e-6 and from 1e21 on; what is no number as text.
pub(super) fn put_double(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        return out.extend_from_slice(b"\"NaN\"");
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    }
    let magnitude = value.abs();
    if value.fract() == 0.0 && (1.0..1e15).contains(&magnitude) {
        return put_int(out, value as i64);
    }
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        return write(out, format_args!("{value}"));
    }
    let start = out.len();
    write(out, format_args!("{value:e}"));
    let Some(exponent) = out[start..].iter().position(|byte| *byte == b'e') else { return };
    let digits = out.split_off(start + exponent + 1);
    let (sign, digits) = match digits.as_slice() {
        [b'-', digits @ ..] => (b'-', digits),
        digits => (b'+', digits),
    };
    out.push(sign);
    if digits.len() < 2 {
        out.push(b'0');
    }
    out.extend_from_slice(digits);
}

fn write(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    struct Sink<'a>(&'a mut Vec<u8>);
    impl std::fmt::Write for Sink<'_> {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    // A vector takes everything.
    let _ = Sink(out).write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_as_json_and_text_write_them() {
        let range = Err(JsonReason::Range("an integer of 64 bits"));
        // (token, as JSON, as text)
        let cases = [
            ("0", Ok(0i128), Ok(0i128)),
            ("-0", Ok(0), Ok(0)),
            ("7", Ok(7), Ok(7)),
            ("12345678", Ok(12_345_678), Ok(12_345_678)),
            ("1760000001500000000", Ok(1_760_000_001_500_000_000), Ok(1_760_000_001_500_000_000)),
            ("18446744073709551615", Ok(u64::MAX.into()), Ok(u64::MAX.into())),
            ("-18446744073709551615", Ok(-i128::from(u64::MAX)), Ok(-i128::from(u64::MAX))),
            ("18446744073709551616", range, range),
            ("99999999999999999999999", range, range),
            ("1e19", Ok(10_000_000_000_000_000_000), Ok(10_000_000_000_000_000_000)),
            ("1e20", range, range),
            ("1e9999999999999999999999", range, range),
            ("0e9999999999999999999999", Ok(0), Ok(0)),
            ("1.5e1", Ok(15), Ok(15)),
            ("2.0", Ok(2), Ok(2)),
            ("100e-2", Ok(1), Ok(1)),
            ("2.5", Err(JsonReason::NotInteger), Err(JsonReason::NotInteger)),
            ("1e-1", Err(JsonReason::NotInteger), Err(JsonReason::NotInteger)),
            ("007", Err(JsonReason::Number), Ok(7)),
            ("00000000000000000000000000000007", Err(JsonReason::Number), Ok(7)),
            ("+7", Err(JsonReason::Number), Ok(7)),
            ("", Err(JsonReason::Number), Err(JsonReason::NumberText)),
            ("-", Err(JsonReason::Number), Err(JsonReason::NumberText)),
            ("--1", Err(JsonReason::Number), Err(JsonReason::NumberText)),
            ("1.", Err(JsonReason::Number), Ok(1)),
            ("1e", Err(JsonReason::Number), Err(JsonReason::NumberText)),
            ("1x345678", Err(JsonReason::Number), Err(JsonReason::NumberText)),
            ("1/345678", Err(JsonReason::Number), Err(JsonReason::NumberText)),
            ("123-5678", Err(JsonReason::Number), Err(JsonReason::NumberText)),
            ("1234567:", Err(JsonReason::Number), Err(JsonReason::NumberText)),
            ("1/345:78", Err(JsonReason::Number), Err(JsonReason::NumberText)),
            ("0x10", Err(JsonReason::Number), Err(JsonReason::NumberText)),
            (" 1", Err(JsonReason::Number), Err(JsonReason::NumberText)),
        ];
        let read = |token: &str, text| {
            integer(token.as_bytes(), text).map(|value| {
                let magnitude = i128::from(value.magnitude);
                if value.negative { -magnitude } else { magnitude }
            })
        };
        for (token, json, text) in cases {
            assert_eq!(read(token, false), json, "{token}");
            assert_eq!(read(token, true), text, "{token} in text");
        }
        let least = Integer { negative: true, magnitude: 1 << 63 };
        assert_eq!(least.signed(64, "int64"), Ok(i64::MIN));
        assert!(Integer { negative: false, ..least }.signed(64, "int64").is_err());
        assert!(Integer { negative: true, magnitude: (1 << 63) + 1 }.signed(64, "int64").is_err());
        assert!(least.unsigned(u64::MAX, "uint64").is_err());
    }

    #[test]
    fn doubles_as_json_and_text_write_them() {
        let cases = [
            ("0.5", Some(0.5), Some(0.5)),
            ("-1e-7", Some(-1e-7), Some(-1e-7)),
            ("1E+2", Some(100.0), Some(100.0)),
            ("1e400", None, None),
            ("NaN", None, Some(f64::NAN)),
            ("Infinity", None, Some(f64::INFINITY)),
            ("-Infinity", None, Some(f64::NEG_INFINITY)),
            ("+Inf", None, Some(f64::INFINITY)),
            ("-Inf", None, Some(f64::NEG_INFINITY)),
            (".5", None, Some(0.5)),
            ("01", None, Some(1.0)),
            ("", None, None),
            ("x", None, None),
            ("1.5.2", None, None),
            ("1.", None, Some(1.0)),
            ("-", None, None),
            ("-.5", None, Some(-0.5)),
            ("-0", Some(-0.0), Some(-0.0)),
            ("00.5", None, Some(0.5)),
            ("129.953125", Some(129.953125), Some(129.953125)),
            ("0.30000000000000004", Some(0.30000000000000004), Some(0.30000000000000004)),
            ("999999999999999", Some(999999999999999.0), Some(999999999999999.0)),
            ("9007199254740993", Some(9007199254740992.0), Some(9007199254740992.0)),
            ("0.00000000000001", Some(1e-14), Some(1e-14)),
            ("e5", None, None),
        ];
        for (token, json, text) in cases {
            let bits = |value: Option<f64>| value.map(f64::to_bits);
            assert_eq!(bits(double(token.as_bytes(), false).ok()), bits(json), "{token}");
            assert_eq!(bits(double(token.as_bytes(), true).ok()), bits(text), "{token} in text");
        }
    }

    proptest::proptest! {
        #[test]
        fn doubles_are_those_of_the_standard_library(token in "-?(0|[1-9][0-9]{0,17})(\\.[0-9]{1,17})?([eE][+-]?[0-9]{1,2})?") {
            let expected: f64 = token.parse().unwrap();
            for text in [false, true] {
                proptest::prop_assert_eq!(double(token.as_bytes(), text).map(f64::to_bits), Ok(expected.to_bits()));
            }
        }
    }

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        let doubles = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-42.0, "-42"),
            (0.1, "0.1"),
            (1e-6, "0.000001"),
            (9.99e-7, "9.99e-07"),
            (1e-7, "1e-07"),
            (-2.5e-100, "-2.5e-100"),
            (1e15, "1000000000000000"),
            (123456789012345680.0, "123456789012345680"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::NAN, "\"NaN\""),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ];
        for (value, expected) in doubles {
            let mut out = Vec::new();
            put_double(&mut out, value);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
        for value in [0, 1, 9, 10, 99, 100, 101, 999, 1000, 1010, 1 << 40, u64::MAX, u64::MAX / 10] {
            let mut out = Vec::new();
            put_uint(&mut out, value);
            assert_eq!(String::from_utf8_lossy(&out), value.to_string());
        }
        for value in [0, -1, i64::MIN, i64::MAX] {
            let mut out = Vec::new();
            put_int(&mut out, value);
            assert_eq!(String::from_utf8_lossy(&out), value.to_string());
        }
    }
}
