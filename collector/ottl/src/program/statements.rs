use bytes::Bytes;
use phoenix_pdata::{Payload, Signal};

use crate::plan::Levels;
use crate::run::{Arena, Layout, State, Verdict, Walk, walk};
use crate::{Context, Diagnostics, Env, EvalError, FunctionSet};

use super::group::{Compiled, Group};

/// Groups of statements that change batches of one signal.
pub struct StatementProgram {
    signal: Signal,
    layout: Layout,
    passes: Vec<Pass>,
}

/// Groups that share one walk over a batch.
struct Pass {
    groups: Vec<Compiled>,
    visits: Levels,
    keeps_metric: bool,
}

impl StatementProgram {
    /// Compiles groups of statements.
    ///
    /// # Errors
    ///
    /// All problems of all statements.
    pub fn compile(
        signal: Signal,
        functions: FunctionSet,
        groups: &[Group],
    ) -> Result<StatementProgram, Diagnostics> {
        let mut layout = Layout::default();
        let mut problems = Vec::new();
        let mut passes: Vec<Pass> = Vec::new();
        for group in groups {
            let compiled = Compiled::new(signal, functions, group, &mut layout, &mut problems);
            let Some(compiled) = compiled else { continue };
            let visits = Levels::of(compiled.context.depth());
            let shared = passes
                .last_mut()
                .filter(|pass| pass.groups.iter().all(|earlier| earlier.may_share_pass(&compiled)));
            match shared {
                Some(pass) => {
                    pass.visits |= visits;
                    pass.groups.push(compiled);
                }
                None => {
                    let keeps_metric =
                        compiled.context == Context::DataPoint && compiled.writes == Levels::ALL;
                    passes.push(Pass { groups: vec![compiled], visits, keeps_metric });
                }
            }
        }
        match problems.is_empty() {
            true => Ok(StatementProgram { signal, layout, passes }),
            false => Err(Diagnostics(problems)),
        }
    }

    /// How many walks over a batch the groups take.
    pub fn passes(&self) -> usize {
        self.passes.len()
    }

    /// Runs the groups over a batch, one after the other. Pieces in which nothing changes stay shared.
    ///
    /// # Errors
    ///
    /// The first error under [`ErrorMode::Propagate`](crate::ErrorMode::Propagate). The batch that was handed in is as it was.
    pub fn apply(&self, payload: &Payload, env: &Env<'_>) -> Result<Payload, EvalError> {
        let mut result = Payload::default();
        for piece in payload.pieces() {
            let mut piece = piece.clone();
            for pass in &self.passes {
                if let Some(changed) = self.run(pass, &piece, env)? {
                    piece = Bytes::from(changed);
                }
            }
            result.append(Payload::from(piece));
        }
        Ok(result)
    }

    fn run(&self, pass: &Pass, piece: &[u8], env: &Env<'_>) -> Result<Option<Vec<u8>>, EvalError> {
        let arena = Arena::default();
        let mut state = State::new(&self.layout, &arena, *env);
        let how =
            Walk { signal: self.signal, visits: pass.visits, prunes: false, keeps_metric: pass.keeps_metric };
        walk(&mut state, piece, how, &mut |state, depth| {
            for group in &pass.groups {
                if group.context.depth() == depth {
                    group.run(state)?;
                }
            }
            Ok(Verdict::Keep)
        })
    }
}

impl std::fmt::Debug for StatementProgram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatementProgram").field("signal", &self.signal).finish_non_exhaustive()
    }
}
