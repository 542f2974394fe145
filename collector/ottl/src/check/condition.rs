//! Conditions: folded as the original does, then made cheap where nobody can tell.

use std::collections::HashSet;

use crate::matcher::Matcher;
use crate::native::Converter;
use crate::path::Field;
use crate::plan::{Callee, Condition, Expr, KeyHasher, Literal};
use crate::run::{Datum, compare};
use crate::syntax::ast::{self, Comparator, ExprKind};

use super::{Checked, Compiler, Facts, is_literal};

/// From how many texts on a set is quicker than asking for one after the other.
const SET: usize = 3;

/// A term of a list, and whether its place in the list can show.
type Term = (Condition, bool);

impl Compiler<'_> {
    /// Compiles a condition; what depends on the resource or scope alone is evaluated once for each.
    pub(super) fn hoisted(&mut self, condition: &ast::Condition) -> Checked<(Condition, Facts)> {
        let (condition, facts) = self.boolean(condition)?;
        Ok((self.once(condition, facts), facts))
    }

    /// Whether a condition reads less than the record, and always the same.
    fn is_wide(&self, facts: Facts) -> bool {
        let deepest = facts.reads.deepest().unwrap_or(0);
        !facts.is_impure && !facts.reads.has_cache() && deepest < self.depth()
    }

    fn once(&mut self, condition: Condition, facts: Facts) -> Condition {
        use Condition::{And, Compare, Converter, Not, Or};
        let is_dear = matches!(condition, And(_) | Or(_) | Not(_) | Compare(_) | Converter(_));
        if !is_dear || !self.is_wide(facts) {
            return condition;
        }
        let Ok(slot) = u16::try_from(self.layout.once.len()) else { return condition };
        let deepest = facts.reads.deepest().unwrap_or(0) as u8;
        self.layout.once.push(deepest);
        self.layout.deepest_once = self.layout.deepest_once.max(deepest);
        Condition::Once { slot, inner: Box::new(condition) }
    }

    fn boolean(&mut self, condition: &ast::Condition) -> Checked<(Condition, Facts)> {
        match condition {
            ast::Condition::Literal(value) => Ok((Condition::Constant(*value), Facts::default())),
            ast::Condition::Not(inner) => {
                let (inner, facts) = self.boolean(inner)?;
                let negated = match inner {
                    Condition::Constant(value) => Condition::Constant(!value),
                    inner => Condition::Not(Box::new(inner)),
                };
                Ok((negated, facts))
            }
            ast::Condition::Converter(converter) => {
                let (expr, facts) = self.converter(converter)?;
                let is_test = matches!(&expr, Expr::Call(call)
                    if matches!(call.callee, Callee::Native(Converter::Is(_) | Converter::IsRootSpan)));
                // Another value than a boolean is an error.
                Ok((Condition::Converter(expr), if is_test { facts } else { facts.fallible() }))
            }
            ast::Condition::Comparison(comparison) => self.comparison(comparison),
            ast::Condition::And(terms) => self.list(terms, false),
            ast::Condition::Or(terms) => self.list(terms, true),
        }
    }

    /// Compiles terms joined by `or`, or by `and`. `decides` is the literal that decides the whole.
    fn list(&mut self, terms: &[ast::Condition], decides: bool) -> Checked<(Condition, Facts)> {
        let mut compiled = Vec::with_capacity(terms.len());
        for term in terms {
            compiled.push(self.boolean(term)?);
        }
        if compiled.iter().any(|(term, _)| is_constant(term, decides)) {
            return Ok((Condition::Constant(decides), Facts::default()));
        }
        compiled.retain(|(term, _)| !is_constant(term, !decides));
        let facts = compiled.iter().fold(Facts::default(), |all, (_, facts)| all.and(*facts));
        if compiled.is_empty() {
            return Ok((Condition::Constant(!decides), facts));
        }
        // Where the whole is evaluated once, its terms need not be.
        let is_wide = self.is_wide(facts);
        let mut terms: Vec<Term> = Vec::with_capacity(compiled.len());
        for (term, facts) in compiled {
            let is_free = !facts.is_fallible && !facts.is_impure;
            terms.push((if is_wide { term } else { self.once(term, facts) }, is_free));
        }
        let mut terms = in_cheap_order(join_texts(terms, decides), self.depth());
        let condition = match terms.len() {
            1 => terms.swap_remove(0),
            _ if decides => Condition::Or(terms),
            _ => Condition::And(terms),
        };
        Ok((condition, facts))
    }

    fn comparison(&mut self, comparison: &ast::Comparison) -> Checked<(Condition, Facts)> {
        let ast::Comparison { left, op, right } = comparison;
        let are_literals = is_literal(left) && is_literal(right);
        // In the original the list that `Split` gives has another type than any other list.
        let never_equal = is_split(left) || is_split(right);
        let (left, of_left) = self.expr(left)?;
        let (right, of_right) = self.expr(right)?;
        let facts = of_left.and(of_right);
        if let (Expr::Literal(left), Expr::Literal(right), true) = (&left, &right, are_literals) {
            let holds = compare(&left.datum(), *op, &right.datum());
            return Ok((Condition::Constant(holds), facts));
        }
        if never_equal {
            return Ok((Condition::NeverEqual(Box::new((left, *op, right))), facts));
        }
        let condition = match (left, right) {
            (Expr::Literal(literal), other) => with_literal(other, flipped(*op), literal),
            (other, Expr::Literal(literal)) => with_literal(other, *op, literal),
            (left, right) => Condition::Compare(Box::new((left, *op, right))),
        };
        Ok((condition, facts))
    }
}

fn is_constant(condition: &Condition, value: bool) -> bool {
    matches!(condition, Condition::Constant(found) if *found == value)
}

fn is_split(expr: &ast::Expr) -> bool {
    matches!(&expr.kind, ExprKind::Converter(converter)
        if converter.call.name == "Split" && converter.keys.is_empty())
}

/// The comparator with the sides exchanged.
fn flipped(op: Comparator) -> Comparator {
    match op {
        Comparator::Lt => Comparator::Gt,
        Comparator::Le => Comparator::Ge,
        Comparator::Gt => Comparator::Lt,
        Comparator::Ge => Comparator::Le,
        op => op,
    }
}

/// A comparison with a literal, in its cheapest form.
fn with_literal(other: Expr, op: Comparator, literal: Literal) -> Condition {
    let is_equality = matches!(op, Comparator::Eq | Comparator::Ne);
    let is_equal = op == Comparator::Eq;
    match (&other, literal.datum()) {
        (Expr::Attribute { depth, index }, Datum::Text(text)) if is_equality => {
            return Condition::AttributeIs { depth: *depth, index: *index, text: text.into(), is_equal };
        }
        (Expr::Attribute { depth, index }, Datum::Nil) if is_equality => {
            return Condition::AttributeIsNil { depth: *depth, index: *index, is_nil: is_equal };
        }
        (Expr::Field { depth, field: Field::Enum(number) }, Datum::Int(value)) => {
            return Condition::IntField { depth: *depth, number: *number, op, value };
        }
        (Expr::Field { depth, field: Field::Text(number) }, Datum::Text(text)) if is_equality => {
            return Condition::TextField { depth: *depth, number: *number, text: text.into(), is_equal };
        }
        _ => {}
    }
    // A literal cannot fail, so that the order of the two does not show.
    Condition::Compare(Box::new((other, op, Expr::Literal(literal))))
}

/// Joins neighbours that compare one attribute with texts: `a == "x" or a == "y"`, and `!=` with `and`.
fn join_texts(terms: Vec<Term>, is_or: bool) -> Vec<Term> {
    let place_of = |condition: &Condition| match condition {
        Condition::AttributeIs { depth, index, is_equal, .. } if *is_equal == is_or => Some((*depth, *index)),
        _ => None,
    };
    let mut joined: Vec<Term> = Vec::with_capacity(terms.len());
    let mut rest = terms.into_iter().peekable();
    while let Some(first) = rest.next() {
        let Some(place) = place_of(&first.0) else {
            joined.push(first);
            continue;
        };
        let mut run = vec![first];
        while let Some(next) = rest.next_if(|(next, _)| place_of(next) == Some(place)) {
            run.push(next);
        }
        if run.len() < SET {
            joined.extend(run);
            continue;
        }
        let mut texts: HashSet<_, KeyHasher> = HashSet::default();
        for (condition, _) in run {
            if let Condition::AttributeIs { text, .. } = condition {
                texts.insert(text);
            }
        }
        let set = Condition::AttributeIn { depth: place.0, index: place.1, texts };
        joined.push((if is_or { set } else { Condition::Not(Box::new(set)) }, true));
    }
    joined
}

/// Puts cheap terms first, among neighbours that cannot fail: their order shows in nothing but time.
fn in_cheap_order(terms: Vec<Term>, depth: usize) -> Vec<Condition> {
    let cost = |condition: &Condition| cost(condition, depth);
    let mut ordered: Vec<Condition> = Vec::with_capacity(terms.len());
    let mut run_start = 0;
    for (term, is_free) in terms {
        ordered.push(term);
        if !is_free {
            let end = ordered.len() - 1;
            ordered[run_start..end].sort_by_key(cost);
            run_start = ordered.len();
        }
    }
    ordered[run_start..].sort_by_key(cost);
    ordered
}

/// What a condition costs, more or less. What lies above the record has been read for another one already.
fn cost(condition: &Condition, depth: usize) -> u32 {
    match condition {
        Condition::Constant(_) => 0,
        Condition::AttributeIs { depth: level, .. }
        | Condition::AttributeIsNil { depth: level, .. }
        | Condition::IntField { depth: level, .. }
        | Condition::TextField { depth: level, .. }
            if usize::from(*level) < depth =>
        {
            0
        }
        Condition::IntField { .. } | Condition::Once { .. } => 1,
        Condition::AttributeIs { .. } | Condition::AttributeIsNil { .. } | Condition::TextField { .. } => 2,
        Condition::AttributeIn { .. } => 4,
        Condition::Not(inner) => cost(inner, depth),
        Condition::And(terms) | Condition::Or(terms) => terms.iter().map(|term| cost(term, depth)).sum(),
        Condition::Compare(_) | Condition::NeverEqual(_) => 8,
        Condition::Converter(Expr::Call(call)) => match &call.callee {
            Callee::Native(Converter::Is(_) | Converter::IsRootSpan) => 3,
            Callee::Native(Converter::IsMatch(Some(Matcher::Regex(_)))) => 40,
            Callee::Native(Converter::IsMatch(Some(_))) => 10,
            _ => 30,
        },
        Condition::Converter(_) => 30,
    }
}
