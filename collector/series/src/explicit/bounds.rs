//! Bounds that many histograms have, kept once: a hundred streams of one instrument have the same dozen of numbers.

use std::sync::Arc;

use super::Explicit;

/// How many lists of bounds are remembered. Senders use few; those of more have lists of their own.
const MOST: usize = 64;

/// The lists of bounds that were seen last.
#[derive(Debug, Default)]
pub struct KnownBounds(Vec<Arc<[f64]>>);

impl KnownBounds {
    /// The list with these bounds: one that is known, or a new one.
    pub(super) fn find(&mut self, bounds: impl Iterator<Item = f64> + Clone) -> Arc<[f64]> {
        if let Some(found) = self.0.iter().find(|known| known.iter().copied().eq(bounds.clone())) {
            return found.clone();
        }
        let new: Arc<[f64]> = bounds.collect();
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push(new.clone());
        new
    }

    /// Makes a histogram share its bounds with others.
    pub fn share(&mut self, histogram: &mut Explicit) {
        histogram.bounds = self.find(histogram.bounds.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bounds_are_one_list_and_few_are_remembered() {
        let mut known = KnownBounds::default();
        let first = known.find([1.0, 2.0].into_iter());
        assert!(Arc::ptr_eq(&first, &known.find([1.0, 2.0].into_iter())));
        assert!(!Arc::ptr_eq(&first, &known.find([1.0].into_iter())));
        let mut histogram = Explicit { bounds: [1.0, 2.0].into(), ..Explicit::default() };
        known.share(&mut histogram);
        assert!(Arc::ptr_eq(&first, &histogram.bounds));
        for bound in 0..MOST {
            known.find([bound as f64 + 10.0].into_iter());
        }
        assert_eq!(known.0.len(), MOST);
        let again = known.find([1.0, 2.0].into_iter());
        assert!(!Arc::ptr_eq(&first, &again), "the oldest were forgotten");
        assert_eq!(first, again);
    }
}
