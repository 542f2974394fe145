//! Running what was compiled.

use smallvec::SmallVec;

use crate::plan::{ArgumentNode, CallNode, Callee, Condition, EditNode, Expr, Path, Statement};
use crate::run::{self, Argument, Arguments, Datum, State, coerce, compare};
use crate::syntax::ast::Comparator;
use crate::{Call, Edit, EvalError, Value};

impl Expr {
    /// The value.
    pub(crate) fn evaluate<'a>(&'a self, state: &mut State<'a>) -> Result<Datum<'a>, EvalError> {
        match self {
            Expr::Literal(literal) => Ok(literal.datum()),
            Expr::Attribute { depth, index } => {
                Ok(state.at(*depth).found(*index).map_or(Datum::Nil, Datum::read))
            }
            Expr::Field { depth, field } => Ok(run::get_field(state, *depth, *field)),
            Expr::Path(path) => run::get(state, path),
            Expr::Call(call) => call.evaluate(state),
            Expr::Index(value, keys) => {
                let value = value.evaluate(state)?;
                let keys: SmallVec<[_; 2]> =
                    keys.iter().map(|key| key.evaluate(state)).collect::<Result<_, _>>()?;
                run::index_result(value, &keys, state.arena)
            }
            Expr::List(items) => {
                let items = items.iter().map(|item| item.evaluate(state)).collect::<Result<Vec<_>, _>>()?;
                Ok(run::list_of(items, state.arena))
            }
            Expr::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| Ok((&**key, value.evaluate(state)?)))
                    .collect::<Result<Vec<_>, EvalError>>()?;
                Ok(run::map_of(entries, state.arena))
            }
            Expr::Math(operation) => {
                let (left, operator, right) = &**operation;
                let left = left.evaluate(state)?;
                let right = right.evaluate(state)?;
                run::calculate(left, *operator, right)
            }
            Expr::Negative(value) => run::negate(value.evaluate(state)?),
        }
    }
}

impl CallNode {
    fn evaluate<'a>(&'a self, state: &mut State<'a>) -> Result<Datum<'a>, EvalError> {
        let result = match &self.callee {
            Callee::Native(converter) => converter.evaluate(&self.arguments, state),
            Callee::Converter(body) => evaluate_all(&self.arguments, state)
                .and_then(|arguments| body(&Call { arguments: &arguments, state }))
                .map(|value| Datum::from_value(value, state.arena)),
            Callee::Prepared(body) => evaluate_all(&self.arguments, state)
                .and_then(|arguments| body(&Call { arguments: &arguments, state }))
                .map(|value| Datum::from_value(value, state.arena)),
        };
        result.map_err(|error| error.within(self.name))
    }
}

impl ArgumentNode {
    pub(crate) fn evaluate<'a>(&'a self, state: &mut State<'a>) -> Result<Argument<'a>, EvalError> {
        match self {
            ArgumentNode::Absent => Ok(Argument::Absent),
            ArgumentNode::Value(value, kind) => {
                let value = value.evaluate(state)?;
                coerce(value, *kind, state.arena).map(Argument::One)
            }
            ArgumentNode::List(values, kind) => values
                .iter()
                .map(|value| {
                    let value = value.evaluate(state)?;
                    coerce(value, *kind, state.arena)
                })
                .collect::<Result<_, _>>()
                .map(Argument::Many),
        }
    }

    /// The value of an argument that is one.
    pub(crate) fn value<'a>(&'a self, state: &mut State<'a>) -> Result<Datum<'a>, EvalError> {
        match self.evaluate(state)? {
            Argument::One(datum) => Ok(datum),
            Argument::Absent | Argument::Many(_) => Ok(Datum::Nil),
        }
    }
}

fn evaluate_all<'a>(
    arguments: &'a [ArgumentNode],
    state: &mut State<'a>,
) -> Result<Arguments<'a>, EvalError> {
    arguments.iter().map(|argument| argument.evaluate(state)).collect()
}

impl Condition {
    /// Whether it holds.
    pub(crate) fn test<'a>(&'a self, state: &mut State<'a>) -> Result<bool, EvalError> {
        match self {
            Condition::Constant(value) => Ok(*value),
            Condition::And(terms) => {
                for term in terms {
                    if !term.test(state)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Condition::Or(terms) => {
                for term in terms {
                    if term.test(state)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Condition::Not(inner) => inner.test(state).map(|value| !value),
            Condition::AttributeIs { depth, index, text, is_equal } => {
                Ok(is_text(state.at(*depth).found(*index), text) == *is_equal)
            }
            Condition::AttributeIn { depth, index, texts } => {
                Ok(match state.at(*depth).found(*index).map(Datum::read) {
                    Some(Datum::Text(text)) => texts.contains(text),
                    _ => false,
                })
            }
            Condition::AttributeIsNil { depth, index, is_nil } => {
                let value = state.at(*depth).found(*index);
                Ok(value.is_none_or(|value| matches!(Datum::read(value), Datum::Nil | Datum::Bytes([])))
                    == *is_nil)
            }
            Condition::IntField { depth, number, op, value } => {
                let field = i64::from(state.at(*depth).scalar(u32::from(*number)) as i32);
                Ok(holds(field.cmp(value), *op))
            }
            Condition::TextField { depth, number, text, is_equal } => {
                Ok((*state.at(*depth).bytes(u32::from(*number)) == **text) == *is_equal)
            }
            Condition::Compare(comparison) => {
                let (left, op, right) = &**comparison;
                let left = left.evaluate(state)?;
                let right = right.evaluate(state)?;
                Ok(compare(&left, *op, &right))
            }
            Condition::NeverEqual(comparison) => {
                let (left, op, right) = &**comparison;
                left.evaluate(state)?;
                right.evaluate(state)?;
                Ok(*op == Comparator::Ne)
            }
            Condition::Converter(expr) => match expr.evaluate(state)? {
                Datum::Bool(value) => Ok(value),
                other => Err(EvalError::new(format!(
                    "a condition must be a bool, but the converter gave {}",
                    other.type_name()
                ))),
            },
            Condition::Once { slot, inner } => {
                let slot = usize::from(*slot);
                if let Some(result) = &state.once[slot] {
                    return result.clone();
                }
                let result = inner.test(state);
                state.once[slot] = Some(result.clone());
                result
            }
        }
    }
}

#[inline(always)]
fn is_text(value: Option<&[u8]>, text: &[u8]) -> bool {
    matches!(value.map(Datum::read), Some(Datum::Text(found)) if found == text)
}

fn holds(order: std::cmp::Ordering, op: Comparator) -> bool {
    match op {
        Comparator::Eq => order.is_eq(),
        Comparator::Ne => order.is_ne(),
        Comparator::Lt => order.is_lt(),
        Comparator::Le => order.is_le(),
        Comparator::Gt => order.is_gt(),
        Comparator::Ge => order.is_ge(),
    }
}

impl Statement {
    /// Runs the editor if the condition holds, and tells whether it did.
    pub(crate) fn run<'a>(&'a self, state: &mut State<'a>) -> Result<bool, EvalError> {
        if !self.condition.test(state)? {
            return Ok(false);
        }
        self.edit.run(state)?;
        Ok(true)
    }
}

impl EditNode {
    fn run<'a>(&'a self, state: &mut State<'a>) -> Result<(), EvalError> {
        match self {
            EditNode::SetAttribute { depth, index, key, value } => {
                state.at(*depth).set_found(*index, key, &value.0);
                Ok(())
            }
            EditNode::DeleteKey { depth, index, key } => {
                state.at(*depth).remove_found(*index, key);
                Ok(())
            }
            EditNode::Set { target, value } => {
                let value = value.evaluate(state)?;
                if value.is_nil() {
                    return Ok(());
                }
                run::set(state, target, value)?;
                state.arena.check()
            }
            EditNode::Native(edit) => {
                edit.editor.run(&edit.target, state).map_err(|error| error.within(edit.name))?;
                state.arena.check()
            }
            EditNode::Editor { name, body, arguments } => evaluate_all(arguments, state)
                .and_then(|arguments| body(&mut Edit { arguments: &arguments, state }))
                .map_err(|error| error.within(name)),
            EditNode::Prepared { name, body, arguments } => evaluate_all(arguments, state)
                .and_then(|arguments| body(&mut Edit { arguments: &arguments, state }))
                .map_err(|error| error.within(name)),
            EditNode::Nothing => Ok(()),
        }
    }
}

impl Path {
    /// The value at the path.
    pub(crate) fn get<'a>(&'a self, state: &mut State<'a>) -> Result<Datum<'a>, EvalError> {
        run::get(state, self)
    }
}

/// A converter that replacing editors apply to what they put in.
pub(crate) struct FunctionRef {
    pub(crate) name: &'static str,
    pub(crate) callee: Callee,
}

impl FunctionRef {
    /// What the converter makes of a text.
    pub(crate) fn apply<'a>(&self, text: &str, state: &State<'a>) -> Result<String, EvalError> {
        let arguments = [Argument::One(Datum::Text(state.arena.copy(text.as_bytes())))];
        let call = Call { arguments: &arguments, state };
        let result = match &self.callee {
            Callee::Converter(body) => body(&call),
            Callee::Prepared(body) => body(&call),
            Callee::Native(_) => Err("this converter cannot be applied to a replacement".into()),
        };
        state.arena.check()?;
        match result.map_err(|error| error.within(self.name))? {
            Value::String(text) => Ok(text.into_owned()),
            other => {
                Err(EvalError::new(format!("{} gave {}, expected a string", self.name, other.type_name())))
            }
        }
    }
}
