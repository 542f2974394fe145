//! What goes on: untouched, thinner, or not at all.

use phoenix_component::harness::golden;
use phoenix_pdata::Signal;
use serde_json::json;

use super::data::*;

#[test]
fn what_no_rule_is_about_is_passed_as_it_came() {
    let mut fixture = optimizer("{name: d, match: {metrics: [gone]}, drop: true}");
    let sent = request("r=1", counter("c", &[("a=b", 0, 5, 1.0)]));
    let batch = golden::batch(Signal::Metrics, &sent.to_string());
    let bytes = batch.payload.clone().into_contiguous();
    fixture.harness.send(batch).expect("taken");
    let released = fixture.harness.take_released();
    assert_eq!(released[0].batch.payload.clone().into_contiguous(), bytes);
    assert_eq!(fixture.send("r=1", counter("gone", &[("a=b", 0, 5, 1.0)])), []);
    assert_eq!(fixture.harness.books().dropped["optimized_away"], 1);
    assert_eq!(fixture.advance(100), []);
}

#[test]
fn rules_match_by_all_that_a_series_has() {
    let points = |name: &str| gauge(name, &[("device=loop0", -1, 5, 1.0), ("device=sda", -1, 5, 2.0)]);
    // (match, how many of the two points of `system.disk.io` of host h1 are left)
    let cases = [
        ("{}", 0),
        ("{metrics: ['system.disk.*']}", 0),
        ("{metrics: ['/^system/'], exclude_metrics: ['*.io']}", 2),
        ("{types: [counter]}", 2),
        ("{types: [gauge]}", 0),
        ("{units: [s]}", 2),
        ("{units: ['1']}", 0),
        ("{temporality: delta}", 2),
        ("{resource: {host: 'h*'}}", 0),
        ("{resource: {host: h2}}", 2),
        ("{resource: {absent: '*'}}", 2),
        ("{scopes: [lib]}", 0),
        ("{scopes: [other]}", 2),
        ("{scope_attributes: {tier: 'g*'}}", 0),
        ("{scope_attributes: {tier: silver}}", 2),
        ("{attributes: {device: '/^loop/'}}", 1),
        ("{condition: 'attributes[\"device\"] == \"sda\" and resource.attributes[\"host\"] == \"h1\"'}", 1),
        ("{condition: 'metric.name == \"x\"'}", 2),
    ];
    for (matches, left) in cases {
        let mut fixture = optimizer(&format!("{{name: d, match: {matches}, drop: true}}"));
        for _ in 0..2 {
            let mut sent = request("host=h1", points("system.disk.io"));
            sent["resourceMetrics"][0]["scopeMetrics"][0]["scope"]["attributes"] = attributes("tier=gold");
            assert_eq!(fixture.send_request(&sent).len(), left, "{matches}");
        }
        fixture.harness.books().assert_balanced();
    }
}

#[test]
fn priority_then_exactness_decides_and_what_is_kept_is_kept() {
    let mut fixture = optimizer(
        "{name: z, priority: 5, match: {metrics: ['a.*'], attributes: {k: keep}}, keep: true}, \
         {name: a, match: {metrics: ['*']}, drop: true}",
    );
    let passed = fixture.send("", gauge("a.b", &[("k=keep", -1, 5, 1.0), ("k=x", -1, 5, 1.0)]));
    assert_eq!(short(&passed), [("|k=keep", -1, 5, "1")]);
    let matched = |rule: &str| {
        let attributes = [("processor", "optimizer"), ("rule", rule), ("outcome", "matched")];
        fixture.metrics.sum("phoenix_processor_optimizer_rule_points", &attributes)
    };
    assert_eq!((matched("z"), matched("a")), (1, 1));
}

#[test]
fn gauges_that_hold_still_say_so_now_and_then() {
    let mut fixture = optimizer("{name: d, dead_band: {absolute: 0.5, relative: 0.1, heartbeat: 40s}}");
    let values = [10.0, 10.4, 10.9, 11.1, 11.0, 11.2, 11.3, 11.2, 0.0, 0.0];
    let mut passed = Vec::new();
    for (step, value) in values.iter().enumerate() {
        passed.extend(fixture.send("", gauge("g", &[("a=b", -1, 10 * step as i64, *value)])));
    }
    let times: Vec<(i64, &str)> = passed.iter().map(|row| (row.3, row.4.as_str())).collect();
    assert_eq!(times, [(0, "10"), (30, "11.1"), (70, "11.2"), (80, "0")]);
    assert_eq!(fixture.harness.books().dropped["dead_band"], 6);
    // Counters are not gauges.
    assert_eq!(fixture.send("", counter("c", &[("", 0, 1, 1.0)])).len(), 1);
}

#[test]
fn a_longer_interval_loses_nothing_of_a_counter_that_starts_again() {
    let mut fixture = optimizer("{name: slower, interval: 20s}");
    // The second start is told by the start time, the third by the value alone.
    let points = [(0, 2, 10.0), (0, 4, 15.0), (4, 6, 3.0), (4, 8, 7.0), (4, 10, 2.0), (4, 12, 4.0)];
    for (start, time, value) in points {
        assert_eq!(fixture.send("", counter("c", &[("a=b", start, time, value)])), []);
        let mut point = histogram(2, ("a=b", start, time), &[1.0], &[value as u64, 0], 0.0);
        point["name"] = serde_json::json!("h");
        assert_eq!(fixture.send("", point), []);
    }
    let rows = fixture.advance(20);
    let of = |name: &str| -> Vec<(i64, i64)> {
        rows.iter().filter(|row| row.0 == name).map(|row| (row.2, row.3)).collect()
    };
    assert_eq!(of("c"), [(0, 4), (4, 8), (4, 12)]);
    assert_eq!(of("h"), [(0, 4), (4, 8), (4, 12)]);
    let values: Vec<&str> = rows.iter().filter(|row| row.0 == "c").map(|row| row.4.as_str()).collect();
    assert_eq!(values, ["15", "7", "4"]);
    assert_eq!(fixture.metrics.sum("phoenix_processor_optimizer_resets", &[]), 4);
    fixture.send("", counter("c", &[("a=b", 4, 22, 9.0)]));
    assert_eq!(short(&fixture.advance(20)), [("|a=b", 4, 22, "9")]);
}

#[test]
fn a_longer_interval_keeps_the_last_point_and_adds_up_deltas() {
    let mut fixture = optimizer("{name: i, interval: 30s}");
    for step in 1..=6 {
        let time = 10 * step;
        fixture.send("", counter("c", &[("a=b", 0, time, 100.0 + time as f64)]));
        fixture.send("", gauge("g", &[("a=b", -1, time, time as f64)]));
        fixture.send("", deltas("d", &[("a=b", time - 10, time, 1.0)]));
        let out = fixture.advance(10);
        match step {
            // Intervals are those of the clock, and 1000020 is a multiple of 30.
            2 => assert_eq!(
                short(&out),
                [("|a=b", 0, 20, "120"), ("|a=b", 0, 20, "2"), ("|a=b", -1, 20, "20")]
            ),
            5 => assert_eq!(
                short(&out),
                [("|a=b", 0, 50, "150"), ("|a=b", 20, 50, "3"), ("|a=b", -1, 50, "50")]
            ),
            _ => assert_eq!(out, [], "{step}"),
        }
    }
}

#[test]
fn the_end_of_a_series_comes_behind_its_last_point() {
    let mut fixture = optimizer("{name: i, interval: 10s}");
    fixture.send("", gauge("g", &[("a=b", -1, 3, 7.0)]));
    let mut stale = gauge("g", &[("a=b", -1, 4, 0.0)]);
    stale["gauge"]["dataPoints"][0]["flags"] = json!(1);
    assert_eq!(fixture.send("", stale), []);
    assert_eq!(short(&fixture.advance(10)), [("|a=b", -1, 3, "7"), ("|a=b", -1, 4, "stale")]);
}

#[test]
fn exemplars_and_metadata_go_where_they_are_not_wanted() {
    let mut metric = counter("c", &[("a=b", 0, 5, 1.0)]);
    metric["description"] = json!("what it is");
    metric["metadata"] = attributes("k=v");
    metric["sum"]["dataPoints"][0]["exemplars"] = json!([{"timeUnixNano": nanos(4), "asInt": "1"}]);
    let mut fixture = optimizer(
        "{name: m, drop_exemplars: true, drop_description: true, drop_metadata: true, drop_unit: true}",
    );
    fixture
        .harness
        .send(golden::batch(Signal::Metrics, &request("", metric.clone()).to_string()))
        .expect("taken");
    let out = fixture.requests();
    assert_eq!(
        out[0]["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0],
        json!({"name": "c", "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [{
            "attributes": attributes("a=b"), "startTimeUnixNano": nanos(0), "timeUnixNano": nanos(5), "asInt": "1",
        }]}})
    );
    // The same name in another unit keeps it: both would be one series.
    metric["unit"] = json!("s");
    fixture.harness.send(golden::batch(Signal::Metrics, &request("", metric).to_string())).expect("taken");
    assert_eq!(fixture.requests()[0]["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["unit"], "s");
}

#[test]
fn odd_requests_pass_or_end_in_a_defined_way() {
    let mut fixture = optimizer("{name: all, drop_labels: [pod], gauges: sum}");
    // No name, no points, no data, a name under two types.
    let empty = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
        {"name": "", "gauge": {"dataPoints": [{"asDouble": 1.0, "timeUnixNano": nanos(1)}]}},
        {"name": "none", "gauge": {}},
        {"name": "nothing"},
    ]}]}]});
    assert_eq!(fixture.harness.send(golden::batch(Signal::Metrics, &empty.to_string())).map(|_| ()), Ok(()));
    assert_eq!(fixture.requests().len(), 1, "what has no points is nobody's business");
    fixture.send("", gauge("x", &[("pod=a", -1, 1, 1.0)]));
    fixture.send("", counter("x", &[("pod=a", 0, 1, 2.0)]));
    let out = fixture.advance(10);
    assert_eq!(short(&out), [("|", -1, 1, "1"), ("|", -1, 1, "1"), ("|", 0, 1, "2")]);
    // Many labels on one point.
    let labels: String = (0..100_000).map(|number| format!("l{number}=v ")).collect();
    fixture.send("", counter("many", &[(&format!("{labels} pod=a"), 0, 11, 2.0)]));
    assert_eq!(fixture.advance(10).len(), 1);
    fixture.harness.books().assert_balanced();
}

#[test]
fn points_and_bytes_are_counted_by_rule() {
    let rules = "{name: edit, match: {metrics: [h]}, drop_exemplars: true}, {name: fold, match: {metrics: [c]}, drop_labels: [pod], gauges: last},
        {name: end, match: {metrics: [x]}, drop: true}, {name: see, mode: shadow, match: {metrics: [c]}, drop: true}";
    let mut fixture = optimizer(rules);
    let points = [("pod=1 a=b", 0, 5, 1.0), ("pod=2 a=b", 0, 5, 1.0), ("pod=3 a=b", 0, 5, 1.0)];
    fixture.send("", deltas("c", &points));
    fixture.send("", deltas("x", &points));
    fixture.send("", deltas("unmatched", &points));
    fixture.send("", histogram(1, ("a=b", 0, 5), &[1.0], &[1, 2], 1.0));
    fixture.advance(10);
    let points = |rule: &str, outcome: &str| {
        fixture
            .metrics
            .sum("phoenix_processor_optimizer_rule_points", &[("rule", rule), ("outcome", outcome)])
    };
    let bytes = |rule: &str, direction: &str| {
        fixture
            .metrics
            .sum("phoenix_processor_optimizer_rule_bytes", &[("rule", rule), ("direction", direction)])
    };
    assert_eq!([points("fold", "matched"), points("fold", "folded"), points("fold", "left")], [3, 3, 1]);
    assert_eq!([points("end", "matched"), points("end", "dropped"), points("end", "left")], [3, 3, 0]);
    assert_eq!([points("edit", "matched"), points("edit", "left")], [1, 1]);
    assert_eq!([points("see", "matched"), points("see", "left")], [3, 0], "a shadow lets nothing out");
    assert!(bytes("fold", "in") > 2 * bytes("fold", "out") && bytes("fold", "out") > 30);
    assert_eq!((bytes("end", "in") > 100, bytes("end", "out")), (true, 0));
    assert_eq!(bytes("edit", "in"), bytes("edit", "out"), "there was no exemplar");
}

#[test]
fn savings_are_told_at_the_end_of_an_interval() {
    use phoenix_component::{Capabilities, InOut, SavingsBook};
    let (capabilities, id) =
        (Capabilities::default(), phoenix_config::ComponentId::parse("optimizer").expect("an identifier"));
    let (book, offer) = SavingsBook::open(&capabilities, &id);
    let outside = crate::Outside { savings: Some((book.clone(), offer)), ..crate::Outside::default() };
    let metrics = phoenix_telemetry::Metrics::default();
    let yaml = "{interval: 10s, rules: [{name: fold, match: {types: [counter]}, drop_labels: [pod]}]}";
    let spec =
        crate::stage_within(&settings(yaml), &[], 1, &metrics, "optimizer", outside).expect("no conflicts");
    let harness = phoenix_component::harness::StageHarness::new(spec);
    let mut fixture = Fixture { harness, metrics };
    fixture.harness.advance(std::time::Duration::from_secs(EPOCH));
    fixture.send("", deltas("c", &[("pod=1", 0, 5, 1.0), ("pod=2", 0, 5, 1.0)]));
    fixture.advance(20);
    let savings = book.latest();
    assert_eq!((savings.points, savings.tracked), (InOut { r#in: 2, out: 1 }, InOut { r#in: 2, out: 1 }));
    let rule = savings.rules.first().expect("one rule");
    assert_eq!((rule.rule.as_str(), rule.mode, rule.folded), ("fold", "enforce", 2));
    assert_eq!((rule.series, rule.points), (InOut { r#in: 2, out: 1 }, InOut { r#in: 2, out: 1 }));
    assert!(rule.bytes.r#in > rule.bytes.out && rule.bytes.out > 0);
    assert_eq!(capabilities.all::<SavingsBook>().len(), 1);
}
