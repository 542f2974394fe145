use crate::view::{
    AnyValue, Attributes, Event, Exemplar, ExponentialPoint, HistogramPoint, KeyValue, Link, LogRecord, Many,
    NumberPoint, Resource, Scope, Span, SummaryPoint,
};
use crate::write::{put_attribute, put_bytes, put_value};

use super::{Editor, Kind};

/// What to do about an attribute, depending on whether there is one with its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Upsert {
    /// Add it if there is none.
    Insert,
    /// Replace it if there is one.
    Update,
    /// Either.
    Upsert,
}

/// A message that has attributes.
pub trait Attributed<'a> {
    /// The number of the field of its attributes.
    const NUMBER: u32;

    /// The bytes of the message.
    fn raw(&self) -> &'a [u8];

    /// Its attributes.
    fn attributes(&self) -> Attributes<'a> {
        Many::new(self.raw(), Self::NUMBER)
    }
}

macro_rules! attributed {
    ($($type:ident $number:literal,)*) => {$(
        impl<'a> Attributed<'a> for $type<'a> {
            const NUMBER: u32 = $number;

            fn raw(&self) -> &'a [u8] {
                $type::raw(self)
            }
        }
    )*};
}

attributed! {
    Resource 1, Scope 3, Span 9, Event 3, Link 4, LogRecord 6, NumberPoint 7, HistogramPoint 9,
    ExponentialPoint 1, SummaryPoint 7, Exemplar 7,
}

impl Editor<'_> {
    /// Sets an attribute of a record, resource or scope, in the place where it is or at the end. Further
    /// attributes of the same key, which should not be there, go. Tells whether something changes.
    pub fn set_attribute<'v, T: Attributed<'v>>(
        &mut self,
        owner: &T,
        key: &str,
        value: &AnyValue<'_>,
        how: Upsert,
    ) -> bool {
        let attributes = owner.attributes();
        let mut same = attributes.with_key(key);
        match (same.next(), how) {
            (None, Upsert::Update) | (Some(_), Upsert::Insert) => false,
            (None, _) => self.append(owner.raw(), |out| put_attribute(out, T::NUMBER, key, value)),
            (Some(first), _) => {
                for other in same {
                    self.remove(other.raw());
                }
                self.change(first.raw(), Kind::Value, |fresh| {
                    put_bytes(fresh, 1, key.as_bytes());
                    put_value(fresh, 2, value);
                })
            }
        }
    }

    /// Removes all attributes with this key. Tells whether there was one.
    pub fn remove_attribute<'v>(&mut self, owner: &impl Attributed<'v>, key: &str) -> bool {
        let mut any = false;
        for attribute in owner.attributes().with_key(key) {
            any |= self.remove(attribute.raw());
        }
        any
    }

    /// Keeps the attributes for which `keep` says so. Tells whether any goes.
    pub fn retain_attributes<'v>(
        &mut self,
        owner: &impl Attributed<'v>,
        mut keep: impl FnMut(KeyValue<'v>) -> bool,
    ) -> bool {
        let mut any = false;
        for attribute in owner.attributes() {
            any |= !keep(attribute) && self.remove(attribute.raw());
        }
        any
    }
}
