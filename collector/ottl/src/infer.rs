//! Which context statements belong to that name none: found from their paths, functions and symbols.

use std::collections::BTreeSet;

use crate::diagnostic::{Diagnostic, Problem};
use crate::path::symbol;
use crate::syntax::ast::{
    Argument, ArgumentValue, Call, Condition, Converter, Expr, ExprKind, Key, Path, Statement,
};
use crate::syntax::{parse_condition, parse_statement};
use crate::{Context, FunctionSet};

/// The names of contexts, best first. What is not here ranks last.
const PRIORITY: [&str; 10] = [
    "log",
    "exemplar",
    "datapoint",
    "metric",
    "spanevent",
    "span",
    "profile",
    "scope",
    "instrumentation_scope",
    "resource",
];

/// What the statements of a group use.
#[derive(Debug, Default)]
struct Uses {
    contexts: BTreeSet<String>,
    functions: BTreeSet<String>,
    symbols: BTreeSet<String>,
}

/// Infers the context of statements and conditions that belong together, among those that are offered.
pub(crate) fn infer(
    offered: &[Context],
    functions: FunctionSet,
    statements: &[String],
    conditions: &[String],
) -> Result<Context, Vec<Diagnostic>> {
    let mut uses = Uses::default();
    let mut problems = Vec::new();
    for source in statements {
        match parse_statement(source) {
            Ok(statement) => uses.statement(&statement),
            Err(problem) => problems.push(problem.of(source)),
        }
    }
    for source in conditions {
        match parse_condition(source) {
            Ok(condition) => uses.condition(&condition),
            Err(problem) => problems.push(problem.of(source)),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let first = statements.first().or(conditions.first()).map_or("", String::as_str);
    let fail = |message: String| vec![Problem::new(&(0..first.len()), message).of(first)];
    let rank = |name: &String| PRIORITY.iter().position(|known| known == name).unwrap_or(PRIORITY.len());
    // `otelcol` says nothing about the record.
    let candidate = uses.contexts.iter().filter(|name| *name != "otelcol").min_by_key(|name| rank(name));
    let Some(candidate) = candidate else {
        return Err(fail(
            "cannot infer the context: no path begins with one, for example \"span.name\"; write the context \
             explicitly, or begin a path with it"
                .to_owned(),
        ));
    };
    if candidate == "profile" {
        return Err(fail(crate::UnknownContext::Profile.to_string()));
    }
    let knows_all = |context: Context| {
        uses.functions.iter().all(|name| functions.get(name, context).is_some())
            && uses
                .symbols
                .iter()
                .all(|name| symbol(context, name).is_some() || functions.get(name, context).is_some())
    };
    let is_named = |context: &&Context| context.name() == candidate;
    if let Some(context) = offered.iter().find(is_named)
        && knows_all(*context)
    {
        return Ok(*context);
    }
    // A context below, whose records lie in those of the candidate.
    let is_offered = offered.iter().any(|context| is_named(&context));
    let mut lower: Vec<Context> = offered
        .iter()
        .copied()
        .filter(|context| is_offered && context.name() != candidate && context.prefixed(candidate).is_some())
        .collect();
    lower.sort_by_key(|context| rank(&context.name().to_owned()));
    if let Some(context) = lower.into_iter().find(|context| knows_all(*context)) {
        return Ok(context);
    }
    // A function that nothing knows is a mistake of its statement, which compiling finds with its place.
    let is_known = |name: &String| offered.iter().any(|context| functions.get(name, *context).is_some());
    if let Some(context) = offered.iter().find(is_named)
        && !uses.functions.iter().all(is_known)
    {
        return Ok(*context);
    }
    let offered_names = offered.iter().map(|context| context.name()).collect::<Vec<_>>().join(", ");
    Err(fail(match is_offered {
        true => format!("no context below {candidate} knows all functions and symbols that are used"),
        false if candidate == "instrumentation_scope" => {
            "cannot infer the context from \"instrumentation_scope\"; write \"scope\"".to_owned()
        }
        false => format!("paths begin with \"{candidate}\", but here the contexts are {offered_names}"),
    }))
}

impl Uses {
    fn statement(&mut self, statement: &Statement) {
        self.call(&statement.editor);
        if let Some(condition) = &statement.condition {
            self.condition(condition);
        }
    }

    fn condition(&mut self, condition: &Condition) {
        match condition {
            Condition::Or(terms) | Condition::And(terms) => {
                terms.iter().for_each(|term| self.condition(term))
            }
            Condition::Not(inner) => self.condition(inner),
            Condition::Literal(_) => {}
            Condition::Converter(converter) => self.converter(converter),
            Condition::Comparison(comparison) => {
                self.expr(&comparison.left);
                self.expr(&comparison.right);
            }
        }
    }

    fn call(&mut self, call: &Call) {
        self.functions.insert(call.name.clone());
        for Argument { value, .. } in &call.arguments {
            match value {
                ArgumentValue::Value(value) => self.expr(value),
                ArgumentValue::Function(name, _) => {
                    self.functions.insert(name.clone());
                }
            }
        }
    }

    fn converter(&mut self, converter: &Converter) {
        self.call(&converter.call);
        self.keys(&converter.keys);
    }

    fn keys(&mut self, keys: &[Key]) {
        keys.iter().for_each(|key| self.expr(&key.value));
    }

    fn path(&mut self, path: &Path) {
        if let [first, rest @ ..] = &path.segments[..]
            && !rest.is_empty()
            && first.keys.is_empty()
            && (PRIORITY.contains(&first.name.as_str()) || first.name == "otelcol")
        {
            self.contexts.insert(first.name.clone());
        }
        path.segments.iter().for_each(|segment| self.keys(&segment.keys));
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Enum(name) => {
                self.symbols.insert(name.clone());
            }
            ExprKind::List(items) => items.iter().for_each(|item| self.expr(item)),
            ExprKind::Map(entries) => entries.iter().for_each(|(_, value)| self.expr(value)),
            ExprKind::Path(path) => self.path(path),
            ExprKind::Converter(converter) => self.converter(converter),
            ExprKind::Math(left, _, right) => {
                self.expr(left);
                self.expr(right);
            }
            ExprKind::Sign(_, inner) => self.expr(inner),
            ExprKind::Nil
            | ExprKind::Bool(_)
            | ExprKind::Int(_)
            | ExprKind::Double(_)
            | ExprKind::String(_)
            | ExprKind::Bytes(_) => {}
        }
    }
}
