//! Calls: the function, its parameters, and what is given for them.

use crate::Contexts;
use crate::diagnostic::{Problem, did_you_mean};
use crate::eval::FunctionRef;
use crate::function::{Body, Function, Kind, Literals, Parameter};
use crate::functions::case;
use crate::native::{self, Converter, default_value};
use crate::plan::{ArgumentNode, CallNode, Callee, Expr, Levels, Literal};
use crate::run::{Arena, Argument, Datum, coerce};
use crate::syntax::ast::{self, ArgumentValue, ExprKind, Place};

use super::{Checked, Compiler, Facts, is_literal};

/// What is given for each parameter.
pub(super) type Given<'c> = Vec<Option<&'c ArgumentValue>>;

impl Compiler<'_> {
    /// Compiles a converter's call.
    pub(super) fn call(&mut self, call: &ast::Call) -> Checked<(CallNode, Facts)> {
        let function = self.function(&call.name, &call.name_place)?;
        let given = assign(function, call)?;
        let (arguments, mut facts) = self.arguments(function, &given)?;
        let callee = prepare(function, &arguments, &call.place)?;
        match &callee {
            Callee::Native(converter) if converter.is_infallible() => {}
            // Without parameters, or known to few contexts: reads something that is no argument.
            _ => facts = facts.fallible(),
        }
        if let Callee::Native(Converter::IsRootSpan) = callee {
            facts.reads |= Levels::of(self.depth());
        }
        let is_native = matches!(callee, Callee::Native(_));
        facts.is_impure |=
            !is_native && (function.parameters.is_empty() || function.contexts != Contexts::ALL);
        Ok((CallNode { name: function.name, callee, arguments }, facts))
    }

    /// The function with this name.
    pub(super) fn function(&self, name: &str, place: &Place) -> Checked<&'static Function> {
        if let Some(function) = self.functions.get(name, self.context) {
            return Ok(function);
        }
        let is_elsewhere = self.functions.iter().any(|function| function.name == name);
        let message = match is_elsewhere {
            true => format!("the function \"{name}\" is not available in the context {}", self.context),
            false => format!("undefined function \"{name}\""),
        };
        let here = |function: &&Function| function.contexts.contains(self.context);
        let known = self.functions.iter().filter(here).map(|function| function.name);
        Err(Problem::new(place, message).help(did_you_mean(name, known)))
    }

    /// Compiles the arguments by the kinds of their parameters. Paths to be set, and functions, are left out.
    pub(super) fn arguments(
        &mut self,
        function: &'static Function,
        given: &[Option<&ArgumentValue>],
    ) -> Checked<(Vec<ArgumentNode>, Facts)> {
        let mut facts = Facts::default();
        let mut compiled = Vec::with_capacity(given.len());
        for (index, (parameter, value)) in function.parameters.iter().zip(given).enumerate() {
            let Some(value) = value else {
                compiled.push(absent(parameter));
                continue;
            };
            let literal_kind = match &function.body {
                Body::Native(native) if index == 0 => native::literal_kind(*native),
                _ => None,
            };
            let (node, of_node) = self
                .argument(parameter.kind(), value, literal_kind)
                .map_err(|problem| problem.named(parameter.name(), function.name))?;
            facts = facts.and(of_node);
            compiled.push(node);
        }
        Ok((compiled, facts))
    }

    /// Compiles an argument. `literal_kind` is what a literal must be, where the parameter takes anything.
    fn argument(
        &mut self,
        kind: Kind,
        value: &ArgumentValue,
        literal_kind: Option<Kind>,
    ) -> Checked<(ArgumentNode, Facts)> {
        let expr = match (kind, value) {
            (Kind::Path | Kind::MapPath | Kind::ListPath, value) => {
                return match value {
                    ArgumentValue::Value(ast::Expr { kind: ExprKind::Path(_), .. }) => {
                        Ok((ArgumentNode::Absent, Facts::default()))
                    }
                    _ => Err(Problem::of_argument(value.place(), "must be a path")),
                };
            }
            (Kind::Function, _) => return Ok((ArgumentNode::Absent, Facts::default())),
            (_, ArgumentValue::Function(name, place)) => {
                let help = format!("a converter is called with parentheses: `{name}(…)`");
                let problem = Problem::of_argument(place, "expected a value, found the name of a function");
                return Err(problem.help(Some(help)));
            }
            (_, ArgumentValue::Value(expr)) => expr,
        };
        match kind {
            Kind::ListOf(element) => self.list_of(expr, *element),
            kind if is_token(kind) => Ok((literal(expr, kind)?, Facts::default())),
            kind => self.value_of(expr, kind, literal_kind.unwrap_or(kind)),
        }
    }

    fn value_of(
        &mut self,
        expr: &ast::Expr,
        kind: Kind,
        literal_kind: Kind,
    ) -> Checked<(ArgumentNode, Facts)> {
        if kind == Kind::List
            && let ExprKind::List(items) = &expr.kind
            && let Some(map) = items.iter().find(|item| matches!(item.kind, ExprKind::Map(_)))
        {
            return Err(Problem::of_argument(&map.place, "a list that is written out cannot hold maps here"));
        }
        let (compiled, facts) = self.expr(expr)?;
        let (Expr::Literal(value), true) = (&compiled, is_literal(expr)) else {
            let facts = if kind == Kind::Any { facts } else { facts.fallible() };
            return Ok((ArgumentNode::Value(compiled, kind), facts));
        };
        let arena = Arena::default();
        let coerced = coerce(value.datum(), literal_kind, &arena)
            .and_then(|_| coerce(value.datum(), kind, &arena))
            .map_err(|error| Problem::of_argument(&expr.place, error.to_string()))?;
        match Literal::of(&coerced) {
            // It is what it must be: nothing is left to be coerced.
            Some(literal) => Ok((ArgumentNode::Value(Expr::Literal(literal), Kind::Any), facts)),
            None => Ok((ArgumentNode::Value(compiled, kind), facts)),
        }
    }

    fn list_of(&mut self, expr: &ast::Expr, element: Kind) -> Checked<(ArgumentNode, Facts)> {
        let ExprKind::List(items) = &expr.kind else {
            return Err(Problem::of_argument(&expr.place, "expected a list in brackets"));
        };
        let mut facts = Facts::default();
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            let (node, of_node) = match is_token(element) {
                true => (literal(item, element)?, Facts::default()),
                false => self.value_of(item, element, element)?,
            };
            facts = facts.and(of_node);
            if let ArgumentNode::Value(value, _) = node {
                values.push(value);
            }
        }
        Ok((ArgumentNode::List(values, element), facts))
    }

    /// The converter that a replacing editor is given.
    pub(super) fn function_ref(&self, value: &ArgumentValue) -> Checked<FunctionRef> {
        let (name, place) = match value {
            ArgumentValue::Function(name, place) => (name, place),
            ArgumentValue::Value(ast::Expr { kind: ExprKind::Enum(name), place }) => (name, place),
            ArgumentValue::Value(expr) => {
                return Err(Problem::new(&expr.place, "expected the name of a converter"));
            }
        };
        let function = self.function(name, place)?;
        let takes_text = matches!(function.parameters, [only] if only.kind() == Kind::String);
        if !takes_text {
            let signature = function.signature();
            let message = format!("{signature} cannot be applied to a replacement: it must take one string");
            return Err(Problem::new(place, message));
        }
        let callee = match function.body {
            Body::Converter(body) => Callee::Converter(body),
            Body::Prepared(prepare) => {
                let literals = Literals { arguments: &[Argument::Absent], is_dynamic: &[true] };
                Callee::Prepared(prepare(&literals).map_err(|message| Problem::new(place, message))?)
            }
            _ => return Err(Problem::new(place, format!("{name} cannot be applied to a replacement"))),
        };
        Ok(FunctionRef { name: function.name, callee })
    }
}

/// Whether a parameter takes nothing but a token of the statement.
fn is_token(kind: Kind) -> bool {
    matches!(kind, Kind::LiteralString | Kind::LiteralInt | Kind::LiteralDouble | Kind::LiteralBool)
}

fn literal(expr: &ast::Expr, kind: Kind) -> Checked<ArgumentNode> {
    let datum = match (&expr.kind, kind) {
        (ExprKind::String(text), Kind::LiteralString) => Some(Datum::Text(text.as_bytes())),
        (ExprKind::Int(value), Kind::LiteralInt) => Some(Datum::Int(*value)),
        (ExprKind::Double(value), Kind::LiteralDouble) => Some(Datum::Double(*value)),
        (ExprKind::Bool(value), Kind::LiteralBool) => Some(Datum::Bool(*value)),
        _ => None,
    };
    match datum.as_ref().and_then(Literal::of) {
        Some(literal) => Ok(ArgumentNode::Value(Expr::Literal(literal), Kind::Any)),
        None => Err(Problem::of_argument(&expr.place, format!("expected {}", kind.expected()))),
    }
}

fn absent(parameter: &Parameter) -> ArgumentNode {
    match parameter.default().and_then(default_value).as_ref().and_then(Literal::of) {
        Some(literal) => ArgumentNode::Value(Expr::Literal(literal), Kind::Any),
        None => ArgumentNode::Absent,
    }
}

/// Says which argument belongs to which parameter.
pub(super) fn assign<'c>(function: &'static Function, call: &'c ast::Call) -> Checked<Given<'c>> {
    let parameters = function.parameters;
    let mut given: Given<'c> = vec![None; parameters.len()];
    let mut has_names = false;
    for (index, argument) in call.arguments.iter().enumerate() {
        let at = match &argument.name {
            Some((name, place)) => {
                has_names = true;
                let wanted = case::camel(name);
                let is_it = |parameter: &Parameter| case::camel(parameter.name()) == wanted;
                parameters.iter().position(is_it).ok_or_else(|| {
                    let message = format!("{} has no parameter \"{name}\"", function.signature());
                    let names = parameters.iter().map(Parameter::name);
                    Problem::new(place, message).help(did_you_mean(name, names))
                })?
            }
            None if has_names => {
                let message = "an argument without a name cannot follow one with a name";
                return Err(Problem::new(argument.value.place(), message));
            }
            None if index >= parameters.len() => {
                return Err(Problem::new(argument.value.place(), wrong_count(function, call)));
            }
            None => index,
        };
        if given[at].replace(&argument.value).is_some() {
            let message = format!("the argument \"{}\" is given twice", parameters[at].name());
            return Err(Problem::new(argument.value.place(), message));
        }
    }
    let is_missing =
        |(parameter, given): (&Parameter, &Option<_>)| parameter.is_required() && given.is_none();
    match parameters.iter().zip(&given).any(is_missing) {
        true => Err(Problem::new(&call.place, wrong_count(function, call))),
        false => Ok(given),
    }
}

fn wrong_count(function: &Function, call: &ast::Call) -> String {
    let required = function.parameters.iter().filter(|parameter| parameter.is_required()).count();
    let most = function.parameters.len();
    let expected = match (required, most) {
        (1, 1) => "1 argument".to_owned(),
        (required, most) if required == most => format!("{most} arguments"),
        (required, most) => format!("{required} to {most} arguments"),
    };
    format!("expected {expected} but got {}: {}", call.arguments.len(), function.signature())
}

/// Lets a converter look at its literal arguments.
fn prepare(function: &'static Function, arguments: &[ArgumentNode], place: &Place) -> Checked<Callee> {
    let wrong = |message: String| Problem::new(place, format!("{}: {message}", function.name));
    match function.body {
        Body::Converter(body) => Ok(Callee::Converter(body)),
        Body::Prepared(prepare) => with_literals(arguments, prepare).map(Callee::Prepared).map_err(wrong),
        Body::Native(native) => native::prepare(native, arguments).map(Callee::Native).map_err(wrong),
        Body::Editor(_) | Body::PreparedEditor(_) => Err(wrong("an editor gives no value".to_owned())),
    }
}

/// Hands the literals among the arguments over.
pub(super) fn with_literals<T>(
    arguments: &[ArgumentNode],
    prepare: impl FnOnce(&Literals<'_>) -> Result<T, String>,
) -> Result<T, String> {
    let is_literal = |value: &Expr| matches!(value, Expr::Literal(_));
    let is_dynamic: Vec<bool> = arguments
        .iter()
        .map(|argument| match argument {
            ArgumentNode::Absent => false,
            ArgumentNode::Value(value, _) => !is_literal(value),
            ArgumentNode::List(values, _) => !values.iter().all(is_literal),
        })
        .collect();
    // What is no literal is nil within a list: so the count is right, and nobody takes it for text.
    let literals: Vec<Argument<'_>> = arguments
        .iter()
        .map(|argument| match argument {
            ArgumentNode::Absent => Argument::Absent,
            ArgumentNode::Value(value, _) => value.literal().map_or(Argument::Absent, Argument::One),
            ArgumentNode::List(values, _) => {
                Argument::Many(values.iter().map(|value| value.literal().unwrap_or_default()).collect())
            }
        })
        .collect();
    prepare(&Literals { arguments: &literals, is_dynamic: &is_dynamic })
}

impl ArgumentNode {
    fn literal_datum(&self) -> Option<Datum<'_>> {
        match self {
            ArgumentNode::Value(value, _) => value.literal(),
            _ => None,
        }
    }

    /// The text of an argument that stands in the statement.
    pub(crate) fn literal_text(&self) -> Option<String> {
        match self.literal_datum()? {
            Datum::Text(text) => String::from_utf8(text.to_vec()).ok(),
            _ => None,
        }
    }

    /// The whole number that stands in the statement.
    pub(crate) fn literal_int(&self) -> Option<i64> {
        match self.literal_datum()? {
            Datum::Int(value) => Some(value),
            _ => None,
        }
    }

    /// The boolean that stands in the statement.
    pub(crate) fn literal_bool(&self) -> Option<bool> {
        match self.literal_datum()? {
            Datum::Bool(value) => Some(value),
            _ => None,
        }
    }
}
