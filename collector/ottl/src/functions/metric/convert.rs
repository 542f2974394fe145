//! One type of metric as another.

use super::Temporality;
use super::model::{AnyValue, Attribute, Data, Gauge, Metric, Number, NumberDataPoint, Sum};

/// Makes a sum a gauge; false if it is none.
pub fn sum_to_gauge(metric: &mut Metric) -> bool {
    match metric.data.take() {
        Some(Data::Sum(sum)) => {
            metric.data = Some(Data::Gauge(Gauge { data_points: sum.data_points }));
            true
        }
        other => {
            metric.data = other;
            false
        }
    }
}

/// Makes a gauge a sum; false if it is none.
pub fn gauge_to_sum(metric: &mut Metric, temporality: Temporality, is_monotonic: bool) -> bool {
    match metric.data.take() {
        Some(Data::Gauge(gauge)) => {
            metric.data = Some(Data::Sum(sum_of(gauge.data_points, temporality as i32, is_monotonic)));
            true
        }
        other => {
            metric.data = other;
            false
        }
    }
}

/// The quantiles of a summary as a gauge with a point for each, and the quantile as its attribute.
pub fn quantiles_to_gauge(metric: &Metric, attribute_key: &str, suffix: &str) -> Option<Metric> {
    let Some(Data::Summary(summary)) = &metric.data else { return None };
    let mut data_points = Vec::new();
    for point in &summary.data_points {
        for quantile in &point.quantiles {
            let mut attributes = point.attributes.clone();
            let is_other = |attribute: &Vec<u8>| {
                Attribute::read(attribute).map_or(true, |attribute| attribute.key != attribute_key.as_bytes())
            };
            attributes.retain(is_other);
            attributes.push(Attribute::encode(attribute_key.as_bytes(), AnyValue::Double(quantile.quantile)));
            data_points.push(NumberDataPoint {
                attributes,
                start_time: point.start_time,
                time: point.time,
                value: Some(Number::Double(quantile.value)),
                ..NumberDataPoint::default()
            });
        }
    }
    Some(metric.derive(suffix, Data::Gauge(Gauge { data_points })))
}

/// The counts of a summary's points as a sum.
pub fn summary_counts(
    metric: &Metric,
    temporality: Temporality,
    is_monotonic: bool,
    suffix: &str,
) -> Option<Metric> {
    // As in Go, what a signed number cannot hold wraps.
    summary_sum(metric, temporality, is_monotonic, suffix, |count, _| Number::Int(count as i64))
}

/// The sums of a summary's points as a sum.
pub fn summary_sums(
    metric: &Metric,
    temporality: Temporality,
    is_monotonic: bool,
    suffix: &str,
) -> Option<Metric> {
    summary_sum(metric, temporality, is_monotonic, suffix, |_, sum| Number::Double(sum))
}

fn summary_sum(
    metric: &Metric,
    temporality: Temporality,
    is_monotonic: bool,
    suffix: &str,
    value: impl Fn(u64, f64) -> Number,
) -> Option<Metric> {
    let Some(Data::Summary(summary)) = &metric.data else { return None };
    let points = summary.data_points.iter().map(|point| NumberDataPoint {
        attributes: point.attributes.clone(),
        start_time: point.start_time,
        time: point.time,
        value: Some(value(point.count, point.sum)),
        ..NumberDataPoint::default()
    });
    Some(metric.derive(suffix, Data::Sum(sum_of(points.collect(), temporality as i32, is_monotonic))))
}

/// A sum of these points.
pub(super) fn sum_of(data_points: Vec<NumberDataPoint>, temporality: i32, is_monotonic: bool) -> Sum {
    Sum { data_points, temporality, is_monotonic }
}

#[cfg(test)]
mod tests {
    use super::super::model::{Quantile, Summary, SummaryDataPoint};
    use super::*;

    #[test]
    fn sums_and_gauges() {
        let mut metric = Metric {
            data: Some(Data::Gauge(Gauge { data_points: vec![NumberDataPoint::default()] })),
            ..Metric::default()
        };
        assert!(!sum_to_gauge(&mut metric));
        assert!(gauge_to_sum(&mut metric, Temporality::Delta, true));
        let Some(Data::Sum(sum)) = &metric.data else { panic!("a sum") };
        assert_eq!((sum.data_points.len(), sum.temporality, sum.is_monotonic), (1, 1, true));
        assert!(!gauge_to_sum(&mut metric, Temporality::Delta, true));
        assert!(sum_to_gauge(&mut metric));
        assert_eq!(metric.type_name(), "gauge");
    }

    #[test]
    fn summaries() {
        let point = SummaryDataPoint {
            attributes: vec![
                Attribute::encode(b"q", AnyValue::Text(b"old".into())),
                Attribute::encode(b"op", AnyValue::Text(b"x".into())),
            ],
            count: 8,
            sum: 64.0,
            time: 5,
            quantiles: vec![Quantile { quantile: 0.5, value: 7.0 }, Quantile { quantile: 0.99, value: 9.0 }],
            ..SummaryDataPoint::default()
        };
        let metric = Metric {
            name: b"m".into(),
            unit: b"ms".into(),
            data: Some(Data::Summary(Summary { data_points: vec![point] })),
            ..Metric::default()
        };
        let gauge = quantiles_to_gauge(&metric, "q", "_qq").unwrap();
        assert_eq!((gauge.name.as_slice(), gauge.unit.as_slice()), (&b"m_qq"[..], &b"ms"[..]));
        let Some(Data::Gauge(Gauge { data_points })) = &gauge.data else { panic!("a gauge") };
        assert_eq!(
            data_points.iter().map(|point| point.value).collect::<Vec<_>>(),
            [Some(Number::Double(7.0)), Some(Number::Double(9.0))]
        );
        assert_eq!(data_points[0].attributes.len(), 2, "the attribute of the same key is replaced");
        let counts = summary_counts(&metric, Temporality::Cumulative, true, "_count").unwrap();
        let Some(Data::Sum(sum)) = &counts.data else { panic!("a sum") };
        assert_eq!((sum.data_points[0].value, sum.data_points[0].time), (Some(Number::Int(8)), 5));
        assert!(summary_sums(&gauge, Temporality::Delta, true, "").is_none());
    }
}
