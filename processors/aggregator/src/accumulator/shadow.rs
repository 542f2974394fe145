//! The values of some windows as they came, to see how far off is what is estimated of them.

use crate::config::Function;

/// The most values of a window that are kept; of one with more nothing is compared.
const MOST: usize = 4096;

/// All values of a window; none once they are too many.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shadow {
    values: Vec<f64>,
    is_over: bool,
}

impl Shadow {
    pub(crate) fn insert(&mut self, value: f64) {
        if self.values.len() < MOST {
            self.values.push(value);
        } else {
            self.give_up();
        }
    }

    pub(crate) fn merge(&mut self, other: &Shadow) {
        if self.is_over || other.is_over || self.values.len() + other.values.len() > MOST {
            self.give_up();
        } else {
            self.values.extend_from_slice(&other.values);
        }
    }

    fn give_up(&mut self) {
        *self = Shadow { values: Vec::new(), is_over: true };
    }

    /// By what share an estimate is off; none where it is not known.
    pub(crate) fn error_of(&self, function: Function, estimate: f64) -> Option<f64> {
        if self.is_over || self.values.is_empty() {
            return None;
        }
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        match function {
            // Any value between the two of the ranks around it is one below which that share lies.
            Function::Quantile(q) => {
                let rank = q * (values.len() - 1) as f64;
                let (low, high) = (values[rank.floor() as usize], values[rank.ceil() as usize]);
                let nearest = estimate.clamp(low, high);
                Some(relative(estimate, nearest))
            }
            Function::Unique => {
                // Zero has two signs.
                values.dedup();
                Some(relative(estimate, values.len() as f64))
            }
            _ => None,
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.values.capacity() * size_of::<f64>()
    }
}

fn relative(estimate: f64, truth: f64) -> f64 {
    let off = (estimate - truth).abs();
    if off == 0.0 { 0.0 } else { off / truth.abs().max(f64::MIN_POSITIVE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_of_what_is_estimated_while_all_is_known() {
        let mut shadow = Shadow::default();
        [4.0, 1.0, 3.0, 2.0].into_iter().for_each(|value| shadow.insert(value));
        let error = |function, estimate| shadow.error_of(function, estimate);
        assert_eq!(error(Function::Quantile(0.5), 2.5), Some(0.0), "between the two in the middle");
        assert_eq!(error(Function::Quantile(0.5), 3.3).map(|error| (error * 1e6).round()), Some(100_000.0));
        assert_eq!(error(Function::Quantile(1.0), 4.0), Some(0.0));
        assert_eq!((error(Function::Unique, 5.0), error(Function::Max, 5.0)), (Some(0.25), None));
        let mut half = shadow.clone();
        half.merge(&shadow);
        assert_eq!(half.error_of(Function::Unique, 4.0), Some(0.0));
        (0..MOST).for_each(|value| half.insert(value as f64));
        assert_eq!(half.error_of(Function::Unique, 4.0), None, "too many");
    }
}
