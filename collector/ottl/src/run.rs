//! Evaluation over bytes.
//!
//! A pass walks a piece of a request. What it makes lives in an arena until the pass is over, so that every
//! value is a reference, and none has an owner that would have to be asked.

mod arena;
mod arithmetic;
mod client;
mod coerce;
mod compare;
mod datum;
mod entries;
mod index;
mod keys;
mod message;
mod path;
mod shape;
mod state;
mod text_form;
mod walk;

use smallvec::SmallVec;

pub(crate) use arena::{Arena, MAX_VALUE_BYTES};
pub(crate) use arithmetic::{calculate, negate};
pub(crate) use coerce::coerce;
pub(crate) use compare::{compare, equal};
pub(crate) use datum::{Datum, entries, items};
pub(crate) use entries::{Entries, EntryIndex};
pub(crate) use index::{MAX_KEYS, index_result, list_of, list_value, map_of};
pub(crate) use path::{encode, get, get_field, set, with_list, with_map};
pub(crate) use shape::Shape;
pub(crate) use state::{DEPTHS, Layout, State};
pub(crate) use text_form::plain_text;
use text_form::text_like;
pub(crate) use walk::{Verdict, Walk, items_in, walk};

/// An argument, evaluated.
#[derive(Clone, Debug)]
pub(crate) enum Argument<'a> {
    /// Not given, or a path.
    Absent,
    One(Datum<'a>),
    /// The elements of a list that stands in the statement.
    Many(Vec<Datum<'a>>),
}

pub(crate) type Arguments<'a> = SmallVec<[Argument<'a>; 4]>;
