//! What is added up in a series that is let out.

use phoenix_pdata::view::{Number, Temporality};
use phoenix_series::{Explicit, Exponential, MAX_BUCKETS, Placement, Total};

use crate::compress;
use crate::config::{GaugeFunction, HistogramSettings};
use crate::kind::{Kind, as_double};

/// What was added up.
#[derive(Debug)]
pub(crate) enum Accumulated {
    /// Increments of counters since the start, or deltas since the last point.
    Sum { total: Total, has: bool },
    /// The latest values of the series that go into it; added up when it is let out.
    Latest { function: GaugeFunction, state: Level },
    /// Increments since the start, or deltas since the last point.
    Explicit(Option<Box<Explicit>>),
    /// Increments since the start, or deltas since the last point.
    Exponential(Merged),
    /// The last point, as it came.
    Point(Latest),
}

/// The last point of a series, and those after which it started again: without them what it counted until then would be lost.
#[derive(Debug, Default)]
pub(crate) struct Latest {
    /// Of the last point; empty where nothing came since it was let out.
    pub(crate) body: Vec<u8>,
    /// Of what came before, since then; the oldest first.
    pub(crate) ended: Vec<Box<[u8]>>,
    /// What a counter, or the count of a histogram, came to.
    pub(crate) count: f64,
}

/// The most starts of a series between two times that it is let out.
const MAX_STARTS: usize = 64;

impl Latest {
    /// Makes room for the next point, which is the first of a new start where it `starts_again`. False where there were too many
    /// of those: then what the one before came to is lost.
    pub(crate) fn next(&mut self, starts_again: bool) -> bool {
        let has_room = self.ended.len() < MAX_STARTS;
        if starts_again && has_room && !self.body.is_empty() {
            self.ended.push(self.body.as_slice().into());
        }
        self.body.clear();
        has_room || !starts_again
    }

    fn memory(&self) -> usize {
        self.body.capacity() + self.ended.iter().map(|body| body.len()).sum::<usize>()
    }
}

/// An aggregate that is let out as an exponential histogram.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    own: Option<Box<Exponential>>,
    /// What came with explicit bounds is converted where it is let out, so that all measurements of a bucket are placed together.
    explicit: Option<Box<Explicit>>,
    scale: i32,
    placement: Placement,
}

/// An aggregate of latest values.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Level {
    total: Total,
    count: u64,
    extreme: Option<(Number, u64)>,
}

impl Level {
    /// Takes the latest value of a series into account.
    pub(crate) fn add(&mut self, function: GaugeFunction, number: Number, time: u64) {
        self.count += 1;
        let is_better = |old: Number, old_time: u64| match function {
            GaugeFunction::Min => as_double(number) < as_double(old),
            GaugeFunction::Max => as_double(number) > as_double(old),
            _ => time >= old_time,
        };
        if self.extreme.is_none_or(|(old, old_time)| is_better(old, old_time)) {
            self.extreme = Some((number, time));
        }
        self.total.add(number);
    }

    /// What the function says; none without values.
    pub(crate) fn value(&self, function: GaugeFunction) -> Option<Number> {
        let extreme = self.extreme.map(|(number, _)| number)?;
        Some(match function {
            GaugeFunction::Last | GaugeFunction::Min | GaugeFunction::Max => extreme,
            GaugeFunction::Sum => self.total.value(),
            GaugeFunction::Avg => Number::Double(as_double(self.total.value()) / self.count as f64),
            GaugeFunction::Count => Number::Int(i64::try_from(self.count).unwrap_or(i64::MAX)),
        })
    }
}

impl Accumulated {
    /// What a series of this kind is added up in; none for those that cannot be.
    pub(crate) fn of(kind: Kind, gauges: Option<GaugeFunction>) -> Option<Accumulated> {
        let latest = |function| Some(Accumulated::Latest { function, state: Level::default() });
        match kind {
            Kind::Gauge => latest(gauges?),
            Kind::Sum { temporality: Temporality::Unspecified, .. }
            | Kind::Histogram { temporality: Temporality::Unspecified }
            | Kind::Exponential { temporality: Temporality::Unspecified }
            | Kind::Summary => None,
            Kind::Sum { monotonic: false, temporality: Temporality::Cumulative } => {
                latest(GaugeFunction::Sum)
            }
            Kind::Sum { .. } => Some(Accumulated::Sum { total: Total::default(), has: false }),
            Kind::Histogram { .. } => Some(Accumulated::Explicit(None)),
            Kind::Exponential { .. } => Some(Accumulated::Exponential(Merged::default())),
        }
    }
}

impl Merged {
    /// Adds an exponential histogram.
    pub(crate) fn add(&mut self, other: &Exponential) {
        match &mut self.own {
            Some(own) => own.merge(other, MAX_BUCKETS),
            None => self.own = Some(Box::new(other.clone())),
        }
    }

    /// Adds one with explicit bounds, under settings by which it becomes exponential.
    pub(crate) fn add_explicit(&mut self, other: &Explicit, settings: &HistogramSettings) {
        match &mut self.explicit {
            Some(explicit) if explicit.takes(other) => {
                let added = explicit.add(other);
                debug_assert!(added.is_ok());
            }
            // Other bounds are no hindrance to what has none in the end.
            Some(_) => {
                self.add(&other.to_exponential(compress::scale_of(settings), settings.placement.into()))
            }
            None => {
                (self.scale, self.placement) = (compress::scale_of(settings), settings.placement.into());
                self.explicit = Some(Box::new(other.clone()));
            }
        }
    }

    /// Adds what the same series has under a state that began later.
    pub(crate) fn take_in(&mut self, other: Merged) {
        if let Some(own) = &other.own {
            self.add(own);
        }
        match (&mut self.explicit, other.explicit) {
            (_, None) => {}
            (Some(mine), Some(theirs)) if mine.takes(&theirs) => {
                let added = mine.add(&theirs);
                debug_assert!(added.is_ok());
            }
            (Some(_), Some(theirs)) => self.add(&theirs.to_exponential(other.scale, other.placement)),
            (None, Some(theirs)) => {
                (self.explicit, self.scale, self.placement) = (Some(theirs), other.scale, other.placement);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.own.is_none() && self.explicit.is_none()
    }

    /// All of it; none where nothing was added.
    pub(crate) fn total(&self) -> Option<Exponential> {
        let converted =
            self.explicit.as_ref().map(|explicit| explicit.to_exponential(self.scale, self.placement));
        match (self.own.as_deref(), converted) {
            (Some(own), Some(mut converted)) => {
                converted.merge(own, MAX_BUCKETS);
                Some(converted)
            }
            (own, converted) => converted.or_else(|| own.cloned()),
        }
    }

    /// The bytes that it takes.
    pub(crate) fn memory(&self) -> usize {
        self.own.as_ref().map_or(0, |own| own.memory())
            + self.explicit.as_ref().map_or(0, |explicit| explicit.memory())
    }
}

impl Accumulated {
    /// The bytes that it takes beside itself.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Accumulated::Explicit(Some(value)) => value.memory(),
            Accumulated::Exponential(merged) => merged.memory(),
            Accumulated::Point(latest) => latest.memory(),
            _ => 0,
        }
    }
}
