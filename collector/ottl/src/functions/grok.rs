//! Grok: regular expressions made of named ones.
//!
//! `%{SYNTAX}` stands for a definition of the library, `%{SYNTAX:name}` captures what it matches, and
//! `%{SYNTAX:name:type}` converts it. The library (`grok/library.txt`) is that of Logstash in its form for
//! the Elastic Common Schema, in which look-around, atomic groups and possessive repeats are written in
//! syntax that takes linear time; the file says where a definition therefore matches a little more.

use std::collections::HashMap;
use std::sync::OnceLock;

use regex::Regex;

use super::go_regex;
use super::json::map_of;
use super::number::{parse_bool, parse_float, parse_int};
use crate::{EvalError, Map, Value};

/// Definitions within each other; more means that one of them contains itself.
const MAX_DEPTH: usize = 50;
/// The size of an expression when all definitions are in their places.
const MAX_EXPANDED_BYTES: usize = 1 << 20;
/// Groups of our own have this before their number.
const GROUP_PREFIX: &str = "grok__";

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Grok {
    regex: Regex,
    /// For each group of the expression, what it is captured as.
    captures: Vec<Option<Capture>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Capture {
    name: String,
    kind: Kind,
}

#[derive(Clone, Debug, Default, PartialEq)]
enum Kind {
    #[default]
    Text,
    Int,
    Double,
    Bool,
    Unknown(String),
}

impl Grok {
    /// Compiles a pattern. Without `named_only` every `%{SYNTAX}` is captured under its own name, also
    /// those within definitions. `definitions` (`NAME=expression`) come before those of the library.
    ///
    /// # Errors
    ///
    /// Definitions that there are not or that contain themselves, malformed ones, and bad expressions.
    pub fn new(pattern: &str, named_only: bool, definitions: &[&str]) -> Result<Self, EvalError> {
        let mut own = HashMap::new();
        for definition in definitions {
            let (name, expression) = definition
                .split_once('=')
                .filter(|(name, _)| !name.is_empty() && !name.contains(':'))
                .ok_or_else(|| {
                    EvalError::new(format!("invalid pattern definition {definition:?}, expected NAME=regex"))
                })?;
            own.insert(name, expression);
        }
        let mut expansion =
            Expansion { own, named_only, out: String::new(), names: Vec::new(), kinds: HashMap::new() };
        expansion.expand(pattern, 0)?;
        let regex = go_regex::compile(&expansion.out)
            .map_err(|error| error.within(format!("grok pattern {pattern:?}")))?;
        let captures = regex.capture_names().map(|group| {
            let group = group?;
            let own = group.strip_prefix(GROUP_PREFIX).and_then(|number| number.parse::<usize>().ok());
            let name = match own {
                Some(number) => expansion.names.get(number)?.clone(),
                // Named groups of an expression cannot have points.
                None => go_regex::written_name(group).replace("___", "."),
            };
            let kind = expansion.kinds.get(&name).cloned().unwrap_or_default();
            Some(Capture { name, kind })
        });
        Ok(Self { captures: captures.collect(), regex })
    }

    /// Reads a text: what was captured and is not empty; nothing if the pattern does not match.
    ///
    /// # Errors
    ///
    /// What cannot be converted, and types that there are not.
    pub fn captures(&self, text: &str) -> Result<Map<'static>, EvalError> {
        let Some(found) = self.regex.captures(text) else { return Ok(Map::new()) };
        let mut entries = Vec::new();
        for (group, capture) in found.iter().zip(&self.captures) {
            if let (Some(group), Some(capture)) = (group, capture)
                && !group.is_empty()
            {
                let value =
                    capture.kind.convert(group.as_str()).map_err(|error| error.within(&capture.name))?;
                entries.push((capture.name.clone(), value));
            }
        }
        Ok(map_of(entries))
    }
}

impl Kind {
    fn of(name: &str) -> Self {
        match name {
            "" | "string" => Self::Text,
            "int" | "long" => Self::Int,
            "float" | "double" => Self::Double,
            "bool" | "boolean" => Self::Bool,
            other => Self::Unknown(other.to_owned()),
        }
    }

    fn convert(&self, text: &str) -> Result<Value<'static>, EvalError> {
        match self {
            Self::Text => Ok(Value::from(text.to_owned())),
            Self::Int => parse_int(text, 10).map(Value::Int),
            Self::Double => parse_float(text).map(Value::Double),
            Self::Bool => parse_bool(text).map(Value::Bool),
            Self::Unknown(name) => Err(EvalError::new(format!("unknown type {name:?}"))),
        }
    }
}

/// Putting definitions into their places.
struct Expansion<'d> {
    own: HashMap<&'d str, &'d str>,
    named_only: bool,
    out: String,
    /// What groups of our own are called, by number.
    names: Vec<String>,
    kinds: HashMap<String, Kind>,
}

impl Expansion<'_> {
    fn expand(&mut self, pattern: &str, depth: usize) -> Result<(), EvalError> {
        if depth > MAX_DEPTH || self.out.len() > MAX_EXPANDED_BYTES {
            return Err(EvalError::new("a grok definition contains itself, or is too large"));
        }
        let mut rest = pattern;
        while let Some(start) = rest.find("%{") {
            let (before, reference) = rest.split_at(start);
            self.out.push_str(before);
            let Some((reference, after)) = Reference::parse(reference) else {
                self.out.push_str("%{");
                rest = &reference[2..];
                continue;
            };
            let definition = self
                .own
                .get(reference.syntax)
                .copied()
                .or_else(|| library().get(reference.syntax).copied())
                .ok_or_else(|| EvalError::new(format!("unknown grok pattern {:?}", reference.syntax)))?
                .to_owned();
            match reference.name.or((!self.named_only).then_some(reference.syntax)) {
                Some(name) => {
                    if let Some(kind) = reference.kind {
                        self.kinds.insert(name.to_owned(), Kind::of(kind));
                    }
                    self.out.push_str(&format!("(?P<{GROUP_PREFIX}{}>", self.names.len()));
                    self.names.push(name.to_owned());
                }
                None => self.out.push_str("(?:"),
            }
            self.expand(&definition, depth + 1)?;
            self.out.push(')');
            rest = after;
        }
        self.out.push_str(rest);
        Ok(())
    }
}

struct Reference<'t> {
    syntax: &'t str,
    name: Option<&'t str>,
    kind: Option<&'t str>,
}

impl<'t> Reference<'t> {
    /// Reads `%{SYNTAX:name:type}`; what looks otherwise is no reference.
    fn parse(text: &'t str) -> Option<(Self, &'t str)> {
        let (inside, after) = text.strip_prefix("%{")?.split_once('}')?;
        let mut parts = inside.split(':');
        let is_word = |part: &&str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let is_name = |part: &&str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'+');
            !part.is_empty() && part.bytes().all(plain)
        };
        let syntax = parts.next().filter(is_word)?;
        let name = parts.next();
        let kind = parts.next();
        let valid =
            name.as_ref().is_none_or(is_name) && kind.as_ref().is_none_or(is_word) && parts.next().is_none();
        valid.then_some((Self { syntax, name, kind }, after))
    }
}

/// The definitions, by name; made when the first pattern is compiled.
fn library() -> &'static HashMap<&'static str, &'static str> {
    static LIBRARY: OnceLock<HashMap<&'static str, &'static str>> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let lines = include_str!("grok/library.txt").lines();
        lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .filter_map(|line| line.split_once(' '))
            .collect()
    })
}

#[cfg(test)]
mod tests;
