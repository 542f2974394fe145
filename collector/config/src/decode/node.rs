//! Serde's view of a [`Node`]: the typing rules.

use super::context::{Context, Note};
use super::error::{Error, Fault};
use crate::node::{Entry, Node, Value};
use crate::{block, duration, foreign, opaque};
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use std::sync::Arc;

const DURATION: &str = "a duration such as `200ms` or `1h30m`";

/// What a node stands in: decides what `null` means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The section itself.
    Root,
    /// A field with a default.
    Field,
    /// An entry of a map, or an item of a list.
    Element,
}

#[derive(Clone, Copy)]
pub(super) struct NodeDeserializer<'a> {
    node: &'a Node,
    context: &'a Context<'a>,
    place: Place,
    /// Keys that have been read already: the one that turns a block on or off, or those of somebody else's settings.
    without: [Option<&'a str>; 2],
}

impl<'a> NodeDeserializer<'a> {
    pub(super) fn new(node: &'a Node, context: &'a Context<'a>, place: Place) -> NodeDeserializer<'a> {
        NodeDeserializer { node, context, place, without: [None; 2] }
    }

    fn value(&self) -> Result<&'a Value, Error> {
        match self.node.plain() {
            Value::Unresolved => Err(Fault::Unresolved.into()),
            value => Ok(value),
        }
    }

    /// Null is the zero of a scalar, whatever its default: so it is in otelcol, and seldom meant.
    fn null_is_zero(&self) {
        let expanded = matches!(self.node.value(), Value::Expanded(_));
        if !expanded && self.place == Place::Field {
            let warning = "nothing is written here: that is zero or empty, whatever the default".to_owned();
            self.context.note(Note::Warning(warning));
        }
    }

    /// Null keeps the default of a list, a map, a section or a word.
    fn null_is_empty(&self) -> Result<(), Error> {
        if self.place == Place::Field { Err(Fault::KeepDefault.into()) } else { Ok(()) }
    }

    fn mismatch(&self, expected: &str) -> Error {
        self.context.mismatch(expected, self.node.describe(), None)
    }

    /// A whole number between two bounds. A fraction is cut off, as otelcol does, with a warning.
    fn whole_number(&self, least: i128, most: i128, type_name: &str) -> Result<i128, Error> {
        let number = match self.value()? {
            Value::Int(value) => i128::from(*value),
            Value::Uint(value) => i128::from(*value),
            Value::Float(value) if value.is_finite() => {
                if value.fract() != 0.0 {
                    let warning = format!("must be a whole number: the fraction of {value} is cut off");
                    self.context.note(Note::Warning(warning));
                }
                value.trunc() as i128
            }
            Value::Null => {
                self.null_is_zero();
                0
            }
            _ => return Err(self.mismatch(type_name)),
        };
        if (least..=most).contains(&number) { Ok(number) } else { Err(self.mismatch(type_name)) }
    }

    /// The text for a field of text: what a substitution retrieved is taken as it came.
    fn text(&self, expected: &str) -> Result<&'a str, Error> {
        match self.node.value() {
            Value::Unresolved => Err(Fault::Unresolved.into()),
            Value::String(text) => Ok(text),
            Value::Expanded(expanded) => {
                self.context.note(Note::Text);
                Ok(&expanded.text)
            }
            Value::Null => {
                self.null_is_zero();
                Ok("")
            }
            value => Err(self.context.mismatch(expected, self.node.describe(), quoted(value))),
        }
    }

    fn map(&self, entries: &'a [Entry], children: Place) -> NodeMap<'a> {
        NodeMap {
            entries: entries.iter(),
            current: None,
            context: self.context,
            depth: self.context.depth(),
            children,
            without: self.without,
        }
    }

    fn list<'v, V: Visitor<'v>>(&self, items: &[Node], visitor: V) -> Result<V::Value, Error> {
        let depth = self.context.depth();
        visitor.visit_seq(NodeList { items: items.iter().enumerate(), context: self.context, depth })
    }

    /// A string stands for the list of its parts between commas.
    fn split<'v, V: Visitor<'v>>(&self, text: &str, visitor: V) -> Result<V::Value, Error> {
        let location = self.node.location();
        let part = |part: &str| Node::new(Value::String(part.into()), location.clone());
        let items: Vec<Node> = if text.is_empty() { Vec::new() } else { text.split(',').map(part).collect() };
        self.list(&items, visitor)
    }

    /// Hands over the pair (enabled, settings).
    fn block<'v, V: Visitor<'v>>(self, null_is_on: bool, visitor: V) -> Result<V::Value, Error> {
        self.context.is_block();
        // What a substitution left empty is nothing, as in otelcol, and no key that was written by itself.
        let is_on = null_is_on && !matches!(self.node.value(), Value::Expanded(_));
        match self.value()? {
            Value::Null if !is_on => self.null_is_empty()?,
            Value::Null | Value::Map(_) => {}
            _ => return Err(self.mismatch("a map")),
        }
        // A null block is one without keys, whatever it stands in.
        visitor.visit_seq(Block { whole: NodeDeserializer { place: Place::Element, ..self }, next: 0 })
    }
}

/// How a value would be written as text.
fn quoted(value: &Value) -> Option<String> {
    let text = match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        _ => return None,
    };
    Some(format!("put it in quotes: \"{text}\""))
}

macro_rules! whole_numbers {
    ($($method:ident $type:ident $visit:ident),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let number = self.whole_number($type::MIN.into(), $type::MAX.into(), stringify!($type))?;
            visitor.$visit($type::try_from(number).map_err(Error::custom)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for NodeDeserializer<'_> {
    type Error = Error;

    whole_numbers!(
        deserialize_i8 i8 visit_i8, deserialize_i16 i16 visit_i16, deserialize_i32 i32 visit_i32,
        deserialize_i64 i64 visit_i64, deserialize_u8 u8 visit_u8, deserialize_u16 u16 visit_u16,
        deserialize_u32 u32 visit_u32, deserialize_u64 u64 visit_u64
    );

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value()? {
            Value::Null | Value::Expanded(_) | Value::Unresolved => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => visitor.visit_i64(*value),
            Value::Uint(value) => visitor.visit_u64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::String(text) => visitor.visit_str(text),
            Value::List(items) => self.list(items, visitor),
            Value::Map(map) => visitor.visit_map(self.map(map.entries(), Place::Element)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value()? {
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Null => {
                self.null_is_zero();
                visitor.visit_bool(false)
            }
            _ => Err(self.mismatch("true or false")),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value()? {
            Value::Int(value) => visitor.visit_f64(*value as f64),
            Value::Uint(value) => visitor.visit_f64(*value as f64),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Null => {
                self.null_is_zero();
                visitor.visit_f64(0.0)
            }
            _ => Err(self.mismatch("a number")),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.text("one character")?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.text("a string")?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bytes(self.text("a string")?.as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value()? {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value()? {
            Value::Null => visitor.visit_unit(),
            _ => Err(self.mismatch("nothing")),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match name {
            duration::NAME => match self.value()? {
                Value::Int(nanos) => {
                    let unit = crate::GoDuration::from_nanos(*nanos);
                    let warning =
                        format!("a duration without a unit is taken as nanoseconds: this is {unit}");
                    self.context.note(Note::Warning(warning));
                    visitor.visit_i64(*nanos)
                }
                Value::Float(_) => {
                    let nanos = self.whole_number(i64::MIN.into(), i64::MAX.into(), DURATION)?;
                    let warning = "a duration without a unit is taken as nanoseconds".to_owned();
                    self.context.note(Note::Warning(warning));
                    visitor.visit_i64(i64::try_from(nanos).map_err(Error::custom)?)
                }
                Value::Null => {
                    self.null_is_zero();
                    visitor.visit_i64(0)
                }
                Value::String(text) => visitor.visit_str(text),
                _ => Err(self.mismatch(DURATION)),
            },
            opaque::NAME => {
                self.context.is_secret();
                self.deserialize_str(visitor).map_err(|error| error.without_help())
            }
            opaque::MAP_NAME => match self.value()? {
                Value::Map(map) => visitor.visit_map(self.map(map.entries(), Place::Element)),
                Value::List(items) => self.list(items, visitor),
                Value::Null => {
                    self.null_is_empty()?;
                    visitor.visit_map(self.map(&[], Place::Element))
                }
                _ => {
                    self.context.is_secret();
                    Err(self.mismatch("a map, or a list of {name, value}"))
                }
            },
            block::NAME => self.block(false, visitor),
            block::PRESENT_NAME => self.block(true, visitor),
            foreign::SETTINGS_NAME => {
                self.context.is_secret();
                visitor.visit_newtype_struct(self)
            }
            foreign::NAME => visitor.visit_seq(Views { whole: self, next: 0 }),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value()? {
            Value::List(items) => self.list(items, visitor),
            Value::String(text) => self.split(text, visitor),
            Value::Null => {
                self.null_is_empty()?;
                self.list(&[], visitor)
            }
            _ => Err(self.mismatch("a list")),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value()? {
            Value::Map(map) => visitor.visit_map(self.map(map.entries(), Place::Element)),
            Value::Null => {
                self.null_is_empty()?;
                visitor.visit_map(self.map(&[], Place::Element))
            }
            _ => Err(self.mismatch("a map")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.context.knows(fields);
        match self.value()? {
            Value::Map(map) => visitor.visit_map(self.map(map.entries(), Place::Field)),
            Value::Null => {
                self.null_is_empty()?;
                visitor.visit_map(self.map(&[], Place::Field))
            }
            _ => Err(self.mismatch("a map")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let chosen = match self.node.as_map().map(|map| map.entries()) {
            Some([entry]) => {
                Chosen { variant: &entry.key, content: Some(&entry.value), context: self.context }
            }
            _ if self.node.is_null() && self.place == Place::Field => return Err(Fault::KeepDefault.into()),
            _ => Chosen { variant: self.text("a string")?, content: None, context: self.context },
        };
        visitor.visit_enum(chosen)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

struct NodeMap<'a> {
    entries: std::slice::Iter<'a, Entry>,
    current: Option<&'a Entry>,
    context: &'a Context<'a>,
    depth: usize,
    children: Place,
    without: [Option<&'a str>; 2],
}

impl<'de> MapAccess<'de> for NodeMap<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        for entry in self.entries.by_ref() {
            let read_already = self.without.contains(&Some(&*entry.key));
            if read_already || self.context.leaves_out(self.depth, &entry.key) {
                continue;
            }
            self.current = Some(entry);
            let key: StrDeserializer<'_, Error> = (&*entry.key).into_deserializer();
            return self.context.below(self.depth, &entry.key, || seed.deserialize(key)).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some(entry) = self.current.take() else {
            return Err(Error::custom("a value was asked for before its key"));
        };
        let value = NodeDeserializer::new(&entry.value, self.context, self.children);
        self.context.below(self.depth, &entry.key, || seed.deserialize(value))
    }
}

struct NodeList<'a, 'c> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
    context: &'c Context<'c>,
    depth: usize,
}

impl<'de> SeqAccess<'de> for NodeList<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        for (index, item) in self.items.by_ref() {
            let key = index.to_string();
            if self.context.leaves_out(self.depth, &key) {
                continue;
            }
            return self
                .context
                .below(self.depth, &key, || {
                    seed.deserialize(NodeDeserializer::new(item, self.context, Place::Element))
                })
                .map(Some);
        }
        Ok(None)
    }
}

/// A block as the pair of its `enabled` and all the rest.
struct Block<'a> {
    whole: NodeDeserializer<'a>,
    next: u8,
}

impl<'de> SeqAccess<'de> for Block<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.next += 1;
        let depth = self.whole.context.depth();
        match self.next {
            1 => {
                let map = self.whole.node.as_map();
                let enabled = map.and_then(|map| map.get(block::ENABLED));
                let Some(enabled) = enabled.filter(|_| !self.whole.context.leaves_out(depth, block::ENABLED))
                else {
                    let on: serde::de::value::BoolDeserializer<Error> = true.into_deserializer();
                    return seed.deserialize(on).map(Some);
                };
                let value = NodeDeserializer::new(enabled, self.whole.context, Place::Field);
                self.whole.context.below(depth, block::ENABLED, || seed.deserialize(value)).map(Some)
            }
            2 => seed
                .deserialize(NodeDeserializer { without: [Some(block::ENABLED), None], ..self.whole })
                .map(Some),
            _ => Ok(None),
        }
    }
}

/// A section that may have settings of somebody else's: the word that says whose, these settings, the whole section, and the
/// section without both.
struct Views<'a> {
    whole: NodeDeserializer<'a>,
    next: u8,
}

impl<'a> Views<'a> {
    /// Whose settings there are, and these, where the section has a key of that name.
    fn foreign(&self) -> Option<(&'a str, &'a Node)> {
        let map = self.whole.node.as_map()?;
        let Value::String(kind) = map.get(foreign::KIND)?.plain() else { return None };
        Some((kind, map.get(kind)?))
    }
}

impl<'de> SeqAccess<'de> for Views<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.next += 1;
        let foreign = self.foreign();
        match (self.next, foreign) {
            (1, None) => seed.deserialize(().into_deserializer()).map(Some),
            (1, Some((kind, _))) => {
                let word: StrDeserializer<'_, Error> = kind.into_deserializer();
                seed.deserialize(SomeWord(word)).map(Some)
            }
            (2, Some((kind, settings))) => {
                let (context, depth) = (self.whole.context, self.whole.context.depth());
                let value = NodeDeserializer::new(settings, context, Place::Element);
                context.below(depth, kind, || seed.deserialize(value)).map(Some)
            }
            (2, None) => seed.deserialize(().into_deserializer()).map(Some),
            (3, _) => seed.deserialize(self.whole).map(Some),
            (4, Some((kind, _))) => {
                let without = [Some(foreign::KIND), Some(kind)];
                seed.deserialize(NodeDeserializer { without, ..self.whole }).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// A word for an optional one.
struct SomeWord<'a>(StrDeserializer<'a, Error>);

impl<'de> Deserializer<'de> for SomeWord<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self.0)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// An enum: a word, or a map of one word to its content.
struct Chosen<'a> {
    variant: &'a str,
    content: Option<&'a Node>,
    context: &'a Context<'a>,
}

impl<'de, 'a> EnumAccess<'de> for Chosen<'a> {
    type Error = Error;
    type Variant = Content<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'a>), Error> {
        let name: StrDeserializer<'_, Error> = self.variant.into_deserializer();
        let variant = seed.deserialize(name)?;
        Ok((variant, Content { key: self.variant.into(), node: self.content, context: self.context }))
    }
}

struct Content<'a> {
    key: Arc<str>,
    node: Option<&'a Node>,
    context: &'a Context<'a>,
}

impl Content<'_> {
    fn read<T>(self, read: impl FnOnce(NodeDeserializer<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let nothing = Node::default();
        let node = self.node.unwrap_or(&nothing);
        let value = NodeDeserializer::new(node, self.context, Place::Element);
        self.context.below(self.context.depth(), &self.key, || read(value))
    }
}

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.node {
            Some(node) if !node.is_null() => Err(self.context.mismatch("a string", "a map".into(), None)),
            _ => Ok(()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        self.read(|value| seed.deserialize(value))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.read(|value| value.deserialize_seq(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.read(|value| value.deserialize_struct("", fields, visitor))
    }
}
