//! Percentiles of histograms, by interpolation within the bucket that holds them.

use super::exponential::bound;
use super::model::{
    Buckets, Data, ExponentialDataPoint, Gauge, HistogramDataPoint, Metric, Number, NumberDataPoint,
};
use crate::EvalError;
use crate::functions::number::general_float;

/// What is added to the name if nothing else is said: `_p99.9`.
pub fn default_suffix(percentile: f64) -> String {
    format!("_p{}", general_float(percentile, 21))
}

/// A gauge with the percentile of each point of a histogram; none for other metrics, and where no point
/// has one.
///
/// # Errors
///
/// Points whose buckets do not hold as many values as they should, or do not fit their bounds.
pub fn percentile(metric: &Metric, percentile: f64, suffix: &str) -> Result<Option<Metric>, EvalError> {
    let point = |attributes: &[Vec<u8>], start_time, time, value| NumberDataPoint {
        attributes: attributes.to_vec(),
        start_time,
        time,
        value: Some(Number::Double(value)),
        ..NumberDataPoint::default()
    };
    let mut points = Vec::new();
    match &metric.data {
        Some(Data::Histogram(data)) => {
            for from in &data.data_points {
                if let Some(value) = of_histogram(from, percentile)? {
                    points.push(point(&from.attributes, from.start_time, from.time, value));
                }
            }
        }
        Some(Data::ExponentialHistogram(data)) => {
            for from in &data.data_points {
                if let Some(value) = of_exponential(from, percentile)? {
                    points.push(point(&from.attributes, from.start_time, from.time, value));
                }
            }
        }
        _ => {}
    }
    if points.is_empty() {
        return Ok(None);
    }
    let mut gauge = metric.derive(suffix, Data::Gauge(Gauge { data_points: points }));
    let shown = format!("p{}", general_float(percentile, 21));
    if gauge.description.is_empty() {
        gauge.description = shown.into_bytes();
    } else {
        gauge.description.extend_from_slice(format!(" ({shown})").as_bytes());
    }
    Ok(Some(gauge))
}

/// How many values lie at or below the percentile.
fn target(count: u64, percentile: f64) -> u64 {
    (count as f64 * (percentile / 100.0)).ceil() as u64
}

fn too_few(target: u64, counted: u64) -> EvalError {
    EvalError::new(format!(
        "percentile not found: the buckets hold {counted} values, the {target}th is asked for"
    ))
}

/// The bucket that holds the `target`th value: its index, and which part of its values lies below.
fn bucket(counts: &[u64], before: u64, target: u64) -> Result<(usize, f64), u64> {
    let mut counted = before;
    for (index, &count) in counts.iter().enumerate() {
        let next = counted.saturating_add(count);
        if next >= target {
            // Only the 0th value is in a bucket without values.
            let part = if count == 0 { 0.0 } else { target.saturating_sub(counted) as f64 / count as f64 };
            return Ok((index, part));
        }
        counted = next;
    }
    Err(counted)
}

fn of_histogram(point: &HistogramDataPoint, percentile: f64) -> Result<Option<f64>, EvalError> {
    let bounds = &point.explicit_bounds;
    if point.count == 0 || point.bucket_counts.is_empty() {
        return Ok(None);
    }
    if point.bucket_counts.len() != bounds.len() + 1 {
        return Err(EvalError::new(format!(
            "a histogram has {} buckets, which do not fit its {} bounds",
            point.bucket_counts.len(),
            bounds.len()
        )));
    }
    let target = target(point.count, percentile);
    let (index, part) =
        bucket(&point.bucket_counts, 0, target).map_err(|counted| too_few(target, counted))?;
    let between = |lower: f64, upper: f64| Some(lower + (upper - lower) * part);
    Ok(match (index.checked_sub(1).map(|below| bounds[below]), bounds.get(index).copied()) {
        (None, None) => match (point.min, point.max) {
            (Some(min), Some(max)) => between(min, max),
            _ => None,
        },
        (None, Some(upper)) => match point.min {
            Some(min) if min < upper => between(min, upper),
            _ if upper < 0.0 => Some(upper),
            _ => between(0.0, upper),
        },
        (Some(lower), Some(upper)) => between(lower, upper),
        (Some(lower), None) => match point.max {
            Some(max) if max > lower => between(lower, max),
            _ => Some(lower),
        },
    })
}

fn of_exponential(point: &ExponentialDataPoint, percentile: f64) -> Result<Option<f64>, EvalError> {
    const NONE: &Buckets = &Buckets { offset: 0, bucket_counts: Vec::new() };
    let negative = point.negative.as_ref().unwrap_or(NONE);
    let positive = point.positive.as_ref().unwrap_or(NONE);
    let has = |buckets: &Buckets| !buckets.bucket_counts.is_empty();
    if point.count == 0 || !(has(negative) || has(positive) || point.zero_count > 0) {
        return Ok(None);
    }
    let target = target(point.count, percentile);
    // Upwards: the negative buckets of the largest magnitude come first.
    let downwards: Vec<u64> = negative.bucket_counts.iter().rev().copied().collect();
    let below_zero = match bucket(&downwards, 0, target) {
        Ok((index, part)) => {
            let index = negative.bucket_counts.len() - 1 - index;
            return Ok(Some(-within(negative, index, point.scale, 1.0 - part)));
        }
        Err(counted) => counted,
    };
    if let Ok((_, part)) = bucket(&[point.zero_count], below_zero, target) {
        let lower = if has(positive) && !has(negative) { 0.0 } else { -point.zero_threshold };
        let upper = if has(negative) && !has(positive) { 0.0 } else { point.zero_threshold };
        return Ok(Some(lower + (upper - lower) * part));
    }
    let before = below_zero.saturating_add(point.zero_count);
    let (index, part) =
        bucket(&positive.bucket_counts, before, target).map_err(|counted| too_few(target, counted))?;
    Ok(Some(within(positive, index, point.scale, part)))
}

/// The value at a part of a bucket, on a logarithmic scale.
fn within(buckets: &Buckets, index: usize, scale: i32, part: f64) -> f64 {
    let index = i64::from(buckets.offset) + index as i64;
    let (lower, upper) = (bound(index, scale).log2(), bound(index + 1, scale).log2());
    (lower + (upper - lower) * part).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(counts: &[u64], bounds: &[f64], min: Option<f64>, max: Option<f64>) -> HistogramDataPoint {
        HistogramDataPoint {
            count: counts.iter().sum(),
            bucket_counts: counts.to_vec(),
            explicit_bounds: bounds.to_vec(),
            min,
            max,
            ..HistogramDataPoint::default()
        }
    }

    #[test]
    fn of_explicit_buckets() {
        let usual = histogram(&[4, 6, 8, 2], &[10.0, 50.0, 100.0], Some(2.0), Some(180.0));
        for (percentile, value) in
            [(50.0, 50.0), (99.9, 180.0), (20.0, 10.0), (10.0, 6.0), (70.0, 75.0), (0.0, 2.0)]
        {
            assert_eq!(of_histogram(&usual, percentile).unwrap(), Some(value), "p{percentile}");
        }
        let open = histogram(&[1, 1], &[-5.0], None, None);
        assert_eq!(
            (of_histogram(&open, 50.0).unwrap(), of_histogram(&open, 100.0).unwrap()),
            (Some(-5.0), Some(-5.0))
        );
        assert_eq!(of_histogram(&histogram(&[4], &[], Some(0.0), Some(8.0)), 25.0).unwrap(), Some(2.0));
        assert_eq!(of_histogram(&histogram(&[4], &[], None, Some(8.0)), 25.0).unwrap(), None);
        assert_eq!(of_histogram(&histogram(&[], &[], None, None), 50.0).unwrap(), None);
        assert!(of_histogram(&histogram(&[1, 1, 1], &[1.0], None, None), 50.0).is_err());
        let short = HistogramDataPoint { count: 10, ..histogram(&[1, 1], &[1.0], None, None) };
        assert!(of_histogram(&short, 90.0).is_err());
    }

    #[test]
    fn of_exponential_buckets() {
        let buckets = |offset, counts: &[u64]| Some(Buckets { offset, bucket_counts: counts.to_vec() });
        let point = ExponentialDataPoint {
            count: 8,
            zero_count: 2,
            zero_threshold: 0.5,
            positive: buckets(0, &[2, 2]),
            negative: buckets(1, &[1, 1]),
            ..ExponentialDataPoint::default()
        };
        // -8..-4 holds one value, -4..-2 one, zero two, 1..2 two, 2..4 two.
        for (percentile, value) in [
            (12.5, -4.0),
            (25.0, -2.0),
            (37.5, 0.0),
            (50.0, 0.5),
            (75.0, 2.0),
            (100.0, 4.0),
            (62.5, 2f64.sqrt()),
        ] {
            let found = of_exponential(&point, percentile).unwrap().unwrap();
            assert!((found - value).abs() < 1e-12, "p{percentile}: {found}");
        }
        let zeros = ExponentialDataPoint {
            count: 3,
            zero_count: 2,
            zero_threshold: 1.0,
            positive: buckets(0, &[1]),
            ..ExponentialDataPoint::default()
        };
        assert_eq!(of_exponential(&zeros, 30.0).unwrap(), Some(0.5));
        assert_eq!(of_exponential(&ExponentialDataPoint::default(), 50.0).unwrap(), None);
        let short = ExponentialDataPoint { count: 9, ..zeros };
        assert!(of_exponential(&short, 100.0).is_err());
    }
}
