//! `fmt.Sprintf` of Go, for the values that a statement can hand over.
//!
//! A verb that does not fit a value shows that in the result, as in Go: `%!d(string=a)`. Maps and lists,
//! for which Go would print addresses, are JSON.

use std::fmt::Write as _;

use super::encode::hex;
use super::number::{general_float, go_exponent};
use crate::EvalError;

/// Width and precision beyond this are mistakes, in Go too.
const MAX_WIDTH: usize = 1_000_000;
/// A result may not be larger.
const MAX_RESULT_BYTES: usize = 1 << 20;

/// What a verb can be applied to.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument<'a> {
    /// `nil`.
    Nil,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// What Go would print by a method of its own, or in no useful way: the name of its type in Go, and a
    /// text to print for `%v` and `%s`.
    Other(&'static str, String),
}

impl Argument<'_> {
    fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int64",
            Self::Double(_) => "float64",
            Self::Text(_) => "string",
            Self::Bytes(_) => "[]uint8",
            Self::Other(name, _) => name,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Formats as Go's `Sprintf` does.
///
/// # Errors
///
/// A result of more than a megabyte.
pub fn sprintf(format: &str, arguments: &[Argument<'_>]) -> Result<String, EvalError> {
    let mut printer = Printer { out: String::new(), arguments, next: 0, reordered: false, good_index: true };
    printer.run(format)?;
    Ok(printer.out)
}

struct Printer<'a> {
    out: String,
    arguments: &'a [Argument<'a>],
    next: usize,
    reordered: bool,
    good_index: bool,
}

impl Printer<'_> {
    fn run(&mut self, format: &str) -> Result<(), EvalError> {
        let mut rest = format;
        while let Some(percent) = rest.find('%') {
            self.out.push_str(&rest[..percent]);
            rest = self.verb(&rest[percent + 1..]);
            if self.out.len() > MAX_RESULT_BYTES {
                return Err(EvalError::new(format!(
                    "the result of formatting would be larger than {MAX_RESULT_BYTES} bytes"
                )));
            }
        }
        self.out.push_str(rest);
        if !self.reordered && self.next < self.arguments.len() {
            self.out.push_str("%!(EXTRA ");
            for (position, argument) in self.arguments[self.next..].iter().enumerate() {
                if position > 0 {
                    self.out.push_str(", ");
                }
                match argument {
                    Argument::Nil => self.out.push_str("<nil>"),
                    argument => {
                        let shown = plain(argument);
                        let _ = write!(self.out, "{}={shown}", argument.type_name());
                    }
                }
            }
            self.out.push(')');
        }
        Ok(())
    }

    /// Reads one directive behind its `%`, and gives what follows.
    fn verb<'f>(&mut self, mut rest: &'f str) -> &'f str {
        let mut flags = Flags::default();
        self.good_index = true;
        loop {
            match rest.as_bytes().first() {
                Some(b'#') => flags.sharp = true,
                Some(b'0') => flags.zero = true,
                Some(b'+') => flags.plus = true,
                Some(b'-') => flags.minus = true,
                Some(b' ') => flags.space = true,
                _ => break,
            }
            rest = &rest[1..];
        }
        let mut after_index = false;
        rest = self.index(rest, &mut after_index);
        if let Some(star) = rest.strip_prefix('*') {
            rest = star;
            match self.star() {
                Some(width) => {
                    flags.minus |= width < 0;
                    flags.width = Some(width.unsigned_abs() as usize);
                }
                None => self.out.push_str("%!(BADWIDTH)"),
            }
            after_index = false;
        } else if let Some((width, after)) = number(rest) {
            if after_index {
                self.good_index = false;
            }
            flags.width = Some(width);
            rest = after;
        }
        if let Some(after) = rest.strip_prefix('.') {
            if after_index {
                self.good_index = false;
            }
            rest = self.index(after, &mut after_index);
            if let Some(star) = rest.strip_prefix('*') {
                rest = star;
                match self.star() {
                    Some(precision) => flags.precision = usize::try_from(precision).ok(),
                    None => self.out.push_str("%!(BADPREC)"),
                }
                after_index = false;
            } else if let Some((precision, after)) = number(rest) {
                flags.precision = Some(precision);
                rest = after;
            } else {
                flags.precision = Some(0);
            }
        }
        if !after_index {
            rest = self.index(rest, &mut after_index);
        }
        let Some(verb) = rest.chars().next() else {
            self.out.push_str("%!(NOVERB)");
            return "";
        };
        rest = &rest[verb.len_utf8()..];
        if verb == '%' {
            self.out.push('%');
        } else if !self.good_index {
            let _ = write!(self.out, "%!{verb}(BADINDEX)");
        } else if let Some(argument) = self.arguments.get(self.next) {
            self.next += 1;
            format_argument(&mut self.out, argument, verb, flags);
        } else {
            let _ = write!(self.out, "%!{verb}(MISSING)");
        }
        rest
    }

    /// Reads an index such as `[2]`.
    fn index<'f>(&mut self, rest: &'f str, found: &mut bool) -> &'f str {
        let Some(inside) = rest.strip_prefix('[') else { return rest };
        self.reordered = true;
        let Some((digits, after)) = inside.split_once(']') else {
            self.good_index = false;
            return inside;
        };
        match number(digits) {
            Some((index, "")) if (1..=self.arguments.len()).contains(&index) => {
                self.next = index - 1;
                *found = true;
            }
            _ => self.good_index = false,
        }
        after
    }

    /// Takes a width or a precision from the arguments.
    fn star(&mut self) -> Option<i64> {
        let argument = self.arguments.get(self.next)?;
        self.next += 1;
        match *argument {
            Argument::Int(number) if number.unsigned_abs() <= MAX_WIDTH as u64 => Some(number),
            _ => None,
        }
    }
}

/// A number at the beginning, if it is not too large.
fn number(text: &str) -> Option<(usize, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = text[..digits].parse().ok().filter(|&number| number <= MAX_WIDTH)?;
    Some((number, &text[digits..]))
}

fn format_argument(out: &mut String, argument: &Argument<'_>, verb: char, mut flags: Flags) {
    if verb == 'T' {
        return pad(out, argument.type_name(), flags, false);
    }
    let formatted = match argument {
        Argument::Nil => (verb == 'v').then(|| ("<nil>".to_owned(), false)),
        Argument::Bool(value) => matches!(verb, 't' | 'v').then(|| (value.to_string(), false)),
        Argument::Int(number) => integer(*number, verb, &mut flags),
        Argument::Double(number) => double(*number, verb, flags),
        Argument::Text(text) => string(text, verb, flags),
        Argument::Bytes(bytes) => match verb {
            'v' | 'd' => Some((bytes_as_list(bytes), false)),
            's' | 'x' | 'X' => {
                let shown = &bytes[..flags.precision.unwrap_or(bytes.len()).min(bytes.len())];
                Some((
                    if verb == 's' {
                        String::from_utf8_lossy(shown).into_owned()
                    } else {
                        hexadecimal(shown, verb, flags)
                    },
                    false,
                ))
            }
            'q' => Some((quoted(&String::from_utf8_lossy(bytes), flags), false)),
            _ => None,
        },
        Argument::Other(_, text) => string(text, if verb == 'v' { 's' } else { verb }, flags),
    };
    match formatted {
        Some((text, numeric)) => pad(out, &text, flags, numeric),
        None if *argument == Argument::Nil => {
            let _ = write!(out, "%!{verb}(<nil>)");
        }
        None => {
            let _ = write!(out, "%!{verb}({}={})", argument.type_name(), plain(argument));
        }
    }
}

/// An argument as `%v` prints it.
fn plain(argument: &Argument<'_>) -> String {
    let mut out = String::new();
    format_argument(&mut out, argument, 'v', Flags::default());
    out
}

/// Pads to the width; zeros go behind the sign.
fn pad(out: &mut String, text: &str, flags: Flags, numeric: bool) {
    let missing = flags.width.unwrap_or(0).saturating_sub(text.chars().count());
    let padding = |out: &mut String, with: char| out.extend(std::iter::repeat_n(with, missing));
    if flags.minus {
        out.push_str(text);
        padding(out, ' ');
    } else if flags.zero && numeric {
        let signed = text.starts_with(['+', '-', ' ']);
        let (sign, digits) = text.split_at(usize::from(signed));
        out.push_str(sign);
        padding(out, '0');
        out.push_str(digits);
    } else {
        padding(out, if flags.zero { '0' } else { ' ' });
        out.push_str(text);
    }
}

fn integer(number: i64, verb: char, flags: &mut Flags) -> Option<(String, bool)> {
    let magnitude = number.unsigned_abs();
    let (digits, prefix) = match verb {
        'd' | 'v' => (magnitude.to_string(), ""),
        'b' => (format!("{magnitude:b}"), if flags.sharp { "0b" } else { "" }),
        'o' => (format!("{magnitude:o}"), if flags.sharp { "0" } else { "" }),
        'O' => (format!("{magnitude:o}"), "0o"),
        'x' => (format!("{magnitude:x}"), if flags.sharp { "0x" } else { "" }),
        'X' => (format!("{magnitude:X}"), if flags.sharp { "0X" } else { "" }),
        'c' => return Some((character(number).to_string(), false)),
        'q' => return Some((quoted_character(character(number)), false)),
        'U' => return Some((format!("U+{magnitude:04X}"), false)),
        _ => return None,
    };
    let digits = match flags.precision {
        Some(0) if number == 0 => String::new(),
        Some(precision) => {
            flags.zero = false;
            format!("{}{digits}", "0".repeat(precision.saturating_sub(digits.len())))
        }
        None => digits,
    };
    Some((format!("{}{prefix}{digits}", sign(number < 0, *flags)), true))
}

fn sign(negative: bool, flags: Flags) -> &'static str {
    match (negative, flags.plus, flags.space) {
        (true, ..) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        (false, false, false) => "",
    }
}

fn character(code: i64) -> char {
    u32::try_from(code).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn double(number: f64, verb: char, flags: Flags) -> Option<(String, bool)> {
    let magnitude = number.abs();
    let digits = match verb {
        _ if !number.is_finite() && matches!(verb, 'v' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G') => {
            // Go writes a sign before infinity always, and pads with spaces.
            let text = if number.is_nan() {
                if flags.plus { "+NaN" } else { "NaN" }
            } else if number > 0.0 {
                "+Inf"
            } else {
                "-Inf"
            };
            return Some((text.to_owned(), false));
        }
        'f' | 'F' => fixed(magnitude, flags.precision.unwrap_or(6)),
        'e' => go_exponent(&scientific(magnitude, flags.precision.unwrap_or(6))),
        'E' => go_exponent(&scientific(magnitude, flags.precision.unwrap_or(6))).to_uppercase(),
        'v' => general(magnitude, flags.precision, 21),
        'g' => general(magnitude, flags.precision, 21),
        'G' => general(magnitude, flags.precision, 21).to_uppercase(),
        _ => return None,
    };
    Some((format!("{}{digits}", sign(number.is_sign_negative(), flags)), true))
}

/// `%g`: the shortest text, or so many significant digits.
fn general(magnitude: f64, precision: Option<usize>, exponent_from: i32) -> String {
    let Some(precision) = precision else { return general_float(magnitude, exponent_from) };
    let precision = precision.max(1);
    let scientific = scientific(magnitude, precision - 1);
    let exponent: i32 =
        scientific.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    let trim = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if exponent < -4 || exponent >= precision as i32 {
        let (mantissa, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        go_exponent(&format!("{}e{power}", trim(mantissa)))
    } else {
        trim(&fixed(magnitude, (precision as i32 - 1 - exponent).max(0) as usize))
    }
}

/// Behind so many digits every double has only zeros, and Rust formats no more than 65,535.
const ALL_DIGITS: usize = 1100;

fn fixed(magnitude: f64, precision: usize) -> String {
    format!("{magnitude:.*}{}", precision.min(ALL_DIGITS), "0".repeat(precision.saturating_sub(ALL_DIGITS)))
}

fn scientific(magnitude: f64, precision: usize) -> String {
    let text = format!("{magnitude:.*e}", precision.min(ALL_DIGITS));
    text.replace('e', &format!("{}e", "0".repeat(precision.saturating_sub(ALL_DIGITS))))
}

fn string(text: &str, verb: char, flags: Flags) -> Option<(String, bool)> {
    let cut = |text: &str| match flags.precision {
        Some(precision) => text.chars().take(precision).collect(),
        None => text.to_owned(),
    };
    match verb {
        's' | 'v' => Some((cut(text), false)),
        'q' => Some((quoted(&cut(text), flags), false)),
        'x' | 'X' => {
            let bytes = text.as_bytes();
            Some((
                hexadecimal(&bytes[..flags.precision.unwrap_or(bytes.len()).min(bytes.len())], verb, flags),
                false,
            ))
        }
        _ => None,
    }
}

fn hexadecimal(bytes: &[u8], verb: char, flags: Flags) -> String {
    let prefix = if flags.sharp { "0x" } else { "" };
    let text = if flags.space {
        bytes.iter().map(|byte| format!("{prefix}{byte:02x}")).collect::<Vec<_>>().join(" ")
    } else if bytes.is_empty() {
        String::new()
    } else {
        format!("{prefix}{}", hex(bytes))
    };
    if verb == 'X' { text.to_uppercase() } else { text }
}

fn bytes_as_list(bytes: &[u8]) -> String {
    format!("[{}]", bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(" "))
}

/// A text in Go's quotes.
fn quoted(text: &str, flags: Flags) -> String {
    if flags.sharp
        && !text.contains(['`', '\u{feff}'])
        && !text.chars().any(|character| character.is_control() && character != '\t')
    {
        return format!("`{text}`");
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        push_escaped(&mut out, character, '"', flags.plus);
    }
    out.push('"');
    out
}

fn quoted_character(character: char) -> String {
    let mut out = String::from("'");
    push_escaped(&mut out, character, '\'', false);
    out.push('\'');
    out
}

fn push_escaped(out: &mut String, character: char, quote: char, ascii_only: bool) {
    let _ = match character {
        '\x07' => out.write_str("\\a"),
        '\x08' => out.write_str("\\b"),
        '\x0c' => out.write_str("\\f"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        '\x0b' => out.write_str("\\v"),
        '\\' => out.write_str("\\\\"),
        character if character == quote => write!(out, "\\{character}"),
        character if character.is_ascii() && character.is_control() => {
            write!(out, "\\x{:02x}", character as u32)
        }
        character if character.is_control() || (ascii_only && !character.is_ascii()) => {
            match character as u32 {
                code @ 0..=0xffff => write!(out, "\\u{code:04x}"),
                code => write!(out, "\\U{code:08x}"),
            }
        }
        character => out.write_char(character),
    };
}

#[cfg(test)]
mod tests;
