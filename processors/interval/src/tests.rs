//! The stage as the engine uses it.

use std::collections::BTreeMap;
use std::time::Duration;

use phoenix_component::harness::{StageHarness, golden};
use phoenix_component::{Ack, Adoption, Fragment, Now, Output, Stage as _};
use phoenix_pdata::{InvalidUtf8, Signal, check, count_items};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn config(settings: Value) -> IntervalConfig {
    serde_json::from_value(settings).expect("settings")
}

/// A metric of a kind: `gauge`, `counter`, `delta`, `up_down`, `histogram`, `exponential`, `summary`.
fn metric(name: &str, kind: &str, points: &[(&str, u64, i64)]) -> Value {
    let points: Vec<Value> = points
        .iter()
        .map(|(pod, time, value)| {
            let mut point = json!({
                "timeUnixNano": time.to_string(),
                "attributes": [{"key": "pod", "value": {"stringValue": pod}}],
            });
            match kind {
                "histogram" => {
                    point["count"] = value.to_string().into();
                    point["bucketCounts"] = json!([value.to_string()]);
                }
                "exponential" => {
                    point["count"] = value.to_string().into();
                    point["zeroCount"] = value.to_string().into();
                }
                "summary" => point["count"] = value.to_string().into(),
                _ => point["asInt"] = value.to_string().into(),
            }
            point
        })
        .collect();
    let sum = |temporality: u8, monotonic: bool| json!({"aggregationTemporality": temporality, "isMonotonic": monotonic, "dataPoints": points});
    let mut metric = json!({"name": name, "unit": "1"});
    match kind {
        "gauge" => metric["gauge"] = json!({"dataPoints": points}),
        "counter" => metric["sum"] = sum(2, true),
        "delta" => metric["sum"] = sum(1, true),
        "up_down" => metric["sum"] = sum(2, false),
        "histogram" => metric["histogram"] = json!({"aggregationTemporality": 2, "dataPoints": points}),
        "delta_histogram" => metric["histogram"] = json!({"aggregationTemporality": 1, "dataPoints": points}),
        "exponential" => {
            metric["exponentialHistogram"] = json!({"aggregationTemporality": 2, "dataPoints": points});
        }
        _ => metric["summary"] = json!({"dataPoints": points}),
    }
    metric
}

fn request(host: &str, metrics: &[Value]) -> phoenix_component::Batch {
    let request = json!({"resourceMetrics": [{
        "resource": {"attributes": [{"key": "host", "value": {"stringValue": host}}]},
        "scopeMetrics": [{"scope": {"name": "lib"}, "metrics": metrics}],
    }]});
    golden::batch(Signal::Metrics, &request.to_string())
}

/// Host, metric, pod, time and the value or count of what came out, in order.
fn read(fragments: &[Fragment]) -> Vec<(String, String, String, u64, i64)> {
    let mut found = Vec::new();
    for Fragment { batch, .. } in fragments {
        for piece in batch.payload.pieces() {
            check(Signal::Metrics, piece, InvalidUtf8::Reject).expect("what comes out is valid");
        }
        assert_eq!(batch.items, count_items(Signal::Metrics, &batch.payload));
        let json = golden::to_json(batch);
        let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
        let attribute =
            |value: &Value| value["attributes"][0]["value"]["stringValue"].as_str().unwrap_or("").to_owned();
        for resource in list(&json, "resourceMetrics") {
            for scope in list(&resource, "scopeMetrics") {
                for metric in list(&scope, "metrics") {
                    let kinds = ["gauge", "sum", "histogram", "exponentialHistogram", "summary"];
                    for kind in kinds {
                        for point in list(&metric[kind], "dataPoints") {
                            let number = |key: &str| point[key].as_str().and_then(|text| text.parse().ok());
                            found.push((
                                attribute(&resource["resource"]),
                                metric["name"].as_str().unwrap_or("").to_owned(),
                                attribute(&point),
                                number("timeUnixNano").expect("a time") as u64,
                                number("asInt").or(number("count")).unwrap_or(0),
                            ));
                        }
                    }
                }
            }
        }
    }
    found.sort();
    found
}

struct Tested(StageHarness, Metrics);

impl Tested {
    fn new(settings: Value) -> Tested {
        let metrics = Metrics::default();
        Tested(StageHarness::new(stage(&config(settings), &metrics, "interval")), metrics)
    }

    fn send(&mut self, host: &str, metrics: &[Value]) -> Vec<(String, String, String, u64, i64)> {
        self.0.send(request(host, metrics)).expect("a stage takes all");
        read(&self.0.take_released())
    }

    fn advance(&mut self, seconds: u64) -> Vec<(String, String, String, u64, i64)> {
        self.0.advance(Duration::from_secs(seconds));
        read(&self.0.take_released())
    }
}

fn row(host: &str, name: &str, pod: &str, time: u64, value: i64) -> (String, String, String, u64, i64) {
    (host.to_owned(), name.to_owned(), pod.to_owned(), time, value)
}

#[test]
fn many_go_in_and_the_newest_of_each_stream_comes_out() {
    let mut tested = Tested::new(json!({"interval": "60s"}));
    for step in 1..=5_u64 {
        let value = step as i64;
        let sent = [
            metric("c", "counter", &[("a", step, value), ("b", step, 10 * value)]),
            metric("g", "gauge", &[("a", step, -value)]),
            metric("h", "histogram", &[("a", step, value)]),
            metric("e", "exponential", &[("a", step, value)]),
            metric("s", "summary", &[("a", step, value)]),
        ];
        assert_eq!(tested.send("x", &sent), []);
        tested.advance(10);
    }
    // Older than what is held, and of the same time.
    tested.send("x", &[metric("c", "counter", &[("a", 2, 99), ("b", 5, 99)])]);
    tested.send("y", &[metric("c", "counter", &[("a", 1, 7)])]);
    let found = tested.advance(10);
    let expected = [
        row("x", "c", "a", 5, 5),
        row("x", "c", "b", 5, 50),
        row("x", "e", "a", 5, 5),
        row("x", "g", "a", 5, -5),
        row("x", "h", "a", 5, 5),
        row("x", "s", "a", 5, 5),
        row("y", "c", "a", 1, 7),
    ];
    assert_eq!(found, expected);
    // State is empty after that: nothing is let out twice, and an older data point is the newest of its interval.
    assert_eq!(tested.advance(600), []);
    tested.send("x", &[metric("c", "counter", &[("a", 3, 3)])]);
    assert_eq!(tested.advance(60), [row("x", "c", "a", 3, 3)]);
}

#[test]
fn what_cannot_be_thinned_out_passes_at_once() {
    let passes = [
        metric("d", "delta", &[("a", 1, 1)]),
        metric("u", "up_down", &[("a", 1, 2)]),
        metric("dh", "delta_histogram", &[("a", 1, 0)]),
    ];
    let held = [metric("g", "gauge", &[("a", 1, 3)]), metric("s", "summary", &[("a", 1, 4)])];
    let all: Vec<Value> = passes.iter().chain(&held).cloned().collect();
    let of_passes = [row("x", "d", "a", 1, 1), row("x", "dh", "a", 1, 0), row("x", "u", "a", 1, 2)];
    let mut tested = Tested::new(json!({}));
    assert_eq!(tested.send("x", &all), of_passes);
    assert_eq!(tested.advance(60), [row("x", "g", "a", 1, 3), row("x", "s", "a", 1, 4)]);
    for (key, passes, holds) in [
        ("gauge", row("x", "g", "a", 1, 3), row("x", "s", "a", 1, 4)),
        ("summary", row("x", "s", "a", 1, 4), row("x", "g", "a", 1, 3)),
    ] {
        let mut tested = Tested::new(json!({"pass_through": {key: true}}));
        let mut expected = of_passes.to_vec();
        expected.push(passes);
        expected.sort();
        assert_eq!(tested.send("x", &all), expected, "{key}");
        assert_eq!(tested.advance(60), [holds], "{key}");
    }
}

#[test]
fn exports_keep_to_their_grid_and_the_end_lets_everything_out() {
    let mut tested = Tested::new(json!({"interval": "10s"}));
    tested.send("x", &[metric("g", "gauge", &[("a", 1, 1)])]);
    assert_eq!(tested.advance(9), []);
    assert_eq!(tested.advance(1).len(), 1);
    // Quiet for a while; the next export is still at a multiple of ten seconds.
    tested.advance(14);
    tested.send("x", &[metric("g", "gauge", &[("a", 2, 2)])]);
    assert_eq!(tested.advance(5), []);
    assert_eq!(tested.advance(1), [row("x", "g", "a", 2, 2)]);
    tested.send("x", &[metric("g", "gauge", &[("a", 3, 3)])]);
    tested.0.drain();
    assert_eq!(read(&tested.0.take_released()), [row("x", "g", "a", 3, 3)]);
    assert_eq!(tested.0.held().items, 0);
}

#[test]
fn beyond_the_limit_data_points_pass_and_are_counted() {
    let mut tested = Tested::new(json!({"max_streams": 1}));
    let passed = tested.send("x", &[metric("g", "gauge", &[("a", 1, 1), ("b", 1, 2)])]);
    assert_eq!(passed, [row("x", "g", "b", 1, 2)]);
    assert_eq!(tested.send("x", &[metric("g", "gauge", &[("a", 2, 3)])]), []);
    assert_eq!(tested.advance(60), [row("x", "g", "a", 2, 3)]);
    assert_eq!(tested.1.sum("phoenix_processor_interval_overflow", &[]), 1);
}

#[test]
fn large_exports_go_out_in_requests_that_a_server_takes() {
    let mut tested = Tested::new(json!({}));
    let pods: Vec<String> = (0..20_000).map(|n| format!("{n:0>200}")).collect();
    let points: Vec<_> = pods.iter().map(|pod| (pod.as_str(), 1, 1)).collect();
    tested.send("x", &[metric("g", "gauge", &points)]);
    tested.0.advance(Duration::from_secs(60));
    let released = tested.0.take_released();
    assert!(released.iter().all(|fragment| fragment.batch.payload.len() < 4 << 20));
    assert_eq!(read(&released).len(), 20_000);
}

#[test]
fn what_is_held_goes_on_under_other_settings() {
    let now = Now { monotonic: Duration::from_secs(100), unix_nanos: 1 };
    let fragment = |metrics: &[Value]| Fragment { batch: request("x", metrics), ack: Ack::none() };
    let made = |settings, seed| {
        IntervalStage::new(&config(settings), IntervalMetrics::new(&Metrics::default(), "interval"), seed)
    };
    let mut out = Output::with_room(10);
    let (mut old, mut new) = (made(json!({}), 1), made(json!({"interval": "5s", "max_streams": 2}), 2));
    let of_old = metric("g", "gauge", &[("a", 1, 1), ("b", 9, 2), ("c", 1, 3)]);
    old.ingest(fragment(&[of_old]), now, &mut out);
    // What comes before the state does.
    new.ingest(fragment(&[metric("g", "gauge", &[("a", 2, 4), ("b", 8, 5)])]), now, &mut out);
    assert_eq!(new.adopt(&mut old), Adoption::Kept);
    assert_eq!((old.held().items, new.held().items), (1, 2), "one for which there is no room");
    assert_eq!(old.drain(now, &mut out), phoenix_component::Drained::Done);
    assert_eq!(read(&out.take_batches()), [row("x", "g", "c", 1, 3)]);
    let later = Now { monotonic: Duration::from_secs(105), ..now };
    new.tick(later, &mut out);
    assert_eq!(out.take_transformed().0, 2, "of two streams one data point went");
    assert_eq!(read(&out.take_batches()), [row("x", "g", "a", 2, 4), row("x", "g", "b", 9, 2)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Against a model: a map from stream to what came last in time. The harness checks that the books balance.
    #[test]
    fn as_a_map_of_the_newest(
        steps in prop::collection::vec((0usize..2, 0usize..5, 0usize..3, 1u64..50, 0i64..100, 0u64..15), 1..80)
    ) {
        let mut tested = Tested::new(json!({"interval": "60s"}));
        let kinds = ["gauge", "counter", "histogram", "delta", "summary"];
        let (mut model, mut expected) = (BTreeMap::new(), Vec::new());
        let (mut found, mut now, mut due) = (Vec::new(), 0, None);
        for (host, kind, pod, time, value, wait) in steps {
            let (host, pod, kind) = (["x", "y"][host], ["a", "b", "c"][pod], kinds[kind]);
            found.extend(tested.send(host, &[metric(kind, kind, &[(pod, time, value)])]));
            due = due.or(Some(now + 60));
            if kind == "delta" {
                expected.push(row(host, kind, pod, time, value));
            } else {
                let held = model.entry((host, kind, pod)).or_insert((time, value));
                if time > held.0 {
                    *held = (time, value);
                }
            }
            now += wait;
            found.extend(tested.advance(wait));
            if due.is_some_and(|due| due <= now) {
                due = due.map(|due| due + 60);
                let held = std::mem::take(&mut model);
                expected.extend(held.into_iter().map(|((host, kind, pod), (time, value))| row(host, kind, pod, time, value)));
            }
        }
        tested.0.drain();
        found.extend(read(&tested.0.take_released()));
        expected.extend(model.into_iter().map(|((host, kind, pod), (time, value))| row(host, kind, pod, time, value)));
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected);
    }
}
