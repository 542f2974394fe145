//! What becomes of resources.

use phoenix_component::Host;
use phoenix_component::harness::golden;
use phoenix_pdata::Signal;
use phoenix_processor_resource::ResourceFactory;
use serde_json::{Value, json};

fn run(actions: Value, signal: Signal, request: &Value) -> Value {
    let settings = json!({"attributes": actions}).to_string();
    let mut processor =
        golden::processor(&ResourceFactory, &settings, signal, &Host::for_tests()).expect("a processor");
    let batch = golden::batch(signal, &request.to_string());
    golden::to_json(&processor.apply(batch).expect("never refused").expect("something is left"))
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

#[tokio::test]
async fn every_entry_of_every_signal_is_changed_and_nothing_else() {
    let upsert = json!([{"key": "env", "value": "prod", "action": "upsert"}]);
    let entry = |attributes: Value, scopes: &str, records: Value| json!({"resource": {"attributes": attributes}, scopes: records, "schemaUrl": "s"});
    let span = json!([{"scope": {}, "spans": [{"name": "a", "status": {}}]}]);
    let log = json!([{"scope": {}, "logRecords": [{"body": {"stringValue": "a"}}]}]);
    let metric =
        json!([{"scope": {}, "metrics": [{"name": "m", "gauge": {"dataPoints": [{"asInt": "1"}]}}]}]);
    for (signal, name, scopes, records) in [
        (Signal::Traces, "resourceSpans", "scopeSpans", span),
        (Signal::Logs, "resourceLogs", "scopeLogs", log),
        (Signal::Metrics, "resourceMetrics", "scopeMetrics", metric),
    ] {
        let before = json!({name: [
            entry(json!([text("env", "test"), text("host", "h")]), scopes, records.clone()),
            entry(json!([text("host", "h")]), scopes, records.clone()),
        ]});
        let after = json!({name: [
            entry(json!([text("env", "prod"), text("host", "h")]), scopes, records.clone()),
            entry(json!([text("host", "h"), text("env", "prod")]), scopes, records),
        ]});
        assert_eq!(run(upsert.clone(), signal, &before), after, "{signal}");
    }
}

#[tokio::test]
async fn an_entry_without_a_resource_gets_one_if_there_is_something_to_say() {
    let request = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"severityText": "a"}]}]}]});
    let added = run(json!([{"key": "a", "value": 1, "action": "insert"}]), Signal::Logs, &request);
    assert_eq!(
        added["resourceLogs"][0]["resource"]["attributes"],
        json!([{"key": "a", "value": {"intValue": "1"}}])
    );
    let none = run(json!([{"key": "a", "action": "delete"}]), Signal::Logs, &request);
    assert_eq!(none["resourceLogs"][0]["resource"], json!({}));
}

#[tokio::test]
async fn bad_settings_are_named() {
    for (settings, key) in
        [("{}", "attributes"), ("{attributes: [{key: a, action: insert}]}", "attributes::0::value")]
    {
        let error = golden::processor(&ResourceFactory, settings, Signal::Logs, &Host::for_tests());
        assert!(error.err().expect(settings).contains(key), "{settings}");
    }
}
