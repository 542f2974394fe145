//! Exponential histograms as histograms with given bounds.

use std::str::FromStr;

use super::model::{Data, ExponentialDataPoint, Histogram, HistogramDataPoint, Metric};
use crate::EvalError;

/// Where the values of a bucket go that lies across several bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// All to the first bound that is not below the bucket.
    Upper,
    /// All to where the middle of the bucket is.
    Midpoint,
    /// Evenly to all bounds within the bucket.
    Uniform,
    /// By chance to the bounds within the bucket.
    Random,
}

impl FromStr for Distribution {
    type Err = EvalError;

    fn from_str(name: &str) -> Result<Self, EvalError> {
        match name {
            "upper" => Ok(Self::Upper),
            "midpoint" => Ok(Self::Midpoint),
            "uniform" => Ok(Self::Uniform),
            "random" => Ok(Self::Random),
            _ => Err(EvalError::new(format!(
                "invalid distribution algorithm: {name}, must be one of upper, midpoint, uniform, random"
            ))),
        }
    }
}

/// Where a bucket of an index begins: `2^(index * 2^-scale)`.
pub(super) fn bound(index: i64, scale: i32) -> f64 {
    (index as f64 * f64::from(-scale).exp2()).exp2()
}

/// Makes an exponential histogram one with these bounds; false if it is none. As in the original there are
/// as many buckets as bounds, values below zero are left out, and those that are zero count only where the
/// first bound is.
pub fn to_explicit(
    metric: &mut Metric,
    distribution: Distribution,
    bounds: &[f64],
    random: &mut impl FnMut() -> u64,
) -> bool {
    let Some(Data::ExponentialHistogram(data)) = &metric.data else { return false };
    let points = data.data_points.iter().map(|point| HistogramDataPoint {
        attributes: point.attributes.clone(),
        start_time: point.start_time,
        time: point.time,
        count: point.count,
        sum: point.sum,
        min: point.min,
        max: point.max,
        bucket_counts: counts(point, distribution, bounds, random),
        explicit_bounds: bounds.to_vec(),
        exemplars: point.exemplars.clone(),
        flags: point.flags,
    });
    let histogram = Histogram { data_points: points.collect(), temporality: data.temporality };
    metric.data = Some(Data::Histogram(histogram));
    true
}

fn counts(
    point: &ExponentialDataPoint,
    distribution: Distribution,
    bounds: &[f64],
    random: &mut impl FnMut() -> u64,
) -> Vec<u64> {
    let mut counts = vec![0u64; bounds.len()];
    let Some(last) = bounds.len().checked_sub(1) else { return counts };
    let mut add = |index: usize, count: u64| counts[index] = counts[index].saturating_add(count);
    if bounds[0] == 0.0 {
        add(0, point.zero_count);
    }
    let Some(positive) = &point.positive else { return counts };
    for (position, &count) in positive.bucket_counts.iter().enumerate().filter(|&(_, &count)| count > 0) {
        let index = i64::from(positive.offset) + position as i64;
        let (lower, upper) = (bound(index, point.scale), bound(index + 1, point.scale));
        if lower > bounds[last] {
            add(last, count);
            continue;
        }
        if let Some(within) = bounds.windows(2).position(|pair| lower > pair[0] && upper <= pair[1]) {
            add(within, count);
            continue;
        }
        let first_from = |value: f64| bounds.iter().position(|&bound| bound >= value);
        match distribution {
            Distribution::Upper => add(first_from(upper).unwrap_or(last), count),
            Distribution::Midpoint => {
                let middle = f64::midpoint(lower, upper);
                add(first_from(middle).map_or(last, |index| index.saturating_sub(1)), count);
            }
            Distribution::Uniform | Distribution::Random => {
                let mut across: Vec<usize> = (0..bounds.len())
                    .filter(|&index| lower < bounds[index] && upper >= bounds[index])
                    .collect();
                if across.is_empty() {
                    across.push(first_from(upper).unwrap_or(last));
                }
                let parts = match distribution {
                    Distribution::Uniform => evenly(count, across.len()),
                    _ => by_chance(count, across.len(), random),
                };
                across.into_iter().zip(parts).for_each(|(index, part)| add(index, part));
            }
        }
    }
    counts
}

/// The same to each, and the rest by one to the first ones.
fn evenly(count: u64, parts: usize) -> Vec<u64> {
    let parts = parts as u64;
    (0..parts).map(|part| count / parts + u64::from(part < count % parts)).collect()
}

/// To each but the last a part of what is left.
fn by_chance(count: u64, parts: usize, random: &mut impl FnMut() -> u64) -> Vec<u64> {
    let mut left = count;
    (0..parts)
        .map(|part| {
            let taken = if part + 1 == parts { left } else { random() % left.saturating_add(1).max(1) };
            left -= taken;
            taken
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::model::{Buckets, ExponentialHistogram};
    use super::*;

    fn converted(distribution: Distribution, bounds: &[f64], offset: i32, counts: &[u64]) -> Vec<u64> {
        let point = ExponentialDataPoint {
            zero_count: 3,
            positive: Some(Buckets { offset, bucket_counts: counts.to_vec() }),
            ..ExponentialDataPoint::default()
        };
        let data = ExponentialHistogram { data_points: vec![point], temporality: 1 };
        let mut metric = Metric { data: Some(Data::ExponentialHistogram(data)), ..Metric::default() };
        let mut state = 7u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state >> 33
        };
        assert!(to_explicit(&mut metric, distribution, bounds, &mut random));
        assert!(!to_explicit(&mut metric, distribution, bounds, &mut random));
        match metric.data {
            Some(Data::Histogram(histogram)) => histogram.data_points[0].bucket_counts.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn distributes() {
        // Buckets of 1..2, 2..4, 4..8.
        assert_eq!(converted(Distribution::Upper, &[1.0, 2.0, 4.0, 8.0], 0, &[2, 4, 6]), [0, 2, 4, 6]);
        assert_eq!(converted(Distribution::Midpoint, &[0.0, 2.0, 10.0], 0, &[2, 4, 6]), [5, 10, 0]);
        assert_eq!(converted(Distribution::Uniform, &[5.0, 6.0, 7.0], 2, &[8]), [3, 3, 2]);
        assert_eq!(converted(Distribution::Random, &[5.0, 6.0, 7.0], 2, &[100]).iter().sum::<u64>(), 100);
        assert_eq!(
            converted(Distribution::Random, &[5.0, 6.0], 2, &[u64::MAX]).iter().sum::<u64>(),
            u64::MAX
        );
        // A bucket above all bounds.
        assert_eq!(converted(Distribution::Upper, &[1.0, 2.0], 3, &[5]), [0, 5]);
        assert!("lower".parse::<Distribution>().is_err());
    }
}
