//! Which records are meant.

mod settings;
#[cfg(test)]
mod tests;

use phoenix_pdata::view::{AnyValue, Attributes, LogRecord, Metric, Scope, Span, View as _};
use phoenix_pdata::walk::Around;

pub use settings::{AttributeSettings, LibrarySettings, MatchSettings, MatchType, Regexp, SeveritySettings};

use crate::pattern::{Pattern, PatternError, PatternSet};
use crate::value::as_text;

/// Texts of which one has to match.
#[derive(Debug)]
enum Texts {
    Strict(Vec<Vec<u8>>),
    Patterns(PatternSet),
}

impl Texts {
    fn new(texts: &[String], how: MatchType) -> Result<Option<Texts>, PatternError> {
        if texts.is_empty() {
            return Ok(None);
        }
        Ok(Some(match how {
            MatchType::Strict => Texts::Strict(texts.iter().map(|text| text.clone().into_bytes()).collect()),
            MatchType::Regexp => Texts::Patterns(PatternSet::new(texts.iter().map(String::as_str))?),
        }))
    }

    fn one(text: &str, how: MatchType) -> Result<Texts, PatternError> {
        Ok(match how {
            MatchType::Strict => Texts::Strict(vec![text.as_bytes().to_vec()]),
            MatchType::Regexp => Texts::Patterns(PatternSet::new([text])?),
        })
    }

    fn matches(&self, text: &[u8]) -> bool {
        match self {
            Texts::Strict(texts) => texts.iter().any(|known| known == text),
            Texts::Patterns(patterns) => patterns.is_match(text),
        }
    }
}

/// An attribute that has to be there.
#[derive(Debug)]
struct Wanted {
    key: String,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Any,
    /// The body of the value, encoded.
    Equal(Vec<u8>),
    Pattern(Pattern),
}

impl Wanted {
    fn new(settings: &AttributeSettings, how: MatchType) -> Result<Wanted, PatternError> {
        let value = match (how, settings.value.as_text()) {
            _ if !settings.value.is_given() => Value::Any,
            (MatchType::Regexp, Some(pattern)) => Value::Pattern(Pattern::new(pattern)?),
            _ => Value::Equal(settings.value.encoded()),
        };
        Ok(Wanted { key: settings.key.clone(), value })
    }

    fn is_in(&self, attributes: Attributes<'_>) -> bool {
        let Some(value) = attributes.get(&self.key) else { return false };
        match &self.value {
            Value::Any => true,
            Value::Equal(wanted) => equal(&AnyValue::new(wanted), &value),
            Value::Pattern(pattern) => match value {
                AnyValue::String(text) => pattern.is_match(text.as_bytes()),
                AnyValue::Double(value) => pattern.is_match(value.to_string().as_bytes()),
                AnyValue::Bool(_) | AnyValue::Int(_) => pattern.is_match(&as_text(&value)),
                _ => false,
            },
        }
    }
}

fn all_in(wanted: &[Wanted], attributes: Option<Attributes<'_>>) -> bool {
    wanted.iter().all(|wanted| attributes.is_some_and(|attributes| wanted.is_in(attributes)))
}

/// Whether two values are the same, of one type; the order of the entries of maps does not matter.
fn equal(left: &AnyValue<'_>, right: &AnyValue<'_>) -> bool {
    match (left, right) {
        (AnyValue::Empty, AnyValue::Empty) => true,
        (AnyValue::String(left), AnyValue::String(right)) => left == right,
        (AnyValue::Bool(left), AnyValue::Bool(right)) => left == right,
        (AnyValue::Int(left), AnyValue::Int(right)) => left == right,
        (AnyValue::Double(left), AnyValue::Double(right)) => left == right,
        (AnyValue::Bytes(left), AnyValue::Bytes(right)) => left == right,
        (AnyValue::Array(left), AnyValue::Array(right)) => {
            left.count() == right.count()
                && left.iter().zip(right.iter()).all(|(left, right)| equal(&left, &right))
        }
        (AnyValue::Map(left), AnyValue::Map(right)) => {
            left.count() == right.count()
                && left.iter().all(|entry| {
                    let key = entry.key();
                    right.iter().any(|other| other.key() == key && equal(&entry.value(), &other.value()))
                })
        }
        _ => false,
    }
}

/// What a record has to be like, made ready.
#[derive(Debug)]
pub struct Matcher {
    services: Option<Texts>,
    resources: Vec<Wanted>,
    libraries: Vec<(Texts, Option<Texts>)>,
    names: Option<Texts>,
    kinds: Option<Texts>,
    bodies: Option<Texts>,
    severity_texts: Option<Texts>,
    severity: Option<SeveritySettings>,
    metric_names: Option<Texts>,
    attributes: Vec<Wanted>,
}

impl Matcher {
    /// Makes settings ready that are valid.
    ///
    /// # Errors
    /// A pattern that is no regular expression.
    pub fn new(settings: &MatchSettings) -> Result<Matcher, PatternError> {
        let how = settings.match_type.unwrap_or(MatchType::Strict);
        let texts = |texts: &[String]| Texts::new(texts, how);
        let wanted = |attributes: &[AttributeSettings]| {
            attributes.iter().map(|attribute| Wanted::new(attribute, how)).collect::<Result<Vec<_>, _>>()
        };
        let library = |library: &LibrarySettings| {
            let version = library.version.as_deref().map(|version| Texts::one(version, how)).transpose()?;
            Ok((Texts::one(&library.name, how)?, version))
        };
        Ok(Matcher {
            services: texts(&settings.services)?,
            resources: wanted(&settings.resources)?,
            libraries: settings.libraries.iter().map(library).collect::<Result<_, PatternError>>()?,
            names: texts(&settings.span_names)?,
            kinds: texts(&settings.span_kinds)?,
            bodies: texts(&settings.log_bodies)?,
            severity_texts: texts(&settings.log_severity_texts)?,
            severity: settings.log_severity_number,
            metric_names: texts(&settings.metric_names)?,
            attributes: wanted(&settings.attributes)?,
        })
    }

    /// Whether what is around a record matches.
    pub fn matches_around(&self, around: &Around<'_>) -> bool {
        let resource = around.resource.map(|resource| resource.attributes());
        let service_matches =
            |services: &Texts| match resource.and_then(|attributes| attributes.get("service.name")) {
                Some(name) => services.matches(&as_text(&name)),
                None => services.matches(b"<nil-service-name>"),
            };
        let library_matches = |(name, version): &(Texts, Option<Texts>)| {
            let scope = around.scope.unwrap_or(Scope::new(&[]));
            name.matches(scope.name().as_bytes())
                && version.as_ref().is_none_or(|version| version.matches(scope.version().as_bytes()))
        };
        self.services.as_ref().is_none_or(service_matches)
            && all_in(&self.resources, resource)
            && self.libraries.iter().all(library_matches)
    }

    /// Whether a span matches, what is around it aside.
    pub fn matches_span(&self, span: &Span<'_>) -> bool {
        const KINDS: [&str; 6] = [
            "SPAN_KIND_UNSPECIFIED",
            "SPAN_KIND_INTERNAL",
            "SPAN_KIND_SERVER",
            "SPAN_KIND_CLIENT",
            "SPAN_KIND_PRODUCER",
            "SPAN_KIND_CONSUMER",
        ];
        let kind = || {
            usize::try_from(span.kind()).ok().and_then(|kind| KINDS.get(kind)).copied().unwrap_or_default()
        };
        self.names.as_ref().is_none_or(|names| names.matches(span.name().as_bytes()))
            && self.kinds.as_ref().is_none_or(|kinds| kinds.matches(kind().as_bytes()))
            && all_in(&self.attributes, Some(span.attributes()))
    }

    /// Whether a log record matches, what is around it aside.
    pub fn matches_log(&self, record: &LogRecord<'_>) -> bool {
        let severity = record.severity_number();
        let severity_matches = |wanted: &SeveritySettings| match severity {
            0 => wanted.match_undefined,
            _ => severity >= wanted.min,
        };
        self.bodies.as_ref().is_none_or(|bodies| bodies.matches(&as_text(&record.body())))
            && self
                .severity_texts
                .as_ref()
                .is_none_or(|texts| texts.matches(record.severity_text().as_bytes()))
            && self.severity.as_ref().is_none_or(severity_matches)
            && all_in(&self.attributes, Some(record.attributes()))
    }

    /// Whether a metric matches: by its name alone.
    pub fn matches_metric(&self, metric: &Metric<'_>) -> bool {
        self.metric_names.as_ref().is_none_or(|names| names.matches(metric.name().as_bytes()))
    }

    /// What it says about metrics, if anything.
    fn of_metrics(self) -> Option<Matcher> {
        self.metric_names.is_some().then(|| Matcher {
            services: None,
            resources: Vec::new(),
            libraries: Vec::new(),
            ..self
        })
    }
}

/// Records that are meant: those that match `include`, where there is one, and not `exclude`.
#[derive(Debug, Default)]
pub struct Selection {
    include: Option<Matcher>,
    exclude: Option<Matcher>,
}

/// What is known about the records around which something was looked at.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    included: bool,
    excluded: bool,
}

impl Selection {
    /// Makes settings ready that are valid.
    ///
    /// # Errors
    /// A pattern that is no regular expression.
    pub fn new(
        include: Option<&MatchSettings>,
        exclude: Option<&MatchSettings>,
    ) -> Result<Selection, PatternError> {
        Ok(Selection {
            include: include.map(Matcher::new).transpose()?,
            exclude: exclude.map(Matcher::new).transpose()?,
        })
    }

    /// The same for metrics, which only their names can match: who says nothing about those includes all, or
    /// excludes none. As in otelcol, what is said about resources and scopes does not count.
    #[must_use]
    pub fn of_metrics(self) -> Selection {
        Selection {
            include: self.include.and_then(Matcher::of_metrics),
            exclude: self.exclude.and_then(Matcher::of_metrics),
        }
    }

    /// Whether all records are meant.
    pub fn is_everything(&self) -> bool {
        self.include.is_none() && self.exclude.is_none()
    }

    /// What can be said by what is around records.
    pub fn around(&self, around: &Around<'_>) -> Verdict {
        Verdict {
            included: self.include.as_ref().is_none_or(|matcher| matcher.matches_around(around)),
            excluded: self.exclude.as_ref().is_some_and(|matcher| matcher.matches_around(around)),
        }
    }

    fn means(&self, verdict: Verdict, matches: impl Fn(&Matcher) -> bool) -> bool {
        verdict.included
            && self.include.as_ref().is_none_or(&matches)
            && !(verdict.excluded && self.exclude.as_ref().is_some_and(&matches))
    }

    /// Whether a span is meant; `verdict` is of what is around it.
    pub fn means_span(&self, verdict: Verdict, span: &Span<'_>) -> bool {
        self.means(verdict, |matcher| matcher.matches_span(span))
    }

    /// Whether a log record is meant.
    pub fn means_log(&self, verdict: Verdict, record: &LogRecord<'_>) -> bool {
        self.means(verdict, |matcher| matcher.matches_log(record))
    }

    /// Whether a metric is meant.
    pub fn means_metric(&self, verdict: Verdict, metric: &Metric<'_>) -> bool {
        self.means(verdict, |matcher| matcher.matches_metric(metric))
    }
}

impl Verdict {
    /// Nothing is known: any record may be meant.
    pub const ALL: Verdict = Verdict { included: true, excluded: true };

    /// Whether any record there may be meant.
    pub fn any(self) -> bool {
        self.included
    }
}
