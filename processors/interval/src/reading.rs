//! Which metrics are thinned out, and what their data points are told apart by.

use phoenix_pdata::view::{Attributes, Data, Metric, Temporality};
use phoenix_series::{Fingerprint, Hasher};

use crate::config::PassThrough;

/// A metric whose data points can be thinned out: each replaces those before it.
#[derive(Clone, Copy)]
pub(crate) struct Read<'a> {
    data: Data<'a>,
    /// The number of the field of its data.
    pub(crate) field: u32,
}

/// A data point.
#[derive(Clone, Copy)]
pub(crate) struct PointRead<'a> {
    pub(crate) time: u64,
    pub(crate) attributes: Attributes<'a>,
    /// The message.
    pub(crate) raw: &'a [u8],
}

impl PointRead<'_> {
    /// Who its stream is, in a metric.
    pub(crate) fn key(&self, hasher: &mut Hasher, metric: Fingerprint) -> Fingerprint {
        let attributes = hasher.attributes(&self.attributes);
        hasher.ordered([metric, attributes])
    }
}

impl<'a> Read<'a> {
    /// None where every data point counts: deltas, and as in otelcol sums that can fall.
    pub(crate) fn of(metric: &Metric<'a>) -> Option<Read<'a>> {
        let data = metric.data()?;
        let is_cumulative = |temporality| temporality == Temporality::Cumulative;
        let field = match &data {
            Data::Gauge(_) => 5,
            Data::Sum(sum) if is_cumulative(sum.aggregation_temporality()) && sum.is_monotonic() => 7,
            Data::Histogram(histogram) if is_cumulative(histogram.aggregation_temporality()) => 9,
            Data::ExponentialHistogram(histogram) if is_cumulative(histogram.aggregation_temporality()) => 10,
            Data::Summary(_) => 11,
            _ => return None,
        };
        Some(Read { data, field })
    }

    /// Whether it passes at once.
    pub(crate) fn passes(&self, pass_through: &PassThrough) -> bool {
        match self.data {
            Data::Gauge(_) => pass_through.gauge,
            Data::Summary(_) => pass_through.summary,
            _ => false,
        }
    }

    /// Calls `visit` with each data point.
    pub(crate) fn each_point(&self, mut visit: impl FnMut(PointRead<'a>)) {
        macro_rules! each {
            ($data:expr) => {
                $data.data_points().into_iter().for_each(|point| {
                    visit(PointRead {
                        time: point.time_unix_nano(),
                        attributes: point.attributes(),
                        raw: point.raw(),
                    });
                })
            };
        }
        match &self.data {
            Data::Gauge(data) => each!(data),
            Data::Sum(data) => each!(data),
            Data::Histogram(data) => each!(data),
            Data::ExponentialHistogram(data) => each!(data),
            Data::Summary(data) => each!(data),
        }
    }
}
