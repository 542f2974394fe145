//! What a request of basic authentication shows (RFC 7617).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

/// Longest password that is looked at.
const MAX_PASSWORD_BYTES: usize = 1024;

/// User and password of a request.
#[derive(PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: Vec<u8>,
    /// As they came, in base64.
    pub(crate) raw: String,
}

impl Credentials {
    /// Reads the value of `Authorization`; says what is wrong in otelcol's words.
    pub(crate) fn parse(value: &[u8]) -> Result<Credentials, &'static str> {
        let (scheme, encoded) = value.split_at_checked(6).ok_or("invalid authorization scheme prefix")?;
        if !scheme.eq_ignore_ascii_case(b"basic ") {
            return Err("invalid authorization scheme prefix");
        }
        const FORMAT: &str = "invalid authorization format";
        let decoded = STANDARD.decode(encoded).map_err(|_| FORMAT)?;
        let colon = decoded.iter().position(|byte| *byte == b':').ok_or(FORMAT)?;
        let user = String::from_utf8(decoded[..colon].to_vec()).map_err(|_| FORMAT)?;
        let password = decoded[colon + 1..].to_vec();
        if password.len() > MAX_PASSWORD_BYTES {
            return Err(FORMAT);
        }
        // It was base64, so it is ASCII.
        Ok(Credentials { user, password, raw: String::from_utf8_lossy(encoded).into_owned() })
    }
}

/// The value that shows a user and a password; none where there is a colon in the user.
pub(crate) fn header(user: &str, password: &str) -> Option<HeaderValue> {
    if user.contains(':') {
        return None;
    }
    let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_again() {
        let value = header("ann", "p:w é").expect("no colon");
        let read = Credentials::parse(value.as_bytes()).map_err(str::to_owned).ok().expect("credentials");
        assert_eq!((read.user.as_str(), read.password.as_slice()), ("ann", "p:w é".as_bytes()));
        assert!(!format!("{value:?}").contains("YW5u"), "it is sensitive");
        assert!(header("a:b", "x").is_none());
        for (wrong, said) in [
            (&b""[..], "scheme prefix"),
            (b"Bearer x", "scheme prefix"),
            (b"Basic", "scheme prefix"),
            (b"Basic !!!", "format"),
            (b"Basic YW5u", "format"),
            (b"Basic /zph", "format"),
        ] {
            let error = Credentials::parse(wrong).err().expect("refused");
            assert!(error.contains(said), "{error}");
        }
        assert!(Credentials::parse(b"bASIC YTpi").is_ok(), "the case of the scheme does not matter");
    }
}
