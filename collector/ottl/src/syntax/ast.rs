//! What the parser makes of a statement.

use std::ops::Range;

/// The bytes of the source that a part was written with.
pub(crate) type Place = Range<usize>;

/// An editor, and when it runs.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) editor: Call,
    pub(crate) condition: Option<Condition>,
}

/// A function with its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) name_place: Place,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) place: Place,
}

#[derive(Clone, Debug)]
pub(crate) struct Argument {
    pub(crate) name: Option<(String, Place)>,
    pub(crate) value: ArgumentValue,
}

#[derive(Clone, Debug)]
pub(crate) enum ArgumentValue {
    Value(Expr),
    /// The bare name of a converter, in mixed case. In capitals it reads like an enumeration's symbol.
    Function(String, Place),
}

impl ArgumentValue {
    pub(crate) fn place(&self) -> &Place {
        match self {
            ArgumentValue::Value(value) => &value.place,
            ArgumentValue::Function(_, place) => place,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Or(Vec<Condition>),
    And(Vec<Condition>),
    Not(Box<Condition>),
    Literal(bool),
    Converter(Converter),
    Comparison(Box<Comparison>),
}

#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    pub(crate) left: Expr,
    pub(crate) op: Comparator,
    pub(crate) right: Expr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparator {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) kind: ExprKind,
    pub(crate) place: Place,
}

#[derive(Clone, Debug)]
pub(crate) enum ExprKind {
    Nil,
    Bool(bool),
    Int(i64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
    Enum(String),
    List(Vec<Expr>),
    /// Keys are unique: the last of several counts.
    Map(Vec<(String, Expr)>),
    Path(Path),
    Converter(Converter),
    Math(Box<Expr>, Operator, Box<Expr>),
    /// A sign before an expression; `true` is minus.
    Sign(bool, Box<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Sub,
    Mul,
    Div,
}

/// A converter's call, and keys into what it gives.
#[derive(Clone, Debug)]
pub(crate) struct Converter {
    pub(crate) call: Call,
    pub(crate) keys: Vec<Key>,
}

#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) segments: Vec<Segment>,
}

#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) name: String,
    pub(crate) keys: Vec<Key>,
    pub(crate) place: Place,
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) value: Expr,
}
