use phoenix_config::{Described, Problems};
use phoenix_pdata::Signal;
use serde::Deserialize;

use crate::literal::Literal;
use crate::pattern::Pattern;

/// How texts are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "lowercase")]
pub enum MatchType {
    /// They are equal.
    Strict,
    /// The text matches a regular expression somewhere.
    Regexp,
}

/// Settings of regular expressions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Regexp {
    /// Whether results are remembered.
    #[described(no_effect = "matching takes no longer than looking up what was remembered")]
    pub cacheenabled: bool,
    /// How many results are remembered.
    #[described(no_effect = "nothing is remembered")]
    pub cachemaxnumentries: usize,
}

/// An attribute to look for.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct AttributeSettings {
    /// Its key.
    #[described(required)]
    pub key: String,
    /// Its value, or with `match_type: regexp` a pattern for it; without one, any value will do.
    pub value: Literal,
}

/// A scope to look for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct LibrarySettings {
    /// Its name.
    #[described(required)]
    pub name: String,
    /// Its version; without one, any will do.
    pub version: Option<String>,
}

/// The severities to look for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct SeveritySettings {
    /// The least severity number that matches.
    pub min: i32,
    /// Whether records without a severity match.
    pub match_undefined: bool,
}

/// What a record has to be like: all that is given has to match, of each list one, of attributes, resources and
/// libraries each.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct MatchSettings {
    /// How texts and values are compared; required where there are any.
    pub match_type: Option<MatchType>,
    /// Settings of regular expressions.
    pub regexp: Regexp,
    /// Spans: values of the resource's `service.name`.
    pub services: Vec<String>,
    /// Spans: their names.
    pub span_names: Vec<String>,
    /// Spans: their kinds, for example `SPAN_KIND_SERVER`.
    pub span_kinds: Vec<String>,
    /// Log records: their bodies as text.
    pub log_bodies: Vec<String>,
    /// Log records: their severity as the source calls it.
    pub log_severity_texts: Vec<String>,
    /// Log records: their severity.
    pub log_severity_number: Option<SeveritySettings>,
    /// Metrics: their names.
    pub metric_names: Vec<String>,
    /// Spans and log records: attributes that they have, all of them.
    pub attributes: Vec<AttributeSettings>,
    /// Spans and log records: attributes that their resource has, all of them.
    pub resources: Vec<AttributeSettings>,
    /// Spans and log records: their scope.
    pub libraries: Vec<LibrarySettings>,
}

const KINDS: [&str; 5] = [
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_CONSUMER",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_SERVER",
];

impl MatchSettings {
    /// Reports what is wrong, whatever the signal.
    pub fn validate(&self, problems: &mut Problems) {
        if self.regexp != Regexp::default() {
            problems.warn("regexp", "has no effect: no results of regular expressions are remembered");
        }
        if self.match_type.is_none() && self.compares() {
            problems.error("match_type", "is required: `strict` or `regexp`");
            return;
        }
        let match_type = self.match_type.unwrap_or(MatchType::Strict);
        for (list, attributes) in [("attributes", &self.attributes), ("resources", &self.resources)] {
            for (index, attribute) in attributes.iter().enumerate() {
                problems.require(
                    !attribute.key.is_empty(),
                    &format!("{list}::{index}::key"),
                    "must not be empty",
                );
                problems.require(
                    match_type == MatchType::Strict
                        || !attribute.value.is_given()
                        || attribute.value.as_text().is_some(),
                    &format!("{list}::{index}::value"),
                    "must be text with `match_type: regexp`",
                );
            }
        }
        match match_type {
            MatchType::Strict => {
                for (index, kind) in self.span_kinds.iter().enumerate() {
                    problems.require(
                        KINDS.contains(&kind.as_str()),
                        &format!("span_kinds::{index}"),
                        format!("must be one of {}", KINDS.join(", ")),
                    );
                }
            }
            MatchType::Regexp => {
                for (key, text) in self.patterns() {
                    if let Err(error) = Pattern::new(text) {
                        problems.error(&key, format!("is no regular expression: {error}"));
                    }
                }
            }
        }
    }

    /// Whether there is a text or a value to compare with.
    fn compares(&self) -> bool {
        let mut attributes = self.attributes.iter().chain(&self.resources);
        !self.patterns().is_empty() || attributes.any(|attribute| attribute.value.is_given())
    }

    /// Every text that is a pattern with `match_type: regexp`, by its key.
    fn patterns(&self) -> Vec<(String, &str)> {
        let lists = [
            ("services", &self.services),
            ("span_names", &self.span_names),
            ("span_kinds", &self.span_kinds),
            ("log_bodies", &self.log_bodies),
            ("log_severity_texts", &self.log_severity_texts),
            ("metric_names", &self.metric_names),
        ];
        let texts = lists.into_iter().flat_map(|(key, texts)| {
            texts.iter().enumerate().map(move |(index, text)| (format!("{key}::{index}"), text.as_str()))
        });
        let values = [("attributes", &self.attributes), ("resources", &self.resources)].into_iter().flat_map(
            |(key, attributes)| {
                attributes.iter().enumerate().filter_map(move |(index, attribute)| {
                    Some((format!("{key}::{index}::value"), attribute.value.as_text()?))
                })
            },
        );
        let libraries = self.libraries.iter().enumerate().flat_map(|(index, library)| {
            let version =
                library.version.as_deref().map(|text| (format!("libraries::{index}::version"), text));
            [(format!("libraries::{index}::name"), library.name.as_str())].into_iter().chain(version)
        });
        texts.chain(values).chain(libraries).collect()
    }

    /// What of it says nothing about records of that signal, as otelcol refuses it; or that nothing does.
    ///
    /// # Errors
    /// In one sentence.
    pub fn fits(&self, signal: Signal) -> Result<(), String> {
        let given = |fields: &[(&'static str, bool)]| {
            fields.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
        };
        let spans = [
            ("services", !self.services.is_empty()),
            ("span_names", !self.span_names.is_empty()),
            ("span_kinds", !self.span_kinds.is_empty()),
        ];
        let logs = [
            ("log_bodies", !self.log_bodies.is_empty()),
            ("log_severity_texts", !self.log_severity_texts.is_empty()),
            ("log_severity_number", self.log_severity_number.is_some()),
        ];
        let either = [
            ("attributes", !self.attributes.is_empty()),
            ("resources", !self.resources.is_empty()),
            ("libraries", !self.libraries.is_empty()),
        ];
        let (foreign, own) = match signal {
            Signal::Traces => (given(&logs), [spans, either].concat()),
            Signal::Logs => (given(&spans), [logs, either].concat()),
            Signal::Metrics => return Ok(()),
        };
        if !foreign.is_empty() {
            return Err(format!("{foreign} cannot be used in a pipeline of {signal}"));
        }
        if given(&own).is_empty() {
            let names: Vec<_> = own.iter().map(|(name, _)| *name).collect();
            return Err(format!("at least one of {} is needed in a pipeline of {signal}", names.join(", ")));
        }
        Ok(())
    }
}
