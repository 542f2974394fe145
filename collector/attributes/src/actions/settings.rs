use phoenix_config::{Described, Problems};
use serde::Deserialize;

use crate::literal::Literal;
use crate::pattern::Pattern;

/// What to do with an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(try_from = "String")]
#[described(rename_all = "lowercase", any_case)]
pub enum ActionKind {
    /// Adds it, where there is none of its key.
    Insert,
    /// Gives it another value, where there is one of its key.
    Update,
    /// Either of both.
    Upsert,
    /// Removes it, and those whose keys match `pattern`.
    Delete,
    /// Puts the SHA-256 of the value in its place, in hexadecimal digits; also of those whose keys match `pattern`.
    Hash,
    /// Matches its text with `pattern`, and makes an attribute of each named group.
    Extract,
    /// Turns the value into one of type `converted_type`, where that is possible.
    Convert,
}

impl ActionKind {
    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            ActionKind::Insert => "insert",
            ActionKind::Update => "update",
            ActionKind::Upsert => "upsert",
            ActionKind::Delete => "delete",
            ActionKind::Hash => "hash",
            ActionKind::Extract => "extract",
            ActionKind::Convert => "convert",
        }
    }

    const ALL: [ActionKind; 7] = [
        ActionKind::Insert,
        ActionKind::Update,
        ActionKind::Upsert,
        ActionKind::Delete,
        ActionKind::Hash,
        ActionKind::Extract,
        ActionKind::Convert,
    ];
}

impl TryFrom<String> for ActionKind {
    type Error = String;

    fn try_from(text: String) -> Result<ActionKind, String> {
        let known = ActionKind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(&text));
        known.ok_or_else(|| {
            format!(
                "action {text:?} is not known: one of {}",
                ActionKind::ALL.map(ActionKind::name).join(", ")
            )
        })
    }
}

/// The type that a value is converted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// A whole number.
    Int,
    /// A floating-point number.
    Double,
    /// Text.
    String,
}

/// One action on attributes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ActionSettings {
    /// The key of the attribute; `delete` and `hash` do with a `pattern`.
    pub key: String,
    /// What to do with it.
    #[described(required)]
    pub action: Option<ActionKind>,
    /// The value to insert, update or upsert.
    pub value: Literal,
    /// The attribute whose value is taken instead.
    pub from_attribute: String,
    /// What is taken of the request instead: `metadata.<header>`, `client.address`, or the name of a header; several
    /// values are joined with `;`. The receiver has to pass them on (`include_metadata: true`).
    pub from_context: String,
    /// The value where `from_attribute` or `from_context` has none.
    pub default_value: Literal,
    /// A regular expression: over keys for `delete` and `hash`, over the value, with named groups, for `extract`.
    pub pattern: String,
    /// The type to convert to.
    pub converted_type: Option<Target>,
}

/// Reports what is wrong with a list of actions that stands at `key`.
pub fn validate_actions(actions: &[ActionSettings], key: &str, problems: &mut Problems) {
    problems.require(!actions.is_empty(), key, "must have at least one action");
    for (index, action) in actions.iter().enumerate() {
        problems.within(&format!("{key}::{index}"), |problems| action.validate(problems));
    }
}

impl ActionSettings {
    fn validate(&self, problems: &mut Problems) {
        let Some(kind) = self.action else {
            problems.error(
                "action",
                "is required: one of insert, update, upsert, delete, hash, extract, convert",
            );
            return;
        };
        match kind {
            ActionKind::Delete | ActionKind::Hash => problems.require(
                !self.key.is_empty() || !self.pattern.is_empty(),
                "key",
                format!("`{}` needs a `key` or a `pattern`", kind.name()),
            ),
            _ => problems.require(!self.key.is_empty(), "key", format!("is required by `{}`", kind.name())),
        }
        self.validate_source(kind, problems);
        self.validate_pattern(kind, problems);
        match (kind, self.converted_type) {
            (ActionKind::Convert, None) => {
                problems.error("converted_type", "is required by `convert`: one of int, double, string");
            }
            (ActionKind::Convert, _) | (_, None) => {}
            (_, Some(_)) => self.unused("converted_type", kind, problems),
        }
    }

    fn validate_source(&self, kind: ActionKind, problems: &mut Problems) {
        let sources = [
            ("value", self.value.is_given()),
            ("from_attribute", !self.from_attribute.is_empty()),
            ("from_context", !self.from_context.is_empty()),
        ];
        let mut given = sources.into_iter().filter(|(_, is_given)| *is_given).map(|(key, _)| key);
        if !matches!(kind, ActionKind::Insert | ActionKind::Update | ActionKind::Upsert) {
            given.for_each(|key| self.unused(key, kind, problems));
            if self.default_value.is_given() {
                self.unused("default_value", kind, problems);
            }
            return;
        }
        match (given.next(), given.next()) {
            (None, _) => problems.error(
                "value",
                format!("`{}` needs one of `value`, `from_attribute` and `from_context`", kind.name()),
            ),
            (Some(first), Some(second)) => {
                problems.error(second, format!("the value comes from `{first}` already: only one of both"));
            }
            (Some(_), None) => {}
        }
    }

    fn validate_pattern(&self, kind: ActionKind, problems: &mut Problems) {
        if self.pattern.is_empty() {
            problems.require(kind != ActionKind::Extract, "pattern", "is required by `extract`");
            return;
        }
        if !matches!(kind, ActionKind::Delete | ActionKind::Hash | ActionKind::Extract) {
            return self.unused("pattern", kind, problems);
        }
        match Pattern::new(&self.pattern) {
            Err(error) => problems.error("pattern", format!("is no regular expression: {error}")),
            Ok(pattern) if kind == ActionKind::Extract => {
                let names: Vec<_> = pattern.group_names().collect();
                problems.require(!names.is_empty(), "pattern", "has no named group, like `(?P<name>…)`");
                problems.require(
                    !names.contains(&None),
                    "pattern",
                    "has a group without a name: write `(?P<name>…)` or `(?:…)`",
                );
            }
            Ok(_) => {}
        }
    }

    fn unused(&self, key: &str, kind: ActionKind, problems: &mut Problems) {
        problems.error(key, format!("has no meaning for `{}`", kind.name()));
    }
}
