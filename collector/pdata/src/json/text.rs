//! Text within quotes: escapes undone and made.

use super::JsonReason;
use super::scan::{plain, plain_ascii};
use crate::utf8;

/// Appends the text that starts after a quote, and says how many bytes it takes up to its closing quote.
///
/// # Errors
/// The reason, and how far into the text it is.
pub(super) fn unescape(out: &mut Vec<u8>, text: &[u8], strict: bool) -> Result<usize, (usize, JsonReason)> {
    let mut at = 0;
    loop {
        let run = plain(&text[at..]);
        out.extend_from_slice(&text[at..at + run]);
        at += run;
        match text.get(at) {
            None => return Err((at, JsonReason::Truncated)),
            Some(b'"') => return Ok(at),
            Some(b'\\') => at += escape(out, &text[at + 1..], strict).map_err(|reason| (at, reason))? + 1,
            Some(_) => return Err((at, JsonReason::Control)),
        }
    }
}

/// Appends what an escape sequence stands for, and says how many bytes it has after the backslash.
fn escape(out: &mut Vec<u8>, text: &[u8], strict: bool) -> Result<usize, JsonReason> {
    let byte = match text.first() {
        None => return Err(JsonReason::Truncated),
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'r') => b'\r',
        Some(b'b') => 8,
        Some(b'f') => 12,
        Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
        Some(b'u') => return unicode(out, &text[1..], strict).map(|len| len + 1),
        Some(_) => return Err(JsonReason::Escape),
    };
    out.push(byte);
    Ok(1)
}

/// Appends the character of the four digits at the start of `text`, or of those and of another sequence that
/// makes a surrogate pair of it.
fn unicode(out: &mut Vec<u8>, text: &[u8], strict: bool) -> Result<usize, JsonReason> {
    let unit = unit(text)?;
    let (character, len) = match unit {
        0xd800..=0xdbff => match low(&text[4..]) {
            Some(low) => (char::from_u32(0x1_0000 + ((unit - 0xd800) << 10 | (low - 0xdc00))), 10),
            None => (None, 4),
        },
        _ => (char::from_u32(unit), 4),
    };
    if character.is_none() && strict {
        return Err(JsonReason::Surrogate);
    }
    let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(len)
}

/// The second half of a surrogate pair, if that is what follows.
fn low(text: &[u8]) -> Option<u32> {
    let unit = unit(text.strip_prefix(b"\\u")?).ok()?;
    (0xdc00..=0xdfff).contains(&unit).then_some(unit)
}

fn unit(text: &[u8]) -> Result<u32, JsonReason> {
    let digits = text.first_chunk::<4>().ok_or(JsonReason::Truncated)?;
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'));
    digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or(JsonReason::Escape)
}

/// Appends text in quotes.
#[inline]
pub(super) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    if plain_ascii(text) == text.len() {
        out.extend_from_slice(text);
    } else if utf8::is_valid(text) {
        put_escaped(out, text);
    } else {
        put_escaped(out, String::from_utf8_lossy(text).as_bytes());
    }
    out.push(b'"');
}

fn put_escaped(out: &mut Vec<u8>, mut text: &[u8]) {
    loop {
        let run = plain(text);
        out.extend_from_slice(&text[..run]);
        let Some((byte, rest)) = text[run..].split_first() else { return };
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                super::radix::put_hex(out, &[*byte]);
            }
        }
        text = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        type Read = Result<&'static str, (usize, JsonReason)>;
        let cases: [(&str, Read); 19] = [
            ("plain\"", Ok("plain")),
            ("\"", Ok("")),
            (r#"a\n\t\r\b\f\"\\\/z""#, Ok("a\n\t\r\u{8}\u{c}\"\\/z")),
            (r#"\u0041\u00e9\u4e16\u0000""#, Ok("Aé世\0")),
            (r#"\ud83c\udf0d!""#, Ok("🌍!")),
            (r#"\uD83C\uDF0D""#, Ok("🌍")),
            ("grüße 🌍\"", Ok("grüße 🌍")),
            (r#"no\xend""#, Err((2, JsonReason::Escape))),
            (r#"\u12g4""#, Err((0, JsonReason::Escape))),
            (r#"\u+123""#, Err((0, JsonReason::Escape))),
            (r"\u12", Err((0, JsonReason::Truncated))),
            (r"\", Err((0, JsonReason::Truncated))),
            ("open", Err((4, JsonReason::Truncated))),
            ("line\nbreak\"", Err((4, JsonReason::Control))),
            (r#"a\ud83c!""#, Err((1, JsonReason::Surrogate))),
            (r#"a\udf0d""#, Err((1, JsonReason::Surrogate))),
            (r#"\ud83c\u0041""#, Err((0, JsonReason::Surrogate))),
            (r#"\ud83c\ud83c\udf0d""#, Err((0, JsonReason::Surrogate))),
            (r#"\ud83c\u00"#, Err((0, JsonReason::Surrogate))),
        ];
        for (text, expected) in cases {
            let mut out = Vec::new();
            let read = unescape(&mut out, text.as_bytes(), true);
            let read = read.map(|len| {
                assert_eq!(len, text.len() - 1, "{text}");
                std::str::from_utf8(&out).expect("UTF-8")
            });
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn half_of_a_surrogate_pair_is_replaced_where_that_is_allowed() {
        for (text, expected) in [
            (r#"a\ud83c!""#, "a\u{fffd}!"),
            (r#"\ud83c\u0041""#, "\u{fffd}A"),
            (r#"\ud83c\ud83c\udf0d""#, "\u{fffd}🌍"),
        ] {
            let mut out = Vec::new();
            assert!(unescape(&mut out, text.as_bytes(), false).is_ok());
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }

    #[test]
    fn text_is_written_as_go_writes_it() {
        let cases: [(&[u8], &str); 5] = [
            (b"plain", r#""plain""#),
            (b"", r#""""#),
            (b"a\"b\\c\n\r\t\x08\x1f\x7f/<>&", "\"a\\\"b\\\\c\\n\\r\\t\\u0008\\u001f\x7f/<>&\""),
            ("grüße 🌍 \u{2028}\n".as_bytes(), "\"grüße 🌍 \u{2028}\\n\""),
            (b"bad\xff\n\xfe", "\"bad\u{fffd}\\n\u{fffd}\""),
        ];
        for (text, expected) in cases {
            let mut out = Vec::new();
            put_text(&mut out, text);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
