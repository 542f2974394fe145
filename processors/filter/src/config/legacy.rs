//! What to keep and drop without conditions: `include` and `exclude`.

use phoenix_attributes::{AttributeSettings, MatchSettings, MatchType, Regexp, SeveritySettings};
use phoenix_config::{Described, Problems};
use phoenix_pdata::Signal;
use serde::Deserialize;

use super::FilterConfig;

pub(super) const NOTHING_REMEMBERED: &str = "has no effect: no results of regular expressions are remembered";

/// How metrics are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "lowercase")]
pub enum MetricMatchType {
    /// By equal names.
    Strict,
    /// By names that match a regular expression somewhere.
    Regexp,
    /// By expressions, in a language of their own. Refused.
    Expr,
}

/// Metrics to find, by what is given of names and resources.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct MetricMatchSettings {
    /// How they are found.
    #[described(required)]
    pub match_type: Option<MetricMatchType>,
    /// Settings of regular expressions.
    #[described(no_effect = "matching takes no longer than looking up what was remembered")]
    pub regexp: Regexp,
    /// Names, of which one has to match.
    pub metric_names: Vec<String>,
    /// Expressions.
    #[described(unsupported = "write conditions under `metric` or `datapoint`: they say the same")]
    pub expressions: Vec<String>,
    /// Attributes that the resource has, all of them.
    pub resource_attributes: Vec<AttributeSettings>,
}

/// Log records to find: all that is given has to match.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct LogMatchSettings {
    /// How texts and values are compared; required where there are any.
    pub match_type: Option<MatchType>,
    /// Attributes that the resource has, all of them.
    pub resource_attributes: Vec<AttributeSettings>,
    /// Attributes that the record has, all of them.
    pub record_attributes: Vec<AttributeSettings>,
    /// The severity as the source calls it, one of these.
    pub severity_texts: Vec<String>,
    /// The severity.
    pub severity_number: Option<NamedSeveritySettings>,
    /// The body as text, one of these.
    pub bodies: Vec<String>,
}

/// The severities to look for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct NamedSeveritySettings {
    /// The least severity that matches: `INFO`, `error2`, or a number from 1 to 24.
    pub min: String,
    /// Whether records without a severity match.
    pub match_undefined: bool,
}

impl NamedSeveritySettings {
    /// The number of the least severity; none where it is no severity.
    fn number(&self) -> Option<i32> {
        const NAMES: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
        let text = self.min.to_ascii_uppercase();
        if text.is_empty() {
            return Some(0);
        }
        if let Ok(number) = text.parse::<i32>() {
            return (1..=24).contains(&number).then_some(number).filter(|_| !text.starts_with(['0', '+']));
        }
        NAMES.iter().zip(0..).find_map(|(name, index)| {
            let step = match text.strip_prefix(name)? {
                "" => 0,
                "2" => 1,
                "3" => 2,
                "4" => 3,
                _ => return None,
            };
            Some(4 * index + 1 + step)
        })
    }
}

impl MetricMatchSettings {
    /// In the words of matching in general: names alone.
    pub(crate) fn names(&self) -> MatchSettings {
        MatchSettings {
            match_type: self.match_type(),
            metric_names: self.metric_names.clone(),
            ..MatchSettings::default()
        }
    }

    /// In the words of matching in general: resources alone, if it says something about them.
    pub(crate) fn resources(&self) -> Option<MatchSettings> {
        (!self.resource_attributes.is_empty()).then(|| MatchSettings {
            match_type: self.match_type(),
            resources: self.resource_attributes.clone(),
            ..MatchSettings::default()
        })
    }

    fn match_type(&self) -> Option<MatchType> {
        match self.match_type? {
            MetricMatchType::Strict => Some(MatchType::Strict),
            MetricMatchType::Regexp => Some(MatchType::Regexp),
            MetricMatchType::Expr => None,
        }
    }

    fn validate(&self, problems: &mut Problems) {
        if self.regexp != Regexp::default() {
            problems.warn("regexp", NOTHING_REMEMBERED);
        }
        match self.match_type {
            None => problems.error("match_type", "is required: `strict` or `regexp`"),
            Some(MetricMatchType::Expr) => problems.error_with_help(
                "match_type",
                "`expr` is not supported: it is a language of its own, which conditions replaced",
                "write conditions under `metrics::metric` or `metrics::datapoint`, for example `HasAttrKeyOnDatapoint(\"key\")`",
            ),
            Some(_) => {
                problems.require(self.expressions.is_empty(), "expressions", "has no meaning without `match_type: expr`");
                report(&self.names(), &[("metric_names", "metric_names")], problems);
                if let Some(resources) = self.resources() {
                    report(&resources, &[("resources", "resource_attributes")], problems);
                }
            }
        }
    }
}

impl LogMatchSettings {
    /// In the words of matching in general; none where nothing is said.
    pub(crate) fn settings(&self) -> Option<MatchSettings> {
        let severity = self.severity_number.as_ref();
        let settings = MatchSettings {
            match_type: self.match_type,
            resources: self.resource_attributes.clone(),
            attributes: self.record_attributes.clone(),
            log_severity_texts: self.severity_texts.clone(),
            log_bodies: self.bodies.clone(),
            log_severity_number: severity.map(|severity| SeveritySettings {
                min: severity.number().unwrap_or_default(),
                match_undefined: severity.match_undefined,
            }),
            ..MatchSettings::default()
        };
        settings.fits(Signal::Logs).is_ok().then_some(settings)
    }

    fn validate(&self, problems: &mut Problems) {
        if let Some(severity) = &self.severity_number {
            problems.require(
                severity.number().is_some(),
                "severity_number::min",
                format!("{:?} is no severity: TRACE, DEBUG, INFO, WARN, ERROR or FATAL, with 2, 3 or 4, or a number from 1 to 24", severity.min),
            );
        }
        let Some(settings) = self.settings() else { return };
        let names = [
            ("resources", "resource_attributes"),
            ("attributes", "record_attributes"),
            ("log_severity_texts", "severity_texts"),
            ("log_bodies", "bodies"),
        ];
        report(&settings, &names, problems);
    }
}

/// Reports what is wrong with `settings` at the keys that the parts have here: pairs of the general name and that.
fn report(settings: &MatchSettings, names: &[(&str, &str)], problems: &mut Problems) {
    for problem in Problems::of(|problems| settings.validate(problems)).sorted() {
        let key = problem.path.to_string();
        let own = names.iter().find_map(|(general, own)| {
            let rest = key.strip_prefix(general)?;
            (rest.is_empty() || rest.starts_with("::")).then(|| format!("{own}{rest}"))
        });
        problems.error(&own.unwrap_or(key), problem.message.clone());
    }
}

/// Reports what is wrong with `include` and `exclude` of all signals.
pub(super) fn validate(config: &FilterConfig, problems: &mut Problems) {
    for (key, settings) in
        [("spans::include", &config.spans.include), ("spans::exclude", &config.spans.exclude)]
    {
        if let Some(settings) = settings {
            problems.within(key, |problems| {
                settings.validate(problems);
                if let Err(what) = settings.fits(Signal::Traces) {
                    problems.error("", what);
                }
            });
        }
    }
    for (key, settings) in
        [("metrics::include", &config.metrics.include), ("metrics::exclude", &config.metrics.exclude)]
    {
        if let Some(settings) = settings {
            problems.within(key, |problems| settings.validate(problems));
        }
    }
    for (key, settings) in [("logs::include", &config.logs.include), ("logs::exclude", &config.logs.exclude)]
    {
        if let Some(settings) = settings {
            problems.within(key, |problems| settings.validate(problems));
        }
    }
}
