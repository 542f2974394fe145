//! Passwords in URLs: texts that are no secret themselves may hold one.

use std::borrow::Cow;

use crate::opaque::REDACTED;

/// The text with `[REDACTED]` for the password of every URL in it (`scheme://user:password@host`).
pub(crate) fn without_passwords(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let begin = at + "://".len();
        let authority_end = rest[begin..]
            .find(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '?' | '#' | '"' | '\''))
            .map_or(rest.len(), |end| begin + end);
        let authority = &rest[begin..authority_end];
        match authority.rfind('@').and_then(|user_end| Some((authority[..user_end].find(':')?, user_end))) {
            Some((colon, user_end)) => {
                out += &rest[..=begin + colon];
                out += REDACTED;
                out += &rest[begin + user_end..authority_end];
            }
            None => out += &rest[..authority_end],
        }
        rest = &rest[authority_end..];
    }
    match out.is_empty() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(out + rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_passwords_of_urls_are_taken_out() {
        // (text, as it is shown)
        let cases = [
            ("http://ann:hush@proxy:3128/x", "http://ann:[REDACTED]@proxy:3128/x"),
            ("http://:hush@proxy", "http://:[REDACTED]@proxy"),
            ("a http://u:hu@sh@h, https://v:hush@i", "a http://u:[REDACTED]@h, https://v:[REDACTED]@i"),
            ("http://ann@proxy:3128", "http://ann@proxy:3128"),
            ("http://proxy:3128/a@b", "http://proxy:3128/a@b"),
            ("ann:x@y", "ann:x@y"),
            ("://", "://"),
            ("é://é:é@é", "é://é:[REDACTED]@é"),
        ];
        for (text, shown) in cases {
            assert_eq!(without_passwords(text), shown, "{text}");
        }
    }
}
