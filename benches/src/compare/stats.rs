//! Medians and ranges of a few runs.

use serde::Serialize;

/// The middle and the ends of some values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Summary {
    /// Summarises finite values; `None` without any.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Summary> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let upper = values.len() / 2;
        let lower = (values.len() - 1) / 2;
        Some(Summary { median: f64::midpoint(values[lower], values[upper]), min, max })
    }
}

/// The value at or below which a part `q` of the values lies (nearest rank); `None` without any.
pub(crate) fn quantile(mut values: Vec<f64>, q: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (q * values.len() as f64).ceil().max(1.0);
    // Bounded by the length: a float of a small count.
    values.get(rank as usize - 1).or(values.last()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summarises_odd_even_and_none() {
        assert_eq!(Summary::of([3.0, 1.0, 2.0]), Some(Summary { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Summary::of([4.0, 1.0]), Some(Summary { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(Summary::of([f64::NAN]), None);
        assert_eq!(Summary::of([]), None);
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(quantile(values.clone(), 0.99), Some(198.0));
        assert_eq!(quantile(values.clone(), 0.0), Some(1.0));
        assert_eq!(quantile(values, 1.0), Some(200.0));
        assert_eq!(quantile(vec![], 0.5), None);
    }
}
