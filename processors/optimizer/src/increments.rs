//! What came to cumulative histograms of either kind since their last point.

use phoenix_series::{Explicit, Exponential, Place, Step};

use crate::series::Last;

/// A histogram of either kind.
pub(crate) trait Cumulative: Clone {
    /// The last one of a series, where it has one of this kind.
    fn last(last: &mut Last) -> Option<&mut Self>;
    /// This one, as the last of its series.
    fn keep(self) -> Last;
    /// Leaves what was added to `last`, which this takes the place of.
    fn advance(&mut self, last: &mut Self, from: Place, to: Place) -> Step;
    /// Sets all counts to 0.
    fn clear(&mut self);
    /// Forgets minimum and maximum, which say nothing about what was added.
    fn forget_extremes(&mut self);
}

macro_rules! cumulative {
    ($kind:ident) => {
        impl Cumulative for $kind {
            fn last(last: &mut Last) -> Option<&mut $kind> {
                match last {
                    Last::$kind(last) => Some(last),
                    _ => None,
                }
            }

            fn keep(self) -> Last {
                Last::$kind(Box::new(self))
            }

            fn advance(&mut self, last: &mut $kind, from: Place, to: Place) -> Step {
                $kind::advance(self, last, from, to)
            }

            fn clear(&mut self) {
                $kind::clear(self);
            }

            fn forget_extremes(&mut self) {
                (self.min, self.max) = (None, None);
            }
        }
    };
}
cumulative!(Explicit);
cumulative!(Exponential);

/// Leaves in `read` what came to its series since the last point, which it takes the place of where it is newer. Of the first
/// point that is all of it where it `counts`, and otherwise nothing.
pub(crate) fn since<H: Cumulative>(
    read: &mut H,
    last: &mut Last,
    from: Place,
    to: Place,
    counts: bool,
) -> Step {
    if let Some(last) = H::last(last) {
        return read.advance(last, from, to);
    }
    read.forget_extremes();
    *last = read.clone().keep();
    if counts {
        return Step::Next;
    }
    read.clear();
    Step::UnknownReset
}
