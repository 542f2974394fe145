//! What is wrong with a statement, and where.

use std::fmt;
use std::ops::Range;

/// A problem of a statement or condition, found before it ever runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The statement as it was written.
    pub source: String,
    /// The bytes of it that the problem is about; may be empty, at its end.
    pub place: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What was meant, perhaps.
    pub help: Option<String>,
}

impl Diagnostic {
    /// Counted in characters, from one.
    pub fn column(&self) -> usize {
        self.source.get(..self.place.start).map_or(1, |before| {
            let line = before.rsplit('\n').next().unwrap_or(before);
            line.chars().count() + 1
        })
    }

    /// Counted from one.
    pub fn line(&self) -> usize {
        self.source.get(..self.place.start).map_or(1, |before| before.matches('\n').count() + 1)
    }

    /// The statement with a mark under the place, over several lines.
    pub fn render(&self) -> String {
        let line = self.source.lines().nth(self.line() - 1).unwrap_or("");
        let marked = self.source.get(self.place.clone()).unwrap_or("");
        let width = marked.lines().next().map_or(1, |line| line.chars().count().max(1));
        let indent = " ".repeat(self.column() - 1);
        format!("{self}\n  {line}\n  {indent}{}", "^".repeat(width))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line() {
            1 => write!(f, "column {}: {}", self.column(), self.message)?,
            line => write!(f, "line {line}, column {}: {}", self.column(), self.message)?,
        }
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnostic {}

/// All problems of a group of statements; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index > 0 { "; " } else { "" };
            write!(f, "{separator}{problem} in `{}`", problem.source)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl From<Diagnostic> for Diagnostics {
    fn from(problem: Diagnostic) -> Diagnostics {
        Diagnostics(vec![problem])
    }
}

/// A problem that does not know yet which statement it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) place: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    /// Whether it is about an argument as a whole, whose name then goes before the message.
    is_of_argument: bool,
}

impl Problem {
    pub(crate) fn new(place: &Range<usize>, message: impl Into<String>) -> Problem {
        Problem { place: place.clone(), message: message.into(), help: None, is_of_argument: false }
    }

    /// A problem of an argument that does not know yet whose it is.
    pub(crate) fn of_argument(place: &Range<usize>, message: impl Into<String>) -> Problem {
        Problem { is_of_argument: true, ..Problem::new(place, message) }
    }

    /// Says which argument it is about, if it is about one.
    pub(crate) fn named(mut self, parameter: &str, function: &str) -> Problem {
        if std::mem::take(&mut self.is_of_argument) {
            self.message = format!("argument \"{parameter}\" of {function}: {}", self.message);
        }
        self
    }

    pub(crate) fn help(mut self, help: Option<String>) -> Problem {
        self.help = help;
        self
    }

    pub(crate) fn of(self, source: &str) -> Diagnostic {
        Diagnostic { source: source.to_owned(), place: self.place, message: self.message, help: self.help }
    }
}

/// `did you mean "…"?`, for the closest of the names that are close.
pub(crate) fn did_you_mean<'n>(written: &str, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
    let limit = (written.chars().count() / 3).clamp(1, 4);
    names
        .into_iter()
        .map(|name| (distance(written, name), name))
        .filter(|(distance, name)| *distance <= limit || name.eq_ignore_ascii_case(written))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| format!("did you mean \"{name}\"?"))
}

/// The distance of Levenshtein, without regard to case.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().flat_map(char::to_lowercase).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, letter) in left.chars().flat_map(char::to_lowercase).enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (at, other) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(letter != *other);
            diagonal = row[at + 1];
            row[at + 1] = substituted.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
