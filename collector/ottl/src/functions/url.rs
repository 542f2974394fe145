//! The parts of a URL, as Go's `net/url` finds them.

use crate::{EvalError, Map};

/// Reads a URL into the attributes of the semantic conventions.
///
/// # Errors
///
/// An empty text, control characters, escapes that are none, and malformed schemes, hosts and ports.
pub fn parts(text: &str) -> Result<Map<'static>, EvalError> {
    if text.is_empty() {
        return Err(EvalError::new("url cannot be empty"));
    }
    let url = Url::parse(text)
        .map_err(|problem| EvalError::new(format!("cannot parse {text:?} as a URL: {problem}")))?;
    let mut map = Map::new();
    map.push("url.original", url.text());
    map.push("url.domain", url.hostname().to_owned());
    map.push("url.scheme", url.scheme.clone());
    map.push("url.path", url.path.clone());
    if let Some(port) = url.port() {
        map.push("url.port", port);
    }
    if !url.fragment.is_empty() {
        map.push("url.fragment", url.fragment.clone());
    }
    if let Some((username, password)) = &url.user {
        map.push("url.user_info", url.user_info());
        if !username.is_empty() {
            map.push("url.username", username.clone());
        }
        if let Some(password) = password {
            map.push("url.password", password.clone());
        }
    }
    if !url.query.is_empty() {
        map.push("url.query", url.query.clone());
    }
    if let Some((_, extension)) = url.path.rsplit_once('.')
        && !extension.is_empty()
    {
        map.push("url.extension", extension.to_owned());
    }
    Ok(map)
}

/// Where a character stands; it decides whether the character is written plain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Path,
    Host,
    User,
    Fragment,
}

#[derive(Debug, Default)]
struct Url {
    scheme: String,
    /// What follows the scheme where no slash does, as in `mailto:`.
    opaque: String,
    user: Option<(String, Option<String>)>,
    /// With port, unescaped.
    host: String,
    path: String,
    raw_path: String,
    query: String,
    has_query: bool,
    fragment: String,
    raw_fragment: String,
    has_authority: bool,
}

impl Url {
    fn parse(text: &str) -> Result<Self, String> {
        if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return Err("invalid control character".into());
        }
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        let mut url = Self {
            raw_fragment: fragment.into(),
            fragment: unescape(fragment, Part::Fragment)?,
            ..Self::default()
        };
        let (scheme, rest) = split_scheme(rest)?;
        url.scheme = scheme.to_ascii_lowercase();
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        url.has_query = query.is_some();
        url.query = query.unwrap_or_default().into();
        let mut rest = rest;
        if !rest.starts_with('/') {
            if !url.scheme.is_empty() {
                url.opaque = rest.into();
                return Ok(url);
            }
            if rest.split('/').next().unwrap_or_default().contains(':') {
                return Err("first path segment in URL cannot contain colon".into());
            }
        }
        // A path that begins with three slashes has an empty host only behind a scheme.
        if (!url.scheme.is_empty() || !rest.starts_with("///")) && rest.starts_with("//") {
            let authority = &rest[2..];
            let end = authority.find('/').unwrap_or(authority.len());
            url.has_authority = true;
            url.authority(&authority[..end])?;
            rest = &authority[end..];
        }
        url.path = unescape(rest, Part::Path)?;
        url.raw_path = rest.into();
        Ok(url)
    }

    fn authority(&mut self, authority: &str) -> Result<(), String> {
        let host = match authority.rsplit_once('@') {
            None => authority,
            Some((user, host)) => {
                let plain = |character: char| {
                    character.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(character)
                };
                if !user.chars().all(plain) {
                    return Err("invalid userinfo".into());
                }
                self.user = Some(match user.split_once(':') {
                    None => (unescape(user, Part::User)?, None),
                    Some((name, password)) => {
                        (unescape(name, Part::User)?, Some(unescape(password, Part::User)?))
                    }
                });
                host
            }
        };
        let port = if let Some(bracketed) = host.strip_prefix('[') {
            bracketed.rsplit_once(']').ok_or("missing ']' in host")?.1
        } else {
            host.rfind(':').map_or("", |colon| &host[colon..])
        };
        if !is_port(port) {
            return Err(format!("invalid port {port:?} after host"));
        }
        self.host = unescape(host, Part::Host)?;
        Ok(())
    }

    fn hostname(&self) -> &str {
        let host = self.host_and_port().0;
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    fn port(&self) -> Option<i64> {
        // Go gives an error for a number that no integer holds; here there is then no port.
        self.host_and_port().1.parse().ok()
    }

    fn host_and_port(&self) -> (&str, &str) {
        match self.host.rfind(':') {
            Some(colon) if is_port(&self.host[colon..]) => (&self.host[..colon], &self.host[colon + 1..]),
            _ => (&self.host, ""),
        }
    }

    fn user_info(&self) -> String {
        match &self.user {
            None => String::new(),
            Some((name, None)) => escape(name, Part::User),
            Some((name, Some(password))) => {
                format!("{}:{}", escape(name, Part::User), escape(password, Part::User))
            }
        }
    }

    /// Writes the URL as Go's `String` does: what was escaped as it should stays as it was.
    fn text(&self) -> String {
        let mut out = String::new();
        if !self.scheme.is_empty() {
            out.push_str(&self.scheme);
            out.push(':');
        }
        if self.opaque.is_empty() {
            if self.has_authority && (!self.scheme.is_empty() || !self.host.is_empty() || self.user.is_some())
            {
                out.push_str("//");
                if self.user.is_some() {
                    out.push_str(&self.user_info());
                    out.push('@');
                }
                out.push_str(&escape(&self.host, Part::Host));
            }
            out.push_str(&as_it_was(&self.raw_path, &self.path, Part::Path));
        } else {
            out.push_str(&self.opaque);
        }
        if self.has_query {
            out.push('?');
            out.push_str(&self.query);
        }
        if !self.fragment.is_empty() {
            out.push('#');
            out.push_str(&as_it_was(&self.raw_fragment, &self.fragment, Part::Fragment));
        }
        out
    }
}

fn split_scheme(text: &str) -> Result<(&str, &str), String> {
    for (position, character) in text.char_indices() {
        match character {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if position == 0 => return Ok(("", text)),
            '0'..='9' | '+' | '-' | '.' => {}
            ':' if position == 0 => return Err("missing protocol scheme".into()),
            ':' => return Ok((&text[..position], &text[position + 1..])),
            _ => return Ok(("", text)),
        }
    }
    Ok(("", text))
}

/// Whether this is nothing, or a colon and digits.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn unescape(text: &str, part: Part) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            if part == Part::Host && byte < 0x80 && !is_plain(byte, part) {
                return Err(format!("invalid character {:?} in host name", char::from(byte)));
            }
            bytes.push(byte);
            continue;
        }
        let code = rest.get(..2).and_then(super::encode::from_hex::<1>);
        let Some([code]) = code else {
            let shown: String = text[text.len() - rest.len() - 1..].chars().take(3).collect();
            return Err(format!("invalid URL escape {shown:?}"));
        };
        bytes.push(code);
        rest = &rest[2..];
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn escape(text: &str, part: Part) -> String {
    let mut out = String::with_capacity(text.len());
    for &byte in text.as_bytes() {
        if is_plain(byte, part) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The text as it was written if that is a valid way to write it.
fn as_it_was(raw: &str, plain: &str, part: Part) -> String {
    let valid = raw.bytes().all(|byte| {
        is_plain(byte, part) || matches!(byte, b'!' | b'\'' | b'(' | b')' | b'*' | b'[' | b']' | b'%')
    });
    if valid { raw.to_owned() } else { escape(plain, part) }
}

fn is_plain(byte: u8, part: Part) -> bool {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => true,
        b'!' | b'\'' | b'(' | b')' | b'*' => matches!(part, Part::Host | Part::Fragment),
        b'[' | b']' | b'<' | b'>' | b'"' => part == Part::Host,
        b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'?' | b'@' => match part {
            Part::Path => byte != b'?',
            Part::User => !matches!(byte, b'@' | b'/' | b'?' | b':'),
            Part::Host => !matches!(byte, b'/' | b'?' | b'@'),
            Part::Fragment => true,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests;
