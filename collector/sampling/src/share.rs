/// Shares a budget among demands, max-min fairly: who asks for less than an equal share gets all of it, and what that
/// leaves goes to the others in equal parts. The shares are in the order of the demands and add up to
/// `min(budget, Σ demands)`, but for rounding.
///
/// Water-filling; O(n log n).
pub fn max_min_fair(budget: f64, demands: &[f64]) -> Vec<f64> {
    max_min_fair_weighted(budget, demands, &vec![1.0; demands.len()])
}

/// The same where demands have weights, above 0: what is equal is the share of a weight of one.
pub fn max_min_fair_weighted(budget: f64, demands: &[f64], weights: &[f64]) -> Vec<f64> {
    let mut by_size: Vec<usize> = (0..demands.len()).collect();
    let level = |index: usize| demands[index] / weights[index];
    by_size.sort_by(|a, b| level(*a).total_cmp(&level(*b)));
    let mut shares = vec![0.0; demands.len()];
    let (mut left, mut weight) = (budget, weights.iter().sum::<f64>());
    for index in by_size {
        // What rounding leaves of the weight may be below that of the last one.
        let equal = left * (weights[index] / weight.max(weights[index]));
        shares[index] = demands[index].min(equal);
        left -= shares[index];
        weight -= weights[index];
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_small_get_all_and_the_large_alike() {
        assert_eq!(max_min_fair(100.0, &[10.0, 1000.0, 20.0, 500.0]), [10.0, 35.0, 20.0, 35.0]);
        assert_eq!(max_min_fair(100.0, &[10.0, 20.0]), [10.0, 20.0]);
        assert_eq!(max_min_fair(1.0, &[5.0, 5.0]), [0.5, 0.5]);
        assert!(max_min_fair(5.0, &[]).is_empty());
        assert_eq!(
            max_min_fair_weighted(100.0, &[10.0, 1000.0, 500.0], &[1.0, 2.0, 1.0]),
            [10.0, 60.0, 30.0]
        );
    }

    proptest! {
        #[test]
        fn nobody_can_have_more_without_taking_it_from_one_who_has_less(
            budget in 0.0_f64..1000.0,
            demands in prop::collection::vec(0.0_f64..300.0, 0..20),
        ) {
            let shares = max_min_fair(budget, &demands);
            let (all, wanted): (f64, f64) = (shares.iter().sum(), demands.iter().sum());
            prop_assert!((all - budget.min(wanted)).abs() < 1e-6);
            let largest = shares.iter().copied().fold(0.0, f64::max);
            for (share, demand) in shares.iter().zip(&demands) {
                prop_assert!(share <= demand);
                prop_assert!(share + 1e-6 >= demand.min(largest), "{:?} of {:?}", shares, demands);
            }
        }
    }
}
