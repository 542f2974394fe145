//! Statements and conditions that belong together, as configurations have them.

use phoenix_pdata::Signal;

use crate::check::Compiler;
use crate::diagnostic::{Diagnostic, Problem};
use crate::infer::infer;
use crate::plan::{Condition, Levels, Statement};
use crate::run::{Layout, State};
use crate::{Context, ErrorMode, EvalError, FunctionSet};

/// Statements that run over each record of one context, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// What they run over. Paths need no prefix then. `None`: found from the paths, which need one.
    pub context: Option<Context>,
    /// What happens when one of them fails.
    pub error_mode: ErrorMode,
    /// If there are any, one of them must hold for the record.
    pub conditions: Vec<String>,
    /// The statements.
    pub statements: Vec<String>,
}

/// Conditions of which one must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConditionGroup {
    /// What they are about. Paths need no prefix then. `None`: found for each from its paths, which need one.
    pub context: Option<Context>,
    /// What happens when one of them fails.
    pub error_mode: ErrorMode,
    /// The conditions.
    pub conditions: Vec<String>,
}

/// Conditions, compiled: the first that holds decides, or the first that does not.
pub(super) struct Any {
    conditions: Vec<(Condition, Box<str>)>,
    error_mode: ErrorMode,
    needs_all: bool,
}

impl Any {
    pub(super) fn new(error_mode: ErrorMode) -> Any {
        Any { conditions: Vec::new(), error_mode, needs_all: false }
    }

    /// Conditions that must all hold. One that fails, where errors are ignored, is left out; if all do, the whole
    /// does not hold.
    pub(super) fn all(error_mode: ErrorMode) -> Any {
        Any { needs_all: true, ..Any::new(error_mode) }
    }

    pub(super) fn push(&mut self, condition: Condition, source: &str) {
        self.conditions.push((condition, source.into()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Whether one of them holds, or all do. Without conditions nothing does.
    pub(super) fn test<'a>(&'a self, state: &mut State<'a>) -> Result<bool, EvalError> {
        let mut holds = false;
        for (condition, source) in &self.conditions {
            match condition.test(state) {
                Ok(false) if self.needs_all => return Ok(false),
                Ok(true) if !self.needs_all => return Ok(true),
                Ok(result) => holds |= result,
                Err(error) => fail(state, self.error_mode, source, error)?,
            }
        }
        Ok(holds)
    }
}

/// Does with an error what the mode says.
pub(super) fn fail(
    state: &State<'_>,
    error_mode: ErrorMode,
    source: &str,
    error: EvalError,
) -> Result<(), EvalError> {
    match error_mode {
        ErrorMode::Propagate => Err(error.within(format_args!("`{source}`"))),
        ErrorMode::Ignore => {
            state.env.report.ignored(source, &error);
            Ok(())
        }
        ErrorMode::Silent => Ok(()),
    }
}

/// A group, compiled.
pub(super) struct Compiled {
    pub(super) context: Context,
    conditions: Any,
    statements: Vec<Statement>,
    error_mode: ErrorMode,
    pub(super) reads: Levels,
    pub(super) writes: Levels,
    uses_cache: bool,
}

impl Compiled {
    pub(super) fn new(
        signal: Signal,
        functions: FunctionSet,
        group: &Group,
        layout: &mut Layout,
        problems: &mut Vec<Diagnostic>,
    ) -> Option<Compiled> {
        let before = problems.len();
        let (context, adds_prefix) = match group.context {
            Some(context) => (offered(signal, context, problems)?, true),
            None => match infer(Context::of(signal), functions, &group.statements, &group.conditions) {
                Ok(context) => (context, false),
                Err(found) => {
                    problems.extend(found);
                    return None;
                }
            },
        };
        let mut compiler = Compiler::new(context, functions, adds_prefix, layout);
        let mut conditions = Any::new(group.error_mode);
        let (mut reads, mut writes) = (Levels::NONE, Levels::NONE);
        for source in &group.conditions {
            match compiler.condition(source) {
                Ok((condition, levels)) => {
                    conditions.push(condition, source);
                    reads |= levels;
                }
                Err(problem) => problems.push(problem),
            }
        }
        let mut statements = Vec::with_capacity(group.statements.len());
        for source in &group.statements {
            match compiler.statement(source) {
                Ok((statement, levels)) => {
                    reads |= levels;
                    writes |= statement.writes;
                    statements.push(statement);
                }
                Err(problem) => problems.push(problem),
            }
        }
        let uses_cache = (reads | writes).has_cache();
        let error_mode = group.error_mode;
        (problems.len() == before).then_some(Compiled {
            context,
            conditions,
            statements,
            error_mode,
            reads,
            writes,
            uses_cache,
        })
    }

    /// Runs the statements over the record that the state is at.
    pub(super) fn run<'a>(&'a self, state: &mut State<'a>) -> Result<(), EvalError> {
        state.depth = self.context.depth();
        if self.uses_cache {
            state.cache.clear();
        }
        if !self.conditions.is_empty() && !self.conditions.test(state)? {
            return Ok(());
        }
        for statement in &self.statements {
            match statement.run(state) {
                Ok(false) => {}
                Ok(true) => self.after(statement, state),
                Err(error) => {
                    // A failing editor may have changed something.
                    self.after(statement, state);
                    fail(state, self.error_mode, &statement.source, error)?;
                }
            }
        }
        Ok(())
    }

    /// What was evaluated once for a resource or scope no longer holds if that was changed.
    #[inline]
    fn after(&self, statement: &Statement, state: &mut State<'_>) {
        if !state.once.is_empty() && statement.writes != Levels::of(self.context.depth()) {
            state.once.fill(None);
        }
    }

    /// Whether this group and a later one may visit each record one after the other, instead of all records one
    /// after the other: nobody could tell.
    pub(super) fn may_share_pass(&self, later: &Compiled) -> bool {
        let depth = self.context.depth();
        if later.context.depth() < depth || self.writes == Levels::ALL || later.writes == Levels::ALL {
            return false;
        }
        // What both touch must be what this one visits: then this one has been there before.
        let touched = self.reads | self.writes;
        (0..crate::run::DEPTHS).filter(|level| *level != depth).all(|level| {
            let mine = self.writes.contains(level) && (later.reads | later.writes).contains(level);
            let theirs = later.writes.contains(level) && touched.contains(level);
            !mine && !theirs
        })
    }
}

/// The context, if requests of the signal have such records.
pub(super) fn offered(signal: Signal, context: Context, problems: &mut Vec<Diagnostic>) -> Option<Context> {
    // Statements over exemplars must say so: nothing infers their context.
    let is_exemplar = signal == Signal::Metrics && context == Context::Exemplar;
    if is_exemplar || Context::of(signal).contains(&context) {
        return Some(context);
    }
    let names = Context::of(signal).iter().map(|context| context.name()).collect::<Vec<_>>().join(", ");
    let message = format!("{signal} have no context \"{context}\": expected one of {names}");
    problems.push(Problem::new(&(0..0), message).of(""));
    None
}
