//! Contexts: what a statement runs over, and which paths it may use.

use std::fmt;
use std::str::FromStr;

use phoenix_pdata::Signal;

/// What a statement or condition runs over: it runs once for each of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Context {
    /// Each resource.
    Resource,
    /// Each scope.
    Scope,
    /// Each span.
    Span,
    /// Each event of a span.
    SpanEvent,
    /// Each metric.
    Metric,
    /// Each data point.
    DataPoint,
    /// Each exemplar of a data point.
    Exemplar,
    /// Each log record.
    Log,
}

use Context::{DataPoint, Exemplar, Log, Metric, Resource, Scope, Span, SpanEvent};

impl Context {
    /// All contexts.
    pub const ALL: [Context; 8] = [Resource, Scope, Span, SpanEvent, Metric, DataPoint, Exemplar, Log];

    /// Its name, which is also the prefix of its paths.
    pub const fn name(self) -> &'static str {
        match self {
            Resource => "resource",
            Scope => "scope",
            Span => "span",
            SpanEvent => "spanevent",
            Metric => "metric",
            DataPoint => "datapoint",
            Exemplar => "exemplar",
            Log => "log",
        }
    }

    /// The contexts that a record of this one lies in, itself first.
    pub const fn chain(self) -> &'static [Context] {
        match self {
            Resource => &[Resource],
            Scope => &[Scope, Resource],
            Span => &[Span, Scope, Resource],
            SpanEvent => &[SpanEvent, Span, Scope, Resource],
            Metric => &[Metric, Scope, Resource],
            DataPoint => &[DataPoint, Metric, Scope, Resource],
            Exemplar => &[Exemplar, DataPoint, Metric, Scope, Resource],
            Log => &[Log, Scope, Resource],
        }
    }

    /// How many messages a record of this context lies in.
    pub(crate) const fn depth(self) -> usize {
        self.chain().len() - 1
    }

    /// The contexts that requests of a signal offer, in the order of their depth.
    pub const fn of(signal: Signal) -> &'static [Context] {
        match signal {
            Signal::Traces => &[Resource, Scope, Span, SpanEvent],
            Signal::Metrics => &[Resource, Scope, Metric, DataPoint],
            Signal::Logs => &[Resource, Scope, Log],
        }
    }

    /// The prefixes that a statement of this context accepts.
    pub(crate) fn prefixes(self) -> impl Iterator<Item = &'static str> {
        let instrumentation = self.depth() >= 2;
        self.chain().iter().flat_map(move |context| {
            let alias = (*context == Scope && instrumentation).then_some("instrumentation_scope");
            std::iter::once(context.name()).chain(alias)
        })
    }

    /// The context that a prefix names, where this context accepts it.
    pub(crate) fn prefixed(self, prefix: &str) -> Option<Context> {
        match prefix {
            "instrumentation_scope" if self.depth() >= 2 => Some(Scope),
            _ => self.chain().iter().copied().find(|context| context.name() == prefix),
        }
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no context, or none that is supported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownContext {
    /// Profiles are not supported.
    #[error("the context \"profile\" is not supported: this collector has no profiles")]
    Profile,
    /// No context has this name.
    #[error(
        "unknown context \"{0}\": expected resource, scope, span, spanevent, metric, datapoint, exemplar or log"
    )]
    Unknown(String),
}

impl FromStr for Context {
    type Err = UnknownContext;

    /// Reads a name in upper or lower case.
    fn from_str(name: &str) -> Result<Context, UnknownContext> {
        if name.eq_ignore_ascii_case("profile") {
            return Err(UnknownContext::Profile);
        }
        Context::ALL
            .into_iter()
            .find(|context| context.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownContext::Unknown(name.to_owned()))
    }
}

/// What happens when a statement or condition fails for a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ErrorMode {
    /// The error is reported, and the next statement runs.
    #[default]
    Ignore,
    /// The next statement runs.
    Silent,
    /// The batch is refused.
    Propagate,
}

impl FromStr for ErrorMode {
    type Err = String;

    /// Reads a name in upper or lower case.
    fn from_str(name: &str) -> Result<ErrorMode, String> {
        match name.to_ascii_lowercase().as_str() {
            "ignore" => Ok(ErrorMode::Ignore),
            "silent" => Ok(ErrorMode::Silent),
            "propagate" => Ok(ErrorMode::Propagate),
            _ => Err(format!("unknown error mode \"{name}\": expected ignore, silent or propagate")),
        }
    }
}

/// A set of contexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contexts(u8);

impl Contexts {
    /// Every context.
    pub const ALL: Contexts = Contexts(u8::MAX);

    /// Just these.
    pub const fn of(contexts: &[Context]) -> Contexts {
        let mut bits = 0;
        let mut index = 0;
        while index < contexts.len() {
            bits |= 1 << contexts[index] as u8;
            index += 1;
        }
        Contexts(bits)
    }

    /// Whether it is one of them.
    pub const fn contains(self, context: Context) -> bool {
        self.0 & (1 << context as u8) != 0
    }
}
