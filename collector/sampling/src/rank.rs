use std::cmp::Ordering;

use crate::threshold::ALL;
use crate::{Randomness, Threshold};

/// How much something matters beside others: a number from 0 to 65,535 with 16 bits behind the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u32);

impl Weight {
    /// What matters as much as anything else.
    pub const ONE: Weight = Weight(1 << 16);
    /// What never comes first.
    pub const ZERO: Weight = Weight(0);

    /// The nearest weight; none for what is negative, too large, or no number. More than zero stays so.
    pub fn new(value: f64) -> Option<Weight> {
        let scaled = (value * f64::from(1 << 16)).round();
        if !(0.0..=f64::from(u32::MAX)).contains(&scaled) {
            return None;
        }
        Some(Weight((scaled as u32).max(u32::from(value > 0.0))))
    }

    /// It as a number.
    pub fn value(self) -> f64 {
        f64::from(self.0) / f64::from(1 << 16)
    }
}

/// The place of something among others that want to be kept: `w / (1 - R / 2⁵⁶)`, larger is better.
///
/// This is priority sampling (Duffield, Lund and Thorup, JACM 2007) with the randomness of the trace, so that every
/// replica ranks alike. With equal weights it is the order of randomness. Comparing is exact: no rounding.
#[derive(Clone, Copy, Debug)]
pub struct Rank {
    weight: Weight,
    randomness: Randomness,
}

impl Rank {
    /// Of something with this weight and randomness.
    pub fn new(weight: Weight, randomness: Randomness) -> Rank {
        Rank { weight, randomness }
    }

    /// Its weight.
    pub fn weight(self) -> Weight {
        self.weight
    }

    /// Its randomness.
    pub fn randomness(self) -> Randomness {
        self.randomness
    }

    /// The threshold that randomness has to reach for something of this weight to rank above `self`.
    ///
    /// What is kept because it ranks above the first that is not has been kept with exactly this threshold; the
    /// estimate of its weight is `max(w, τ)` of the paper.
    pub fn threshold_above(self, weight: Weight) -> Threshold {
        if self.weight == Weight::ZERO {
            return if weight == Weight::ZERO { Threshold::NEVER } else { Threshold::ALWAYS };
        }
        // Above is where (ALL - R) · own weight < limit.
        let limit = u128::from(weight.0) * u128::from(ALL - self.randomness.bits());
        let most_left = limit.div_ceil(u128::from(self.weight.0)).saturating_sub(1);
        Threshold::new(ALL.saturating_sub(u64::try_from(most_left).unwrap_or(ALL)))
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Rank) -> Ordering {
        let score =
            |of: &Rank, against: &Rank| u128::from(of.weight.0) * u128::from(ALL - against.randomness.bits());
        score(self, other).cmp(&score(other, self))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Rank) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rank {
    fn eq(&self, other: &Rank) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Rank {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn weights_have_a_range() {
        assert_eq!(Weight::new(1.0), Some(Weight::ONE));
        assert_eq!(Weight::new(0.0), Some(Weight::ZERO));
        assert_eq!(Weight::new(1e-9), Some(Weight(1)), "more than zero stays so");
        for wrong in [-0.1, 70_000.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Weight::new(wrong), None, "{wrong}");
        }
        assert_eq!(Weight::new(2.5).map(Weight::value), Some(2.5));
    }

    proptest! {
        #[test]
        fn the_threshold_above_a_rank_is_where_ranks_begin_to_be_above_it(
            own in (0_u32..1 << 20, 0..ALL),
            weight in 0_u32..1 << 20,
            randomness in 0..ALL,
        ) {
            let bar = Rank::new(Weight(own.0), Randomness::new(own.1));
            let threshold = bar.threshold_above(Weight(weight));
            let is_above = |bits| Rank::new(Weight(weight), Randomness::new(bits)) > bar;
            prop_assert_eq!(is_above(randomness), threshold.keeps(Randomness::new(randomness)));
            // And right at the edge.
            if threshold != Threshold::NEVER && threshold != Threshold::ALWAYS {
                let edge = ALL - (threshold.probability() * ALL as f64) as u64;
                for bits in [edge.saturating_sub(1), edge, (edge + 1).min(ALL - 1)] {
                    prop_assert_eq!(is_above(bits), threshold.keeps(Randomness::new(bits)));
                }
            }
        }

        #[test]
        fn equal_weights_rank_by_randomness(a in 0..ALL, b in 0..ALL) {
            let rank = |bits| Rank::new(Weight::ONE, Randomness::new(bits));
            prop_assert_eq!(rank(a).cmp(&rank(b)), a.cmp(&b));
        }
    }
}
