use std::fmt;
use std::marker::PhantomData;

use phoenix_config::{Described, Shape};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// What becomes of an error while data is processed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(try_from = "String")]
#[described(rename_all = "lowercase", any_case)]
pub enum ErrorMode {
    /// It is logged, and work goes on with the next statement or condition.
    #[default]
    Ignore,
    /// Work goes on with the next statement or condition.
    Silent,
    /// The whole request is refused.
    Propagate,
}

impl TryFrom<String> for ErrorMode {
    type Error = String;

    fn try_from(text: String) -> Result<ErrorMode, String> {
        match text.to_ascii_lowercase().as_str() {
            "ignore" => Ok(ErrorMode::Ignore),
            "silent" => Ok(ErrorMode::Silent),
            "propagate" => Ok(ErrorMode::Propagate),
            _ => Err(format!("error mode {text:?} is not known: one of ignore, silent, propagate")),
        }
    }
}

/// Statements for one context, under conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct StatementGroup {
    /// What they are run for; without it, what their paths are about. It lets paths do without a prefix.
    pub context: Option<String>,
    /// What becomes of errors; without it, as for the whole component.
    pub error_mode: Option<ErrorMode>,
    /// Of these one has to hold for the statements to run.
    pub conditions: Vec<String>,
    /// The statements, in this order.
    #[described(required)]
    pub statements: Vec<String>,
}

/// Conditions for one context.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ConditionGroup {
    /// What they are evaluated for; without it, what their paths are about. It lets paths do without a prefix.
    pub context: Option<String>,
    /// What becomes of errors; without it, as for the whole component.
    pub error_mode: Option<ErrorMode>,
    /// The conditions, of which one has to hold.
    #[described(required)]
    pub conditions: Vec<String>,
}

/// A list of statements or conditions: texts, or groups of them, but not both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Groups<G> {
    /// Texts, each with the context that its paths are about.
    Plain(Vec<String>),
    /// Groups.
    Grouped(Vec<G>),
}

impl<G> Default for Groups<G> {
    fn default() -> Self {
        Groups::Plain(Vec::new())
    }
}

impl<G> Groups<G> {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Groups::Plain(texts) => texts.is_empty(),
            Groups::Grouped(groups) => groups.is_empty(),
        }
    }
}

impl<G: Described> Described for Groups<G> {
    fn shape() -> Shape {
        Shape::List(Box::new(Shape::OneOf(vec![Shape::Text, G::shape()])))
    }

    fn written(&self) -> Option<serde_json::Value> {
        // Only defaults are written, which are empty.
        self.is_empty().then(|| serde_json::Value::Array(Vec::new()))
    }
}

impl<'de, G: Deserialize<'de>> Deserialize<'de> for Groups<G> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

struct ListVisitor<G>(PhantomData<G>);

impl<'de, G: Deserialize<'de>> Visitor<'de> for ListVisitor<G> {
    type Value = Groups<G>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts or of groups")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Groups<G>, A::Error> {
        let mut texts = Vec::new();
        let mut groups = Vec::new();
        while let Some(item) = items.next_element::<Item<G>>()? {
            match item {
                Item::Text(text) => texts.push(text),
                Item::Group(group) => groups.push(group),
            }
            if !texts.is_empty() && !groups.is_empty() {
                return Err(A::Error::custom("a list has either texts or groups, not both"));
            }
        }
        Ok(if groups.is_empty() { Groups::Plain(texts) } else { Groups::Grouped(groups) })
    }
}

enum Item<G> {
    Text(String),
    Group(G),
}

impl<'de, G: Deserialize<'de>> Deserialize<'de> for Item<G> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor(PhantomData))
    }
}

struct ItemVisitor<G>(PhantomData<G>);

impl<'de, G: Deserialize<'de>> Visitor<'de> for ItemVisitor<G> {
    type Value = Item<G>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a group")
    }

    fn visit_str<E>(self, text: &str) -> Result<Item<G>, E> {
        Ok(Item::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Item<G>, A::Error> {
        G::deserialize(MapAccessDeserializer::new(map)).map(Item::Group)
    }
}

#[cfg(test)]
mod tests {
    use phoenix_config::{Settings, decode_text};

    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
    #[serde(deny_unknown_fields, default)]
    struct Section {
        error_mode: ErrorMode,
        statements: Groups<StatementGroup>,
    }

    impl Settings for Section {}

    #[test]
    fn a_list_has_texts_or_groups() {
        let section =
            decode_text::<Section>("{statements: ['set(a, 1)', 'set(b, \"x, y\")']}").expect("texts");
        assert_eq!(section.statements, Groups::Plain(vec!["set(a, 1)".into(), "set(b, \"x, y\")".into()]));
        let section = decode_text::<Section>(
            "{error_mode: PROPAGATE, statements: [{context: span, conditions: [c], error_mode: silent, statements: [s]}]}",
        );
        let group = StatementGroup {
            context: Some("span".into()),
            error_mode: Some(ErrorMode::Silent),
            conditions: vec!["c".into()],
            statements: vec!["s".into()],
        };
        let expected = Section { error_mode: ErrorMode::Propagate, statements: Groups::Grouped(vec![group]) };
        assert_eq!(section.expect("a group"), expected);
    }

    #[test]
    fn bad_settings_are_named() {
        // (settings, the key that the error names, a part of what it says)
        let cases = [
            ("{statements: [a, {statements: [b]}]}", "statements", "either texts or groups"),
            ("{statements: [a, null]}", "statements::1", ""),
            ("{statements: [1]}", "statements::0", ""),
            ("{statements: [{statement: [b]}]}", "statements::0::statement", "unknown key"),
            (
                "{statements: [{error_mode: loud}]}",
                "statements::0::error_mode",
                "one of ignore, silent, propagate",
            ),
            ("{error_mode: loud}", "error_mode", "one of ignore, silent, propagate"),
        ];
        for (text, key, words) in cases {
            let report = decode_text::<Section>(text).expect_err(text);
            assert_eq!(report.keys(), [key], "{text}: {report}");
            assert!(report.to_string().contains(words), "{text}: {report}");
        }
    }
}
