//! Cases with exact numbers, most of them from what others got wrong. Their numbers are those of the list of cases that the
//! aggregating components share: 6, 19, 21 and 22 are about windows and conversions, and the aggregator's.

use serde_json::{Value, json};

use super::data::*;
use super::histograms::exponential;

const DROP_POD: &str =
    "{name: pods, match: {types: [counter, histogram, exponential_histogram]}, drop_labels: [pod]}";
const OVERFLOW: &str = "|otel.metric.overflow={\"boolValue\":true}";

/// What starts before the first data is a baseline: so something comes before everything else.
fn begun(yaml: &str) -> Fixture {
    let mut fixture = configured(yaml);
    assert_eq!(fixture.send("", gauge("first", &[("", -1, 0, 1.0)])).len(), 1);
    fixture
}

fn every(interval: u32, rule: &str) -> Fixture {
    begun(&format!("{{interval: {interval}s, idle: 600s, rules: [{rule}]}}"))
}

#[test]
fn case_1_a_reset_of_one_contributor_does_not_show() {
    let mut fixture = optimizer(DROP_POD);
    let (a, b) = ([100.0, 110.0, 120.0, 5.0, 15.0], [50.0, 60.0, 70.0, 80.0, 90.0]);
    let mut values = Vec::new();
    for index in 0..5 {
        let time = 10 * index as i64;
        fixture.send("", counter("c", &[("pod=a", -1, time, a[index]), ("pod=b", -1, time, b[index])]));
        values.extend(fixture.advance(10).into_iter().map(|row| (row.2, row.3, row.4)));
    }
    let expected = [(0, "0"), (10, "20"), (20, "40"), (30, "55"), (40, "75")];
    assert_eq!(values, expected.map(|(time, value)| (0, time, value.to_owned())));
    assert_eq!(fixture.metrics.sum("phoenix_processor_optimizer_resets", &[]), 1);
}

#[test]
fn case_2_a_first_point_counts_from_a_known_start() {
    let mut fixture = every(60, DROP_POD);
    fixture.send("", counter("c", &[("pod=a g=1", 0, 10, 7.0), ("pod=b g=2", 10, 10, 7.0)]));
    let rows = fixture.advance(60);
    let values: Vec<_> = rows.iter().map(|row| (row.1.as_str(), row.4.as_str())).collect();
    assert_eq!(values, [("|g=1", "7"), ("|g=2", "0")]);
}

#[test]
fn case_3_a_mean_is_over_series_however_often_they_are_sent() {
    let mut fixture = every(60, "{name: a, match: {metrics: [g]}, drop_labels: [pod], gauges: avg}");
    fixture.send("", gauge("g", &[("pod=a", -1, 1, 10.0)]));
    for time in 1..11 {
        fixture.send("", gauge("g", &[("pod=b", -1, time, 1.0)]));
    }
    assert_eq!(short(&fixture.advance(60)), [("|", -1, 10, "5.5")]);
}

#[test]
fn case_4_a_sum_of_gauges_is_that_of_the_latest_of_each() {
    let mut fixture = every(60, "{name: a, match: {metrics: [g]}, drop_labels: [pod], gauges: sum}");
    fixture.send("", gauge("g", &[("pod=a", -1, 10, 1.0), ("pod=a", -1, 50, 3.0), ("pod=b", -1, 30, 5.0)]));
    assert_eq!(short(&fixture.advance(60)), [("|", -1, 50, "8")]);
}

#[test]
fn case_5_deltas_of_different_times_meet_in_their_interval() {
    let mut fixture = every(20, DROP_POD);
    fixture.send("", deltas("d", &[("pod=a", 0, 10, 4.0), ("pod=b", 10, 20, 6.0)]));
    assert_eq!(short(&fixture.advance(20)), [("|", 0, 20, "10")]);
}

#[test]
fn case_7_histograms_are_added_on_the_bounds_that_all_have() {
    let mut fixture = every(10, DROP_POD);
    fixture.send("", histogram(1, ("pod=a", 0, 5), &[1.0, 5.0, 10.0], &[2, 3, 4, 1], 40.0));
    fixture.send("", histogram(1, ("pod=b", 0, 5), &[1.0, 10.0], &[1, 6, 2], 60.0));
    assert_eq!(short(&fixture.advance(10)), [("|", 0, 5, "[1,10] [3,13,3] count 19 sum 100")]);
}

#[test]
fn case_8_histograms_without_common_bounds_stay_as_they_are() {
    let mut fixture = every(10, DROP_POD);
    fixture.send("", histogram(1, ("pod=a", 0, 5), &[1.0, 5.0], &[1, 2, 3], 1.0));
    let passed = fixture.send("", histogram(1, ("pod=b", 0, 5), &[2.0, 10.0], &[4, 5, 6], 2.0));
    assert_eq!(short(&passed), [("|pod=b", 0, 5, "[2,10] [4,5,6] count 15 sum 2")]);
    assert_eq!(short(&fixture.advance(10)), [("|", 0, 5, "[1,5] [1,2,3] count 6 sum 1")]);
    assert_eq!(fixture.ignored("not_mergeable"), 1);
}

#[test]
fn case_9_a_lower_scale_shifts_and_never_divides() {
    let mut fixture = optimizer("{name: h, histograms: {max_error: 0.09}}");
    let passed = fixture.send("", exponential(1, ("", 0, 5), 3, -3, &[1, 2, 3, 4, 5, 6, 7]));
    assert_eq!(passed[0].4, "scale 2 offset -2 [1,5,9,13] zero 0 count 28");
}

#[test]
fn case_10_exponential_histograms_are_added_on_the_lower_scale() {
    let mut fixture = every(10, DROP_POD);
    fixture.send("", exponential(1, ("pod=a", 0, 5), 1, 0, &[1, 2, 3, 4]));
    fixture.send("", exponential(1, ("pod=b", 0, 5), 0, 1, &[10, 20]));
    assert_eq!(fixture.advance(10)[0].4, "scale 0 offset 0 [3,17,20] zero 0 count 40");
}

#[test]
fn case_11_the_number_of_buckets_includes_both_ends() {
    let merge = |most: usize| {
        let mut fixture = every(
            10,
            &format!(
                "{{name: h, match: {{types: [exponential_histogram]}}, drop_labels: [pod], histograms: {{max_buckets: {most}}}}}"
            ),
        );
        fixture.send("", exponential(1, ("pod=a", 0, 5), 0, 0, &[1; 5]));
        fixture.send("", exponential(1, ("pod=b", 0, 5), 0, 1, &[1; 5]));
        fixture.advance(10)[0].4.clone()
    };
    assert_eq!(merge(5), "scale -1 offset 0 [3,4,3] zero 0 count 10");
    assert_eq!(merge(6), "scale 0 offset 0 [1,2,2,2,2,1] zero 0 count 10");
}

#[test]
fn case_12_the_wider_bucket_of_zero_takes_what_reaches_into_it() {
    let mut fixture = every(10, DROP_POD);
    let with_zero = |mut metric: Value, zero: u64, threshold: f64| {
        let point = &mut metric["exponentialHistogram"]["dataPoints"][0];
        let count: u64 = point["count"].as_str().and_then(|text| text.parse().ok()).expect("a count");
        point["count"] = json!((count + zero).to_string());
        point["zeroCount"] = json!(zero.to_string());
        point["zeroThreshold"] = json!(threshold);
        metric
    };
    fixture.send("", with_zero(exponential(1, ("pod=a", 0, 5), 0, -2, &[2, 3, 4]), 1, 0.0));
    fixture.send("", with_zero(exponential(1, ("pod=b", 0, 5), 0, 0, &[7]), 5, 0.6));
    fixture.harness.advance(std::time::Duration::from_secs(10));
    let request = fixture.requests().pop().expect("one request");
    let point = &request["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["exponentialHistogram"]["dataPoints"]
        [0];
    assert_eq!(point["zeroThreshold"].as_f64(), Some(1.0));
    assert_eq!(rows(&request)[0].4, "scale 0 offset 0 [11] zero 11 count 22");
}

#[test]
fn cases_13_and_14_a_histogram_of_which_any_bucket_falls_started_again() {
    for (second, sum) in [([1, 2], [5, 8]), ([5, 5], [9, 11])] {
        let mut fixture = every(10, DROP_POD);
        fixture.send("", histogram(2, ("pod=a", 0, 5), &[1.0], &[4, 6], 0.0));
        assert_eq!(fixture.advance(10)[0].4, "[1] [4,6] count 10 sum 0");
        fixture.send("", histogram(2, ("pod=a", 0, 15), &[1.0], &second, 0.0));
        let count: u64 = sum.iter().sum();
        let expected = format!("[1] [{},{}] count {count} sum 0", sum[0], sum[1]);
        assert_eq!(short(&fixture.advance(10)), [("|", 0, 15, expected.as_str())]);
        assert_eq!(fixture.metrics.sum("phoenix_processor_optimizer_resets", &[]), 1);
    }
}

#[test]
fn cases_15_and_16_the_others_are_one_series_and_none_at_the_limit() {
    let mut fixture = optimizer("{name: l, limit_series: {limit: 3}}");
    let labels: Vec<String> = (1..=5).map(|number| format!("s={number}")).collect();
    let point = |number: usize| (labels[number - 1].as_str(), 0, 5, number as f64);
    fixture.send("", deltas("d", &(1..=5).map(point).collect::<Vec<_>>()));
    assert_eq!(short(&fixture.advance(10)), [(OVERFLOW, 0, 5, "9")]);
    let passed = fixture.send("", deltas("e", &(1..=3).map(point).collect::<Vec<_>>()));
    assert_eq!((passed.len(), fixture.advance(10).len()), (3, 0));
}

#[test]
fn case_17_cumulative_streams_overflow_by_increments() {
    let mut fixture = optimizer("{name: l, limit_series: {limit: 2}}");
    fixture.send("", counter("c", &[("s=1", -1, 1, 7.0), ("s=2", -1, 1, 8.0)]));
    let mut values = Vec::new();
    for (time, value) in [(10, 100.0), (20, 130.0), (30, 10.0)] {
        fixture.send("", counter("c", &[("s=3", -1, time, value)]));
        values.extend(fixture.advance(10).into_iter().map(|row| (row.1, row.3, row.4)));
    }
    let expected = [(10, "0"), (20, "30"), (30, "40")];
    assert_eq!(values, expected.map(|(time, value)| (OVERFLOW.to_owned(), time, value.to_owned())));
}

#[test]
fn case_18_gauges_over_the_limit_are_dropped_and_counted() {
    let mut fixture = optimizer("{name: l, limit_series: {limit: 1}}");
    assert_eq!(fixture.send("", gauge("g", &[("s=1", -1, 1, 1.0), ("s=2", -1, 1, 2.0)])).len(), 1);
    assert_eq!((fixture.advance(10), fixture.ignored("gauge_overflow")), (Vec::new(), 1));
}

#[test]
fn case_20_a_stale_contributor_does_not_count_and_the_last_one_ends_the_series() {
    let mut fixture = every(60, "{name: a, match: {metrics: [g]}, drop_labels: [pod], gauges: sum}");
    let stale = |pod: &str, time: i64| {
        json!({"name": "g", "unit": "1", "gauge": {"dataPoints": [
            {"attributes": attributes(pod), "timeUnixNano": nanos(time), "flags": 1},
        ]}})
    };
    fixture.send("", gauge("g", &[("pod=a", -1, 10, 5.0)]));
    fixture.send("", stale("pod=a", 20));
    fixture.send("", gauge("g", &[("pod=b", -1, 50, 7.0)]));
    assert_eq!(short(&fixture.advance(60)), [("|", -1, 50, "7")]);
    fixture.send("", stale("pod=b", 70));
    assert_eq!(short(&fixture.advance(60)), [("|", -1, 70, "stale")]);
}

#[test]
fn case_23_bounds_that_are_chosen_keep_to_the_budget_of_each_quantile() {
    let mut fixture = optimizer(
        "{name: h, histograms: {choose_bounds: {learn: 0s, at_least: 1, budgets: [{quantile: 0.5, error: 0.05}, {quantile: 0.99, error: 0.1}]}}}",
    );
    let bounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
    let counts = [0, 5, 20, 40, 30, 20, 60, 15, 5, 3, 1, 0, 1, 0, 0];
    fixture.send("", histogram(1, ("", 0, 5), &bounds, &counts, 1.0));
    fixture.advance(10);
    let left = fixture.send("", histogram(1, ("", 10, 15), &bounds, &counts, 1.0))[0].4.clone();
    let left: Vec<f64> = left[1..]
        .split(']')
        .next()
        .into_iter()
        .flat_map(|list| list.split(','))
        .map(|bound| bound.parse().expect("a bound"))
        .collect();
    assert!(left.len() <= 7, "{left:?}");
    let source = phoenix_series::Explicit {
        bounds: bounds.as_slice().into(),
        counts: counts.to_vec(),
        count: 200,
        ..Default::default()
    };
    let reduced = source.restricted(&left);
    for (quantile, budget) in [(0.5, 0.05), (0.99, 0.1)] {
        let (before, after) =
            (source.quantile(quantile).expect("some"), reduced.quantile(quantile).expect("some"));
        assert!((after - before).abs() / before <= budget, "{quantile}: {before} {after}");
    }
}

#[test]
fn case_24_a_stream_that_was_forgotten_comes_back_as_a_baseline() {
    let mut fixture = begun(&format!("{{interval: 10s, idle: 20s, rules: [{DROP_POD}]}}"));
    fixture.send("", counter("c", &[("pod=a", 0, 10, 10.0)]));
    assert_eq!(fixture.advance(10)[0].4, "10");
    fixture.advance(80);
    fixture.send("", counter("c", &[("pod=a", 0, 100, 25.0)]));
    assert_eq!(fixture.advance(10)[0].4, "0", "what it counted before may have been told");
    assert_eq!(fixture.ignored("unknown_start"), 1);
    fixture.send("", counter("c", &[("pod=a", 0, 110, 30.0)]));
    assert_eq!(fixture.advance(10)[0].4, "5");
}

/// The other half of case 24. The aggregate was forgotten as well: it begins anew, from where the stream stood.
#[test]
fn case_24_a_stream_with_a_tombstone_counts_what_it_missed() {
    let mut fixture = begun(&format!("{{interval: 10s, idle: 20s, tombstones: 4, rules: [{DROP_POD}]}}"));
    let point = |pod: &str, time: i64, value: f64| counter("c", &[(pod, 0, time, value)]);
    fixture.send("", point("pod=a", 10, 10.0));
    fixture.send("", histogram(2, ("pod=a", 0, 10), &[1.0], &[4, 6], 1.0));
    assert_eq!(fixture.advance(10).len(), 2);
    fixture.advance(80);
    fixture.send("", point("pod=a", 100, 25.0));
    fixture.send("", histogram(2, ("pod=a", 0, 100), &[1.0], &[5, 8], 2.0));
    let rows = fixture.advance(10);
    let of = |name: &str| rows.iter().find(|row| row.0 == name).map(|row| (row.2, row.3, row.4.as_str()));
    assert_eq!(of("c"), Some((10, 100, "15")));
    assert_eq!(of("h"), Some((10, 100, "[1] [1,2] count 3 sum 1")));
    assert_eq!(fixture.ignored("unknown_start"), 0);
    // There is room for a few only: the oldest go, and are baselines when they come back.
    for number in 0..6 {
        fixture.send("", point(&format!("pod=b{number}"), 105, 1.0));
        fixture.advance(80);
    }
    fixture.advance(80);
    let baselines = fixture.ignored("unknown_start");
    fixture.send("", point("pod=a", 800, 30.0));
    assert_eq!(fixture.advance(10)[0].4, "0");
    assert_eq!(fixture.ignored("unknown_start"), baselines + 1);
    fixture.send("", point("pod=b5", 810, 3.0));
    assert_eq!(fixture.advance(10).last().expect("a point").4, "2");
}

/// An interval is no window: its points have the times of what went into them, so that one that is cut short says itself how far it
/// reaches, and needs no mark that it is partial.
#[test]
fn case_25_what_is_added_up_goes_out_at_the_end_and_goes_on_without_overlap() {
    let mut fixture = every(60, DROP_POD);
    fixture.send("", deltas("d", &[("pod=a", 0, 20, 4.0), ("pod=b", 20, 40, 5.0)]));
    fixture.harness.advance(std::time::Duration::from_secs(42));
    assert_eq!(short(&fixture.drain()), [("|", 0, 40, "9")]);
    let mut restarted = every(60, DROP_POD);
    restarted.send("", deltas("d", &[("pod=a", 40, 50, 1.0), ("pod=b", 40, 60, 2.0)]));
    assert_eq!(short(&restarted.advance(60)), [("|", 40, 60, "3")]);
}
