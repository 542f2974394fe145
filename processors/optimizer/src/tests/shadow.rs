//! Rules in shadow: counted, and nothing else.

use phoenix_component::harness::golden;
use phoenix_pdata::Signal;
use serde_json::json;

use super::data::*;

fn series(fixture: &Fixture, direction: &str) -> i64 {
    let attributes = [("processor", "optimizer"), ("rule", "s"), ("direction", direction)];
    fixture.metrics.sum("phoenix_processor_optimizer_rule_series", &attributes)
}

#[test]
fn a_shadow_rule_counts_what_it_would_do_and_does_nothing() {
    let mut fixture = optimizer("{name: s, mode: shadow, match: {types: [counter]}, drop_labels: [pod]}");
    let labels: Vec<String> = (0..100).map(|series| format!("pod={} x={}", series, series % 4)).collect();
    let points: Vec<Point<'_>> = labels.iter().map(|labels| (labels.as_str(), 0, 5, 1.0)).collect();
    assert_eq!(fixture.send("", counter("c", &points)).len(), 100);
    assert_eq!(fixture.advance(10), []);
    let series = |direction| {
        let attributes = [("processor", "optimizer"), ("rule", "s"), ("direction", direction)];
        fixture.metrics.sum("phoenix_processor_optimizer_rule_series", &attributes)
    };
    assert!((98..=102).contains(&series("in")), "{}", series("in"));
    assert_eq!(series("out"), 4);
}

/// Ten pods with two routes each, of a metric with all that an action can take out.
fn metric() -> serde_json::Value {
    let labels: Vec<String> = (0..20).map(|one| format!("pod=p{} route=/r/{}", one % 10, one / 10)).collect();
    let points: Vec<Point<'_>> = labels.iter().map(|labels| (labels.as_str(), 0, 5, 1.0)).collect();
    let mut metric = counter("c", &points);
    metric["description"] = json!("what it is");
    metric["metadata"] = attributes("k=v");
    metric["sum"]["dataPoints"][0]["exemplars"] = json!([{"timeUnixNano": nanos(4), "asInt": "1"}]);
    metric
}

#[test]
fn whatever_a_rule_does_in_shadow_nothing_changes_and_what_would_be_left_is_counted() {
    // (action, series that would be left of 20)
    let cases = [
        ("drop: true", 0),
        ("keep: true", 20),
        ("drop_labels: [pod]", 2),
        ("keep_labels: [pod]", 10),
        ("drop_resource_labels: ['*']", 20),
        ("normalize: [{label: route, ids: true}]", 10),
        ("normalize: [{label: route, templates: ['/r/{n}']}]", 10),
        ("cap_values: [{label: pod, limit: 3}]", 8),
        ("hash_buckets: [{label: pod, buckets: 1}]", 2),
        ("limit_series: {limit: 6}", 7),
        ("limit_series: {limit: 20, per: rule}", 20),
        ("drop_labels: [route], limit_series: {limit: 4, per: metric}", 5),
        ("top_k: {k: 4, labels: [pod], rank_by: [c]}", 10),
        ("top_k: {k: 4, labels: [pod], rank_by: [c], drop_for_others: [route]}", 9),
        ("interval: 60s", 20),
        ("drop_exemplars: true, drop_description: true, drop_metadata: true, drop_unit: true", 20),
        ("histograms: {to_exponential: true, max_error: 0.1}", 20),
    ];
    for (action, left) in cases {
        let mut fixture =
            optimizer(&format!("{{name: s, mode: shadow, match: {{types: [counter]}}, {action}}}"));
        for _ in 0..2 {
            let sent = golden::batch(Signal::Metrics, &request("host=h", metric()).to_string());
            let bytes = sent.payload.clone().into_contiguous();
            fixture.harness.send(sent).expect("taken");
            let released = fixture.harness.take_released();
            assert_eq!(released.len(), 1, "{action}");
            assert_eq!(released[0].batch.payload.clone().into_contiguous(), bytes, "{action}");
        }
        assert_eq!(fixture.advance(10), [], "{action}");
        assert_eq!((series(&fixture, "in"), series(&fixture, "out")), (20, left), "{action}");
        let points = |outcome| {
            let attributes = [("processor", "optimizer"), ("rule", "s"), ("outcome", outcome)];
            fixture.metrics.sum("phoenix_processor_optimizer_rule_points", &attributes)
        };
        let done = ["dropped", "folded", "overflowed", "left"].map(points);
        assert_eq!((points("matched"), done), (40, [0; 4]), "{action}");
        fixture.harness.books().assert_balanced();
    }
}
