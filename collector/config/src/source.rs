//! Where a value was written: the text it came from, line and column.

use std::fmt;
use std::sync::Arc;

/// A text that configuration was read from.
#[derive(Debug)]
pub struct Source {
    name: String,
    lines: Option<String>,
    has_positions: bool,
}

impl Source {
    /// A text whose lines may be quoted in a report.
    pub fn quotable(name: impl Into<String>, text: impl Into<String>) -> Arc<Source> {
        Arc::new(Source { name: name.into(), lines: Some(text.into()), has_positions: true })
    }

    /// A text that is never quoted, since it may hold a secret: an environment variable, an inserted file.
    pub fn private(name: impl Into<String>) -> Arc<Source> {
        Arc::new(Source { name: name.into(), lines: None, has_positions: true })
    }

    /// A text that users did not write as it is read, so that lines and columns say nothing: `--set`.
    pub fn without_positions(name: impl Into<String>) -> Arc<Source> {
        Arc::new(Source { name: name.into(), lines: None, has_positions: false })
    }

    /// A file's path as it was given, or the URI of another source.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The line with this number (from 1), unless the text is private.
    pub fn line(&self, number: u32) -> Option<&str> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.lines.as_deref()?.lines().nth(index)
    }
}

/// The name of the text at a URI: without the text itself, a default, or a password.
pub(crate) fn name_of(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once(':') else { return uri.to_owned() };
    match scheme {
        "yaml" => "yaml:".to_owned(),
        "env" => format!("env:{}", rest.split(":-").next().unwrap_or_default()),
        _ => match rest.strip_prefix("//").and_then(|rest| rest.split_once('@')) {
            Some((user, rest)) if !user.contains('/') => format!("{scheme}://{rest}"),
            _ => uri.to_owned(),
        },
    }
}

/// A place in a [`Source`]. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Location {
    source: Option<Arc<Source>>,
    line: u32,
    column: u32,
    width: u32,
}

impl Location {
    /// The place of something that nobody wrote.
    pub fn nowhere() -> Location {
        Location::default()
    }

    /// A place of `width` characters; line and column count from 1.
    pub fn new(source: &Arc<Source>, line: u32, column: u32, width: u32) -> Location {
        let (line, column) = if source.has_positions { (line, column) } else { (0, 0) };
        Location { source: Some(Arc::clone(source)), line, column, width }
    }

    /// The text that the place is in, if there is one.
    pub fn source(&self) -> Option<&Source> {
        self.source.as_deref()
    }

    /// Line, from 1; 0 if unknown.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// Column in characters, from 1; 0 if unknown.
    pub fn column(&self) -> u32 {
        self.column
    }

    /// Number of characters that belong to the place, on its first line.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Whether anybody wrote it.
    pub fn is_known(&self) -> bool {
        self.source.is_some()
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.source, self.line) {
            (None, _) => f.write_str("-"),
            (Some(source), 0) => f.write_str(source.name()),
            (Some(source), _) => write!(f, "{}:{}:{}", source.name(), self.line, self.column),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn names_show_no_secret() {
        // (URI, name)
        let cases = [
            ("file:a.yaml", "file:a.yaml"),
            ("env:X:-secret", "env:X"),
            ("yaml:a: secret", "yaml:"),
            ("https://user:secret@host/x", "https://host/x"),
            ("https://host/x@y", "https://host/x@y"),
        ];
        for (uri, name) in cases {
            assert_eq!(name_of(uri), name);
        }
    }
}
