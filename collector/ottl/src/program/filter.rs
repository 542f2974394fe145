use bytes::Bytes;
use phoenix_pdata::{Payload, Signal};

use crate::check::Compiler;
use crate::infer::infer;
use crate::plan::Levels;
use crate::run::{Arena, DEPTHS, Layout, State, Verdict, Walk, items_in, walk};
use crate::{Context, Diagnostics, Env, EvalError, FunctionSet};

use super::group::{Any, ConditionGroup, offered};

/// Conditions that say what is dropped from batches of one signal.
pub struct FilterProgram {
    signal: Signal,
    layout: Layout,
    groups: Vec<Levelled>,
}

/// The conditions of a group by the depth of what they drop.
struct Levelled {
    conditions: [Any; DEPTHS],
    visits: Levels,
}

/// What is left of a batch.
#[derive(Clone, Debug, Default)]
pub struct Filtered {
    /// The batch; empty if nothing is left.
    pub payload: Payload,
    /// How many spans, log records or data points were dropped.
    pub dropped_items: usize,
    /// How many events of spans were dropped, beside those of dropped spans.
    pub dropped_events: usize,
}

impl FilterProgram {
    /// Compiles groups of conditions. Without a context that of each condition is found by itself.
    ///
    /// # Errors
    ///
    /// All problems of all conditions.
    pub fn compile(
        signal: Signal,
        functions: FunctionSet,
        groups: &[ConditionGroup],
    ) -> Result<FilterProgram, Diagnostics> {
        let mut layout = Layout::default();
        let mut problems = Vec::new();
        let mut compiled = Vec::with_capacity(groups.len());
        for group in groups {
            let mut conditions: [Any; DEPTHS] = std::array::from_fn(|_| Any::new(group.error_mode));
            let mut visits = Levels::NONE;
            for source in &group.conditions {
                let context = match group.context {
                    Some(context) => offered(signal, context, &mut problems),
                    None => infer(Context::of(signal), functions, &[], std::slice::from_ref(source))
                        .map_err(|found| problems.extend(found))
                        .ok(),
                };
                let Some(context) = context else { continue };
                let adds_prefix = group.context.is_some();
                match Compiler::new(context, functions, adds_prefix, &mut layout).condition(source) {
                    Ok((condition, _)) => {
                        conditions[context.depth()].push(condition, source);
                        visits |= Levels::of(context.depth());
                    }
                    Err(problem) => problems.push(problem),
                }
            }
            if visits != Levels::NONE {
                compiled.push(Levelled { conditions, visits });
            }
        }
        match problems.is_empty() {
            true => Ok(FilterProgram { signal, layout, groups: compiled }),
            false => Err(Diagnostics(problems)),
        }
    }

    /// Drops what a condition holds for, and what is left empty by that. Pieces of which nothing is dropped
    /// stay shared.
    ///
    /// # Errors
    ///
    /// The first error under [`ErrorMode::Propagate`](crate::ErrorMode::Propagate). The batch that was handed in is as it was.
    pub fn apply(&self, payload: &Payload, env: &Env<'_>) -> Result<Filtered, EvalError> {
        let mut filtered = Filtered::default();
        for piece in payload.pieces() {
            let mut piece = piece.clone();
            for group in &self.groups {
                if let Some(changed) = self.run(group, &piece, env, &mut filtered)? {
                    piece = Bytes::from(changed);
                }
            }
            filtered.payload.append(Payload::from(piece));
        }
        Ok(filtered)
    }

    fn run(
        &self,
        group: &Levelled,
        piece: &[u8],
        env: &Env<'_>,
        filtered: &mut Filtered,
    ) -> Result<Option<Vec<u8>>, EvalError> {
        let signal = self.signal;
        let arena = Arena::default();
        let mut state = State::new(&self.layout, &arena, *env);
        let how = Walk { signal, visits: group.visits, prunes: true, keeps_metric: false };
        walk(&mut state, piece, how, &mut |state, depth| {
            state.depth = depth;
            state.cache.clear();
            if !group.conditions[depth].test(state)? {
                return Ok(Verdict::Keep);
            }
            match (signal, depth) {
                (Signal::Traces, 3) => filtered.dropped_events += 1,
                (_, 0 | 1) => filtered.dropped_items += items_in(signal, depth, state.entry),
                _ => filtered.dropped_items += items_in(signal, depth, state.messages[depth].raw()),
            }
            Ok(Verdict::Remove)
        })
    }
}

impl std::fmt::Debug for FilterProgram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilterProgram").field("signal", &self.signal).finish_non_exhaustive()
    }
}
