//! What statements change, and what becomes of those that fail.

use phoenix_component::harness::golden;
use phoenix_component::{Batch, Host};
use phoenix_pdata::Signal;
use phoenix_processor_transform::TransformFactory;
use serde_json::{Value, json};

const SPANS: &str = r#"{"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": [
    {"name": "a", "attributes": [{"key": "n", "value": {"intValue": "1"}}], "status": {}},
    {"name": "{\"b\": 2}", "status": {}}
]}]}]}"#;

fn run(settings: &Value, signal: Signal, request: &str) -> Value {
    let mut processor =
        golden::processor(&TransformFactory, &settings.to_string(), signal, &Host::for_tests())
            .unwrap_or_else(|error| panic!("{settings}: {error}"));
    let batch = processor.apply(golden::batch(signal, request)).expect("not refused").expect("not dropped");
    processor.books().assert_balanced();
    golden::to_json(&batch)
}

fn names(request: &Value) -> Vec<&str> {
    let spans = request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().expect("spans");
    spans.iter().map(|span| span["name"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn statements_run_in_order_in_both_forms() {
    let plain = json!({"trace_statements": [
        "set(span.name, \"x\") where span.name == \"a\"",
        "set(span.name, Concat([span.name, \"y\"], \"\")) where span.name == \"x\"",
    ]});
    assert_eq!(names(&run(&plain, Signal::Traces, SPANS))[0], "xy");
    let grouped = json!({"trace_statements": [
        {"context": "span", "conditions": ["name == \"a\""], "statements": ["set(name, \"x\")"]},
        {"context": "span", "statements": ["set(name, \"z\") where name == \"x\""]},
    ]});
    assert_eq!(names(&run(&grouped, Signal::Traces, SPANS))[0], "z");
}

fn start(batch: &Batch) -> Option<*const u8> {
    batch.payload.pieces().next().map(|piece| piece.as_ptr())
}

#[tokio::test]
async fn what_no_statement_touches_is_not_copied() {
    let settings = json!({"trace_statements": ["set(span.name, \"x\") where span.name == \"none\""]});
    let mut processor =
        golden::processor(&TransformFactory, &settings.to_string(), Signal::Traces, &Host::for_tests())
            .expect("a processor");
    let batch = golden::batch(Signal::Traces, SPANS);
    let before = start(&batch);
    let after = processor.apply(batch).expect("not refused").expect("not dropped");
    assert_eq!(start(&after), before);
    // Nor where nothing is said about a signal.
    let settings = json!({"log_statements": ["set(log.body, \"x\")"]});
    assert_eq!(names(&run(&settings, Signal::Traces, SPANS))[0], "a");
}

#[tokio::test]
async fn metrics_that_are_made_are_items() {
    let request = r#"{"resourceMetrics": [{"resource": {}, "scopeMetrics": [{"scope": {}, "metrics": [
        {"name": "m", "sum": {"aggregationTemporality": 2, "dataPoints": [{"asInt": "1"}, {"asInt": "2"}]}}
    ]}]}]}"#;
    let copied = json!({"metric_statements": ["copy_metric(name=\"n\") where metric.name == \"m\""]});
    let made = run(&copied, Signal::Metrics, request);
    assert_eq!(made["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][1]["name"], "n");
}

#[tokio::test]
async fn errors_are_passed_over_or_refuse_the_request_for_good() {
    let statements =
        ["set(name, \"done\") where name == \"a\"", "set(attributes[\"b\"], ParseJSON(name)[\"b\"])"];
    for (mode, ignored) in [("ignore", 1), ("silent", 0), ("propagate", 0)] {
        let host = Host::for_tests();
        let settings =
            json!({"error_mode": mode, "trace_statements": [{"context": "span", "statements": statements}]});
        let mut processor =
            golden::processor(&TransformFactory, &settings.to_string(), Signal::Traces, &host)
                .expect("a processor");
        let batch = golden::batch(Signal::Traces, SPANS);
        let sent = batch.payload.clone();
        let result = processor.apply(batch);
        processor.books().assert_balanced();
        let counted = host.metrics.sum("phoenix_statement_errors_ignored", &[("processor", "transform")]);
        assert_eq!(counted, ignored, "{mode}");
        if mode == "propagate" {
            let refusal = result.expect_err(mode);
            assert!(refusal.to_string().contains("ParseJSON"), "{refusal}");
            assert!(!refusal.is_retryable(), "{refusal}");
            let untouched = golden::to_json(&Batch::new(Signal::Traces, sent, 2));
            assert_eq!(names(&untouched)[0], "a", "others that hold the same bytes see nothing of it");
        } else {
            let after = golden::to_json(&result.expect(mode).expect(mode));
            assert_eq!(names(&after)[0], "done", "{mode}");
            let second = &after["resourceSpans"][0]["scopeSpans"][0]["spans"][1];
            assert_eq!(second["attributes"][0]["key"], "b", "{mode}: the next record is worked on");
        }
    }
}

#[tokio::test]
async fn a_group_may_treat_errors_in_its_own_way() {
    let settings = json!({"error_mode": "propagate", "trace_statements": [
        {"context": "span", "error_mode": "silent", "statements": ["set(name, ParseJSON(name)[\"b\"])"]},
    ]});
    assert_eq!(names(&run(&settings, Signal::Traces, SPANS))[0], "a");
}

#[tokio::test]
async fn bad_settings_are_named() {
    let cases = [
        (json!({"trace_statements": ["set(span.nam, \"a\")"]}), "trace_statements::0: column 5: "),
        (
            json!({"trace_statements": ["set(span.name, \"a\")", "sett(span.name, \"a\")"]}),
            "trace_statements::1: column 1: ",
        ),
        (
            json!({"trace_statements": [{"context": "span", "statements": ["set(name, \"a\")"], "conditions": ["nam == 1"]}]}),
            "trace_statements::0::conditions::0: ",
        ),
        (
            json!({"trace_statements": [{"context": "metric", "statements": ["set(name, \"a\")"]}]}),
            "trace_statements",
        ),
        (
            json!({"trace_statements": [{"context": "spam", "statements": ["set(name, \"a\")"]}]}),
            "trace_statements::0::context: ",
        ),
        (json!({"trace_statements": ["set(name, \"a\")"]}), "trace_statements::0: "),
        (json!({"log_statements": ["set(log.body, Nope(1))"]}), "log_statements::0: "),
        (json!({"flatten_data": true}), "flatten_data: is not supported"),
        (json!({"error_mode": "loud"}), "error_mode"),
    ];
    for (settings, expected) in cases {
        let made =
            golden::processor(&TransformFactory, &settings.to_string(), Signal::Traces, &Host::for_tests());
        let error = made.err().unwrap_or_else(|| panic!("{settings} is taken"));
        assert!(error.contains(expected), "{settings}: {error}");
    }
}
