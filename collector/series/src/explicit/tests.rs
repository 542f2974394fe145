use proptest::prelude::*;

use super::*;
use crate::relative_error;

fn histogram(bounds: &[f64], counts: &[u64]) -> Explicit {
    Explicit {
        bounds: bounds.into(),
        counts: counts.to_vec(),
        count: counts.iter().sum(),
        sum: Some(0.0),
        min: None,
        max: None,
    }
}

/// The default bounds of the SDKs, in seconds, with 200 measurements.
fn seconds() -> Explicit {
    histogram(
        &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0],
        &[0, 5, 20, 40, 30, 20, 60, 15, 5, 3, 1, 0, 1, 0, 0],
    )
}

fn near(value: Option<f64>, expected: f64) {
    let value = value.expect("a value");
    assert!((value - expected).abs() < 1e-6, "{value} is not {expected}");
}

#[test]
fn quantiles_are_those_of_prometheus() {
    for (q, value) in [(0.5, 0.08125), (0.9, 1.0 / 3.0), (0.95, 0.5), (0.99, 1.0)] {
        near(seconds().quantile(q), value);
    }
    assert_eq!(histogram(&[1.0], &[0, 0]).quantile(0.5), None);
    assert_eq!(histogram(&[1.0], &[0, 5]).quantile(0.5), Some(1.0), "beyond the last bound nobody knows");
}

#[test]
fn different_bounds_are_added_on_those_in_common() {
    let mut sum = histogram(&[1.0, 5.0, 10.0], &[2, 3, 4, 1]);
    let other = histogram(&[1.0, 10.0], &[1, 6, 2]);
    assert_eq!(sum.add(&other), Err(Mismatch));
    sum.narrow(&other).expect("two in common");
    sum.add(&other).expect("the same bounds");
    assert_eq!((&*sum.bounds, &sum.counts[..], sum.count), (&[1.0, 10.0][..], &[3, 13, 3][..], 19));
    sum.add(&histogram(&[1.0, 5.0, 10.0], &[1, 1, 1, 1])).expect("it has all bounds");
    assert_eq!(sum.counts, [4, 15, 4]);
    assert_eq!(
        histogram(&[1.0, 5.0], &[1, 1, 1]).narrow(&histogram(&[2.0, 10.0], &[1, 1, 1])),
        Err(Mismatch)
    );
    assert_eq!(histogram(&[], &[]).narrow(&other), Err(Mismatch), "no buckets stay apart");
}

#[test]
fn a_bound_that_goes_moves_no_other() {
    let mut keep = seconds().bounds.to_vec();
    keep.retain(|bound| *bound != 0.075);
    let reduced = seconds().restricted(&keep);
    assert_eq!((reduced.counts.len(), reduced.count), (14, 200));
    near(reduced.quantile(0.5), 0.085);
    for q in [0.9, 0.95, 0.99] {
        assert_eq!(reduced.quantile(q), seconds().quantile(q));
    }
    assert_eq!(seconds().restricted(&[3.0]), seconds(), "none of the bounds is there");
}

#[test]
fn bounds_are_merged_within_the_error_and_never_the_last_or_those_to_keep() {
    let merged = seconds().merged(0.45, &[]);
    assert_eq!(&*merged.bounds, [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
    assert_eq!(merged.count, 200);
    assert!(seconds().merged(0.45, &[0.075, 7.5]).bounds.contains(&7.5));
    assert_eq!(seconds().merged(0.1, &[]), seconds());
    assert_eq!(*seconds().merged(1.0, &[]).bounds, [0.005, 10.0]);
}

#[test]
fn increments_of_a_stream_and_its_resets() {
    let mut last = histogram(&[5.0], &[4, 6]);
    let at = |time| Place { start: 1, time };
    let mut point = histogram(&[5.0], &[5, 8]);
    assert_eq!(point.advance(&mut last, at(10), at(20)), Step::Next);
    assert_eq!((point.counts, point.count), (vec![1, 2], 3));
    assert_eq!((&last.counts, last.count), (&vec![5, 8], 13));
    // The count is the same and a bucket fell: the stream started again.
    let mut point = histogram(&[5.0], &[8, 5]);
    assert_eq!(point.advance(&mut last, at(20), at(30)), Step::Reset);
    assert_eq!(point.counts, [8, 5]);
    // Other bounds while the stream goes on: most of it was counted before.
    let mut point = histogram(&[6.0], &[9, 9]);
    assert_eq!(point.advance(&mut last, at(30), at(40)), Step::UnknownReset);
    assert_eq!((point.count, &last.counts), (0, &vec![9, 9]));
    let mut again = last.clone();
    let mut point = histogram(&[5.0], &[9, 10]);
    let restarted = Place { start: 40, time: 50 };
    assert_eq!(point.advance(&mut again, at(40), restarted), Step::Reset, "a new process has its own");
    assert_eq!(point.count, 19);
    let mut point = histogram(&[6.0], &[1, 1]);
    assert_eq!(point.advance(&mut last, at(40), at(39)), Step::OutOfOrder);
    assert_eq!(last.counts, [9, 9]);
}

#[test]
fn buckets_go_to_the_middle_of_their_bounds() {
    let made = seconds().to_exponential(0, Placement::Geometric);
    assert_eq!(
        (made.positive.offset, made.positive.counts),
        (-8, vec![5, 0, 20, 70, 20, 60, 15, 8, 1, 0, 1])
    );
    let made = seconds().to_exponential(2, Placement::Geometric);
    let filled: Vec<_> =
        made.positive.counts.iter().zip(made.positive.offset..).filter(|(count, _)| **count > 0).collect();
    // The middle of 0.25 and 0.5 is a bound, and belongs to the bucket below it.
    let expected = [
        (5, -29),
        (20, -24),
        (40, -20),
        (30, -17),
        (20, -15),
        (60, -11),
        (15, -7),
        (5, -3),
        (3, -1),
        (1, 2),
        (1, 10),
    ];
    assert_eq!(filled.into_iter().map(|(count, index)| (*count, index)).collect::<Vec<_>>(), expected);
    let around = histogram(&[-4.0, -1.0, 1.0], &[1, 2, 3, 4]).to_exponential(0, Placement::Geometric);
    assert_eq!(
        (around.zero_count, around.zero_threshold, around.positive.counts.iter().sum::<u64>()),
        (3, 1.0, 4)
    );
    assert_eq!(around.negative.counts.iter().sum::<u64>(), 3);
    assert!(around.adds_up());
}

#[test]
fn buckets_are_spread_evenly_by_ratio_or_go_to_their_upper_bounds() {
    let made = seconds().to_exponential(2, Placement::LogSplit).positive;
    // Shares that are rounded one after the other, which would fall now and then while counts grow.
    let rounded = [
        1, 1, 1, 1, 3, 4, 4, 4, 3, 6, 10, 10, 10, 11, 13, 12, 12, 12, 12, 11, 11, 12, 11, 4, 4, 3, 4, 2, 2,
        2, 2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1_u64,
    ];
    assert_eq!(made.offset, -31);
    let (mut mine, mut theirs) = (0, 0);
    for (index, expected) in rounded.iter().enumerate() {
        mine += made.counts.get(index).copied().unwrap_or(0);
        theirs += expected;
        assert!(mine.abs_diff(theirs) <= 2, "{mine} and {theirs} up to {index}");
    }
    assert_eq!((mine, theirs), (200, 200));
    let upper = seconds().to_exponential(0, Placement::Upper).positive;
    assert_eq!((upper.offset, upper.counts), (-7, vec![5, 20, 40, 50, 60, 15, 8, 0, 1, 1]));
    let below = histogram(&[-4.0, -1.0], &[0, 4, 0]).to_exponential(0, Placement::Upper);
    assert_eq!((below.negative.offset, below.negative.counts), (-1, vec![4]));
}

#[test]
fn buckets_are_spread_evenly_by_value() {
    // A fourth of (1, 5] lies below 2, a half from there to 4, and a fourth above.
    let made = histogram(&[1.0, 5.0], &[0, 48, 0]).to_exponential(0, Placement::LinearSplit).positive;
    assert_eq!((made.offset, made.counts), (0, vec![12, 24, 12]));
    let made = histogram(&[-5.0, -1.0], &[0, 48, 0]).to_exponential(0, Placement::LinearSplit).negative;
    assert_eq!((made.offset, made.counts), (0, vec![12, 24, 12]));
}

#[test]
fn bounds_that_lie_far_apart_take_a_lower_scale() {
    let wide = histogram(&[1e-300, 1e300], &[1, 1, 1]);
    for placement in PLACEMENTS {
        let made = wide.to_exponential(20, placement);
        assert!(made.adds_up() && made.positive.counts.len() <= 4096, "{}", made.positive.counts.len());
        assert_eq!(made.scale, 1);
    }
}

const PLACEMENTS: [Placement; 4] =
    [Placement::Geometric, Placement::Upper, Placement::LogSplit, Placement::LinearSplit];

proptest! {
    #[test]
    fn conversions_of_a_growing_histogram_grow(
        counts in proptest::collection::vec(0_u64..300, 15),
        more in proptest::collection::vec(0_u64..5, 15),
        scale in 0_i32..5,
    ) {
        let mut before = seconds();
        before.counts = counts;
        before.count = before.counts.iter().sum();
        let mut after = before.clone();
        after.counts.iter_mut().zip(&more).for_each(|(count, more)| *count += more);
        after.count = after.counts.iter().sum();
        for placement in PLACEMENTS {
            let made = after.to_exponential(scale, placement);
            prop_assert!(made.adds_up());
            let mut last = before.to_exponential(scale, placement);
            let mut grown = made.clone();
            let step = grown.advance(&mut last, Place { start: 1, time: 2 }, Place { start: 1, time: 3 });
            prop_assert_eq!(step, Step::Next, "{:?}", placement);
            prop_assert_eq!(grown.count, more.iter().sum::<u64>());
        }
    }

    #[test]
    fn conversion_keeps_counts_and_its_bound_on_the_error(
        counts in proptest::collection::vec(0_u64..1000, 15),
        scale in 0_i32..8,
        q in 0.0_f64..1.0,
        which in 0_usize..4,
    ) {
        let mut source = seconds();
        // Neither below the first bound nor beyond the last: nobody knows how far that reaches.
        source.counts = counts;
        source.counts[0] = 0;
        source.counts[14] = 0;
        source.count = source.counts.iter().sum();
        let placement = PLACEMENTS[which];
        let made = source.to_exponential(scale, placement);
        prop_assert!(made.adds_up());
        prop_assert_eq!(made.count, source.count);
        if let (Some(before), Some(after)) = (source.quantile(q), made.quantile(q)) {
            // The widest bucket is from 0.01 to 0.025; an estimate may lie anywhere in its bucket, before and after.
            let widest = 2.5 * crate::base(scale);
            prop_assert!(after <= before * widest && before <= after * widest, "{} {}", before, after);
            prop_assert!(relative_error(scale) < 1.0);
        }
    }

    /// What dashboards read from the explicit histogram lies in the bucket that they find it in behind the conversion: its middle is
    /// off by no more than the scale adds, but for the few measurements by which the spread is uneven.
    #[test]
    fn quantiles_stay_where_buckets_are_spread_by_value(
        counts in proptest::collection::vec(0_u64..100_000, 15),
        scale in 0_i32..8,
        q in 0.001_f64..0.999,
    ) {
        let mut source = seconds();
        source.counts = counts;
        source.counts[0] = 0;
        source.counts[14] = 0;
        source.count = source.counts.iter().sum();
        prop_assume!(source.count > 0);
        let made = source.to_exponential(scale, Placement::LinearSplit);
        // Two bounds of a bucket, each with log2(n) / 3 + 1 measurements more or fewer below it than its share.
        let slack = (source.count as f64).log2() / 3.0 + 2.0;
        let near = |ranks: f64| source.quantile((q + ranks / source.count as f64).clamp(0.0, 1.0));
        let (low, after, high) = (near(-slack), made.middle(q), near(slack));
        let (low, after, high) = (low.expect("some"), after.expect("some"), high.expect("some"));
        let error = relative_error(scale) + 1e-9;
        prop_assert!(after >= low * (1.0 - error) && after <= high * (1.0 + error), "{} {} {}", low, after, high);
    }

    #[test]
    fn merging_is_the_same_in_any_order(
        a in proptest::collection::vec(0_u64..1000, 4), b in proptest::collection::vec(0_u64..1000, 4),
    ) {
        let bounds = [1.0, 2.0, 3.0];
        let (a, b) = (histogram(&bounds, &a), histogram(&bounds, &b));
        let (mut ab, mut ba) = (a.clone(), b.clone());
        prop_assert_eq!((ab.add(&b), ba.add(&a)), (Ok(()), Ok(())));
        prop_assert_eq!(ab, ba);
    }
}
