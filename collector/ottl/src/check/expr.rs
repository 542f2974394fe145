//! Expressions.

use crate::diagnostic::{Problem, did_you_mean};
use crate::path::{symbol, symbols};
use crate::plan::{Expr, Literal};
use crate::run::{Arena, Datum, calculate, list_of, map_of, negate};
use crate::syntax::ast::{self, ExprKind, Place};

use super::{Checked, Compiler, Facts};

impl Compiler<'_> {
    pub(super) fn expr(&mut self, expr: &ast::Expr) -> Checked<(Expr, Facts)> {
        let literal = |datum: &Datum<'_>| match Literal::of(datum) {
            Some(literal) => Ok((Expr::Literal(literal), Facts::default())),
            None => Err(Problem::new(&expr.place, "this value cannot stand here")),
        };
        match &expr.kind {
            ExprKind::Nil => literal(&Datum::Nil),
            ExprKind::Bool(value) => literal(&Datum::Bool(*value)),
            ExprKind::Int(value) => literal(&Datum::Int(*value)),
            ExprKind::Double(value) => literal(&Datum::Double(*value)),
            ExprKind::String(text) => literal(&Datum::Text(text.as_bytes())),
            ExprKind::Bytes(bytes) => literal(&Datum::Bytes(bytes)),
            ExprKind::Enum(name) => literal(&Datum::Int(self.symbol(name, &expr.place)?)),
            ExprKind::List(items) => {
                let mut facts = Facts::default();
                let mut compiled = Vec::with_capacity(items.len());
                for item in items {
                    let (item, of_item) = self.expr(item)?;
                    facts = facts.and(of_item);
                    compiled.push(item);
                }
                Ok((constant(Expr::List(compiled)), facts))
            }
            ExprKind::Map(entries) => {
                let mut facts = Facts::default();
                let mut compiled = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    let (value, of_value) = self.expr(value)?;
                    facts = facts.and(of_value);
                    compiled.push((key.as_bytes().into(), value));
                }
                Ok((constant(Expr::Map(compiled)), facts))
            }
            ExprKind::Path(path) => self.path(path, &expr.place),
            ExprKind::Converter(converter) => self.converter(converter),
            ExprKind::Math(left, operator, right) => {
                let (left, of_left) = self.expr(left)?;
                let (right, of_right) = self.expr(right)?;
                let facts = of_left.and(of_right).fallible();
                if let (Expr::Literal(left), Expr::Literal(right)) = (&left, &right)
                    && let Ok(datum) = calculate(left.datum(), *operator, right.datum())
                    && let Some(literal) = Literal::of(&datum)
                {
                    return Ok((Expr::Literal(literal), facts));
                }
                Ok((Expr::Math(Box::new((left, *operator, right))), facts))
            }
            ExprKind::Sign(false, inner) => self.expr(inner),
            ExprKind::Sign(true, inner) => {
                let (inner, facts) = self.expr(inner)?;
                if let Expr::Literal(value) = &inner
                    && let Ok(datum) = negate(value.datum())
                    && let Some(literal) = Literal::of(&datum)
                {
                    return Ok((Expr::Literal(literal), facts));
                }
                Ok((Expr::Negative(Box::new(inner)), facts.fallible()))
            }
        }
    }

    fn symbol(&self, name: &str, place: &Place) -> Checked<i64> {
        if let Some(value) = symbol(self.context, name) {
            return Ok(value);
        }
        let message = format!("the context {} has no symbol {name}", self.context);
        let is_function = self.functions.iter().any(|function| function.name() == name);
        let help = match is_function {
            true => Some(format!("a converter is called with parentheses: `{name}(…)`")),
            false => {
                let known: Vec<String> = symbols(self.context).map(|(symbol, _)| symbol).collect();
                did_you_mean(name, known.iter().map(String::as_str))
            }
        };
        Err(Problem::new(place, message).help(help))
    }

    pub(super) fn converter(&mut self, converter: &ast::Converter) -> Checked<(Expr, Facts)> {
        let (call, mut facts) = self.call(&converter.call)?;
        let expr = Expr::Call(Box::new(call));
        if converter.keys.is_empty() {
            return Ok((expr, facts));
        }
        let mut keys = Vec::with_capacity(converter.keys.len());
        for key in &converter.keys {
            let (key, of_key) = self.key(key)?;
            facts = facts.and(of_key);
            keys.push(key);
        }
        Ok((Expr::Index(Box::new(expr), keys), facts.fallible()))
    }
}

/// A list or map of literals is one.
fn constant(expr: Expr) -> Expr {
    let arena = Arena::default();
    let datum = match &expr {
        Expr::List(items) => {
            items.iter().map(Expr::literal).collect::<Option<_>>().map(|items| list_of(items, &arena))
        }
        Expr::Map(entries) => entries
            .iter()
            .map(|(key, value)| Some((&**key, value.literal()?)))
            .collect::<Option<_>>()
            .map(|entries| map_of(entries, &arena)),
        _ => None,
    };
    match datum.as_ref().and_then(Literal::of) {
        Some(literal) => Expr::Literal(literal),
        None => expr,
    }
}
