//! The parts of a point that matter here.

use phoenix_pdata::view::{
    Attributes, Data, ExponentialPoint, HistogramPoint, NumberPoint, SummaryPoint, View as _,
};
use phoenix_pdata::wire::Fields;
use phoenix_series::{Fingerprint, Hasher};

/// The types of metrics, as rules name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Type {
    Gauge,
    Counter,
    UpDownCounter,
    Histogram,
    ExponentialHistogram,
    Summary,
}

impl Type {
    pub(crate) fn of(data: &Data<'_>) -> Type {
        match data {
            Data::Gauge(_) => Type::Gauge,
            Data::Sum(sum) if sum.is_monotonic() => Type::Counter,
            Data::Sum(_) => Type::UpDownCounter,
            Data::Histogram(_) => Type::Histogram,
            Data::ExponentialHistogram(_) => Type::ExponentialHistogram,
            Data::Summary(_) => Type::Summary,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Type::Gauge => "gauge",
            Type::Counter => "counter",
            Type::UpDownCounter => "up_down_counter",
            Type::Histogram => "histogram",
            Type::ExponentialHistogram => "exponential_histogram",
            Type::Summary => "summary",
        }
    }

    /// The field of the metric that holds its points.
    pub(crate) fn field(self) -> u32 {
        match self {
            Type::Gauge => 5,
            Type::Counter | Type::UpDownCounter => 7,
            Type::Histogram => 9,
            Type::ExponentialHistogram => 10,
            Type::Summary => 11,
        }
    }

    /// The fields of a point that hold its attributes and its exemplars.
    fn parts(self) -> (u32, Option<u32>) {
        match self {
            Type::Gauge | Type::Counter | Type::UpDownCounter => (7, Some(5)),
            Type::Histogram => (9, Some(8)),
            Type::ExponentialHistogram => (1, Some(11)),
            Type::Summary => (7, None),
        }
    }

    /// Whether labels can be aggregated away without choosing a function.
    pub(crate) fn adds_up(self) -> bool {
        !matches!(self, Type::Gauge | Type::Summary)
    }

    pub(crate) fn read(self, body: &[u8]) -> Point<'_> {
        let attributes = match self {
            Type::Gauge | Type::Counter | Type::UpDownCounter => NumberPoint::new(body).attributes(),
            Type::Histogram => HistogramPoint::new(body).attributes(),
            Type::ExponentialHistogram => ExponentialPoint::new(body).attributes(),
            Type::Summary => SummaryPoint::new(body).attributes(),
        };
        // The time is field 3 of a point of any type.
        Point { of: self, attributes, time: NumberPoint::new(body).time_unix_nano(), body }
    }
}

/// A point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point<'a> {
    of: Type,
    pub(crate) attributes: Attributes<'a>,
    pub(crate) time: u64,
    pub(crate) body: &'a [u8],
}

impl Point<'_> {
    /// What it says: all of it but attributes, times and exemplars.
    pub(crate) fn value(&self, hasher: &Hasher) -> Fingerprint {
        let (attributes, exemplars) = self.of.parts();
        let says =
            |number: u32| number != attributes && Some(number) != exemplars && !matches!(number, 2 | 3);
        let mut all = Fingerprint::default();
        for field in Fields::new(self.body).filter(|field| says(field.number())) {
            all = hasher.ordered([all, hasher.bytes(field.raw)]);
        }
        all
    }

    pub(crate) fn exemplar_bytes(&self) -> u64 {
        let Some(exemplars) = self.of.parts().1 else { return 0 };
        Fields::new(self.body)
            .filter(|field| field.is_len(exemplars))
            .map(|field| field.raw.len() as u64)
            .sum()
    }
}
