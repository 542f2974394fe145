//! How many different ones there are: exactly while they are few.

use phoenix_series::Distinct;

/// The most hashes that are kept as they are: a quarter of what a sketch takes.
const FEW: usize = 128;

/// Counts different hashes: exactly up to 128, then by HyperLogLog with 1.6 % standard error.
#[derive(Clone, Debug)]
pub(crate) enum Count {
    /// Sorted.
    Few(Vec<u64>),
    Many(Box<Distinct>),
}

impl Default for Count {
    fn default() -> Count {
        Count::Few(Vec::new())
    }
}

impl Count {
    /// Takes a hash into account; `sketches` is how many more sketches may be made. Without one to be had what is new
    /// is not counted any more.
    pub(crate) fn insert(&mut self, hash: u64, sketches: &mut usize) {
        match self {
            Count::Many(sketch) => sketch.insert(hash),
            Count::Few(hashes) => {
                let Err(place) = hashes.binary_search(&hash) else { return };
                if hashes.len() < FEW {
                    hashes.insert(place, hash);
                } else if *sketches > 0 {
                    *sketches -= 1;
                    let mut sketch = Box::new(Distinct::default());
                    hashes.iter().for_each(|hash| sketch.insert(*hash));
                    sketch.insert(hash);
                    *self = Count::Many(sketch);
                }
            }
        }
    }

    pub(crate) fn estimate(&self) -> u64 {
        match self {
            Count::Few(hashes) => hashes.len() as u64,
            Count::Many(sketch) => sketch.estimate(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_exact_many_are_close_and_without_a_sketch_it_stops() {
        let hash = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
        let (mut exact, mut sketched, mut stopped) = (Count::default(), Count::default(), Count::default());
        let mut sketches = 1;
        for number in (0..100).chain(0..100) {
            exact.insert(hash(number), &mut sketches);
        }
        assert_eq!((exact.estimate(), sketches), (100, 1));
        for number in 0..10_000_u64 {
            sketched.insert(hash(number).wrapping_mul(number | 1), &mut sketches);
            stopped.insert(hash(number), &mut 0);
        }
        assert_eq!((stopped.estimate(), sketches), (128, 0));
        assert!(sketched.estimate().abs_diff(10_000) < 700, "{}", sketched.estimate());
    }
}
