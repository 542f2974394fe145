//! How a problem looks on a terminal.

use super::{Diagnostic, Severity};
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

/// One line that says where and what, then the line of the source with a mark under it, then the help.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.severity)?;
        if self.location.is_known() {
            write!(f, "{}: ", self.location)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        self.quote(f)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

impl Diagnostic {
    fn quote(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line_number = self.location.line();
        let line = self.location.source().and_then(|source| source.line(line_number));
        let (Some(line), false) = (line, self.secret) else { return Ok(()) };
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
