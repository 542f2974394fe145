/// What a parameter takes, and what becomes of it.
///
/// A literal that does not fit is an error of the statement; another value that does not fit is an error
/// for the record. Nothing is coerced except by the kinds that say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any value.
    Any,
    /// Text.
    String,
    /// A whole number.
    Int,
    /// A floating-point number.
    Double,
    /// A boolean.
    Bool,
    /// An instant.
    Time,
    /// A length of time.
    Duration,
    /// A map.
    Map,
    /// A list.
    List,
    /// Text, or what has a form as text: numbers, booleans, times; bytes as hexadecimal digits; maps and
    /// lists as JSON. `nil` stays `nil`.
    StringLike,
    /// A number, boolean, or text that is a number. `nil` stays `nil`.
    DoubleLike,
    /// A number, boolean, or text that is a whole number; other text becomes `nil`. `nil` stays `nil`.
    IntLike,
    /// A boolean, number, or text that is a boolean. `nil` stays `nil`.
    BoolLike,
    /// Bytes, text, a number or boolean as bytes; `nil` is no bytes.
    BytesLike,
    /// A path, to be set.
    Path,
    /// A path that holds a map, to be changed.
    MapPath,
    /// A path that holds a list, to be changed.
    ListPath,
    /// Text that stands in the statement.
    LiteralString,
    /// A whole number that stands in the statement, without sign.
    LiteralInt,
    /// A floating-point number that stands in the statement, without sign.
    LiteralDouble,
    /// `true` or `false` that stands in the statement.
    LiteralBool,
    /// A list that stands in the statement, of expressions of this kind.
    ListOf(&'static Kind),
    /// The name of a converter.
    Function,
}

impl Kind {
    /// What it takes, as messages say it.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Kind::Any => "a value",
            Kind::String => "a string",
            Kind::Int => "an int",
            Kind::Double => "a float",
            Kind::Bool => "a bool",
            Kind::Time => "a time",
            Kind::Duration => "a duration",
            Kind::Map => "a map",
            Kind::List => "a list",
            Kind::StringLike => "a value that has a form as text",
            Kind::DoubleLike => "a number, a bool, or a string that is a number",
            Kind::IntLike => "a number, a bool, or a string that is a whole number",
            Kind::BoolLike => "a bool, a number, or a string that is a bool",
            Kind::BytesLike => "bytes, a string, a number or a bool",
            Kind::Path => "a path",
            Kind::MapPath => "a path that holds a map",
            Kind::ListPath => "a path that holds a list",
            Kind::LiteralString => "a string in quotes",
            Kind::LiteralInt => "a whole number without sign",
            Kind::LiteralDouble => "a number with a decimal point and without sign",
            Kind::LiteralBool => "true or false",
            Kind::ListOf(_) => "a list in brackets",
            Kind::Function => "the name of a converter",
        }
    }
}

/// What stands for an argument that is not given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Default {
    /// Nothing: `Call::has` is false.
    Absent,
    /// This text.
    String(&'static str),
    /// This whole number.
    Int(i64),
    /// This boolean.
    Bool(bool),
}

/// A parameter of a function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    name: &'static str,
    kind: Kind,
    default: Option<Default>,
}

impl Parameter {
    /// A parameter that must be given. The name is in snake case.
    pub const fn new(name: &'static str, kind: Kind) -> Parameter {
        Parameter { name, kind, default: None }
    }

    /// The same, which need not be given.
    pub const fn optional(self) -> Parameter {
        self.or(Default::Absent)
    }

    /// The same, which need not be given, and what stands for it then.
    pub const fn or(mut self, default: Default) -> Parameter {
        self.default = Some(default);
        self
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What it takes.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What stands for it if it is not given.
    pub const fn default(&self) -> Option<Default> {
        self.default
    }

    /// Whether it must be given.
    pub const fn is_required(&self) -> bool {
        self.default.is_none()
    }
}
