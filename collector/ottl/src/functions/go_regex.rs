//! Regular expressions as Go writes them, run by an engine whose time is linear in the text.
//!
//! The syntax of Go (RE2) and that of the `regex` crate differ in small things, so that a pattern is
//! rewritten first: `\d`, `\s`, `\w` and `\b` mean ASCII, a brace that is no repeat and brackets, `&&`,
//! `--` and `~~` within a class are plain, `\Q…\E` quotes, `\123` is octal. What Go refuses and the crate
//! would take is refused here.

use std::collections::HashMap;

use regex::{Captures, Regex, RegexBuilder};

use crate::{EvalError, Map};

/// The most that an expression may be repeated, as in Go.
const MAX_REPEAT: u32 = 1000;
/// Memory for one compiled expression; more is refused.
const MAX_COMPILED_BYTES: usize = 10 << 20;
/// A result may always have this size, whatever the size of the text.
const ALWAYS_ALLOWED_BYTES: usize = 1 << 20;
/// How many times larger than its text a result may be.
const MAX_GROWTH: usize = 8;

/// How many groups may have one name, which Go allows and the crate does not.
const MAX_SAME_NAME: usize = 16;

/// What the second and further groups of a name are called; Go's names have no points.
fn nth_name(name: &str, nth: usize) -> String {
    format!("{name}.{nth}")
}

/// The name of a group as it was written.
pub(crate) fn written_name(group: &str) -> &str {
    group.split_once('.').map_or(group, |(name, _)| name)
}

/// Compiles an expression in Go's syntax.
///
/// # Errors
///
/// What Go refuses (look-around, back-references, unbalanced parentheses), and expressions that would
/// take more than ten megabytes.
pub fn compile(pattern: &str) -> Result<Regex, EvalError> {
    let translated = Translator::new(pattern)
        .run()
        .map_err(|problem| EvalError::new(format!("invalid regular expression {pattern:?}: {problem}")))?;
    RegexBuilder::new(&translated).size_limit(MAX_COMPILED_BYTES).build().map_err(|error| {
        let message = error.to_string();
        let problem = message.lines().last().unwrap_or_default().trim_start_matches("error: ");
        EvalError::new(format!("invalid regular expression {pattern:?}: {problem}"))
    })
}

/// Rewrites an expression from Go's syntax into that of the `regex` crate.
///
/// # Errors
///
/// Says what Go refuses and the crate would take. What both refuse is left to the crate.
pub fn translate(pattern: &str) -> Result<String, EvalError> {
    Translator::new(pattern).run().map_err(EvalError::new)
}

/// What replaces a match: text with `$1`, `${1}`, `$name` and `${name}`, and `$$` for a dollar sign.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Number(usize),
    Name(String),
}

impl Template {
    /// Reads a template. A dollar sign that begins nothing is plain.
    pub fn new(template: &str) -> Self {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = template;
        while let Some(dollar) = rest.find('$') {
            text.push_str(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                text.push('$');
                rest = after;
            } else if let Some((name, after)) = reference(rest) {
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                }
                let number =
                    name.bytes().all(|byte| byte.is_ascii_digit()).then(|| name.parse().ok()).flatten();
                parts.push(number.map_or_else(|| Part::Name(name.to_owned()), Part::Number));
                rest = after;
            } else {
                text.push('$');
            }
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Self { parts }
    }

    /// Writes the template for a match; groups that there are not, or that took no part, are empty.
    pub fn expand(&self, captures: &Captures<'_>, out: &mut String) {
        for part in &self.parts {
            let group = match part {
                Part::Text(text) => {
                    out.push_str(text);
                    None
                }
                Part::Number(number) => captures.get(*number),
                Part::Name(name) => captures.name(name).or_else(|| {
                    // The first group of this name that took part.
                    (2..=MAX_SAME_NAME).find_map(|nth| captures.name(&nth_name(name, nth)))
                }),
            };
            out.push_str(group.map_or("", |group| group.as_str()));
        }
    }
}

/// The name that a template refers to behind a dollar sign, and what follows.
fn reference(rest: &str) -> Option<(&str, &str)> {
    let (braced, rest) = rest.strip_prefix('{').map_or((false, rest), |rest| (true, rest));
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    let end = rest.find(|character| !is_name(character)).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    if name.is_empty() {
        return None;
    }
    if braced { Some((name, after.strip_prefix('}')?)) } else { Some((name, after)) }
}

/// Replaces every match by what `replacement` writes for it; `None` if nothing matches.
///
/// # Errors
///
/// Those of `replacement`, and a result that would be larger than a megabyte and eight times the text.
pub fn replace_all(
    regex: &Regex,
    text: &str,
    mut replacement: impl FnMut(&Captures<'_>, &mut String) -> Result<(), EvalError>,
) -> Result<Option<String>, EvalError> {
    let most = ALWAYS_ALLOWED_BYTES.max(text.len().saturating_mul(MAX_GROWTH));
    let mut out = String::new();
    let mut copied = None;
    for captures in regex.captures_iter(text) {
        let matched = captures.get_match();
        out.push_str(&text[copied.unwrap_or(0)..matched.start()]);
        replacement(&captures, &mut out)?;
        if out.len() > most {
            return Err(EvalError::new(format!("the result of replacing would be larger than {most} bytes")));
        }
        copied = Some(matched.end());
    }
    Ok(copied.map(|copied| {
        out.push_str(&text[copied..]);
        out
    }))
}

/// What the named groups of the first match hold; a group that took no part is empty. Without a match there
/// is nothing.
///
/// # Errors
///
/// An expression without named groups.
pub fn named_groups(regex: &Regex, text: &str) -> Result<Map<'static>, EvalError> {
    if regex.capture_names().flatten().next().is_none() {
        return Err(EvalError::new("at least one named capture group must be supplied in the given regex"));
    }
    let Some(captures) = regex.captures(text) else { return Ok(Map::new()) };
    let groups = regex.capture_names().flatten().map(|name| {
        let group = captures.name(name).map_or("", |group| group.as_str());
        // Of several groups with one name the last counts, as in the original.
        (written_name(name).to_owned(), group.to_owned())
    });
    Ok(groups.collect())
}

/// One pass over a pattern.
struct Translator<'a> {
    rest: &'a str,
    out: String,
    /// Whether the last thing was a repeat, which Go allows only once.
    repeated: bool,
    /// How many groups there were of each name.
    names: HashMap<&'a str, usize>,
}

impl<'a> Translator<'a> {
    fn new(pattern: &'a str) -> Self {
        Self {
            rest: pattern,
            out: String::with_capacity(pattern.len() + 16),
            repeated: false,
            names: HashMap::new(),
        }
    }

    fn run(mut self) -> Result<String, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_what_go_means() {
        let cases = [
            (r"^4\d\d$", "404", true),
            (r"^\w$", "é", false),
            (r"^\d$", "٣", false),
            (r"^\s$", "\u{a0}", false),
            (r"^\s$", "\x0b", false),
            (r"\bé", "é", false),
            (r"x\B", "xy", true),
            (r"^{$", "{", true),
            (r"^a{,5}$", "a{,5}", true),
            (r"^a{2}$", "aa", true),
            (r"^a{2,}$", "aaa", true),
            (r"^a{02}$", "a{02}", true),
            (r"^[[]$", "[", true),
            (r"^[a&&b]$", "&", true),
            (r"^[~~]$", "~", true),
            (r"^\Qa.b\E+$", "a.bb", true),
            (r"^\Q.*", ".*", true),
            (r"^\<\>$", "<>", true),
            (r"^\101\0$", "A\0", true),
            (r"^\x41\x{42}\v$", "AB\x0b", true),
            (r"a.b", "a\nb", false),
            (r"(?s)a.b", "a\nb", true),
            (r"\Ax\d\z", "x1", true),
            (r"a$", "a\n", false),
            (r"(?m)a$", "a\n", true),
            (r"(?i)^abc$", "ABC", true),
            (r"^[\w.-]+$", "a.b-c", true),
            (r"^[^\d]$", "x", true),
            (r"^[\D]$", "1", false),
            (r"^[]a]$", "]", true),
            (r"^[^]a]$", "]", false),
            (r"^[[:alpha:]_]+$", "a_", true),
            (r"^[[:^digit:]]$", "1", false),
            (r"^[a-]$", "-", true),
            (r"^\pL$", "é", true),
            (r"^\p{^Lu}$", "A", false),
            (r"^\P{Greek}$", "α", false),
            (r"^[\pN]$", "٣", true),
            (r"^a#b c$", "a#b c", true),
            (r"^[+--]$", ",", true),
            (r"^[\]\-]$", "-", true),
            (r"^}$", "}", true),
            (r"(?U)a+", "aa", true),
            (r"^[\S]$", "é", true),
            (r"(|a)b", "b", true),
            (r"^\_$", "_", true),
        ];
        for (pattern, text, matches) in cases {
            assert_eq!(compile(pattern).unwrap().is_match(text), matches, "{pattern} on {text:?}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for pattern in [
            "(",
            ")",
            "a(?!b)",
            "a(?=b)",
            "(?<!a)b",
            "(?<=a)b",
            "(?>a)",
            r"(a)\1",
            "[",
            "[b-a]",
            r"\Z",
            r"\C",
            r"\e",
            r"\8",
            "(?x)a",
            "a**",
            "a*+",
            "a??+",
            "a{1001}",
            "a{3,2}",
            "(?P<x",
            "(?P<x y>a)",
            "[[:foo:]]",
            r"\p{Script=Greek}",
            r"\pX",
            r"[\b]",
            r"\x4",
            "*a",
            r"\é",
            "\\",
            "[a",
            r"(?i",
            "(?P=x)",
        ] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
        assert!(compile(&"(a{1000}){1000}".repeat(3)).is_err(), "too large");
        let message = compile("a(?!b)").unwrap_err().to_string();
        assert!(message.contains("a(?!b)"), "{message}");
    }

    #[test]
    fn templates() {
        let regex = compile(r"(?P<word>\w+)=(\d)?").unwrap();
        let cases = [
            ("$1", "ab"),
            ("${1}x", "abx"),
            ("$1x", ""),
            ("$word!", "ab!"),
            ("${word}", "ab"),
            ("$$5", "$5"),
            ("$", "$"),
            ("$-", "$-"),
            ("${", "${"),
            ("${a-b}", "${a-b}"),
            ("$2|$9|$nope", "||"),
            ("$0", "ab="),
        ];
        for (template, expected) in cases {
            let mut out = String::new();
            Template::new(template).expand(&regex.captures("ab=").unwrap(), &mut out);
            assert_eq!(out, expected, "{template}");
        }
    }

    #[test]
    fn groups_of_one_name() {
        let regex = compile(r"(?P<a>x)|(?P<a>y)|(?P<b>z)").unwrap();
        let mut out = String::new();
        Template::new("<$a>").expand(&regex.captures("y").unwrap(), &mut out);
        assert_eq!(out, "<y>");
        let groups = named_groups(&regex, "y").unwrap();
        assert_eq!(
            (groups.get("a"), groups.get("b"), groups.len()),
            (Some(&"y".into()), Some(&"".into()), 2)
        );
        assert_eq!(named_groups(&regex, "x").unwrap().get("a"), Some(&"".into()), "the last group counts");
        assert!(compile(&"(?P<a>x)".repeat(17)).is_err());
        assert!(named_groups(&compile("(x)").unwrap(), "x").is_err());
    }

    fn replaced(pattern: &str, text: &str, template: &str) -> Result<Option<String>, EvalError> {
        let template = Template::new(template);
        replace_all(&compile(pattern).unwrap(), text, |captures, out| {
            template.expand(captures, out);
            Ok(())
        })
    }

    #[test]
    fn replaces() {
        assert_eq!(replaced("a*", "baac", "X").unwrap().as_deref(), Some("XbXcX"));
        assert_eq!(replaced("z", "abc", "X").unwrap(), None);
        assert_eq!(replaced("", "é", "-").unwrap().as_deref(), Some("-é-"));
    }

    #[test]
    fn results_are_bounded() {
        let text = "x".repeat(2 << 20);
        assert_eq!(replaced("x", &text, "12345678").unwrap().map(|out| out.len()), Some(16 << 20));
        assert!(replaced("x", &text, "123456789").is_err());
        assert!(replaced("(x+)", &text, &"$1".repeat(100)).is_err());
        assert!(replaced("x", "x", &"y".repeat(1 << 20)).is_ok());
    }
}
