//! How a problem looks on a terminal.

use super::masked::masked;
use super::{Diagnostic, Problems, Severity, UNKNOWN_KEY, UNKNOWN_TYPE};
use crate::source::Location;
use crate::url_password::without_passwords;
use std::fmt;

/// Longest part of a source line that is quoted, in characters.
const MAX_QUOTE: usize = 120;

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

/// The whole report, by place. A line with a secret in it is not quoted, and one that may have some without its values.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut secret_lines: Vec<_> = self.readings.places.iter().map(line_of).collect();
        secret_lines.sort_unstable();
        let unknown = self.list.iter().filter(|problem| problem.is_of_unknown());
        let unknown_lines: Vec<_> = unknown.map(|problem| line_of(&problem.location)).collect();
        for problem in self.sorted() {
            problem.headline(f)?;
            if secret_lines.binary_search(&line_of(&problem.location)).is_err() {
                let is_masked =
                    self.readings.is_unread || unknown_lines.contains(&line_of(&problem.location));
                problem.quote(f, is_masked)?;
            }
            problem.advice(f)?;
            f.write_str("\n")?;
        }
        Ok(())
    }
}

fn line_of(location: &Location) -> (&str, u32) {
    (location.source().map_or("", |source| source.name()), location.line())
}

/// Where and what, then the help. Only a whole report knows which lines may be quoted.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.headline(f)?;
        self.advice(f)
    }
}

impl Diagnostic {
    /// Whether it is about something that nobody reads.
    fn is_of_unknown(&self) -> bool {
        self.message.starts_with(UNKNOWN_KEY) || self.message.starts_with(UNKNOWN_TYPE)
    }

    fn headline(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.severity)?;
        if self.location.is_known() {
            write!(f, "{}: ", self.location)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }

    fn advice(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }

    /// The line of the source, with its values or without, and a mark under the place.
    fn quote(&self, f: &mut fmt::Formatter<'_>, is_masked: bool) -> fmt::Result {
        let line_number = self.location.line();
        let line = self.location.source().and_then(|source| source.line(line_number));
        let Some(line) = line else { return Ok(()) };
        let line = if is_masked { masked(line).into() } else { without_passwords(line) };
        let column = self.location.column().saturating_sub(1) as usize;
        // A long line is cut so that the place stays in view.
        let skipped = if column >= MAX_QUOTE { column - MAX_QUOTE / 2 } else { 0 };
        let shown: String = line.chars().skip(skipped).take(MAX_QUOTE).map(printable).collect();
        let shown = shown.trim_end();
        let indent = column - skipped;
        let room = shown.chars().count().saturating_sub(indent).max(1);
        let width = (self.location.width() as usize).clamp(1, room);
        let number = line_number.to_string();
        write!(f, "\n  {number} | {shown}\n  {:>2$} | {:>3$}", "", "", number.len(), indent)?;
        f.write_str(&"^".repeat(width))
    }
}

fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}
