//! Text to tokens. The rules are tried in the order of the reference; the first that matches wins.

use crate::diagnostic::Problem;

use super::ast::{Comparator, Operator, Place};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum TokenKind {
    Bytes,
    Float,
    Int,
    String,
    Nil,
    Not,
    Or,
    And,
    Comparison(Comparator),
    Arrow,
    Operator(Operator),
    Bool(bool),
    Equal,
    /// One of `( ) { } : , . [ ]`.
    Punctuation(u8),
    Uppercase,
    Lowercase,
    Underscore,
    End,
}

/// The longest statement that is read.
const MAX_SOURCE_BYTES: usize = 1 << 20;

/// Reads all tokens; the last is [`TokenKind::End`].
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, Problem> {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(Problem::new(&(0..0), "a statement cannot be longer than 1 MiB"));
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < source.len() {
        let rest = &source[at..];
        let space = rest.len() - rest.trim_start_matches(['\t', '\n', '\u{c}', '\r', ' ']).len();
        if space > 0 {
            at += space;
            continue;
        }
        let (kind, len) = token(rest, at)?;
        tokens.push(Token { kind, place: at..at + len });
        at += len;
    }
    tokens.push(Token { kind: TokenKind::End, place: at..at });
    Ok(tokens)
}

fn token(rest: &str, at: usize) -> Result<(TokenKind, usize), Problem> {
    let bytes = rest.as_bytes();
    if bytes[0] == b'"' {
        return match string_len(bytes) {
            Some(len) => Ok((TokenKind::String, len)),
            None => Err(Problem::new(&(at..at + rest.len()), "the string has no closing quote")),
        };
    }
    if let Some(found) = number(bytes).or_else(|| word(bytes)).or_else(|| sign(bytes)) {
        return Ok(found);
    }
    let letter = rest.chars().next().unwrap_or_default();
    let problem = Problem::new(&(at..at + letter.len_utf8()), format!("unexpected character {letter:?}"));
    Err(problem.help(match letter {
        '\'' | '`' | '“' | '”' => Some("strings stand in double quotes".to_owned()),
        '&' | '|' => Some("conditions are joined by `and` and `or`".to_owned()),
        '!' => Some("conditions are negated by `not`".to_owned()),
        '#' => Some("there are no comments".to_owned()),
        _ => None,
    }))
}

fn count(bytes: &[u8], test: impl Fn(&u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| test(byte)).count()
}

fn number(bytes: &[u8]) -> Option<(TokenKind, usize)> {
    if let [b'0', b'x', digits @ ..] = bytes {
        let len = count(digits, u8::is_ascii_hexdigit);
        if len > 0 {
            return Some((TokenKind::Bytes, 2 + len));
        }
    }
    let whole = count(bytes, u8::is_ascii_digit);
    if bytes.get(whole) == Some(&b'.') {
        let fraction = count(&bytes[whole + 1..], u8::is_ascii_digit);
        if whole + fraction > 0 {
            let end = whole + 1 + fraction;
            return Some((TokenKind::Float, end + exponent_len(&bytes[end..])));
        }
    }
    (whole > 0).then_some((TokenKind::Int, whole))
}

fn exponent_len(bytes: &[u8]) -> usize {
    let sign = match bytes {
        [b'e' | b'E', b'+' | b'-', ..] => 2,
        [b'e' | b'E', ..] => 1,
        _ => return 0,
    };
    match count(&bytes[sign..], u8::is_ascii_digit) {
        0 => 0,
        digits => sign + digits,
    }
}

fn string_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            // A backslash takes the next character with it, which is not a line break in the original.
            b'\\' if bytes.get(at + 1).is_some_and(|next| *next != b'\n') => at += 2,
            b'\\' => return None,
            _ => at += 1,
        }
    }
}

fn word(bytes: &[u8]) -> Option<(TokenKind, usize)> {
    const WORDS: [(&[u8], TokenKind); 6] = [
        (b"nil", TokenKind::Nil),
        (b"not", TokenKind::Not),
        (b"or", TokenKind::Or),
        (b"and", TokenKind::And),
        (b"true", TokenKind::Bool(true)),
        (b"false", TokenKind::Bool(false)),
    ];
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let whole = &bytes[..count(bytes, is_word)];
    if let Some((word, kind)) = WORDS.iter().find(|(word, _)| *word == whole) {
        return Some((*kind, word.len()));
    }
    let lower = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
    let upper = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    match bytes[0] {
        b'A'..=b'Z' => Some((TokenKind::Uppercase, count(bytes, upper))),
        b'a'..=b'z' => Some((TokenKind::Lowercase, count(bytes, lower))),
        b'_' => Some((TokenKind::Underscore, 1)),
        _ => None,
    }
}

fn sign(bytes: &[u8]) -> Option<(TokenKind, usize)> {
    use TokenKind::{Arrow, Comparison, Equal, Operator as Sign, Punctuation};
    Some(match bytes {
        [b'=', b'=', ..] => (Comparison(Comparator::Eq), 2),
        [b'!', b'=', ..] => (Comparison(Comparator::Ne), 2),
        [b'>', b'=', ..] => (Comparison(Comparator::Ge), 2),
        [b'<', b'=', ..] => (Comparison(Comparator::Le), 2),
        [b'>', ..] => (Comparison(Comparator::Gt), 1),
        [b'<', ..] => (Comparison(Comparator::Lt), 1),
        [b'=', b'>', ..] => (Arrow, 2),
        [b'+', ..] => (Sign(Operator::Add), 1),
        [b'-', ..] => (Sign(Operator::Sub), 1),
        [b'/', ..] => (Sign(Operator::Div), 1),
        [b'*', ..] => (Sign(Operator::Mul), 1),
        [b'=', ..] => (Equal, 1),
        [sign @ (b'(' | b')' | b'{' | b'}' | b':' | b',' | b'.' | b'[' | b']'), ..] => {
            (Punctuation(*sign), 1)
        }
        _ => return None,
    })
}
