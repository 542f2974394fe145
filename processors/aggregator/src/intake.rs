//! Reads requests: which data points a rule takes, and what they say.

use phoenix_pdata::view::{
    Attributes, Data, Exemplar, ExponentialPoint, HistogramPoint, Many, Metric, Number, NumberPoint,
    Resource, Scope, SummaryPoint, Text,
};
use phoenix_pdata::write::{put_bytes, put_uint};
use phoenix_series::{
    Explicit, Exponential, Fingerprint, Hasher, KnownBounds, NO_RECORDED_VALUE, Place, STALE_NAN,
};

use crate::examples::power_of;
use crate::kind::Kind;
use crate::replicas::Member;
use crate::value::{Summary, Value, as_double};

/// What data points of one metric have in common.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) resource: Option<Resource<'a>>,
    pub(crate) resource_schema: Text<'a>,
    pub(crate) resource_id: Fingerprint,
    /// Who sent it, as far as its resource says.
    pub(crate) member: Member,
    pub(crate) scope: Option<Scope<'a>>,
    pub(crate) scope_schema: Text<'a>,
    pub(crate) scope_id: Fingerprint,
    pub(crate) metric: Metric<'a>,
    pub(crate) kind: Kind,
    /// The identity of resource, scope and metric together.
    pub(crate) id: Fingerprint,
}

/// Why a data point cannot be taken by anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// Not a number, or infinite.
    NotFinite,
    /// No time, no value, or counts that do not add up.
    Invalid,
}

/// Buffers of histograms that are used again.
// The boxes themselves are what is used again.
#[allow(clippy::vec_box)]
#[derive(Debug, Default)]
pub(crate) struct Pool {
    explicit: Vec<Box<Explicit>>,
    exponential: Vec<Box<Exponential>>,
    bounds: KnownBounds,
}

/// Windows that close give back many at once.
const MOST_POOLED: usize = 4096;

impl Pool {
    pub(crate) fn give_back(&mut self, value: Value) {
        match value {
            Value::Explicit(histogram) if self.explicit.len() < MOST_POOLED => self.explicit.push(histogram),
            Value::Exponential(histogram) if self.exponential.len() < MOST_POOLED => {
                self.exponential.push(histogram);
            }
            _ => {}
        }
    }

    /// Makes a histogram share its bounds with others.
    pub(crate) fn share(&mut self, value: &mut Value) {
        if let Value::Explicit(histogram) = value {
            self.bounds.share(histogram);
        }
    }
}

/// A data point of any kind.
pub(crate) trait Point<'a>: Copy {
    fn raw(&self) -> &'a [u8];
    fn attributes(&self) -> Attributes<'a>;
    fn place(&self) -> Place;
    fn flags(&self) -> u32;
    fn read(&self, pool: &mut Pool) -> Result<Value, Unusable>;
    /// Examples of its measurements.
    fn exemplars(&self) -> Many<'a, Exemplar<'a>>;
    /// The bucket of one of them, where there are buckets.
    fn bucket_of(&self, value: Option<Number>) -> Option<i64>;

    /// What it says.
    fn value(&self, pool: &mut Pool) -> Result<Value, Unusable> {
        if self.place().time == 0 {
            return Err(Unusable::Invalid);
        }
        if self.flags() & NO_RECORDED_VALUE != 0 {
            return Ok(Value::Ended);
        }
        self.read(pool)
    }
}

macro_rules! points {
    ($($point:ident |$this:ident, $pool:ident| $read:expr, $exemplars:expr, |$value:ident| $bucket:expr;)*) => {$(
        impl<'a> Point<'a> for $point<'a> {
            fn raw(&self) -> &'a [u8] {
                $point::raw(self)
            }

            fn attributes(&self) -> Attributes<'a> {
                $point::attributes(self)
            }

            fn place(&self) -> Place {
                Place { start: self.start_time_unix_nano(), time: self.time_unix_nano() }
            }

            fn flags(&self) -> u32 {
                $point::flags(self)
            }

            fn read(&self, $pool: &mut Pool) -> Result<Value, Unusable> {
                let $this = self;
                $read
            }

            fn exemplars(&self) -> Many<'a, Exemplar<'a>> {
                let $this = self;
                $exemplars
            }

            fn bucket_of(&self, $value: Option<Number>) -> Option<i64> {
                let $this = self;
                $bucket
            }
        }
    )*};
}

points! {
    NumberPoint |point, _pool| match point.value() {
        Some(Number::Double(value)) if value.to_bits() == STALE_NAN => Ok(Value::Ended),
        Some(Number::Double(value)) if !value.is_finite() => Err(Unusable::NotFinite),
        Some(number) => Ok(Value::Number(number)),
        None => Err(Unusable::Invalid),
    }, point.exemplars(), |_value| { let _ = point; None };
    HistogramPoint |point, pool| {
        let mut histogram = pool.explicit.pop().unwrap_or_default();
        match histogram.read_shared(point, &mut pool.bounds) {
            true => Ok(Value::Explicit(histogram)),
            false => Err(Unusable::Invalid),
        }
    }, point.exemplars(), |value| {
        let value = as_double(value?);
        Some(point.explicit_bounds().into_iter().take_while(|bound| *bound < value).count() as i64)
    };
    ExponentialPoint |point, pool| {
        let mut histogram = pool.exponential.pop().unwrap_or_default();
        match histogram.read(point) {
            true => Ok(Value::Exponential(histogram)),
            false => Err(Unusable::Invalid),
        }
    }, point.exemplars(), |value| { let _ = point; power_of(value) };
    SummaryPoint |point, _pool| Ok(Value::Summary(Box::new(Summary(point.raw().into())))),
        { let _ = point; Many::default() }, |_value| { let _ = point; None };
}

/// Identities of what lies around data points.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    scratch: Vec<u8>,
}

impl Identities {
    /// Without the attribute that tells replicas apart; nothing where there is none.
    pub(crate) fn resource(
        &mut self,
        hasher: &mut Hasher,
        resource: Option<Resource<'_>>,
        schema: Text<'_>,
        replica: Fingerprint,
    ) -> Fingerprint {
        let attributes =
            resource.map(|resource| hasher.attributes(&resource.attributes())).unwrap_or_default();
        hasher.ordered([attributes.minus(replica), hasher.bytes(schema.as_bytes())])
    }

    pub(crate) fn scope(
        &mut self,
        hasher: &mut Hasher,
        scope: Option<Scope<'_>>,
        schema: Text<'_>,
    ) -> Fingerprint {
        let attributes = scope.map(|scope| hasher.attributes(&scope.attributes())).unwrap_or_default();
        self.scratch.clear();
        if let Some(scope) = scope {
            put_bytes(&mut self.scratch, 1, scope.name().as_bytes());
            put_bytes(&mut self.scratch, 2, scope.version().as_bytes());
        }
        put_bytes(&mut self.scratch, 3, schema.as_bytes());
        hasher.ordered([attributes, hasher.bytes(&self.scratch)])
    }

    /// Name, unit and kind; the description is no part of it.
    pub(crate) fn metric(&mut self, hasher: &Hasher, metric: &Metric<'_>, kind: Kind) -> Fingerprint {
        self.scratch.clear();
        put_bytes(&mut self.scratch, 1, metric.name().as_bytes());
        put_bytes(&mut self.scratch, 2, metric.unit().as_bytes());
        put_uint(&mut self.scratch, 3, u64::from(kind.number()));
        hasher.bytes(&self.scratch)
    }
}

/// Calls `visit` with each data point of a metric.
macro_rules! each_point {
    ($data:expr, |$point:ident| $body:expr) => {
        match $data {
            phoenix_pdata::view::Data::Gauge(data) => data.data_points().into_iter().for_each(|$point| $body),
            phoenix_pdata::view::Data::Sum(data) => data.data_points().into_iter().for_each(|$point| $body),
            phoenix_pdata::view::Data::Histogram(data) => {
                data.data_points().into_iter().for_each(|$point| $body)
            }
            phoenix_pdata::view::Data::ExponentialHistogram(data) => {
                data.data_points().into_iter().for_each(|$point| $body)
            }
            phoenix_pdata::view::Data::Summary(data) => {
                data.data_points().into_iter().for_each(|$point| $body)
            }
        }
    };
}
pub(crate) use each_point;

/// The earliest time of the data points of a metric, and since when they count.
pub(crate) fn earliest(data: Data<'_>, kind: Kind) -> Option<(u64, u64)> {
    let mut found: Option<(u64, u64)> = None;
    let levels = kind.meaning() == Some(crate::stream::Meaning::Levels);
    each_point!(data, |point| {
        let place = Point::place(&point);
        if place.time > 0 {
            // A start that is not before its data point says nothing.
            let says = !levels && place.start != 0 && place.start < place.time;
            let since = if says { place.start } else { place.time - 1 };
            let (time, began) = found.unwrap_or((u64::MAX, u64::MAX));
            found = Some((time.min(place.time), began.min(since)));
        }
    });
    found
}
