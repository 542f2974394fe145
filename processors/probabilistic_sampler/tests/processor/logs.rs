//! Log records: randomness from the trace or an attribute, thresholds in attributes, priority.

use phoenix_component::Host;
use phoenix_component::harness::golden;
use phoenix_pdata::Signal;
use phoenix_processor_probabilistic_sampler::SamplerFactory;
use serde_json::{Value, json};

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// What is left of one record: its attributes, or nothing.
fn run(settings: &Value, record: Value) -> Option<Value> {
    let host = Host::for_tests();
    let mut sampler =
        golden::processor(&SamplerFactory, &settings.to_string(), Signal::Logs, &host).expect("a processor");
    let request = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).to_string();
    let result = sampler.apply(golden::batch(Signal::Logs, &request)).expect("never refused")?;
    Some(golden::to_json(&result)["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["attributes"].clone())
}

/// Its last seven bytes are 0x0a0b0c0d0e0f10, kept only for more than 96 %.
const TRACE: &str = "0102030405060708090a0b0c0d0e0f10";

#[tokio::test]
async fn what_is_kept_says_with_which_threshold() {
    let by_trace = json!({"traceId": TRACE, "attributes": [text("a", "x")]});
    // (settings, record, attributes afterwards)
    let cases = [
        (
            json!({"sampling_percentage": 100}),
            by_trace.clone(),
            json!([
                text("a", "x"),
                text("sampling.randomness", "976837c4f25a25"),
                text("sampling.threshold", "0")
            ]),
        ),
        (
            json!({"sampling_percentage": 50}),
            by_trace.clone(),
            json!([
                text("a", "x"),
                text("sampling.randomness", "976837c4f25a25"),
                text("sampling.threshold", "8")
            ]),
        ),
        (json!({"sampling_percentage": 30}), by_trace.clone(), json!(null)),
        (
            json!({"sampling_percentage": 97, "mode": "equalizing"}),
            by_trace.clone(),
            json!([text("a", "x"), text("sampling.threshold", "07ae1")]),
        ),
        (json!({"sampling_percentage": 50, "mode": "equalizing"}), by_trace, json!(null)),
        // A threshold that is higher stays; one that contradicts the randomness is an error.
        (
            json!({"sampling_percentage": 90, "mode": "equalizing"}),
            json!({"attributes": [text("sampling.randomness", "f0000000000000"), text("sampling.threshold", "e")]}),
            json!([text("sampling.randomness", "f0000000000000"), text("sampling.threshold", "e")]),
        ),
        (
            json!({"sampling_percentage": 90, "mode": "equalizing"}),
            json!({"attributes": [text("sampling.randomness", "c0000000000000"), text("sampling.threshold", "e")]}),
            json!(null),
        ),
        (
            json!({"sampling_percentage": 90, "mode": "equalizing", "fail_closed": false}),
            json!({"attributes": [text("sampling.randomness", "c0000000000000"), text("sampling.threshold", "e")]}),
            json!([text("sampling.randomness", "c0000000000000")]),
        ),
        (
            json!({"sampling_percentage": 50, "mode": "proportional"}),
            json!({"attributes": [text("sampling.randomness", "f0000000000000"), text("sampling.threshold", "8")]}),
            json!([text("sampling.randomness", "f0000000000000"), text("sampling.threshold", "c")]),
        ),
        // What hash_seed finds in use, and what has no randomness at all.
        (
            json!({"sampling_percentage": 99}),
            json!({"traceId": TRACE, "attributes": [text("sampling.threshold", "8")]}),
            json!(null),
        ),
        (json!({"sampling_percentage": 99}), json!({"attributes": [text("a", "x")]}), json!(null)),
        (
            json!({"sampling_percentage": 1, "fail_closed": false}),
            json!({"attributes": [text("a", "x")]}),
            json!([text("a", "x"), text("sampling.threshold", "0")]),
        ),
        (
            json!({"sampling_percentage": 99, "fail_closed": false}),
            json!({"traceId": TRACE, "attributes": [text("sampling.threshold", "zz")]}),
            json!([text("sampling.threshold", "zz")]),
        ),
    ];
    for (settings, record, expected) in cases {
        assert_eq!(run(&settings, record.clone()).unwrap_or_default(), expected, "{settings} {record}");
    }
}

#[tokio::test]
async fn an_attribute_may_be_hashed_and_another_one_decide() {
    let settings = json!({"sampling_percentage": 100, "attribute_source": "record", "from_attribute": "id"});
    let kept = run(&settings, json!({"traceId": TRACE, "attributes": [text("id", "7")]})).expect("kept");
    assert_ne!(kept[1], text("sampling.randomness", "976837c4f25a25"), "not by the trace");
    assert_eq!(
        run(&settings, json!({"traceId": TRACE, "attributes": [text("id", "")]})),
        None,
        "nothing to hash"
    );

    let settings = json!({"sampling_percentage": 0.1, "mode": "equalizing", "sampling_priority": "p"});
    let record = |priority: Value| json!({"traceId": TRACE, "attributes": [{"key": "p", "value": priority}]});
    assert!(run(&settings, record(json!({"doubleValue": 100.0}))).is_some());
    assert!(run(&settings, record(json!({"intValue": "100"}))).is_some());
    assert!(run(&settings, record(json!({"intValue": "50"}))).is_none(), "not by its randomness");
    assert!(run(&settings, record(json!({"intValue": "0"}))).is_none(), "says nothing");
}

#[tokio::test]
async fn decisions_are_counted_by_what_they_were_made_by() {
    let host = Host::for_tests();
    let settings = r#"{"sampling_percentage": 50, "from_attribute": "id"}"#;
    let mut sampler = golden::processor(&SamplerFactory, settings, Signal::Logs, &host).expect("a processor");
    let records = json!([{"traceId": TRACE}, {"attributes": [text("id", "7")]}, {"severityText": "a"}]);
    let request = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).to_string();
    sampler.apply(golden::batch(Signal::Logs, &request)).expect("never refused");
    let sum = |policy| {
        host.metrics.sum("otelcol_processor_probabilistic_sampler_count_logs_sampled", &[("policy", policy)])
    };
    assert_eq!([sum("trace_id_hash"), sum("id"), sum("missing_randomness")], [1, 1, 1]);
    let dropped: u64 = sampler.books().dropped.values().sum();
    assert_eq!(dropped + sampler.books().passed_on, 3);
}
