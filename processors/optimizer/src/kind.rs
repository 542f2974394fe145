//! The kinds of metrics, and how their points are read.

use phoenix_pdata::view::{
    Attributes, Data, Exemplar, ExponentialPoint, HistogramPoint, Many, Number, NumberPoint, SummaryPoint,
    Temporality, View as _,
};
use phoenix_series::{NO_RECORDED_VALUE, STALE_NAN};

use crate::config::MetricType;

/// What identifies a metric besides name and unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Gauge,
    Sum { monotonic: bool, temporality: Temporality },
    Histogram { temporality: Temporality },
    Exponential { temporality: Temporality },
    Summary,
}

impl Kind {
    pub(crate) fn of(data: &Data<'_>) -> Kind {
        match data {
            Data::Gauge(_) => Kind::Gauge,
            Data::Sum(sum) => {
                Kind::Sum { monotonic: sum.is_monotonic(), temporality: sum.aggregation_temporality() }
            }
            Data::Histogram(histogram) => {
                Kind::Histogram { temporality: histogram.aggregation_temporality() }
            }
            Data::ExponentialHistogram(histogram) => {
                Kind::Exponential { temporality: histogram.aggregation_temporality() }
            }
            Data::Summary(_) => Kind::Summary,
        }
    }

    /// The kind that explicit histograms become where they are converted; all others stay.
    pub(crate) fn converted(self) -> Kind {
        match self {
            Kind::Histogram { temporality } => Kind::Exponential { temporality },
            kind => kind,
        }
    }

    /// The field of the metric that holds its points.
    pub(crate) fn field(self) -> u32 {
        match self {
            Kind::Gauge => 5,
            Kind::Sum { .. } => 7,
            Kind::Histogram { .. } => 9,
            Kind::Exponential { .. } => 10,
            Kind::Summary => 11,
        }
    }

    /// The field of a point that holds its attributes.
    pub(crate) fn attributes_field(self) -> u32 {
        match self {
            Kind::Gauge | Kind::Sum { .. } | Kind::Summary => 7,
            Kind::Histogram { .. } => 9,
            Kind::Exponential { .. } => 1,
        }
    }

    /// The field of a point that holds its exemplars.
    pub(crate) fn exemplars_field(self) -> Option<u32> {
        match self {
            Kind::Gauge | Kind::Sum { .. } => Some(5),
            Kind::Histogram { .. } => Some(8),
            Kind::Exponential { .. } => Some(11),
            Kind::Summary => None,
        }
    }

    /// A number that tells kinds apart.
    pub(crate) fn code(self) -> [u8; 3] {
        let temporality = |temporality: Temporality| match temporality {
            Temporality::Unspecified => 0,
            Temporality::Delta => 1,
            Temporality::Cumulative => 2,
        };
        match self {
            Kind::Gauge => [5, 0, 0],
            Kind::Sum { monotonic, temporality: of } => [7, temporality(of), u8::from(monotonic)],
            Kind::Histogram { temporality: of } => [9, temporality(of), 0],
            Kind::Exponential { temporality: of } => [10, temporality(of), 0],
            Kind::Summary => [11, 0, 0],
        }
    }

    pub(crate) fn metric_type(self) -> MetricType {
        match self {
            Kind::Gauge => MetricType::Gauge,
            Kind::Sum { monotonic: true, .. } => MetricType::Counter,
            Kind::Sum { .. } => MetricType::UpDownCounter,
            Kind::Histogram { .. } => MetricType::Histogram,
            Kind::Exponential { .. } => MetricType::ExponentialHistogram,
            Kind::Summary => MetricType::Summary,
        }
    }

    /// Of sums and histograms.
    pub(crate) fn temporality(self) -> Option<Temporality> {
        match self {
            Kind::Sum { temporality, .. }
            | Kind::Histogram { temporality }
            | Kind::Exponential { temporality } => Some(temporality),
            Kind::Gauge | Kind::Summary => None,
        }
    }

    /// Reads a point.
    pub(crate) fn read(self, body: &[u8]) -> Reading<'_> {
        match self {
            Kind::Gauge | Kind::Sum { .. } => {
                let point = NumberPoint::new(body);
                Reading {
                    start: point.start_time_unix_nano(),
                    time: point.time_unix_nano(),
                    flags: point.flags(),
                    attributes: point.attributes(),
                    exemplars: point.exemplars(),
                    value: Value::Number(point.value()),
                    body,
                }
            }
            Kind::Histogram { .. } => {
                let point = HistogramPoint::new(body);
                Reading {
                    start: point.start_time_unix_nano(),
                    time: point.time_unix_nano(),
                    flags: point.flags(),
                    attributes: point.attributes(),
                    exemplars: point.exemplars(),
                    value: Value::Histogram(point),
                    body,
                }
            }
            Kind::Exponential { .. } => {
                let point = ExponentialPoint::new(body);
                Reading {
                    start: point.start_time_unix_nano(),
                    time: point.time_unix_nano(),
                    flags: point.flags(),
                    attributes: point.attributes(),
                    exemplars: point.exemplars(),
                    value: Value::Exponential(point),
                    body,
                }
            }
            Kind::Summary => {
                let point = SummaryPoint::new(body);
                Reading {
                    start: point.start_time_unix_nano(),
                    time: point.time_unix_nano(),
                    flags: point.flags(),
                    attributes: point.attributes(),
                    exemplars: Many::default(),
                    value: Value::Summary,
                    body,
                }
            }
        }
    }
}

/// A point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) start: u64,
    pub(crate) time: u64,
    pub(crate) flags: u32,
    pub(crate) attributes: Attributes<'a>,
    pub(crate) exemplars: Many<'a, Exemplar<'a>>,
    pub(crate) value: Value<'a>,
    pub(crate) body: &'a [u8],
}

/// What a point says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Number(Option<Number>),
    Histogram(HistogramPoint<'a>),
    Exponential(ExponentialPoint<'a>),
    Summary,
}

impl Reading<'_> {
    /// Whether the point says that its series ended, in OTLP's way or in that of Prometheus.
    pub(crate) fn is_stale(&self) -> bool {
        let is_marker = |number: f64| number.to_bits() == STALE_NAN;
        self.flags & NO_RECORDED_VALUE != 0
            || match self.value {
                Value::Number(Some(Number::Double(number))) => is_marker(number),
                Value::Histogram(point) => point.sum().is_some_and(is_marker),
                Value::Exponential(point) => point.sum().is_some_and(is_marker),
                _ => false,
            }
    }
}

/// A number as a double.
pub(crate) fn as_double(number: Number) -> f64 {
    match number {
        Number::Int(value) => value as f64,
        Number::Double(value) => value,
    }
}
