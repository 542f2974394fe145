//! What is kept, what is dropped, and what is refused.

use phoenix_component::Host;
use phoenix_component::harness::golden;
use phoenix_pdata::Signal;
use phoenix_processor_filter::FilterFactory;
use serde_json::{Value, json};

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// Two resources with two spans each, the first with an event.
fn spans() -> Value {
    let entry = |host: &str, first: &str, second: &str| {
        json!({"resource": {"attributes": [text("host", host)]}, "scopeSpans": [{"scope": {"name": "lib"}, "spans": [
            {"name": first, "attributes": [text("k", first)], "events": [{"name": "debug"}, {"name": "e"}], "status": {}},
            {"name": second, "status": {}}
        ]}]})
    };
    json!({"resourceSpans": [entry("h1", "a", "b"), entry("h2", "c", "d")]})
}

fn metrics() -> Value {
    json!({"resourceMetrics": [{"resource": {"attributes": [text("host", "h1")]}, "scopeMetrics": [{"scope": {}, "metrics": [
        {"name": "sys.cpu", "gauge": {"dataPoints": [{"asInt": "1"}, {"asInt": "2"}]}},
        {"name": "app.x", "gauge": {"dataPoints": [{"asInt": "3"}]}}
    ]}]}]})
}

fn logs() -> Value {
    json!({"resourceLogs": [{"resource": {"attributes": [text("host", "h1")]}, "scopeLogs": [{"scope": {}, "logRecords": [
        {"severityNumber": 9, "severityText": "INFO", "body": {"stringValue": "started"}},
        {"severityNumber": 17, "severityText": "ERROR", "body": {"stringValue": "failed"}, "attributes": [text("k", "v")]},
        {"body": {"stringValue": "unknown"}}
    ]}]}]})
}

/// The names or bodies of the records that are left; resources without any are not.
fn left(settings: &Value, signal: Signal, request: &Value) -> Vec<String> {
    let mut filter = golden::processor(&FilterFactory, &settings.to_string(), signal, &Host::for_tests())
        .unwrap_or_else(|error| panic!("{settings}: {error}"));
    let result = filter.apply(golden::batch(signal, &request.to_string())).expect("not refused");
    filter.books().assert_balanced();
    let Some(batch) = result else { return Vec::new() };
    let request = golden::to_json(&batch);
    let [resources, scopes, records] = match signal {
        Signal::Traces => ["resourceSpans", "scopeSpans", "spans"],
        Signal::Metrics => ["resourceMetrics", "scopeMetrics", "metrics"],
        Signal::Logs => ["resourceLogs", "scopeLogs", "logRecords"],
    };
    let mut names = Vec::new();
    for resource in request[resources].as_array().expect("resources") {
        for scope in resource[scopes].as_array().expect("no resource is left empty") {
            for record in scope[records].as_array().expect("no scope is left empty") {
                let name = record["name"].as_str().or(record["body"]["stringValue"].as_str());
                names.push(name.expect("a name or a body").to_owned());
            }
        }
    }
    names
}

#[tokio::test]
async fn what_meets_a_condition_goes() {
    use Signal::{Logs, Metrics, Traces};
    let cases = [
        (Traces, json!({"traces": {"span": ["name == \"a\"", "name == \"c\""]}}), vec!["b", "d"]),
        (Traces, json!({"trace_conditions": ["span.name == \"a\""]}), vec!["b", "c", "d"]),
        (Traces, json!({"trace_conditions": ["resource.attributes[\"host\"] == \"h1\""]}), vec!["c", "d"]),
        (Traces, json!({"traces": {"resource": ["attributes[\"host\"] == \"h1\""]}}), vec!["c", "d"]),
        (
            Traces,
            json!({"trace_conditions": [{"context": "scope", "conditions": ["name == \"lib\""]}]}),
            vec![],
        ),
        (Metrics, json!({"metrics": {"metric": ["IsMatch(name, \"^sys\")"]}}), vec!["app.x"]),
        (Metrics, json!({"metrics": {"datapoint": ["value_int > 2"]}}), vec!["sys.cpu"]),
        (Metrics, json!({"metric_conditions": ["datapoint.value_int == 1"]}), vec!["sys.cpu", "app.x"]),
        (
            Logs,
            json!({"logs": {"log_record": ["severity_number >= SEVERITY_NUMBER_ERROR"]}}),
            vec!["started", "unknown"],
        ),
        // Settings of other signals are nothing to this one.
        (Logs, json!({"traces": {"span": ["true"]}}), vec!["started", "failed", "unknown"]),
    ];
    for (signal, settings, expected) in cases {
        let request = match signal {
            Traces => spans(),
            Metrics => metrics(),
            Logs => logs(),
        };
        assert_eq!(left(&settings, signal, &request), expected, "{settings}");
    }
}

#[tokio::test]
async fn a_span_stays_without_its_events() {
    let settings = json!({"traces": {"spanevent": ["true"]}}).to_string();
    let mut filter =
        golden::processor(&FilterFactory, &settings, Signal::Traces, &Host::for_tests()).expect("a filter");
    let batch = filter.apply(golden::batch(Signal::Traces, &spans().to_string())).expect("not refused");
    let request = golden::to_json(&batch.expect("spans are left"));
    let span = &request["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!((&span["name"], &span["events"]), (&json!("a"), &Value::Null));
}

#[tokio::test]
async fn include_and_exclude_by_what_a_record_is_like() {
    use Signal::{Logs, Metrics, Traces};
    let strict = |more: Value| {
        let mut settings = json!({"match_type": "strict"});
        settings.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        settings
    };
    let attribute = |key: &str, value: &str| json!([{"key": key, "value": value}]);
    let cases = [
        (Traces, json!({"spans": {"include": strict(json!({"span_names": ["a", "d"]}))}}), vec!["a", "d"]),
        (
            Traces,
            json!({"spans": {"exclude": strict(json!({"resources": attribute("host", "h1")}))}}),
            vec!["c", "d"],
        ),
        (
            Traces,
            json!({"spans": {
                "include": strict(json!({"resources": attribute("host", "h1")})),
                "exclude": strict(json!({"attributes": attribute("k", "a")})),
            }}),
            vec!["b"],
        ),
        (
            Metrics,
            json!({"metrics": {"include": {"match_type": "regexp", "metric_names": ["^sys"]}}}),
            vec!["sys.cpu"],
        ),
        (
            Metrics,
            json!({"metrics": {"exclude": {"match_type": "strict", "metric_names": ["sys.cpu"]}}}),
            vec!["app.x"],
        ),
        (
            Metrics,
            json!({"metrics": {"exclude": {"match_type": "strict", "resource_attributes": attribute("host", "h1")}}}),
            vec![],
        ),
        (Logs, json!({"logs": {"include": strict(json!({"bodies": ["started"]}))}}), vec!["started"]),
        (
            Logs,
            json!({"logs": {"exclude": {"match_type": "regexp", "severity_texts": ["^E"]}}}),
            vec!["started", "unknown"],
        ),
        (Logs, json!({"logs": {"include": {"severity_number": {"min": "WARN"}}}}), vec!["failed"]),
        (
            Logs,
            json!({"logs": {"include": {"severity_number": {"min": "WARN", "match_undefined": true}}}}),
            vec!["failed", "unknown"],
        ),
        (
            Logs,
            json!({"logs": {"include": strict(json!({"record_attributes": attribute("k", "v")}))}}),
            vec!["failed"],
        ),
    ];
    for (signal, settings, expected) in cases {
        let request = match signal {
            Traces => spans(),
            Metrics => metrics(),
            Logs => logs(),
        };
        assert_eq!(left(&settings, signal, &request), expected, "{settings}");
    }
}

#[tokio::test]
async fn what_is_dropped_is_counted_and_what_is_kept_is_not_copied() {
    let host = Host::for_tests();
    let settings = json!({"metrics": {"metric": ["name == \"sys.cpu\""]}}).to_string();
    let mut filter = golden::processor(&FilterFactory, &settings, Signal::Metrics, &host).expect("a filter");
    let batch = golden::batch(Signal::Metrics, &metrics().to_string());
    let kept = filter.apply(batch).expect("not refused").expect("one is left");
    assert_eq!(kept.items, 1);
    let name = "otelcol_processor_filter_datapoints.filtered";
    assert_eq!(host.metrics.sum(name, &[("filter", "filter")]), 2, "data points, not metrics");
    assert_eq!(filter.books().dropped.get("filtered"), Some(&2));
    let start = |batch: &phoenix_component::Batch| batch.payload.pieces().next().map(|piece| piece.as_ptr());
    let before = start(&kept);
    let again = filter.apply(kept).expect("not refused").expect("all is left");
    assert_eq!(start(&again), before, "nothing is dropped, nothing copied");
}

#[tokio::test]
async fn errors_are_passed_over_or_refuse_the_request_for_good() {
    let condition = "ParseJSON(name)[\"a\"] == 1 or name == \"a\"";
    for (mode, expected) in [("ignore", Some(1)), ("silent", Some(0)), ("propagate", None)] {
        let host = Host::for_tests();
        let settings =
            json!({"error_mode": mode, "traces": {"span": [condition, "name == \"b\""]}}).to_string();
        let mut filter =
            golden::processor(&FilterFactory, &settings, Signal::Traces, &host).expect("a filter");
        let result = filter.apply(golden::batch(Signal::Traces, &spans().to_string()));
        filter.books().assert_balanced();
        match expected {
            Some(reported) => {
                assert_eq!(result.expect(mode).expect(mode).items, 3, "{mode}: the other condition holds");
                let ignored =
                    host.metrics.sum("phoenix_statement_errors_ignored", &[("processor", "filter")]);
                assert_eq!(ignored > 0, reported > 0, "{mode}: {ignored}");
            }
            None => {
                let refusal = result.expect_err(mode);
                assert!(refusal.to_string().contains("ParseJSON"), "{refusal}");
                assert!(!refusal.is_retryable(), "{refusal}");
            }
        }
    }
}

#[tokio::test]
async fn bad_settings_are_named() {
    let cases = [
        (json!({"traces": {"span": ["nme == \"a\""]}}), "traces::span::0: column 1: "),
        (json!({"logs": {"log_record": ["true", "IsMatch(body, \"(\")"]}}), "logs::log_record::1: "),
        (json!({"trace_conditions": ["name == \"a\""]}), "trace_conditions::0: "),
        (json!({"trace_conditions": [{"context": "log", "conditions": ["true"]}]}), "trace_conditions"),
        (
            json!({"trace_conditions": [{"context": "spam", "conditions": ["true"]}]}),
            "trace_conditions::0::context: ",
        ),
        (
            json!({"trace_conditions": ["span.name == \"a\""], "traces": {"span": ["true"]}}),
            "trace_conditions: cannot be used together",
        ),
        (
            json!({"metrics": {"metric": ["true"], "include": {"match_type": "strict", "metric_names": ["a"]}}}),
            "metrics: conditions and `include`",
        ),
        (
            json!({"metrics": {"include": {"metric_names": ["a"]}}}),
            "metrics::include::match_type: is required",
        ),
        (
            json!({"metrics": {"include": {"match_type": "expr", "expressions": ["true"]}}}),
            "`expr` is not supported",
        ),
        (
            json!({"metrics": {"exclude": {"match_type": "regexp", "metric_names": ["("]}}}),
            "metrics::exclude::metric_names::0",
        ),
        (
            json!({"logs": {"include": {"severity_number": {"min": "LOUD"}}}}),
            "logs::include::severity_number::min",
        ),
        (json!({"logs": {"include": {"bodies": ["a"]}}}), "logs::include::match_type"),
        (json!({"spans": {"include": {"match_type": "strict", "log_bodies": ["a"]}}}), "spans::include"),
        (json!({"error_mode": "loud"}), "error_mode"),
    ];
    for (settings, expected) in cases {
        let made =
            golden::processor(&FilterFactory, &settings.to_string(), Signal::Traces, &Host::for_tests());
        let error = made.err().unwrap_or_else(|| panic!("{settings} is taken"));
        assert!(error.contains(expected), "{settings}: {error}");
    }
}
