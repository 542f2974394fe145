//! What a point of one series adds to another: the increment, by type.

use phoenix_pdata::view::{Number, Temporality};
use phoenix_series::{Place, Step, difference};

use crate::accumulated::Accumulated;
use crate::compress::Buffers;
use crate::coverage::{Covered, cover};
use crate::increments::since;
use crate::kind::{Kind, Reading, Value, as_double};
use crate::metrics::Reason;
use crate::output::Output;
use crate::series::{Last, Series};

/// How far the clock of a sender may be ahead, in nanoseconds.
const MAX_AHEAD: u64 = 5 * 60 * 1_000_000_000;

/// What holds while a point is worked on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Streams that started before may have been counted by others, or before they were forgotten.
    pub(crate) horizon: u64,
    /// Unix time in nanoseconds.
    pub(crate) unix_nanos: u64,
    /// Seconds of the monotonic clock.
    pub(crate) seconds: u32,
}

/// What a point came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Effect {
    /// For rankings.
    pub(crate) weight: f64,
    /// For places under a limit: like the weight, but that values without an amount count as points.
    pub(crate) heat: f64,
    pub(crate) is_reset: bool,
    pub(crate) is_ahead: bool,
    /// It adds nothing, since nobody knows what of it was counted before.
    pub(crate) is_baseline: bool,
}

impl Effect {
    /// Notes what the point is to its stream.
    fn note(&mut self, step: Step) -> Result<(), Reason> {
        match step {
            Step::Duplicate => return Err(Reason::Duplicate),
            Step::OutOfOrder => return Err(Reason::OutOfOrder),
            Step::Reset => self.is_reset = true,
            Step::UnknownReset => self.is_baseline = true,
            Step::Next => {}
        }
        Ok(())
    }

    /// Something that weighs this much was added.
    fn weigh(&mut self, weight: f64) {
        (self.weight, self.heat) = (weight, weight.abs());
    }
}

impl Moment {
    /// Where a point stands, and whether its clock was put right. One that is far ahead is taken to have been now, and its start, where
    /// that is ahead as well, as long before: else all others would seem late to what it is added to, and its own stream once the
    /// clock is set.
    pub(crate) fn place_of(&self, reading: &Reading<'_>) -> (Place, bool) {
        let now = self.unix_nanos;
        let is_ahead = now != 0 && reading.time > now.saturating_add(MAX_AHEAD);
        let time = if is_ahead || reading.time == 0 { now } else { reading.time };
        let start = match reading.start {
            // What a start behind its point means nobody knows.
            start if start > reading.time.max(time) => 0,
            start if is_ahead && start > time => start.saturating_sub(reading.time - time),
            start => start,
        };
        (Place { start, time }, is_ahead)
    }
}

fn zero_like(number: Number) -> Number {
    match number {
        Number::Int(_) => Number::Int(0),
        Number::Double(_) => Number::Double(0.0),
    }
}

/// A series says that it ended.
pub(crate) fn end(series: &mut Series, output: &mut Output, reading: &Reading<'_>, at: &Moment) {
    let (place, _) = at.place_of(reading);
    if place.time <= series.place.time {
        return;
    }
    output.seen = at.seconds;
    if std::mem::take(&mut series.is_live) {
        output.live = output.live.saturating_sub(1);
        if output.live == 0 {
            output.ended = place.time;
        }
    }
}

/// Adds what a point says to its output.
///
/// # Errors
/// Why it says nothing that can be added; then nothing changed.
pub(crate) fn contribute(
    series: &mut Series,
    output: &mut Output,
    reading: &Reading<'_>,
    kind: Kind,
    at: &Moment,
    buffers: &mut Buffers,
) -> Result<Effect, Reason> {
    let (place, is_ahead) = at.place_of(reading);
    let time = place.time;
    let mut effect = Effect { is_ahead, ..Effect::default() };
    let is_delta = kind.temporality() == Some(Temporality::Delta);
    // Of deltas everything counts that was not there, whenever it comes.
    let covered = match is_delta {
        true => cover(series.place, series.last.earlier(), place).ok_or(Reason::Duplicate)?,
        false => Covered { latest: place, earlier: None },
    };
    let is_first = !series.last.is_some();
    let counts = place.counts_from_zero(at.horizon);
    match (&mut output.value, reading.value) {
        (Accumulated::Sum { total, has }, Value::Number(number)) => {
            let number = number.filter(|number| as_double(*number).is_finite()).ok_or(Reason::NotFinite)?;
            let is_monotonic = matches!(kind, Kind::Sum { monotonic: true, .. });
            if is_monotonic && as_double(number) < 0.0 {
                return Err(Reason::Negative);
            }
            let increment = match series.last {
                _ if is_delta => number,
                Last::Number(last) => {
                    let step = series.place.step(place, as_double(number) < as_double(last));
                    effect.note(step)?;
                    match step {
                        Step::Next => difference(number, last),
                        Step::UnknownReset => zero_like(number),
                        _ => number,
                    }
                }
                _ if counts => number,
                _ => {
                    effect.is_baseline = true;
                    zero_like(number)
                }
            };
            total.add(increment);
            *has = true;
            effect.weigh(as_double(increment));
            if !is_delta {
                series.last = Last::Number(number);
            }
        }
        (Accumulated::Latest { .. }, Value::Number(number)) => {
            let is_gauge = kind == Kind::Gauge;
            let allowed = |number: &Number| {
                let value = as_double(*number);
                value.is_finite() || is_gauge && !value.is_nan()
            };
            let number = number.filter(allowed).ok_or(Reason::NotFinite)?;
            if !is_first {
                must_be_newer(series.place, place)?;
            }
            series.last = Last::Number(number);
            effect.weight = as_double(number);
            effect.heat = 1.0;
        }
        (Accumulated::Explicit(sum), Value::Histogram(point)) => {
            let read = &mut buffers.explicit;
            if !read.read(&point) {
                return Err(Reason::Malformed);
            }
            if let Some(sum) = sum
                && !sum.takes(read)
            {
                // Bounds that were let out already stay: a change of them would look like a reset.
                let may_narrow = is_delta || output.sent == 0;
                if !may_narrow || sum.narrow(read).is_err() {
                    return Err(Reason::NotMergeable);
                }
            }
            if !is_delta {
                effect.note(since(read, &mut series.last, series.place, place, counts))?;
            }
            effect.weigh(read.count as f64);
            match sum {
                Some(sum) => sum.add(read).map_err(|_| Reason::NotMergeable)?,
                None => *sum = Some(Box::new(read.clone())),
            }
        }
        (Accumulated::Exponential(sum), Value::Exponential(point)) => {
            let read = &mut buffers.exponential;
            if !read.read(&point) {
                return Err(Reason::Malformed);
            }
            if !is_delta {
                effect.note(since(read, &mut series.last, series.place, place, counts))?;
            }
            effect.weigh(read.count as f64);
            sum.add(read);
        }
        (Accumulated::Exponential(sum), Value::Histogram(point)) => {
            let Some((_, settings)) = &series.plan.histograms else { return Err(Reason::NotMergeable) };
            let read = &mut buffers.explicit;
            if !read.read(&point) {
                return Err(Reason::Malformed);
            }
            if !is_delta {
                effect.note(since(read, &mut series.last, series.place, place, counts))?;
            }
            effect.weigh(read.count as f64);
            sum.add_explicit(read, settings);
        }
        (Accumulated::Point(latest), value) => {
            let count = match (kind, value) {
                (Kind::Sum { monotonic: true, .. }, Value::Number(Some(number))) => as_double(number),
                (_, Value::Histogram(point)) => point.count() as f64,
                (_, Value::Exponential(point)) => point.count() as f64,
                _ => 0.0,
            };
            if series.place.time != 0 {
                let step = series.place.step(place, count < latest.count);
                // What it starts from goes on with the point itself.
                effect.is_reset = matches!(step, Step::Reset | Step::UnknownReset);
                if !effect.is_reset {
                    effect.note(step)?;
                }
            }
            latest.count = count;
        }
        _ => return Err(Reason::Malformed),
    }
    if !output.is_started && !is_delta {
        // A stream that went elsewhere before adds what came since; a new one counts from its start, or is a baseline.
        output.start = match (is_first, counts) {
            (false, _) => series.place.time.min(time),
            (true, true) => place.start,
            (true, false) => time,
        };
    }
    output.touch(place.start, time, at.seconds);
    if !series.is_live {
        series.is_live = true;
        output.live += 1;
    }
    series.place = covered.latest;
    if let Some(earlier) = covered.earlier {
        series.last = Last::Covered(earlier);
    }
    Ok(effect)
}

/// What has no increments only has to be newer.
fn must_be_newer(last: Place, next: Place) -> Result<(), Reason> {
    Effect::default().note(last.step(next, false))
}
