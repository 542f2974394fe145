//! Literals: strings with Go's escapes, numbers with Go's bases, bytes.

/// Reads a string with its quotes. The error is about the byte at its offset.
pub(super) fn unquote(literal: &str) -> Result<String, (usize, String)> {
    let mut text = String::with_capacity(literal.len());
    let mut at = 1;
    let inner_end = literal.len() - 1;
    while at < inner_end {
        let rest = &literal[at..inner_end];
        let Some(letter) = rest.chars().next() else { break };
        if letter != '\\' {
            text.push(letter);
            at += letter.len_utf8();
            continue;
        }
        let (letter, len) = escape(rest).ok_or_else(|| (at, bad_escape(rest)))?;
        text.push(letter);
        at += len;
    }
    Ok(text)
}

fn bad_escape(rest: &str) -> String {
    let escape: String = rest.chars().take(2).collect();
    format!("unknown escape {escape} in a string; a backslash is written twice")
}

/// The character of an escape, and how many bytes it was written with.
fn escape(rest: &str) -> Option<(char, usize)> {
    let code = rest.as_bytes().get(1)?;
    let hexadecimal = |digits: usize| {
        let digits = rest.get(2..2 + digits)?;
        let number = digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(digits)?;
        Some((char::from_u32(u32::from_str_radix(number, 16).ok()?)?, 2 + digits.len()))
    };
    let simple = match code {
        b'a' => '\u{7}',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'v' => '\u{b}',
        b'\\' => '\\',
        b'"' => '"',
        b'x' => return hexadecimal(2),
        b'u' => return hexadecimal(4),
        b'U' => return hexadecimal(8),
        b'0'..=b'7' => {
            let digits = rest.get(1..4)?;
            let is_octal = digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
            let number = is_octal.then(|| u32::from_str_radix(digits, 8).ok())??;
            return (number < 256).then(|| char::from_u32(number))?.map(|letter| (letter, 4));
        }
        _ => return None,
    };
    Some((simple, 2))
}

/// Reads a whole number. A leading zero means octal digits.
pub(super) fn whole_number(digits: &str) -> Result<i64, String> {
    let octal = digits.len() > 1 && digits.starts_with('0');
    let number = match octal {
        true => i64::from_str_radix(&digits[1..], 8),
        false => digits.parse(),
    };
    number.map_err(|error| match error.kind() {
        std::num::IntErrorKind::PosOverflow => format!("{digits} does not fit into 64 bits"),
        _ if octal => format!("{digits} is read as an octal number, and is none"),
        _ => format!("{digits} is not a whole number"),
    })
}

/// Reads `0x` and hexadecimal digits.
pub(super) fn bytes(literal: &str) -> Result<Vec<u8>, String> {
    let digits = &literal.as_bytes()[2..];
    if !digits.len().is_multiple_of(2) {
        return Err("bytes take an even number of hexadecimal digits".to_owned());
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
    Ok(digits.chunks_exact(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect())
}
