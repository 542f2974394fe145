//! Views: requests read in place, by offset, without decoding them.
//!
//! A view of a message scans its fields once and keeps where they are; messages inside are opened when
//! asked for. Views borrow the bytes and are `Copy`. The order of fields does not matter, of a repeated
//! scalar the last counts, unknown fields are stepped over.
//!
//! The bytes must come from [`crate::validate()`]: then each view equals what a protobuf decoder gives. On
//! other bytes a view ends early, or holds defaults; it does not panic.
//!
//! ```
//! # use phoenix_pdata::Payload;
//! # fn slow(payload: &Payload) -> usize {
//! payload
//!     .resource_spans()
//!     .flat_map(|entry| entry.scopes())
//!     .flat_map(|entry| entry.records())
//!     .filter(|span| span.attributes().get("http.route").is_some())
//!     .count()
//! # }
//! ```

mod entry;
mod log;
mod metric;
mod text;
mod trace;
mod value;

#[cfg(test)]
mod tests;

use std::fmt;
use std::marker::PhantomData;

use crate::Payload;
use crate::wire::{Field, Fields};

pub use entry::{
    EntityRef, Resource, ResourceEntry, ResourceLogs, ResourceMetrics, ResourceSpans, Scope, ScopeEntry,
    ScopeLogs, ScopeMetrics, ScopeSpans, Texts,
};
pub use log::LogRecord;
pub use metric::{
    Buckets, Data, Exemplar, ExponentialHistogram, ExponentialPoint, FromBits, Gauge, Histogram,
    HistogramPoint, Metric, Number, NumberPoint, Numbers, NumbersIter, Quantile, Sum, Summary, SummaryPoint,
    Temporality,
};
pub use text::Text;
pub use trace::{Event, Link, Span, Status};
pub use value::{AnyValue, Attributes, KeyValue, key_of};

/// A message read in place.
pub trait View<'a>: Copy {
    /// Reads the body of a message.
    fn new(body: &'a [u8]) -> Self;
}

/// What a view keeps of a field: a scalar, or where the value is.
///
/// Concrete types rather than a projection of what is given out, so that views stay covariant.
trait Slot<'a>: Copy + Default {
    /// Notes one occurrence of the field within the message `raw`.
    fn take(&mut self, field: &Field<'a>, raw: &'a [u8]);
}

macro_rules! scalar_slot {
    ($($type:ty: $scalar:ident => $value:expr;)*) => {$(
        impl<'a> Slot<'a> for $type {
            #[inline(always)]
            fn take(&mut self, field: &Field<'a>, _: &'a [u8]) {
                let $scalar = field.scalar;
                *self = $value;
            }
        }
    )*};
}

// Narrowing follows protobuf: the high bits of a longer varint are dropped.
scalar_slot! {
    bool: scalar => scalar != 0;
    u32: scalar => scalar as u32;
    i32: scalar => scalar as i32;
    u64: scalar => scalar;
    f64: scalar => f64::from_bits(scalar);
    Option<f64>: scalar => Some(f64::from_bits(scalar));
}

impl<'a> Slot<'a> for &'a [u8] {
    #[inline(always)]
    fn take(&mut self, field: &Field<'a>, _: &'a [u8]) {
        *self = field.body;
    }
}

impl<'a> Slot<'a> for Text<'a> {
    #[inline(always)]
    fn take(&mut self, field: &Field<'a>, _: &'a [u8]) {
        *self = Text::new(field.body);
    }
}

/// The body of a message of which there is at most one.
#[derive(Clone, Copy, Default)]
struct Body<'a>(Option<&'a [u8]>);

impl<'a> Slot<'a> for Body<'a> {
    #[inline(always)]
    fn take(&mut self, field: &Field<'a>, _: &'a [u8]) {
        self.0 = Some(field.body);
    }
}

impl<'a, T: View<'a>> From<Body<'a>> for Option<T> {
    #[inline(always)]
    fn from(body: Body<'a>) -> Option<T> {
        body.0.map(T::new)
    }
}

/// The messages of a `repeated` field, in order.
#[derive(Clone, Copy)]
pub struct Many<'a, T> {
    /// From the first of them to the last; other fields may lie between.
    bytes: &'a [u8],
    number: u32,
    view: PhantomData<fn() -> T>,
}

impl<'a, T: View<'a>> Many<'a, T> {
    pub(crate) fn new(bytes: &'a [u8], number: u32) -> Many<'a, T> {
        Many { bytes, number, view: PhantomData }
    }

    /// The fields that hold them, and whatever lies between.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Walks them.
    pub fn iter(&self) -> ManyIter<'a, T> {
        ManyIter { fields: Fields::new(self.bytes), number: self.number, view: PhantomData }
    }

    /// Walks their bodies, unread.
    pub fn bodies(&self) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a, T> {
        let number = self.number;
        Fields::new(self.bytes).filter(move |field| field.is_len(number)).map(|field| field.body)
    }

    /// How many there are; walks them, but looks into none.
    pub fn count(&self) -> usize {
        self.bodies().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bodies().next().is_none()
    }
}

impl<'a, T: View<'a>> IntoIterator for Many<'a, T> {
    type Item = T;
    type IntoIter = ManyIter<'a, T>;

    fn into_iter(self) -> ManyIter<'a, T> {
        self.iter()
    }
}

impl<'a, T: View<'a> + fmt::Debug> fmt::Debug for Many<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Walks the messages of a `repeated` field.
#[derive(Clone, Copy)]
pub struct ManyIter<'a, T> {
    fields: Fields<'a>,
    number: u32,
    view: PhantomData<fn() -> T>,
}

impl<'a, T: View<'a>> Iterator for ManyIter<'a, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        let number = self.number;
        self.fields.find(|field| field.is_len(number)).map(|field| T::new(field.body))
    }
}

impl<T> Default for Many<'_, T> {
    fn default() -> Self {
        Many { bytes: &[], number: 0, view: PhantomData }
    }
}

impl<'a, T: Copy> Slot<'a> for Many<'a, T> {
    #[inline(always)]
    fn take(&mut self, field: &Field<'a>, raw: &'a [u8]) {
        self.bytes = spanning(self.bytes, field.raw, raw);
        self.number = field.number();
    }
}

/// The part of `body` from the start of `first`, which may be empty, to the end of `last`.
#[inline(always)]
fn spanning<'a>(first: &'a [u8], last: &'a [u8], body: &'a [u8]) -> &'a [u8] {
    if first.is_empty() {
        return last;
    }
    let base = body.as_ptr().addr();
    let start = first.as_ptr().addr().wrapping_sub(base);
    let end = (last.as_ptr().addr() + last.len()).wrapping_sub(base);
    body.get(start..end).unwrap_or(last)
}

/// Declares a view: a struct that holds where the fields of a message are, and a method for each.
macro_rules! view {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$field_doc:meta])* $($number:literal)|+ $field:ident: $type:ty $(as $out:ty)?,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name<'a> {
            raw: &'a [u8],
            $($field: $type,)*
        }

        impl<'a> $crate::view::View<'a> for $name<'a> {
            fn new(raw: &'a [u8]) -> $name<'a> {
                let mut view = $name { raw, $($field: Default::default(),)* };
                for field in $crate::wire::Fields::new(raw) {
                    match field.number() {
                        $($($number)|+ => {
                            $crate::view::Slot::take(&mut view.$field, &field, raw);
                        })*
                        _ => {}
                    }
                }
                view
            }
        }

        impl<'a> $name<'a> {
            /// The bytes of the message, which also identify it to [`crate::Editor`].
            #[inline(always)]
            pub fn raw(&self) -> &'a [u8] {
                self.raw
            }

            $($crate::view::getter! { $(#[$field_doc])* $field: $type $(, $out)? })*
        }

        impl std::fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))$(.field(stringify!($field), &self.$field()))*.finish()
            }
        }
    };
}
use view;

macro_rules! getter {
    ($(#[$doc:meta])* $field:ident: $type:ty $(, $out:ty)?) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $field(&self) -> $crate::view::getter!(@out $type $(, $out)?) {
            let value = self.$field;
            $(let value: $out = value.into();)?
            value
        }
    };
    (@out $type:ty) => { $type };
    (@out $type:ty, $out:ty) => { $out };
}
use getter;

/// The entries of a piece of a request for traces.
pub fn resource_spans(piece: &[u8]) -> Many<'_, ResourceSpans<'_>> {
    Many::new(piece, 1)
}

/// The entries of a piece of a request for metrics.
pub fn resource_metrics(piece: &[u8]) -> Many<'_, ResourceMetrics<'_>> {
    Many::new(piece, 1)
}

/// The entries of a piece of a request for logs.
pub fn resource_logs(piece: &[u8]) -> Many<'_, ResourceLogs<'_>> {
    Many::new(piece, 1)
}

impl Payload {
    /// The entries of a request for traces.
    pub fn resource_spans(&self) -> impl Iterator<Item = ResourceSpans<'_>> + Clone {
        self.pieces().flat_map(|piece| resource_spans(piece))
    }

    /// The entries of a request for metrics.
    pub fn resource_metrics(&self) -> impl Iterator<Item = ResourceMetrics<'_>> + Clone {
        self.pieces().flat_map(|piece| resource_metrics(piece))
    }

    /// The entries of a request for logs.
    pub fn resource_logs(&self) -> impl Iterator<Item = ResourceLogs<'_>> + Clone {
        self.pieces().flat_map(|piece| resource_logs(piece))
    }
}
