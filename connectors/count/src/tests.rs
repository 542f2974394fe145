use std::sync::Mutex;

use futures_util::FutureExt as _;
use phoenix_component::factory::ConnectorFactory as _;
use phoenix_component::harness::{golden, with_context};
use phoenix_component::{Batch, BoxFuture, ConnectorFlow, ConnectorOutlets, Consumer, Outlet, Refusal};
use phoenix_config::{Kind, decode_text};
use serde_json::{Value, json};

use super::*;

#[derive(Default)]
struct Sink(Mutex<Vec<Batch>>);

impl Consumer for Sink {
    fn consume(self: Arc<Self>, batch: Batch) -> BoxFuture<'static, Result<(), Refusal>> {
        self.0.lock().expect("not poisoned").push(batch);
        Box::pin(async { Ok(()) })
    }
}

fn flow(settings: &str, from: Signal, to: &Outlet) -> Arc<dyn ConnectorFlow> {
    let config = decode_text::<CountConfig>(settings).unwrap_or_else(|report| panic!("{settings}: {report}"));
    let outlets = ConnectorOutlets { all: to.clone(), by_pipeline: Vec::new() };
    let made = with_context(Kind::Connector, "count", |cx| {
        CountFactory.create(&config, cx, from, Signal::Metrics, outlets)
    });
    match made.expect("made") {
        Connector::Flow(flow) => flow,
        _ => panic!("it holds nothing"),
    }
}

/// What comes out for a request: by resource and metric, `attributes = count`.
fn count(settings: &str, from: Signal, request: &Value) -> Vec<String> {
    let outlet = Outlet::unwired(Signal::Metrics);
    let sink = Arc::new(Sink::default());
    outlet.wire(Some(sink.clone()));
    let batch = golden::batch(from, &request.to_string());
    flow(settings, from, &outlet).consume(batch).now_or_never().expect("inline").expect("taken");
    let got = std::mem::take(&mut *sink.0.lock().expect("not poisoned"));
    got.iter().flat_map(|batch| lines(&golden::to_json(batch))).collect()
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value[key].as_array().into_iter().flatten()
}

fn attributes(value: &Value) -> String {
    let pair = |entry: &Value| {
        let value = entry["value"].as_object().and_then(|value| value.values().next().cloned());
        format!("{}:{}", entry["key"].as_str().unwrap_or_default(), value.unwrap_or_default())
    };
    list(value, "attributes").map(pair).collect::<Vec<_>>().join(",")
}

fn lines(request: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for entry in list(request, "resourceMetrics") {
        for metric in list(entry, "scopeMetrics").flat_map(|scope| list(scope, "metrics")) {
            assert_eq!(
                (&metric["sum"]["aggregationTemporality"], &metric["sum"]["isMonotonic"]),
                (&json!(1), &json!(true))
            );
            for point in list(&metric["sum"], "dataPoints") {
                assert!(point["timeUnixNano"].is_string());
                out.push(format!(
                    "{{{}}} {} {{{}}} = {}",
                    attributes(&entry["resource"]),
                    metric["name"].as_str().unwrap_or_default(),
                    attributes(point),
                    point["asInt"].as_str().unwrap_or_default()
                ));
            }
        }
    }
    out
}

fn traces() -> Value {
    let attribute = |value: Value| json!([{"key": "a", "value": value}]);
    let event = json!({"name": "e", "timeUnixNano": "5"});
    json!({"resourceSpans": [
        {"resource": {"attributes": [{"key": "r", "value": {"stringValue": "1"}}]}, "scopeSpans": [
            {"spans": [
                {"name": "x", "startTimeUnixNano": "10", "endTimeUnixNano": "20", "attributes": attribute(json!({"stringValue": "s"})), "events": [event, event]},
                {"name": "y", "startTimeUnixNano": "5", "endTimeUnixNano": "15", "attributes": attribute(json!({"intValue": "7"}))},
            ]},
            {"spans": [{"name": "x"}]},
        ]},
        {"scopeSpans": [{"spans": [{"name": "y", "attributes": attribute(json!({"stringValue": "s"}))}]}]},
    ]})
}

#[tokio::test]
async fn without_settings_everything_is_counted_by_resource() {
    let spans = [
        "{r:\"1\"} trace.span.count {} = 3",
        "{r:\"1\"} trace.span.event.count {} = 2",
        "{} trace.span.count {} = 1",
    ];
    assert_eq!(count("{}", Signal::Traces, &traces()), spans);
    let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{}, {"severityText": "a"}]}]}]});
    assert_eq!(count("{}", Signal::Logs, &logs), ["{} log.record.count {} = 2"]);
    let metrics = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
        {"name": "g", "gauge": {"dataPoints": [{"asInt": "1"}, {"asInt": "2"}]}},
        {"name": "h", "histogram": {"dataPoints": [{"count": "1"}]}},
    ]}]}]});
    assert_eq!(
        count("{}", Signal::Metrics, &metrics),
        ["{} metric.count {} = 2", "{} metric.datapoint.count {} = 3"]
    );
    assert!(count("{}", Signal::Logs, &json!({"resourceLogs": [{}]})).is_empty(), "nothing is sent");
}

#[tokio::test]
async fn conditions_say_what_is_counted_and_attributes_by_what() {
    let settings = r#"{
        spans: {
            of.x: {conditions: ['name == "x"', 'attributes["a"] == "none"']},
            by.a: {attributes: [{key: a}]},
            by.r.and.a: {attributes: [{key: r}, {key: a, default_value: 0}]},
        },
        spanevents: {},
    }"#;
    let expected = [
        "{r:\"1\"} by.a {a:\"s\"} = 1",
        "{r:\"1\"} by.a {a:\"7\"} = 1",
        "{r:\"1\"} by.r.and.a {r:\"1\",a:\"s\"} = 1",
        "{r:\"1\"} by.r.and.a {r:\"1\",a:\"0\"} = 1",
        "{r:\"1\"} by.r.and.a {r:\"1\",a:\"7\"} = 1",
        "{r:\"1\"} of.x {} = 2",
        "{} by.a {a:\"s\"} = 1",
    ];
    let mut found = count(settings, Signal::Traces, &traces());
    let mut expected = expected.map(str::to_owned);
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn bad_settings_are_named() {
    // (settings, the key that the error names)
    let cases = [
        (r#"{spans: {a: {conditions: ['name = "x"']}}}"#, "spans::a::conditions::0"),
        (r#"{logs: {a: {conditions: ['name == "x"']}}}"#, "logs::a::conditions::0"),
        ("{metrics: {a: {attributes: [{key: b}]}}}", "metrics::a::attributes"),
        ("{spans: {a: {attributes: [{default_value: b}]}}}", "spans::a::attributes::0::key"),
        (r#"{spans: {"": {}}}"#, "spans"),
    ];
    for (settings, key) in cases {
        let report = decode_text::<CountConfig>(settings).expect_err(settings);
        assert_eq!(report.keys(), [key], "{settings}: {report}");
    }
}
