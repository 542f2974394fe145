use bytes::Bytes;
use phoenix_pdata::{Payload, Signal};

use crate::check::Compiler;
use crate::diagnostic::Diagnostic;
use crate::infer::infer;
use crate::plan::{Levels, Statement};
use crate::run::{Arena, Layout, State, Verdict, Walk, walk};
use crate::{Context, Diagnostics, Env, ErrorMode, EvalError, FunctionSet};

use super::group::{fail, offered};

/// A statement that says which records go a way of their own.
pub struct RouteProgram {
    signal: Signal,
    context: Context,
    error_mode: ErrorMode,
    layout: Layout,
    statement: Statement,
}

/// A batch in two.
#[derive(Clone, Debug, Default)]
pub struct Routed {
    /// The records for which the condition holds, as the statement has changed them.
    pub matched: Payload,
    /// The others.
    pub rest: Payload,
}

impl RouteProgram {
    /// Compiles a statement such as `route() where …`. With a context paths need no prefix; without one it is
    /// found from the paths.
    ///
    /// # Errors
    ///
    /// What is wrong with the statement.
    pub fn compile(
        signal: Signal,
        functions: FunctionSet,
        context: Option<Context>,
        statement: &str,
        error_mode: ErrorMode,
    ) -> Result<RouteProgram, Diagnostics> {
        let mut problems: Vec<Diagnostic> = Vec::new();
        let adds_prefix = context.is_some();
        let context = match context {
            Some(context) => offered(signal, context, &mut problems),
            None => infer(Context::of(signal), functions, &[statement.to_owned()], &[])
                .map_err(|found| problems.extend(found))
                .ok(),
        };
        let Some(context) = context else { return Err(Diagnostics(problems)) };
        let mut layout = Layout::default();
        let (statement, _) =
            Compiler::new(context, functions, adds_prefix, &mut layout).statement(statement)?;
        Ok(RouteProgram { signal, context, error_mode, layout, statement })
    }

    /// What is moved: whole resources, or single records.
    pub fn context(&self) -> Context {
        self.context
    }

    /// Moves the records for which the condition holds, and leaves the others.
    ///
    /// # Errors
    ///
    /// The first error under [`ErrorMode::Propagate`]; with the other modes the record is left.
    pub fn split(&self, payload: &Payload, env: &Env<'_>) -> Result<Routed, EvalError> {
        let mut routed = Routed::default();
        for piece in payload.pieces() {
            let arena = Arena::default();
            let mut state = State::new(&self.layout, &arena, *env);
            let mut verdicts = Vec::new();
            let matched = self.walk(&mut state, piece, &mut |state| {
                let is_match = self.test(state)?;
                verdicts.push(is_match);
                Ok(is_match)
            })?;
            let matched = || Payload::from(matched.map_or_else(|| piece.clone(), Bytes::from));
            // Where one of the two is all of the piece, it is not taken apart.
            if verdicts.iter().all(|is_match| *is_match) {
                routed.matched.append(matched());
                continue;
            }
            if !verdicts.iter().any(|is_match| *is_match) {
                routed.rest.append(Payload::from(piece.clone()));
                continue;
            }
            routed.matched.append(matched());
            let arena = Arena::default();
            let mut state = State::new(&self.layout, &arena, *env);
            let mut decided = verdicts.into_iter();
            let rest = self.walk(&mut state, piece, &mut |_| Ok(!decided.next().unwrap_or(false)))?;
            routed.rest.append(Payload::from(rest.map_or_else(|| piece.clone(), Bytes::from)));
        }
        Ok(routed)
    }

    /// Runs the statement, and tells whether its condition holds.
    fn test<'a>(&'a self, state: &mut State<'a>) -> Result<bool, EvalError> {
        state.depth = self.context.depth();
        state.cache.clear();
        match self.statement.run(state) {
            Ok(is_match) => Ok(is_match),
            Err(error) => {
                fail(state, self.error_mode, &self.statement.source, error)?;
                Ok(false)
            }
        }
    }

    fn walk<'a>(
        &self,
        state: &mut State<'a>,
        piece: &'a [u8],
        keeps: &mut dyn FnMut(&mut State<'a>) -> Result<bool, EvalError>,
    ) -> Result<Option<Vec<u8>>, EvalError> {
        let visits = Levels::of(self.context.depth());
        let how = Walk { signal: self.signal, visits, prunes: true, keeps_metric: false };
        walk(state, piece, how, &mut |state, _| {
            Ok(if keeps(state)? { Verdict::Keep } else { Verdict::Remove })
        })
    }
}

impl std::fmt::Debug for RouteProgram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RouteProgram").field("context", &self.context).finish_non_exhaustive()
    }
}
