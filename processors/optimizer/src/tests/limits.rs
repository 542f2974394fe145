//! Limits: on series, on values, on what is tracked.

use super::data::*;

fn s(points: &[(u32, f64)], time: i64) -> Vec<(String, i64, i64, f64)> {
    points.iter().map(|(number, value)| (format!("s={number}"), 0, time, *value)).collect()
}

fn borrowed(points: &[(String, i64, i64, f64)]) -> Vec<Point<'_>> {
    points.iter().map(|(labels, start, time, value)| (labels.as_str(), *start, *time, *value)).collect()
}

#[test]
fn what_is_over_the_limit_is_added_up_in_one_series() {
    let mut fixture = optimizer("{name: l, limit_series: {limit: 3}}");
    let points = s(&[(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 5.0)], 5);
    let passed = fixture.send("r=1", deltas("d", &borrowed(&points)));
    assert_eq!(short(&passed), [("r=1|s=1", 0, 5, "1"), ("r=1|s=2", 0, 5, "2"), ("r=1|s=3", 0, 5, "3")]);
    assert_eq!(short(&fixture.advance(10)), [("r=1|otel.metric.overflow={\"boolValue\":true}", 0, 5, "9")]);
    // Another resource has a limit of its own.
    assert_eq!(fixture.send("r=2", deltas("d", &borrowed(&points))).len(), 3);
}

#[test]
fn exactly_the_limit_overflows_nothing() {
    let mut fixture = optimizer("{name: l, limit_series: {limit: 3}}");
    for time in [5, 15] {
        let points = s(&[(1, 1.0), (2, 2.0), (3, 3.0)], time);
        assert_eq!(fixture.send("", deltas("d", &borrowed(&points))).len(), 3);
        assert_eq!(fixture.advance(10), []);
    }
}

#[test]
fn cumulative_streams_over_the_limit_are_counted_by_increments() {
    let mut fixture = optimizer("{name: l, limit_series: {limit: 2}}");
    fixture.send("", counter("c", &[("s=1", -1, 1, 7.0), ("s=2", -1, 1, 8.0)]));
    let mut values = Vec::new();
    for (time, value) in [(10, 100.0), (20, 130.0), (30, 10.0)] {
        fixture.send("", counter("c", &[("s=3", -1, time, value)]));
        values.extend(fixture.advance(10).into_iter().map(|row| (row.3, row.4)));
    }
    assert_eq!(values, [(10, "0".to_owned()), (20, "30".to_owned()), (30, "40".to_owned())]);
}

#[test]
fn gauges_over_the_limit_are_counted_or_aggregated_as_asked() {
    let points = s(&[(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)], 5);
    let mut fixture = optimizer("{name: l, limit_series: {limit: 2}}");
    assert_eq!(fixture.send("", gauge("g", &borrowed(&points))).len(), 2);
    assert_eq!((fixture.advance(10), fixture.ignored("gauge_overflow")), (Vec::new(), 2));
    let mut fixture = optimizer("{name: l, gauges: max, limit_series: {limit: 2}}");
    fixture.send("", gauge("g", &borrowed(&points)));
    assert_eq!(fixture.advance(10)[0].4, "4");
}

#[test]
fn a_limit_over_all_resources_holds_whatever_their_number() {
    let mut fixture = optimizer("{name: l, limit_series: {limit: 4, per: metric}}");
    let mut passed = 0;
    for resource in 0..10 {
        passed += fixture.send(&format!("pid={resource}"), deltas("d", &[("", 0, 5, 1.0)])).len();
    }
    assert_eq!(passed, 4);
    assert_eq!(short(&fixture.advance(10)), [("|otel.metric.overflow={\"boolValue\":true}", 0, 5, "6")]);
}

#[test]
fn idle_series_make_room() {
    let mut fixture = configured("{interval: 10s, idle: 20s, rules: [{name: l, limit_series: {limit: 1}}]}");
    assert_eq!(fixture.send("", deltas("d", &[("s=1", 0, 1, 1.0)])).len(), 1);
    assert_eq!(fixture.send("", deltas("d", &[("s=2", 0, 1, 1.0)])).len(), 0);
    fixture.advance(60);
    assert_eq!(fixture.send("", deltas("d", &[("s=3", 0, 61, 1.0)])).len(), 1);
}

#[test]
fn limits_hold_behind_labels_that_go() {
    let mut fixture =
        optimizer("{name: l, match: {types: [counter]}, drop_labels: [pod], limit_series: {limit: 2}}");
    let points = ["pod=1 s=1", "pod=2 s=1", "pod=1 s=2", "pod=1 s=3", "pod=2 s=4"];
    let points: Vec<Point<'_>> = points.iter().map(|labels| (*labels, 0, 5, 1.0)).collect();
    assert_eq!(fixture.send("", counter("c", &points)), []);
    let out = fixture.advance(10);
    assert_eq!(
        short(&out),
        [("|otel.metric.overflow={\"boolValue\":true}", 0, 5, "2"), ("|s=1", 0, 5, "2"), ("|s=2", 0, 5, "1")]
    );
}

#[test]
fn further_values_of_a_label_become_one() {
    let mut fixture = configured(
        "{interval: 10s, idle: 20s, rules: [{name: c, match: {types: [counter]}, cap_values: [{label: route, limit: 2}]}]}",
    );
    let send = |fixture: &mut Fixture, time: i64| {
        fixture.send(
            "",
            deltas(
                "d",
                &[
                    ("route=a m=1", 0, time, 1.0),
                    ("route=b m=1", 0, time, 1.0),
                    ("route=c m=1", 0, time, 1.0),
                    ("route=_other_ m=1", 0, time, 1.0),
                    ("route=a m=2", 0, time, 1.0),
                    ("m=3", 0, time, 1.0),
                ],
            ),
        )
    };
    assert_eq!(send(&mut fixture, 5), []);
    let labels: Vec<(String, String)> = fixture.advance(10).into_iter().map(|row| (row.1, row.4)).collect();
    let expected = [
        ("|m=1 route=_other_", "2"),
        ("|m=1 route=a", "1"),
        ("|m=1 route=b", "1"),
        ("|m=2 route=a", "1"),
        ("|m=3", "1"),
    ];
    assert_eq!(labels, expected.map(|(labels, value)| (labels.to_owned(), value.to_owned())));
    // Those that are still sent keep their place, however many intervals pass.
    send(&mut fixture, 15);
    fixture.advance(10);
    fixture.send("", deltas("d", &[("route=x m=9", 10, 25, 1.0)]));
    assert_eq!(fixture.advance(10)[0].1, "|m=9 route=_other_");
    // Values that nobody sends any more make room for others.
    fixture.advance(60);
    fixture.send("", deltas("d", &[("route=x m=1", 60, 70, 1.0)]));
    assert_eq!(fixture.advance(10)[0].1, "|m=1 route=x");
}

#[test]
fn a_full_tracker_keeps_the_totals_of_deltas_and_says_what_it_cannot_keep() {
    let mut fixture = configured(
        "{interval: 10s, max_series: 3, rules: [{name: p, match: {types: [counter]}, drop_labels: [pod]}]}",
    );
    let points: Vec<String> = (0..10).map(|pod| format!("pod={pod}")).collect();
    let points: Vec<Point<'_>> = points.iter().map(|labels| (labels.as_str(), 0, 5, 1.0)).collect();
    fixture.send("", deltas("d", &points));
    assert_eq!(fixture.advance(10)[0].4, "10");
    fixture.send("", counter("c", &points));
    assert_eq!(fixture.advance(10), []);
    assert_eq!(fixture.ignored("untracked"), 10);
}

#[test]
fn a_tracked_series_takes_less_than_200_bytes() {
    use crate::series::Series;
    use phoenix_series::{Fingerprint, Table};
    for count in [100_000_u64, 115_000, 230_000] {
        let mut table: Table<Series> = Table::new(1_000_000);
        let hasher = phoenix_series::Hasher::new(1);
        for number in 0..count {
            let key: Fingerprint = hasher.bytes(&number.to_le_bytes());
            let series = Series::new(Default::default(), 0);
            assert!(table.insert(key, series).is_ok());
        }
        let each = table.memory() as u64 / count;
        assert!(each <= 170, "{each} bytes for each of {count}");
    }
}

#[test]
fn new_series_that_come_too_fast_are_added_up_and_counted() {
    let mut fixture =
        optimizer("{name: l, match: {types: [counter]}, limit_series: {limit: 100, new_per_minute: 6}}");
    let point = |name: &'static str, at: i64| (name, at - 10, at, 1.0);
    let names = ["a=0", "a=1", "a=2", "a=3", "a=4", "a=5", "a=6", "a=7"];
    let first: Vec<_> = names.iter().map(|name| point(name, 10)).collect();
    let passed = fixture.send("", deltas("m", &first));
    assert_eq!(passed.len(), 6, "as many at once as a minute lets in");
    let let_out = fixture.advance(10);
    assert_eq!(
        short(&let_out),
        [("|otel.metric.overflow={\"boolValue\":true}", 0, 10, "2")],
        "and no total shrinks"
    );
    // Ten seconds make room for one more, and those that were over stay so.
    let second: Vec<_> = ["a=6", "a=8", "a=9"].iter().map(|name| point(name, 20)).collect();
    let passed = fixture.send("", deltas("m", &second));
    assert_eq!(passed.len(), 1, "{passed:?}");
    let overflowed =
        fixture.metrics.sum("phoenix_processor_optimizer_rule_points", &[("outcome", "overflowed")]);
    assert_eq!(overflowed, 4);
}
