//! Which agents are meant, by their labels.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Error, Result};

/// Labels of an agent.
pub type Labels = BTreeMap<String, String>;

/// Longest selector, in bytes.
const MAX_LENGTH: usize = 2000;

/// Requirements that labels must meet, all of them; none is met by everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    Is(String, String),
    IsNot(String, String),
    Has(String),
    HasNot(String),
}

impl Requirement {
    /// Whether labels that meet this one always meet `other`.
    fn implies(&self, other: &Requirement) -> bool {
        match (self, other) {
            (Requirement::Is(key, value), Requirement::IsNot(other, not)) => key == other && value != not,
            (Requirement::Is(key, _), Requirement::Has(other)) => key == other,
            (Requirement::HasNot(key), Requirement::IsNot(other, _)) => key == other,
            (one, other) => one == other,
        }
    }
}

fn word(text: &str) -> Result<String> {
    let text = text.trim();
    let fits = |c: char| c.is_alphanumeric() || "._-/:@".contains(c);
    if text.is_empty() || !text.chars().all(fits) {
        let message = format!("{text:?} is no label: use letters, digits and . _ - / : @");
        return Err(Error::field("selector", message));
    }
    Ok(text.to_owned())
}

impl Selector {
    /// Reads `key=value`, `key!=value`, `key` and `!key`, with commas between them.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn parse(text: &str) -> Result<Selector> {
        if text.len() > MAX_LENGTH {
            return Err(Error::field("selector", format!("is longer than {MAX_LENGTH} bytes")));
        }
        if text.trim().is_empty() {
            return Ok(Selector::default());
        }
        let requirement = |part: &str| -> Result<Requirement> {
            if let Some((key, value)) = part.split_once("!=") {
                return Ok(Requirement::IsNot(word(key)?, word(value)?));
            }
            if let Some((key, value)) = part.split_once('=') {
                return Ok(Requirement::Is(word(key)?, word(value)?));
            }
            match part.trim().strip_prefix('!') {
                Some(key) => Ok(Requirement::HasNot(word(key)?)),
                None => Ok(Requirement::Has(word(part)?)),
            }
        };
        text.split(',').map(requirement).collect::<Result<_>>().map(Selector)
    }

    /// Whether it means everybody.
    pub fn is_everybody(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every agent that `narrower` means is surely meant by this one, too.
    pub fn covers(&self, narrower: &Selector) -> bool {
        self.0.iter().all(|wide| narrower.0.iter().any(|narrow| narrow.implies(wide)))
    }

    /// Whether an agent with these labels is meant.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::Is(key, value) => labels.get(key) == Some(value),
            Requirement::IsNot(key, value) => labels.get(key) != Some(value),
            Requirement::Has(key) => labels.contains_key(key),
            Requirement::HasNot(key) => !labels.contains_key(key),
        })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match requirement {
                Requirement::Is(key, value) => write!(out, "{comma}{key}={value}")?,
                Requirement::IsNot(key, value) => write!(out, "{comma}{key}!={value}")?,
                Requirement::Has(key) => write!(out, "{comma}{key}")?,
                Requirement::HasNot(key) => write!(out, "{comma}!{key}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_covers_what_asks_for_more() {
        let read = |text: &str| Selector::parse(text).expect(text);
        for (scope, selector, expected) in [
            ("", "", true),
            ("", "env=prod", true),
            ("env=prod", "", false),
            ("env=prod", "env=prod", true),
            ("env=prod", "team=a,env=prod", true),
            ("env=prod", "env=test", false),
            ("env=prod", "env!=test", false),
            ("env!=test", "env=prod", true),
            ("env!=test", "env=test", false),
            ("env!=test", "!env", true),
            ("env", "env=prod", true),
            ("env", "env!=prod", false),
            ("!env", "!env", true),
            ("env=prod,team=a", "env=prod", false),
        ] {
            assert_eq!(read(scope).covers(&read(selector)), expected, "{scope} over {selector}");
        }
    }

    #[test]
    fn all_requirements_must_be_met() {
        let labels = Labels::from([("env".into(), "prod".into()), ("host.name".into(), "a-1".into())]);
        for (selector, expected) in [
            ("", true),
            ("env=prod", true),
            ("env = prod , host.name=a-1", true),
            ("env=prod,host.name=a-2", false),
            ("env!=prod", false),
            ("region!=eu", true),
            ("env", true),
            ("!env", false),
            ("!region", true),
        ] {
            assert_eq!(Selector::parse(selector).expect(selector).matches(&labels), expected, "{selector}");
        }
        for wrong in [",", "a=", "=a", "a b", "a==b", "!"] {
            assert!(matches!(Selector::parse(wrong), Err(Error::Invalid(_))), "{wrong}");
        }
    }
}
