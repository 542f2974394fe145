//! What comes in: one stream of data points, and what each of them adds.
//!
//! The data points of a stream are taken in the order of their times, whatever order they came in: each waits until the
//! watermark has passed it. So resets, gaps and duplicates are told apart exactly, and what a stream adds to a window does not
//! depend on how its data points travelled.

use std::mem;

use phoenix_pdata::view::{Number, Temporality};
use phoenix_series::{Place, Slot, Step, difference};
use smallvec::SmallVec;

use crate::config::FirstSample;
use crate::value::{Sample, Value, Waiting, as_double};

/// What the data points of a stream mean in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Meaning {
    /// Each is an increment.
    Increments,
    /// Each is the sum of all increments since a start.
    Sums,
    /// Each is a level, which the next one replaces.
    Levels,
}

impl Meaning {
    pub(crate) fn of(temporality: Temporality) -> Option<Meaning> {
        match temporality {
            Temporality::Delta => Some(Meaning::Increments),
            Temporality::Cumulative => Some(Meaning::Sums),
            Temporality::Unspecified => None,
        }
    }
}

/// Where a stream goes: a series of a plan, and from when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) plan: u16,
    pub(crate) slot: Slot,
    /// What was before was not added there.
    pub(crate) since: u64,
}

/// Where a stream goes; usually to one series.
#[derive(Clone, Debug)]
pub(crate) enum Targets {
    One(Target),
    /// None, or several.
    Many(Option<Box<SmallVec<[Target; 4]>>>),
}

impl Default for Targets {
    fn default() -> Targets {
        Targets::Many(None)
    }
}

impl Targets {
    pub(crate) fn as_slice(&self) -> &[Target] {
        match self {
            Targets::One(target) => std::slice::from_ref(target),
            Targets::Many(many) => many.as_deref().map_or(&[], |many| many),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Target> {
        self.as_slice().iter().copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let Targets::Many(Some(many)) = self else { return 0 };
        let spilled = if many.spilled() { many.capacity() * size_of::<Target>() } else { 0 };
        size_of::<SmallVec<[Target; 4]>>() + spilled
    }
}

impl FromIterator<Target> for Targets {
    fn from_iter<I: IntoIterator<Item = Target>>(targets: I) -> Targets {
        let targets: SmallVec<[Target; 4]> = targets.into_iter().collect();
        match targets.as_slice() {
            [] => Targets::Many(None),
            [only] => Targets::One(*only),
            _ => Targets::Many(Some(Box::new(targets))),
        }
    }
}

/// A time that no increment of a stream covers yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) meaning: Meaning,
    /// Under which configuration the targets were looked up.
    pub(crate) generation: u32,
    /// The last data point that was taken; a time of 0 before the first.
    pub(crate) last: Sample,
    /// The last data point said that the stream ended.
    pub(crate) ended: bool,
    /// The last time that no increment covers: one that fills it was overtaken, and not seen before.
    pub(crate) gap: Option<Box<Gap>>,
    pub(crate) waiting: Waiting,
    pub(crate) targets: Targets,
    /// The route to all of them, which it shares with others.
    pub(crate) route: Option<Slot>,
}

/// What a data point adds.
#[derive(Debug, PartialEq)]
pub(crate) enum Change<'a> {
    /// So much, since `from`.
    Increment { value: &'a Value, from: u64 },
    /// Nothing: it is what later ones are compared with. As a value of its kind.
    Baseline { nothing: &'a Value },
    /// It takes the place of a level.
    Level { value: Number, before: Option<(u64, Number)> },
    /// It takes the place of a summary.
    Summary(&'a [u8]),
    /// The stream ended; the level that it had goes.
    Ended { before: Option<(u64, Number)> },
}

/// What happened to a stream, for the books.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Events {
    pub(crate) resets: u64,
    pub(crate) gaps: u64,
    pub(crate) overlaps: u64,
    pub(crate) unknown_starts: u64,
}

impl Events {
    pub(crate) fn add(&mut self, other: Events) {
        self.resets += other.resets;
        self.gaps += other.gaps;
        self.overlaps += other.overlaps;
        self.unknown_starts += other.unknown_starts;
    }
}

/// From when on a first data point counts in full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning {
    pub(crate) first_sample: FirstSample,
    /// Before it, others may have counted what a stream counted.
    pub(crate) horizon: u64,
}

impl Stream {
    pub(crate) fn new(meaning: Meaning) -> Stream {
        Stream {
            meaning,
            generation: 0,
            last: Sample::default(),
            ended: false,
            gap: None,
            waiting: Waiting::default(),
            targets: Targets::default(),
            route: None,
        }
    }

    fn is_new(&self) -> bool {
        self.last.place.time == 0
    }

    /// The level that counts now, if the stream is one of levels.
    pub(crate) fn level(&self) -> Option<(u64, Number)> {
        match (self.meaning, &self.last.value) {
            (Meaning::Levels, Value::Number(number)) if !self.is_new() => {
                Some((self.last.place.time, *number))
            }
            _ => None,
        }
    }

    /// Takes the next data point, which is newer than the last one, and tells what it adds. `sample` holds the increment
    /// afterwards, for which the change borrows it.
    pub(crate) fn take<'a>(
        &mut self,
        sample: &'a mut Sample,
        beginning: Beginning,
        events: &mut Events,
    ) -> Change<'a> {
        let place = sample.place;
        if sample.value == Value::Ended {
            let before = self.level();
            // What a sum was is kept: it may go on.
            if self.meaning != Meaning::Sums {
                self.last.value = Value::Ended;
            }
            if !self.is_new() || self.meaning != Meaning::Sums {
                self.last.place.time = place.time;
            }
            self.ended = true;
            return Change::Ended { before };
        }
        self.ended = false;
        match self.meaning {
            Meaning::Levels => self.take_level(sample),
            Meaning::Increments => {
                if !self.is_new() && place.start != 0 {
                    if place.start > self.last.place.time {
                        events.gaps += 1;
                        self.gap = Some(Box::new(Gap { from: self.last.place.time, to: place.start }));
                    }
                    events.overlaps += u64::from(place.start < self.last.place.time);
                }
                self.last.place = place;
                self.last.value = Value::default();
                Change::Increment { value: &sample.value, from: place.start }
            }
            Meaning::Sums if self.is_new() => self.take_first(sample, beginning, events),
            Meaning::Sums => self.take_sum(sample, events),
        }
    }

    fn take_level<'a>(&mut self, sample: &'a mut Sample) -> Change<'a> {
        let before = self.level();
        self.last.place = sample.place;
        match &mut sample.value {
            Value::Number(number) => {
                self.last.value = Value::Number(*number);
                Change::Level { value: *number, before }
            }
            Value::Summary(bytes) => {
                self.last.value = Value::default();
                Change::Summary(&bytes.0)
            }
            other => nothing_of(other),
        }
    }

    fn take_first<'a>(
        &mut self,
        sample: &'a mut Sample,
        beginning: Beginning,
        events: &mut Events,
    ) -> Change<'a> {
        self.last = sample.clone();
        let place = sample.place;
        let counts = match beginning.first_sample {
            FirstSample::Auto => place.counts_from_zero(beginning.horizon),
            FirstSample::Count => place.counts_from_zero(0),
            FirstSample::Skip => false,
        };
        if counts {
            return Change::Increment { value: &sample.value, from: place.start };
        }
        events.unknown_starts += 1;
        nothing_of(&mut sample.value)
    }

    fn take_sum<'a>(&mut self, sample: &'a mut Sample, events: &mut Events) -> Change<'a> {
        let (from, to) = (self.last.place, sample.place);
        let step = match (&mut self.last.value, &mut sample.value) {
            (Value::Number(last), Value::Number(new)) => {
                let step = from.step(to, as_double(*new) < as_double(*last));
                let before = mem::replace(last, *new);
                match step {
                    Step::Next => *new = difference(*new, before),
                    Step::UnknownReset => *new = Number::Int(0),
                    _ => {}
                }
                step
            }
            (Value::Explicit(last), Value::Explicit(new)) => new.advance(last, from, to),
            (Value::Exponential(last), Value::Exponential(new)) => new.advance(last, from, to),
            _ => Step::OutOfOrder,
        };
        self.last.place = to;
        events.resets += u64::from(matches!(step, Step::Reset | Step::UnknownReset));
        match step {
            Step::Next => Change::Increment { value: &sample.value, from: from.time },
            // What it counted since it started again; it cannot have done so before the last data point.
            Step::Reset => Change::Increment { value: &sample.value, from: to.start.max(from.time) },
            Step::UnknownReset => {
                events.unknown_starts += 1;
                nothing_of(&mut sample.value)
            }
            Step::Duplicate | Step::OutOfOrder => nothing_of(&mut sample.value),
        }
    }

    /// Takes an increment that newer ones have overtaken, if nothing covered its time yet.
    pub(crate) fn fill_gap(&mut self, place: Place) -> bool {
        let Some(Gap { from, to }) = self.gap.as_deref().copied() else { return false };
        let fills = self.meaning == Meaning::Increments
            && place.start != 0
            && place.start < place.time
            && from <= place.start
            && place.time <= to;
        if fills {
            // Of two rests the larger one is remembered.
            let (before, behind) = (place.start - from, to - place.time);
            let rest = match before > behind {
                true => Gap { from, to: place.start },
                false => Gap { from: place.time, to },
            };
            self.gap = (rest.from < rest.to).then(|| Box::new(rest));
        }
        fills
    }

    /// The time of the newest data point, taken or waiting.
    pub(crate) fn newest(&self) -> u64 {
        self.waiting.last().unwrap_or(&self.last).place.time
    }

    /// Makes the first data point of another sender of the same series go on where the one before stopped, whose data points all
    /// are there. False if it says nothing that is not known: then it does not count.
    pub(crate) fn hand_over(&self, sample: &mut Sample) -> bool {
        let newest = self.waiting.last().unwrap_or(&self.last);
        let (before, place) = (newest.place, sample.place);
        if before.time == 0 {
            return true;
        }
        if place.time <= before.time {
            return false;
        }
        match self.meaning {
            Meaning::Levels => true,
            // Part of it is counted, and nobody knows which.
            Meaning::Increments => place.start == 0 || place.start >= before.time,
            Meaning::Sums => {
                let fell = newest.value.outgrows(&sample.value);
                // Both count the same thing: who has seen less of it looked earlier, whatever its clock says.
                if fell && place.start == before.start && place.start != 0 {
                    return false;
                }
                if !fell {
                    // Since when it counts is what this sender knows of it; that it has begun later does not make it new.
                    sample.place.start = before.start;
                }
                true
            }
        }
    }

    /// How a data point that came now stands to those that were taken.
    pub(crate) fn place(&self, time: u64) -> Standing {
        match time.cmp(&self.last.place.time) {
            std::cmp::Ordering::Greater => Standing::Newer,
            std::cmp::Ordering::Equal => Standing::Duplicate,
            std::cmp::Ordering::Less => Standing::Overtaken,
        }
    }
}

/// A change by nothing, made of a value that is not needed any more.
fn nothing_of(value: &mut Value) -> Change<'_> {
    value.clear();
    Change::Baseline { nothing: value }
}

/// How a data point stands to those of its stream that were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Newer,
    /// There was one at that time.
    Duplicate,
    /// Newer ones were taken.
    Overtaken,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: i64) -> Value {
        Value::Number(Number::Int(value))
    }

    /// The increments of a stream of `(start, time, value)`; none where a data point adds nothing.
    fn increments(points: &[(u64, u64, i64)], horizon: u64) -> (Vec<Option<i64>>, Events) {
        let mut stream = Stream::new(Meaning::Sums);
        let mut events = Events::default();
        let beginning = Beginning { first_sample: FirstSample::Auto, horizon };
        let mut increment = |(start, time, value): &(u64, u64, i64)| {
            let mut sample = Sample { place: Place { start: *start, time: *time }, value: number(*value) };
            match stream.take(&mut sample, beginning, &mut events) {
                Change::Increment { value: Value::Number(Number::Int(value)), .. } => Some(*value),
                _ => None,
            }
        };
        (points.iter().map(&mut increment).collect(), events)
    }

    #[test]
    fn what_is_kept_of_a_stream_is_small() {
        // Bytes of a million of them, with the indexes that find them, are held to the goal by the benchmark `scale`.
        assert_eq!((size_of::<Value>(), size_of::<Sample>(), size_of::<Stream>()), (16, 32, 144));
        assert_eq!(
            (size_of::<crate::accumulator::Accumulator>(), size_of::<crate::series::Series>()),
            (24, 144)
        );
    }

    #[test]
    fn sums_become_increments() {
        let (found, events) =
            increments(&[(0, 1, 100), (0, 10, 110), (0, 20, 120), (0, 30, 5), (0, 40, 15)], 0);
        assert_eq!(found, [None, Some(10), Some(10), Some(5), Some(10)]);
        assert_eq!((events.resets, events.unknown_starts), (1, 1));
        assert_eq!(increments(&[(5, 10, 7), (5, 20, 9)], 5).0, [Some(7), Some(2)]);
        assert_eq!(increments(&[(5, 10, 7), (5, 20, 9)], 6).0, [None, Some(2)], "others may have counted it");
        assert_eq!(increments(&[(10, 10, 7)], 0).0, [None]);
        assert_eq!(increments(&[(1, 10, 7), (12, 20, 9)], 0).0, [Some(7), Some(9)], "it started again");
        assert_eq!(increments(&[(1, 10, 7), (20, 20, 9)], 0).0, [Some(7), None], "at an unknown value");
    }
}
