//! Lines of web servers' access logs: the Common Log Format and the combined one.

use std::str::FromStr;

use crate::{EvalError, Map, Value};

/// A format of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Host, identity, user, time, request, status, bytes.
    #[default]
    Common,
    /// The same, with referer and user agent.
    Combined,
}

impl FromStr for Format {
    type Err = EvalError;

    fn from_str(name: &str) -> Result<Self, EvalError> {
        match name {
            "clf" => Ok(Self::Common),
            "combined" => Ok(Self::Combined),
            _ => Err(EvalError::new(format!("unknown format {name:?}, expected clf or combined"))),
        }
    }
}

/// Reads a line. A hyphen for the number of bytes means that there is none; method, address and protocol
/// are told apart only in requests of three parts.
///
/// # Errors
///
/// An empty line, and one of another form.
pub fn parse(line: &str, format: Format) -> Result<Map<'static>, EvalError> {
    let line = line.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        return Err(EvalError::new("cannot parse an empty line"));
    }
    let mut reader = Reader { rest: line };
    let fields = reader.fields(format);
    fields.map_err(|expected| {
        EvalError::new(format!("invalid access log line: expected {expected} at {:?}", reader.rest))
    })
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn fields(&mut self, format: Format) -> Result<Map<'static>, &'static str> {
        let mut map = Map::new();
        for name in ["clf.remote_host", "clf.rfc931", "clf.auth_user"] {
            map.push(name, self.word().ok_or("a word")?.to_owned());
            self.space()?;
        }
        let timestamp =
            self.rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or("a time in brackets")?;
        self.rest = timestamp.1;
        map.push("clf.timestamp", timestamp.0.to_owned());
        self.space()?;
        let request = self.quoted().ok_or("a quoted request")?;
        let parts: Vec<&str> = request.split(' ').collect();
        if let [method, uri, protocol] = parts[..] {
            map.push("clf.method", method.to_owned());
            map.push("clf.request_uri", uri.to_owned());
            map.push("clf.protocol", protocol.to_owned());
        }
        map.push("clf.request", request);
        self.space()?;
        map.push("clf.status", self.number().ok_or("a status")?);
        self.space()?;
        match self.word().ok_or("a number of bytes")? {
            "-" => {}
            bytes => map.push("clf.bytes", Value::Int(digits(bytes).ok_or("a number of bytes before this")?)),
        }
        if format == Format::Combined {
            for name in ["clf.referer", "clf.user_agent"] {
                self.space()?;
                map.push(name, self.quoted().ok_or("a quoted text")?);
            }
        }
        if self.rest.is_empty() { Ok(map) } else { Err("the end") }
    }

    fn space(&mut self) -> Result<(), &'static str> {
        self.rest = self.rest.strip_prefix(' ').ok_or("a space")?;
        Ok(())
    }

    fn word(&mut self) -> Option<&'a str> {
        let end = self.rest.find(' ').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    fn number(&mut self) -> Option<i64> {
        self.word().and_then(digits)
    }

    /// Takes a text in quotes, and decodes its backslash escapes.
    fn quoted(&mut self) -> Option<String> {
        let mut characters = self.rest.strip_prefix('"')?.chars();
        let mut out = String::new();
        loop {
            match characters.next()? {
                '"' => break,
                '\\' => match characters.next()? {
                    'n' => out.push('\n'),
                    'r' => out.push('\r'),
                    't' => out.push('\t'),
                    'b' => out.push('\u{8}'),
                    'f' => out.push('\u{c}'),
                    'v' => out.push('\u{b}'),
                    'x' => {
                        // Apache writes what cannot be printed as `\xhh`.
                        let code = characters
                            .as_str()
                            .get(..2)
                            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
                        match code {
                            Some(code) => {
                                out.push(char::from(code));
                                characters = characters.as_str()[2..].chars();
                            }
                            None => out.push('x'),
                        }
                    }
                    other => out.push(other),
                },
                other => out.push(other),
            }
        }
        self.rest = characters.as_str();
        Some(out)
    }
}

fn digits(text: &str) -> Option<i64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads() {
        let line = r#"127.0.0.1 - bob [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 -"#;
        let map = parse(line, Format::Common).unwrap();
        let expected: Map<'_> = [
            ("clf.auth_user", Value::from("bob")),
            ("clf.method", "GET".into()),
            ("clf.protocol", "HTTP/1.0".into()),
            ("clf.remote_host", "127.0.0.1".into()),
            ("clf.request", "GET /a.gif HTTP/1.0".into()),
            ("clf.request_uri", "/a.gif".into()),
            ("clf.rfc931", "-".into()),
            ("clf.status", Value::Int(200)),
            ("clf.timestamp", "10/Oct/2000:13:55:36 -0700".into()),
        ]
        .into_iter()
        .collect();
        assert_eq!(map, expected);
        let line = r#"h - - [t] "a \"b\" \x41\n" 404 12 "http://r/" "curl \\ 8""#;
        let map = parse(line, Format::Combined).unwrap();
        for (key, value) in [
            ("clf.request", Value::from("a \"b\" A\n")),
            ("clf.bytes", Value::Int(12)),
            ("clf.referer", "http://r/".into()),
            ("clf.user_agent", "curl \\ 8".into()),
        ] {
            assert_eq!(map.get(key), Some(&value), "{key}");
        }
        // Three parts, whatever they are.
        assert_eq!(map.get("clf.method"), Some(&Value::from("a")));
        let map = parse("h - - [t] \"-\" 400 0\n", Format::Common).unwrap();
        assert_eq!((map.get("clf.method"), map.get("clf.request")), (None, Some(&Value::from("-"))));
    }

    #[test]
    fn refuses() {
        for line in [
            "",
            "garbage",
            "h - - [t \"r\" 200 1",
            "h - - [t] r 200 1",
            "h - - [t] \"r\" x 1",
            "h - - [t] \"r\" 200 x",
            "h - - [t] \"r\" 200 1 more",
            "h - - [t] \"r 200 1",
            "h - - [t] \"r\" 200 ",
            "h  - [t] \"r\" 200 1",
        ] {
            assert!(parse(line, Format::Common).is_err(), "{line}");
        }
        assert!(parse("h - - [t] \"r\" 200 1", Format::Combined).is_err());
        assert!("common".parse::<Format>().is_err());
    }
}
