use proptest::prelude::*;

use super::*;

fn histogram(scale: i32, offset: i64, counts: &[u64]) -> Exponential {
    Exponential {
        scale,
        positive: Buckets { offset, counts: counts.to_vec() },
        count: counts.iter().sum(),
        sum: Some(0.0),
        ..Exponential::default()
    }
}

fn merged(a: &Exponential, b: &Exponential, max: usize) -> (i32, i64, Vec<u64>) {
    let mut sum = a.clone();
    sum.merge(b, max);
    assert!(sum.adds_up());
    (sum.scale, sum.positive.offset, sum.positive.counts)
}

/// Case 9.
#[test]
fn a_lower_scale_is_exact() {
    let source = histogram(3, -3, &[1, 2, 3, 4, 5, 6, 7]);
    for (scale, offset, counts) in [(2, -2, vec![1, 5, 9, 13]), (1, -1, vec![6, 22])] {
        let mut lowered = source.clone();
        lowered.downscale_to(scale);
        assert_eq!((lowered.positive.offset, lowered.positive.counts), (offset, counts));
    }
    let mut lowered = histogram(1, 4, &[4, 6, 5, 7]);
    lowered.downscale_to(0);
    assert_eq!((lowered.positive.offset, lowered.positive.counts), (2, vec![10, 12]));
}

/// Cases 10 and 11 of those that the aggregator is checked with.
#[test]
fn merges_of_the_reference() {
    let a = histogram(1, 0, &[1, 2, 3, 4]);
    assert_eq!(merged(&a, &histogram(0, 1, &[10, 20]), 160), (0, 0, vec![3, 17, 20]));
    let (a, b) = (histogram(0, 0, &[1; 5]), histogram(0, 1, &[1; 5]));
    assert_eq!(merged(&a, &b, 5), (-1, 0, vec![3, 4, 3]));
    assert_eq!(merged(&a, &b, 6), (0, 0, vec![1, 2, 2, 2, 2, 1]));
    assert_eq!(merged(&a, &histogram(0, 0, &[]), 5), (0, 0, vec![1; 5]), "an empty side moves nothing");
    assert_eq!(merged(&histogram(0, 0, &[]), &histogram(0, 70, &[1]), 5), (0, 70, vec![1]));
}

/// Case 12.
#[test]
fn the_wider_bucket_of_zero_takes_what_reaches_into_it() {
    let mut a = histogram(0, -2, &[2, 3, 4]);
    (a.zero_count, a.count) = (1, 10);
    let mut b = histogram(0, 0, &[7]);
    (b.zero_count, b.zero_threshold, b.count) = (5, 0.6, 12);
    a.merge(&b, 160);
    assert_eq!((a.zero_threshold, a.zero_count, a.positive.offset), (1.0, 11, 0));
    assert_eq!((a.positive.counts, a.count), (vec![11], 22));
}

#[test]
fn zeros_at_the_ends_go() {
    let mut buckets = Buckets { offset: -4, counts: vec![0, 0, 3, 0, 5, 0] };
    buckets.trim();
    assert_eq!(buckets, Buckets { offset: -2, counts: vec![3, 0, 5] });
}

#[test]
fn quantiles_are_spread_by_ratio() {
    let near = |value: Option<f64>, expected: f64| {
        let value = value.expect("a value");
        assert!((value - expected).abs() < 1e-6, "{value} is not {expected}");
    };
    near(histogram(1, 0, &[1, 2, 3, 4]).quantile(0.5), 2.519_842_1);
    let h9 = histogram(0, 0, &[3, 17, 20]);
    near(h9.quantile(0.5), 4.0);
    near(h9.quantile(0.9), 6.964_404_5);
    assert_eq!(histogram(0, 0, &[]).quantile(0.5), None);
}

#[test]
fn increments_across_scales_and_a_reset() {
    let at = |time| Place { start: 1, time };
    let mut last = histogram(1, 0, &[1, 2, 3, 4]);
    // [3, 7] on the lower scale.
    let mut point = histogram(0, 0, &[5, 9, 1]);
    assert_eq!(point.advance(&mut last, at(10), at(20)), Step::Next);
    assert_eq!((point.scale, point.positive.offset, &point.positive.counts[..]), (0, 0, &[2, 2, 1][..]));
    assert!(point.adds_up());
    assert_eq!(last, histogram(0, 0, &[5, 9, 1]));
    let mut point = histogram(0, 0, &[4, 20, 1]);
    assert_eq!(point.advance(&mut last, at(20), at(30)), Step::Reset);
    assert_eq!(point.positive.counts, [4, 20, 1]);
}

#[test]
fn increments_on_one_scale() {
    let at = |time| Place { start: 1, time };
    let mut last = histogram(2, 3, &[1, 2, 3]);
    last.sum = Some(4.0);
    // Wider on both sides.
    let mut point = histogram(2, 1, &[7, 0, 1, 4, 3, 0, 5]);
    point.sum = Some(14.0);
    let newest = point.clone();
    assert_eq!(point.advance(&mut last, at(10), at(20)), Step::Next);
    assert_eq!((point.positive.offset, &point.positive.counts[..]), (1, &[7, 0, 0, 2, 0, 0, 5][..]));
    assert_eq!((point.count, point.sum, last), (14, Some(10.0), newest));
}

fn any_histogram() -> impl Strategy<Value = Exponential> {
    let buckets = || (-200_i64..200, proptest::collection::vec(0_u64..100, 0..60));
    (-2_i32..6, buckets(), buckets(), 0_u64..10, prop_oneof![Just(0.0), 0.001_f64..10.0]).prop_map(
        |(scale, positive, negative, zero_count, zero_threshold)| {
            let buckets = |(offset, counts): (i64, Vec<u64>)| {
                let mut buckets = Buckets { offset, counts };
                buckets.trim();
                buckets
            };
            let (positive, negative) = (buckets(positive), buckets(negative));
            let count =
                positive.counts.iter().sum::<u64>() + negative.counts.iter().sum::<u64>() + zero_count;
            let mut made =
                Exponential { scale, zero_count, positive, negative, count, ..Exponential::default() };
            made.raise_zero(zero_threshold);
            made
        },
    )
}

proptest! {
    #[test]
    fn merging_keeps_every_measurement_in_any_order(a in any_histogram(), b in any_histogram()) {
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.merge(&b, 40);
        ba.merge(&a, 40);
        prop_assert!(ab.adds_up());
        prop_assert_eq!(ab.count, a.count + b.count);
        prop_assert!(ab.positive.counts.len() <= 40 && ab.negative.counts.len() <= 40);
        prop_assert_eq!(&ab.positive, &ba.positive);
        prop_assert_eq!(&ab.negative, &ba.negative);
        prop_assert_eq!((ab.scale, ab.zero_count, ab.zero_threshold), (ba.scale, ba.zero_count, ba.zero_threshold));
    }

    #[test]
    fn a_merge_on_a_lower_scale_is_the_merge_of_lower_scales(
        a in any_histogram(), b in any_histogram(), by in 0_i32..4,
    ) {
        let (mut a, mut b) = (a, b);
        (a.zero_threshold, b.zero_threshold) = (0.0, 0.0);
        let scale = a.scale.min(b.scale) - by;
        let mut after = a.clone();
        after.merge(&b, 100_000);
        after.downscale_to(scale);
        a.downscale_to(scale);
        b.downscale_to(scale);
        a.merge(&b, 100_000);
        prop_assert_eq!(a.positive, after.positive);
        prop_assert_eq!(a.negative, after.negative);
    }

    #[test]
    fn increments_on_one_scale_are_those_across_scales(a in any_histogram(), b in any_histogram()) {
        let (mut a, mut b) = (a, b);
        (a.zero_threshold, b.zero_threshold) = (0.0, 0.0);
        let (from, to) = (Place { start: 1, time: 10 }, Place { start: 1, time: 20 });
        let mut point = a.clone();
        point.merge(&b, 100_000);
        // A point on a scale above is lowered to that of the last one, which is the slow way.
        let mut last = a.clone();
        last.downscale_to(point.scale);
        let mut aligned = point.clone();
        let mut aligned_last = last.clone();
        prop_assert_eq!(aligned.advance(&mut aligned_last, from, to), Step::Next);
        prop_assert_eq!(&aligned_last, &point);
        b.downscale_to(point.scale);
        b.trim();
        prop_assert_eq!(aligned.positive, b.positive);
        prop_assert_eq!(aligned.negative, b.negative);
        prop_assert_eq!((aligned.count, aligned.zero_count), (b.count, b.zero_count));
    }

    #[test]
    fn what_is_added_is_found_as_increments(a in any_histogram(), b in any_histogram()) {
        let (start, end) = (Place { start: 1, time: 10 }, Place { start: 1, time: 20 });
        let mut point = a.clone();
        point.merge(&b, 100_000);
        let (mut last, count) = (a.clone(), b.count);
        prop_assert_eq!(point.advance(&mut last, start, end), Step::Next);
        prop_assert_eq!(point.count, count);
        prop_assert!(point.adds_up());
    }
}
