//! Tokens as they are shown, scheme included.

use http::HeaderValue;
use phoenix_component::auth::same_secret;

/// Longest file of tokens, and most tokens: each request is compared with all of them.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 20;
const MAX_TOKENS: usize = 1000;

/// Tokens that are let in, of which there is one at least.
pub(crate) struct Tokens(Vec<HeaderValue>);

impl Tokens {
    /// Says what is wrong with the tokens, without showing one.
    pub(crate) fn new<'a>(scheme: &str, tokens: impl IntoIterator<Item = &'a str>) -> Result<Tokens, String> {
        let shown = |(index, token): (usize, &str)| {
            let number = index + 1;
            if token.is_empty() {
                return Err(format!("token {number} is empty"));
            }
            let text = if scheme.is_empty() { token.to_owned() } else { format!("{scheme} {token}") };
            let mut value = HeaderValue::try_from(text)
                .map_err(|_| format!("token {number} has characters that no header can hold"))?;
            value.set_sensitive(true);
            Ok(value)
        };
        let values: Vec<HeaderValue> = tokens.into_iter().enumerate().map(shown).collect::<Result<_, _>>()?;
        match values.len() {
            0 => Err("there is no token".to_owned()),
            1..=MAX_TOKENS => Ok(Tokens(values)),
            count => Err(format!("there are {count} tokens, more than {MAX_TOKENS}")),
        }
    }

    /// The tokens of a file: one on each line, without the white space around it.
    pub(crate) fn of_file(scheme: &str, text: &str) -> Result<Tokens, String> {
        Tokens::new(scheme, text.lines().map(str::trim).filter(|line| !line.is_empty()))
    }

    /// Whether it is one of the tokens; every one is compared, whichever it is.
    pub(crate) fn has(&self, shown: &[u8]) -> bool {
        self.0.iter().fold(false, |found, token| found | same_secret(token.as_bytes(), shown))
    }

    /// The one that clients send.
    pub(crate) fn first(&self) -> &HeaderValue {
        &self.0[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_token_on_each_line() {
        let tokens = Tokens::of_file("Bearer", " one \r\n\n two\n").expect("tokens");
        assert!(tokens.has(b"Bearer one") && tokens.has(b"Bearer two"));
        for wrong in [&b"Bearer "[..], b"Bearer", b"bearer one", b"Bearer on", b"one", b""] {
            assert!(!tokens.has(wrong));
        }
        assert_eq!(tokens.first(), "Bearer one");
        assert!(!format!("{:?}", tokens.first()).contains("one"));
        assert!(Tokens::of_file("", "x").expect("a token").has(b"x"));
        assert!(Tokens::of_file("Bearer", "\n \n").is_err());
        let many = "x\n".repeat(MAX_TOKENS + 1);
        assert!(Tokens::of_file("", &many).is_err());
    }
}
