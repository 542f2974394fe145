//! Cutting, trimming and searching of text. Positions are bytes, as in Go.

use crate::EvalError;

/// Cuts `length` bytes from `start` on. With `utf8_safe` both ends move inward to the next boundary
/// of a character; without it half characters become U+FFFD, since text is UTF-8 here.
///
/// # Errors
///
/// A negative start, a length below one, or an end behind the text.
pub fn substring(text: &str, start: i64, length: i64, utf8_safe: bool) -> Result<String, EvalError> {
    if start < 0 {
        return Err(EvalError::new(format!("invalid start for substring, {start} cannot be negative")));
    }
    if length <= 0 {
        return Err(EvalError::new(format!(
            "invalid length for substring, {length} cannot be negative or zero"
        )));
    }
    let end = start.checked_add(length).filter(|&end| end as u64 <= text.len() as u64);
    let Some(end) = end else {
        return Err(EvalError::new(format!(
            "invalid range for substring, {length} bytes from {start} are beyond the {} of the text",
            text.len()
        )));
    };
    let (mut start, mut end) = (start as usize, end as usize);
    if utf8_safe {
        while start < end && !text.is_char_boundary(start) {
            start += 1;
        }
        while end > start && !text.is_char_boundary(end) {
            end -= 1;
        }
    }
    Ok(String::from_utf8_lossy(&text.as_bytes()[start..end]).into_owned())
}

/// Removes any of the characters of `cutset` from both ends.
pub fn trim<'a>(text: &'a str, cutset: &str) -> &'a str {
    text.trim_matches(|character| cutset.contains(character))
}

/// The parts of a text between delimiters; an empty delimiter separates the characters.
pub fn split(text: &str, delimiter: &str) -> Vec<String> {
    if delimiter.is_empty() {
        return text.chars().map(String::from).collect();
    }
    text.split(delimiter).map(str::to_owned).collect()
}

/// Where a part begins, in bytes; -1 if nowhere.
pub fn index(text: &str, part: &str) -> i64 {
    text.find(part).map_or(-1, |position| position as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn substrings() {
        assert_eq!(substring("abcdef", 2, 3, false).unwrap(), "cde");
        assert_eq!(substring("日本", 1, 4, true).unwrap(), "");
        assert_eq!(substring("日本", 2, 4, true).unwrap(), "本");
        assert_eq!(substring("日本", 0, 4, true).unwrap(), "日");
        for (start, length) in [(1, 5), (-1, 1), (0, 0), (1, i64::MAX)] {
            assert!(substring("abc", start, length, false).is_err(), "{start} {length}");
        }
    }

    #[test]
    fn trims_and_splits() {
        assert_eq!(trim("abcXcba", "abc"), "X");
        assert_eq!(trim("  pad ", " "), "pad");
        assert_eq!(trim("x", ""), "x");
        assert_eq!(split("a::b", ":"), ["a", "", "b"]);
        assert_eq!(split("añ", ""), ["a", "ñ"]);
        assert_eq!(split("", ","), [""]);
        assert_eq!(split("", ""), Vec::<String>::new());
        assert_eq!((index("chicken", "ken"), index("abc", "z")), (4, -1));
    }
}
