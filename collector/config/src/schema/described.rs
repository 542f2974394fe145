//! Types that know what they are written as.

use std::collections::{BTreeMap, HashMap};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

use serde::de::IgnoredAny;

use super::shape::{Shape, Word};
use crate::block::{Block, PresentBlock};
use crate::duration::GoDuration;
use crate::id::ComponentId;
use crate::level::Level;
use crate::opaque::{Opaque, OpaqueMap};

/// A value as it would be written in a configuration, as JSON.
pub type Written = serde_json::Value;

/// A type that decodes a part of the configuration, and knows what may be written there. Derive it beside `Deserialize`.
pub trait Described {
    /// What may be written.
    fn shape() -> Shape;

    /// The value as it would be written; none where nothing stands for it.
    fn written(&self) -> Option<Written>;
}

/// The keys of a section with their values, without those that nothing stands for.
pub fn written_section<const N: usize>(keys: [(&str, Option<Written>); N]) -> Option<Written> {
    let keys = keys.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Some(Written::Object(keys.collect()))
}

macro_rules! whole_numbers {
    ($($type:ty: $least:expr, $most:expr;)*) => {$(
        impl Described for $type {
            fn shape() -> Shape {
                Shape::Integer { least: $least as i128, most: $most as i128 }
            }

            fn written(&self) -> Option<Written> {
                serde_json::to_value(self).ok()
            }
        }
    )*};
}

whole_numbers! {
    u8: u8::MIN, u8::MAX;
    u16: u16::MIN, u16::MAX;
    u32: u32::MIN, u32::MAX;
    u64: u64::MIN, u64::MAX;
    usize: usize::MIN, usize::MAX;
    i8: i8::MIN, i8::MAX;
    i16: i16::MIN, i16::MAX;
    i32: i32::MIN, i32::MAX;
    i64: i64::MIN, i64::MAX;
    isize: isize::MIN, isize::MAX;
    NonZeroU32: 1, u32::MAX;
    NonZeroU64: 1, u64::MAX;
    NonZeroUsize: 1, usize::MAX;
}

macro_rules! plain {
    ($($type:ty => $shape:expr, |$value:ident| $written:expr;)*) => {$(
        impl Described for $type {
            fn shape() -> Shape {
                $shape
            }

            fn written(&self) -> Option<Written> {
                let $value = self;
                $written
            }
        }
    )*};
}

plain! {
    bool => Shape::Bool, |value| Some((*value).into());
    f64 => Shape::Number { least: None, most: None }, |value| Some((*value).into());
    f32 => Shape::Number { least: None, most: None }, |value| Some(f64::from(*value).into());
    String => Shape::Text, |value| Some(value.as_str().into());
    std::path::PathBuf => Shape::Text, |value| Some(value.to_string_lossy().into());
    GoDuration => Shape::Duration, |value| Some(short(&value.to_string()).into());
    ComponentId => Shape::Id, |value| Some(value.to_string().into());
    // A default is never a secret, and a secret never a default.
    Opaque => Shape::Secret, |_value| None;
    OpaqueMap => Shape::SecretMap, |value| value.is_empty().then(|| Written::Object(Default::default()));
    IgnoredAny => Shape::Any, |_value| None;
    serde_json::Value => Shape::Any, |value| Some(value.clone());
    Level => Shape::Words {
        words: Level::NAMES.iter().map(|name| Word::new(name, &[], &[])).collect(),
        any_case: true,
    }, |value| Some(value.name().into());
}

/// A duration as people write it: `5m`, where Go prints `5m0s`.
fn short(duration: &str) -> &str {
    let minutes = duration.strip_suffix("m0s").map(|rest| &duration[..rest.len() + 1]).unwrap_or(duration);
    minutes.strip_suffix("h0m").map(|rest| &minutes[..rest.len() + 1]).unwrap_or(minutes)
}

impl<T: Described> Described for Option<T> {
    fn shape() -> Shape {
        match T::shape() {
            // What is read and not looked at is refused where it is there.
            Shape::Any => Shape::Nothing,
            shape => Shape::Optional(Box::new(shape)),
        }
    }

    fn written(&self) -> Option<Written> {
        self.as_ref()?.written()
    }
}

impl<T: Described> Described for Box<T> {
    fn shape() -> Shape {
        T::shape()
    }

    fn written(&self) -> Option<Written> {
        T::written(self)
    }
}

impl<T: Described> Described for Vec<T> {
    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }

    fn written(&self) -> Option<Written> {
        Some(Written::Array(self.iter().filter_map(T::written).collect()))
    }
}

macro_rules! maps {
    ($($map:ident)*) => {$(
        impl<K: AsRef<str>, T: Described> Described for $map<K, T> {
            fn shape() -> Shape {
                Shape::Map(Box::new(T::shape()))
            }

            fn written(&self) -> Option<Written> {
                let entry = |(key, value): (&K, &T)| Some((key.as_ref().to_owned(), value.written()?));
                Some(Written::Object(self.iter().filter_map(entry).collect()))
            }
        }
    )*};
}

maps! { BTreeMap HashMap }

macro_rules! blocks {
    ($($block:ident $present:literal)*) => {$(
        impl<T: Described> Described for $block<T> {
            fn shape() -> Shape {
                Shape::Block { of: Box::new(T::shape()), present: $present }
            }

            fn written(&self) -> Option<Written> {
                self.get()?.written()
            }
        }
    )*};
}

blocks! { Block false PresentBlock true }
