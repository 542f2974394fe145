use crate::wire::Fields;

use super::{Body, Many, Text, View, view};

view! {
    /// An attribute, or an entry of a map.
    KeyValue {
        /// The key.
        1 key: Text<'a>,
        /// The value; [`AnyValue::Empty`] if there is none.
        2 value: Body<'a> as AnyValue<'a>,
        /// The index of the key in the dictionary of a profile; of no meaning in the three signals.
        3 key_strindex: i32,
    }
}

/// Attributes, or the entries of a map.
pub type Attributes<'a> = Many<'a, KeyValue<'a>>;

impl<'a> Many<'a, KeyValue<'a>> {
    /// The value of the first attribute with this key.
    pub fn get(&self, key: &str) -> Option<AnyValue<'a>> {
        self.with_key(key).next().map(|attribute| attribute.value())
    }

    /// The attributes with this key, of which there should be one at most.
    pub fn with_key<'k>(&self, key: &'k str) -> impl Iterator<Item = KeyValue<'a>> + use<'a, 'k> {
        self.bodies().filter(move |body| has_key(body, key.as_bytes())).map(KeyValue::new)
    }
}

/// Whether an attribute has this key.
#[inline(always)]
fn has_key(attribute: &[u8], key: &[u8]) -> bool {
    key_of(attribute) == key
}

/// The key of the attribute whose body this is: what [`KeyValue::key`] gives, without a look at the rest where
/// the attribute is written as nearly all are.
#[inline(always)]
pub fn key_of(attribute: &[u8]) -> &[u8] {
    match key_and_value(attribute) {
        Some(key) => key,
        None => KeyValue::new(attribute).key().as_bytes(),
    }
}

/// The key of an attribute that is written as nearly all are: a short key, then a short value, and nothing
/// else that might change the key.
#[inline(always)]
fn key_and_value(attribute: &[u8]) -> Option<&[u8]> {
    let [0x0a, key_len @ ..0x80, rest @ ..] = attribute else { return None };
    let (key, rest) = rest.split_at_checked(usize::from(*key_len))?;
    let [0x12, value_len @ ..0x80, value @ ..] = rest else { return None };
    (value.len() == usize::from(*value_len)).then_some(key)
}

impl<'a> KeyValue<'a> {
    /// The bytes of the value, if there is one.
    pub fn value_raw(&self) -> Option<&'a [u8]> {
        self.value.0
    }
}

/// The value of an attribute or the body of a log record. Arrays and maps are read when walked.
#[derive(Clone, Copy, Debug, Default)]
pub enum AnyValue<'a> {
    /// No value, which is not the same as empty text.
    #[default]
    Empty,
    /// Text.
    String(Text<'a>),
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Values in order.
    Array(Many<'a, AnyValue<'a>>),
    /// Values by key. Keys should be unique, and nothing holds senders to that.
    Map(Attributes<'a>),
    /// Bytes.
    Bytes(&'a [u8]),
    /// The index of text in the dictionary of a profile; of no meaning in the three signals.
    StringIndex(i32),
}

impl<'a> View<'a> for AnyValue<'a> {
    fn new(body: &'a [u8]) -> AnyValue<'a> {
        Fields::new(body).fold(AnyValue::Empty, |value, field| match field.number() {
            1 => AnyValue::String(Text::new(field.body)),
            2 => AnyValue::Bool(field.scalar != 0),
            3 => AnyValue::Int(field.scalar as i64),
            4 => AnyValue::Double(f64::from_bits(field.scalar)),
            5 => AnyValue::Array(Many::new(field.body, 1)),
            6 => AnyValue::Map(Many::new(field.body, 1)),
            7 => AnyValue::Bytes(field.body),
            8 => AnyValue::StringIndex(field.scalar as i32),
            _ => value,
        })
    }
}

impl<'a> From<Body<'a>> for AnyValue<'a> {
    fn from(body: Body<'a>) -> AnyValue<'a> {
        body.0.map_or(AnyValue::Empty, AnyValue::new)
    }
}

impl<'a> From<&'a str> for AnyValue<'a> {
    fn from(text: &'a str) -> AnyValue<'a> {
        AnyValue::String(Text::new(text.as_bytes()))
    }
}

impl From<i64> for AnyValue<'_> {
    fn from(value: i64) -> Self {
        AnyValue::Int(value)
    }
}

impl From<f64> for AnyValue<'_> {
    fn from(value: f64) -> Self {
        AnyValue::Double(value)
    }
}

impl From<bool> for AnyValue<'_> {
    fn from(value: bool) -> Self {
        AnyValue::Bool(value)
    }
}
