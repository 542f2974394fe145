//! Values in another unit.

use prost::{Message, Oneof};

use super::model::{Data, Metric, Number, decode};
use crate::EvalError;
use crate::functions::number::truncate_float;

/// An exemplar: what it measured, and what goes with it.
#[derive(Clone, PartialEq, Message)]
struct Exemplar {
    #[prost(bytes = "vec", repeated, tag = "7")]
    filtered_attributes: Vec<Vec<u8>>,
    #[prost(fixed64, tag = "2")]
    time: u64,
    #[prost(oneof = "Measured", tags = "3, 6")]
    value: Option<Measured>,
    #[prost(bytes = "vec", tag = "4")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    trace_id: Vec<u8>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Measured {
    #[prost(double, tag = "3")]
    Double(f64),
    #[prost(sfixed64, tag = "6")]
    Int(i64),
}

/// Multiplies the values of a metric, and sets its unit if there is one. Whole numbers stay whole, and
/// lose what is behind the point.
///
/// # Errors
///
/// Exponential histograms, whose buckets do not scale.
pub fn scale(metric: &mut Metric, by: f64, unit: Option<&str>) -> Result<(), EvalError> {
    match &mut metric.data {
        None => {}
        Some(Data::Gauge(gauge)) => {
            gauge.data_points.iter_mut().for_each(|point| scale_number(&mut point.value, by))
        }
        Some(Data::Sum(sum)) => {
            sum.data_points.iter_mut().for_each(|point| scale_number(&mut point.value, by))
        }
        Some(Data::Histogram(histogram)) => {
            for point in &mut histogram.data_points {
                let values = [&mut point.sum, &mut point.min, &mut point.max];
                values.into_iter().flatten().for_each(|value| *value *= by);
                point.explicit_bounds.iter_mut().for_each(|bound| *bound *= by);
                for encoded in &mut point.exemplars {
                    let mut exemplar: Exemplar = decode(encoded)?;
                    match &mut exemplar.value {
                        Some(Measured::Double(value)) => *value *= by,
                        Some(Measured::Int(value)) => *value = truncate_float(*value as f64 * by),
                        None => {}
                    }
                    *encoded = exemplar.encode_to_vec();
                }
            }
        }
        Some(Data::Summary(summary)) => {
            for point in &mut summary.data_points {
                point.sum *= by;
                point.quantiles.iter_mut().for_each(|quantile| quantile.value *= by);
            }
        }
        Some(Data::ExponentialHistogram(_)) => {
            return Err(EvalError::new("exponential histograms are not supported by scale_metric"));
        }
    }
    if let Some(unit) = unit {
        metric.unit = unit.as_bytes().to_vec();
    }
    Ok(())
}

fn scale_number(value: &mut Option<Number>, by: f64) {
    match value {
        Some(Number::Double(value)) => *value *= by,
        Some(Number::Int(value)) => *value = truncate_float(*value as f64 * by),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{ExponentialHistogram, Gauge, Histogram, HistogramDataPoint, NumberDataPoint};
    use super::*;

    #[test]
    fn scales() {
        let points = [Number::Int(7), Number::Double(0.5)]
            .map(|value| NumberDataPoint { value: Some(value), ..NumberDataPoint::default() });
        let mut metric = Metric {
            unit: b"s".into(),
            data: Some(Data::Gauge(Gauge { data_points: points.into() })),
            ..Metric::default()
        };
        scale(&mut metric, 0.5, Some("ms")).unwrap();
        let Some(Data::Gauge(gauge)) = &metric.data else { panic!("a gauge") };
        assert_eq!(
            gauge.data_points.iter().map(|point| point.value).collect::<Vec<_>>(),
            [Some(Number::Int(3)), Some(Number::Double(0.25))]
        );
        assert_eq!(metric.unit, b"ms");
        let exemplar =
            Exemplar { value: Some(Measured::Int(4)), trace_id: vec![1; 16], ..Exemplar::default() };
        let point = HistogramDataPoint {
            sum: Some(2.0),
            max: Some(3.0),
            explicit_bounds: vec![1.0],
            exemplars: vec![exemplar.encode_to_vec()],
            ..HistogramDataPoint::default()
        };
        let mut metric = Metric {
            data: Some(Data::Histogram(Histogram { data_points: vec![point], temporality: 1 })),
            ..Metric::default()
        };
        scale(&mut metric, 2.0, None).unwrap();
        let Some(Data::Histogram(histogram)) = &metric.data else { panic!("a histogram") };
        let point = &histogram.data_points[0];
        assert_eq!(
            (point.sum, point.min, point.max, point.explicit_bounds.as_slice()),
            (Some(4.0), None, Some(6.0), &[2.0][..])
        );
        let exemplar: Exemplar = decode(&point.exemplars[0]).unwrap();
        assert_eq!((exemplar.value, exemplar.trace_id), (Some(Measured::Int(8)), vec![1; 16]));
        let mut exponential = Metric {
            data: Some(Data::ExponentialHistogram(ExponentialHistogram::default())),
            ..Metric::default()
        };
        assert!(scale(&mut exponential, 2.0, Some("x")).is_err());
        assert_eq!(exponential.unit, b"");
    }
}
