//! Where a cumulative stream stands in time, and what its next point means.
//!
//! A point covers `(start, time]`. A stream starts again if its value falls or if its start lies at or behind the last point: then
//! its value counts from the new start. A start that moves while the value goes on, and stays before the last
//! point, is noise (senders compute the start of a process from the time since boot, which wavers): taking it for a
//! reset would count everything twice.

/// Start and time of the last point of a stream, in Unix nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// 0 if the sender did not say.
    pub start: u64,
    /// Of the last point.
    pub time: u64,
}

/// What a point is to its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The value has grown by the difference.
    Next,
    /// The stream started again; all of its value is new.
    Reset,
    /// The stream started again at an unknown value: the point is a baseline, and adds nothing.
    UnknownReset,
    /// The point was there already.
    Duplicate,
    /// A newer one was there already.
    OutOfOrder,
}

impl Place {
    /// What a point at `next` is, where `fell` says whether its value is below the last one.
    pub fn step(&self, next: Place, fell: bool) -> Step {
        if next.time <= self.time {
            return if next.time == self.time { Step::Duplicate } else { Step::OutOfOrder };
        }
        let restarted = next.start != 0 && next.start >= self.time && next.start > self.start;
        match fell || restarted {
            false => Step::Next,
            true if next.start == next.time => Step::UnknownReset,
            true => Step::Reset,
        }
    }

    /// Whether the first point that is seen of a stream counts in full: it is known from when it counts, and that is behind
    /// `horizon`, before which others may have counted it. Otherwise it is a baseline, and adds nothing.
    pub fn counts_from_zero(&self, horizon: u64) -> bool {
        self.start != 0 && self.start < self.time && self.start >= horizon
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_point_is_to_its_stream() {
        let at = |start, time| Place { start, time };
        // (last, next, fell, what it is)
        let cases = [
            (at(5, 10), at(5, 20), false, Step::Next),
            (at(0, 10), at(0, 20), false, Step::Next),
            (at(5, 10), at(5, 20), true, Step::Reset),
            (at(0, 10), at(0, 20), true, Step::Reset),
            (at(5, 10), at(15, 20), false, Step::Reset),
            (at(5, 10), at(10, 20), false, Step::Reset),
            (at(5, 10), at(20, 20), false, Step::UnknownReset),
            (at(5, 10), at(20, 20), true, Step::UnknownReset),
            (at(5, 10), at(6, 20), false, Step::Next),
            (at(5, 10), at(4, 20), false, Step::Next),
            (at(5, 10), at(0, 20), false, Step::Next),
            (at(5, 10), at(5, 10), false, Step::Duplicate),
            (at(5, 10), at(5, 9), true, Step::OutOfOrder),
        ];
        for (last, next, fell, step) in cases {
            assert_eq!(last.step(next, fell), step, "{last:?} {next:?} {fell}");
        }
    }

    #[test]
    fn a_first_point_counts_only_if_nobody_can_have_counted_it() {
        let at = |start, time| Place { start, time };
        assert!(at(100, 110).counts_from_zero(100));
        assert!(!at(99, 110).counts_from_zero(100), "others may have counted it");
        assert!(!at(0, 110).counts_from_zero(0), "nobody knows from when it counts");
        assert!(!at(110, 110).counts_from_zero(0), "it starts at an unknown value");
    }
}
