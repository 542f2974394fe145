//! What a statement is compiled to.

use std::collections::HashSet;

use crate::editors::Editor;
use crate::function::{Prepared, PreparedEditor};
use crate::native::Converter;
use crate::path::{Field, Target};
use crate::run::Datum;
use crate::syntax::ast::{Comparator, Operator};
use crate::{Call, Edit, EvalError, Kind, Value};

/// An expression.
pub(crate) enum Expr {
    Literal(Literal),
    /// An attribute by its literal key: read through the table of the level, never failing.
    Attribute {
        depth: u8,
        index: u16,
    },
    /// A field of a record; never failing.
    Field {
        depth: u8,
        field: Field,
    },
    Path(Box<Path>),
    Call(Box<CallNode>),
    /// Keys into what a converter gives.
    Index(Box<Expr>, Vec<Expr>),
    List(Vec<Expr>),
    Map(Vec<(Box<[u8]>, Expr)>),
    Math(Box<(Expr, Operator, Expr)>),
    Negative(Box<Expr>),
}

impl Expr {
    /// The value, if it stands in the statement.
    pub(crate) fn literal(&self) -> Option<Datum<'_>> {
        match self {
            Expr::Literal(literal) => Some(literal.datum()),
            _ => None,
        }
    }
}

/// A value that stands in the statement: the body of an `AnyValue`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Literal(pub(crate) Box<[u8]>);

impl Literal {
    pub(crate) fn of(datum: &Datum<'_>) -> Option<Literal> {
        let mut body = Vec::new();
        datum.write(&mut body).ok()?;
        Some(Literal(body.into()))
    }

    pub(crate) fn datum(&self) -> Datum<'_> {
        Datum::read(&self.0)
    }
}

/// A path that is more than an attribute with a literal key.
pub(crate) struct Path {
    pub(crate) depth: u8,
    pub(crate) target: Target,
    pub(crate) keys: Vec<Expr>,
}

/// A converter with its arguments.
pub(crate) struct CallNode {
    pub(crate) name: &'static str,
    pub(crate) callee: Callee,
    pub(crate) arguments: Vec<ArgumentNode>,
}

pub(crate) enum Callee {
    Native(Converter),
    Converter(for<'c, 'a> fn(&Call<'c, 'a>) -> Result<Value<'a>, EvalError>),
    Prepared(Prepared),
}

/// An argument, and what it is coerced to.
pub(crate) enum ArgumentNode {
    Absent,
    Value(Expr, Kind),
    List(Vec<Expr>, Kind),
}

/// An editor with its arguments.
pub(crate) enum EditNode {
    /// `set`, by far the most frequent.
    Set {
        target: Path,
        value: Expr,
    },
    /// The same, of an attribute to a literal.
    SetAttribute {
        depth: u8,
        index: u16,
        key: Box<[u8]>,
        value: Literal,
    },
    DeleteKey {
        depth: u8,
        index: u16,
        key: Box<[u8]>,
    },
    Native(Box<NativeEdit>),
    Editor {
        name: &'static str,
        body: for<'c, 'a> fn(&mut Edit<'c, 'a>) -> Result<(), EvalError>,
        arguments: Vec<ArgumentNode>,
    },
    Prepared {
        name: &'static str,
        body: PreparedEditor,
        arguments: Vec<ArgumentNode>,
    },
    /// Does nothing, as `route()`.
    Nothing,
}

/// An editor that the evaluator knows.
pub(crate) struct NativeEdit {
    pub(crate) name: &'static str,
    pub(crate) target: Path,
    pub(crate) editor: Editor,
}

/// A condition.
pub(crate) enum Condition {
    Constant(bool),
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Compare(Box<(Expr, Comparator, Expr)>),
    /// Both sides are evaluated, and they are never equal.
    NeverEqual(Box<(Expr, Comparator, Expr)>),
    /// A converter, which must give a boolean.
    Converter(Expr),
    /// An attribute is equal to a text, or is not.
    AttributeIs {
        depth: u8,
        index: u16,
        text: Box<[u8]>,
        is_equal: bool,
    },
    /// An attribute is one of these texts.
    AttributeIn {
        depth: u8,
        index: u16,
        texts: HashSet<Box<[u8]>, KeyHasher>,
    },
    /// An attribute is there and not empty, or is not.
    AttributeIsNil {
        depth: u8,
        index: u16,
        is_nil: bool,
    },
    /// A field with a number compared with a number.
    IntField {
        depth: u8,
        number: u8,
        op: Comparator,
        value: i64,
    },
    /// A field with text, equal to a text or not.
    TextField {
        depth: u8,
        number: u8,
        text: Box<[u8]>,
        is_equal: bool,
    },
    /// Reads no more than the levels up to `depth`: evaluated once for each record of that level.
    Once {
        slot: u16,
        inner: Box<Condition>,
    },
}

/// FNV-1a: quick for short keys that the configuration chose.
#[derive(Clone, Copy, Default)]
pub(crate) struct KeyHasher;

impl std::hash::BuildHasher for KeyHasher {
    type Hasher = Fnv;

    fn build_hasher(&self) -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

/// See [`KeyHasher`].
pub(crate) struct Fnv(u64);

impl std::hash::Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// A statement.
pub(crate) struct Statement {
    pub(crate) condition: Condition,
    pub(crate) edit: EditNode,
    pub(crate) source: Box<str>,
    /// Whether it does more than change the record of its context: what was hoisted holds no more then.
    pub(crate) writes: Levels,
}

/// A set of levels, by depth; and of what lies beside them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Levels(u8);

impl Levels {
    pub(crate) const NONE: Levels = Levels(0);
    /// Everything: records may come and go.
    pub(crate) const ALL: Levels = Levels(u8::MAX);
    const CACHE: u8 = 6;

    pub(crate) fn of(depth: usize) -> Levels {
        Levels(1 << depth)
    }

    pub(crate) fn cache() -> Levels {
        Levels(1 << Levels::CACHE)
    }

    pub(crate) fn has_cache(self) -> bool {
        self.intersects(Levels::cache())
    }

    pub(crate) fn intersects(self, other: Levels) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn contains(self, depth: usize) -> bool {
        self.intersects(Levels::of(depth))
    }

    /// The deepest record in the set; `None` if there is none, and for what is not tied to a record.
    pub(crate) fn deepest(self) -> Option<usize> {
        let records = self.0 & ((1 << Levels::CACHE) - 1);
        (records != 0).then(|| 7 - records.leading_zeros() as usize)
    }
}

impl std::ops::BitOr for Levels {
    type Output = Levels;

    fn bitor(self, other: Levels) -> Levels {
        Levels(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for Levels {
    fn bitor_assign(&mut self, other: Levels) {
        self.0 |= other.0;
    }
}
