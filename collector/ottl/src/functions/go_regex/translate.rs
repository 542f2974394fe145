//! From Go's syntax into that of the `regex` crate.

use std::collections::HashMap;

use super::{MAX_SAME_NAME, nth_name};

/// The most that an expression may be repeated, as in Go.
const MAX_REPEAT: u32 = 1000;

/// One pass over a pattern.
pub(super) struct Translator<'a> {
    rest: &'a str,
    out: String,
    /// Whether the last thing was a repeat, which Go allows only once.
    repeated: bool,
    /// How many groups there were of each name.
    names: HashMap<&'a str, usize>,
}

impl<'a> Translator<'a> {
    pub(super) fn new(pattern: &'a str) -> Self {
        Self {
            rest: pattern,
            out: String::with_capacity(pattern.len() + 16),
            repeated: false,
            names: HashMap::new(),
        }
    }

    pub(super) fn run(mut self) -> Result<String, String> {
        while let Some(character) = self.peek() {
            let repeated = std::mem::take(&mut self.repeated);
            match character {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '*' | '+' | '?' => {
                    self.advance(character);
                    self.repeat(repeated, &character.to_string())?;
                }
                '{' => match repeat_count(self.rest) {
                    Some((text, low, high)) => {
                        if low > MAX_REPEAT || high.is_some_and(|high| high > MAX_REPEAT || high < low) {
                            return Err(format!("invalid repeat count {text}"));
                        }
                        self.rest = &self.rest[text.len()..];
                        self.repeat(repeated, text)?;
                    }
                    None => self.plain('{'),
                },
                '.' | '^' | '$' | '|' | ')' => {
                    self.advance(character);
                    self.out.push(character);
                }
                other => self.plain(other),
            }
        }
        Ok(self.out)
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn advance(&mut self, character: char) {
        self.rest = &self.rest[character.len_utf8()..];
    }

    /// Takes a character that means itself.
    fn plain(&mut self, character: char) {
        self.advance(character);
        push_literal(&mut self.out, character);
    }

    fn repeat(&mut self, repeated: bool, operator: &str) -> Result<(), String> {
        if repeated {
            return Err(format!("invalid nested repetition operator {operator}"));
        }
        self.out.push_str(operator);
        if let Some(rest) = self.rest.strip_prefix('?') {
            self.out.push('?');
            self.rest = rest;
        }
        self.repeated = true;
        Ok(())
    }

    fn group(&mut self) -> Result<(), String> {
        let Some(inside) = self.rest.strip_prefix("(?") else {
            self.advance('(');
            self.out.push('(');
            return Ok(());
        };
        if let Some(named) = inside.strip_prefix("P<").or_else(|| inside.strip_prefix('<'))
            && !named.starts_with(['=', '!'])
        {
            let end = named.find('>').ok_or("the name of a group is not closed")?;
            let name = &named[..end];
            if name.is_empty()
                || !name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
            {
                return Err(format!("invalid name of a group: {name:?}"));
            }
            let nth = self.names.entry(name).and_modify(|count| *count += 1).or_insert(1);
            let name = match *nth {
                1 => name.to_owned(),
                2..=MAX_SAME_NAME => nth_name(name, *nth),
                _ => return Err(format!("more than {MAX_SAME_NAME} groups are called {name}")),
            };
            self.out.push_str("(?P<");
            self.out.push_str(&name);
            self.out.push('>');
            self.rest = &named[end + 1..];
            return Ok(());
        }
        let end = inside.find([')', ':']).ok_or("a parenthesis is not closed")?;
        let flags = &inside[..end];
        if !flags.chars().all(|flag| matches!(flag, 'i' | 'm' | 's' | 'U' | '-')) {
            let shown: String = inside.chars().take(end + 1).collect();
            return Err(format!("invalid or unsupported Perl syntax: (?{shown}"));
        }
        self.out.push_str("(?");
        self.out.push_str(&inside[..=end]);
        self.rest = &inside[end + 1..];
        Ok(())
    }

    /// Translates an escape outside of a class.
    fn escape(&mut self) -> Result<(), String> {
        let rest = &self.rest[1..];
        if let Some(quoted) = rest.strip_prefix('Q') {
            let (text, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            for character in text.chars() {
                push_literal(&mut self.out, character);
            }
            self.rest = after;
            return Ok(());
        }
        let special = match rest.chars().next() {
            Some('b') => r"(?-u:\b)",
            Some('B') => r"(?-u:\B)",
            Some('A') => r"\A",
            Some('z') => r"\z",
            // An `\E` without `\Q` is nothing.
            Some('E') => "",
            _ => return self.escape_of_both(false),
        };
        self.out.push_str(special);
        self.rest = &rest[1..];
        Ok(())
    }

    /// Translates an escape that may stand within a class and outside; leaves the pattern behind it.
    fn escape_of_both(&mut self, in_class: bool) -> Result<(), String> {
        let rest = &self.rest[1..];
        let character = rest.chars().next().ok_or("a backslash at the end")?;
        let after = &rest[character.len_utf8()..];
        let perl = match character {
            'd' => Some("0-9"),
            's' => Some("\\t\\n\\x0c\\r\\x20"),
            'w' => Some("0-9A-Za-z_"),
            'D' => Some("^0-9"),
            'S' => Some("^\\t\\n\\x0c\\r\\x20"),
            'W' => Some("^0-9A-Za-z_"),
            _ => None,
        };
        if let Some(class) = perl {
            // Within a class, a class by itself is a union.
            self.out.push('[');
            self.out.push_str(class);
            self.out.push(']');
            self.rest = after;
            return Ok(());
        }
        if matches!(character, 'p' | 'P') {
            return self.unicode_class(character == 'P', after);
        }
        let (literal, after) = escaped_literal(rest).ok_or_else(|| {
            format!(
                "invalid escape sequence \\{character}{}",
                if in_class { " in a character class" } else { "" }
            )
        })?;
        push_literal(&mut self.out, literal);
        self.rest = after;
        Ok(())
    }

    fn unicode_class(&mut self, negated: bool, after: &'a str) -> Result<(), String> {
        let (name, after) = if let Some(braced) = after.strip_prefix('{') {
            braced.split_once('}').ok_or("the name of a class is not closed")?
        } else {
            let letter = after.chars().next().ok_or("a class without name")?;
            after.split_at(letter.len_utf8())
        };
        let (inverted, name) = name.strip_prefix('^').map_or((false, name), |name| (true, name));
        if !name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_') {
            return Err(format!("invalid character class {name:?}"));
        }
        self.out.push_str(if negated != inverted { "\\P{" } else { "\\p{" });
        self.out.push_str(name);
        self.out.push('}');
        self.rest = after;
        Ok(())
    }

    fn class(&mut self) -> Result<(), String> {
        const OPEN: &str = "missing closing ]";
        self.advance('[');
        self.out.push('[');
        if let Some(rest) = self.rest.strip_prefix('^') {
            self.out.push('^');
            self.rest = rest;
        }
        let mut first = true;
        loop {
            let character = self.peek().ok_or(OPEN)?;
            if character == ']' && !first {
                self.advance(']');
                self.out.push(']');
                return Ok(());
            }
            first = false;
            if let Some(posix) = self.rest.strip_prefix("[:")
                && let Some(end) = posix.find(":]")
            {
                self.posix_class(&posix[..end])?;
                self.rest = &posix[end + 2..];
                continue;
            }
            if character == '\\' && self.rest[1..].starts_with(['d', 'D', 's', 'S', 'w', 'W', 'p', 'P']) {
                self.escape_of_both(true)?;
                continue;
            }
            let low = self.class_character()?;
            let is_range = self.rest.starts_with('-') && !self.rest.starts_with("-]") && self.rest.len() > 1;
            push_literal(&mut self.out, low);
            if is_range {
                self.advance('-');
                let high = self.class_character()?;
                if high < low {
                    return Err(format!("invalid character class range {low}-{high}"));
                }
                self.out.push('-');
                push_literal(&mut self.out, high);
            }
        }
    }

    fn class_character(&mut self) -> Result<char, String> {
        let character = self.peek().ok_or("missing closing ]")?;
        if character != '\\' {
            self.advance(character);
            return Ok(character);
        }
        let (literal, after) =
            escaped_literal(&self.rest[1..]).ok_or("invalid escape sequence in a character class")?;
        self.rest = after;
        Ok(literal)
    }

    fn posix_class(&mut self, name: &str) -> Result<(), String> {
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
            "space", "upper", "word", "xdigit",
        ];
        if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(format!("invalid character class [:{name}:]"));
        }
        self.out.push_str("[:");
        self.out.push_str(name);
        self.out.push_str(":]");
        Ok(())
    }
}

/// Reads `{2}`, `{2,}` or `{2,3}` at the beginning: the text, and the counts.
fn repeat_count(rest: &str) -> Option<(&str, u32, Option<u32>)> {
    let inside = &rest[1..rest.find('}')?];
    let text = &rest[..inside.len() + 2];
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let leading_zero = digits.len() > 1 && digits.starts_with('0');
        (plain && !leading_zero).then(|| digits.parse().unwrap_or(u32::MAX))
    };
    match inside.split_once(',') {
        None => number(inside).map(|count| (text, count, Some(count))),
        Some((low, "")) => number(low).map(|low| (text, low, None)),
        Some((low, high)) => Some((text, number(low)?, Some(number(high)?))),
    }
}

/// Reads what follows a backslash as one character: octal, hexadecimal, a control character, or
/// punctuation that means itself.
fn escaped_literal(rest: &str) -> Option<(char, &str)> {
    let character = rest.chars().next()?;
    let after = &rest[character.len_utf8()..];
    let octal = |digits: &str| digits.bytes().take_while(|byte| (b'0'..=b'7').contains(byte)).count();
    match character {
        // `\1` alone would be a back-reference.
        '1'..='7' if octal(after) == 0 => None,
        '0'..='7' => {
            let length = 1 + octal(after).min(2);
            let code = u32::from_str_radix(&rest[..length], 8).ok()?;
            Some((char::from_u32(code)?, &rest[length..]))
        }
        'x' => {
            let (digits, after) = match after.strip_prefix('{') {
                Some(braced) => braced.split_once('}')?,
                None => after.split_at_checked(2)?,
            };
            let hexadecimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            let code = u32::from_str_radix(digits, 16).ok().filter(|_| hexadecimal)?;
            Some((char::from_u32(code)?, after))
        }
        'a' => Some(('\x07', after)),
        'f' => Some(('\x0c', after)),
        'n' => Some(('\n', after)),
        'r' => Some(('\r', after)),
        't' => Some(('\t', after)),
        'v' => Some(('\x0b', after)),
        plain if plain.is_ascii() && !plain.is_ascii_alphanumeric() => Some((plain, after)),
        _ => None,
    }
}

/// Writes a character so that it means itself, within a class and outside.
fn push_literal(out: &mut String, character: char) {
    if character.is_ascii_punctuation() && character != '_' || character.is_ascii_control() {
        out.push_str(&format!("\\x{:02x}", character as u32));
    } else {
        out.push(character);
    }
}
