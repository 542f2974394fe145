/// Shares a budget among demands, max-min fairly: who asks for less than an equal share gets all of it, and what that
/// leaves goes to the others in equal parts. The shares are in the order of the demands and add up to
/// `min(budget, Σ demands)`, but for rounding.
///
/// Water-filling; O(n log n).
pub fn max_min_fair(budget: f64, demands: &[f64]) -> Vec<f64> {
    let mut by_size: Vec<usize> = (0..demands.len()).collect();
    by_size.sort_by(|a, b| demands[*a].total_cmp(&demands[*b]));
    let mut shares = vec![0.0; demands.len()];
    let mut left = budget;
    for (done, index) in by_size.iter().enumerate() {
        let equal = left / (demands.len() - done) as f64;
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
        assert_eq!(max_min_fair(100.0, &[10.0, 1000.0, 20.0, 500.0]), [10.0, 35.0, 20.0, 35.0]);
        assert_eq!(max_min_fair(100.0, &[10.0, 20.0]), [10.0, 20.0]);
        assert_eq!(max_min_fair(1.0, &[5.0, 5.0]), [0.5, 0.5]);
        assert!(max_min_fair(5.0, &[]).is_empty());
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
