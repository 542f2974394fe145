//! Max-min fair shares: nobody gets more than it asks for, and who gets less than it asks for gets as much as anybody.
//!
//! Shares are found by raising one level for all until the whole is dealt out ("water-filling"; Bertsekas and Gallager, Data
//! Networks, 6.5.2), within a floor and a ceiling for each. Cost: O(n log n) for n claims.

/// What one party asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) wants: usize,
    /// It gets that much before others get more than they.
    pub(crate) guaranteed: usize,
    /// It gets no more than that.
    pub(crate) most: usize,
}

impl Claim {
    fn ceiling(&self) -> usize {
        self.wants.min(self.most)
    }

    fn floor(&self) -> usize {
        self.guaranteed.min(self.ceiling())
    }

    fn at(&self, level: usize) -> usize {
        level.clamp(self.floor(), self.ceiling())
    }
}

/// Deals `total` out. Where even the floors are more than that, earlier claims come first.
pub(crate) fn max_min(total: usize, claims: &[Claim]) -> Vec<usize> {
    let needed = |level: usize| claims.iter().fold(0_usize, |sum, claim| sum.saturating_add(claim.at(level)));
    if needed(0) > total {
        let mut left = total;
        let cut = |claim: &Claim| {
            let share = claim.floor().min(left);
            left -= share;
            share
        };
        return claims.iter().map(cut).collect();
    }
    // The highest level that the total is enough for.
    let (mut low, mut high) = (0, total);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if needed(middle) <= total { low = middle } else { high = middle - 1 }
    }
    let mut left = total - needed(low);
    let share = |claim: &Claim| {
        let share = claim.at(low);
        let one_more = usize::from(left > 0 && share == low && share < claim.ceiling());
        left -= one_more;
        share + one_more
    };
    claims.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim(wants: usize) -> Claim {
        Claim { wants, guaranteed: 0, most: usize::MAX }
    }

    #[test]
    fn what_is_left_over_by_the_modest_goes_to_the_others() {
        let cases: [(usize, &[usize], &[usize]); 6] = [
            (10, &[2, 3, 4], &[2, 3, 4]),
            (10, &[100, 100], &[5, 5]),
            (10, &[2, 100, 100], &[2, 4, 4]),
            (10, &[1, 2, 100, 100], &[1, 2, 4, 3]),
            (2, &[5, 5, 5], &[1, 1, 0]),
            (0, &[5], &[0]),
        ];
        for (total, wants, shares) in cases {
            let claims: Vec<Claim> = wants.iter().map(|wants| claim(*wants)).collect();
            assert_eq!(max_min(total, &claims), shares, "{total} for {wants:?}");
        }
    }

    #[test]
    fn floors_come_first_and_ceilings_hold() {
        let gold = Claim { guaranteed: 6, ..claim(100) };
        let capped = Claim { most: 1, ..claim(100) };
        assert_eq!(max_min(10, &[gold, claim(100), capped]), [6, 3, 1]);
        assert_eq!(
            max_min(10, &[Claim { wants: 2, ..gold }, claim(100)]),
            [2, 8],
            "who asks for less gets less"
        );
        assert_eq!(max_min(10, &[capped]), [1], "even where there is room");
        assert_eq!(max_min(8, &[gold, gold]), [6, 2], "more was promised than there is");
    }

    proptest! {
        /// The definition: all is dealt out that is asked for, and nobody could have more but by taking it from somebody who has
        /// no more than it.
        #[test]
        fn shares_are_max_min_fair(
            total in 0..200_usize,
            claims in proptest::collection::vec((0..60_usize, 0..10_usize, 1..80_usize), 1..12),
        ) {
            let claims: Vec<Claim> =
                claims.into_iter().map(|(wants, guaranteed, most)| Claim { wants, guaranteed, most }).collect();
            let shares = max_min(total, &claims);
            let asked: usize = claims.iter().map(Claim::ceiling).sum();
            prop_assert_eq!(shares.iter().sum::<usize>(), asked.min(total));
            let floors: usize = claims.iter().map(Claim::floor).sum();
            for (claim, share) in claims.iter().zip(&shares) {
                prop_assert!(*share <= claim.ceiling());
                prop_assert!(floors > total || *share >= claim.floor());
                if floors <= total && *share < claim.ceiling() {
                    for (other, theirs) in claims.iter().zip(&shares) {
                        prop_assert!(*theirs <= share + 1 || *theirs <= other.floor(), "{:?} of {:?}", shares, claims);
                    }
                }
            }
        }
    }
}
