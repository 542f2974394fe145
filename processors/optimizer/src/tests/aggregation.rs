//! Labels that go: what is left says the same in total.

use phoenix_component::harness::golden;
use phoenix_component::{Ack, Adoption, Fragment, Now, Output};
use phoenix_pdata::Signal;
use serde_json::json;
use std::time::Duration;

use super::data::*;

const DROP_POD: &str = "{name: pods, match: {types: [counter, up_down_counter]}, drop_labels: [pod]}";

#[test]
fn resets_of_one_contributor_do_not_show_in_the_sum() {
    let mut fixture = optimizer(DROP_POD);
    let streams = [(100.0, 50.0), (110.0, 60.0), (120.0, 70.0), (5.0, 80.0), (15.0, 90.0)];
    let mut out = Vec::new();
    for (step, (a, b)) in streams.into_iter().enumerate() {
        let time = 10 * step as i64;
        let passed = fixture.send("", counter("c", &[("pod=a", -1, time, a), ("pod=b", -1, time, b)]));
        assert_eq!(passed, [], "nothing goes on by itself");
        out.extend(fixture.advance(10));
    }
    let values: Vec<_> =
        short(&out).into_iter().map(|(_, start, time, value)| (start, time, value)).collect();
    assert_eq!(values, [(0, 0, "0"), (0, 10, "20"), (0, 20, "40"), (0, 30, "55"), (0, 40, "75")]);
    assert_eq!(fixture.metrics.sum("phoenix_processor_optimizer_resets", &[("processor", "optimizer")]), 1);
}

#[test]
fn a_first_point_counts_from_a_known_start_only() {
    let mut fixture = optimizer(DROP_POD);
    fixture.send("", counter("c", &[("pod=a x=1", 0, 10, 7.0), ("pod=b x=2", 10, 10, 7.0)]));
    let out = fixture.advance(10);
    assert_eq!(short(&out), [("|x=1", 0, 10, "7"), ("|x=2", 10, 10, "0")]);
}

#[test]
fn a_stream_from_before_the_start_is_a_baseline_unless_it_is_to_be_kept() {
    for (initial, value) in [("auto", "3"), ("keep", "103"), ("drop", "3")] {
        let mut fixture =
            configured(&format!("{{interval: 10s, initial_value: {initial}, rules: [{DROP_POD}]}}"));
        // Started a second before the optimizer did.
        let point = |time: i64, value: f64| {
            let mut metric = counter("c", &[("pod=a", 0, time, value)]);
            metric["sum"]["dataPoints"][0]["startTimeUnixNano"] =
                json!(((EPOCH - 1) * 1_000_000_000).to_string());
            metric
        };
        fixture.send("", point(5, 100.0));
        fixture.send("", point(9, 103.0));
        assert_eq!(fixture.advance(10)[0].4, value, "{initial}");
    }
}

#[test]
fn deltas_of_one_interval_become_one_and_late_ones_still_count() {
    let mut fixture = optimizer(DROP_POD);
    fixture.send("", deltas("d", &[("pod=a", 0, 10, 4.0), ("pod=b", 10, 20, 6.0)]));
    assert_eq!(short(&fixture.advance(10)), [("|", 0, 20, "10")]);
    // A point that comes after its time waits for one that does not, and is not lost.
    fixture.send("", deltas("d", &[("pod=c", 10, 15, 5.0)]));
    assert_eq!(fixture.advance(10), []);
    fixture.send("", deltas("d", &[("pod=a", 20, 30, 1.0), ("pod=a", 20, 30, 1.0)]));
    assert_eq!(short(&fixture.advance(10)), [("|", 20, 30, "6")], "the duplicate does not count");
    assert_eq!(fixture.ignored("duplicate"), 1);
    fixture.send("", deltas("d", &[("pod=c", 15, 25, 2.0)]));
    assert_eq!(short(&fixture.drain()).iter().map(|row| row.3).collect::<Vec<_>>(), ["2"]);
}

#[test]
fn gauges_are_aggregated_over_the_latest_value_of_each_series() {
    for (function, value) in
        [("sum", "8"), ("avg", "4"), ("min", "3"), ("max", "5"), ("count", "2"), ("last", "3")]
    {
        let mut fixture = optimizer(&format!("{{name: g, drop_labels: [pod], gauges: {function}}}"));
        fixture.send("", gauge("g", &[("pod=a", -1, 1, 1.0), ("pod=a", -1, 5, 3.0), ("pod=b", -1, 3, 5.0)]));
        assert_eq!(short(&fixture.advance(10)), [("|", -1, 5, value)], "{function}");
    }
    // However often one is sent.
    let mut fixture = optimizer("{name: g, drop_labels: [pod], gauges: avg}");
    fixture.send("", gauge("g", &[("pod=a", -1, 1, 10.0)]));
    for time in 1..=10 {
        fixture.send("", gauge("g", &[("pod=b", -1, time, 1.0)]));
    }
    assert_eq!(fixture.advance(10)[0].4, "5.5");
}

#[test]
fn sums_that_may_fall_are_those_of_the_last_values() {
    let mut fixture = optimizer(DROP_POD);
    fixture.send("", sum("u", 2, false, &[("pod=a", 0, 1, 10.0), ("pod=b", 0, 1, 5.0)]));
    assert_eq!(fixture.advance(10)[0].4, "15");
    fixture.send("", sum("u", 2, false, &[("pod=a", 0, 11, 4.0)]));
    assert_eq!(fixture.advance(10)[0].4, "9");
}

#[test]
fn a_series_is_stale_when_the_last_of_its_contributors_is() {
    let stale = |labels: &str, time: i64| {
        let mut metric = gauge("g", &[(labels, -1, time, 0.0)]);
        metric["gauge"]["dataPoints"][0]["flags"] = json!(1);
        metric
    };
    let mut fixture = optimizer("{name: g, drop_labels: [pod], gauges: sum}");
    fixture.send("", gauge("g", &[("pod=a", -1, 1, 5.0), ("pod=b", -1, 5, 7.0)]));
    fixture.send("", stale("pod=a", 2));
    assert_eq!(short(&fixture.advance(10)), [("|", -1, 5, "7")]);
    fixture.send("", stale("pod=b", 12));
    assert_eq!(short(&fixture.advance(10)), [("|", -1, 12, "stale")]);
    fixture.send("", gauge("g", &[("pod=b", -1, 25, 8.0)]));
    assert_eq!(short(&fixture.advance(10)), [("|", -1, 25, "8")], "it may come back");
}

#[test]
fn bad_points_are_counted_and_corrupt_nothing() {
    let mut fixture = optimizer("{name: all, drop_labels: [pod], gauges: sum}");
    fixture.send("", counter("c", &[("pod=a", 0, 5, 10.0)]));
    fixture.send(
        "",
        counter(
            "c",
            &[
                ("pod=a", 0, 5, 11.0),
                ("pod=a", 0, 4, 9.0),
                ("pod=b", 0, 6, f64::NAN),
                ("pod=b", 0, 6, f64::INFINITY),
                ("pod=b", 0, 6, -1.0),
            ],
        ),
    );
    fixture.send("", gauge("g", &[("pod=a", -1, 5, 1.5), ("pod=b", -1, 5, f64::NAN)]));
    let reasons =
        ["duplicate", "out_of_order", "not_finite", "negative"].map(|reason| fixture.ignored(reason));
    assert_eq!(reasons, [1, 1, 3, 1]);
    let out = fixture.advance(10);
    assert_eq!(short(&out), [("|", 0, 5, "10"), ("|", -1, 5, "1.5")]);
    // A clock that is a day ahead does not make the others late.
    fixture.send("", counter("c", &[("pod=z", 0, 86_400, 5.0), ("pod=a", 0, 12, 12.0)]));
    assert_eq!(fixture.ignored("clock_ahead"), 1);
    let out = fixture.advance(10);
    assert_eq!((out[0].3, out[0].4.as_str()), (12, "17"), "{out:?}");
}

#[test]
fn whole_and_other_numbers_add_up() {
    let mut fixture = optimizer(DROP_POD);
    fixture.send("", counter("c", &[("pod=a", 0, 5, 10.0), ("pod=b", 0, 5, 0.5)]));
    assert_eq!(fixture.advance(10)[0].4, "10.5");
}

#[test]
fn resources_lose_labels_too_and_metrics_stand_apart_by_unit_and_scope() {
    let mut fixture =
        optimizer("{name: r, match: {types: [counter]}, drop_resource_labels: [pid, 'host.*']}");
    for (pid, value) in [("1", 10.0), ("2", 20.0)] {
        fixture.send(&format!("pid={pid} host.id={pid} app=x"), counter("c", &[("", 0, 5, value)]));
    }
    let mut other = counter("c", &[("", 0, 5, 1.0)]);
    other["unit"] = json!("s");
    fixture.send("app=x", other);
    let out = fixture.advance(10);
    assert_eq!(short(&out), [("app=x|", 0, 5, "1"), ("app=x|", 0, 5, "30")]);
    let values = (out[0].4.as_str(), out.len());
    assert_eq!(values, ("1", 2));
}

#[test]
fn what_passes_never_has_the_identity_of_what_is_aggregated() {
    // Only production is aggregated; one series elsewhere has no pod at all.
    let mut fixture = optimizer(
        "{name: p, match: {types: [counter], condition: 'attributes[\"pod\"] != nil'}, drop_labels: [pod]}",
    );
    fixture.send("", counter("c", &[("pod=a", 0, 1, 10.0)]));
    let passed = fixture.send("", counter("c", &[("", 0, 2, 5.0), ("other=1", 0, 2, 3.0)]));
    assert_eq!(short(&passed), [("|other=1", 0, 2, "3")]);
    assert_eq!(short(&fixture.advance(10)), [("|", 0, 2, "15")]);
}

#[test]
fn what_passed_stops_where_an_aggregate_takes_its_identity() {
    let mut fixture = optimizer(
        "{name: p, match: {types: [counter], condition: 'attributes[\"pod\"] != nil'}, drop_labels: [pod]}",
    );
    assert_eq!(fixture.send("", counter("c", &[("", 0, 1, 5.0)])).len(), 1);
    fixture.send("", counter("c", &[("pod=a", 0, 2, 10.0)]));
    assert_eq!(fixture.send("", counter("c", &[("", 0, 3, 7.0)])), [], "there would be two of one identity");
    assert_eq!(short(&fixture.advance(10)), [("|", 0, 3, "17")]);
}

#[test]
fn a_counter_that_was_forgotten_does_not_count_twice() {
    let mut fixture = configured(&format!("{{interval: 10s, idle: 20s, rules: [{DROP_POD}]}}"));
    fixture.send("", counter("c", &[("pod=a", 0, 5, 10.0), ("pod=b", 0, 5, 1.0)]));
    assert_eq!(fixture.advance(10)[0].4, "11");
    for time in [15, 25, 35, 45] {
        fixture.send("", counter("c", &[("pod=b", 0, time, 1.0)]));
        fixture.advance(10);
    }
    // It comes back with the same start: what it says was counted before.
    fixture.send("", counter("c", &[("pod=a", 0, 55, 25.0), ("pod=b", 0, 55, 1.0)]));
    assert_eq!(fixture.advance(10)[0].4, "11");
    fixture.send("", counter("c", &[("pod=a", 0, 65, 30.0), ("pod=c", 60, 65, 4.0)]));
    assert_eq!(fixture.advance(10)[0].4, "20", "increments, and a stream that began since");
}

#[test]
fn values_become_the_same() {
    let mut fixture = optimizer(
        "{name: n, match: {types: [counter]}, normalize: [{label: path, ids: true}, {label: code, regex: '^(.)..$', replacement: '${1}xx'}]}",
    );
    fixture.send(
        "",
        counter(
            "c",
            &[
                ("path=/u/1 code=200", 0, 5, 1.0),
                ("path=/u/2 code=204", 0, 5, 2.0),
                ("path=/u/2 code=500", 0, 5, 4.0),
            ],
        ),
    );
    let out = fixture.advance(10);
    assert_eq!(short(&out), [("|code=2xx path=/u/{id}", 0, 5, "3"), ("|code=5xx path=/u/{id}", 0, 5, "4")]);
    let mut fixture = optimizer(
        "{name: n, match: {types: [counter]}, normalize: [{label: path, templates: ['/u/me', '/u/{id}']}]}",
    );
    let points = ["path=/u/a", "path=/u/b", "path=/u/me", "path=/x"].map(|labels| (labels, 0, 5, 1.0));
    fixture.send("", counter("c", &points));
    let expected = [("|path=/u/me", 0, 5, "1"), ("|path=/u/{id}", 0, 5, "2"), ("|path=/x", 0, 5, "1")];
    assert_eq!(short(&fixture.advance(10)), expected);
    let mut fixture =
        optimizer("{name: h, match: {types: [counter]}, hash_buckets: [{label: user, buckets: 4}]}");
    let points: Vec<(String, f64)> = (0..100).map(|user| (format!("user=u{user}"), 1.0)).collect();
    let points: Vec<Point<'_>> =
        points.iter().map(|(labels, value)| (labels.as_str(), 0, 5, *value)).collect();
    fixture.send("", counter("c", &points));
    let out = fixture.advance(10);
    assert_eq!(out.iter().map(|row| row.4.parse::<u64>().expect("a number")).sum::<u64>(), 100);
    assert_eq!(
        out.iter().map(|row| row.1.as_str()).collect::<Vec<_>>(),
        ["|user=0", "|user=1", "|user=2", "|user=3"]
    );
}

#[test]
fn exemplars_keep_the_labels_that_their_point_lost() {
    let mut fixture = optimizer(DROP_POD);
    let mut metric = counter("c", &[("pod=a x=1", 0, 5, 1.0)]);
    metric["sum"]["dataPoints"][0]["exemplars"] = json!([{"timeUnixNano": nanos(4), "asInt": "1", "traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "0102030405060708"}]);
    fixture.send_request(&request("", metric));
    fixture.harness.advance(Duration::from_secs(10));
    let out = fixture.requests();
    let exemplar = &out[0]["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["sum"]["dataPoints"][0]["exemplars"]
        [0];
    assert_eq!(exemplar["traceId"], "0102030405060708090a0b0c0d0e0f10");
    assert_eq!(exemplar["filteredAttributes"], attributes("pod=a"));
}

#[test]
fn summaries_and_streams_without_temporality_pass_and_are_counted() {
    let mut fixture = optimizer("{name: all, drop_labels: [pod], gauges: sum}");
    let summary = json!({"name": "s", "summary": {"dataPoints": [{"attributes": attributes("pod=a"), "timeUnixNano": nanos(1), "count": "1", "sum": 2.0}]}});
    assert_eq!(fixture.send("", summary).len(), 1);
    assert_eq!(fixture.send("", sum("c", 0, true, &[("pod=a", 0, 1, 1.0)])).len(), 1);
    assert_eq!(fixture.ignored("not_mergeable"), 2);
}

#[test]
fn a_hot_swap_keeps_counters_going() {
    let yaml = |rules: &str| format!("{{interval: 10s, rules: [{rules}]}}");
    let (mut old, mut new) = (
        bare(&yaml(DROP_POD)),
        bare(&yaml(
            "{name: pods, match: {types: [counter]}, drop_labels: ['p*']}, {name: more, match: {metrics: [x]}, drop: true}",
        )),
    );
    let at = |seconds: u64| Now {
        monotonic: Duration::from_secs(seconds),
        unix_nanos: (EPOCH + seconds) * 1_000_000_000,
    };
    let ingest = |stage: &mut dyn phoenix_component::Stage, time: i64, value: f64, now: Now| {
        let metric = counter("c", &[("pod=a", 1, time, value)]);
        let batch = golden::batch(Signal::Metrics, &request("", metric).to_string());
        let mut out = Output::with_room(4);
        stage.ingest(Fragment { batch, ack: Ack::none() }, now, &mut out);
    };
    ingest(&mut *old, 2, 10.0, at(1));
    let mut out = Output::with_room(4);
    old.tick(at(10), &mut out);
    assert_eq!(rows(&golden::to_json(&out.take_batches()[0].batch))[0].4, "10");
    ingest(&mut *old, 11, 12.0, at(11));
    assert_eq!(new.adopt(&mut *old), Adoption::Kept);
    ingest(&mut *new, 12, 15.0, at(12));
    new.tick(at(20), &mut out);
    let batches = out.take_batches();
    assert_eq!(short(&rows(&golden::to_json(&batches[0].batch))), [("|", 1, 12, "15")]);
    old.tick(at(20), &mut out);
    assert!(out.take_batches().is_empty(), "the old one has nothing left to say");
}

#[test]
fn what_came_to_the_successor_before_the_state_did_is_not_lost() {
    let yaml = format!("{{interval: 10s, rules: [{DROP_POD}]}}");
    let (mut old, mut new) = (bare(&yaml), bare(&yaml));
    let at = |seconds: u64| Now {
        monotonic: Duration::from_secs(seconds),
        unix_nanos: (EPOCH + seconds) * 1_000_000_000,
    };
    let ingest = |stage: &mut dyn phoenix_component::Stage, metric: serde_json::Value, now: Now| {
        let batch = golden::batch(Signal::Metrics, &request("", metric).to_string());
        stage.ingest(Fragment { batch, ack: Ack::none() }, now, &mut Output::with_room(4));
    };
    ingest(&mut *old, deltas("d", &[("pod=a", 0, 1, 10.0)]), at(0));
    ingest(&mut *old, counter("c", &[("pod=a", 1, 2, 10.0)]), at(2));
    ingest(&mut *new, deltas("d", &[("pod=b", 1, 2, 5.0), ("pod=b other=1", 1, 2, 7.0)]), at(3));
    ingest(&mut *new, counter("c", &[("pod=a", 1, 3, 12.0)]), at(3));
    assert_eq!(new.adopt(&mut *old), Adoption::Kept);
    ingest(&mut *new, counter("c", &[("pod=a", 1, 4, 13.0)]), at(4));
    let mut out = Output::with_room(4);
    new.tick(at(10), &mut out);
    let batches = out.take_batches();
    let mut all: Vec<Row> =
        batches.iter().flat_map(|fragment| rows(&golden::to_json(&fragment.batch))).collect();
    all.sort();
    assert_eq!(short(&all), [("|", 1, 4, "13"), ("|", 0, 2, "15"), ("|other=1", 1, 2, "7")]);
}
