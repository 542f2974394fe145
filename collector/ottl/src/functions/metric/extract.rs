//! The sums and counts of histograms and summaries, as metrics of their own.

use super::convert::sum_of;
use super::model::{Data, Metric, Number, NumberDataPoint};
use crate::EvalError;

/// Cumulative, which summaries always are.
const CUMULATIVE: i32 = 2;

/// A sum with the sums of the points that have one; none if no point has.
///
/// # Errors
///
/// Metrics that are neither histogram nor summary, and histograms without temporality.
pub fn sums(metric: &Metric, is_monotonic: bool, suffix: &str) -> Result<Option<Metric>, EvalError> {
    extract(metric, "extract_sum_metric", is_monotonic, suffix, |_, sum| sum.map(Number::Double))
}

/// A sum with the counts of the points, whose unit is 1; none if there is no point.
///
/// # Errors
///
/// Metrics that are neither histogram nor summary, and histograms without temporality.
pub fn counts(metric: &Metric, is_monotonic: bool, suffix: &str) -> Result<Option<Metric>, EvalError> {
    let counts = extract(metric, "extract_count_metric", is_monotonic, suffix, |count, _| {
        Some(Number::Int(count as i64))
    })?;
    Ok(counts.map(|counts| Metric { unit: b"1".to_vec(), ..counts }))
}

fn extract(
    metric: &Metric,
    function: &str,
    is_monotonic: bool,
    suffix: &str,
    value: impl Fn(u64, Option<f64>) -> Option<Number>,
) -> Result<Option<Metric>, EvalError> {
    let point = |attributes: &[Vec<u8>], start_time, time, value: Option<Number>| {
        Some(NumberDataPoint {
            attributes: attributes.to_vec(),
            start_time,
            time,
            value: Some(value?),
            ..NumberDataPoint::default()
        })
    };
    let (points, temporality): (Vec<_>, i32) = match &metric.data {
        Some(Data::Histogram(data)) => (
            data.data_points
                .iter()
                .filter_map(|from| {
                    point(&from.attributes, from.start_time, from.time, value(from.count, from.sum))
                })
                .collect(),
            data.temporality,
        ),
        Some(Data::ExponentialHistogram(data)) => (
            data.data_points
                .iter()
                .filter_map(|from| {
                    point(&from.attributes, from.start_time, from.time, value(from.count, from.sum))
                })
                .collect(),
            data.temporality,
        ),
        Some(Data::Summary(data)) => (
            data.data_points
                .iter()
                .filter_map(|from| {
                    point(&from.attributes, from.start_time, from.time, value(from.count, Some(from.sum)))
                })
                .collect(),
            CUMULATIVE,
        ),
        _ => {
            return Err(EvalError::new(format!(
                "{function} requires a histogram, an exponential histogram or a summary, got a {}",
                metric.type_name()
            )));
        }
    };
    if temporality == 0 {
        return Err(EvalError::new(format!("{function}: the temporality of the metric is unspecified")));
    }
    Ok((!points.is_empty())
        .then(|| metric.derive(suffix, Data::Sum(sum_of(points, temporality, is_monotonic)))))
}

#[cfg(test)]
mod tests {
    use super::super::model::{Gauge, Histogram, HistogramDataPoint, Summary, SummaryDataPoint};
    use super::*;

    #[test]
    fn points_without_a_sum_are_skipped() {
        let with = HistogramDataPoint { count: 3, sum: Some(9.0), time: 5, ..HistogramDataPoint::default() };
        let without = HistogramDataPoint { count: 4, ..HistogramDataPoint::default() };
        let histogram = |points: Vec<HistogramDataPoint>, temporality| Metric {
            name: b"m".into(),
            unit: b"ms".into(),
            data: Some(Data::Histogram(Histogram { data_points: points, temporality })),
            ..Metric::default()
        };
        let metric = histogram(vec![with, without.clone()], 1);
        let sum = sums(&metric, true, "_sum").unwrap().unwrap();
        let Some(Data::Sum(data)) = &sum.data else { panic!("a sum") };
        assert_eq!(
            (data.data_points.len(), data.data_points[0].value, data.temporality),
            (1, Some(Number::Double(9.0)), 1)
        );
        let count = counts(&metric, false, ".n").unwrap().unwrap();
        assert_eq!((count.name.as_slice(), count.unit.as_slice()), (&b"m.n"[..], &b"1"[..]));
        assert!(sums(&histogram(vec![without], 2), true, "").unwrap().is_none());
        assert!(sums(&histogram(Vec::new(), 0), true, "").is_err());
    }

    #[test]
    fn other_metrics_are_refused() {
        let gauge = Metric { data: Some(Data::Gauge(Gauge::default())), ..Metric::default() };
        assert!(counts(&gauge, true, "").is_err() && counts(&Metric::default(), true, "").is_err());
        let summary = Metric {
            data: Some(Data::Summary(Summary { data_points: vec![SummaryDataPoint::default()] })),
            ..Metric::default()
        };
        let Some(Metric { data: Some(Data::Sum(sum)), .. }) = sums(&summary, true, "").unwrap() else {
            panic!("a sum")
        };
        assert_eq!(sum.temporality, CUMULATIVE);
    }
}
