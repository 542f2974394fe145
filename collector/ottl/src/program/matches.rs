use phoenix_pdata::{Payload, Signal};

use crate::check::Compiler;
use crate::infer::infer;
use crate::plan::Levels;
use crate::run::{Arena, Layout, State, Verdict, Walk, walk};
use crate::{Context, Diagnostics, Env, EvalError, FunctionSet};

use super::group::{Any, ConditionGroup, offered};

/// Conditions that are asked about each record, and change nothing.
pub struct MatchProgram {
    signal: Signal,
    context: Context,
    layout: Layout,
    conditions: Any,
}

/// A record, and what it lies in: the bodies of the messages, for [`View::new`](phoenix_pdata::view::View::new).
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The resource.
    pub resource: &'a [u8],
    /// The scope.
    pub scope: &'a [u8],
    /// The span of an event, the metric of a data point; otherwise the record itself.
    pub parent: &'a [u8],
    /// The record.
    pub record: &'a [u8],
}

impl MatchProgram {
    /// Compiles conditions of one context, of which one must hold. Without a context it is found from their paths.
    ///
    /// # Errors
    ///
    /// All problems of all conditions.
    pub fn compile(
        signal: Signal,
        functions: FunctionSet,
        group: &ConditionGroup,
    ) -> Result<MatchProgram, Diagnostics> {
        Self::compile_as(signal, functions, group, Any::new(group.error_mode))
    }

    /// The same for conditions that must all hold. One that fails, where errors are ignored, is left out; if all
    /// do, the record does not match.
    ///
    /// # Errors
    ///
    /// All problems of all conditions.
    pub fn compile_all(
        signal: Signal,
        functions: FunctionSet,
        group: &ConditionGroup,
    ) -> Result<MatchProgram, Diagnostics> {
        Self::compile_as(signal, functions, group, Any::all(group.error_mode))
    }

    fn compile_as(
        signal: Signal,
        functions: FunctionSet,
        group: &ConditionGroup,
        mut conditions: Any,
    ) -> Result<MatchProgram, Diagnostics> {
        let mut problems = Vec::new();
        let context = match group.context {
            Some(context) => offered(signal, context, &mut problems),
            None => infer(Context::of(signal), functions, &[], &group.conditions)
                .map_err(|found| problems.extend(found))
                .ok(),
        };
        let Some(context) = context else { return Err(Diagnostics(problems)) };
        let mut layout = Layout::default();
        let mut compiler = Compiler::new(context, functions, group.context.is_some(), &mut layout);
        for source in &group.conditions {
            match compiler.condition(source) {
                Ok((condition, _)) => conditions.push(condition, source),
                Err(problem) => problems.push(problem),
            }
        }
        match problems.is_empty() {
            true => Ok(MatchProgram { signal, context, layout, conditions }),
            false => Err(Diagnostics(problems)),
        }
    }

    /// The context of the records.
    pub fn context(&self) -> Context {
        self.context
    }

    /// Hands over each record for which a condition holds (none, without conditions; all, with `true`).
    ///
    /// # Errors
    ///
    /// The first error under [`ErrorMode::Propagate`](crate::ErrorMode::Propagate).
    pub fn each_match(
        &self,
        payload: &Payload,
        env: &Env<'_>,
        mut found: impl FnMut(Record<'_>),
    ) -> Result<(), EvalError> {
        for piece in payload.pieces() {
            let arena = Arena::default();
            let mut state = State::new(&self.layout, &arena, *env);
            let visits = Levels::of(self.context.depth());
            let how = Walk { signal: self.signal, visits, prunes: false, keeps_metric: false };
            walk(&mut state, piece, how, &mut |state, depth| {
                state.depth = depth;
                state.cache.clear();
                if self.conditions.test(state)? {
                    let [resource, scope, parent, ..] = &state.messages;
                    found(Record {
                        resource: resource.raw(),
                        scope: scope.raw(),
                        parent: parent.raw(),
                        record: state.messages[depth].raw(),
                    });
                }
                Ok(Verdict::Keep)
            })?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for MatchProgram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MatchProgram").field("context", &self.context).finish_non_exhaustive()
    }
}
