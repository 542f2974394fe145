/// Counts durations so that quantiles can be told with a bounded relative error.
///
/// This is DDSketch (Masson, Rim and Lee, VLDB 2019) with `α` = 2 %: bucket `i` holds what is in `(γ^(i-1), γ^i]`, with
/// `γ = (1 + α) / (1 - α)`. A quantile is off by at most 2 % of itself. Values are whole microseconds up to a day; what is
/// longer counts as a day. Buckets are those between the least and the greatest seen, at most [`Sketch::MOST_BUCKETS`].
#[derive(Clone, Debug, Default)]
pub struct Sketch {
    buckets: Vec<u32>,
    /// The index of the first bucket.
    first: usize,
    count: u64,
}

const ALPHA: f64 = 0.02;
const GAMMA: f64 = (1.0 + ALPHA) / (1.0 - ALPHA);
const LONGEST: f64 = 86_400e6;

impl Sketch {
    /// The most buckets there are.
    pub const MOST_BUCKETS: usize = 631;

    /// Adds a duration in microseconds.
    pub fn add(&mut self, micros: u64) {
        let index = Sketch::index(micros);
        if self.buckets.is_empty() {
            self.first = index;
        }
        if index < self.first {
            let missing = self.first - index;
            self.buckets.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = index;
        }
        let at = index - self.first;
        if at >= self.buckets.len() {
            self.buckets.resize(at + 1, 0);
        }
        self.buckets[at] = self.buckets[at].saturating_add(1);
        self.count += 1;
    }

    /// Durations that were added.
    pub fn count(&self) -> u64 {
        self.count
    }

    fn index(micros: u64) -> usize {
        let micros = (micros as f64).clamp(1.0, LONGEST);
        (micros.ln() / GAMMA.ln()).ceil() as usize
    }

    fn count_of(&self, index: usize) -> u64 {
        index.checked_sub(self.first).and_then(|at| self.buckets.get(at)).map_or(0, |count| u64::from(*count))
    }

    /// The quantile `q`, from 0 to 1, in microseconds over all that was added to any of the sketches; none where that is
    /// nothing.
    pub fn quantile(sketches: &[&Sketch], q: f64) -> Option<u64> {
        let count: u64 = sketches.iter().map(|sketch| sketch.count).sum();
        let rank = (q.clamp(0.0, 1.0) * count.checked_sub(1)? as f64) as u64;
        let mut below = 0;
        let of_one = |sketch: &&Sketch| sketch.first..sketch.first + sketch.buckets.len();
        let ranges = || sketches.iter().map(of_one).filter(|range| !range.is_empty());
        let (first, end) = (ranges().map(|range| range.start).min()?, ranges().map(|range| range.end).max()?);
        for index in first..end {
            below += sketches.iter().map(|sketch| sketch.count_of(index)).sum::<u64>();
            if below > rank {
                return Some((2.0 * GAMMA.powi(index as i32) / (GAMMA + 1.0)).round() as u64);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;

    #[test]
    fn quantiles_are_within_their_error() {
        let mut chance = Chance::new(9);
        // From 100 µs to some minutes, evenly by order of magnitude.
        let mut values: Vec<u64> =
            (0..20_000).map(|_| 10_f64.powf(2.0 + 6.0 * chance.unit()) as u64).collect();
        let (mut one, mut other) = (Sketch::default(), Sketch::default());
        for (index, value) in values.iter().enumerate() {
            if index % 3 == 0 { one.add(*value) } else { other.add(*value) }
        }
        values.sort_unstable();
        for q in [0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let exact = values[(q * (values.len() - 1) as f64) as usize] as f64;
            let found = Sketch::quantile(&[&one, &other], q).expect("there are values") as f64;
            assert!((found - exact).abs() <= exact * 0.021 + 1.0, "{q}: {found} for {exact}");
        }
    }

    #[test]
    fn extremes_have_buckets_and_nothing_has_no_quantile() {
        assert_eq!(Sketch::quantile(&[&Sketch::default()], 0.5), None);
        let mut sketch = Sketch::default();
        for value in [u64::MAX, 0, 1, u64::MAX / 2] {
            sketch.add(value);
        }
        assert_eq!(sketch.buckets.len(), Sketch::MOST_BUCKETS);
        assert_eq!(Sketch::quantile(&[&sketch], 0.0), Some(1));
        assert!(Sketch::quantile(&[&sketch], 1.0).is_some_and(|longest| longest > 80_000_000_000));
    }
}
