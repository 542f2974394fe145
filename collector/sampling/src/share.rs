/// Shares a budget among demands, max-min fairly: who asks for less than an equal share gets all of it, and what that
/// leaves goes to the others in equal parts. The shares are in the order of the demands and add up to
/// `min(budget, Σ demands)`.
///
/// Water-filling; O(n log n).
pub fn max_min_fair(budget: u64, demands: &[u64]) -> Vec<u64> {
    let mut by_size: Vec<usize> = (0..demands.len()).collect();
    by_size.sort_by_key(|index| demands[*index]);
    let mut shares = vec![0; demands.len()];
    let mut left = budget;
    for (done, index) in by_size.iter().enumerate() {
        let equal = left / (demands.len() - done) as u64;
        shares[*index] = demands[*index].min(equal);
        left -= shares[*index];
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_small_get_all_and_the_large_alike() {
        assert_eq!(max_min_fair(100, &[10, 1000, 20, 500]), [10, 35, 20, 35]);
        assert_eq!(max_min_fair(100, &[10, 20]), [10, 20]);
        assert_eq!(max_min_fair(2, &[5, 5, 5]), [0, 1, 1], "what cannot be shared goes to the last");
        assert!(max_min_fair(5, &[]).is_empty());
    }

    proptest! {
        #[test]
        fn nobody_can_have_more_without_taking_it_from_one_who_has_less(
            budget in 0_u64..1000,
            demands in prop::collection::vec(0_u64..300, 0..20),
        ) {
            let shares = max_min_fair(budget, &demands);
            prop_assert_eq!(shares.iter().sum::<u64>(), budget.min(demands.iter().sum()));
            for (share, demand) in shares.iter().zip(&demands) {
                prop_assert!(share <= demand);
                if share < demand {
                    let largest = shares.iter().max().copied().unwrap_or_default();
                    prop_assert!(share + 1 >= largest, "{:?} of {:?}", shares, demands);
                }
            }
        }
    }
}
