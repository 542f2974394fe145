//! Fewer buckets in a histogram.

use std::str::FromStr;

use super::model::HistogramDataPoint;
use crate::EvalError;

/// Which buckets become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// Both sides of a given bound.
    #[default]
    RemoveExplicitBound,
    /// Neighbours, until there are at most so many.
    LimitBuckets,
}

impl FromStr for Method {
    type Err = EvalError;

    fn from_str(name: &str) -> Result<Self, EvalError> {
        match name {
            "remove_explicit_bound" => Ok(Self::RemoveExplicitBound),
            "limit_buckets" => Ok(Self::LimitBuckets),
            _ => Err(EvalError::new(format!(
                "unknown method {name:?}, expected remove_explicit_bound or limit_buckets"
            ))),
        }
    }
}

/// Merges buckets; false if nothing changed, which is so for points without buckets, or with others than
/// their bounds ask for.
///
/// # Errors
///
/// A limit that is no whole number from 1 on.
pub fn merge(point: &mut HistogramDataPoint, method: Method, target: f64) -> Result<bool, EvalError> {
    if method == Method::LimitBuckets && (target < 1.0 || target.fract() != 0.0 || !target.is_finite()) {
        return Err(EvalError::new(format!(
            "the limit of buckets must be a whole number of at least 1, got {target}"
        )));
    }
    let (counts, bounds) = (&mut point.bucket_counts, &mut point.explicit_bounds);
    if counts.len() != bounds.len() + 1 || counts.len() < 2 {
        return Ok(false);
    }
    match method {
        Method::RemoveExplicitBound => {
            /// Bounds that went through other systems are not equal to the last bit.
            const EQUAL_WITHIN: f64 = 1e-12;
            let Some(index) = bounds.iter().position(|bound| (bound - target).abs() < EQUAL_WITHIN) else {
                return Ok(false);
            };
            bounds.remove(index);
            let merged = counts.remove(index);
            counts[index] = counts[index].saturating_add(merged);
        }
        Method::LimitBuckets => {
            let target = target.min(usize::MAX as f64) as usize;
            if counts.len() <= target || !bounds.is_sorted_by(|left, right| left < right) {
                return Ok(false);
            }
            let group = counts.len().div_ceil(target);
            let total = |group: &[u64]| group.iter().fold(0u64, |total, count| total.saturating_add(*count));
            *counts = counts.chunks(group).map(total).collect();
            // Of each group but the last, the bound at its end stays.
            *bounds = bounds.iter().copied().skip(group - 1).step_by(group).collect();
            bounds.truncate(counts.len() - 1);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts and bounds, if they changed.
    type Merged = Option<(Vec<u64>, Vec<f64>)>;

    fn merged(method: Method, target: f64, counts: &[u64], bounds: &[f64]) -> Result<Merged, EvalError> {
        let mut point = HistogramDataPoint {
            bucket_counts: counts.to_vec(),
            explicit_bounds: bounds.to_vec(),
            ..HistogramDataPoint::default()
        };
        Ok(merge(&mut point, method, target)?.then_some((point.bucket_counts, point.explicit_bounds)))
    }

    #[test]
    fn merges() {
        const COUNTS: &[u64] = &[4, 6, 8, 2];
        const BOUNDS: &[f64] = &[10.0, 50.0, 100.0];
        use Method::{LimitBuckets, RemoveExplicitBound};
        let cases = [
            (RemoveExplicitBound, 50.0, Some((vec![4, 14, 2], vec![10.0, 100.0]))),
            (RemoveExplicitBound, 77.0, None),
            (RemoveExplicitBound, 100.0 + 1e-13, Some((vec![4, 6, 10], vec![10.0, 50.0]))),
            (LimitBuckets, 2.0, Some((vec![10, 10], vec![50.0]))),
            (LimitBuckets, 3.0, Some((vec![10, 10], vec![50.0]))),
            (LimitBuckets, 1.0, Some((vec![20], vec![]))),
            (LimitBuckets, 4.0, None),
        ];
        for (method, target, expected) in cases {
            assert_eq!(merged(method, target, COUNTS, BOUNDS).unwrap(), expected, "{method:?} {target}");
        }
        assert_eq!(
            merged(LimitBuckets, 2.0, &[1, 2, 3, 4, 5], &[1.0, 2.0, 3.0, 4.0]).unwrap(),
            Some((vec![6, 9], vec![3.0]))
        );
        assert_eq!(merged(LimitBuckets, 1.0, COUNTS, &[10.0, 10.0, 100.0]).unwrap(), None);
        assert_eq!(merged(RemoveExplicitBound, 1.0, &[1], &[1.0]).unwrap(), None);
        for target in [0.0, 1.5, f64::NAN, f64::INFINITY] {
            assert!(merged(LimitBuckets, target, COUNTS, BOUNDS).is_err(), "{target}");
        }
    }
}
