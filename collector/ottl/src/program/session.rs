//! Conditions about single spans, for who walks the request itself.

use phoenix_pdata::view::{ResourceSpans, ScopeSpans};
use phoenix_pdata::wire::Fields;

use crate::check::Compiler;
use crate::run::{Arena, Layout, Shape, State};
use crate::{Context, Diagnostics, Env, ErrorMode, EvalError, FunctionSet};

use super::group::Any;

/// Conditions about a span or one of its events.
pub struct SpanMatcher {
    layout: Layout,
    span: Any,
    events: Any,
}

/// Where a session keeps what it makes.
#[derive(Debug, Default)]
pub struct Scratch(Arena);

/// Evaluates a [`SpanMatcher`] over spans, one after the other.
pub struct SpanSession<'a> {
    matcher: &'a SpanMatcher,
    state: State<'a>,
}

impl SpanMatcher {
    /// Compiles conditions about spans and about events of spans. Paths may have a prefix or not.
    ///
    /// # Errors
    ///
    /// All problems of all conditions.
    pub fn compile(
        functions: FunctionSet,
        span: &[String],
        events: &[String],
        error_mode: ErrorMode,
    ) -> Result<SpanMatcher, Diagnostics> {
        let mut layout = Layout::default();
        let mut problems = Vec::new();
        let mut compile = |context, sources: &[String]| {
            let mut compiled = Any::new(error_mode);
            let mut compiler = Compiler::new(context, functions, true, &mut layout);
            for source in sources {
                match compiler.condition(source) {
                    Ok((condition, _)) => compiled.push(condition, source),
                    Err(problem) => problems.push(problem),
                }
            }
            compiled
        };
        let span = compile(Context::Span, span);
        let events = compile(Context::SpanEvent, events);
        match problems.is_empty() {
            true => Ok(SpanMatcher { layout, span, events }),
            false => Err(Diagnostics(problems)),
        }
    }

    /// Begins to evaluate. A session lasts for a batch.
    pub fn begin<'a>(&'a self, scratch: &'a Scratch, env: Env<'a>) -> SpanSession<'a> {
        SpanSession { matcher: self, state: State::new(&self.layout, &scratch.0, env) }
    }
}

impl<'a> SpanSession<'a> {
    /// Turns to the spans of a resource.
    pub fn resource(&mut self, entry: &ResourceSpans<'a>) {
        self.state.load_entry(0, Shape::Resource, entry.raw());
    }

    /// Turns to the spans of a scope.
    pub fn scope(&mut self, entry: &ScopeSpans<'a>) {
        self.state.load_entry(1, Shape::Scope, entry.raw());
    }

    /// Whether a condition holds for the span whose body these bytes are, or for one of its events.
    ///
    /// # Errors
    ///
    /// The first error under [`ErrorMode::Propagate`].
    pub fn matches(&mut self, span: &'a [u8]) -> Result<bool, EvalError> {
        let state = &mut self.state;
        state.load(2, Shape::Span, span);
        state.depth = 2;
        state.cache.clear();
        if self.matcher.span.test(state)? {
            return Ok(true);
        }
        if self.matcher.events.is_empty() {
            return Ok(false);
        }
        let events = Fields::new(span).filter(|field| field.is_len(11));
        for (index, event) in events.enumerate() {
            state.load(3, Shape::SpanEvent, event.body);
            state.depth = 3;
            state.event_index = index as i64;
            state.cache.clear();
            if self.matcher.events.test(state)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl std::fmt::Debug for SpanMatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpanMatcher").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SpanSession<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpanSession").finish_non_exhaustive()
    }
}
