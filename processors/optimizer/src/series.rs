//! What is known of a series that comes in.

use std::sync::Arc;

use phoenix_pdata::view::Number;
use phoenix_series::{Explicit, Exponential, Place, Slot};

use crate::coverage::Earlier;
use crate::rules::Plan;

/// The version of a series whose rules or labels have to be looked at anew.
pub(crate) const OUTDATED: u32 = u32::MAX;
/// The version of a series that has its rules, and was not yet looked at for where it goes.
pub(crate) const FRESH: u32 = u32::MAX - 1;

/// The state of a series that comes in.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) plan: Arc<Plan>,
    pub(crate) goes: Goes,
    /// Its group in the ranking of the plan's rule.
    pub(crate) group: Option<Slot>,
    /// The share of a limit in which it has a place, or waits for one.
    pub(crate) limit: Option<Slot>,
    /// Of the ranking by which its labels were chosen, or [`OUTDATED`], or [`FRESH`].
    pub(crate) version: u32,
    /// When its last point came, in seconds.
    pub(crate) seen: u32,
    /// Of its last point; of deltas what it covers without a gap up to its latest.
    pub(crate) place: Place,
    pub(crate) last: Last,
    /// Whether it goes on: neither ended nor silent since.
    pub(crate) is_live: bool,
    /// Whether it goes where it goes because of a limit.
    pub(crate) is_over: bool,
    /// Whether a place under the limit was promised to it.
    pub(crate) is_promised: bool,
    /// How much came since places were given the last time, and the average of that.
    pub(crate) heat: f32,
    pub(crate) score: f32,
    /// Which of the ranking metrics it is of.
    pub(crate) ranks: Option<u8>,
}

impl Series {
    /// One of which nothing is known.
    pub(crate) fn new(plan: Arc<Plan>, seen: u32) -> Series {
        Series {
            plan,
            goes: Goes::On,
            group: None,
            limit: None,
            version: FRESH,
            seen,
            place: Place::default(),
            last: Last::None,
            is_live: false,
            is_over: false,
            is_promised: false,
            heat: 0.0,
            score: 0.0,
            ranks: None,
        }
    }

    /// It counts more, by so much.
    pub(crate) fn heat(&mut self, by: f64) {
        if by.is_finite() && by > 0.0 {
            self.heat += by as f32;
        }
    }
}

/// Where the points of a series go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goes {
    /// On, as they are.
    On,
    /// On, since they cannot be added to what the rules want.
    Unmerged,
    /// Into a series that is let out.
    Into(Slot),
    /// Nowhere: a gauge over the limit.
    Nowhere,
}

/// The last value of a series, if it is cumulative or a level.
#[derive(Debug, Default)]
pub(crate) enum Last {
    #[default]
    None,
    Number(Number),
    Explicit(Box<Explicit>),
    Exponential(Box<Exponential>),
    /// Of deltas, which have none: what they covered before a gap.
    Covered(Earlier),
}

impl Last {
    /// The bytes that it points at.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Last::Explicit(value) => value.memory(),
            Last::Exponential(value) => value.memory(),
            Last::Covered(earlier) => earlier.memory(),
            Last::None | Last::Number(_) => 0,
        }
    }

    /// Whether there is a value.
    pub(crate) fn is_some(&self) -> bool {
        !matches!(self, Last::None | Last::Covered(_))
    }

    /// What deltas covered before a gap.
    pub(crate) fn earlier(&self) -> &Earlier {
        static NONE: Earlier = Earlier::NONE;
        match self {
            Last::Covered(earlier) => earlier,
            _ => &NONE,
        }
    }
}
