//! What otelcol keeps of the same requests with the same settings.

use phoenix_component::Host;
use phoenix_component::harness::golden;
use phoenix_pdata::Signal;
use phoenix_processor_probabilistic_sampler::SamplerFactory;
use serde_json::Value;

/// The identifiers of the spans of a request, each with its `tracestate`.
fn spans(request: &Value) -> Vec<Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    list(&request["resourceSpans"])
        .iter()
        .flat_map(|entry| list(&entry["scopeSpans"]))
        .flat_map(|scope| list(&scope["spans"]))
        .map(|span| {
            Value::from(vec![span["spanId"].clone(), span["traceState"].as_str().unwrap_or("").into()])
        })
        .collect()
}

#[tokio::test]
async fn the_spans_that_otelcol_keeps_are_kept_and_say_the_same() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../data/otelcol.json")).expect("a list of cases");
    for case in &cases {
        let name = case["case"].as_str().expect("a name");
        let settings = case["processors"]["probabilistic_sampler"].to_string();
        let host = Host::for_tests();
        let mut sampler =
            golden::processor(&SamplerFactory, &settings, Signal::Traces, &host).expect("a processor");
        let mut kept = Vec::new();
        for input in [include_str!("../data/input-1.json"), include_str!("../data/input-2.json")] {
            let result = sampler.apply(golden::batch(Signal::Traces, input)).expect("never refused");
            kept.extend(result.iter().map(golden::to_json).flat_map(|request| spans(&request)));
        }
        kept.sort_by(|left, right| left[0].as_str().cmp(&right[0].as_str()));
        assert_eq!(Value::from(kept.clone()), case["kept_spans"], "{name}");
        let metric = "otelcol_processor_probabilistic_sampler_count_traces_sampled";
        assert_eq!(host.metrics.sum(metric, &[("sampled", "true")]), kept.len() as i64, "{name}");
        assert_eq!(host.metrics.sum(metric, &[]), 1119, "{name}");
    }
    assert_eq!(cases.len(), 4);
}
