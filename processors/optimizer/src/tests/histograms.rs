//! Histograms: merged, and made smaller.

use serde_json::{Value, json};

use super::data::*;

const DROP_POD: &str = "{name: pods, match: {types: [histogram, exponential_histogram]}, drop_labels: [pod]}";

pub(crate) fn exponential(
    temporality: i32,
    (labels, start, time): (&str, i64, i64),
    scale: i32,
    offset: i64,
    counts: &[u64],
) -> Value {
    json!({"name": "e", "exponentialHistogram": {"aggregationTemporality": temporality, "dataPoints": [{
        "attributes": attributes(labels), "startTimeUnixNano": nanos(start), "timeUnixNano": nanos(time),
        "count": counts.iter().sum::<u64>().to_string(), "sum": 1.0, "scale": scale,
        "positive": {"offset": offset, "bucketCounts": counts.iter().map(u64::to_string).collect::<Vec<_>>()},
    }]}})
}

#[test]
fn bounds_in_common_stay() {
    let mut fixture = optimizer(DROP_POD);
    fixture.send("", histogram(1, ("pod=a", 0, 5), &[1.0, 5.0, 10.0], &[2, 3, 4, 1], 40.0));
    fixture.send("", histogram(1, ("pod=b", 0, 5), &[1.0, 10.0], &[1, 6, 2], 60.0));
    assert_eq!(short(&fixture.advance(10)), [("|", 0, 5, "[1,10] [3,13,3] count 19 sum 100")]);
}

#[test]
fn without_bounds_in_common_a_histogram_goes_on_as_it_is() {
    let mut fixture = optimizer(DROP_POD);
    fixture.send("", histogram(2, ("pod=a", 0, 5), &[1.0, 5.0], &[1, 1, 1], 3.0));
    let passed = fixture.send("", histogram(2, ("pod=b", 0, 5), &[2.0, 10.0], &[1, 2, 3], 6.0));
    assert_eq!(short(&passed), [("|pod=b", 0, 5, "[2,10] [1,2,3] count 6 sum 6")]);
    assert_eq!(fixture.ignored("not_mergeable"), 1);
    assert_eq!(short(&fixture.advance(10)), [("|", 0, 5, "[1,5] [1,1,1] count 3 sum 3")]);
}

#[test]
fn a_cumulative_histogram_survives_the_reset_of_a_contributor() {
    let mut fixture = optimizer(DROP_POD);
    fixture.send("", histogram(2, ("pod=a", 0, 5), &[5.0], &[4, 6], 10.0));
    fixture.send("", histogram(2, ("pod=b", 0, 5), &[5.0], &[1, 1], 2.0));
    assert_eq!(fixture.advance(10)[0].4, "[5] [5,7] count 12 sum 12");
    // The count is the same, and a bucket fell: it started again, as a whole.
    fixture.send("", histogram(2, ("pod=a", 0, 15), &[5.0], &[5, 5], 3.0));
    assert_eq!(fixture.advance(10)[0].4, "[5] [10,12] count 22 sum 15");
    fixture.send("", histogram(2, ("pod=a", 0, 25), &[5.0], &[5, 6], 4.0));
    assert_eq!(fixture.advance(10)[0].4, "[5] [10,13] count 23 sum 16");
    // Bounds that were let out stay, though a newcomer has fewer.
    let passed = fixture.send("", histogram(2, ("pod=c", 0, 35), &[], &[], 1.0));
    assert_eq!(passed.len(), 1);
    fixture.send("", histogram(2, ("pod=d", 31, 35), &[5.0, 7.0], &[1, 2, 3], 1.0));
    assert_eq!(short(&fixture.advance(10)), [("|", 0, 35, "[5] [11,18] count 29 sum 17")]);
}

#[test]
fn exponential_histograms_are_merged_on_the_lower_scale() {
    for temporality in [1, 2] {
        let mut fixture = optimizer(DROP_POD);
        fixture.send("", exponential(temporality, ("pod=a", 0, 5), 1, 0, &[1, 2, 3, 4]));
        fixture.send("", exponential(temporality, ("pod=b", 0, 5), 0, 1, &[10, 20]));
        assert_eq!(short(&fixture.advance(10)), [("|", 0, 5, "scale 0 offset 0 [3,17,20] zero 0 count 40")]);
    }
}

#[test]
fn the_scale_is_lowered_to_what_the_error_allows() {
    // 9 % is scale 2.
    let mut fixture = optimizer("{name: e, histograms: {max_error: 0.09}}");
    let passed = fixture.send("", exponential(2, ("a=b", 0, 5), 3, -3, &[1, 2, 3, 4, 5, 6, 7]));
    assert_eq!(short(&passed), [("|a=b", 0, 5, "scale 2 offset -2 [1,5,9,13] zero 0 count 28")]);
    let passed = fixture.send("", exponential(2, ("a=b", 0, 15), 1, 0, &[1, 2]));
    assert_eq!(short(&passed), [("|a=b", 0, 15, "scale 1 offset 0 [1,2] zero 0 count 3")], "never raised");
    let error = fixture
        .metrics
        .sum("phoenix_processor_optimizer_quantile_error", &[("processor", "optimizer"), ("rule", "e")]);
    assert!((1..90_000).contains(&error), "{error}");
    let mut fixture = optimizer("{name: e, histograms: {max_buckets: 2}}");
    let passed = fixture.send("", exponential(2, ("a=b", 0, 5), 3, -3, &[1, 2, 3, 4, 5, 6, 7]));
    assert_eq!(short(&passed), [("|a=b", 0, 5, "scale 1 offset -1 [6,22] zero 0 count 28")]);
}

#[test]
fn explicit_bounds_go_within_the_error_or_by_name() {
    let bounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1];
    let point = || histogram(2, ("a=b", 0, 5), &bounds, &[1, 2, 3, 4, 5, 6, 7], 1.0);
    let mut fixture = optimizer("{name: e, histograms: {merge_error: 0.35}}");
    assert_eq!(fixture.send("", point())[0].4, "[0.005,0.01,0.025,0.05,0.1] [1,2,3,4,11,7] count 28 sum 1");
    let mut fixture = optimizer("{name: e, histograms: {keep_bounds: [0.01, 0.1]}}");
    assert_eq!(fixture.send("", point())[0].4, "[0.01,0.1] [3,18,7] count 28 sum 1");
}

#[test]
fn explicit_histograms_become_exponential() {
    let mut fixture = optimizer("{name: e, histograms: {to_exponential: true, max_error: 0.34}}");
    let bounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
    let counts = [0, 5, 20, 40, 30, 20, 60, 15, 5, 3, 1, 0, 1, 0, 0];
    let expected = "scale 0 offset -8 [5,0,20,70,20,60,15,8,1,0,1] zero 0 count 200";
    let passed = fixture.send("", histogram(2, ("a=b", 0, 5), &bounds, &counts, 30.0));
    assert_eq!(short(&passed), [("|a=b", 0, 5, expected)]);
    // What is aggregated is converted where it is let out.
    let mut fixture = optimizer(
        "{name: e, match: {types: [histogram]}, drop_labels: [a], histograms: {to_exponential: true, max_error: 0.34}}",
    );
    fixture.send("", histogram(2, ("a=b", 0, 5), &bounds, &counts, 30.0));
    assert_eq!(short(&fixture.advance(10)), [("|", 0, 5, expected)]);
}

const TO_EXPONENTIAL: &str = "histograms: {to_exponential: true, max_error: 0.34}";

/// An exponential histogram under the name of the explicit ones.
fn exponential_h(labels: &str, time: i64, offset: i64, counts: &[u64]) -> Value {
    let mut metric = exponential(2, (labels, 0, time), 0, offset, counts);
    metric["name"] = json!("h");
    metric
}

#[test]
fn explicit_and_exponential_senders_of_one_metric_become_one_series() {
    // Half of the pods run a release with the other kind of histogram.
    for types in ["histogram, exponential_histogram", "histogram"] {
        let mut fixture = optimizer(&format!(
            "{{name: e, match: {{types: [{types}]}}, drop_labels: [pod], {TO_EXPONENTIAL}}}"
        ));
        fixture.send("", gauge("first", &[("", -1, 0, 1.0)]));
        let explicit = |fixture: &mut Fixture, pod: &str, time: i64, counts: [u64; 3]| {
            assert_eq!(fixture.send("", histogram(2, (pod, 0, time), &[1.0, 2.0], &counts, 1.0)), []);
        };
        explicit(&mut fixture, "pod=a", 5, [0, 3, 0]);
        // Other bounds are no hindrance.
        assert_eq!(fixture.send("", histogram(2, ("pod=b", 0, 5), &[4.0, 8.0], &[0, 4, 0], 1.0)), []);
        // This one has no label to drop, and is what the others become.
        assert_eq!(fixture.send("", exponential_h("", 6, 0, &[1, 1])), [], "{types}");
        assert_eq!(short(&fixture.advance(10)), [("|", 0, 6, "scale 0 offset 0 [4,1,4] zero 0 count 9")]);
        explicit(&mut fixture, "pod=a", 15, [0, 5, 0]);
        fixture.send("", exponential_h("", 15, 0, &[2, 2]));
        assert_eq!(short(&fixture.advance(10)), [("|", 0, 15, "scale 0 offset 0 [7,2,4] zero 0 count 13")]);
        fixture.harness.books().assert_balanced();
    }
}

#[test]
fn a_metric_is_converted_whatever_other_rules_look_at_and_kept_where_one_says_so() {
    let mut fixture = optimizer(&format!(
        "{{name: k, priority: 5, match: {{attributes: {{keep: '*'}}}}, keep: true}}, \
         {{name: a, match: {{types: [histogram], attributes: {{method: GET}}}}, drop_labels: [pod]}}, \
         {{name: s, mode: shadow, match: {{types: [histogram]}}, drop_labels: ['*']}}, {{name: e, {TO_EXPONENTIAL}}}"
    ));
    let points = ["keep=x", "method=GET pod=a", "method=PUT pod=a"].map(|labels| {
        histogram(1, (labels, 0, 5), &[1.0, 2.0, 4.0], &[0, 1, 2, 0], 1.0)["histogram"]["dataPoints"][0]
            .clone()
    });
    let mut metric = histogram(1, ("", 0, 5), &[1.0], &[0, 0], 0.0);
    metric["histogram"]["dataPoints"] = json!(points);
    let passed = fixture.send("", metric);
    let expected = "scale 0 offset 0 [1,2] zero 0 count 3";
    let explicit = "[1,2,4] [0,1,2,0] count 3 sum 1";
    assert_eq!(short(&passed), [("|keep=x", 0, 5, explicit), ("|method=PUT pod=a", 0, 5, expected)]);
    assert_eq!(short(&fixture.advance(10)), [("|method=GET", 0, 5, expected)]);
    fixture.harness.books().assert_balanced();
}

#[test]
fn the_end_of_a_series_is_told_where_it_becomes_exponential() {
    let mut fixture = optimizer(&format!("{{name: e, {TO_EXPONENTIAL}}}"));
    let mut flagged = histogram(2, ("a=b", 0, 5), &[], &[], 0.0);
    flagged["histogram"]["dataPoints"][0]["flags"] = json!(1);
    assert_eq!(short(&fixture.send("", flagged)), [("|a=b", 0, 5, "stale")]);
    let mut request = request("", histogram(2, ("a=b", 0, 6), &[1.0], &[0, 0], 0.0));
    request["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["histogram"]["dataPoints"][0]["sum"] =
        json!("NaN");
    let batch =
        phoenix_component::harness::golden::batch(phoenix_pdata::Signal::Metrics, &request.to_string());
    let mut bytes: Vec<u8> = batch.payload.pieces().flat_map(|piece| piece.to_vec()).collect();
    let place =
        bytes.windows(8).position(|word| f64::from_le_bytes(word.try_into().expect("eight")).is_nan());
    let place = place.expect("a sum");
    bytes[place..place + 8].copy_from_slice(&phoenix_series::STALE_NAN.to_le_bytes());
    let payload = phoenix_pdata::Payload::from(bytes::Bytes::from(bytes));
    fixture
        .harness
        .send(phoenix_component::Batch::new(phoenix_pdata::Signal::Metrics, payload, 1))
        .expect("taken");
    let out = fixture.requests();
    assert_eq!(short(&rows(&out[0])), [("|a=b", 0, 6, "stale")]);
}

#[test]
fn a_conversion_may_spread_buckets_or_tell_no_quantile_too_low() {
    let cases = [
        ("upper", "scale 1 offset 3 [40] zero 0 count 40"),
        ("log_split", "scale 1 offset 0 [10,10,10,10] zero 0 count 40"),
        ("linear_split", "scale 1 offset 0 [6,8,11,15] zero 0 count 40"),
        ("geometric", "scale 1 offset 1 [40] zero 0 count 40"),
    ];
    for (placement, expected) in cases {
        let mut fixture = optimizer(&format!(
            "{{name: e, histograms: {{to_exponential: true, max_error: 0.18, placement: {placement}}}}}"
        ));
        let passed = fixture.send("", histogram(2, ("", 0, 5), &[1.0, 4.0], &[0, 40, 0], 1.0));
        assert_eq!(passed[0].4, expected, "{placement}");
    }
}

#[test]
fn conversion_holds_for_what_is_limited_too() {
    let mut fixture = optimizer(
        "{name: e, match: {types: [histogram]}, limit_series: {limit: 1}, histograms: {to_exponential: true, max_error: 0.34}}",
    );
    let expected = "scale 0 offset 0 [1,2] zero 0 count 3";
    let mut send =
        |labels| fixture.send("", histogram(1, (labels, 0, 5), &[1.0, 2.0, 4.0], &[0, 1, 2, 0], 1.0));
    assert_eq!(short(&send("s=1")), [("|s=1", 0, 5, expected)]);
    assert_eq!(send("s=2"), []);
    assert_eq!(fixture.advance(10)[0].4, expected);
}

#[test]
fn histograms_that_contradict_themselves_pass_or_are_counted() {
    let mut bad = histogram(2, ("pod=a", 0, 5), &[1.0, 2.0], &[1, 1, 1], 1.0);
    bad["histogram"]["dataPoints"][0]["count"] = json!("7");
    let mut fixture = optimizer(DROP_POD);
    assert_eq!(fixture.send("", bad.clone()), []);
    assert_eq!(fixture.ignored("malformed"), 1);
    assert_eq!(fixture.advance(10), []);
    let mut fixture = optimizer("{name: e, histograms: {keep_bounds: [1.0]}}");
    assert_eq!(fixture.send("", bad).len(), 1, "nothing is merged, so it can go on");
    assert_eq!(fixture.ignored("malformed"), 1);
}

#[test]
fn bounds_that_no_quantile_needs_go_once_and_for_good() {
    let mut fixture = optimizer(
        "{name: h, histograms: {keep_bounds: [4], choose_bounds: {learn: 20s, at_least: 100, budgets: [{quantile: 0.5, error: 0.01}]}}}",
    );
    let bounds = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let send = |fixture: &mut Fixture, time: i64, counts: [u64; 7]| {
        fixture.send("", histogram(1, ("a=b", time - 1, time), &bounds, &counts, 1.0))[0].4.clone()
    };
    let usual = [0, 10, 40, 10, 0, 0, 0];
    assert!(send(&mut fixture, 5, usual).starts_with("[1,2,3,4,5,6]"), "it learns");
    fixture.advance(10);
    assert!(send(&mut fixture, 15, usual).starts_with("[1,2,3,4,5,6]"));
    fixture.advance(20);
    assert_eq!(send(&mut fixture, 35, usual), "[1,2,3,4,6] [0,10,40,10,0,0] count 60 sum 1");
    // Whatever comes later: bounds that come and go would look like resets.
    assert_eq!(send(&mut fixture, 45, [0, 0, 0, 0, 30, 30, 0]), "[1,2,3,4,6] [0,0,0,0,60,0] count 60 sum 1");
    // Other bounds are another matter.
    let other = fixture.send("", histogram(1, ("a=b", 54, 55), &[1.0, 9.0], &[1, 2, 3], 1.0));
    assert_eq!(other[0].4, "[1,9] [1,2,3] count 6 sum 1");
}

#[test]
fn aggregates_learn_and_let_out_what_they_chose() {
    let mut fixture = optimizer(
        "{name: h, match: {types: [histogram]}, drop_labels: [pod], histograms: {choose_bounds: {learn: 0s, at_least: 1, budgets: [{quantile: 0.5, error: 0.01}]}}}",
    );
    let send = |fixture: &mut Fixture, time: i64, count: u64| {
        for pod in ["pod=1", "pod=2"] {
            fixture.send("", histogram(2, (pod, 0, time), &[1.0, 2.0, 3.0, 9.0], &[0, count, 0, 0, 0], 1.0));
        }
        fixture.advance(10)[0].4.clone()
    };
    fixture.send("", gauge("first", &[("", -1, 0, 1.0)]));
    let first = send(&mut fixture, 5, 10);
    let second = send(&mut fixture, 15, 30);
    assert_eq!(
        first, "[1,2,9] [0,20,0,0] count 20 sum 2",
        "what is let out is chosen at the end of the interval"
    );
    assert_eq!(second, "[1,2,9] [0,60,0,0] count 60 sum 2");
}
