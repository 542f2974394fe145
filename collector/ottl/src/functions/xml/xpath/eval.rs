//! Evaluating expressions over a document that has not been changed since it was read, in which the places
//! of nodes are their order and descendants follow their element.

use std::cell::Cell;

use super::{Axis, Expression, From, Function, MAX_VISITS, Operator, Step, Test};
use crate::EvalError;
use crate::functions::xml::{Document, Kind, NodeId, ROOT, local_name};

/// A node, or an attribute: its element, and its index among the attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    Node(NodeId),
    Attribute(NodeId, usize),
}

impl Match {
    /// Where it stands in the document.
    fn order(self) -> (NodeId, usize) {
        match self {
            Self::Node(id) => (id, 0),
            Self::Attribute(id, index) => (id, index + 1),
        }
    }
}

#[derive(Clone, Debug)]
enum Value {
    Nodes(Vec<Match>),
    Bool(bool),
    Number(f64),
    Text(String),
}

#[derive(Clone, Copy)]
struct Context {
    node: Match,
    position: usize,
    size: usize,
}

pub(super) fn select(expression: &Expression, document: &Document) -> Result<Vec<Match>, EvalError> {
    let evaluation = Evaluation { document, visits: Cell::new(0) };
    match evaluation.value(expression, Context { node: Match::Node(ROOT), position: 1, size: 1 })? {
        Value::Nodes(nodes) => Ok(nodes),
        _ => Ok(Vec::new()),
    }
}

struct Evaluation<'a> {
    document: &'a Document,
    visits: Cell<usize>,
}

impl Evaluation<'_> {
    fn visit(&self, nodes: usize) -> Result<(), EvalError> {
        let visits = self.visits.get().saturating_add(nodes);
        self.visits.set(visits);
        if visits > MAX_VISITS {
            return Err(EvalError::new(format!("the XPath looks at more than {MAX_VISITS} nodes")));
        }
        Ok(())
    }

    fn value(&self, expression: &Expression, context: Context) -> Result<Value, EvalError> {
        self.visit(1)?;
        Ok(match expression {
            Expression::Text(text) => Value::Text(text.clone()),
            Expression::Number(number) => Value::Number(*number),
            Expression::Negate(inner) => Value::Number(-self.number(&self.value(inner, context)?)),
            Expression::Call(function, arguments) => self.call(*function, arguments, context)?,
            Expression::Binary(operator, left, right) => self.binary(*operator, left, right, context)?,
            Expression::Filter(inner, predicates) => match self.value(inner, context)? {
                Value::Nodes(nodes) => Value::Nodes(self.filter(nodes, predicates)?),
                other => other,
            },
            Expression::Path { from, steps } => {
                let mut nodes = match from {
                    From::Root => vec![Match::Node(ROOT)],
                    From::Context => vec![context.node],
                    From::Expression(inner) => match self.value(inner, context)? {
                        Value::Nodes(nodes) => nodes,
                        _ => Vec::new(),
                    },
                };
                for step in steps {
                    nodes = self.step(&nodes, step)?;
                }
                Value::Nodes(nodes)
            }
        })
    }

    fn step(&self, from: &[Match], step: &Step) -> Result<Vec<Match>, EvalError> {
        let mut found = Vec::new();
        for &node in from {
            let mut nodes = self.axis(node, step.axis)?;
            nodes.retain(|&node| self.passes(node, step));
            found.extend(self.filter(nodes, &step.predicates)?);
        }
        in_order(&mut found);
        Ok(found)
    }

    /// The nodes of an axis, the nearest first.
    fn axis(&self, node: Match, axis: Axis) -> Result<Vec<Match>, EvalError> {
        let Match::Node(id) = node else { return self.axis_of_attribute(node, axis) };
        let nodes = |ids: &[NodeId]| ids.iter().map(|&id| Match::Node(id)).collect();
        let range = |ids: std::ops::Range<NodeId>| ids.map(Match::Node).collect();
        let found: Vec<Match> = match axis {
            Axis::Own => vec![node],
            Axis::Child => nodes(self.document.children(id)),
            Axis::Attribute => match self.document.kind(id) {
                Kind::Element { attributes, .. } => {
                    (0..attributes.len()).map(|index| Match::Attribute(id, index)).collect()
                }
                _ => Vec::new(),
            },
            Axis::Descendant => range(id + 1..self.end(id)),
            Axis::DescendantOrSelf => range(id..self.end(id)),
            Axis::Following => range(self.end(id)..self.document.nodes.len()),
            Axis::Parent if id == ROOT => Vec::new(),
            Axis::Parent => vec![Match::Node(self.document.nodes[id].parent)],
            Axis::Ancestor => nodes(&self.ancestors(id)),
            Axis::AncestorOrSelf => {
                let mut ids = vec![id];
                ids.extend(self.ancestors(id));
                nodes(&ids)
            }
            Axis::Preceding => {
                let ancestors = self.ancestors(id);
                (1..id).rev().filter(|id| !ancestors.contains(id)).map(Match::Node).collect()
            }
            Axis::FollowingSibling | Axis::PrecedingSibling => {
                let siblings =
                    if id == ROOT { &[] } else { self.document.children(self.document.nodes[id].parent) };
                let own = siblings.binary_search(&id).unwrap_or(0);
                match axis {
                    Axis::FollowingSibling => nodes(siblings.get(own + 1..).unwrap_or_default()),
                    _ => siblings[..own].iter().rev().map(|&id| Match::Node(id)).collect(),
                }
            }
        };
        self.visit(found.len())?;
        Ok(found)
    }

    fn axis_of_attribute(&self, node: Match, axis: Axis) -> Result<Vec<Match>, EvalError> {
        let Match::Attribute(element, _) = node else { return Ok(Vec::new()) };
        Ok(match axis {
            Axis::Own | Axis::DescendantOrSelf => vec![node],
            Axis::Parent => vec![Match::Node(element)],
            Axis::Ancestor => self.axis(Match::Node(element), Axis::AncestorOrSelf)?,
            Axis::AncestorOrSelf => {
                let mut nodes = vec![node];
                nodes.extend(self.axis(Match::Node(element), Axis::AncestorOrSelf)?);
                nodes
            }
            _ => Vec::new(),
        })
    }

    /// The place behind the last descendant of a node.
    fn end(&self, id: NodeId) -> NodeId {
        let mut last = id;
        while let Some(&child) = self.document.children(last).last() {
            last = child;
        }
        last + 1
    }

    fn ancestors(&self, id: NodeId) -> Vec<NodeId> {
        let mut ancestors = Vec::new();
        let mut at = id;
        while at != ROOT {
            at = self.document.nodes[at].parent;
            ancestors.push(at);
        }
        ancestors
    }

    fn passes(&self, node: Match, step: &Step) -> bool {
        let kind = match node {
            Match::Attribute(..) => None,
            Match::Node(id) => Some(self.document.kind(id)),
        };
        let is_named = matches!(kind, None | Some(Kind::Element { .. }));
        match &step.test {
            Test::Node => true,
            Test::Any => is_named,
            Test::Name(name) => is_named && self.name(node) == name,
            Test::Prefix(prefix) => {
                is_named && self.name(node).split_once(':').is_some_and(|(own, _)| own == prefix)
            }
            Test::Text => matches!(kind, Some(Kind::Text(_) | Kind::CData(_))),
            Test::Comment => matches!(kind, Some(Kind::Comment(_))),
            Test::Instruction => matches!(kind, Some(Kind::Instruction(_))),
        }
    }

    fn filter(&self, mut nodes: Vec<Match>, predicates: &[Expression]) -> Result<Vec<Match>, EvalError> {
        for predicate in predicates {
            let size = nodes.len();
            let mut kept = Vec::new();
            for (index, &node) in nodes.iter().enumerate() {
                let position = index + 1;
                let keeps = match self.value(predicate, Context { node, position, size })? {
                    Value::Number(number) => number == position as f64,
                    value => is_true(&value),
                };
                if keeps {
                    kept.push(node);
                }
            }
            nodes = kept;
        }
        Ok(nodes)
    }

    fn binary(
        &self,
        operator: Operator,
        left: &Expression,
        right: &Expression,
        context: Context,
    ) -> Result<Value, EvalError> {
        let left = self.value(left, context)?;
        match operator {
            Operator::Or if is_true(&left) => return Ok(Value::Bool(true)),
            Operator::And if !is_true(&left) => return Ok(Value::Bool(false)),
            _ => {}
        }
        let right = self.value(right, context)?;
        let numbers = || (self.number(&left), self.number(&right));
        Ok(match operator {
            Operator::Or | Operator::And => Value::Bool(is_true(&right)),
            Operator::Plus => Value::Number(numbers().0 + numbers().1),
            Operator::Minus => Value::Number(numbers().0 - numbers().1),
            Operator::Multiply => Value::Number(numbers().0 * numbers().1),
            Operator::Divide => Value::Number(numbers().0 / numbers().1),
            Operator::Modulo => Value::Number(numbers().0 % numbers().1),
            Operator::Union => match (left, right) {
                (Value::Nodes(mut nodes), Value::Nodes(more)) => {
                    nodes.extend(more);
                    in_order(&mut nodes);
                    Value::Nodes(nodes)
                }
                _ => Value::Nodes(Vec::new()),
            },
            comparison => Value::Bool(self.compare(comparison, &left, &right)?),
        })
    }

    /// A set of nodes compares as true if one of its nodes does.
    fn compare(&self, operator: Operator, left: &Value, right: &Value) -> Result<bool, EvalError> {
        match (left, right) {
            (Value::Nodes(nodes), other) if !matches!(other, Value::Bool(_)) => {
                self.visit(nodes.len())?;
                for &node in nodes {
                    if self.compare(operator, &Value::Text(self.text_of(node)), other)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            (other, Value::Nodes(nodes)) if !matches!(other, Value::Bool(_)) => {
                self.visit(nodes.len())?;
                Ok(nodes
                    .iter()
                    .any(|&node| self.compare_plain(operator, other, &Value::Text(self.text_of(node)))))
            }
            (left, right) => Ok(self.compare_plain(operator, left, right)),
        }
    }

    fn compare_plain(&self, operator: Operator, left: &Value, right: &Value) -> bool {
        if matches!(operator, Operator::Equal | Operator::NotEqual) {
            let equal = match (left, right) {
                (Value::Bool(_), _) | (_, Value::Bool(_)) => is_true(left) == is_true(right),
                (Value::Number(_), _) | (_, Value::Number(_)) => self.number(left) == self.number(right),
                _ => self.text(left) == self.text(right),
            };
            return equal == (operator == Operator::Equal);
        }
        let (left, right) = (self.number(left), self.number(right));
        match operator {
            Operator::Less => left < right,
            Operator::LessOrEqual => left <= right,
            Operator::Greater => left > right,
            _ => left >= right,
        }
    }

    fn call(
        &self,
        function: Function,
        arguments: &[Expression],
        context: Context,
    ) -> Result<Value, EvalError> {
        let own = || Value::Nodes(vec![context.node]);
        let values =
            arguments.iter().map(|argument| self.value(argument, context)).collect::<Result<Vec<_>, _>>()?;
        // Functions that may go without an argument take the context node.
        let first = || values.first().cloned().unwrap_or_else(own);
        let text = |index: usize| values.get(index).map_or_else(String::new, |value| self.text(value));
        let number = |index: usize| values.get(index).map_or(f64::NAN, |value| self.number(value));
        let name_of = || match first() {
            Value::Nodes(nodes) => nodes.first().map_or("", |&node| self.name(node)).to_owned(),
            _ => String::new(),
        };
        Ok(match function {
            Function::True => Value::Bool(true),
            Function::False => Value::Bool(false),
            Function::Not => Value::Bool(!is_true(&first())),
            Function::Boolean => Value::Bool(is_true(&first())),
            Function::Position => Value::Number(context.position as f64),
            Function::Last => Value::Number(context.size as f64),
            Function::Count => {
                Value::Number(if let Value::Nodes(nodes) = first() { nodes.len() as f64 } else { 0.0 })
            }
            Function::Sum => Value::Number(match first() {
                Value::Nodes(nodes) => nodes.iter().map(|&node| to_number(&self.text_of(node))).sum(),
                _ => f64::NAN,
            }),
            Function::Name => Value::Text(name_of()),
            Function::LocalName => Value::Text(local_name(&name_of()).to_owned()),
            Function::String => Value::Text(self.text(&first())),
            Function::Number => Value::Number(self.number(&first())),
            Function::Floor => Value::Number(number(0).floor()),
            Function::Ceiling => Value::Number(number(0).ceil()),
            Function::Round => Value::Number((number(0) + 0.5).floor()),
            Function::Concat => Value::Text(values.iter().map(|value| self.text(value)).collect()),
            Function::Contains => Value::Bool(text(0).contains(&text(1))),
            Function::StartsWith => Value::Bool(text(0).starts_with(&text(1))),
            Function::EndsWith => Value::Bool(text(0).ends_with(&text(1))),
            Function::LowerCase => Value::Text(text(0).to_lowercase()),
            Function::NormalizeSpace => {
                Value::Text(self.text(&first()).split_whitespace().collect::<Vec<_>>().join(" "))
            }
            Function::StringLength => Value::Number(self.text(&first()).chars().count() as f64),
            Function::Substring => {
                Value::Text(substring(&text(0), number(1), values.get(2).map(|_| number(2))))
            }
            Function::SubstringBefore => Value::Text(
                text(0).split_once(&text(1)).map_or_else(String::new, |(before, _)| before.to_owned()),
            ),
            Function::SubstringAfter => Value::Text(
                text(0).split_once(&text(1)).map_or_else(String::new, |(_, after)| after.to_owned()),
            ),
            Function::Translate => {
                let (from, to): (Vec<char>, Vec<char>) =
                    (text(1).chars().collect(), text(2).chars().collect());
                let translate = |character| match from.iter().position(|&candidate| candidate == character) {
                    Some(index) => to.get(index).copied(),
                    None => Some(character),
                };
                Value::Text(text(0).chars().filter_map(translate).collect())
            }
        })
    }

    fn name(&self, node: Match) -> &str {
        let (Match::Node(id) | Match::Attribute(id, _)) = node;
        match (node, self.document.kind(id)) {
            (Match::Node(_), Kind::Element { name, .. }) => name,
            (Match::Attribute(_, index), Kind::Element { attributes, .. }) => {
                attributes.get(index).map_or("", |(name, _)| name)
            }
            _ => "",
        }
    }

    fn text_of(&self, node: Match) -> String {
        match node {
            Match::Node(id) => match self.document.kind(id) {
                Kind::Comment(text) => text.clone(),
                _ => self.document.text(id),
            },
            Match::Attribute(id, index) => match self.document.kind(id) {
                Kind::Element { attributes, .. } => {
                    attributes.get(index).map_or_else(String::new, |(_, value)| value.clone())
                }
                _ => String::new(),
            },
        }
    }

    fn text(&self, value: &Value) -> String {
        match value {
            Value::Nodes(nodes) => nodes.first().map_or_else(String::new, |&node| self.text_of(node)),
            Value::Bool(value) => value.to_string(),
            Value::Number(number) if number.is_infinite() => {
                if *number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
            }
            Value::Number(number) => number.to_string(),
            Value::Text(text) => text.clone(),
        }
    }

    fn number(&self, value: &Value) -> f64 {
        match value {
            Value::Number(number) => *number,
            Value::Bool(value) => f64::from(u8::from(*value)),
            other => to_number(&self.text(other)),
        }
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Nodes(nodes) => !nodes.is_empty(),
        Value::Bool(value) => *value,
        Value::Number(number) => *number != 0.0 && !number.is_nan(),
        Value::Text(text) => !text.is_empty(),
    }
}

/// XPath's numbers have neither exponents nor a plus sign.
fn to_number(text: &str) -> f64 {
    let text = text.trim();
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'));
    text.parse().ok().filter(|_| plain).unwrap_or(f64::NAN)
}

/// Characters from a position on, counted from 1; positions and lengths are rounded.
fn substring(text: &str, start: f64, length: Option<f64>) -> String {
    let round = |number: f64| (number + 0.5).floor();
    let start = round(start);
    let end = length.map_or(f64::INFINITY, |length| start + round(length));
    let inside = |&(index, _): &(usize, char)| {
        let position = (index + 1) as f64;
        position >= start && position < end
    };
    text.chars().enumerate().filter(inside).map(|(_, character)| character).collect()
}

/// Brings nodes into the order of the document, each once.
fn in_order(nodes: &mut Vec<Match>) {
    nodes.sort_unstable_by_key(|node| node.order());
    nodes.dedup();
}
