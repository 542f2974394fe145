//! Type checks, and from the tree to what runs.

mod arguments;
mod condition;
mod editor;
mod expr;
mod path;

use crate::diagnostic::{Diagnostic, Problem};
use crate::plan::{Condition, Levels, Statement};
use crate::run::{DEPTHS, Layout};
use crate::syntax::{self, ast};
use crate::{Context, FunctionSet};

type Checked<T> = Result<T, Problem>;

/// Compiles the statements and conditions of one context.
pub(crate) struct Compiler<'l> {
    context: Context,
    functions: FunctionSet,
    /// Whether paths without a prefix mean the context.
    adds_prefix: bool,
    layout: &'l mut Layout,
}

/// What is known of an expression or condition.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    /// What it reads.
    pub(crate) reads: Levels,
    /// Gives another value each time, or reads what `reads` cannot say.
    is_impure: bool,
    is_fallible: bool,
}

impl Facts {
    fn reading(levels: Levels) -> Facts {
        Facts { reads: levels, ..Facts::default() }
    }

    fn fallible(mut self) -> Facts {
        self.is_fallible = true;
        self
    }

    fn and(self, other: Facts) -> Facts {
        Facts {
            reads: self.reads | other.reads,
            is_impure: self.is_impure || other.is_impure,
            is_fallible: self.is_fallible || other.is_fallible,
        }
    }
}

impl<'l> Compiler<'l> {
    pub(crate) fn new(
        context: Context,
        functions: FunctionSet,
        adds_prefix: bool,
        layout: &'l mut Layout,
    ) -> Compiler<'l> {
        debug_assert!(context.depth() < DEPTHS);
        Compiler { context, functions, adds_prefix, layout }
    }

    fn depth(&self) -> usize {
        self.context.depth()
    }

    /// Compiles a statement. Also tells what it reads.
    pub(crate) fn statement(&mut self, source: &str) -> Result<(Statement, Levels), Diagnostic> {
        self.statement_of(source).map_err(|problem| problem.of(source))
    }

    fn statement_of(&mut self, source: &str) -> Checked<(Statement, Levels)> {
        let parsed = syntax::parse_statement(source)?;
        let (condition, when) = match &parsed.condition {
            Some(condition) => self.hoisted(condition)?,
            None => (Condition::Constant(true), Facts::default()),
        };
        let edit = self.edit(&parsed.editor)?;
        if matches!(condition, Condition::Constant(true)) {
            self.layout.lists |= edit.lists;
        }
        let reads = when.reads | edit.reads;
        Ok((Statement { condition, edit: edit.node, source: source.into(), writes: edit.writes }, reads))
    }

    /// Compiles a condition. Also tells what it reads.
    pub(crate) fn condition(&mut self, source: &str) -> Result<(Condition, Levels), Diagnostic> {
        let compiled = syntax::parse_condition(source).and_then(|parsed| self.hoisted(&parsed));
        compiled.map(|(condition, facts)| (condition, facts.reads)).map_err(|problem| problem.of(source))
    }

    /// Compiles an expression.
    #[cfg(test)]
    pub(crate) fn value(&mut self, source: &str) -> Result<crate::plan::Expr, Diagnostic> {
        let compiled = syntax::parse_value(source).and_then(|parsed| self.expr(&parsed));
        compiled.map(|(expr, _)| expr).map_err(|problem| problem.of(source))
    }
}

/// Whether an expression is a value that stands in the statement.
fn is_literal(expr: &ast::Expr) -> bool {
    use ast::ExprKind::{
        Bool, Bytes, Converter, Double, Enum, Int, List, Map, Math, Nil, Path, Sign, String,
    };
    match &expr.kind {
        Nil | Bool(_) | Int(_) | Double(_) | String(_) | Bytes(_) | Enum(_) => true,
        List(items) => items.iter().all(is_literal),
        Map(entries) => entries.iter().all(|(_, value)| is_literal(value)),
        Path(_) | Converter(_) | Math(..) | Sign(..) => false,
    }
}
