use std::fmt;

/// Why a request in OTLP/JSON was refused, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}byte {offset}: {reason}", Within(.path))]
pub struct JsonError {
    /// Where in the text: the first byte of the value or name that is wrong, or its end if it is cut off.
    pub offset: usize,
    /// The field that is wrong, for example `resourceSpans[0].scopeSpans[0].spans[3].kind`; empty for the
    /// request itself.
    pub path: String,
    /// What is wrong.
    pub reason: JsonReason,
}

struct Within<'a>(&'a str);

impl fmt::Display for Within<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, "{} at ", self.0)
    }
}

/// What is wrong with a request in OTLP/JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonReason {
    /// The text ends within the request.
    #[error("the text ends before the request does")]
    Truncated,
    /// Something else stands where a value of some kind should.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: Found,
    },
    /// A number that JSON does not allow.
    #[error("not a number as JSON writes it")]
    Number,
    /// Text that should hold a number, and does not.
    #[error("text is not a number")]
    NumberText,
    /// A number with a fraction where an integer should be.
    #[error("not an integer")]
    NotInteger,
    /// A number beyond the range of its field.
    #[error("number beyond the range of {0}")]
    Range(&'static str),
    /// A field is there a second time.
    #[error("field is there twice")]
    Duplicate,
    /// Another member of the same oneof is there already.
    #[error("only one such field may be set, and another is set already")]
    Oneof,
    /// Too many messages, or values that nobody knows, within each other.
    #[error("nested deeper than {} levels", crate::MAX_DEPTH)]
    TooDeep,
    /// A byte below 0x20 within text.
    #[error("control character within text; it has to be escaped")]
    Control,
    /// A backslash before something that cannot be escaped.
    #[error("invalid escape sequence")]
    Escape,
    /// Half of a surrogate pair, where that is refused.
    #[error("escaped half of a surrogate pair")]
    Surrogate,
    /// An identifier of the wrong length.
    #[error("length mismatch: expected {expected} hexadecimal digits, found {found} characters{}", hint(*.base64))]
    IdLength {
        /// How many digits there should be.
        expected: usize,
        /// How many characters there are.
        found: usize,
        /// Whether it looks like base64.
        base64: bool,
    },
    /// An identifier with something else than hexadecimal digits.
    #[error("not hexadecimal digits")]
    Hex,
    /// Bytes that are not in base64.
    #[error("not base64")]
    Base64,
    /// A name that the enumeration does not have.
    #[error("unknown string value: no name of this enumeration, which start with {0}")]
    EnumName(&'static str),
    /// Text that is not UTF-8, where that is refused.
    #[error("text is not UTF-8")]
    Utf8,
    /// Something follows the request.
    #[error("something follows the request")]
    Trailing,
}

fn hint(base64: bool) -> &'static str {
    if base64 { "; identifiers are hexadecimal in OTLP/JSON, not base64" } else { "" }
}

/// What stands where something else was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A string.
    String,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// `null`.
    Null,
    /// An object.
    Object,
    /// An array.
    Array,
    /// A byte with which no value starts.
    Byte(u8),
}

impl Found {
    /// What starts with a byte.
    pub(super) fn at(byte: u8) -> Found {
        match byte {
            b'"' => Found::String,
            b'-' | b'0'..=b'9' => Found::Number,
            b't' | b'f' => Found::Boolean,
            b'n' => Found::Null,
            b'{' => Found::Object,
            b'[' => Found::Array,
            _ => Found::Byte(byte),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::String => f.write_str("a string"),
            Found::Number => f.write_str("a number"),
            Found::Boolean => f.write_str("a boolean"),
            Found::Null => f.write_str("null"),
            Found::Object => f.write_str("an object"),
            Found::Array => f.write_str("an array"),
            Found::Byte(byte) if byte.is_ascii_graphic() => write!(f, "`{}`", char::from(*byte)),
            Found::Byte(byte) => write!(f, "byte {byte:#04x}"),
        }
    }
}

impl JsonError {
    pub(super) fn not_utf8(json: &[u8]) -> JsonError {
        let offset = std::str::from_utf8(json).map_or_else(|error| error.valid_up_to(), str::len);
        JsonError { offset, path: String::new(), reason: JsonReason::Utf8 }
    }
}
